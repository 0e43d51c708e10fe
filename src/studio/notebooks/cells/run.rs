//! `run`: shows a run, or does something to runs: start, fork, change settings, pause, resume, stop,
//! delete. Everything but `show` is an effect, done only when a person asks and noted in the log.

use std::time::Duration;

use protoclip::config::RunConfig;
use protoclip::train::ControlChange;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::super::{ForkRequest, RunId, RunState, RunView, Studio, StudioError};
use super::super::output::{Made, MadeBlock, OutputLink, Table, number};
use super::values::Values;
use super::{CellFailure, Context, provenance};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RunAction {
    Show,
    #[default]
    Start,
    Fork,
    Change,
    Pause,
    Resume,
    Stop,
    Delete,
}

/// Between two looks at a run that is waited for.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

pub(super) fn inputs(studio: &Studio, values: Values<'_>) -> Result<Value, CellFailure> {
    match action(values)? {
        RunAction::Show => {
            let run = values.run(studio)?;
            Ok(json!([run.id, run.state.name(), run.step, run.name]))
        }
        _ => Ok(Value::Null),
    }
}

pub(super) fn make(context: &Context<'_>) -> Result<Made, CellFailure> {
    let (studio, values) = (context.studio, context.values);
    let done = |text: String| (context.log)(text);
    match action(values)? {
        RunAction::Show => shown(studio, &values.run(studio)?.id, true),
        RunAction::Start => begun(context, |context| {
            let id = context.studio.create(config(context.values)?)?;
            done(format!("started run {id}"))?;
            Ok(id)
        }),
        RunAction::Fork => begun(context, |context| {
            let origin = values.run(context.studio)?;
            let request = ForkRequest {
                step: values.whole("step")?,
                name: values.text("name")?.map(str::to_owned),
                episodes: values
                    .whole("episodes")?
                    .and_then(|n| usize::try_from(n).ok()),
                ..ForkRequest::default()
            };
            let id = context.studio.fork(&origin.id, request)?;
            done(format!("forked run {} as {id}", origin.id))?;
            Ok(id)
        }),
        RunAction::Change => {
            let run = values.run(studio)?;
            let change = change(values)?;
            studio.steer(&run.id, &change)?;
            done(format!("changed {} of run {}", json!(change), run.id))?;
            shown(studio, &run.id, true)
        }
        RunAction::Pause => on_run(context, "paused", Studio::pause),
        RunAction::Resume => on_run(context, "resumed", Studio::resume),
        RunAction::Stop => on_run(context, "stopped", Studio::stop),
        RunAction::Delete => {
            let run = values.run(studio)?;
            studio.delete(&run.id)?;
            done(format!("moved run {} to the trash", run.id))?;
            let text = format!("Run {} ({}) was moved to the trash.", run.name, run.id);
            Ok(Made {
                summary: text.clone(),
                blocks: vec![MadeBlock::Text(text)],
                ..Made::default()
            })
        }
    }
}

fn action(values: Values<'_>) -> Result<RunAction, String> {
    Ok(values.word("action")?.unwrap_or_default())
}

fn on_run(
    context: &Context<'_>,
    done: &str,
    act: fn(&Studio, &RunId) -> Result<(), StudioError>,
) -> Result<Made, CellFailure> {
    let run = context.values.run(context.studio)?;
    act(context.studio, &run.id)?;
    (context.log)(format!("{done} run {}", run.id))?;
    shown(context.studio, &run.id, true)
}

fn change(values: Values<'_>) -> Result<ControlChange, String> {
    match values.word("controls")? {
        Some(change) => Ok(change),
        None => Err("controls: is missing; give for example prototype_count: 128".into()),
    }
}

/// The settings of a run to start: `config` over `preset`, with `name`.
fn config(values: Values<'_>) -> Result<RunConfig, CellFailure> {
    let mut given = match values.get("config") {
        None => Map::new(),
        Some(Value::Object(given)) => given.clone(),
        Some(other) => return Err(format!("config: {other} is no list of settings").into()),
    };
    for key in ["preset", "name"] {
        if let Some(text) = values.text(key)? {
            given.insert(key.into(), text.into());
        }
    }
    if let Some(episodes) = values.whole("episodes")? {
        given.insert("episodes".into(), episodes.into());
    }
    let mut given = Value::Object(given);
    whole_numbers(&mut given);
    RunConfig::from_json(given).map_err(|error| CellFailure::Failed(format!("config: {error}")))
}

/// Makes 3 of 3.0, which is what sliders give.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Object(values) => values.values_mut().for_each(whole_numbers),
        Value::Array(values) => values.iter_mut().for_each(whole_numbers),
        Value::Number(number) => {
            let float = number.as_f64().filter(|_| number.is_f64());
            if let Some(float) = float.filter(|f| f.fract() == 0.0 && (0.0..9e15).contains(f)) {
                *value = Value::from(float as u64);
            }
        }
        _ => (),
    }
}

/// Begins a run, or goes on with the one that the cell began before, and waits for its end unless
/// `wait` is false.
fn begun(
    context: &Context<'_>,
    begin: impl FnOnce(&Context<'_>) -> Result<RunId, CellFailure>,
) -> Result<Made, CellFailure> {
    let studio = context.studio;
    let id = match unfinished(context) {
        Some(run) => {
            if !run.state.is_active() {
                studio.resume(&run.id)?;
                (context.log)(format!("resumed run {}", run.id))?;
            }
            run.id
        }
        None => begin(context)?,
    };
    (context.early)(&shown(studio, &id, false)?)?;
    if context.values.flag("wait")? != Some(false) {
        wait(context, &id)?;
    }
    shown(studio, &id, true)
}

/// The run that this cell began and that has not come to its end, if there is one.
fn unfinished(context: &Context<'_>) -> Option<RunView> {
    let previous = context.previous?;
    if previous.fields.get("complete")?.as_bool()? {
        return None;
    }
    let id = RunId::from(previous.fields.get("id")?.as_str()?);
    let run = context.studio.run(&id).ok()?;
    let goes_on = !matches!(run.state, RunState::Failed) && !run.broken;
    goes_on.then_some(run)
}

fn wait(context: &Context<'_>, id: &RunId) -> Result<(), CellFailure> {
    loop {
        let run = context.studio.run(id)?;
        let phase = match run.state {
            RunState::Finished => return Ok(()),
            RunState::Queued => "the run waits for the trainer".to_owned(),
            RunState::Paused => "the run is paused".to_owned(),
            RunState::Running => format!("episode {} of {}", run.episode + 1, run.total_episodes),
            RunState::Stopped | RunState::Failed | RunState::Interrupted => {
                let reason = run
                    .reason
                    .map_or_else(String::new, |reason| format!(": {reason}"));
                let state = run.state.name();
                let step = run.step;
                return Err(format!("run {id} is {state} at step {step}{reason}").into());
            }
        };
        if context.report(&phase, run.step, run.total_steps).is_err() {
            // A run that is not waited for any more is not wanted either; its checkpoint stays.
            if let Err(error) = context.studio.stop(id) {
                tracing::warn!(run = %id, %error, "a cancelled cell could not stop its run");
            }
            (context.log)(format!("stopped run {id}, whose cell was cancelled"))?;
            return Err(CellFailure::Cancelled);
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

fn shown(studio: &Studio, id: &RunId, complete: bool) -> Result<Made, CellFailure> {
    let run = studio.run(id)?;
    let mut table = Table::new("", &["what", "value"]);
    let mut row = |what: &str, value: String| table.rows.push(vec![what.into(), value]);
    row("run", format!("{} ({})", run.name, run.id));
    row("state", run.state.name().into());
    if let Some(preset) = run.preset {
        row("method", preset.title().into());
    }
    row("model", run.model.clone());
    row("data", run.data.clone());
    row("steps", format!("{} of {}", run.step, run.total_steps));
    for tag in [
        "train/loss_total",
        "eval/recall_mean",
        "eval/ami",
        "eval/modality_gap",
    ] {
        if let Some(value) = run.latest.get(tag) {
            row(tag, number(*value));
        }
    }
    let fields = json!({
        "id": run.id, "name": run.name, "step": run.step, "state": run.state.name(),
        "complete": complete,
    });
    Ok(Made {
        summary: format!(
            "Run {} is {} at step {}.",
            run.name,
            run.state.name(),
            run.step
        ),
        blocks: vec![MadeBlock::Table(table)],
        fields: fields.as_object().cloned().unwrap_or_default(),
        links: vec![OutputLink {
            label: "Open the run".into(),
            href: format!("/runs/{}", run.id),
        }],
        provenance: vec![provenance(studio, &run, run.step)?],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn settings_come_from_preset_config_and_name() {
        let map = values(&json!({
            "preset": "protoclip", "name": "a", "episodes": 2.0,
            "config": {"prototypes": {"count": 64.0}, "seed": 7},
        }));
        let config = config(Values(&map)).expect("reads");
        assert_eq!(
            (config.episodes, config.prototypes.count, config.seed),
            (2, 64, 7)
        );
        assert_eq!(config.name, "a");
        let wrong = values(&json!({"config": {"colour": 1}}));
        let error = super::config(Values(&wrong)).expect_err("unknown");
        assert!(error.to_string().contains("colour"), "{error}");
    }

    #[test]
    fn an_action_that_does_not_exist_is_named() {
        let map = values(&json!({"action": "explode"}));
        let error = action(Values(&map)).expect_err("unknown");
        assert!(
            error.contains("action") && error.contains("explode"),
            "{error}"
        );
    }
}

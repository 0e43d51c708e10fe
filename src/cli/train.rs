//! `train`: one run in this terminal, in the same directory that `serve` shows.

use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use protoclip::config::RunConfig;
use protoclip::train::{Control, StopReason, tag};

use super::UsageError;
use super::signals::on_signal;
use crate::settings::{TrainSettings, data_dir_or_default};
use crate::studio::{
    Change, DataDir, DataSets, LineKind, Listener, NewPlace, Recorder, RunId, RunJob, RunSnapshot,
    RunState, RunStore, Runner, TrainerRunner, hurry, new_run, relink_run, run_session,
    start_problems,
};

pub(super) fn train(settings: TrainSettings) -> anyhow::Result<()> {
    let root = data_dir_or_default(settings.data_dir.clone())
        .ok_or_else(|| UsageError("HOME is not set; give --data-dir".into()))?;
    let data_dir = DataDir::open(&root)?;
    let data_sets = Arc::new(DataSets::default());
    let id = match (&settings.resume, &settings.config) {
        (Some(id), _) => resumed(&data_dir, &data_sets, id, &settings)?,
        (None, Some(path)) => created(&data_dir, &data_sets, path, &settings.set)?,
        (None, None) => return Err(UsageError("give a file or --resume".into()).into()),
    };
    train_run(&data_dir, &data_sets, &id)
}

fn existing(data_dir: &DataDir, id: &str) -> anyhow::Result<RunId> {
    let known = data_dir.run_ids()?.into_iter().find(|k| k.as_str() == id);
    known.ok_or_else(|| {
        UsageError(format!(
            "there is no run {id} in {}; its folder runs/ lists those that exist",
            data_dir.root().display()
        ))
        .into()
    })
}

/// The run to go on with; its data set is relinked where the command line says so.
fn resumed(
    data_dir: &DataDir,
    data_sets: &DataSets,
    id: &str,
    settings: &TrainSettings,
) -> anyhow::Result<RunId> {
    let id = existing(data_dir, id)?;
    if let Some(path) = &settings.data {
        let place = NewPlace {
            path: match protoclip::data::is_remote(path) {
                true => path.clone(),
                false => std::path::absolute(path)?,
            },
            image_folder: settings.image_folder.clone(),
        };
        relink_run(&data_dir.run(&id), data_sets, &place)
            .map_err(|e| UsageError(format!("--data {}: {e}", path.display())))?;
    }
    Ok(id)
}

fn created(
    data_dir: &DataDir,
    data_sets: &DataSets,
    path: &Path,
    set: &[String],
) -> anyhow::Result<RunId> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| UsageError(format!("{}: {e}", path.display())))?;
    let wrong = |e: &dyn std::fmt::Display| UsageError(format!("{}:\n{e}", path.display()));
    let text = with_changes(&text, set)?;
    let config = RunConfig::from_toml(&text).map_err(|e| wrong(&e))?;
    let valid = config.validate().map_err(|e| wrong(&e))?;
    start_problems(&valid, data_sets).map_err(|e| wrong(&e))?;
    Ok(new_run(data_dir, valid.into_inner())?.id)
}

/// The settings with some replaced. A value that is no TOML is taken as text.
pub(super) fn with_changes(text: &str, changes: &[String]) -> anyhow::Result<String> {
    let mut table: toml::Table = text.parse().map_err(|e| UsageError(format!("{e}")))?;
    for change in changes {
        let (key, value) = change
            .split_once('=')
            .ok_or_else(|| UsageError(format!("--set {change}: write KEY=VALUE")))?;
        let parsed = format!("value = {value}").parse::<toml::Table>();
        let value = parsed
            .ok()
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| toml::Value::String(value.to_owned()));
        put(&mut table, key, value)?;
    }
    Ok(table.to_string())
}

fn put(table: &mut toml::Table, key: &str, value: toml::Value) -> anyhow::Result<()> {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
            Ok(())
        }
        Some((head, rest)) => {
            let below = table
                .entry(head)
                .or_insert_with(|| toml::Value::Table(toml::Table::new()));
            let below = below
                .as_table_mut()
                .ok_or_else(|| UsageError(format!("--set {key}: {head} is not a section")))?;
            put(below, rest, value)
        }
    }
}

fn train_run(data_dir: &DataDir, data_sets: &Arc<DataSets>, id: &RunId) -> anyhow::Result<()> {
    let run = data_dir.run(id);
    let lock = run.lock()?.ok_or_else(|| {
        UsageError(format!(
            "run {id} is being trained by another process; stop it there"
        ))
    })?;
    let config = run.read_config()?.validate()?;
    let before = snapshot_before(&run.database(), &config)?;
    if before.state == RunState::Finished {
        return Err(UsageError(format!("run {id} is finished; start a new one")).into());
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let runner = TrainerRunner::new(Arc::clone(data_sets), threads)?;
    let resume = runner.latest_intact(run.path());
    let control = Arc::new(Control::new(&config, Some(before.controls)));
    let (recorder, change) = Recorder::begin(&run, &before, resume.as_ref())?;
    let stopping = Arc::clone(&control);
    on_signal(move || {
        hurry();
        stopping.stop(StopReason::Shutdown);
    })?;
    let mut bar = TerminalListener::new(id);
    bar.changed(&change, &recorder);
    let recorder = Arc::new(Mutex::new(recorder));
    let job = RunJob {
        config,
        directory: run.path().to_owned(),
        resume,
    };
    let ended = run_session(&runner, job, &control, &recorder, &mut bar);
    drop(lock);
    bar.bar.finish_and_clear();
    report(id, ended?)
}

fn snapshot_before(database: &Path, config: &RunConfig) -> anyhow::Result<RunSnapshot> {
    let stored = match database.exists() {
        true => RunStore::read(database)?.snapshot()?,
        false => None,
    };
    Ok(stored.unwrap_or_else(|| RunSnapshot::queued(config)))
}

fn report(id: &RunId, (state, reason): (RunState, Option<String>)) -> anyhow::Result<()> {
    match state {
        RunState::Failed => {
            Err(anyhow!(reason.unwrap_or_default())).with_context(|| format!("run {id} failed"))
        }
        RunState::Interrupted => {
            say!("run {id} is saved; go on with: protoclip-studio train --resume {id}");
            Ok(())
        }
        _ => {
            say!("run {id} is {}", state.name());
            Ok(())
        }
    }
}

/// Shows a run as a progress bar, or as lines where the output is no terminal.
struct TerminalListener {
    bar: ProgressBar,
}

impl TerminalListener {
    fn new(id: &RunId) -> Self {
        let bar = ProgressBar::new(0);
        let style = "{bar:30} {pos}/{len} {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        let listener = Self { bar };
        listener.say(&format!("run {id}"));
        listener
    }

    fn say(&self, line: &str) {
        if self.bar.is_hidden() {
            say!("{line}");
        } else {
            self.bar.println(line);
        }
    }
}

impl Listener for TerminalListener {
    fn changed(&mut self, change: &Change, recorder: &Recorder) {
        let snapshot = recorder.snapshot();
        self.bar.set_length(snapshot.total_steps);
        self.bar.set_position(snapshot.step);
        self.bar
            .set_message(status(snapshot, recorder.eta_seconds()));
        for line in &change.lines {
            self.say(&format!("step {:>6}  {}", line.step, line.message));
            if line.kind == LineKind::EpisodeStarted && self.bar.is_hidden() {
                self.say(&format!(
                    "             {}",
                    status(snapshot, recorder.eta_seconds())
                ));
            }
        }
    }
}

fn status(snapshot: &RunSnapshot, eta_seconds: Option<f64>) -> String {
    let mut parts = vec![format!(
        "episode {}/{}",
        snapshot.episode, snapshot.total_episodes
    )];
    let curves = [
        ("loss", tag::LOSS_TOTAL),
        ("clip", tag::LOSS_CLIP),
        ("proto", tag::LOSS_PROTO),
        ("external", tag::LOSS_EXTERNAL),
    ];
    for (name, tag) in curves {
        if let Some(value) = snapshot.latest.get(tag) {
            parts.push(format!("{name} {value:.3}"));
        }
    }
    if let Some(rate) = snapshot.samples_per_second() {
        parts.push(format!("{rate:.0}/s"));
    }
    if let Some(seconds) = eta_seconds {
        parts.push(format!("{} left", duration(seconds)));
    }
    parts.join("  ")
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_replaces_nested_settings_and_takes_words_as_text() {
        let sets = [
            "prototypes.count=64",
            "data.source=csv",
            "name=\"a = b\"",
            "seed=5",
        ];
        let text = with_changes("seed = 3\n", &sets.map(String::from)).expect("applies");
        let table: toml::Table = text.parse().expect("parses");
        assert_eq!(table["seed"].as_integer(), Some(5));
        assert_eq!(table["prototypes"]["count"].as_integer(), Some(64));
        assert_eq!(table["data"]["source"].as_str(), Some("csv"));
        assert_eq!(table["name"].as_str(), Some("a = b"));
    }

    #[test]
    fn a_set_without_value_or_into_a_number_is_refused() {
        assert!(with_changes("", &["seed".into()]).is_err());
        assert!(with_changes("seed = 3", &["seed.x=1".into()]).is_err());
    }

    #[test]
    fn durations_are_readable() {
        assert_eq!(duration(59.6), "1 min 00 s");
        assert_eq!(duration(7.0), "7 s");
        assert_eq!(duration(3700.0), "1 h 01 min");
    }
}

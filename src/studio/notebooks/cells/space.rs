//! `space`: maps of the image and text spaces of a step. Makes them where they do not exist yet.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::super::{
    FigureFormat, MapFeatures, MapKey, MapSpace, MapState, RunView, Studio, StudioError,
};
use super::super::output::{Made, MadeBlock, OutputLink, Table};
use super::values::Values;
use super::{CellFailure, Context, provenance};

/// Between two looks at a map that is being made.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

pub(super) fn inputs(studio: &Studio, values: Values<'_>) -> Result<Value, CellFailure> {
    let run = values.run(studio)?;
    let step = step(studio, values, &run)?;
    Ok(json!([run.id, run.name, step]))
}

pub(super) fn make(context: &Context<'_>) -> Result<Made, CellFailure> {
    let (studio, values) = (context.studio, context.values);
    let run = values.run(studio)?;
    let step = step(studio, values, &run)?;
    let spaces = match values.text("space")? {
        None | Some("both") => vec![MapSpace::Image, MapSpace::Text],
        Some(_) => values.word::<MapSpace>("space")?.into_iter().collect(),
    };
    let mut table = Table::new("", &["space", "method", "samples"]);
    let mut blocks = Vec::new();
    for space in spaces {
        let key = MapKey {
            step,
            space,
            method: values.word("method")?.unwrap_or_default(),
            features: values.word::<MapFeatures>("features")?.unwrap_or_default(),
        };
        finished(context, &run, key)?;
        let (name, method) = (space.name(), key.method.label());
        let points = studio
            .map_table(&run.id, key)?
            .lines()
            .count()
            .saturating_sub(1);
        table
            .rows
            .push(vec![name.into(), method.into(), points.to_string()]);
        blocks.push(MadeBlock::Figure {
            svg: studio
                .map_figure(&run.id, key, FigureFormat::Svg.into())?
                .bytes,
            alt: format!(
                "{method} map of the {name} space of {} at step {step}",
                run.name
            ),
        });
    }
    blocks.push(MadeBlock::Table(table));
    let fields = json!({"step": step});
    Ok(Made {
        summary: format!("Maps of {} at step {step}.", run.name),
        blocks,
        fields: fields.as_object().cloned().unwrap_or_default(),
        links: vec![OutputLink {
            label: "Open the space page".into(),
            href: format!("/runs/{}/space?step={step}", run.id),
        }],
        provenance: vec![provenance(studio, &run, step)?],
    })
}

fn step(studio: &Studio, values: Values<'_>, run: &RunView) -> Result<u64, CellFailure> {
    if let Some(step) = values.whole("step")? {
        return Ok(step);
    }
    let newest = studio.feature_steps(&run.id)?.last().copied();
    newest.ok_or_else(|| {
        let message = format!(
            "run {} has no features yet; they come with its first prototypes",
            run.id
        );
        CellFailure::Failed(message)
    })
}

fn finished(context: &Context<'_>, run: &RunView, key: MapKey) -> Result<(), CellFailure> {
    let studio = context.studio;
    studio.start_map(&run.id, key)?;
    loop {
        let status = studio.map_status(&run.id, key)?;
        let Some(status) = status else {
            return Err(format!("the map of step {} was given up", key.step).into());
        };
        match status.state {
            MapState::Finished => return Ok(()),
            MapState::Cancelled => return Err(CellFailure::Cancelled),
            MapState::Failed => {
                let why = status.error.unwrap_or_else(|| "without a reason".into());
                return Err(format!("the map cannot be made: {why}").into());
            }
            MapState::Queued | MapState::Running => {
                let phase = format!("{} space: {}", key.space.name(), status.phase);
                if context
                    .report(&phase, status.done as u64, status.total as u64)
                    .is_err()
                {
                    let _gone: Result<_, StudioError> = studio.cancel_map(&run.id, key);
                    return Err(CellFailure::Cancelled);
                }
                std::thread::sleep(BETWEEN_LOOKS);
            }
        }
    }
}

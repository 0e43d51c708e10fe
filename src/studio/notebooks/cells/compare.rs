//! `compare`: curves of two to eight runs on common axes, what differs in their settings, and their
//! last measures.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::super::figure::{Palette, draw};
use super::super::super::{
    Compared, ComparisonAxis, ComparisonQuery, FigureFormat, RunView, Studio,
};
use super::super::output::{Made, MadeBlock, OutputLink, Table, number};
use super::values::Values;
use super::{CellFailure, Context, provenance};

/// Most curves that are compared in one cell.
const MOST_METRICS: usize = 6;

pub(super) fn inputs(studio: &Studio, values: Values<'_>) -> Result<Value, CellFailure> {
    let runs = values.runs(studio)?;
    Ok(runs
        .iter()
        .map(|run| json!([run.id, run.name, run.step]))
        .collect())
}

pub(super) fn make(context: &Context<'_>) -> Result<Made, CellFailure> {
    let (studio, values) = (context.studio, context.values);
    let runs = values.runs(studio)?;
    let metrics = match values.texts("metrics")? {
        none if none.is_empty() => vec!["train/loss_total".to_owned()],
        some if some.len() > MOST_METRICS => {
            return Err(format!("metrics: {} given, at most {MOST_METRICS}", some.len()).into());
        }
        some => some,
    };
    let axis: ComparisonAxis = values.word("axis")?.unwrap_or_default();
    let of: Compared = values.word("of")?.unwrap_or_default();
    let mut blocks = Vec::new();
    for (at, metric) in metrics.iter().enumerate() {
        context.report(metric, at as u64, metrics.len() as u64)?;
        let query = ComparisonQuery {
            runs: runs.iter().map(|run| run.id.clone()).collect(),
            tag: metric.clone(),
            axis,
            of,
            points: 0, // as many as the figure takes
        };
        blocks.push(figure(studio, &query)?);
    }
    blocks.push(MadeBlock::Table(settings(studio, &runs)?));
    blocks.push(MadeBlock::Table(measures(&runs)));
    let mut provenances = Vec::new();
    for run in &runs {
        provenances.push(provenance(studio, run, run.step)?);
    }
    let ids: Vec<&str> = runs.iter().map(|run| run.id.as_str()).collect();
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    Ok(Made {
        summary: format!("{} of {}.", metrics.join(", "), names.join(", ")),
        blocks,
        fields: Map::new(),
        links: vec![OutputLink {
            label: "Open the comparison".into(),
            href: format!("/compare?runs={}", ids.join(",")),
        }],
        provenance: provenances,
    })
}

fn figure(studio: &Studio, query: &ComparisonQuery) -> Result<MadeBlock, CellFailure> {
    let figure = studio.comparison_curves(query, "", Palette::default())?;
    let names: Vec<&str> = figure.curves.iter().map(|c| c.label.as_str()).collect();
    Ok(MadeBlock::Figure {
        svg: draw(&figure, &figure.title, FigureFormat::Svg)?.bytes,
        alt: format!("{}: {}", figure.title, names.join(", ")),
    })
}

/// The settings that are not the same in all runs.
fn settings(studio: &Studio, runs: &[RunView]) -> Result<Table, CellFailure> {
    let mut sides = Vec::new();
    for run in runs {
        let mut flat = Map::new();
        // An imported run has no settings.
        if run.imported.is_none() {
            let config = serde_json::to_value(&*studio.config(&run.id)?)
                .map_err(|error| CellFailure::Failed(error.to_string()))?;
            flatten("", &config, &mut flat);
        }
        flat.remove("name");
        sides.push(flat);
    }
    let keys: BTreeSet<&String> = sides.iter().flat_map(Map::keys).collect();
    let mut table = columns("Settings that differ", "setting", runs);
    for key in keys {
        let first = sides.first().and_then(|side| side.get(key));
        if sides.iter().all(|side| side.get(key) == first) {
            continue;
        }
        let shown = sides.iter().map(|side| match side.get(key) {
            None | Some(Value::Null) => "–".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        });
        table
            .rows
            .push(std::iter::once(key.clone()).chain(shown).collect());
    }
    if table.rows.is_empty() {
        table.note = Some("All settings are the same.".into());
    }
    Ok(table)
}

fn flatten(prefix: &str, value: &Value, into: &mut Map<String, Value>) {
    let Value::Object(inside) = value else {
        into.insert(prefix.to_owned(), value.clone());
        return;
    };
    for (key, value) in inside {
        let path = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        flatten(&path, value, into);
    }
}

/// The newest measures of each run.
fn measures(runs: &[RunView]) -> Table {
    let tags: BTreeSet<&String> = runs
        .iter()
        .flat_map(|run| run.latest.keys())
        .filter(|tag| tag.starts_with("eval/"))
        .collect();
    let mut table = columns("Newest measures", "measure", runs);
    for tag in tags {
        let shown = runs.iter().map(|run| match run.latest.get(tag) {
            Some(value) => number(*value),
            None => "–".into(),
        });
        table
            .rows
            .push(std::iter::once(tag.clone()).chain(shown).collect());
    }
    table
}

fn columns(title: &str, first: &str, runs: &[RunView]) -> Table {
    let mut columns = vec![first];
    columns.extend(runs.iter().map(|run| run.name.as_str()));
    Table::new(title, &columns)
}

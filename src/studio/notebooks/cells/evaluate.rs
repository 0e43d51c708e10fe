//! `evaluate`: measures a checkpoint of a run, as `evaluate` on the command line does.

use std::sync::atomic::Ordering;

use protoclip::eval::{EvaluationReport, Part};
use serde_json::{Map, Value, json};

use super::super::super::checkpoints::CheckpointId;
use super::super::super::work::WorkFailure;
use super::super::super::{CheckpointView, EvaluationRequest, RunView, Studio};
use super::super::output::{Made, MadeBlock, OutputLink, Table, number};
use super::values::Values;
use super::{CellFailure, Context, provenance};

pub(super) fn inputs(studio: &Studio, values: Values<'_>) -> Result<Value, CellFailure> {
    let run = values.run(studio)?;
    let checkpoint = checkpoint(studio, values, &run)?;
    Ok(json!([run.id, run.name, checkpoint.step, checkpoint.hash]))
}

pub(super) fn make(context: &Context<'_>) -> Result<Made, CellFailure> {
    let (studio, values) = (context.studio, context.values);
    let run = values.run(studio)?;
    let checkpoint = checkpoint(studio, values, &run)?;
    let id = CheckpointId::OfRun {
        run: run.id.clone(),
        step: checkpoint.step,
    };
    let request = EvaluationRequest {
        data_set: values.text("data")?.unwrap_or_default().to_owned(),
        probe: values.flag("probe")?.unwrap_or(false),
    };
    let asked = studio.asked_evaluation(&id, &request)?;
    let (progress, cancelled) = (context.progress, &context.cancelled);
    let measured = asked.measured(&|phase, done, total| {
        progress(phase, done, total);
        !cancelled.load(Ordering::Relaxed)
    });
    let report = measured.map_err(|failure| match failure {
        WorkFailure::Cancelled => CellFailure::Cancelled,
        WorkFailure::Failed(_, message) => CellFailure::Failed(message),
    })?;
    let rows = rows(&report);
    let mut table = Table::new("", &["measure", "value"]);
    let mut fields = Map::new();
    for (name, title, value) in rows {
        table.rows.push(vec![title, number(value)]);
        fields.insert(name, value.into());
    }
    fields.insert("step".into(), checkpoint.step.into());
    let data = &report.data;
    table.note = Some(format!(
        "{}: {} pictures with {} captions measured{}",
        data.name,
        data.measured_pictures,
        data.measured_captions,
        data.holdout
            .as_ref()
            .map_or_else(String::new, |rule| format!(", held out by {rule}"))
    ));
    let shown: Vec<String> = table
        .rows
        .iter()
        .map(|row| format!("{} {}", row[0], row[1]))
        .collect();
    Ok(Made {
        summary: format!(
            "{} at step {}: {}.",
            run.name,
            checkpoint.step,
            shown.join(", ")
        ),
        blocks: vec![MadeBlock::Table(table)],
        fields,
        links: vec![OutputLink {
            label: "Open the checkpoint".into(),
            href: format!("/checkpoints/{id}"),
        }],
        provenance: vec![provenance(studio, &run, checkpoint.step)?],
    })
}

/// The checkpoint at the asked step, or the newest.
fn checkpoint(
    studio: &Studio,
    values: Values<'_>,
    run: &RunView,
) -> Result<CheckpointView, CellFailure> {
    let all = studio.checkpoints(&run.id)?;
    let steps: Vec<String> = all.iter().map(|c| c.step.to_string()).collect();
    let asked = values.whole("step")?;
    let mut wanted = all
        .into_iter()
        .filter(|c| asked.is_none_or(|step| step == c.step));
    wanted.next_back().ok_or_else(|| {
        CellFailure::Failed(match (steps.is_empty(), asked) {
            (false, Some(step)) => format!(
                "step: run {} keeps no checkpoint of step {step}; it keeps {}",
                run.id,
                steps.join(", ")
            ),
            _ => format!("run {} has no checkpoint yet", run.id),
        })
    })
}

/// Name for `${cell.name}`, title and value of every measure.
fn rows(report: &EvaluationReport) -> Vec<(String, String, f64)> {
    let mut rows = Vec::new();
    let mut row = |name: String, title: String, value: f64| rows.push((name, title, value));
    if let Some(value) = report.retrieval.value() {
        let scores = value.scores;
        row(
            "recall_mean".into(),
            "mean recall (%)".into(),
            value.mean_recall,
        );
        for (name, title, recall) in [
            ("image_to_text", "image to text", scores.image_to_text),
            ("text_to_image", "text to image", scores.text_to_image),
        ] {
            for (at, found) in [(1, recall.at_1), (5, recall.at_5), (10, recall.at_10)] {
                let name = format!("recall_{name}_{at}");
                row(name, format!("recall at {at}, {title} (%)"), found);
            }
        }
    }
    for (at, column) in report.columns.iter().enumerate() {
        // The first column also goes without its name.
        let names = |measure: &str| match at {
            0 => measure.to_owned(),
            _ => format!("{measure}_{}", column.column),
        };
        let mut part = |measure: &str, title: &str, value: Option<f64>| {
            if let Some(value) = value {
                row(
                    names(measure),
                    format!("{title} of {}", column.column),
                    value,
                );
            }
        };
        part(
            "zero_shot_top1",
            "zero-shot (%)",
            value(&column.zero_shot, |z| z.top1),
        );
        part("ari", "ARI × 100", value(&column.grouping, |g| g.ari));
        part("ami", "AMI × 100", value(&column.grouping, |g| g.ami));
        part(
            "linear_probe_top1",
            "linear probe (%)",
            value(&column.linear_probe, |p| p.top1),
        );
    }
    if let Some(spaces) = report.spaces.value() {
        row("gap".into(), "modality gap".into(), spaces.modality_gap);
        row(
            "std_image".into(),
            "deviation of image features".into(),
            spaces.feature_std_image,
        );
        row(
            "std_text".into(),
            "deviation of text features".into(),
            spaces.feature_std_text,
        );
    }
    rows
}

fn value<T>(part: &Part<T>, of: impl Fn(&T) -> f64) -> Option<f64> {
    part.value().map(of)
}

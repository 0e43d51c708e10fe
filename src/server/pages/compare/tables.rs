//! The tables of the page as CSV text, one column per run.

use std::fmt::Write;

use super::config_diff::ConfigDiff;
use crate::server::api::quoted;
use crate::server::pages::measure_catalogue::measures;
use crate::studio::{RunId, RunView, Studio, StudioError, run_labels};

/// Settings that are not the same in all runs.
///
/// # Errors
/// For fewer or more runs than a comparison takes, and for runs that cannot be read.
pub(in crate::server) fn settings_table(
    studio: &Studio,
    ids: &[RunId],
) -> Result<String, StudioError> {
    let views = studio.compared_runs(ids)?;
    let mut text = head(&["setting", "name"], &views);
    for row in ConfigDiff::read(studio, &views)?.rows {
        let _infallible = write!(text, "{},{}", row.name, quoted(row.label));
        for value in &row.values {
            text = text + "," + &field(&value.text);
        }
        text.push('\n');
    }
    Ok(text)
}

/// The newest value of every measure that one of the runs has.
///
/// # Errors
/// As [`settings_table`].
pub(in crate::server) fn measures_table(
    studio: &Studio,
    ids: &[RunId],
) -> Result<String, StudioError> {
    let views = studio.compared_runs(ids)?;
    let mut text = head(&["group", "measure", "unit"], &views);
    for (group, measure) in measures() {
        let value = |view: &RunView| view.latest.get(measure.tag).copied();
        if !views.iter().any(|view| value(view).is_some()) {
            continue;
        }
        text += &[group.title, measure.name, measure.unit]
            .map(quoted)
            .join(",");
        for view in &views {
            text.push(',');
            if let Some(value) = value(view).filter(|value| value.is_finite()) {
                let _infallible = write!(text, "{value}");
            }
        }
        text.push('\n');
    }
    Ok(text)
}

/// How alike the first run and each other group their common samples.
///
/// # Errors
/// As [`settings_table`]; runs without common samples have no rows.
pub(in crate::server) fn grouping_table(
    studio: &Studio,
    ids: &[RunId],
) -> Result<String, StudioError> {
    let views = studio.compared_runs(ids)?;
    let mut text = String::from(
        "run,space,ami,ari,matched_prototypes,prototypes,common_samples,first_step,step\n",
    );
    for (id, label) in ids.iter().zip(run_labels(&views)).skip(1) {
        let Ok(matching) = studio.match_prototypes(&ids[0], id) else {
            continue;
        };
        let (first, own) = matching.steps;
        for space in &matching.spaces {
            let _infallible = writeln!(
                text,
                "{},{},{},{},{},{},{},{first},{own}",
                quoted(&label),
                space.space.name(),
                space.ami,
                space.ari,
                space.matched,
                space.prototypes,
                space.samples,
            );
        }
    }
    Ok(text)
}

fn head(columns: &[&str], views: &[RunView]) -> String {
    let mut text = columns.join(",");
    for label in run_labels(views) {
        text = text + "," + &quoted(&label);
    }
    text + "\n"
}

/// Numbers stay numbers.
fn field(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(_) => text.to_owned(),
        Err(_) => quoted(text),
    }
}

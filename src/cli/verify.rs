//! `verify`: golden values beside ours, on a device of choice.

use std::io::{self, Write};

use anyhow::bail;
use protoclip::device::DeviceChoice;
use protoclip::verify::{Case, Summary, VerifyOptions, verify as run_verify};

use super::UsageError;
use crate::settings::VerifySettings;

/// Columns of a case's name in the table.
const NAME_WIDTH: usize = 72;

pub(super) fn verify(settings: VerifySettings) -> anyhow::Result<()> {
    let choice = DeviceChoice::parse(&settings.device).map_err(|e| UsageError(e.to_string()))?;
    let device = choice.open().map_err(|e| UsageError(e.to_string()))?;
    let mut out = io::stdout().lock();
    let mut written = Ok(());
    if !settings.json {
        writeln!(out, "device {}", device.name)?;
        writeln!(
            out,
            "{:NAME_WIDTH$}  {:>10}  {:>9}",
            "case", "worst", "tolerance"
        )?;
    }
    let mut print = |case: &Case| {
        if !settings.json && written.is_ok() {
            written = writeln!(out, "{}", line(case));
        }
    };
    let options = VerifyOptions {
        device: device.device,
        teacher: settings.teacher,
    };
    let summary = run_verify(&settings.folder, &options, &mut print)
        .map_err(|e| UsageError(e.to_string()))?;
    written?;
    match settings.json {
        true => writeln!(out, "{}", json(&device.name, &summary))?,
        false => ending(&mut out, &summary)?,
    }
    match summary.passed() {
        true => Ok(()),
        false if summary.cases.is_empty() && summary.broken.is_empty() => {
            bail!("{} holds no golden file", settings.folder.display())
        }
        false => bail!(
            "{} of {} cases are out of tolerance, {} files could not be compared",
            summary.failures(),
            summary.cases.len(),
            summary.broken.len()
        ),
    }
}

fn line(case: &Case) -> String {
    let name = format!("{}: {}", case.file, case.case);
    let verdict = if case.passed() { "pass" } else { "FAIL" };
    let note = match case.note.is_empty() {
        true => String::new(),
        false => format!("  ({})", case.note),
    };
    format!(
        "{name:NAME_WIDTH$}  {:>10.2e}  {:>9.0e}  {verdict}  {}{note}",
        case.error,
        case.tolerance,
        case.measure.word()
    )
}

fn ending(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    for (name, reason) in &summary.broken {
        writeln!(out, "{name}: FAIL  {reason}")?;
    }
    for (name, reason) in &summary.skipped {
        writeln!(out, "{name}: skipped  {reason}")?;
    }
    let passed = summary.cases.len() - summary.failures();
    writeln!(
        out,
        "{passed} of {} cases pass, {} files broken, {} skipped",
        summary.cases.len(),
        summary.broken.len(),
        summary.skipped.len()
    )
}

fn json(device: &str, summary: &Summary) -> serde_json::Value {
    serde_json::json!({
        "device": device,
        "passed": summary.passed(),
        "cases": summary.cases,
        "broken": summary.broken,
        "skipped": summary.skipped,
    })
}

#[cfg(test)]
mod tests {
    use protoclip::verify::Measure;

    use super::*;

    #[test]
    fn a_line_says_what_failed_by_how_much() {
        let case = Case {
            file: "losses.safetensors".into(),
            case: "clip/loss".into(),
            error: 2e-3,
            tolerance: 1e-5,
            measure: Measure::Relative,
            note: String::new(),
        };
        let line = line(&case);
        for part in [
            "losses.safetensors: clip/loss",
            "2.00e-3",
            "1e-5",
            "FAIL",
            "relative",
        ] {
            assert!(line.contains(part), "{line}");
        }
    }
}

//! `evaluate`: measures a checkpoint on a data set; a table, or JSON.

mod inputs;
mod table;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use protoclip::data::{self, PairSource};
use protoclip::device::DeviceChoice;
use protoclip::eval::{self, Encoder, EvaluateError, EvaluationPhase, EvaluationReport};
use protoclip::model::{ImportOptions, import_weights};
use protoclip::tokenizer::Tokenizer;

use self::inputs::Inputs;
use super::UsageError;
use super::signals::on_signal;
use crate::settings::EvaluateSettings;

pub(super) fn evaluate(settings: &EvaluateSettings) -> anyhow::Result<()> {
    let usage = |e: &dyn std::fmt::Display| UsageError(e.to_string());
    let device = DeviceChoice::parse(&settings.device)
        .and_then(DeviceChoice::open)
        .map_err(|e| usage(&e))?;
    let inputs = Inputs::find(settings)?;
    let data = data::open_whole(&inputs.data, &|_, _| true).map_err(|e| usage(&e))?;
    let options = inputs::options(settings, &inputs, &*data)?;
    let given = ImportOptions {
        model: settings.model.clone(),
        ..ImportOptions::default()
    };
    let loaded = import_weights(&inputs.checkpoint, &given, &device.device)
        .with_context(|| format!("{} cannot be evaluated", inputs.checkpoint.display()))?;
    for note in &loaded.notes {
        say_error!("note: {note}");
    }
    let tokenizer = Arc::new(Tokenizer::new());
    let batch = usize::from(settings.batch_size);
    let encoder = Encoder::new(loaded.clip, device.device, tokenizer, batch)?;
    let report = measured(&encoder, &data, &options)?;
    show(settings, &inputs.checkpoint, &device.name, &report)
}

/// Evaluates behind a progress bar on the standard error; Ctrl-C cancels.
fn measured(
    encoder: &Encoder,
    data: &Arc<dyn PairSource>,
    options: &eval::EvaluationOptions,
) -> anyhow::Result<EvaluationReport> {
    let cancelled = Arc::new(AtomicBool::new(false));
    let cancel = Arc::clone(&cancelled);
    on_signal(move || cancel.store(true, Ordering::Relaxed))?;
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg:20} {bar:30} {percent:>3} %  {elapsed}") {
        bar.set_style(style);
    }
    let report = |phase: EvaluationPhase, done, total| {
        bar.set_message(phase.title());
        bar.set_length(total);
        bar.set_position(done);
        !cancelled.load(Ordering::Relaxed)
    };
    let result = eval::evaluate(encoder, data, options, &report);
    bar.finish_and_clear();
    result.map_err(|error| match error {
        EvaluateError::NoColumn { .. }
        | EvaluateError::ClassNames { .. }
        | EvaluateError::SeveralColumns { .. } => UsageError(error.to_string()).into(),
        other => other.into(),
    })
}

fn show(
    settings: &EvaluateSettings,
    checkpoint: &Path,
    device: &str,
    report: &EvaluationReport,
) -> anyhow::Result<()> {
    let to_output = settings.json.as_deref() == Some(Path::new("-"));
    if !to_output {
        say!("{}", table::table(report, checkpoint, device).trim_end());
    }
    let Some(path) = &settings.json else {
        return Ok(());
    };
    let mut json = serde_json::to_value(report)?;
    json["checkpoint"] = checkpoint.display().to_string().into();
    json["device"] = device.into();
    json["program"] = format!("protoclip-studio {}", env!("CARGO_PKG_VERSION")).into();
    let text = serde_json::to_string_pretty(&json)?;
    if to_output {
        say!("{text}");
        return Ok(());
    }
    std::fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

//! `teacher`: features of every caption of a data set by a text encoder, for the `npy` teacher.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use protoclip::config::DataConfig;
use protoclip::data;
use protoclip::device::DeviceChoice;
use protoclip::teacher::{FeatureFile, SentenceEncoder, TeacherError, missing_files};

use super::UsageError;
use super::data_path::data_at;
use super::signals::on_signal;
use crate::settings::TeacherSettings;

pub(super) fn teacher(settings: TeacherSettings) -> anyhow::Result<()> {
    let usage = |e: &dyn std::fmt::Display| UsageError(e.to_string());
    if !settings.model.is_dir() {
        let model = settings.model.display();
        let message = format!("--model {model}: give the directory of a Hugging Face encoder");
        return Err(UsageError(message).into());
    }
    let missing = missing_files(&settings.model);
    if !missing.is_empty() {
        let (model, missing) = (settings.model.display(), missing.join(" and no "));
        let message = format!(
            "--model {model} has no {missing}; give the directory of a Hugging Face encoder"
        );
        return Err(UsageError(message).into());
    }
    let device = DeviceChoice::parse(&settings.device)
        .and_then(DeviceChoice::open)
        .map_err(|e| usage(&e))?;
    let config = data_config(&settings)?;
    let source = data::open_whole(&config, &|_, _| true).map_err(|e| usage(&e))?;
    let encoder = SentenceEncoder::open(&settings.model, &device.device).map_err(|e| usage(&e))?;
    let file = FeatureFile {
        path: settings.out.clone(),
        dim: (settings.dim > 0).then_some(settings.dim),
        model: SentenceEncoder::fingerprint(&settings.model)?,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&stop);
    on_signal(move || stopping.store(true, Ordering::Relaxed))?;
    let bar = bar(source.len());
    let started = Instant::now();
    let report = |done: usize, _: usize| {
        bar.set_position(done as u64);
        !stop.load(Ordering::Relaxed)
    };
    let written = file.write(&encoder, &*source, &report);
    bar.finish_and_clear();
    match written {
        Ok(written) => {
            let seconds = started.elapsed().as_secs_f64();
            let new = written.rows - written.resumed;
            say!("{}", settings.out.display());
            say!("  rows        {}", written.rows);
            say!("  dimensions  {} of {}", written.dim, encoder.dim());
            say!(
                "  variance    {:.1} % kept",
                100.0 * written.explained_variance
            );
            say!(
                "  captions    {new} in {seconds:.1} s, {:.0} per second",
                new as f64 / seconds
            );
            say!("train with it with these settings:");
            say!("  teacher.kind = \"npy\"");
            say!("  teacher.path = {:?}", settings.out.display().to_string());
            Ok(())
        }
        Err(TeacherError::Cancelled) => {
            bail!("stopped; the same command goes on where it was")
        }
        Err(error @ TeacherError::Dimensions { .. }) => {
            Err(UsageError(format!("--dim: {error}")).into())
        }
        Err(error) => Err(error.into()),
    }
}

fn data_config(settings: &TeacherSettings) -> anyhow::Result<DataConfig> {
    Ok(DataConfig {
        image_column: settings.image_column.clone(),
        image_folder: settings.image_folder.clone(),
        caption_column: settings.caption_column.clone(),
        ..data_at(&settings.data, settings.source)?
    })
}

fn bar(captions: usize) -> ProgressBar {
    let bar = ProgressBar::new(captions as u64);
    let style = "{bar:30} {pos}/{len} captions  {per_sec}  {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}

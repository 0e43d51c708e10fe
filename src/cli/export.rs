//! `export`: a checkpoint as a directory that OpenCLIP loads, or curves for TensorBoard.

use protoclip::train::{ExportOptions, export_checkpoint};

use super::UsageError;
use crate::settings::ExportSettings;
use crate::studio::{RunDirectory, export_tensorboard};

pub(super) fn export(settings: ExportSettings) -> anyhow::Result<()> {
    if !settings.checkpoint.exists() {
        let path = settings.checkpoint.display();
        let message = format!(
            "{path} does not exist; give a checkpoint such as runs/RUN_ID/checkpoints/STEP, or a weight file"
        );
        return Err(UsageError(message).into());
    }
    if settings.tensorboard {
        return curves(&settings);
    }
    let options = ExportOptions {
        name: settings.name,
        heads_inside: settings.with_heads,
    };
    let exported = export_checkpoint(&settings.checkpoint, &settings.out, &options)?;
    println!("{}", exported.directory.display());
    for file in &exported.files {
        println!("  {file}");
    }
    for note in &exported.notes {
        println!("  note: {note}");
    }
    Ok(())
}

fn curves(settings: &ExportSettings) -> anyhow::Result<()> {
    if !settings.checkpoint.join("run.json").is_file() {
        let path = settings.checkpoint.display();
        let message = format!("{path} is no run; give a directory such as DATA_DIR/runs/RUN_ID");
        return Err(UsageError(message).into());
    }
    let run = RunDirectory::at(settings.checkpoint.clone());
    let file = export_tensorboard(&run, &settings.out)?;
    println!("{}", file.display());
    Ok(())
}

//! `export`: a checkpoint as a directory that OpenCLIP loads.

use protoclip::train::{ExportOptions, export_checkpoint};

use super::UsageError;
use crate::settings::ExportSettings;

pub(super) fn export(settings: ExportSettings) -> anyhow::Result<()> {
    if !settings.checkpoint.exists() {
        let path = settings.checkpoint.display();
        let message = format!(
            "{path} does not exist; give a checkpoint such as runs/RUN_ID/checkpoints/STEP, or a weight file"
        );
        return Err(UsageError(message).into());
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

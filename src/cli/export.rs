//! `export`: a checkpoint as a directory that OpenCLIP loads, or curves for TensorBoard.

use std::time::Duration;

use protoclip::train::{ExportOptions, export_checkpoint};

use super::UsageError;
use crate::settings::ExportSettings;
use crate::studio::{CurveFollower, RunDirectory, export_tensorboard};

/// Time between two looks at a run that trains.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

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
    say!("{}", exported.directory.display());
    for file in &exported.files {
        say!("  {file}");
    }
    for note in &exported.notes {
        say!("  note: {note}");
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
    if settings.follow {
        return follow(run, settings);
    }
    let file = export_tensorboard(&run, &settings.out)?;
    say!("{}", file.display());
    Ok(())
}

/// Writes until the run ends; Ctrl-C ends it earlier, with nothing lost.
fn follow(run: RunDirectory, settings: &ExportSettings) -> anyhow::Result<()> {
    let mut follower = CurveFollower::begin(run, &settings.out)?;
    say!("{}", follower.folder().display());
    say!(
        "  following the run; show it with: tensorboard --logdir {}",
        settings.out.display()
    );
    while follower.catch_up()? {
        std::thread::sleep(BETWEEN_LOOKS);
    }
    say!("  the run does not train any more");
    Ok(())
}

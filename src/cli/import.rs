//! `import`: a weight file of others as a model that runs start from, or their curves as runs.

use std::path::Path;

use protoclip::model::{ImportOptions, import_into};

use super::UsageError;
use crate::settings::{ImportSettings, data_dir_or_default};
use crate::studio::{DataDir, import_curves};

pub(super) fn import(settings: ImportSettings) -> anyhow::Result<()> {
    let root = data_dir_or_default(settings.data_dir)
        .ok_or_else(|| UsageError("HOME is not set; give --data-dir".into()))?;
    let name = settings.name.as_deref();
    match (&settings.tensorboard, &settings.file) {
        (Some(folder), _) => curves(folder, name, &root),
        (None, Some(file)) => weights(file, name, settings.model, &root),
        (None, None) => Err(UsageError("give a weight file, or --tensorboard DIR".into()).into()),
    }
}

fn curves(folder: &Path, name: Option<&str>, root: &Path) -> anyhow::Result<()> {
    if !folder.is_dir() {
        let path = folder.display();
        let message = format!("{path} is no folder; give one with event files in it or below it");
        return Err(UsageError(message).into());
    }
    let data_dir = DataDir::open(root)?;
    // A run keeps the whole path, since it is opened from anywhere.
    let folder = std::path::absolute(folder)?;
    for run in import_curves(&data_dir, &folder, name.unwrap_or_default(), &|_, _| true)? {
        say!("{}", data_dir.run(&run.id).path().display());
        say!("  name        {}", run.name);
        say!("  curves      {}", run.curves);
        say!("  points      {}", run.points);
        for note in &run.notes {
            say!("  note        {note}");
        }
    }
    Ok(())
}

fn weights(
    file: &Path,
    name: Option<&str>,
    model: Option<String>,
    root: &Path,
) -> anyhow::Result<()> {
    if !file.exists() {
        let path = file.display();
        return Err(UsageError(format!("{path} does not exist; give a weight file")).into());
    }
    let stem = file.file_stem().map(|stem| stem.to_string_lossy());
    let name = name.map_or_else(|| stem.unwrap_or("model".into()), Into::into);
    let data_dir = DataDir::open(root)?;
    let directory = data_dir
        .imported_model(&name)
        .ok_or_else(|| UsageError(format!("--name {name:?}: use letters, digits, - _ and .")))?;
    let options = ImportOptions {
        model,
        ..ImportOptions::default()
    };
    let report = import_into(file, &options, &directory)?;
    say!("{}", directory.display());
    say!("  parameters  {}", report.parameters);
    say!("  blake3      {}", report.blake3);
    for note in &report.notes {
        say!("  note        {note}");
    }
    say!("start a run from it with these settings:");
    for setting in ["model", "weights"] {
        say!("  {setting} = {:?}", directory.display().to_string());
    }
    Ok(())
}

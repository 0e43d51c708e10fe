//! `import`: a weight file of others as a model that runs start from.

use protoclip::model::{ImportOptions, import_into};

use super::UsageError;
use crate::settings::{ImportSettings, data_dir_or_default};
use crate::studio::DataDir;

pub(super) fn import(settings: ImportSettings) -> anyhow::Result<()> {
    let root = data_dir_or_default(settings.data_dir)
        .ok_or_else(|| UsageError("HOME is not set; give --data-dir".into()))?;
    if !settings.file.exists() {
        let path = settings.file.display();
        return Err(UsageError(format!("{path} does not exist; give a weight file")).into());
    }
    let name = match settings.name {
        Some(name) => name,
        None => settings.file.file_stem().map_or_else(
            || "model".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        ),
    };
    let data_dir = DataDir::open(&root)?;
    let directory = data_dir
        .imported_model(&name)
        .ok_or_else(|| UsageError(format!("--name {name:?}: use letters, digits, - _ and .")))?;
    let options = ImportOptions {
        model: settings.model,
        ..ImportOptions::default()
    };
    let report = import_into(&settings.file, &options, &directory)?;
    println!("{}", directory.display());
    println!("  parameters  {}", report.parameters);
    println!("  blake3      {}", report.blake3);
    for note in &report.notes {
        println!("  note        {note}");
    }
    println!("start a run from it with these settings:");
    for setting in ["model", "weights"] {
        println!("  {setting} = {:?}", directory.display().to_string());
    }
    Ok(())
}

//! Files that somebody made to do harm: bombs, code in pickles, and ten thousand broken ones for each
//! reader. None may panic, run anything, or take memory out of proportion.

mod bombs;
mod cuts;
mod files;
mod payloads;
mod sources;

use std::path::Path;

use protoclip::config::{DataConfig, DataSource};
use protoclip::data::FolderSource;

/// A folder of classes as a data set, however many of its pictures are broken.
fn opened(folder: &Path) -> FolderSource {
    let config = DataConfig {
        source: DataSource::Folder,
        path: Some(folder.to_owned()),
        max_broken_share: 1.0,
        ..DataConfig::default()
    };
    FolderSource::open(&config, &|_, _| true).expect("opens")
}

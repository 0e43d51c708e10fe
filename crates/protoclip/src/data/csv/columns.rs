//! Which columns of a file hold what.

use std::path::Path;

use csv::ByteRecord;

use crate::config::DataConfig;
use crate::data::DataError;

/// Columns where the configuration names none.
const IMAGE: &str = "filepath";
const CAPTION: &str = "title";

/// A column that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Position in a row, from 0.
    pub(super) position: usize,
}

/// The columns of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) image: Column,
    pub(super) caption: Column,
    pub(super) labels: Vec<Column>,
}

impl Columns {
    /// Finds the columns in the header row.
    ///
    /// # Errors
    /// When one is absent: lists those that are there and names the setting to change.
    pub(super) fn find(
        config: &DataConfig,
        header: &ByteRecord,
        path: &Path,
    ) -> Result<Self, DataError> {
        let names: Vec<String> = header.iter().enumerate().map(clean_name).collect();
        let find = |wanted: &str, setting: &str| {
            let position = names.iter().position(|name| name == wanted);
            position
                .map(|position| Column {
                    name: wanted.to_owned(),
                    position,
                })
                .ok_or_else(|| absent(path, wanted, setting, &names))
        };
        Ok(Self {
            image: find(
                config.image_column.as_deref().unwrap_or(IMAGE),
                "data.image_column",
            )?,
            caption: find(
                config.caption_column.as_deref().unwrap_or(CAPTION),
                "data.caption_column",
            )?,
            labels: config
                .label_columns
                .iter()
                .map(|name| find(name, "data.label_columns"))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// A header cell without surrounding space and, in the first one, without byte-order mark.
fn clean_name((position, bytes): (usize, &[u8])) -> String {
    let name = String::from_utf8_lossy(bytes);
    let name = if position == 0 {
        name.trim_start_matches('\u{feff}')
    } else {
        &name
    };
    name.trim().to_owned()
}

fn absent(path: &Path, wanted: &str, setting: &str, names: &[String]) -> DataError {
    const MOST_LISTED: usize = 30;
    let mut found: Vec<String> = names
        .iter()
        .take(MOST_LISTED)
        .map(|name| format!("{:?}", name.chars().take(60).collect::<String>()))
        .collect();
    if names.len() > MOST_LISTED {
        found.push(format!("and {} more", names.len() - MOST_LISTED));
    }
    let hint = if names.len() == 1 {
        "; only one column was found, so data.separator may be wrong"
    } else {
        ""
    };
    DataError::format(
        path.display(),
        format!(
            "there is no column {wanted:?}; the header has {}; set {setting} to one of them{hint}",
            found.join(", ")
        ),
    )
}

//! Names, tags, and the way to the trash and back.

use serde::Deserialize;

use super::records;
use super::run_state::Request;
use super::view::RunView;
use super::{Change, ConfigErrors, RunId, Studio, StudioError, no_run};

/// A wish to change how a run is called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunEdit {
    pub name: Option<String>,
    pub tags: Option<Vec<String>>,
}

const LONGEST_NAME: usize = 120;
const MOST_TAGS: usize = 20;

impl Studio {
    /// Changes the name or tags of a run.
    ///
    /// # Errors
    /// When there is no such run, or a text is too long.
    pub fn edit(&self, id: &RunId, edit: RunEdit) -> Result<RunView, StudioError> {
        let mut meta = self.readable(id)?.meta;
        if let Some(name) = edit.name {
            meta.name = line("name", &name)?;
        }
        if let Some(tags) = edit.tags {
            if tags.len() > MOST_TAGS {
                let message = format!("at most {MOST_TAGS} tags, got {}", tags.len());
                return Err(ConfigErrors::one("tags", message).into());
            }
            let tags = tags.iter().map(|tag| line("tags", tag));
            meta.tags = tags.collect::<Result<_, _>>()?;
        }
        self.data_dir.run(id).write_meta(&meta)?;
        self.live
            .update(id, &Change::default(), |record| record.meta = meta);
        self.run(id)
    }

    /// Moves a run to the trash.
    ///
    /// # Errors
    /// When there is no such run or it is active.
    pub fn delete(&self, id: &RunId) -> Result<(), StudioError> {
        let record = self.record(id)?;
        record.snapshot.state.decide(Request::Delete)?;
        let (from, to) = (
            self.data_dir.run(id),
            self.data_dir.trash().join(id.as_str()),
        );
        self.map_jobs.cancel_run(id, |_| true);
        std::fs::rename(from.path(), &to).map_err(StudioError::io(from.path()))?;
        self.live.remove(id);
        Ok(())
    }

    /// Takes a run out of the trash.
    ///
    /// # Errors
    /// When it is not there.
    pub fn restore(&self, id: &RunId) -> Result<RunView, StudioError> {
        let listed = RunId::of_directory(id.as_str()).ok_or_else(|| no_run(id))?;
        let from = self.data_dir.trash().join(listed.as_str());
        let to = self.data_dir.run(&listed);
        if to.path().exists() {
            return Err(StudioError::Conflict(format!(
                "run {id} is not in the trash"
            )));
        }
        if !from.is_dir() {
            return Err(no_run(id));
        }
        std::fs::rename(&from, to.path()).map_err(StudioError::io(&from))?;
        let record = records::load(&self.data_dir, &self.data_sets, listed);
        self.live.insert(record);
        self.run(id)
    }
}

/// A text that fits on one line.
pub(super) fn line(field: &str, text: &str) -> Result<String, ConfigErrors> {
    let text = text.trim();
    let fits = (1..=LONGEST_NAME).contains(&text.chars().count());
    if fits && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(ConfigErrors::one(
        field,
        format!("must be one line of 1 to {LONGEST_NAME} characters"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_line() {
        assert_eq!(line("name", "  a b ").expect("fits"), "a b");
        for text in ["", "  ", "a\nb", &"x".repeat(121)] {
            assert!(line("name", text).is_err(), "{text:?}");
        }
    }
}

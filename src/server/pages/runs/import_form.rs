//! The form that imports curves, with what was typed and what is wrong with it.

use protoclip::config::FieldError;

use crate::studio::CurveRequest;

#[derive(Debug)]
pub(super) struct ImportForm {
    pub(super) open: bool,
    pub(super) fields: [ImportField; 2],
}

#[derive(Debug)]
pub(super) struct ImportField {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) help: &'static str,
    pub(super) placeholder: &'static str,
    pub(super) value: String,
    pub(super) error: String,
}

impl ImportForm {
    pub(super) fn new(typed: &CurveRequest, errors: &[FieldError]) -> Self {
        let error = |name: &str| {
            let found = errors.iter().find(|error| error.field == name);
            found.map_or_else(String::new, |error| error.message.clone())
        };
        Self {
            open: !errors.is_empty(),
            fields: [
                ImportField {
                    name: "directory",
                    label: "Folder on this machine",
                    help: "A log directory as tensorboard --logdir takes it. Each folder with event files becomes a run.",
                    placeholder: "/home/me/logs",
                    value: typed.directory.clone(),
                    error: error("directory"),
                },
                ImportField {
                    name: "name",
                    label: "Name here",
                    help: "The folder's name when empty. Runs of folders below it have their path behind it.",
                    placeholder: "from the folder",
                    value: typed.name.clone(),
                    error: error("name"),
                },
            ],
        }
    }
}

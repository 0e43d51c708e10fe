//! What a new notebook can begin with: the notebooks that the program brings, and an empty one.

use serde::Serialize;

use super::super::ConfigErrors;

/// A notebook that the program brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NotebookTemplate {
    pub name: &'static str,
    pub title: &'static str,
    /// What it is for, in a sentence.
    pub about: &'static str,
    #[serde(skip)]
    pub text: &'static str,
}

pub(super) const ALL: &[NotebookTemplate] = &[
    NotebookTemplate {
        name: "look",
        title: "Look at a run",
        about: "Losses, prototypes, maps and gap of a run that you choose.",
        text: include_str!("templates/look.md"),
    },
    NotebookTemplate {
        name: "tour",
        title: "A tour of prototypes",
        about: "Trains a run on the built-in emoji and looks at what its prototypes hold.",
        text: include_str!("../../../docs/notebooks/tour.md"),
    },
    NotebookTemplate {
        name: "modality-gap",
        title: "Grouping under a growing modality gap",
        about: "CLIP, ProtoCLIP without back translation and ProtoCLIP, the gap moved by hand.",
        text: include_str!("../../../docs/notebooks/modality-gap.md"),
    },
    NotebookTemplate {
        name: "teacher-weight",
        title: "What the teacher's weight does",
        about: "Four runs with different weights of the external teacher, side by side.",
        text: include_str!("../../../docs/notebooks/teacher-weight.md"),
    },
];

/// The text of a template.
///
/// # Errors
/// When there is none with this name; names those that exist.
pub(super) fn text(name: &str) -> Result<&'static str, ConfigErrors> {
    let found = ALL.iter().find(|template| template.name == name);
    found.map(|template| template.text).ok_or_else(|| {
        let known: Vec<&str> = ALL.iter().map(|template| template.name).collect();
        let message = format!(
            "there is no template {name}; there are {}",
            known.join(", ")
        );
        ConfigErrors::one("template", message)
    })
}

/// A notebook with a title and nothing else.
pub(super) fn empty(name: &str) -> String {
    format!("---\nprotoclip: 1\ntitle: {name}\n---\n\n# {name}\n\n")
}

#[cfg(test)]
mod tests {
    use super::super::{Document, Plan};
    use super::*;

    #[test]
    fn every_template_is_a_notebook_without_problems() {
        for template in ALL {
            let document = Document::read(template.text);
            let front = document.front_matter().expect(template.name);
            assert_eq!(front.title, template.title);
            assert_eq!(Plan::of(&document).problems, [], "{}", template.name);
            assert!(document.cells().count() > 1, "{}", template.name);
        }
        assert!(text("none").is_err());
        assert!(Document::read(&empty("7")).front_matter().is_ok());
    }
}

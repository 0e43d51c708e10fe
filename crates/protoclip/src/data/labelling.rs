//! Classes of a label column, numbered in the order in which they are met.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::LabelColumn;

/// The classes of a label column while it is read.
#[derive(Debug, Default)]
pub(super) struct Classes {
    names: Vec<String>,
    index_of: FxHashMap<String, u32>,
    of_sample: Vec<u32>,
}

impl Classes {
    /// The number of a class, which is added when it is new. Blank text is the class of the
    /// unlabelled.
    pub(super) fn index(&mut self, text: &str) -> u32 {
        let name = match text.trim() {
            "" => LabelColumn::UNLABELLED,
            name => name,
        };
        if let Some(&index) = self.index_of.get(name) {
            return index;
        }
        let index = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.index_of.insert(name.to_owned(), index);
        index
    }

    /// The next sample has this class.
    pub(super) fn push(&mut self, class: u32) {
        self.of_sample.push(class);
    }

    /// The name of a class.
    pub(super) fn name(&self, class: u32) -> &str {
        self.names
            .get(class as usize)
            .map_or(LabelColumn::UNLABELLED, String::as_str)
    }

    pub(super) fn finish(self, name: &str) -> LabelColumn {
        LabelColumn {
            name: name.to_owned(),
            classes: self.names,
            of_sample: Arc::from(self.of_sample),
        }
    }
}

//! Many short texts in one piece of memory: their bytes and eight more each.

use super::SampleId;
use crate::tensor_file::{TensorFileReader, TensorFileWriter};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TextList {
    text: String,
    ends: Vec<u64>,
}

impl TextList {
    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len() as u64);
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text of a sample; empty where there is none.
    pub(super) fn get(&self, sample: SampleId) -> &str {
        let end = |sample: usize| self.ends.get(sample).map_or(0, |&end| end as usize);
        let sample = sample as usize;
        let start = sample.checked_sub(1).map_or(0, end);
        self.text.get(start..end(sample)).unwrap_or_default()
    }

    /// Adds the list to a file under a name.
    pub(super) fn write(&self, file: &mut TensorFileWriter, name: &str) {
        file.u8(name.to_owned(), self.text.as_bytes());
        file.u64(format!("{name}.end"), &self.ends);
    }

    /// # Errors
    /// When the file has no such list of texts.
    pub(super) fn read(file: &TensorFileReader<'_>, name: &str) -> Result<Self, String> {
        Ok(Self {
            text: String::from_utf8(file.u8(name)?).map_err(|e| e.to_string())?,
            ends: file.u64(&format!("{name}.end"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_by_their_number() {
        let mut list = TextList::default();
        for text in ["one", "", "drei é"] {
            list.push(text);
        }
        let all: Vec<&str> = (0..4).map(|n| list.get(n)).collect();
        assert_eq!((list.len(), all), (3, vec!["one", "", "drei é", ""]));
    }
}

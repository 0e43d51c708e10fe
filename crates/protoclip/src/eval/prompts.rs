//! What a class is called and the sentences it is put into: the text side of zero-shot classification.

use rustc_hash::FxHashMap;

/// Where the class name goes.
const PLACE: &str = "{}";

/// Sentences for pictures of any kind: photographs, drawings, symbols, close and far, good and bad.
const DEFAULT: [&str; 32] = [
    "{}",
    "a {}",
    "the {}",
    "a picture of a {}",
    "a picture of the {}",
    "a photo of a {}",
    "a photo of the {}",
    "a photo of one {}",
    "a photo of many {}",
    "a close photo of a {}",
    "a photo of a {} far away",
    "a small {}",
    "a large {}",
    "a blurred photo of a {}",
    "a dark photo of a {}",
    "a bright photo of a {}",
    "a cropped photo of a {}",
    "a black and white photo of a {}",
    "a photo of a {} from above",
    "a photo of a {} outdoors",
    "a photo of a {} indoors",
    "a drawing of a {}",
    "a sketch of a {}",
    "a painting of a {}",
    "a cartoon of a {}",
    "an illustration of a {}",
    "an icon of a {}",
    "a symbol of a {}",
    "clip art of a {}",
    "a computer drawing of a {}",
    "something that belongs to {}",
    "this is a {}",
];

/// Sentences with a place for the class name, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptTemplates {
    templates: Vec<String>,
}

/// Why a file of templates or class names cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    #[error("{origin}, line {line}: {text:?} has no {{}}; write {{}} where the class name goes")]
    NoPlace {
        origin: String,
        line: usize,
        text: String,
    },
    #[error("{origin}: there is no template; write one sentence with {{}} per line")]
    NoTemplate { origin: String },
    #[error(
        "{origin}: {found} class names, but the label column {column:?} has {wanted} classes; give one name per line in the order of the classes ({first}, …), or lines of label<TAB>name"
    )]
    Count {
        origin: String,
        found: usize,
        column: String,
        wanted: usize,
        first: String,
    },
    #[error(
        "{origin}, line {line}: the label column {column:?} has no class {label:?}; it has {known}"
    )]
    UnknownLabel {
        origin: String,
        line: usize,
        column: String,
        label: String,
        known: String,
    },
    #[error("{origin}, line {line}: {message}")]
    Line {
        origin: String,
        line: usize,
        message: String,
    },
    #[error(
        "{origin}: no line names the class {label:?} of the label column {column:?}; add {label}<TAB>name"
    )]
    Unnamed {
        origin: String,
        column: String,
        label: String,
    },
}

impl Default for PromptTemplates {
    /// The built-in sentences.
    fn default() -> Self {
        Self {
            templates: DEFAULT.map(str::to_owned).to_vec(),
        }
    }
}

impl PromptTemplates {
    /// One sentence alone, for when the built-in list would take too long.
    pub fn single() -> Self {
        Self {
            templates: vec!["a picture of a {}".to_owned()],
        }
    }

    /// Reads one sentence per line; empty lines and those that start with `#` are passed over.
    /// `origin` names the text in errors.
    ///
    /// # Errors
    /// Names the line without `{}`, or says that there is no line at all.
    pub fn parse(text: &str, origin: &str) -> Result<Self, PromptError> {
        let templates = lines(text)
            .map(|(line, text)| match text.contains(PLACE) {
                true => Ok(text.to_owned()),
                false => Err(PromptError::NoPlace {
                    origin: origin.to_owned(),
                    line,
                    text: text.chars().take(80).collect(),
                }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        if templates.is_empty() {
            return Err(PromptError::NoTemplate {
                origin: origin.to_owned(),
            });
        }
        Ok(Self { templates })
    }

    /// Number of sentences, at least 1.
    pub fn count(&self) -> usize {
        self.templates.len()
    }

    /// The sentences about one class.
    pub fn about<'a>(&'a self, class: &'a str) -> impl Iterator<Item = String> + 'a {
        self.templates
            .iter()
            .map(move |template| template.replace(PLACE, class))
    }
}

/// What a label is called in a sentence when nobody says otherwise: `_` becomes a space.
pub fn spoken_class(label: &str) -> String {
    label.replace('_', " ").trim().to_owned()
}

/// Reads the names of the classes of label column `column`: either one name per line in the order of
/// `labels`, or lines `label<TAB>name` in any order. Empty lines and those that start with `#` are
/// passed over. `origin` names the text in errors.
///
/// # Errors
/// When the number of names differs, a label is unknown, named twice or not at all.
pub fn parse_class_names(
    text: &str,
    origin: &str,
    column: &str,
    labels: &[String],
) -> Result<Vec<String>, PromptError> {
    let given: Vec<(usize, &str)> = lines(text).collect();
    if given.iter().any(|(_, text)| text.contains('\t')) {
        return names_by_label(&given, origin, column, labels);
    }
    if given.len() != labels.len() {
        return Err(PromptError::Count {
            origin: origin.to_owned(),
            found: given.len(),
            column: column.to_owned(),
            wanted: labels.len(),
            first: labels.first().cloned().unwrap_or_default(),
        });
    }
    Ok(given.iter().map(|(_, name)| (*name).to_owned()).collect())
}

fn names_by_label(
    given: &[(usize, &str)],
    origin: &str,
    column: &str,
    labels: &[String],
) -> Result<Vec<String>, PromptError> {
    let index: FxHashMap<&str, usize> = labels.iter().map(String::as_str).zip(0..).collect();
    let mut names = vec![None; labels.len()];
    for &(line, text) in given {
        let wrong = |message: &str| PromptError::Line {
            origin: origin.to_owned(),
            line,
            message: message.to_owned(),
        };
        let (label, name) = text
            .split_once('\t')
            .map(|(label, name)| (label.trim(), name.trim()))
            .filter(|(_, name)| !name.is_empty())
            .ok_or_else(|| wrong("write label<TAB>name, as on the other lines"))?;
        let &at = index.get(label).ok_or_else(|| PromptError::UnknownLabel {
            origin: origin.to_owned(),
            line,
            column: column.to_owned(),
            label: label.to_owned(),
            known: some_of(labels),
        })?;
        if names[at].replace(name.to_owned()).is_some() {
            return Err(wrong("this label was named before; keep one of the lines"));
        }
    }
    let unnamed = |(name, label): (Option<String>, &String)| {
        name.ok_or_else(|| PromptError::Unnamed {
            origin: origin.to_owned(),
            column: column.to_owned(),
            label: label.clone(),
        })
    };
    names.into_iter().zip(labels).map(unnamed).collect()
}

/// The first labels, for an error message.
fn some_of(labels: &[String]) -> String {
    const MOST: usize = 12;
    let mut shown: Vec<String> = labels.iter().take(MOST).map(|l| format!("{l:?}")).collect();
    if labels.len() > MOST {
        shown.push(format!("and {} more", labels.len() - MOST));
    }
    shown.join(", ")
}

/// Lines with something on them, trimmed, and their numbers from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..)
        .zip(text.trim_start_matches('\u{feff}').lines())
        .map(|(number, line)| (number, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<String> {
        ["n01", "n02", "n03"].map(str::to_owned).to_vec()
    }

    #[test]
    fn every_built_in_sentence_has_a_place_and_none_occurs_twice() {
        let templates = PromptTemplates::default();
        let mut sentences: Vec<String> = templates.about("fox").collect();
        assert!(sentences.iter().all(|s| s.contains("fox")));
        let count = sentences.len();
        sentences.sort();
        sentences.dedup();
        assert_eq!(sentences.len(), count);
    }

    #[test]
    fn a_template_without_a_place_is_named_with_its_line() {
        let parsed = PromptTemplates::parse("# mine\n\na {} here\r\n{}, {}\n", "t.txt");
        let about: Vec<String> = parsed.expect("reads").about("cat").collect();
        assert_eq!(about, ["a cat here", "cat, cat"]);
        let message = PromptTemplates::parse("a {}\n\na photo\n", "t.txt")
            .expect_err("no place")
            .to_string();
        assert!(message.contains("t.txt, line 3"), "{message}");
        assert!(message.contains("write {} where"), "{message}");
        assert!(PromptTemplates::parse("\n# {}\n", "t.txt").is_err());
    }

    #[test]
    fn names_come_in_order_or_by_label() {
        let read = |text| parse_class_names(text, "c.txt", "kind", &labels());
        assert_eq!(read("fox\nowl\nelk\n").expect("reads")[1], "owl");
        let by_label = read("n03\telk\nn01\tfox\n# x\nn02\tsnowy owl\n").expect("reads");
        assert_eq!(by_label, ["fox", "snowy owl", "elk"]);
    }

    #[test]
    fn names_that_do_not_fit_say_what_to_change() {
        let error = |text| {
            parse_class_names(text, "c.txt", "kind", &labels())
                .expect_err("refused")
                .to_string()
        };
        for (text, parts) in [
            ("fox\nowl\n", ["2 class names", "3 classes"]),
            ("n01\tfox\nn09\towl\n", ["line 2", "n09"]),
            ("n01\tfox\nn01\towl\n", ["line 2", "before"]),
            ("n01\tfox\nowl\n", ["line 2", "label<TAB>name"]),
            ("n01\tfox\nn03\towl\n", ["n02", "add"]),
        ] {
            let message = error(text);
            for part in parts {
                assert!(message.contains(part), "{part:?} is not in {message}");
            }
        }
    }

    #[test]
    fn labels_are_spoken_without_underscores() {
        assert_eq!(spoken_class("red_fox"), "red fox");
    }
}

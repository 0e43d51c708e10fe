//! One cell of a notebook: its id, its type, its keys, and the cells that it refers to.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Map, Value};

use super::{CellText, Problem};

/// Problems of one cell that are told.
pub(super) const MOST_PROBLEMS: usize = 20;

/// What a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CellKind {
    Control,
    Run,
    Plot,
    Prototypes,
    Space,
    Gap,
    Compare,
    Evaluate,
    Query,
}

/// When a cell does its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CellClass {
    /// By itself, whenever what it shows changes.
    View,
    /// On demand; it becomes stale when what it depends on changes.
    Compute,
    /// Only when a person says so; it is logged.
    Effect,
}

/// `${cell}` or `${cell.field}` in a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    pub cell: String,
    pub field: Option<String>,
}

/// A cell that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    pub id: String,
    pub kind: CellKind,
    pub line: usize,
    /// Keys and values as written; references are not replaced.
    pub values: Map<String, Value>,
}

impl CellKind {
    pub const ALL: [Self; 9] = [
        Self::Control,
        Self::Run,
        Self::Plot,
        Self::Prototypes,
        Self::Space,
        Self::Gap,
        Self::Compare,
        Self::Evaluate,
        Self::Query,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Run => "run",
            Self::Plot => "plot",
            Self::Prototypes => "prototypes",
            Self::Space => "space",
            Self::Gap => "gap",
            Self::Compare => "compare",
            Self::Evaluate => "evaluate",
            Self::Query => "query",
        }
    }

    /// The keys that a cell of this kind may have.
    pub const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Control => &["label", "kind", "value", "min", "max", "step", "choices"],
            Self::Run => &[
                "action", "run", "preset", "name", "config", "step", "episodes", "controls", "wait",
            ],
            Self::Plot => &[
                "title", "run", "runs", "metric", "metrics", "smooth", "axis", "from", "to",
            ],
            Self::Prototypes => &["title", "run", "step", "space", "sort", "query", "count"],
            Self::Space => &["title", "run", "step", "space", "method", "features"],
            Self::Gap => &[
                "title", "run", "runs", "step", "shift", "shifts", "measures",
            ],
            Self::Compare => &["title", "runs", "metrics", "axis", "of"],
            Self::Evaluate => &["title", "run", "step", "data", "probe"],
            Self::Query => &["title", "run", "runs", "sql", "limit"],
        }
    }
}

impl Cell {
    /// Understands a cell.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    pub fn read(text: &CellText) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let header = Header::read(text, &mut problems);
        let values = read_values(text, header.id.as_deref(), &mut problems);
        let problem = |line, message| Problem {
            line,
            cell: header.id.clone(),
            message,
        };
        if let Some(kind) = header.kind {
            let unknown = values
                .keys()
                .filter(|key| !kind.keys().contains(&key.as_str()));
            for key in unknown.take(MOST_PROBLEMS) {
                let known = kind.keys().join(", ");
                let name = kind.name();
                problems.push(problem(
                    text.line + 1 + line_of_key(&text.body, key),
                    format!("a {name} cell has no key {key:?}; it has {known}"),
                ));
            }
        }
        problems.truncate(MOST_PROBLEMS);
        match (header.id.clone(), header.kind, problems.is_empty()) {
            (Some(id), Some(kind), true) => Ok(Self {
                id,
                kind,
                line: text.line,
                values,
            }),
            _ => Err(problems),
        }
    }

    /// When it does its work.
    pub fn class(&self) -> CellClass {
        let has = |key: &str| self.values.contains_key(key);
        match self.kind {
            CellKind::Control
            | CellKind::Plot
            | CellKind::Prototypes
            | CellKind::Compare
            | CellKind::Query => CellClass::View,
            // One shift takes tens of milliseconds, a list of them does not.
            CellKind::Gap if !has("shifts") => CellClass::View,
            CellKind::Gap | CellKind::Space | CellKind::Evaluate => CellClass::Compute,
            CellKind::Run => match self.values.get("action").and_then(Value::as_str) {
                Some("show") => CellClass::View,
                _ => CellClass::Effect,
            },
        }
    }

    /// What its values refer to, each once, in order of appearance.
    pub fn references(&self) -> Vec<Reference> {
        let mut found = Vec::new();
        for value in self.values.values() {
            collect_references(value, &mut found);
        }
        let mut seen = BTreeSet::new();
        found.retain(|reference| seen.insert(reference.clone()));
        found
    }
}

struct Header {
    id: Option<String>,
    kind: Option<CellKind>,
}

impl Header {
    fn read(text: &CellText, problems: &mut Vec<Problem>) -> Self {
        let mut header = Self {
            id: None,
            kind: None,
        };
        let mut complain = |message: String| {
            problems.push(Problem {
                line: text.line,
                cell: None,
                message,
            });
        };
        let (mut ids, mut kinds) = (0, 0);
        for word in text.info().split_ascii_whitespace().skip(2) {
            match word.split_once('=') {
                Some(("id", id)) if is_id(id) => {
                    ids += 1;
                    header.id = Some(id.to_owned());
                }
                Some(("id", id)) => {
                    ids += 1;
                    complain(format!(
                        "id={id} is no id: a letter, then letters, digits, - and _"
                    ));
                }
                Some(("type", name)) => {
                    kinds += 1;
                    header.kind = CellKind::ALL.into_iter().find(|kind| kind.name() == name);
                    if header.kind.is_none() {
                        let known = CellKind::ALL.map(CellKind::name).join(", ");
                        complain(format!("there is no cell type {name}; there are {known}"));
                    }
                }
                _ => complain(format!(
                    "{word:?} in the cell's first line means nothing; write id=NAME type=TYPE"
                )),
            }
        }
        if ids != 1 {
            complain("a cell has one id=NAME in its first line".into());
        }
        if kinds != 1 {
            complain("a cell has one type=TYPE in its first line".into());
        }
        header
    }
}

fn is_id(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

fn read_values(
    text: &CellText,
    id: Option<&str>,
    problems: &mut Vec<Problem>,
) -> Map<String, Value> {
    if text.body.trim().is_empty() {
        return Map::new();
    }
    match serde_saphyr::from_str(&text.body) {
        Ok(values) => values,
        Err(error) => {
            let within = error.location().map_or(1, |place| place.line() as usize);
            problems.push(Problem {
                line: text.line + within,
                cell: id.map(str::to_owned),
                message: format!(
                    "the cell is no YAML of keys and values: {}",
                    brief(&error.to_string())
                ),
            });
            Map::new()
        }
    }
}

/// The first line of a message that may draw the source.
fn brief(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

/// Line of a top-level key in a body, from 0; 0 when it is not at the start of a line.
fn line_of_key(body: &str, key: &str) -> usize {
    let starts = |line: &str| {
        let line = line.trim_start_matches(['"', '\'']);
        let rest = line
            .strip_prefix(key)
            .map(|rest| rest.trim_start_matches(['"', '\'']));
        rest.is_some_and(|rest| rest.trim_start().starts_with(':'))
    };
    body.lines().position(starts).unwrap_or(0)
}

fn collect_references(value: &Value, found: &mut Vec<Reference>) {
    match value {
        Value::String(text) => found.extend(references_in(text).into_iter().map(|(_, r)| r)),
        Value::Array(values) => values.iter().for_each(|v| collect_references(v, found)),
        Value::Object(values) => values.values().for_each(|v| collect_references(v, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => (),
    }
}

/// The references of a text, each with its place in bytes; `$${` stands for the characters `${` and
/// refers to nothing.
pub(super) fn references_in(text: &str) -> Vec<(Range<usize>, Reference)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("${").map(|at| from + at) {
        if text[..at].ends_with('$') {
            from = at + 2;
            continue;
        }
        let Some(length) = text[at + 2..].find('}') else {
            break;
        };
        let inside = &text[at + 2..at + 2 + length];
        let end = at + length + 3;
        let (cell, field) = match inside.split_once('.') {
            Some((cell, field)) => (cell, Some(field.trim().to_owned())),
            None => (inside, None),
        };
        let cell = cell.trim().to_owned();
        found.push((at..end, Reference { cell, field }));
        from = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::Document;
    use super::*;

    fn read(info: &str, body: &str) -> Result<Cell, Vec<Problem>> {
        let text = format!("prose\n```yaml protoclip {info}\n{body}```\n");
        let document = Document::read(&text);
        Cell::read(document.cells().next().expect("a cell"))
    }

    fn problem(info: &str, body: &str) -> (usize, String) {
        let found = read(info, body).expect_err("wrong");
        (found[0].line, found[0].message.clone())
    }

    #[test]
    fn a_cell_has_an_id_a_type_and_values() {
        let cell = read(
            "id=gap type=plot",
            "metric: eval/modality_gap\nsmooth: 0.5\nruns: [a, b]\n",
        );
        let cell = cell.expect("reads");
        assert_eq!(
            (cell.id.as_str(), cell.kind, cell.line),
            ("gap", CellKind::Plot, 2)
        );
        assert_eq!(cell.values["smooth"], 0.5);
        assert_eq!(cell.values["runs"], serde_json::json!(["a", "b"]));
        assert!(
            read("id=c type=control", "")
                .expect("reads")
                .values
                .is_empty()
        );
    }

    #[test]
    fn what_is_wrong_names_the_line_and_the_fix() {
        let wrong = [
            ("type=plot", "", 2, "one id=NAME"),
            ("id=1 type=plot", "", 2, "is no id"),
            ("id=a", "", 2, "one type=TYPE"),
            ("id=a type=movie", "", 2, "no cell type movie"),
            ("id=a type=plot loud", "", 2, "means nothing"),
            ("id=a id=b type=plot", "", 2, "one id=NAME"),
            (
                "id=a type=plot",
                "metric: x\n\nspeed: 3\n",
                5,
                "no key \"speed\"",
            ),
            ("id=a type=plot", "metric: x\n  bad: [\n", 4, "no YAML"),
            ("id=a type=plot", "- a\n", 3, "no YAML"),
        ];
        for (info, body, line, part) in wrong {
            let (at, message) = problem(info, body);
            assert!(message.contains(part), "{info} {body}: {message}");
            assert_eq!(at, line, "{info} {body}: {message}");
        }
    }

    #[test]
    fn references_are_found_in_every_value_once() {
        let body =
            "run: ${start.id}\nmetrics: [\"${k}\", \"a ${start.id} b $${no} ${\"]\nsmooth: 1\n";
        let cell = read("id=a type=plot", body).expect("reads");
        let reference = |cell: &str, field: Option<&str>| Reference {
            cell: cell.into(),
            field: field.map(str::to_owned),
        };
        let mut found = cell.references();
        found.sort();
        assert_eq!(
            found,
            [reference("k", None), reference("start", Some("id"))]
        );
    }
}

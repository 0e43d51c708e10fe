//! A notebook file as prose and cells. Every byte is kept: what is read is what is written, and an
//! edit changes the cell that it means and nothing else.
//!
//! A cell is a fenced code block (CommonMark 0.31, section 4.5) at the top level of the document whose
//! info string begins with `yaml protoclip`. Other fenced blocks are prose, whatever they contain.

use std::fmt;

use serde::Deserialize;

use super::Problem;

/// A notebook file in pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    parts: Vec<Part>,
}

/// A piece of a notebook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The lines between `---` at the top, with them.
    Front(String),
    Prose(String),
    Cell(CellText),
}

/// A fenced cell as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellText {
    /// The line that opens the fence, with its end.
    pub open: String,
    /// The lines inside, each with its end.
    pub body: String,
    /// The line that closes the fence, with its end; empty when the file ends first.
    pub close: String,
    /// Line of `open` in the file, from 1.
    pub line: usize,
}

/// What stands at the top of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct FrontMatter {
    /// Version of the format; 1.
    #[serde(default)]
    pub protoclip: u32,
    #[serde(default)]
    pub title: String,
    /// Runs that the notebook is about.
    #[serde(default)]
    pub runs: Vec<String>,
}

/// The version of the format that this program writes.
pub(super) const VERSION: u32 = 1;
/// First words of a cell's info string.
const MARK: [&str; 2] = ["yaml", "protoclip"];

/// An open fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fence {
    sign: char,
    length: usize,
}

impl Document {
    /// Splits a file. Never fails: what is no cell is prose.
    pub fn read(text: &str) -> Self {
        let mut reader = Reader::default();
        let rest = reader.front(text);
        for line in rest.split_inclusive('\n') {
            reader.take(line);
        }
        reader.end();
        Self {
            parts: reader.parts,
        }
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The cells in the order of the file.
    pub fn cells(&self) -> impl Iterator<Item = &CellText> {
        self.parts.iter().filter_map(|part| match part {
            Part::Cell(cell) => Some(cell),
            Part::Front(_) | Part::Prose(_) => None,
        })
    }

    /// What stands at the top.
    ///
    /// # Errors
    /// When it is no YAML, or of a version that this program does not know.
    pub fn front_matter(&self) -> Result<FrontMatter, Problem> {
        let problem = |line, message: String| Problem {
            line,
            cell: None,
            message,
        };
        let Some(Part::Front(text)) = self.parts.first() else {
            return Err(problem(
                1,
                "the file does not begin with ---, protoclip: 1, ---".into(),
            ));
        };
        let inside: String = text
            .split_inclusive('\n')
            .skip(1)
            .take_while(|line| !is_front_end(line))
            .collect();
        let found: FrontMatter = serde_saphyr::from_str(&inside)
            .map_err(|error| problem(2, format!("the lines between --- are no YAML: {error}")))?;
        match found.protoclip {
            VERSION => Ok(found),
            other => Err(problem(
                2,
                format!(
                    "protoclip: {other} is a version of the format that this program does not know; it knows {VERSION}"
                ),
            )),
        }
    }

    /// Replaces the lines inside the `at`-th cell. A missing end of line is added.
    ///
    /// # Errors
    /// When there is no such cell, or a line of the new text would close the fence.
    pub fn set_body(&mut self, at: usize, body: &str) -> Result<(), Problem> {
        let cell = self.cell_mut(at)?;
        let problem = |message: &str| Problem {
            line: cell.line,
            cell: None,
            message: message.into(),
        };
        let fence = Fence::opening(&cell.open).ok_or_else(|| problem("the cell has no fence"))?;
        if body.lines().any(|line| fence.closes(line)) {
            return Err(problem("a line of the new text would end the cell"));
        }
        let mut body = body.to_owned();
        if !body.is_empty() && !body.ends_with('\n') {
            body.push_str(line_end(&cell.open));
        }
        cell.body = body;
        self.number();
        Ok(())
    }

    /// Puts a cell with this info string and body before the `at`-th part; at the end when there are
    /// fewer. The fence is longer than any in the body.
    pub fn insert_cell(&mut self, at: usize, info: &str, body: &str) {
        let longest = body
            .lines()
            .filter_map(|line| Fence::opening(line).map(|fence| fence.length))
            .max()
            .unwrap_or(2);
        let fence = "`".repeat(3.max(longest + 1));
        let mut body = body.to_owned();
        if !body.is_empty() && !body.ends_with('\n') {
            body.push('\n');
        }
        let at = at.min(self.parts.len());
        if let Some(before) = at.checked_sub(1).and_then(|i| self.parts.get_mut(i)) {
            before.end_line();
        }
        let cell = CellText {
            open: format!("{fence}{}\n", info.lines().next().unwrap_or_default()),
            body,
            close: format!("{fence}\n"),
            line: 0,
        };
        self.parts.insert(at, Part::Cell(cell));
        self.number();
    }

    /// Takes a part out; `None` when there is none at that place.
    pub fn remove(&mut self, at: usize) -> Option<Part> {
        let taken = (at < self.parts.len()).then(|| self.parts.remove(at));
        self.number();
        taken
    }

    /// Moves a part to another place; out of range changes nothing. The front stays first.
    pub fn move_part(&mut self, from: usize, to: usize) {
        let count = self.parts.len();
        let front = usize::from(matches!(self.parts.first(), Some(Part::Front(_))));
        if from >= count || to >= count || from < front || to < front {
            return;
        }
        for part in &mut self.parts {
            part.end_line();
        }
        let part = self.parts.remove(from);
        self.parts.insert(to, part);
        self.number();
    }

    fn cell_mut(&mut self, at: usize) -> Result<&mut CellText, Problem> {
        let cells = self.parts.iter_mut().filter_map(|part| match part {
            Part::Cell(cell) => Some(cell),
            Part::Front(_) | Part::Prose(_) => None,
        });
        let mut cells = cells;
        cells.nth(at).ok_or_else(|| Problem {
            line: 1,
            cell: None,
            message: format!("there is no cell number {}", at + 1),
        })
    }

    /// Gives every cell its line in the file.
    fn number(&mut self) {
        let mut line = 1;
        for part in &mut self.parts {
            if let Part::Cell(cell) = part {
                cell.line = line;
            }
            line += part.to_string().matches('\n').count();
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| write!(f, "{part}"))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Front(text) | Self::Prose(text) => f.write_str(text),
            Self::Cell(cell) => write!(f, "{}{}{}", cell.open, cell.body, cell.close),
        }
    }
}

impl Part {
    /// Ends the last line, so that something can follow; an unclosed fence is closed.
    fn end_line(&mut self) {
        match self {
            Self::Front(text) | Self::Prose(text) => {
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push('\n');
                }
            }
            Self::Cell(cell) => {
                for text in [&mut cell.open, &mut cell.body] {
                    if !text.is_empty() && !text.ends_with('\n') {
                        text.push('\n');
                    }
                }
                if let (true, Some(fence)) = (cell.close.is_empty(), Fence::opening(&cell.open)) {
                    cell.close = fence.sign.to_string().repeat(fence.length);
                }
                if !cell.close.ends_with('\n') {
                    cell.close.push('\n');
                }
            }
        }
    }
}

impl CellText {
    /// What follows the fence on its line.
    pub fn info(&self) -> &str {
        let line = trimmed_end(&self.open).trim_start_matches(' ');
        line.trim_start_matches(['`', '~']).trim()
    }
}

impl Fence {
    /// The fence that a line opens.
    fn opening(line: &str) -> Option<Self> {
        let line = trimmed_end(line);
        let unindented = line.trim_start_matches(' ');
        if line.len() - unindented.len() > 3 {
            return None;
        }
        let sign = unindented
            .chars()
            .next()
            .filter(|c| matches!(c, '`' | '~'))?;
        let info = unindented.trim_start_matches(sign);
        let length = unindented.len() - info.len();
        // A backtick in the info string makes it a code span.
        (length >= 3 && !(sign == '`' && info.contains('`'))).then_some(Self { sign, length })
    }

    /// Whether a line closes this fence.
    fn closes(self, line: &str) -> bool {
        let line = trimmed_end(line);
        let unindented = line.trim_start_matches(' ');
        let rest = unindented.trim_start_matches(self.sign);
        line.len() - unindented.len() <= 3
            && unindented.len() - rest.len() >= self.length
            && rest.chars().all(|c| matches!(c, ' ' | '\t'))
    }
}

fn is_cell(open: &str) -> bool {
    let cell = CellText {
        open: open.to_owned(),
        body: String::new(),
        close: String::new(),
        line: 0,
    };
    let mut words = cell.info().split_ascii_whitespace();
    MARK.into_iter().all(|word| words.next() == Some(word))
}

fn is_front_end(line: &str) -> bool {
    matches!(trimmed_end(line).trim_end(), "---" | "...")
}

fn trimmed_end(line: &str) -> &str {
    line.trim_end_matches(['\n', '\r'])
}

fn line_end(line: &str) -> &'static str {
    if line.ends_with("\r\n") { "\r\n" } else { "\n" }
}

/// What has been read so far.
#[derive(Debug, Default)]
struct Reader {
    parts: Vec<Part>,
    prose: String,
    /// The fence that is open, and its cell if it is one.
    open: Option<(Fence, Option<CellText>)>,
    lines: usize,
}

impl Reader {
    /// Takes the front matter, if the text begins with one; the rest.
    fn front<'a>(&mut self, text: &'a str) -> &'a str {
        let mut lines = text.split_inclusive('\n');
        let Some(first) = lines
            .next()
            .filter(|line| trimmed_end(line).trim_end() == "---")
        else {
            return text;
        };
        let mut length = first.len();
        for line in lines {
            length += line.len();
            if is_front_end(line) {
                let front = &text[..length];
                self.lines = front.matches('\n').count();
                self.parts.push(Part::Front(front.to_owned()));
                return &text[length..];
            }
        }
        text
    }

    fn take(&mut self, line: &str) {
        self.lines += 1;
        let Some((fence, cell)) = &mut self.open else {
            self.begin(line);
            return;
        };
        let closed = fence.closes(line);
        match cell {
            Some(cell) if closed => cell.close = line.to_owned(),
            Some(cell) => cell.body.push_str(line),
            None => self.prose.push_str(line),
        }
        if closed {
            self.end_fence();
        }
    }

    fn begin(&mut self, line: &str) {
        let fence = Fence::opening(line);
        let Some(fence) = fence else {
            self.prose.push_str(line);
            return;
        };
        if !is_cell(line) {
            self.prose.push_str(line);
            self.open = Some((fence, None));
            return;
        }
        self.end_prose();
        let cell = CellText {
            open: line.to_owned(),
            body: String::new(),
            close: String::new(),
            line: self.lines,
        };
        self.open = Some((fence, Some(cell)));
    }

    fn end_fence(&mut self) {
        if let Some((_, Some(cell))) = self.open.take() {
            self.parts.push(Part::Cell(cell));
        }
    }

    fn end_prose(&mut self) {
        if !self.prose.is_empty() {
            self.parts
                .push(Part::Prose(std::mem::take(&mut self.prose)));
        }
    }

    fn end(&mut self) {
        self.end_fence();
        self.end_prose();
    }
}

#[cfg(test)]
mod tests;

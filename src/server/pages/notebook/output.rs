//! What a cell showed last, as the page writes it.

use super::super::figures::grouped;
use crate::studio::notebooks::{Block, CellOutput, Provenance, Table};

#[derive(Debug)]
pub(super) struct Output {
    /// Empty when it has a result.
    pub(super) error: String,
    pub(super) blocks: Vec<BlockView>,
    pub(super) has_figure: bool,
    pub(super) sources: Vec<Source>,
    pub(super) links: Vec<Link>,
}

#[derive(Debug)]
pub(super) enum BlockView {
    Figure(FigureView),
    Table(TableView),
    Text(String),
}

#[derive(Debug)]
pub(super) struct FigureView {
    pub(super) src: String,
    pub(super) alt: String,
    pub(super) width: u32,
    pub(super) height: u32,
}

#[derive(Debug)]
pub(super) struct TableView {
    /// Its place among the tables of the cell.
    pub(super) number: usize,
    pub(super) title: String,
    /// Its name for those who cannot see it.
    pub(super) label: String,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<Value>>,
    pub(super) note: String,
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) numeric: bool,
}

#[derive(Debug)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) numeric: bool,
}

/// Where a result comes from.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) run: String,
    pub(super) name: String,
    pub(super) step: String,
    pub(super) hash: String,
    pub(super) short: String,
    /// ` of step 8`, when the checkpoint is of another step.
    pub(super) of_step: String,
    /// Empty when it is not known.
    pub(super) seed: String,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) label: String,
    pub(super) href: String,
}

/// Characters of a hash that are shown.
const SHORT_HASH: usize = 12;

impl Output {
    pub(super) fn of(notebook: &str, cell: &str, output: CellOutput) -> Self {
        let mut tables = 0;
        let blocks: Vec<BlockView> = output
            .blocks
            .into_iter()
            .map(|block| match block {
                Block::Figure {
                    blob,
                    alt,
                    width,
                    height,
                } => BlockView::Figure(FigureView {
                    src: format!("/api/notebooks/{notebook}/blobs/{blob}"),
                    alt,
                    width,
                    height,
                }),
                Block::Table(table) => {
                    tables += 1;
                    BlockView::Table(TableView::of(cell, tables - 1, table))
                }
                Block::Text { text } => BlockView::Text(text),
            })
            .collect();
        let links = output.links.into_iter();
        Self {
            error: output.error.unwrap_or_default(),
            has_figure: blocks.iter().any(|b| matches!(b, BlockView::Figure(_))),
            blocks,
            sources: output.provenance.into_iter().map(Source::of).collect(),
            // Outputs are files: only pages of this studio become links.
            links: links
                .filter(|link| link.href.starts_with('/') && !link.href.starts_with("//"))
                .map(|link| Link {
                    label: link.label,
                    href: link.href,
                })
                .collect(),
        }
    }
}

impl TableView {
    fn of(cell: &str, number: usize, table: Table) -> Self {
        let numeric: Vec<bool> = (0..table.columns.len())
            .map(|at| is_numeric(&table.rows, at))
            .collect();
        let is_numeric = |at: usize| numeric.get(at).copied().unwrap_or_default();
        let label = if table.title.is_empty() {
            format!("Table of {cell}")
        } else {
            table.title.clone()
        };
        let column = |(at, name)| Column {
            name,
            numeric: is_numeric(at),
        };
        let value = |(at, text)| Value {
            text,
            numeric: is_numeric(at),
        };
        Self {
            number,
            label,
            title: table.title,
            columns: table.columns.into_iter().enumerate().map(column).collect(),
            rows: table
                .rows
                .into_iter()
                .map(|row| row.into_iter().enumerate().map(value).collect())
                .collect(),
            note: table.note.unwrap_or_default(),
        }
    }
}

/// Whether a column holds numbers and nothing else.
fn is_numeric(rows: &[Vec<String>], at: usize) -> bool {
    let mut values = rows
        .iter()
        .filter_map(|row| row.get(at))
        .filter(|v| !v.is_empty());
    let plain = |value: &String| value.replace(['\u{202f}', '−'], "").parse::<f64>().is_ok();
    values.clone().next().is_some() && values.all(plain)
}

impl Source {
    fn of(source: Provenance) -> Self {
        let (hash, of_step) = match source.checkpoint {
            Some(mark) if mark.step == source.step => (mark.hash, String::new()),
            Some(mark) => (mark.hash, format!(" of step {}", grouped(mark.step))),
            None => (String::new(), String::new()),
        };
        Self {
            run: source.run.to_string(),
            name: source.name,
            step: grouped(source.step),
            short: hash.chars().take(SHORT_HASH).collect(),
            hash,
            of_step,
            seed: source
                .seed
                .map_or_else(String::new, |seed| seed.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_numbers_are_set_as_numbers() {
        let rows: Vec<Vec<String>> = [["a", "1.5", ""], ["b", "−2", ""]]
            .iter()
            .map(|row| row.map(str::to_owned).to_vec())
            .collect();
        assert_eq!(
            [0, 1, 2].map(|at| is_numeric(&rows, at)),
            [false, true, false]
        );
    }

    #[test]
    fn links_that_leave_the_studio_are_left_out() {
        let link = |href: &str| serde_json::json!({"label": "x", "href": href});
        let output = serde_json::json!({
            "key": "", "hash": "", "computed": 0, "seconds": 0.0, "summary": "",
            "links": [link("/runs/a"), link("//evil.example"), link("javascript:alert(1)")],
        });
        let output = serde_json::from_value(output).expect("an output");
        let shown = Output::of("n", "c", output);
        assert_eq!(shown.links.len(), 1);
        assert_eq!(shown.links[0].href, "/runs/a");
    }
}

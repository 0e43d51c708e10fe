//! Markdown with the outputs behind their cells; figures lie in a folder beside the text.

use super::super::super::StudioError;
use super::super::document::Part;
use super::super::output::{Block, CellOutput, Table};
use super::{Exported, ExportedFile, ShownCell};

pub(super) fn write(exported: &Exported) -> Result<Vec<ExportedFile>, StudioError> {
    let folder = format!("{}_files", exported.stem);
    let mut text = String::new();
    let mut files = Vec::new();
    let mut cells = exported.cells.iter();
    for part in exported.document.parts() {
        text.push_str(&part.to_string());
        if !matches!(part, Part::Cell(_)) {
            continue;
        }
        if let Some(shown) = cells.next() {
            end_line(&mut text);
            result(&mut text, exported, shown, (&folder, &mut files))?;
        }
    }
    files.insert(
        0,
        ExportedFile {
            name: format!("{}.md", exported.stem),
            bytes: text.into_bytes(),
        },
    );
    Ok(files)
}

fn end_line(text: &mut String) {
    if !text.ends_with('\n') {
        text.push('\n');
    }
}

fn result(
    text: &mut String,
    exported: &Exported,
    shown: &ShownCell,
    into: (&str, &mut Vec<ExportedFile>),
) -> Result<(), StudioError> {
    if let Some((label, value)) = &shown.control {
        text.push_str(&format!("\n**{}**: {}\n", literal(label), literal(value)));
    }
    if let Some(remark) = &shown.remark {
        text.push_str(&format!("\n*{}*\n", literal(remark)));
    }
    match &shown.output {
        Some(output) => blocks(text, exported, output, into),
        None => Ok(()),
    }
}

fn blocks(
    text: &mut String,
    exported: &Exported,
    output: &CellOutput,
    (folder, files): (&str, &mut Vec<ExportedFile>),
) -> Result<(), StudioError> {
    if let Some(error) = &output.error {
        text.push_str(&format!("\n> **Error:** {}\n", literal(error)));
    }
    for block in &output.blocks {
        match block {
            Block::Figure { blob, alt, .. } => {
                let name = format!("{folder}/{}.svg", &blob[..16.min(blob.len())]);
                text.push_str(&format!("\n![{}]({name})\n", literal(alt)));
                if files.iter().all(|file| file.name != name) {
                    let bytes = exported.store.figure(blob)?;
                    files.push(ExportedFile { name, bytes });
                }
            }
            Block::Table(rows) => text.push_str(&table(rows)),
            Block::Text { text: told } => text.push_str(&format!("\n{}\n", literal(told))),
        }
    }
    for origin in &output.provenance {
        text.push_str(&format!("\n<sub>{}</sub>\n", literal(&origin.line())));
    }
    Ok(())
}

fn table(table: &Table) -> String {
    let mut text = String::from("\n");
    if !table.title.is_empty() {
        text.push_str(&format!("**{}**\n\n", literal(&table.title)));
    }
    let line = |values: &[String]| {
        let cells: Vec<String> = values.iter().map(|value| literal(value)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    text.push_str(&line(&table.columns));
    text.push_str(&format!("|{}\n", " --- |".repeat(table.columns.len())));
    for row in &table.rows {
        text.push_str(&line(row));
    }
    if let Some(note) = &table.note {
        text.push_str(&format!("\n*{}*\n", literal(note)));
    }
    text
}

/// A text that Markdown shows as it is, on one line.
fn literal(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => written.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '&' | '!' | '#' | '~' | '$' => {
                written.push('\\');
                written.push(c);
            }
            other => written.push(other),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use pulldown_cmark::{Event, Parser};

    use super::*;

    #[test]
    fn texts_are_shown_as_they_are() {
        for text in [
            "a*b*_c_",
            "[x](javascript:1)",
            "<script>",
            "a|b",
            "# h",
            "`c`",
            "&amp;",
            "![i](x)",
        ] {
            let shown: String = Parser::new(&literal(text))
                .filter_map(|event| match event {
                    Event::Text(part) => Some(part.to_string()),
                    Event::Start(_) | Event::End(_) => None,
                    other => panic!("{text}: {other:?}"),
                })
                .collect();
            assert_eq!(shown, text);
        }
    }
}

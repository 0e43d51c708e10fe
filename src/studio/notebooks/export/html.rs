//! One HTML file that opens from disk: figures inside, no script, no request to anywhere, which its
//! own Content-Security-Policy enforces.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::super::super::StudioError;
use super::super::CellText;
use super::super::markdown::{Pictures, prose_html};
use super::super::output::{Block, CellOutput, Table};
use super::{Exported, Piece, ShownCell};

const STYLE: &str = include_str!("notebook.css");

pub(super) fn write(exported: &Exported) -> Result<String, StudioError> {
    let mut page = head(&exported.title);
    for piece in exported.pieces() {
        match piece {
            Piece::Prose(text) => page.push_str(&prose_html(text, Pictures::None)),
            Piece::Cell(text, shown) => cell(&mut page, exported, text, shown)?,
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    page.push_str(&format!(
        "</main>\n<footer><p>Written by protoclip-studio {version}. This file needs no network and runs no script.</p></footer>\n</body>\n</html>\n"
    ));
    Ok(page)
}

fn head(title: &str) -> String {
    let style_hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; base-uri 'none'; form-action 'none'"
    );
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n",
        escaped(title)
    )
}

fn cell(
    page: &mut String,
    exported: &Exported,
    text: &CellText,
    shown: &ShownCell,
) -> Result<(), StudioError> {
    let id = shown.id.as_deref().unwrap_or_default();
    let label = if id.is_empty() { "Cell" } else { id };
    page.push_str(&format!(
        "<section class=\"cell\" id=\"cell-{id}\" aria-label=\"Cell {}\">\n",
        escaped(label)
    ));
    if let Some((label, value)) = &shown.control {
        page.push_str(&format!(
            "<p class=\"control\"><span>{}</span> <output>{}</output></p>\n",
            escaped(label),
            escaped(value)
        ));
    }
    if let Some(remark) = &shown.remark {
        page.push_str(&format!("<p class=\"remark\">{}</p>\n", escaped(remark)));
    }
    if let Some(found) = &shown.output {
        output(page, exported, found)?;
    }
    page.push_str(&format!(
        "<details><summary>{}</summary><pre>{}</pre></details>\n</section>\n",
        escaped(text.info()),
        escaped(&text.body)
    ));
    Ok(())
}

fn output(page: &mut String, exported: &Exported, found: &CellOutput) -> Result<(), StudioError> {
    if let Some(error) = &found.error {
        page.push_str(&format!("<p class=\"error\">{}</p>\n", escaped(error)));
    }
    for block in &found.blocks {
        match block {
            Block::Figure {
                blob,
                alt,
                width,
                height,
            } => {
                let bytes = STANDARD.encode(exported.store.figure(blob)?);
                page.push_str(&format!(
                    "<img src=\"data:image/svg+xml;base64,{bytes}\" alt=\"{}\" width=\"{width}\" height=\"{height}\">\n",
                    escaped(alt)
                ));
            }
            Block::Table(rows) => table(page, rows),
            Block::Text { text } => page.push_str(&format!("<p>{}</p>\n", escaped(text))),
        }
    }
    if !found.provenance.is_empty() {
        page.push_str("<ul class=\"provenance\">\n");
        for origin in &found.provenance {
            page.push_str(&format!("<li>{}</li>\n", escaped(&origin.line())));
        }
        page.push_str("</ul>\n");
    }
    Ok(())
}

fn table(page: &mut String, table: &Table) {
    page.push_str("<div class=\"table\" tabindex=\"0\" role=\"region\" aria-label=\"");
    let name = if table.title.is_empty() {
        "Table"
    } else {
        &table.title
    };
    page.push_str(&escaped(name));
    page.push_str("\"><table>\n");
    if !table.title.is_empty() {
        page.push_str(&format!("<caption>{}</caption>\n", escaped(&table.title)));
    }
    page.push_str("<thead><tr>");
    for column in &table.columns {
        page.push_str(&format!("<th scope=\"col\">{}</th>", escaped(column)));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        page.push_str("<tr>");
        for value in row {
            let class = if value.parse::<f64>().is_ok() {
                " class=\"number\""
            } else {
                ""
            };
            page.push_str(&format!("<td{class}>{}</td>", escaped(value)));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
    if let Some(note) = &table.note {
        page.push_str(&format!("<p class=\"note\">{}</p>\n", escaped(note)));
    }
}

/// A text between tags or in a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&quot;"),
            '\'' => written.push_str("&#39;"),
            other => written.push(other),
        }
    }
    written
}

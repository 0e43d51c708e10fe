//! A Jupyter notebook, format 4.5: prose as Markdown cells, cells as code with their outputs.

use serde_json::{Value, json};

use super::super::super::StudioError;
use super::super::output::{Block, CellOutput};
use super::html::escaped;
use super::{Exported, Piece, ShownCell};

pub(super) fn write(exported: &Exported) -> Result<String, StudioError> {
    let mut cells = Vec::new();
    for (at, piece) in exported.pieces().into_iter().enumerate() {
        let id = format!("part-{at}");
        cells.push(match piece {
            Piece::Prose(text) => json!({
                "cell_type": "markdown", "id": id, "metadata": {}, "source": text,
            }),
            Piece::Cell(text, shown) => json!({
                "cell_type": "code", "id": id, "execution_count": null,
                "metadata": {"protoclip": {"cell": shown.id, "info": text.info()}},
                "source": format!("# {}\n{}", text.info(), text.body),
                "outputs": outputs(exported, shown)?,
            }),
        });
    }
    let notebook = json!({
        "nbformat": 4, "nbformat_minor": 5,
        "metadata": {
            "title": exported.title,
            "language_info": {"name": "yaml", "file_extension": ".yaml", "mimetype": "text/yaml"},
        },
        "cells": cells,
    });
    serde_json::to_string_pretty(&notebook).map_err(|e| StudioError::Other(e.to_string()))
}

fn outputs(exported: &Exported, shown: &ShownCell) -> Result<Vec<Value>, StudioError> {
    let mut outputs = Vec::new();
    if let Some((label, value)) = &shown.control {
        outputs.push(plain(&format!("{label}: {value}")));
    }
    if let Some(remark) = &shown.remark {
        outputs.push(plain(remark));
    }
    let Some(output) = &shown.output else {
        return Ok(outputs);
    };
    if let Some(error) = &output.error {
        outputs.push(json!({
            "output_type": "error", "ename": "cell failed", "evalue": error, "traceback": [error],
        }));
    }
    for block in &output.blocks {
        outputs.push(shown_block(exported, block)?);
    }
    outputs.extend(origins(output));
    Ok(outputs)
}

fn shown_block(exported: &Exported, block: &Block) -> Result<Value, StudioError> {
    Ok(match block {
        Block::Figure { blob, alt, .. } => {
            let svg = exported.store.figure(blob)?;
            data(&json!({"image/svg+xml": String::from_utf8_lossy(&svg), "text/plain": alt}))
        }
        Block::Text { text } => plain(text),
        Block::Table(table) => {
            let row = |values: &[String], tag: &str| {
                let cells: String = values
                    .iter()
                    .map(|value| format!("<{tag}>{}</{tag}>", escaped(value)))
                    .collect();
                format!("<tr>{cells}</tr>")
            };
            let rows: String = table.rows.iter().map(|values| row(values, "td")).collect();
            let head = row(&table.columns, "th");
            let html = format!(
                "<table><caption>{}</caption><thead>{head}</thead><tbody>{rows}</tbody></table>",
                escaped(&table.title)
            );
            data(&json!({"text/html": html, "text/plain": table.csv()}))
        }
    })
}

fn origins(output: &CellOutput) -> Option<Value> {
    let lines: Vec<String> = output
        .provenance
        .iter()
        .map(|origin| origin.line())
        .collect();
    (!lines.is_empty()).then(|| plain(&lines.join("\n")))
}

fn plain(text: &str) -> Value {
    data(&json!({"text/plain": text}))
}

fn data(data: &Value) -> Value {
    json!({"output_type": "display_data", "metadata": {}, "data": data})
}

//! What the grid offers to take along: the shown selection as one figure and as a table.

use protoclip::prototypes::Space;

use super::super::address::{address, percent};
use super::GridQuery;
use crate::studio::{PrototypePage, SHEET_ROWS};

/// Addresses of the API with the selection of the grid.
#[derive(Debug, Default)]
pub(super) struct TakeAlong {
    pub(super) png: String,
    pub(super) svg: String,
    pub(super) csv: String,
    /// Features of the step, and what they are.
    pub(super) vectors: String,
    pub(super) metadata: String,
    /// Places, prototypes and captions of the step as one table.
    pub(super) frame: String,
    /// What the figure shows.
    pub(super) rows: String,
}

impl TakeAlong {
    pub(super) fn new(run: &str, query: &GridQuery, found: &PrototypePage) -> Self {
        let step = found.step.to_string();
        let pairs = [
            ("space", found.space.name()),
            ("step", step.as_str()),
            ("sort", query.sort.as_str()),
            ("q", query.q.trim()),
            ("health", query.health.as_str()),
            ("offset", query.offset.as_str()),
        ];
        let of = |file: &str| {
            let path = format!("/api/runs/{}/prototypes/{file}", percent(run));
            address(&path, &pairs)
        };
        let features = |file: &str| {
            let space = match found.space {
                Space::Text => Space::Text,
                Space::Image | Space::Teacher => Space::Image,
            };
            let path = format!("/api/runs/{}/{file}", percent(run));
            address(&path, &[("space", space.name()), ("step", &step)])
        };
        let csv = address(
            &format!("/api/runs/{}/prototypes.csv", percent(run)),
            &pairs[..5],
        );
        let rows = found.prototypes.len().min(SHEET_ROWS);
        Self {
            png: of("sheet.png"),
            svg: of("sheet.svg"),
            csv,
            vectors: features("embeddings/vectors.tsv"),
            metadata: features("embeddings/metadata.tsv"),
            frame: features("embeddings.parquet"),
            rows: match rows {
                1 => "this prototype".into(),
                _ => format!("the first {rows} shown"),
            },
        }
    }
}

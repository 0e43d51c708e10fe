//! `/runs/{id}/batch`: the similarity matrix of a training batch ordered by prototype, and how much of
//! InfoNCE's push falls on pairs of one prototype. Everything shown is in the address.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::address::{address, percent, replaced};
use super::chart_catalogue::{Chart, batch_charts};
use super::figures::{NONE, figure, grouped};
use super::prototypes::{Choice, prototype_href, space_named, step_choices, words};
use super::respond::page;
use super::run_card::RunCard;
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::{BatchCells, BatchQuery, BatchView, RunId, RunView, StudioError};

/// The page's state, all of it in the address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct BatchAddress {
    step: String,
    batch: String,
    space: String,
    cells: String,
}

#[derive(Debug, Template)]
#[template(path = "pages/run_batch.html")]
struct BatchPage {
    shell: Shell,
    tab: &'static str,
    run: RunCard,
    charts: Vec<Chart>,
    waiting: &'static str,
    /// Why there is no batch to show.
    absent: Option<String>,
    xray: Option<Xray>,
}

/// One batch.
#[derive(Debug)]
struct Xray {
    warning: Option<String>,
    summary: String,
    steps: Vec<Choice>,
    batches: Vec<Choice>,
    spaces: Vec<Link>,
    cells: Vec<Link>,
    space: &'static str,
    shown: &'static str,
    /// Query of data and exports.
    query: String,
    alternative: String,
    blocks: Vec<BlockRow>,
    pushed: Vec<PushedRow>,
}

#[derive(Debug)]
struct Link {
    name: &'static str,
    title: &'static str,
    href: String,
    current: bool,
}

#[derive(Debug)]
struct BlockRow {
    id: u32,
    href: String,
    words: String,
    size: String,
    cosine: String,
    repulsion: String,
}

/// An image and a caption of one prototype.
#[derive(Debug)]
struct PushedRow {
    image: String,
    image_caption: String,
    text: String,
    cosine: String,
    repulsion: String,
}

pub(super) async fn batch(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
    Query(asked): Query<BatchAddress>,
) -> Response {
    page(state, shell, move |studio, shell| {
        let id = RunId::from(id.as_str());
        let view = studio.run(&id)?;
        let shell = shell.in_section("runs");
        match studio.batch(&id, &asked.query()) {
            Ok(found) => Ok(BatchPage::new(
                shell,
                &view,
                Ok(Xray::new(&id, &asked, &found)),
            )),
            Err(StudioError::NotFound(reason)) => Ok(BatchPage::new(shell, &view, Err(reason))),
            Err(error) => Err(error),
        }
    })
    .await
}

impl BatchAddress {
    fn query(&self) -> BatchQuery {
        BatchQuery {
            step: self.step.parse().ok(),
            batch: self.batch.parse().unwrap_or(0),
            space: space_named(&self.space),
        }
    }

    fn cells(&self) -> BatchCells {
        let known = BatchCells::ALL.into_iter().find(|c| c.name() == self.cells);
        known.unwrap_or_default()
    }

    fn with(&self, run: &str, changes: &[(&str, &str)]) -> String {
        let own = [
            ("step", &self.step),
            ("batch", &self.batch),
            ("space", &self.space),
            ("cells", &self.cells),
        ];
        address(
            &format!("/runs/{}/batch", percent(run)),
            &replaced(&own, changes),
        )
    }
}

impl BatchPage {
    fn new(shell: Shell, view: &RunView, xray: Result<Xray, String>) -> Self {
        let (xray, absent) = match xray {
            Ok(xray) => (Some(xray), None),
            Err(reason) => (None, Some(reason)),
        };
        Self {
            shell,
            tab: "batch",
            run: RunCard::new(view),
            charts: batch_charts(),
            waiting: if view.state.is_active() {
                "Waiting for the first point"
            } else {
                "Not measured in this run: it trained with an earlier version"
            },
            absent,
            xray,
        }
    }
}

impl Xray {
    fn new(id: &RunId, asked: &BatchAddress, found: &BatchView) -> Self {
        let run = id.as_str();
        let cells = asked.cells();
        let (step, batch) = (found.step.to_string(), found.batch.to_string());
        let query = [
            ("step", step.as_str()),
            ("batch", batch.as_str()),
            ("space", found.space.name()),
            ("cells", cells.name()),
        ];
        Self {
            warning: found.data_error.clone(),
            summary: summary(found),
            steps: step_choices(&found.steps, &asked.step),
            batches: batch_choices(found),
            spaces: space_links(run, asked, found),
            cells: cell_links(run, asked),
            space: found.space.name(),
            shown: cells.name(),
            query: address("", &query),
            alternative: format!(
                "Matrix of {} images by as many texts, {} shown as depth of blue, in {} blocks of one {} prototype each",
                found.pairs.len(),
                cells.name(),
                found.blocks.len(),
                found.space.name()
            ),
            blocks: block_rows(run, found),
            pushed: pushed_rows(found),
        }
    }
}

fn summary(found: &BatchView) -> String {
    let made = match found.made_step {
        Some(step) => format!("which made step {}", grouped(step)),
        None => "which was not trained on (yet)".to_owned(),
    };
    let left_out = match found.left_out {
        0 => String::new(),
        n => format!("; {} pairs of the batch are left out", grouped(n as u64)),
    };
    format!(
        "Batch {} of {}, {made}, seen with the features of step {}{left_out}. {:.2} % of its unmatched pairs belong to one prototype of the {} space, and {:.2} % of InfoNCE’s push falls on them.",
        grouped(found.batch as u64 + 1),
        grouped(found.batches as u64),
        grouped(found.step),
        found.same_pairs_percent,
        found.space.name(),
        found.same_repulsion_percent
    )
}

/// At most this many batches are listed; the address takes any.
const LISTED_BATCHES: usize = 500;

fn batch_choices(found: &BatchView) -> Vec<Choice> {
    let listed = (0..found.batches).filter(|&b| b < LISTED_BATCHES || b == found.batch);
    let choice = |batch: usize| Choice {
        value: batch.to_string(),
        label: grouped(batch as u64 + 1),
        current: batch == found.batch,
    };
    listed.map(choice).collect()
}

fn space_links(run: &str, asked: &BatchAddress, found: &BatchView) -> Vec<Link> {
    let link = |space: &protoclip::prototypes::Space| Link {
        name: space.name(),
        title: "Order the batch by the prototypes of this space",
        href: asked.with(run, &[("space", space.name())]),
        current: *space == found.space,
    };
    found.spaces.iter().map(link).collect()
}

fn cell_links(run: &str, asked: &BatchAddress) -> Vec<Link> {
    let title = |cells| match cells {
        BatchCells::Cosine => "Inner product of image and text feature",
        BatchCells::Repulsion => {
            "How hard InfoNCE pushes the pair apart, relative to the mean of all unmatched pairs"
        }
    };
    let link = |cells: BatchCells| Link {
        name: cells.name(),
        title: title(cells),
        href: asked.with(run, &[("cells", cells.name())]),
        current: cells == asked.cells(),
    };
    BatchCells::ALL.map(link).into()
}

/// Blocks of more than one pair, largest first.
fn block_rows(run: &str, found: &BatchView) -> Vec<BlockRow> {
    let mut blocks: Vec<_> = found.blocks.iter().filter(|b| b.size > 1).collect();
    blocks.sort_by_key(|block| (usize::MAX - block.size, block.prototype));
    let row = |block: &crate::studio::BatchBlock| BlockRow {
        id: block.prototype,
        href: prototype_href(
            run,
            block.prototype as usize,
            found.space.name(),
            found.step,
        ),
        words: words(&block.words, block.prototype as usize),
        size: grouped(block.size as u64),
        cosine: block.mean_cosine.map_or_else(|| NONE.into(), figure),
        repulsion: figure(block.repulsion_percent),
    };
    blocks.into_iter().map(row).collect()
}

fn pushed_rows(found: &BatchView) -> Vec<PushedRow> {
    let row = |pair: &crate::studio::PushedPair| {
        let (image, text) = (&found.pairs[pair.image], &found.pairs[pair.text]);
        PushedRow {
            image: image.image_url.clone(),
            image_caption: image.caption.clone(),
            text: text.caption.clone(),
            cosine: figure(f64::from(pair.cosine)),
            repulsion: figure(f64::from(pair.repulsion)),
        }
    };
    found.pushed.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_what_is_not_replaced() {
        let asked = BatchAddress {
            step: "26".into(),
            batch: "3".into(),
            cells: "noise".into(),
            ..BatchAddress::default()
        };
        assert_eq!(asked.cells(), BatchCells::Cosine);
        assert_eq!(
            asked.with("r-1", &[("cells", "repulsion")]),
            "/runs/r-1/batch?step=26&batch=3&cells=repulsion"
        );
    }
}

//! The preview of the augmentation in the form of a new run: pictures of the chosen data as its first
//! episodes would train on them. Reading it changes nothing; data that is not open stays closed.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use protoclip::config::{Augmentation, RunConfig};
use protoclip::model::ClipConfig;

use super::super::address::address;
use super::super::respond::page;
use super::super::shell::Shell;
use super::FormValues;
use crate::server::AppState;
use crate::studio::{DataSetId, LARGEST_PREVIEW, Studio, StudioError, VARIANTS, strip_size};

/// The part of the form that is drawn anew.
#[derive(Debug, Template)]
#[template(path = "partials/augmentation.html")]
pub(super) struct Preview {
    shell: Shell,
    /// What is shown, in a sentence.
    text: String,
    /// Why nothing is.
    problem: String,
    strips: Vec<Strip>,
    /// Pixels of a strip.
    width: u32,
    height: u32,
    /// Numbers of the episodes, from 1.
    episodes: Vec<u64>,
    /// The draw that is shown, and the one after it.
    drawn: u64,
    next: u64,
}

/// One sample.
#[derive(Debug)]
struct Strip {
    caption: String,
    image: String,
    alt: String,
}

/// Draws that can be told apart; the next one after the last is the first.
const DRAWS: u64 = 1_000_000;

/// Settings that decide what is seen.
fn matters(name: &str) -> bool {
    matches!(name, "model" | "seed" | "augmentation") || name.starts_with("data.")
}

pub(in crate::server::pages) async fn fragment(
    State(state): State<AppState>,
    shell: Shell,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    page(state, shell, move |studio, shell| {
        let values = FormValues::of(pairs);
        Ok(Preview::new(studio, shell, &values))
    })
    .await
}

impl Preview {
    pub(super) fn new(studio: &Studio, shell: Shell, values: &FormValues) -> Self {
        let draw = values.get("draw").parse().unwrap_or(0) % DRAWS;
        let first = draw * VARIANTS + 1;
        let mut preview = Self {
            shell,
            text: String::new(),
            problem: String::new(),
            strips: Vec::new(),
            width: 0,
            height: 0,
            episodes: (first..first + VARIANTS).collect(),
            drawn: draw,
            next: (draw + 1) % DRAWS,
        };
        if let Err(problem) = preview.draw(studio, values, draw) {
            preview.problem = problem;
        }
        preview
    }

    pub(super) fn drawn(&self) -> u64 {
        self.drawn
    }

    fn draw(&mut self, studio: &Studio, values: &FormValues, draw: u64) -> Result<(), String> {
        let config = values.part(matters).map_err(|errors| errors.to_string())?;
        let model = ClipConfig::load(&config.model).map_err(|error| error.to_string())?;
        let size = model.vision_cfg.image_size;
        if size > LARGEST_PREVIEW as usize {
            return Err(format!(
                "{} takes pictures of {size} pixels; up to {LARGEST_PREVIEW} are drawn here",
                config.model
            ));
        }
        if !studio.is_open(&config.data) {
            return Err("Pictures of your own data are drawn once it is open: check the data above, or add it under Data sets.".into());
        }
        let id = DataSetId::of(&config.data);
        let pairs = studio.previewed(&id, draw).map_err(told)?;
        let data = studio.data_set(&id).map_err(told)?;
        let version = data.fingerprint.get(..8).unwrap_or_default();
        self.strips = pairs
            .into_iter()
            .map(|pair| Strip {
                image: strip_address(&id, pair.sample, &config, (size, draw), version),
                alt: format!(
                    "{}: as it is, then as episodes {} to {} would train on it",
                    pair.caption,
                    draw * VARIANTS + 1,
                    (draw + 1) * VARIANTS
                ),
                caption: pair.caption,
            })
            .collect();
        (self.width, self.height) = strip_size(size as u32);
        let (seed, name) = (config.seed, name_of(config.augmentation));
        self.text = format!(
            "{}, augmentation {name}, seed {seed}, {size} × {size} pixels as {} takes them: drawn by the code that training uses.",
            data.name, config.model
        );
        Ok(())
    }
}

fn strip_address(
    id: &DataSetId,
    sample: u32,
    config: &RunConfig,
    (size, draw): (usize, u64),
    version: &str,
) -> String {
    address(
        &format!("/api/datasets/{id}/samples/{sample}/augmented"),
        &[
            ("augmentation", &name_of(config.augmentation)),
            ("size", &size.to_string()),
            ("seed", &config.seed.to_string()),
            ("draw", &draw.to_string()),
            ("v", version),
        ],
    )
}

/// As it is written in settings and addresses.
fn name_of(augmentation: Augmentation) -> String {
    let name = serde_json::to_value(augmentation).unwrap_or_default();
    name.as_str().unwrap_or_default().to_owned()
}

fn told(error: StudioError) -> String {
    error.to_string()
}

//! `/learn`: two figures of the method that compute in the browser what they show.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::respond::page;
use super::shell::Shell;
use crate::server::AppState;

#[derive(Debug, Template)]
#[template(path = "pages/learn.html")]
struct LearnPage {
    shell: Shell,
    grouping: Vec<Slider>,
    translation: Vec<Slider>,
}

/// A parameter of a figure.
#[derive(Debug)]
struct Slider {
    key: &'static str,
    label: &'static str,
    help: &'static str,
    min: &'static str,
    max: &'static str,
    step: &'static str,
    value: &'static str,
}

const fn slider(
    key: &'static str,
    label: &'static str,
    help: &'static str,
    range: [&'static str; 3],
    value: &'static str,
) -> Slider {
    Slider {
        key,
        label,
        help,
        min: range[0],
        max: range[1],
        step: range[2],
        value,
    }
}

pub(super) async fn learn(State(state): State<AppState>, shell: Shell) -> Response {
    page(state, shell, |_, shell| {
        Ok(LearnPage {
            shell: shell.in_section("learn"),
            grouping: vec![
                slider(
                    "clip",
                    "Weight of InfoNCE",
                    "Pairs attract, all others repel",
                    ["0", "2", "0.1"],
                    "1",
                ),
                slider(
                    "proto",
                    "Weight of prototypes",
                    "Each point is drawn to its teacher's cluster",
                    ["0", "2", "0.1"],
                    "1",
                ),
                slider(
                    "temperature",
                    "Temperature",
                    "1 over the scale of the cosines",
                    ["0.05", "1", "0.05"],
                    "0.2",
                ),
                slider(
                    "gap",
                    "Gap",
                    "Radians by which the captions start beside the pictures",
                    ["0", "3", "0.1"],
                    "1.5",
                ),
                slider(
                    "prototypes",
                    "Prototypes K",
                    "Clusters of each space, found anew every 25 steps",
                    ["2", "6", "1"],
                    "3",
                ),
                slider(
                    "seed",
                    "Start",
                    "Another draw of the first angles",
                    ["1", "20", "1"],
                    "1",
                ),
                slider(
                    "rate",
                    "Step size",
                    "Radians per unit of gradient",
                    ["0.01", "0.5", "0.01"],
                    "0.1",
                ),
            ],
            translation: vec![
                slider(
                    "rotation",
                    "Rotation of the student space",
                    "Degrees between the two spaces",
                    ["0", "180", "5"],
                    "90",
                ),
                slider(
                    "gap",
                    "Gap",
                    "Shift of the student space, in radii of the circle",
                    ["0", "2", "0.1"],
                    "0.5",
                ),
                slider(
                    "noise",
                    "Noise",
                    "Standard deviation of the student's points, in radii",
                    ["0", "0.6", "0.05"],
                    "0.15",
                ),
                slider(
                    "temperature",
                    "Temperature",
                    "1 over the scale of the cosines",
                    ["0.05", "1", "0.05"],
                    "0.2",
                ),
            ],
        })
    })
    .await
}

//! The JSON API, one file per noun.

mod runs;
mod series;
mod steering;

use super::endpoint::Endpoint;

const JSON: &str = "application/json";

pub(super) fn endpoints() -> Vec<Endpoint> {
    [
        runs::endpoints(),
        steering::endpoints(),
        series::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

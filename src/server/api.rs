//! The JSON API, one file per noun.

mod changes;
mod compare;
mod data_sets;
mod picture;
mod prototypes;
mod runs;
mod series;
mod steering;

use super::endpoint::Endpoint;

const JSON: &str = "application/json";

pub(super) fn endpoints() -> Vec<Endpoint> {
    [
        runs::endpoints(),
        steering::endpoints(),
        changes::endpoints(),
        series::endpoints(),
        prototypes::endpoints(),
        compare::endpoints(),
        data_sets::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

//! The JSON API, one file per noun.

mod augmentation;
mod batch;
mod changes;
mod checkpoints;
mod compare;
mod csv;
mod data_sets;
mod exports;
mod figures;
mod gap;
mod maps;
mod notebooks;
mod over_time;
mod picture;
mod prototype_figures;
mod prototype_groups;
mod prototype_sheet;
mod prototypes;
mod runs;
mod series;
mod steering;
mod storage;
mod supervision;
mod teachers;
mod work;

use super::endpoint::Endpoint;

pub(super) use checkpoints::id_of as checkpoint_id;
pub(super) use csv::quoted;
pub(super) use notebooks::name_of as notebook_name;

const JSON: &str = "application/json";

pub(super) fn endpoints() -> Vec<Endpoint> {
    [
        runs::endpoints(),
        steering::endpoints(),
        storage::endpoints(),
        changes::endpoints(),
        series::endpoints(),
        prototypes::endpoints(),
        supervision::endpoints(),
        gap::endpoints(),
        prototype_sheet::endpoints(),
        prototype_figures::endpoints(),
        prototype_groups::endpoints(),
        batch::endpoints(),
        over_time::endpoints(),
        compare::endpoints(),
        exports::endpoints(),
        data_sets::endpoints(),
        teachers::endpoints(),
        augmentation::endpoints(),
        checkpoints::endpoints(),
        work::endpoints(),
        maps::endpoints(),
        notebooks::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

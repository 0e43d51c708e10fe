//! How much the newest prototypes of two runs group the same samples in the same way.

use std::collections::HashMap;

use protoclip::analysis::{adjusted_mutual_information, adjusted_rand_index};
use protoclip::prototypes::Space;
use serde::Serialize;

use super::overlap::best_overlaps;
use super::snapshot_view::SnapshotView;
use super::{RunId, Studio, StudioError};

/// Agreement of the groupings of two runs in one space.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupingAgreement {
    pub space: Space,
    /// Samples that both snapshots hold.
    pub samples: usize,
    /// Adjusted Rand index; 1 is the same grouping, 0 is chance.
    pub ari: f64,
    /// Adjusted mutual information; 1 is the same grouping, 0 is chance.
    pub ami: f64,
    /// Prototypes of the first run with a common sample.
    pub prototypes: usize,
    /// Those that share more than half of all samples of the two with a prototype of the second.
    pub matched: usize,
}

/// Which snapshots were compared, and what came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrototypeMatching {
    /// Step of the snapshot of the first and of the second run.
    pub steps: (u64, u64),
    /// One for each space that both have.
    pub spaces: Vec<GroupingAgreement>,
}

/// Two prototypes are taken for the same above this share of common samples.
const MATCH: f64 = 0.5;

impl Studio {
    /// Compares the newest prototypes of two runs on the samples that both snapshots hold.
    ///
    /// # Errors
    /// When a run has no prototypes, the runs use different data sets, or no sample is common.
    pub fn match_prototypes(&self, a: &RunId, b: &RunId) -> Result<PrototypeMatching, StudioError> {
        let (first, _) = self.snapshot(a, None)?;
        let (second, _) = self.snapshot(b, None)?;
        if first.data_set() != second.data_set() {
            return Err(StudioError::Conflict(
                "the runs use different data sets, so no sample is common".into(),
            ));
        }
        let common = common_positions(first.samples(), second.samples());
        if common.is_empty() {
            return Err(StudioError::Conflict(
                "the newest prototypes of the two runs hold no common sample".into(),
            ));
        }
        let theirs = second.spaces();
        let shared = first.spaces().into_iter().filter(|s| theirs.contains(s));
        let spaces = shared.map(|space| agreement(&first, &second, &common, space));
        Ok(PrototypeMatching {
            steps: (first.step(), second.step()),
            spaces: spaces.collect::<Result<_, _>>()?,
        })
    }
}

/// Places of the samples that both lists have, in the first and in the second.
fn common_positions(a: &[u32], b: &[u32]) -> Vec<(usize, usize)> {
    let places: HashMap<u32, usize> = b.iter().enumerate().map(|(i, &s)| (s, i)).collect();
    let a = a.iter().enumerate();
    a.filter_map(|(i, sample)| Some((i, *places.get(sample)?)))
        .collect()
}

fn agreement(
    first: &SnapshotView,
    second: &SnapshotView,
    common: &[(usize, usize)],
    space: Space,
) -> Result<GroupingAgreement, StudioError> {
    let (own, other) = (first.clusters(space)?, second.clusters(space)?);
    let a: Vec<u32> = common.iter().map(|p| own.assignments[p.0]).collect();
    let b: Vec<u32> = common.iter().map(|p| other.assignments[p.1]).collect();
    let failed = |e: protoclip::analysis::AnalysisError| StudioError::Other(e.to_string());
    let best = best_overlaps(&a, own.count, &b);
    let found = best.iter().flatten();
    Ok(GroupingAgreement {
        space,
        samples: common.len(),
        ari: adjusted_rand_index(&a, &b).map_err(failed)?,
        ami: adjusted_mutual_information(&a, &b).map_err(failed)?,
        prototypes: found.clone().count(),
        matched: found.filter(|overlap| overlap.jaccard > MATCH).count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_common_samples_are_compared_each_in_its_own_place() {
        let common = common_positions(&[7, 3, 9, 1], &[1, 9, 5]);
        assert_eq!(common, [(2, 1), (3, 0)]);
    }
}

//! The groups of a run's prototypes from snapshot to snapshot, and the samples that flow between.

use protoclip::prototypes::{Grouping, Lineage, Space};
use serde::Serialize;

use super::super::{RunId, Studio, StudioError};

/// A few snapshots in a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct River {
    pub space: Space,
    /// Ascending.
    pub columns: Vec<RiverColumn>,
    /// Samples that two neighbouring snapshots share, from group to group.
    pub flows: Vec<RiverFlow>,
}

/// The groups of one snapshot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RiverColumn {
    pub step: u64,
    pub episode: u64,
    /// Largest first.
    pub groups: Vec<RiverGroup>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RiverGroup {
    pub words: Vec<String>,
    pub samples: usize,
    /// Prototypes with samples.
    pub prototypes: usize,
    /// The largest of them.
    pub largest: Option<usize>,
    /// The group of the column before that it continues.
    pub continues: Option<u32>,
}

/// Samples that are in a group of one column and in a group of the next.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RiverFlow {
    /// Place of the earlier column.
    pub column: usize,
    pub from: u32,
    pub to: u32,
    pub samples: u32,
}

/// Columns of one river.
pub const RIVER_COLUMNS: usize = 8;
/// Groups of a column: as many colours as can be told apart.
const GROUPS: usize = 8;

impl Studio {
    /// The prototypes of the snapshots up to `step`, or the newest, gathered into eight groups each,
    /// and what flows between these.
    ///
    /// # Errors
    /// As [`Studio::prototype_cut`].
    pub fn prototype_river(
        &self,
        id: &RunId,
        step: Option<u64>,
        space: Space,
    ) -> Result<River, StudioError> {
        let (last, steps) = self.snapshot(id, step)?;
        let mut shown: Vec<u64> = steps.into_iter().filter(|&s| s <= last.step()).collect();
        shown.drain(..shown.len().saturating_sub(RIVER_COLUMNS));
        let (mut columns, mut flows) = (Vec::<RiverColumn>::new(), Vec::new());
        let mut earlier: Option<(Vec<u32>, Vec<u32>, usize)> = None;
        for step in shown {
            let (view, _) = self.snapshot(id, Some(step))?;
            let Ok(clusters) = view.clusters(space) else {
                continue;
            };
            let cut = self.prototype_cut(id, Some(step), space, Some(GROUPS))?;
            let of_sample = clusters.assignments.iter();
            let of_sample: Vec<u32> = of_sample
                .map(|&prototype| cut.of_prototype[prototype as usize])
                .collect();
            let count = cut.groups.len();
            let mut continues = vec![None; count];
            if let Some((samples, groups, before)) = &earlier {
                let lineage = Lineage::between(
                    Grouping {
                        samples,
                        groups,
                        count: *before,
                    },
                    Grouping {
                        samples: view.samples(),
                        groups: &of_sample,
                        count,
                    },
                );
                flows.extend(lineage.links.iter().map(|link| RiverFlow {
                    column: columns.len() - 1,
                    from: link.before,
                    to: link.after,
                    samples: link.shared,
                }));
                continues = lineage.predecessors;
            }
            let groups = cut.groups.into_iter().zip(continues);
            columns.push(RiverColumn {
                step,
                episode: cut.episode,
                groups: groups
                    .map(|(group, continues)| RiverGroup {
                        largest: group.largest.first().map(|one| one.prototype),
                        words: group.words,
                        samples: group.samples,
                        prototypes: group.prototypes,
                        continues,
                    })
                    .collect(),
            });
            earlier = Some((view.samples().to_vec(), of_sample, count));
        }
        Ok(River {
            space,
            columns,
            flows,
        })
    }
}

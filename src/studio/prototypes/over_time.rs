//! How the prototypes of a run change from snapshot to snapshot, and how alike its spaces group.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protoclip::analysis::{adjusted_mutual_information, adjusted_rand_index};
use protoclip::prototypes::{Fate, Grouping, Lineage, Origin, Space};
use serde::Serialize;

use super::super::{RunId, Studio, StudioError};
use super::previous_step;
use super::snapshot_view::SnapshotView;
use super::translation::{PrototypeNode, node};

/// The snapshots of a run in a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrototypesOverTime {
    pub space: Space,
    pub spaces: Vec<Space>,
    /// Steps of all snapshots, ascending.
    pub steps: Vec<u64>,
    /// Snapshots that were looked at, the newest ones; another request goes on with the others.
    pub done: usize,
    /// Ascending.
    pub agreement: Vec<StepAgreement>,
    /// Ascending; none for the first snapshot.
    pub changes: Vec<StepChanges>,
}

/// How alike the spaces of one snapshot group its samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepAgreement {
    pub step: u64,
    pub episode: u64,
    /// Image and text first, then each with the teacher.
    pub pairs: Vec<SpaceAgreement>,
}

/// How alike two spaces group the same samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SpaceAgreement {
    pub spaces: (Space, Space),
    /// Adjusted mutual information; 1 is the same grouping, 0 is chance.
    pub ami: f64,
    /// Adjusted Rand index; 1 is the same grouping, 0 is chance.
    pub ari: f64,
}

/// What became of the prototypes of the snapshot before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepChanges {
    pub from: u64,
    pub step: u64,
    /// Samples of both snapshots, and their share of this one's.
    pub common: usize,
    pub common_share: f64,
    pub continued: usize,
    pub births: usize,
    pub deaths: usize,
    pub splits: usize,
    pub merges: usize,
    /// Share of the common samples that left the match of their group, in [0, 1).
    pub churn: Option<f64>,
}

/// A prototype between the snapshots before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrototypeLineage {
    pub before: Option<Kin>,
    pub after: Option<Kin>,
}

/// Relatives of a prototype in another snapshot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kin {
    pub step: u64,
    /// `continued`, `split`, `merged`, `born`, `died` or `unknown`.
    pub event: &'static str,
    /// Those that share most samples first.
    pub relatives: Vec<Relative>,
}

/// One relative.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Relative {
    pub prototype: PrototypeNode,
    /// Samples in both.
    pub shared: u32,
    /// Their share of this prototype's samples that the other snapshot has too, in (0, 1].
    pub share: f64,
    /// Whether one continues the other.
    pub continues: bool,
}

/// Lineages of all spaces of a snapshot from the one before.
#[derive(Debug)]
pub(in super::super) struct SnapshotLineages {
    from: u64,
    spaces: Vec<(Space, Lineage)>,
}

/// Values kept in memory: agreements are small, lineages take a megabyte at 20,000 prototypes.
pub(in super::super) const KEPT_AGREEMENTS: usize = 4096;
pub(in super::super) const KEPT_LINEAGES: usize = 128;

/// How long one request looks at snapshots that nobody looked at before.
const PATIENCE: Duration = Duration::from_millis(1500);
const RELATIVES: usize = 5;

impl Studio {
    /// All snapshots of a run in one space, as far as there is time for.
    ///
    /// # Errors
    /// When the run or the space has none, or a file cannot be read.
    pub fn prototypes_over_time(
        &self,
        id: &RunId,
        space: Space,
    ) -> Result<PrototypesOverTime, StudioError> {
        let started = Instant::now();
        let (newest, steps) = self.snapshot(id, None)?;
        newest.clusters(space)?;
        let (mut agreement, mut changes, mut done) = (Vec::new(), Vec::new(), 0);
        for &step in steps.iter().rev() {
            if done > 0 && started.elapsed() > PATIENCE {
                break;
            }
            agreement.push((*self.agreement_at(id, step)?).clone());
            if let Some(before) = previous_step(&steps, step) {
                changes.extend(self.changes_between(id, (before, step), space)?);
            }
            done += 1;
        }
        agreement.reverse();
        changes.reverse();
        Ok(PrototypesOverTime {
            space,
            spaces: newest.spaces(),
            steps,
            done,
            agreement,
            changes,
        })
    }

    /// How alike the spaces group the samples of a snapshot.
    ///
    /// # Errors
    /// As [`Studio::prototypes_over_time`].
    pub fn agreement_at(&self, id: &RunId, step: u64) -> Result<Arc<StepAgreement>, StudioError> {
        let path = self.data_dir.run(id).prototype_file(step);
        self.agreements.get(&path, |_| {
            let (view, _) = self.snapshot(id, Some(step))?;
            agreement(&view)
        })
    }

    /// Where a prototype comes from and what becomes of it.
    ///
    /// # Errors
    /// As [`Studio::prototype`].
    pub fn prototype_lineage(
        &self,
        id: &RunId,
        step: Option<u64>,
        space: Space,
        prototype: usize,
    ) -> Result<PrototypeLineage, StudioError> {
        let (view, steps) = self.snapshot(id, step)?;
        if prototype >= view.clusters(space)?.count {
            return Err(view.no_such(space, prototype));
        }
        let own = prototype as u32;
        let before = match previous_step(&steps, view.step()) {
            None => None,
            Some(from) => self.kin(id, (from, view.step()), space, Side::Before(own))?,
        };
        let after = match steps.iter().copied().find(|&later| later > view.step()) {
            None => None,
            Some(to) => self.kin(id, (view.step(), to), space, Side::After(own))?,
        };
        Ok(PrototypeLineage { before, after })
    }

    fn changes_between(
        &self,
        id: &RunId,
        (from, step): (u64, u64),
        space: Space,
    ) -> Result<Option<StepChanges>, StudioError> {
        let lineages = self.lineages(id, (from, step))?;
        Ok(lineages.of(space).map(|lineage| StepChanges {
            from,
            step,
            common: lineage.common,
            common_share: lineage.common_share(),
            continued: lineage.continued(),
            births: lineage.births(),
            deaths: lineage.deaths(),
            splits: lineage.splits,
            merges: lineage.merges,
            churn: lineage.churn(),
        }))
    }

    fn lineages(
        &self,
        id: &RunId,
        (from, step): (u64, u64),
    ) -> Result<Arc<SnapshotLineages>, StudioError> {
        let path = self.data_dir.run(id).prototype_file(step);
        let compare = || {
            let (before, _) = self.snapshot(id, Some(from))?;
            let (after, _) = self.snapshot(id, Some(step))?;
            lineages_between(&before, &after)
        };
        let known = self.lineages.get(&path, |_| compare())?;
        // Earlier snapshots may go and come while the file of this one stays.
        if known.from == from {
            Ok(known)
        } else {
            compare().map(Arc::new)
        }
    }

    fn kin(
        &self,
        id: &RunId,
        (from, step): (u64, u64),
        space: Space,
        side: Side,
    ) -> Result<Option<Kin>, StudioError> {
        let lineages = self.lineages(id, (from, step))?;
        let other = match side {
            Side::Before(_) => from,
            Side::After(_) => step,
        };
        let (view, _) = self.snapshot(id, Some(other))?;
        lineages.kin(&view, space, side)
    }
}

/// Whose relatives are wanted: the earlier ones of a prototype of the later snapshot, or the later
/// ones of a prototype of the earlier.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Before(u32),
    After(u32),
}

impl Side {
    fn event(self, lineage: &Lineage) -> &'static str {
        match self {
            Self::Before(own) => match lineage.origins[own as usize] {
                Origin::Continued => "continued",
                Origin::Split => "split",
                Origin::Merged => "merged",
                Origin::Born => "born",
                Origin::Unknown => "unknown",
            },
            Self::After(own) => match lineage.fates[own as usize] {
                Fate::Continued => "continued",
                Fate::Split => "split",
                Fate::Merged => "merged",
                Fate::Died => "died",
                Fate::Unknown => "unknown",
            },
        }
    }
}

impl SnapshotLineages {
    fn of(&self, space: Space) -> Option<&Lineage> {
        let found = self.spaces.iter().find(|(known, _)| *known == space);
        found.map(|(_, lineage)| lineage)
    }

    /// Relatives of one side's prototype in `view`, the other side's snapshot.
    pub(super) fn kin(
        &self,
        view: &SnapshotView,
        space: Space,
        side: Side,
    ) -> Result<Option<Kin>, StudioError> {
        let Some(lineage) = self.of(space) else {
            return Ok(None);
        };
        let mut links: Vec<_> = match side {
            Side::Before(own) => lineage.links.iter().filter(|l| l.after == own).collect(),
            Side::After(own) => lineage.links_from(own).iter().collect(),
        };
        links.sort_by_key(|link| std::cmp::Reverse(link.shared));
        let relatives = links.into_iter().take(RELATIVES).map(|link| {
            let continues = lineage.predecessors[link.after as usize] == Some(link.before);
            let (other, share) = match side {
                Side::Before(_) => (link.before, link.received()),
                Side::After(_) => (link.after, link.given()),
            };
            Ok(Relative {
                prototype: node(view, space, other)?,
                shared: link.shared,
                share,
                continues,
            })
        });
        Ok(Some(Kin {
            step: view.step(),
            event: side.event(lineage),
            relatives: relatives.collect::<Result<_, StudioError>>()?,
        }))
    }
}

pub(super) fn lineages_between(
    before: &SnapshotView,
    after: &SnapshotView,
) -> Result<SnapshotLineages, StudioError> {
    let mut spaces = Vec::new();
    let known = before.spaces();
    for space in after
        .spaces()
        .into_iter()
        .filter(|space| known.contains(space))
    {
        let (earlier, later) = (before.clusters(space)?, after.clusters(space)?);
        let earlier = Grouping {
            samples: before.samples(),
            groups: &earlier.assignments,
            count: earlier.count,
        };
        let later = Grouping {
            samples: after.samples(),
            groups: &later.assignments,
            count: later.count,
        };
        spaces.push((space, Lineage::between(earlier, later)));
    }
    Ok(SnapshotLineages {
        from: before.step(),
        spaces,
    })
}

fn agreement(view: &SnapshotView) -> Result<StepAgreement, StudioError> {
    let failed = |e: protoclip::analysis::AnalysisError| StudioError::Other(e.to_string());
    let spaces = view.spaces();
    let mut pairs = Vec::new();
    for (at, &first) in spaces.iter().enumerate() {
        for &second in &spaces[at + 1..] {
            let (a, b) = (view.clusters(first)?, view.clusters(second)?);
            let (a, b) = (&a.assignments, &b.assignments);
            pairs.push(SpaceAgreement {
                spaces: (first, second),
                ami: adjusted_mutual_information(a, b).map_err(failed)?,
                ari: adjusted_rand_index(a, b).map_err(failed)?,
            });
        }
    }
    Ok(StepAgreement {
        step: view.step(),
        episode: view.episode(),
        pairs,
    })
}

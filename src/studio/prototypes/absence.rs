//! A prototype number that a snapshot does not have: where it is, and where its samples are here.

use protoclip::prototypes::Space;

use super::super::{RunId, Studio, StudioError};
use super::over_time::{Kin, Side, lineages_between};

/// A number above those of a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct AbsentPrototype {
    pub space: Space,
    pub step: u64,
    pub prototype: usize,
    /// Prototypes that the space has at this step.
    pub count: usize,
    /// Steps whose snapshot has the number, ascending.
    pub steps: Vec<u64>,
    /// The number at another step, with its relatives at this one.
    pub occurrence: Option<Occurrence>,
}

/// Where an absent number was last, or else where it comes first.
#[derive(Debug, Clone, PartialEq)]
pub struct Occurrence {
    pub step: u64,
    /// Whether its step lies after the one that was asked for.
    pub later: bool,
    /// Its descendants, or when it comes later its ancestors, at the step that was asked for.
    pub kin: Kin,
}

/// Prototypes of each space of a snapshot.
pub(in super::super) type PrototypeCounts = Vec<(Space, usize)>;

impl Studio {
    /// What to say of a number that the snapshot at `step`, or the newest, does not have; `None` when
    /// it has it.
    ///
    /// # Errors
    /// When the run, the step or the space has no prototypes, or a file cannot be read.
    pub fn absent_prototype(
        &self,
        id: &RunId,
        step: Option<u64>,
        space: Space,
        prototype: usize,
    ) -> Result<Option<AbsentPrototype>, StudioError> {
        let (view, all) = self.snapshot(id, step)?;
        let (step, count) = (view.step(), view.clusters(space)?.count);
        if prototype < count {
            return Ok(None);
        }
        let mut steps = Vec::new();
        for at in all {
            if self.prototype_count(id, at, space)? > prototype {
                steps.push(at);
            }
        }
        let before = steps.iter().copied().rfind(|&at| at < step);
        let occurrence = match before.or_else(|| steps.iter().copied().find(|&at| at > step)) {
            Some(at) => self.occurrence(id, (at, step), space, prototype)?,
            None => None,
        };
        Ok(Some(AbsentPrototype {
            space,
            step,
            prototype,
            count,
            steps,
            occurrence,
        }))
    }

    /// Relatives at `step` of a prototype of the snapshot at `at`.
    fn occurrence(
        &self,
        id: &RunId,
        (at, step): (u64, u64),
        space: Space,
        prototype: usize,
    ) -> Result<Option<Occurrence>, StudioError> {
        let (there, _) = self.snapshot(id, Some(at))?;
        let (here, _) = self.snapshot(id, Some(step))?;
        let (own, later) = (prototype as u32, at > step);
        // Not kept: other snapshots may lie between, and what is kept is of neighbours.
        let (lineages, side) = match later {
            true => (lineages_between(&here, &there)?, Side::Before(own)),
            false => (lineages_between(&there, &here)?, Side::After(own)),
        };
        let kin = lineages.kin(&here, space, side)?;
        Ok(kin.map(|kin| Occurrence {
            step: at,
            later,
            kin,
        }))
    }

    /// Prototypes of a space at a step; none for a teacher that the run does not have.
    fn prototype_count(&self, id: &RunId, step: u64, space: Space) -> Result<usize, StudioError> {
        let path = self.data_dir.run(id).prototype_file(step);
        let counts = self.prototype_counts.get(&path, |_| {
            let (view, _) = self.snapshot(id, Some(step))?;
            let spaces = view.spaces().into_iter();
            let counted = spaces.map(|space| Ok((space, view.clusters(space)?.count)));
            counted.collect::<Result<PrototypeCounts, StudioError>>()
        })?;
        let of_space = counts.iter().find(|(known, _)| *known == space);
        Ok(of_space.map_or(0, |&(_, count)| count))
    }
}

//! Which runs come from which: where two runs last were one.

use super::{RunId, Studio, StudioError};

/// A run and the last step that another run shares with it.
type Ancestor = (RunId, u64);

/// A fork of a fork of … ends here; run directories edited by hand could form a circle.
const MOST_GENERATIONS: usize = 100;

impl Studio {
    /// The step up to which two runs are the same: the one at which the later was forked. None when
    /// they have no common origin that is still listed.
    ///
    /// # Errors
    /// When there is no such run.
    pub fn parted_at(&self, a: &RunId, b: &RunId) -> Result<Option<u64>, StudioError> {
        Ok(parting(&self.ancestors(a)?, &self.ancestors(b)?))
    }

    /// The run itself, then its origins, each with the last step that the run shares with it.
    fn ancestors(&self, id: &RunId) -> Result<Vec<Ancestor>, StudioError> {
        let mut origin = self.record(id)?.meta.forked_from;
        let mut line = vec![(id.clone(), u64::MAX)];
        let mut shared = u64::MAX;
        while let Some(next) = origin.filter(|_| line.len() < MOST_GENERATIONS) {
            shared = shared.min(next.step);
            // An origin in the trash still names the family.
            origin = match self.record(&next.run) {
                Ok(record) => record.meta.forked_from,
                Err(_) => None,
            };
            line.push((next.run, shared));
        }
        Ok(line)
    }
}

/// The latest step that two lines of ancestors share.
fn parting(a: &[Ancestor], b: &[Ancestor]) -> Option<u64> {
    let shared = a.iter().filter_map(|(run, step)| {
        let (_, other) = b.iter().find(|(other, _)| other == run)?;
        Some(*step.min(other))
    });
    shared.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(ancestors: &[(&str, u64)]) -> Vec<Ancestor> {
        let ancestors = ancestors.iter();
        ancestors
            .map(|(run, step)| (RunId::from(*run), *step))
            .collect()
    }

    #[test]
    fn runs_part_where_the_earlier_fork_leaves() {
        let origin = line(&[("a", u64::MAX)]);
        let fork = line(&[("b", u64::MAX), ("a", 40)]);
        let sibling = line(&[("c", u64::MAX), ("a", 25)]);
        let grandchild = line(&[("d", u64::MAX), ("b", 60), ("a", 40)]);
        assert_eq!(parting(&origin, &fork), Some(40));
        assert_eq!(parting(&fork, &sibling), Some(25));
        assert_eq!(parting(&grandchild, &fork), Some(60));
        assert_eq!(parting(&grandchild, &sibling), Some(25));
        assert_eq!(parting(&fork, &line(&[("x", u64::MAX)])), None);
    }
}

//! The few groups of prototypes that colour a map, and the words that label them.

use std::sync::Arc;

use protoclip::prototypes::{Space, super_groups};
use serde::Serialize;

use super::super::prototypes::SnapshotView;
use super::super::{RunId, Studio, StudioError};

/// Groups: as many hues as can be told apart beside one another.
const GROUPS: usize = 10;
/// Largest prototypes that get words of their own.
const LABELLED: usize = 300;
const GROUP_WORDS: usize = 3;

/// The prototypes of one space in a few groups.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MapGroups {
    pub step: u64,
    pub space: Space,
    /// Largest first.
    pub groups: Vec<MapGroup>,
    /// The group of each prototype.
    pub of_prototype: Vec<u32>,
    /// Words of the largest prototypes.
    pub labels: Vec<PrototypeLabel>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MapGroup {
    pub words: Vec<String>,
    pub samples: usize,
    pub prototypes: usize,
}

/// Words of one prototype.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrototypeLabel {
    pub id: usize,
    pub size: usize,
    pub words: Vec<String>,
}

impl Studio {
    /// The prototypes of a space at a step in a few groups.
    ///
    /// # Errors
    /// When there is no such run, step or space.
    pub fn map_groups(
        &self,
        id: &RunId,
        step: Option<u64>,
        space: Space,
    ) -> Result<Arc<MapGroups>, StudioError> {
        let (view, _) = self.snapshot(id, step)?;
        let path = self.data_dir.run(id).prototype_file(view.step());
        let cache = match space {
            Space::Image => &self.map_groups[0],
            Space::Text => &self.map_groups[1],
            Space::Teacher => &self.map_groups[2],
        };
        cache.get(&path, |_| grouped(&view, space))
    }
}

fn grouped(view: &SnapshotView, space: Space) -> Result<MapGroups, StudioError> {
    let clusters = view.clusters(space)?;
    let members = &view.groups(space)?.members;
    let sizes: Vec<u32> = members.iter().map(|list| list.len() as u32).collect();
    let found = super_groups(&clusters.centroids, clusters.dim, &sizes, GROUPS)
        .map_err(|error| StudioError::Other(error.to_string()))?;
    let (of_prototype, count) = by_size(&found, &sizes);
    let mut of_group: Vec<Vec<&[u32]>> = vec![Vec::new(); count];
    for (list, &group) in members.iter().zip(&of_prototype) {
        of_group[group as usize].push(list);
    }
    let groups = of_group.iter().map(|lists| MapGroup {
        words: group_words(view, lists),
        samples: lists.iter().map(|list| list.len()).sum(),
        prototypes: lists.iter().filter(|list| !list.is_empty()).count(),
    });
    let groups = groups.collect();
    let mut largest: Vec<usize> = (0..members.len()).filter(|&p| sizes[p] > 0).collect();
    largest.sort_by_key(|&p| std::cmp::Reverse(sizes[p]));
    largest.truncate(LABELLED);
    let label = |p: usize| PrototypeLabel {
        id: p,
        size: members[p].len(),
        words: view.words(&members[p]),
    };
    Ok(MapGroups {
        step: view.step(),
        space,
        groups,
        labels: largest.into_iter().map(label).collect(),
        of_prototype,
    })
}

/// Groups numbered anew, those with most samples first; and how many there are.
pub(in super::super) fn by_size(groups: &[u32], sizes: &[u32]) -> (Vec<u32>, usize) {
    let count = groups.iter().max().map_or(0, |&most| most as usize + 1);
    let mut samples = vec![0_u64; count];
    for (&group, &size) in groups.iter().zip(sizes) {
        samples[group as usize] += u64::from(size);
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&group| std::cmp::Reverse(samples[group]));
    let mut place = vec![0; count];
    for (rank, &group) in order.iter().enumerate() {
        place[group] = rank as u32;
    }
    let renumbered = groups.iter().map(|&group| place[group as usize]);
    (renumbered.collect(), count)
}

/// Words of the nearest samples of every prototype in turn, so that each has its say.
pub(in super::super) fn group_words(view: &SnapshotView, lists: &[&[u32]]) -> Vec<String> {
    let longest = lists.iter().map(|list| list.len()).max().unwrap_or(0);
    let turns = (0..longest).flat_map(|at| lists.iter().filter_map(move |list| list.get(at)));
    let positions: Vec<u32> = turns.take(256).copied().collect();
    let mut words = view.words(&positions);
    words.truncate(GROUP_WORDS);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_with_most_samples_comes_first() {
        let (of_prototype, count) = by_size(&[0, 1, 0, 2], &[1, 9, 2, 0]);
        assert_eq!((of_prototype, count), (vec![1, 0, 1, 2], 3));
        assert_eq!(by_size(&[], &[]), (vec![], 0));
    }
}

//! The prototypes of a snapshot gathered into any number of groups.

use std::collections::BTreeMap;

use protoclip::prototypes::{Hierarchy, Space};
use serde::Serialize;

use super::super::maps::{by_size, group_words};
use super::super::{RunId, Studio, StudioError};
use super::page::image_url;
use super::snapshot_view::SnapshotView;

/// A cut through the hierarchy of the prototypes of one space.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrototypeCut {
    pub step: u64,
    pub episode: u64,
    /// Steps of all snapshots, ascending.
    pub steps: Vec<u64>,
    pub space: Space,
    pub spaces: Vec<Space>,
    /// Prototypes with samples: the most groups that a cut can have.
    pub most: usize,
    /// Groups of this cut.
    pub cut: usize,
    /// Whether every join is Ward's; with very many prototypes k-means makes bundles first.
    pub exact: bool,
    pub data_error: Option<String>,
    /// Largest first.
    pub groups: Vec<PrototypeGroup>,
    /// The group of each prototype, as a place in `groups`.
    pub of_prototype: Vec<u32>,
}

/// Prototypes that one group gathers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrototypeGroup {
    pub words: Vec<String>,
    pub samples: usize,
    /// Prototypes with samples.
    pub prototypes: usize,
    /// The largest of them.
    pub largest: Vec<GroupedPrototype>,
}

/// One prototype of a group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupedPrototype {
    pub prototype: usize,
    pub size: usize,
    pub words: Vec<String>,
    /// The sample nearest to its centroid.
    pub image_url: String,
    pub caption: String,
}

/// Groups of a cut unless asked otherwise.
const GROUPS: usize = 12;
/// Prototypes that represent a group.
const REPRESENTATIVES: usize = 8;

impl Studio {
    /// The prototypes of a space gathered into `cut` groups by Ward's method; into twelve unless
    /// given, and at most one for each prototype with samples.
    ///
    /// # Errors
    /// When the run, the step or the space has none, or a file cannot be read.
    pub fn prototype_cut(
        &self,
        id: &RunId,
        step: Option<u64>,
        space: Space,
        cut: Option<usize>,
    ) -> Result<PrototypeCut, StudioError> {
        let (view, steps) = self.snapshot(id, step)?;
        let hierarchy = view.hierarchy(space)?;
        let cut = cut.unwrap_or(GROUPS).clamp(1, hierarchy.most().max(1));
        let found = cut_at(&view, space, hierarchy, cut)?;
        Ok(PrototypeCut { steps, ..found })
    }
}

fn cut_at(
    view: &SnapshotView,
    space: Space,
    hierarchy: &Hierarchy,
    cut: usize,
) -> Result<PrototypeCut, StudioError> {
    let members = &view.groups(space)?.members;
    let sizes: Vec<u32> = members.iter().map(|list| list.len() as u32).collect();
    let (of_prototype, _) = by_size(&hierarchy.cut(cut), &sizes);
    let mut gathered: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (prototype, &group) in of_prototype.iter().enumerate() {
        if sizes[prototype] > 0 {
            gathered.entry(group).or_default().push(prototype);
        }
    }
    Ok(PrototypeCut {
        step: view.step(),
        episode: view.episode(),
        steps: Vec::new(),
        space,
        spaces: view.spaces(),
        most: hierarchy.most(),
        cut,
        exact: hierarchy.is_exact(),
        data_error: view.data_error(),
        groups: gathered
            .into_values()
            .map(|list| group(view, members, list))
            .collect(),
        of_prototype,
    })
}

fn group(view: &SnapshotView, members: &[Vec<u32>], mut list: Vec<usize>) -> PrototypeGroup {
    list.sort_by_key(|&prototype| std::cmp::Reverse(members[prototype].len()));
    let lists: Vec<&[u32]> = list.iter().map(|&p| members[p].as_slice()).collect();
    let largest = list.iter().filter_map(|&prototype| {
        let nearest = *members[prototype].first()?;
        Some(GroupedPrototype {
            prototype,
            size: members[prototype].len(),
            words: view.words(&members[prototype]),
            image_url: image_url(view, view.samples()[nearest as usize]),
            caption: view.caption(nearest).to_owned(),
        })
    });
    PrototypeGroup {
        words: group_words(view, &lists),
        samples: lists.iter().map(|list| list.len()).sum(),
        prototypes: list.len(),
        largest: largest.take(REPRESENTATIVES).collect(),
    }
}

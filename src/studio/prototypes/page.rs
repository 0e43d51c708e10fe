//! View values of prototypes: cards for the list, details for one.

use protoclip::prototypes::{Space, SpaceClusters};
use serde::Serialize;

use super::super::{PicturesCompared, StudioError};
use super::health::{self, Health, HealthCount};
use super::overlap::{BestOverlap, best_overlaps};
use super::snapshot_view::SnapshotView;
use super::{CARD_SAMPLES, MOST_CARDS, PrototypeQuery, PrototypeSort};

/// A page of prototypes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrototypePage {
    pub step: u64,
    pub episode: u64,
    /// Steps of all snapshots, ascending.
    pub steps: Vec<u64>,
    pub space: Space,
    /// Spaces that can be chosen.
    pub spaces: Vec<Space>,
    /// Prototypes of the space.
    pub count: usize,
    /// Those without a sample.
    pub empty: usize,
    /// Samples of the episode.
    pub samples: usize,
    /// Prototypes that match the filter, of which `prototypes` shows a part.
    pub matching: usize,
    pub offset: usize,
    /// Why captions and pictures are absent, if they are.
    pub data_error: Option<String>,
    /// How many prototypes show each sign, whatever the filter.
    pub health: Vec<HealthCount>,
    /// Pictures that were compared so far; duplicates are counted among these.
    pub pictures: PicturesCompared,
    pub prototypes: Vec<PrototypeCard>,
}

/// A prototype in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrototypeCard {
    pub id: usize,
    /// Samples assigned to it.
    pub size: usize,
    /// Mean Euclidean distance of its samples to the centroid; smaller is tighter.
    pub tightness: Option<f32>,
    /// 1 − Jaccard overlap with the most alike prototype of the episode before, in [0, 1].
    pub change: Option<f64>,
    /// That prototype of the episode before.
    pub predecessor: Option<u32>,
    /// Share of its samples with their most common label, in (0, 1]; absent without labels. Labels
    /// are for looking only: training never sees them.
    pub purity: Option<f64>,
    /// That label.
    pub label: Option<String>,
    /// Signs that something may be wrong with it.
    pub health: Vec<Health>,
    /// Samples whose picture another one of the prototype has too.
    pub duplicates: usize,
    /// The words that its captions use more than others do, best first.
    pub words: Vec<String>,
    /// Samples nearest to the centroid first.
    pub samples: Vec<SampleView>,
}

/// A sample of a prototype.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampleView {
    pub sample: u32,
    pub caption: String,
    pub image_url: String,
    /// Euclidean distance to the centroid.
    pub distance: f32,
}

/// One prototype in full.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrototypeDetail {
    pub step: u64,
    pub episode: u64,
    pub steps: Vec<u64>,
    pub space: Space,
    pub spaces: Vec<Space>,
    /// Prototypes of the space.
    pub count: usize,
    pub data_error: Option<String>,
    /// The prototype; its samples are all of them.
    pub prototype: PrototypeCard,
    /// The most alike prototype of each other space.
    pub overlaps: Vec<OverlapView>,
    /// The nearest prototypes of the same space, nearest first.
    pub neighbours: Vec<NeighbourView>,
}

/// The prototype of another space that shares most samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OverlapView {
    pub space: Space,
    pub prototype: u32,
    /// Samples in both.
    pub shared: u32,
    /// Samples in both over samples in either, in (0, 1].
    pub jaccard: f64,
    pub words: Vec<String>,
}

/// A prototype near another one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NeighbourView {
    pub prototype: usize,
    pub size: usize,
    /// Euclidean distance between the centroids.
    pub distance: f32,
    pub words: Vec<String>,
    pub image_url: Option<String>,
}

/// Width of pictures in lists, in pixels.
const PICTURE: u32 = 96;
const NEIGHBOURS: usize = 8;

pub(super) fn page(
    view: &SnapshotView,
    previous: Option<&SnapshotView>,
    steps: Vec<u64>,
    query: &PrototypeQuery,
) -> Result<PrototypePage, StudioError> {
    let clusters = view.clusters(query.space)?;
    let groups = view.groups(query.space)?;
    let lineage = lineage(view, previous, query.space)?;
    let pictures = health::compare_pictures(view);
    let signs: Vec<Vec<Health>> = groups
        .members
        .iter()
        .map(|members| health::signs(view, members, clusters.count))
        .collect();
    let mut chosen: Vec<usize> = (0..clusters.count)
        .filter(|&id| query.health.is_none_or(|sign| signs[id].contains(&sign)))
        .filter(|&id| matches(view, &groups.members[id], &query.text))
        .collect();
    sort(&mut chosen, query.sort, |id| {
        let size = groups.members[id].len();
        (size, groups.tightness[id], change(lineage.get(id)))
    });
    let shown = chosen
        .iter()
        .skip(query.offset)
        .take(query.limit.min(MOST_CARDS));
    let prototypes = shown
        .map(|&id| card(view, query.space, id, lineage.get(id), CARD_SAMPLES))
        .collect::<Result<_, _>>()?;
    Ok(PrototypePage {
        step: view.step(),
        episode: view.episode(),
        steps,
        space: query.space,
        spaces: view.spaces(),
        count: clusters.count,
        empty: groups.members.iter().filter(|m| m.is_empty()).count(),
        samples: view.samples().len(),
        matching: chosen.len(),
        offset: query.offset,
        data_error: view.data_error(),
        health: health::counts(signs.iter().map(Vec::as_slice)),
        pictures,
        prototypes,
    })
}

pub(super) fn detail(
    view: &SnapshotView,
    previous: Option<&SnapshotView>,
    steps: Vec<u64>,
    space: Space,
    prototype: usize,
) -> Result<PrototypeDetail, StudioError> {
    let clusters = view.clusters(space)?;
    if prototype >= clusters.count {
        return Err(view.no_such(space, prototype));
    }
    let lineage = lineage(view, previous, space)?;
    health::compare_pictures(view);
    Ok(PrototypeDetail {
        step: view.step(),
        episode: view.episode(),
        steps,
        space,
        spaces: view.spaces(),
        count: clusters.count,
        data_error: view.data_error(),
        prototype: card(view, space, prototype, lineage.get(prototype), usize::MAX)?,
        overlaps: overlaps(view, space, prototype)?,
        neighbours: neighbours(view, space, prototype)?,
    })
}

type Lineage = Vec<Option<BestOverlap>>;

/// For each prototype, the most alike one of the snapshot before; empty when there is none.
fn lineage(
    view: &SnapshotView,
    previous: Option<&SnapshotView>,
    space: Space,
) -> Result<Lineage, StudioError> {
    let Some(previous) = previous else {
        return Ok(Vec::new());
    };
    let clusters = view.clusters(space)?;
    let before = view.assignments_in(previous, space);
    Ok(best_overlaps(
        &clusters.assignments,
        clusters.count,
        &before,
    ))
}

fn change(lineage: Option<&Option<BestOverlap>>) -> Option<f64> {
    lineage.copied().flatten().map(|best| 1.0 - best.jaccard)
}

fn matches(view: &SnapshotView, members: &[u32], text: &str) -> bool {
    let text = text.trim().to_lowercase();
    text.is_empty()
        || members
            .iter()
            .any(|&position| view.caption(position).to_lowercase().contains(&text))
}

/// Sorts by what `facts` says of each: size, tightness, change.
fn sort(
    ids: &mut [usize],
    by: PrototypeSort,
    facts: impl Fn(usize) -> (usize, Option<f32>, Option<f64>),
) {
    match by {
        PrototypeSort::Id => {}
        PrototypeSort::Size => ids.sort_by_key(|&id| std::cmp::Reverse(facts(id).0)),
        PrototypeSort::Tightness => ids.sort_by(|&a, &b| {
            let tightness = |id| facts(id).1.unwrap_or(f32::INFINITY);
            tightness(a).total_cmp(&tightness(b))
        }),
        PrototypeSort::Change => ids.sort_by(|&a, &b| {
            let change = |id| facts(id).2.unwrap_or(-1.0);
            change(b).total_cmp(&change(a))
        }),
    }
}

fn card(
    view: &SnapshotView,
    space: Space,
    id: usize,
    lineage: Option<&Option<BestOverlap>>,
    most: usize,
) -> Result<PrototypeCard, StudioError> {
    let clusters = view.clusters(space)?;
    let groups = view.groups(space)?;
    let members = &groups.members[id];
    let samples = members.iter().take(most);
    let (label, purity) = view.commonest_label(members).unzip();
    Ok(PrototypeCard {
        id,
        size: members.len(),
        tightness: groups.tightness[id],
        change: change(lineage),
        predecessor: lineage.copied().flatten().map(|best| best.other),
        purity,
        label,
        health: health::signs(view, members, clusters.count),
        duplicates: health::duplicates(view, members),
        words: view.words(members),
        samples: samples
            .map(|&position| sample(view, clusters, position))
            .collect(),
    })
}

fn sample(view: &SnapshotView, clusters: &SpaceClusters, position: u32) -> SampleView {
    let sample = view.samples()[position as usize];
    SampleView {
        sample,
        caption: view.caption(position).to_owned(),
        image_url: image_url(view, sample),
        distance: clusters.distances[position as usize],
    }
}

pub(in super::super) fn image_url(view: &SnapshotView, sample: u32) -> String {
    format!(
        "/api/datasets/{}/samples/{sample}/image?size={PICTURE}&v={}",
        view.data_set(),
        view.data_version()
    )
}

fn overlaps(
    view: &SnapshotView,
    space: Space,
    prototype: usize,
) -> Result<Vec<OverlapView>, StudioError> {
    let own = view.clusters(space)?;
    let mut found = Vec::new();
    for other in view.spaces().into_iter().filter(|other| *other != space) {
        let theirs = view.clusters(other)?;
        let best = best_overlaps(&own.assignments, own.count, &theirs.assignments);
        if let Some(best) = best[prototype] {
            found.push(OverlapView {
                space: other,
                prototype: best.other,
                shared: best.shared,
                jaccard: best.jaccard,
                words: view.words(&view.groups(other)?.members[best.other as usize]),
            });
        }
    }
    Ok(found)
}

fn neighbours(
    view: &SnapshotView,
    space: Space,
    prototype: usize,
) -> Result<Vec<NeighbourView>, StudioError> {
    let clusters = view.clusters(space)?;
    let groups = view.groups(space)?;
    let centroid = |id: usize| &clusters.centroids[id * clusters.dim..(id + 1) * clusters.dim];
    let mut near: Vec<(f32, usize)> = (0..clusters.count)
        .filter(|&id| id != prototype && !groups.members[id].is_empty())
        .map(|id| (distance(centroid(prototype), centroid(id)), id))
        .collect();
    near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    near.truncate(NEIGHBOURS);
    let described = near.into_iter().map(|(distance, id)| {
        let members = &groups.members[id];
        let nearest = members.first().map(|&p| view.samples()[p as usize]);
        NeighbourView {
            prototype: id,
            size: members.len(),
            distance,
            words: view.words(members),
            image_url: nearest.map(|sample| image_url(view, sample)),
        }
    });
    Ok(described.collect())
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_with_absent_values_last_and_ties_by_number() {
        let facts = [
            (3, Some(0.5), None),
            (0, None, None),
            (3, Some(0.2), Some(0.9)),
            (7, Some(0.5), Some(0.1)),
        ];
        let sorted = |by| {
            let mut ids: Vec<usize> = (0..4).collect();
            sort(&mut ids, by, |id| facts[id]);
            ids
        };
        assert_eq!(sorted(PrototypeSort::Id), [0, 1, 2, 3]);
        assert_eq!(sorted(PrototypeSort::Size), [3, 0, 2, 1]);
        assert_eq!(sorted(PrototypeSort::Tightness), [2, 0, 3, 1]);
        assert_eq!(sorted(PrototypeSort::Change), [2, 3, 0, 1]);
    }
}

//! Where the groups and the streams of a river lie, for the page and for figures: a pure function.

use super::river::{River, RiverColumn, RiverFlow, RiverGroup};

/// A river laid out in a box of [`RiverLayout::WIDTH`] × [`RiverLayout::HEIGHT`].
#[derive(Debug, Clone, PartialEq)]
pub struct RiverLayout {
    /// Left edge of each column's groups.
    pub columns: Vec<f64>,
    /// Per column, where each group lies.
    pub places: Vec<Vec<RiverPlace>>,
    pub streams: Vec<RiverStream>,
}

/// Where a group lies.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RiverPlace {
    pub y: f64,
    pub height: f64,
    /// Colour, below [`RiverLayout::HUES`]; a group has that of the one that it continues.
    pub hue: usize,
}

/// What flows from a group to one of the next column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RiverStream {
    pub flow: RiverFlow,
    /// Where it leaves and arrives.
    pub x: (f64, f64),
    /// Upper and lower edge where it leaves, then where it arrives.
    pub left: (f64, f64),
    pub right: (f64, f64),
    pub hue: usize,
}

const TOP: f64 = 8.0;
const LEFT: f64 = 8.0;
const GAP: f64 = 8.0;

impl RiverLayout {
    pub const WIDTH: f64 = 1000.0;
    pub const HEIGHT: f64 = 440.0;
    /// Width of a group.
    pub const NODE: f64 = 12.0;
    /// Room for the labels of the last column.
    pub const RIGHT: f64 = 130.0;
    /// Height of a column's groups with the gaps between.
    pub const COLUMN: f64 = 400.0;
    /// Colours that there are.
    pub const HUES: usize = 8;
    /// Lower groups get no label.
    pub const LABELLED: f64 = 11.0;

    pub fn of(river: &River) -> Self {
        let last = river.columns.len().saturating_sub(1).max(1) as f64;
        let x = |column: usize| LEFT + (Self::WIDTH - LEFT - Self::RIGHT) * column as f64 / last;
        let places = places(river);
        let columns: Vec<f64> = (0..river.columns.len()).map(x).collect();
        Self {
            streams: streams(river, &places, &columns),
            columns,
            places,
        }
    }
}

/// Columns in order: the first by size, the others so that streams cross little; colours follow what
/// continues.
fn places(river: &River) -> Vec<Vec<RiverPlace>> {
    let mut all: Vec<Vec<RiverPlace>> = Vec::new();
    for (at, column) in river.columns.iter().enumerate() {
        let mut order: Vec<usize> = (0..column.groups.len()).collect();
        if let Some(before) = all.last() {
            let height = |group: usize| middle(river, at - 1, group as u32, before);
            order.sort_by(|&a, &b| height(a).total_cmp(&height(b)));
        }
        let hues = hues(column, all.last().map(Vec::as_slice));
        let total: usize = column.groups.iter().map(|group| group.samples).sum();
        let room = RiverLayout::COLUMN - GAP * column.groups.len().saturating_sub(1) as f64;
        let mut places = vec![RiverPlace::default(); column.groups.len()];
        let mut y = TOP;
        for group in order {
            let share = column.groups[group].samples as f64 / total.max(1) as f64;
            let height = room * share;
            places[group] = RiverPlace {
                y,
                height,
                hue: hues[group],
            };
            y += height + GAP;
        }
        all.push(places);
    }
    all
}

/// Mean height that the samples of a group come from; the floor when none is known.
fn middle(river: &River, column: usize, group: u32, before: &[RiverPlace]) -> f64 {
    let into = river
        .flows
        .iter()
        .filter(|f| f.column == column && f.to == group);
    let (mut sum, mut samples) = (0.0, 0.0);
    for flow in into {
        let place = before[flow.from as usize];
        sum += f64::from(flow.samples) * (place.y + place.height / 2.0);
        samples += f64::from(flow.samples);
    }
    if samples > 0.0 {
        sum / samples
    } else {
        RiverLayout::COLUMN
    }
}

fn hues(column: &RiverColumn, before: Option<&[RiverPlace]>) -> Vec<usize> {
    let known = |group: &RiverGroup| Some(before?.get(group.continues? as usize)?.hue);
    let mut hues: Vec<Option<usize>> = column.groups.iter().map(known).collect();
    // A new group takes a colour that the column before does not have, as long as there is one.
    let seen = |hue: &usize| before.is_some_and(|places| places.iter().any(|p| p.hue == *hue));
    let free = (0..RiverLayout::HUES).filter(|hue| !hues.contains(&Some(*hue)));
    let (old, mut free): (Vec<usize>, Vec<usize>) = free.rev().partition(seen);
    free.splice(0..0, old);
    for (at, hue) in hues.iter_mut().enumerate() {
        *hue = hue.or_else(|| free.pop()).or(Some(at % RiverLayout::HUES));
    }
    hues.into_iter().flatten().collect()
}

fn streams(river: &River, places: &[Vec<RiverPlace>], columns: &[f64]) -> Vec<RiverStream> {
    let mut flows: Vec<&RiverFlow> = river.flows.iter().collect();
    // Streams leave and arrive in the order of their other ends, so that they cross little.
    let starts = |flow: &RiverFlow| places[flow.column][flow.from as usize];
    let ends = |flow: &RiverFlow| places[flow.column + 1][flow.to as usize];
    let mut left = vec![(0.0, 0.0); flows.len()];
    let mut right = left.clone();
    let mut order: Vec<usize> = (0..flows.len()).collect();
    flows.sort_by(|a, b| {
        (a.column, a.from)
            .cmp(&(b.column, b.from))
            .then(ends(a).y.total_cmp(&ends(b).y))
    });
    let size = |column: usize, group: u32| river.columns[column].groups[group as usize].samples;
    let mut y = (usize::MAX, u32::MAX, 0.0);
    for (at, flow) in flows.iter().enumerate() {
        let place = starts(flow);
        if (y.0, y.1) != (flow.column, flow.from) {
            y = (flow.column, flow.from, place.y);
        }
        let part = f64::from(flow.samples) / size(flow.column, flow.from).max(1) as f64;
        left[at] = (y.2, y.2 + place.height * part);
        y.2 = left[at].1;
    }
    order.sort_by(|&a, &b| {
        let (a, b) = (flows[a], flows[b]);
        (a.column, a.to)
            .cmp(&(b.column, b.to))
            .then(starts(a).y.total_cmp(&starts(b).y))
    });
    let mut y = (usize::MAX, u32::MAX, 0.0);
    for at in order {
        let (flow, place) = (flows[at], ends(flows[at]));
        if (y.0, y.1) != (flow.column, flow.to) {
            y = (flow.column, flow.to, place.y);
        }
        let part = f64::from(flow.samples) / size(flow.column + 1, flow.to).max(1) as f64;
        right[at] = (y.2, y.2 + place.height * part);
        y.2 = right[at].1;
    }
    let laid = flows.iter().enumerate().map(|(at, flow)| RiverStream {
        flow: **flow,
        x: (
            columns[flow.column] + RiverLayout::NODE,
            columns[flow.column + 1],
        ),
        left: left[at],
        right: right[at],
        hue: starts(flow).hue,
    });
    laid.collect()
}

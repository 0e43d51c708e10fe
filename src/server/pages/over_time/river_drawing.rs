//! Groups of prototypes as a river: one column for each snapshot, samples flowing between.

use super::super::address::percent;
use super::super::figures::grouped;
use super::super::prototypes::prototype_href;
use crate::studio::{River, RiverColumn, RiverFlow, RiverGroup};

/// The drawing, in a box of 1000 × 440, and its table.
#[derive(Debug)]
pub(super) struct RiverDrawing {
    pub(super) nodes: Vec<Node>,
    pub(super) streams: Vec<Stream>,
    pub(super) columns: Vec<(String, String, String)>,
    pub(super) summary: String,
    pub(super) rows: Vec<Row>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) height: String,
    pub(super) label: String,
    pub(super) label_x: String,
    pub(super) label_y: String,
    pub(super) hue: usize,
    pub(super) title: String,
    pub(super) href: String,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) path: String,
    pub(super) hue: usize,
    pub(super) title: String,
}

/// One flow of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) steps: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) samples: String,
    pub(super) continues: bool,
}

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 400.0;
const TOP: f64 = 8.0;
const LEFT: f64 = 8.0;
/// Room for the labels of the last column.
const RIGHT: f64 = 130.0;
const NODE: f64 = 12.0;
const GAP: f64 = 8.0;
/// Colours that there are.
const HUES: usize = 8;
/// Lower nodes get no label.
const LABELLED: f64 = 11.0;

/// Where a group lies.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    y: f64,
    height: f64,
    hue: usize,
}

impl RiverDrawing {
    pub(super) fn new(run: &str, river: &River) -> Self {
        let places = places(river);
        let x = |column: usize| {
            let last = river.columns.len().saturating_sub(1).max(1) as f64;
            LEFT + (WIDTH - LEFT - RIGHT) * column as f64 / last
        };
        let columns = river.columns.iter().enumerate();
        let nodes = columns.clone().flat_map(|(at, column)| {
            let groups = column.groups.iter().zip(&places[at]);
            groups.map(move |(group, place)| (at, column.step, group, place))
        });
        let space = river.space.name();
        Self {
            nodes: nodes
                .map(|(at, step, group, place)| {
                    Node::new((run, space), step, group, (x(at), place))
                })
                .collect(),
            streams: streams(river, &places, x),
            columns: columns
                .map(|(at, column)| {
                    let href = format!(
                        "/runs/{}/prototypes/groups?space={space}&step={}&cut=8",
                        percent(run),
                        column.step
                    );
                    (fixed(x(at)), grouped(column.step), href)
                })
                .collect(),
            summary: summary(river),
            rows: rows(river),
        }
    }
}

impl Node {
    fn new(
        (run, space): (&str, &str),
        step: u64,
        group: &RiverGroup,
        (x, place): (f64, &Place),
    ) -> Self {
        let words = named(group);
        Self {
            x: fixed(x),
            y: fixed(place.y),
            height: fixed(place.height.max(1.0)),
            label: match place.height >= LABELLED {
                true => group
                    .words
                    .iter()
                    .take(2)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", "),
                false => String::new(),
            },
            label_x: fixed(x + NODE + 4.0),
            label_y: fixed(place.y + place.height / 2.0 + 4.0),
            hue: place.hue + 1,
            title: format!(
                "Step {}: {words}, {} samples in {} prototypes",
                grouped(step),
                grouped(group.samples as u64),
                grouped(group.prototypes as u64)
            ),
            href: prototype_href(run, group.largest.unwrap_or(0), space, step),
        }
    }
}

/// Columns in order: the first by size, the others so that streams cross little; colours follow what
/// continues.
fn places(river: &River) -> Vec<Vec<Place>> {
    let mut all: Vec<Vec<Place>> = Vec::new();
    for (at, column) in river.columns.iter().enumerate() {
        let mut order: Vec<usize> = (0..column.groups.len()).collect();
        if let Some(before) = all.last() {
            let height = |group: usize| middle(river, at - 1, group as u32, before);
            order.sort_by(|&a, &b| height(a).total_cmp(&height(b)));
        }
        let hues = hues(column, all.last().map(Vec::as_slice));
        let total: usize = column.groups.iter().map(|group| group.samples).sum();
        let room = HEIGHT - GAP * column.groups.len().saturating_sub(1) as f64;
        let mut places = vec![Place::default(); column.groups.len()];
        let mut y = TOP;
        for group in order {
            let share = column.groups[group].samples as f64 / total.max(1) as f64;
            let height = room * share;
            places[group] = Place {
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
fn middle(river: &River, column: usize, group: u32, before: &[Place]) -> f64 {
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
    if samples > 0.0 { sum / samples } else { HEIGHT }
}

fn hues(column: &RiverColumn, before: Option<&[Place]>) -> Vec<usize> {
    let known = |group: &RiverGroup| Some(before?.get(group.continues? as usize)?.hue);
    let mut hues: Vec<Option<usize>> = column.groups.iter().map(known).collect();
    // A new group takes a colour that the column before does not have, as long as there is one.
    let seen = |hue: &usize| before.is_some_and(|places| places.iter().any(|p| p.hue == *hue));
    let free = (0..HUES).filter(|hue| !hues.contains(&Some(*hue)));
    let (old, mut free): (Vec<usize>, Vec<usize>) = free.rev().partition(seen);
    free.splice(0..0, old);
    for (at, hue) in hues.iter_mut().enumerate() {
        *hue = hue.or_else(|| free.pop()).or(Some(at % HUES));
    }
    hues.into_iter().flatten().collect()
}

fn streams(river: &River, places: &[Vec<Place>], x: impl Fn(usize) -> f64) -> Vec<Stream> {
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
    let drawn = flows.iter().enumerate().map(|(at, flow)| {
        let (from, to) = (x(flow.column) + NODE, x(flow.column + 1));
        Stream {
            path: ribbon((from, left[at]), (to, right[at])),
            hue: starts(flow).hue + 1,
            title: told(river, flow),
        }
    });
    drawn.collect()
}

fn ribbon((from, left): (f64, (f64, f64)), (to, right): (f64, (f64, f64))) -> String {
    let middle = f64::midpoint(from, to);
    format!(
        "M{from:.1} {:.1}C{middle:.1} {:.1} {middle:.1} {:.1} {to:.1} {:.1}\
         V{:.1}C{middle:.1} {:.1} {middle:.1} {:.1} {from:.1} {:.1}Z",
        left.0, left.0, right.0, right.0, right.1, right.1, left.1, left.1
    )
}

fn told(river: &River, flow: &RiverFlow) -> String {
    let group = |column: usize, group: u32| named(&river.columns[column].groups[group as usize]);
    format!(
        "{} samples from {} to {}",
        grouped(u64::from(flow.samples)),
        group(flow.column, flow.from),
        group(flow.column + 1, flow.to)
    )
}

fn named(group: &RiverGroup) -> String {
    match group.words.is_empty() {
        true => "a group without words".into(),
        false => group.words.join(", "),
    }
}

fn rows(river: &River) -> Vec<Row> {
    let mut flows: Vec<&RiverFlow> = river.flows.iter().collect();
    flows.sort_by(|a, b| b.column.cmp(&a.column).then(b.samples.cmp(&a.samples)));
    let row = |flow: &&RiverFlow| {
        let (before, after) = (&river.columns[flow.column], &river.columns[flow.column + 1]);
        let (from, to) = (
            &before.groups[flow.from as usize],
            &after.groups[flow.to as usize],
        );
        Row {
            steps: format!("{} to {}", grouped(before.step), grouped(after.step)),
            from: named(from),
            to: named(to),
            samples: grouped(u64::from(flow.samples)),
            continues: to.continues == Some(flow.from),
        }
    };
    flows.iter().map(row).collect()
}

fn summary(river: &River) -> String {
    let later = river
        .columns
        .iter()
        .skip(1)
        .flat_map(|column| &column.groups);
    let continued = later
        .clone()
        .filter(|group| group.continues.is_some())
        .count();
    format!(
        "{} snapshots of the {} space in {} groups each at most: {} of {} later groups continue one of \
         the snapshot before",
        river.columns.len(),
        river.space.name(),
        HUES,
        continued,
        later.count()
    )
}

fn fixed(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use protoclip::prototypes::Space;

    use super::*;

    fn group(word: &str, samples: usize, continues: Option<u32>) -> RiverGroup {
        RiverGroup {
            words: vec![word.into()],
            samples,
            prototypes: 1,
            largest: Some(3),
            continues,
        }
    }

    #[test]
    fn streams_fill_the_groups_and_colours_follow_what_continues() {
        let flow = |from, to, samples| RiverFlow {
            column: 0,
            from,
            to,
            samples,
        };
        let column = |step, groups| RiverColumn {
            step,
            episode: 0,
            groups,
        };
        let river = River {
            space: Space::Image,
            columns: vec![
                column(4, vec![group("a", 6, None), group("b", 4, None)]),
                column(8, vec![group("c", 7, Some(1)), group("d", 3, None)]),
            ],
            flows: vec![flow(0, 0, 3), flow(0, 1, 3), flow(1, 0, 4)],
        };
        let places = places(&river);
        assert_eq!(places[1][0].hue, places[0][1].hue, "c continues b");
        assert!(
            !places[0].iter().any(|place| place.hue == places[1][1].hue),
            "d is new"
        );
        let drawing = RiverDrawing::new("r", &river);
        assert_eq!((drawing.nodes.len(), drawing.streams.len()), (4, 3));
        let filled: f64 = places[0].iter().map(|place| place.height).sum();
        assert!((filled - (HEIGHT - GAP)).abs() < 1e-9, "{filled}");
        assert_eq!(drawing.rows[0].samples, "4");
        assert!(drawing.rows[0].continues);
        assert!(
            drawing.summary.contains("1 of 2 later groups"),
            "{}",
            drawing.summary
        );
    }
}

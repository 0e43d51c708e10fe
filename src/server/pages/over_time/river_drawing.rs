//! Groups of prototypes as a river: one column for each snapshot, samples flowing between.

use super::super::address::percent;
use super::super::figures::grouped;
use super::super::prototypes::prototype_href;
use crate::studio::{River, RiverFlow, RiverGroup, RiverLayout, RiverPlace, RiverStream};

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

impl RiverDrawing {
    pub(super) fn new(run: &str, river: &River) -> Self {
        let layout = RiverLayout::of(river);
        let x = |column: usize| layout.columns[column];
        let columns = river.columns.iter().enumerate();
        let nodes = columns.clone().flat_map(|(at, column)| {
            let groups = column.groups.iter().zip(&layout.places[at]);
            groups.map(move |(group, place)| (at, column.step, group, place))
        });
        let space = river.space.name();
        Self {
            nodes: nodes
                .map(|(at, step, group, place)| {
                    Node::new((run, space), step, group, (x(at), place))
                })
                .collect(),
            streams: layout
                .streams
                .iter()
                .map(|stream| Stream::new(river, stream))
                .collect(),
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
        (x, place): (f64, &RiverPlace),
    ) -> Self {
        let words = named(group);
        Self {
            x: fixed(x),
            y: fixed(place.y),
            height: fixed(place.height.max(1.0)),
            label: match place.height >= RiverLayout::LABELLED {
                true => group
                    .words
                    .iter()
                    .take(2)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", "),
                false => String::new(),
            },
            label_x: fixed(x + RiverLayout::NODE + 4.0),
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

impl Stream {
    fn new(river: &River, stream: &RiverStream) -> Self {
        Self {
            path: ribbon((stream.x.0, stream.left), (stream.x.1, stream.right)),
            hue: stream.hue + 1,
            title: told(river, &stream.flow),
        }
    }
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
        RiverLayout::HUES,
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

    use crate::studio::RiverColumn;

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
        let places = RiverLayout::of(&river).places;
        assert_eq!(places[1][0].hue, places[0][1].hue, "c continues b");
        assert!(
            !places[0].iter().any(|place| place.hue == places[1][1].hue),
            "d is new"
        );
        let drawing = RiverDrawing::new("r", &river);
        assert_eq!((drawing.nodes.len(), drawing.streams.len()), (4, 3));
        let filled: f64 = places[0].iter().map(|place| place.height).sum();
        assert!(
            (filled - (RiverLayout::COLUMN - 8.0)).abs() < 1e-9,
            "{filled}"
        );
        assert_eq!(drawing.rows[0].samples, "4");
        assert!(drawing.rows[0].continues);
        assert!(
            drawing.summary.contains("1 of 2 later groups"),
            "{}",
            drawing.summary
        );
    }
}

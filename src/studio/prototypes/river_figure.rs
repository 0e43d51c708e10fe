//! The river of prototype groups for a paper.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use protoclip::prototypes::Space;

use super::super::figure::{Drawn, FAMILY, Figure, FigureLook, INK, Painting, draw};
use super::super::{RunId, Studio, StudioError};
use super::river::{River, RiverGroup};
use super::river_layout::{RiverLayout, RiverPlace, RiverStream};

/// Pixels of one unit of the layout.
const SCALE: f64 = 1.2;
const HEADER: f64 = 44.0;
const SIZE: (u32, u32) = (1200, 580);
/// Corners of one edge of a stream.
const CORNERS: u32 = 32;
/// The colours of the page in their order; the last two lie between their neighbours.
const HUES: [RGBColor; RiverLayout::HUES] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    INK,
    RGBColor(86, 180, 233),
    RGBColor(120, 110, 50),
];

struct RiverFigure<'a> {
    river: &'a River,
    title: &'a str,
}

impl Studio {
    /// Draws [`Studio::prototype_river`].
    ///
    /// # Errors
    /// As there, and when there is but one snapshot.
    pub fn prototype_river_figure(
        &self,
        id: &RunId,
        step: Option<u64>,
        (space, look): (Space, FigureLook),
    ) -> Result<Figure, StudioError> {
        let river = self.prototype_river(id, step, space)?;
        let (first, last) = match river.columns.as_slice() {
            [first, .., last] => (first.step, last.step),
            _ => {
                let message = "the river starts with the second snapshot, and there is one so far";
                return Err(StudioError::NotFound(message.into()));
            }
        };
        let name = self.run(id)?.name;
        let title = &format!(
            "{name}: groups of {} prototypes, steps {first} to {last}",
            space.name()
        );
        let river = &river;
        draw(&RiverFigure { river, title }, title, look.format)
    }
}

impl Painting for RiverFigure<'_> {
    fn size(&self) -> (u32, u32) {
        SIZE
    }

    fn paint<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn
    where
        D::ErrorType: 'static,
    {
        area.fill(&WHITE)?;
        let text = |size: u32| (FAMILY, size).into_font().color(&INK);
        area.draw(&Text::new(self.title, pixel(8.0, -22.0), text(20)))?;
        let layout = RiverLayout::of(self.river);
        for stream in &layout.streams {
            area.draw(&Polygon::new(outline(stream), HUES[stream.hue].mix(0.35)))?;
        }
        let beside = text(15).pos(Pos::new(HPos::Left, VPos::Center));
        let under = text(15).pos(Pos::new(HPos::Left, VPos::Top));
        for (column, (&x, places)) in layout.columns.iter().zip(&layout.places).enumerate() {
            let at = &self.river.columns[column];
            for (group, place) in at.groups.iter().zip(places) {
                area.draw(&Rectangle::new(node(x, place), HUES[place.hue].filled()))?;
                if place.height >= RiverLayout::LABELLED {
                    let middle = place.y + place.height / 2.0;
                    let label_at = pixel(x + RiverLayout::NODE + 4.0, middle);
                    area.draw(&Text::new(label(group), label_at, beside.clone()))?;
                }
            }
            let step = format!("step {}", at.step);
            area.draw(&Text::new(step, pixel(x, 420.0), under.clone()))?;
        }
        area.present()?;
        Ok(())
    }
}

fn label(group: &RiverGroup) -> String {
    let words: Vec<&str> = group.words.iter().take(2).map(String::as_str).collect();
    words.join(", ")
}

fn node(x: f64, place: &RiverPlace) -> [(i32, i32); 2] {
    let bottom = place.y + place.height.max(1.0);
    [pixel(x, place.y), pixel(x + RiverLayout::NODE, bottom)]
}

/// Both edges of a stream, as the page's curves: flat where they leave and arrive.
fn outline(stream: &RiverStream) -> Vec<(i32, i32)> {
    let edge = |from: f64, to: f64, at: u32| {
        let t = f64::from(at) / f64::from(CORNERS);
        // A cubic Bézier curve whose control points lie half-way across, level with its ends.
        let ((a, b), u) = (stream.x, 1.0 - t);
        let middle = f64::midpoint(a, b);
        let x = u * u * u * a + 3.0 * u * t * middle + t * t * t * b;
        let level = t * t * (3.0 - 2.0 * t);
        pixel(x, from + (to - from) * level)
    };
    let upper = (0..=CORNERS).map(|at| edge(stream.left.0, stream.right.0, at));
    let lower = (0..=CORNERS).rev();
    let lower = lower.map(|at| edge(stream.left.1, stream.right.1, at));
    upper.chain(lower).collect()
}

/// A place of the layout in the figure.
fn pixel(x: f64, y: f64) -> (i32, i32) {
    let at = |value: f64| value.round() as i32;
    (at(x * SCALE), at(HEADER + y * SCALE))
}

#[cfg(test)]
mod tests {
    use super::super::river::RiverFlow;
    use super::*;

    #[test]
    fn a_stream_leaves_and_arrives_at_its_edges() {
        let stream = RiverStream {
            flow: RiverFlow {
                column: 0,
                from: 0,
                to: 0,
                samples: 3,
            },
            x: (0.0, 100.0),
            left: (10.0, 20.0),
            right: (50.0, 60.0),
            hue: 0,
        };
        let outline = outline(&stream);
        let end = CORNERS as usize;
        assert_eq!(outline[0], pixel(0.0, 10.0));
        assert_eq!(outline[end / 2], pixel(50.0, 30.0));
        assert_eq!(outline[end], pixel(100.0, 50.0));
        assert_eq!(outline[end + 1], pixel(100.0, 60.0));
        assert_eq!(outline.last(), Some(&pixel(0.0, 20.0)));
    }
}

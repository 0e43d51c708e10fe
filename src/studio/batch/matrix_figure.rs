//! The matrix of a batch for a paper: images down, texts across, prototypes outlined.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::super::figure::{Drawn, FAMILY, INK, Painting};
use super::{BatchCells, BatchView};

/// Space for the title above, and for the scale below.
const TOP: i32 = 56;
const LEFT: i32 = 40;
const BOTTOM: i32 = 72;
const SIDE: i32 = 768;
const SCALE: (i32, i32) = (240, 12);
/// The largest push, relative to the mean, that has a colour of its own.
const MOST_PUSH: f32 = 4.0;
const BLUE: (f32, f32, f32) = (0.0, 84.0, 140.0);
const FRAME: RGBColor = RGBColor(213, 94, 0);

/// A matrix with its title.
#[derive(Debug)]
pub(super) struct MatrixFigure<'a> {
    view: &'a BatchView,
    cells: BatchCells,
    title: &'a str,
}

impl<'a> MatrixFigure<'a> {
    pub(super) fn new(view: &'a BatchView, cells: BatchCells, title: &'a str) -> Self {
        Self { view, cells, title }
    }

    fn values(&self) -> &[f32] {
        match self.cells {
            BatchCells::Cosine => &self.view.cosines,
            BatchCells::Repulsion => &self.view.repulsion,
        }
    }

    /// What is white, and what is dark.
    fn range(&self) -> (f32, f32) {
        match self.cells {
            BatchCells::Repulsion => (0.0, MOST_PUSH),
            BatchCells::Cosine => {
                let values = self.values().iter();
                values.fold((1.0, -1.0), |(low, high), &v| (v.min(low), v.max(high)))
            }
        }
    }

    fn legend(&self) -> String {
        match self.cells {
            BatchCells::Cosine => "cosine of image and text".into(),
            BatchCells::Repulsion => "InfoNCE's push, 1 = mean of unmatched pairs".into(),
        }
    }
}

/// White at `low`, blue at `high` and beyond.
fn shade(value: f32, (low, high): (f32, f32)) -> RGBColor {
    let share = ((value - low) / (high - low).max(1e-6)).clamp(0.0, 1.0);
    let mixed = |dark: f32| (255.0 + (dark - 255.0) * share).round() as u8;
    RGBColor(mixed(BLUE.0), mixed(BLUE.1), mixed(BLUE.2))
}

impl Painting for MatrixFigure<'_> {
    fn size(&self) -> (u32, u32) {
        ((SIDE + 2 * LEFT) as u32, (SIDE + TOP + BOTTOM) as u32)
    }

    fn paint<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn
    where
        D::ErrorType: 'static,
    {
        let text = |size: i32| (FAMILY, size).into_font().color(&INK);
        area.fill(&WHITE)?;
        area.draw(&Text::new(self.title, (LEFT, 20), text(20)))?;
        let pairs = self.view.pairs.len();
        let at = |place: usize| (place as i32 * SIDE) / pairs as i32;
        let range = self.range();
        for (cell, value) in self.values().iter().enumerate() {
            let (row, column) = (cell / pairs, cell % pairs);
            let corners = [
                (LEFT + at(column), TOP + at(row)),
                (LEFT + at(column + 1), TOP + at(row + 1)),
            ];
            area.draw(&Rectangle::new(corners, shade(*value, range).filled()))?;
        }
        for block in self.view.blocks.iter().filter(|block| block.size > 1) {
            let (from, to) = (at(block.first), at(block.first + block.size));
            let corners = [(LEFT + from, TOP + from), (LEFT + to, TOP + to)];
            area.draw(&Rectangle::new(corners, FRAME.stroke_width(1)))?;
        }
        let below = TOP + SIDE + 16;
        for step in 0..SCALE.0 {
            let value = range.0 + (range.1 - range.0) * step as f32 / SCALE.0 as f32;
            let bar = [(LEFT + step, below), (LEFT + step + 1, below + SCALE.1)];
            area.draw(&Rectangle::new(bar, shade(value, range).filled()))?;
        }
        let legend = format!(
            "{:.2} to {:.2}: {}; images down, texts across, prototypes of the {} space outlined",
            range.0,
            range.1,
            self.legend(),
            self.view.space.name()
        );
        area.draw(&Text::new(legend, (LEFT, below + 20), text(14)))?;
        area.present()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_run_from_white_to_blue() {
        assert_eq!(shade(0.0, (0.0, 1.0)), RGBColor(255, 255, 255));
        assert_eq!(shade(7.0, (0.0, 1.0)), RGBColor(0, 84, 140));
        assert_eq!(shade(0.5, (0.5, 0.5)), RGBColor(255, 255, 255));
    }
}

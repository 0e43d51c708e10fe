//! The target that a prototype makes, as bars for a paper.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use protoclip::config::TargetKind;
use protoclip::prototypes::Space;

use super::super::figure::{Drawn, FAMILY, Figure, FigureLook, GRID, INK, Painting, Palette, draw};
use super::super::{RunId, Studio, StudioError};
use super::soft_target::{DESCRIBED_SHARES, TargetShare, TargetView};

const WIDTH: u32 = 960;
const HEADER: i32 = 80;
const ROW: i32 = 28;
const MARGIN: i32 = 20;
/// The bars' left and right end; words lie before, percentages behind.
const BARS: (i32, i32) = (300, 840);
/// Letters of a row's words.
const LETTERS: usize = 34;

struct TargetFigure<'a> {
    target: &'a TargetView,
    title: &'a str,
    about: &'a str,
    palette: Palette,
}

impl Studio {
    /// Draws the first entries of [`Studio::prototype_target`].
    ///
    /// # Errors
    /// As there, and for a prototype without a sample.
    pub fn prototype_target_figure(
        &self,
        id: &RunId,
        step: Option<u64>,
        (space, prototype): (Space, usize),
        look: FigureLook,
    ) -> Result<Figure, StudioError> {
        let found = self.prototype_target(id, step, space, prototype)?;
        let target = found.ok_or_else(|| {
            StudioError::NotFound("a prototype without a sample is nobody's target".into())
        })?;
        let name = self.run(id)?.name;
        let kind = match target.supervision.target_of(space) {
            TargetKind::Hard => "hard target".to_owned(),
            TargetKind::Soft => {
                let temperature = target.supervision.target_temperature;
                format!("soft target at temperature {temperature}")
            }
        };
        let title = &format!(
            "{name}: {kind} of {} prototype {prototype}, step {}",
            space.name(),
            target.step
        );
        let shown: f64 = shown(&target).map(|share| share.probability).sum();
        let about = &format!(
            "Entropy {:.3} nats of at most {:.3}; these hold {:.2} % of the probability of {} prototypes",
            // Rounding may leave a negative nothing.
            target.entropy.max(0.0) + 0.0,
            target.most_entropy,
            100.0 * shown,
            target.count
        );
        let target = &target;
        let figure = TargetFigure {
            target,
            title,
            about,
            palette: look.palette,
        };
        draw(&figure, title, look.format)
    }
}

/// The entries that have words.
fn shown(target: &TargetView) -> impl Iterator<Item = &TargetShare> {
    target.shares.iter().take(DESCRIBED_SHARES)
}

impl Painting for TargetFigure<'_> {
    fn size(&self) -> (u32, u32) {
        let rows = shown(self.target).count() as u32;
        (WIDTH, HEADER as u32 + rows * ROW as u32 + MARGIN as u32)
    }

    fn paint<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn
    where
        D::ErrorType: 'static,
    {
        area.fill(&WHITE)?;
        let text = |size: u32| (FAMILY, size).into_font().color(&INK);
        area.draw(&Text::new(self.title, (MARGIN, MARGIN), text(20)))?;
        area.draw(&Text::new(self.about, (MARGIN, MARGIN + 28), text(14)))?;
        let before = text(14).pos(Pos::new(HPos::Right, VPos::Center));
        let behind = text(14).pos(Pos::new(HPos::Left, VPos::Center));
        let hue = self.palette.of_space(self.target.space);
        for (at, share) in shown(self.target).enumerate() {
            let top = HEADER + at as i32 * ROW;
            let middle = top + ROW / 2;
            let own = share.prototype == self.target.prototype;
            let name = (BARS.0 - 10, middle);
            area.draw(&Text::new(label(share), name, before.clone()))?;
            let floor = [(BARS.0, top + 4), (BARS.1, top + ROW - 4)];
            area.draw(&Rectangle::new(floor, GRID.filled()))?;
            let length = f64::from(BARS.1 - BARS.0) * share.probability;
            let bar = [
                (BARS.0, top + 4),
                (BARS.0 + length.round() as i32, top + ROW - 4),
            ];
            // The own prototype stands out.
            let strength = if own { 1.0 } else { 0.55 };
            area.draw(&Rectangle::new(bar, hue.mix(strength).filled()))?;
            let percent = format!("{:.2} %", 100.0 * share.probability);
            area.draw(&Text::new(percent, (BARS.1 + 10, middle), behind.clone()))?;
        }
        area.present()?;
        Ok(())
    }
}

/// Number and words, as many as there is room for.
fn label(share: &TargetShare) -> String {
    let mut label = format!("#{}", share.prototype);
    for word in &share.words {
        if label.chars().count() + word.chars().count() + 1 > LETTERS {
            break;
        }
        label.push(' ');
        label.push_str(word);
    }
    label
}

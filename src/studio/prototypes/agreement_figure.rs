//! How alike the spaces group, over the steps, for a paper.

use plotters::coord::Shift;
use plotters::prelude::*;
use protoclip::prototypes::Space;

use super::super::figure::{Drawn, FAMILY, Figure, FigureLook, GRID, Hue, INK};
use super::super::figure::{Painting, Palette, draw};
use super::super::{RunId, Studio, StudioError};
use super::over_time::StepAgreement;

const SIZE: (u32, u32) = (960, 480);

struct AgreementFigure<'a> {
    agreement: &'a [StepAgreement],
    title: &'a str,
    palette: Palette,
}

impl Studio {
    /// Draws the agreement of [`Studio::prototypes_over_time`]; the title says when older snapshots
    /// are not in it.
    ///
    /// # Errors
    /// As there.
    pub fn agreement_figure(
        &self,
        id: &RunId,
        (space, look): (Space, FigureLook),
    ) -> Result<Figure, StudioError> {
        let found = self.prototypes_over_time(id, space)?;
        let name = self.run(id)?.name;
        let part = match found.steps.len() {
            all if found.done < all => format!(", newest {} of {all} snapshots", found.done),
            _ => String::new(),
        };
        let title = &format!("{name}: agreement of the groupings of two spaces{part}");
        let figure = AgreementFigure {
            agreement: &found.agreement,
            title,
            palette: look.palette,
        };
        draw(&figure, title, look.format)
    }
}

impl Painting for AgreementFigure<'_> {
    fn size(&self) -> (u32, u32) {
        SIZE
    }

    fn paint<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn
    where
        D::ErrorType: 'static,
    {
        area.fill(&WHITE)?;
        let first = self.agreement.first().map_or(0.0, |of| of.step as f64);
        let last = self.agreement.last().map_or(1.0, |of| of.step as f64);
        let values = self.agreement.iter().flat_map(|of| &of.pairs);
        let lowest = values.map(|pair| 100.0 * pair.ami).fold(0.0, f64::min);
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, (FAMILY, 20).into_font().color(&INK))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(first..last.max(first + 1.0), lowest..100.0)?;
        chart
            .configure_mesh()
            .x_desc("optimizer step")
            .y_desc("adjusted mutual information × 100")
            .x_label_formatter(&|step| format!("{step:.0}"))
            .y_label_formatter(&|value| format!("{value:.0}"))
            .label_style((FAMILY, 14).into_font().color(&INK))
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .draw()?;
        let pairs = self.agreement.last().map_or(&[][..], |of| &of.pairs);
        for (at, pair) in pairs.iter().enumerate() {
            let hue = self.palette.of(hue(pair.spaces));
            let points = self.agreement.iter().filter_map(|of| {
                let value = 100.0 * of.pairs.get(at)?.ami;
                Some((of.step as f64, value))
            });
            let name = format!("{}–{}", pair.spaces.0.name(), pair.spaces.1.name());
            let line = points.clone();
            chart.draw_series(LineSeries::new(line, hue.stroke_width(2)))?;
            chart
                .draw_series(points.map(|point| Circle::new(point, 4, hue.filled())))?
                .label(name)
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], hue.filled()));
        }
        chart
            .configure_series_labels()
            .label_font((FAMILY, 14).into_font().color(&INK))
            .position(SeriesLabelPosition::UpperRight)
            .draw()?;
        area.present()?;
        Ok(())
    }
}

/// As on the page.
fn hue(spaces: (Space, Space)) -> Hue {
    match spaces {
        (Space::Image, Space::Text) => Hue::Proto,
        (Space::Image, _) => Hue::Image,
        _ => Hue::Text,
    }
}

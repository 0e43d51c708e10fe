//! A finished map as a figure and as a table.

use std::fmt::Write;
use std::sync::Arc;

use plotters::coord::Shift;
use plotters::prelude::*;
use protoclip::analysis::{MapFile, MapQuality};
use protoclip::prototypes::Space;

use super::super::figure::{
    Drawn, FAMILY, Figure, FigureFormat, FigureLook, Hue, INK, OKABE_ITO, Painting, draw,
};
use super::super::{RunId, Studio, StudioError};
use super::{MapGroups, MapKey, MapSpace, PlacedPoint, map_path, no_map};

const SIZE: (u32, u32) = (960, 760);
/// Room for the legend at the right.
const LEGEND: u32 = 220;
const MARGIN: i32 = 16;
const TITLE: i32 = 48;
/// Points of an SVG, whose file would otherwise be unwieldy; the first ones are a fair sample.
const MOST_IN_SVG: usize = 20_000;
const FAINT: RGBColor = RGBColor(190, 190, 190);

/// A map on its way to a figure.
struct Scatter {
    title: String,
    below: String,
    /// Place and group of each point.
    points: Vec<(PlacedPoint, Option<usize>)>,
    legend: Vec<String>,
    /// One after the other, for the groups.
    colours: Vec<RGBColor>,
}

impl Studio {
    /// Draws a finished map, coloured by groups of prototypes; a joint map by modality.
    ///
    /// # Errors
    /// When there is no such run or finished map, or a file cannot be read.
    pub fn map_figure(
        &self,
        id: &RunId,
        key: MapKey,
        look: FigureLook,
    ) -> Result<Figure, StudioError> {
        let file = self.finished_map(id, key)?;
        let name = self.run(id)?.name;
        let mut scatter = Scatter {
            title: format!(
                "{name}: {} of the {} space, step {}",
                key.method.label(),
                key.space.name(),
                key.step
            ),
            below: String::new(),
            points: Vec::new(),
            legend: Vec::new(),
            colours: OKABE_ITO.to_vec(),
        };
        let (places, _) = file.points.as_chunks::<2>();
        let placed = |(&sample, &[x, y]): (&u32, &[f32; 2])| PlacedPoint { sample, x, y };
        let places = file.samples.iter().zip(places).map(placed);
        match key.space {
            MapSpace::Joint => {
                let half = file.samples.len() / 2;
                let owner = places
                    .enumerate()
                    .map(|(at, p)| (p, Some(usize::from(at >= half))));
                scatter.points = owner.collect();
                scatter.legend = vec!["image".into(), "text".into()];
                scatter.colours = [Hue::Image, Hue::Text]
                    .map(|hue| look.palette.of(hue))
                    .into();
            }
            MapSpace::Image | MapSpace::Text => {
                let (groups, of_row) = self.groups_of_rows(id, key)?;
                scatter.points = places
                    .zip(of_row.into_iter().map(Some).chain(std::iter::repeat(None)))
                    .collect();
                scatter.legend = groups.groups.iter().map(|g| g.words.join(", ")).collect();
            }
        }
        let all = scatter.points.len();
        if look.format == FigureFormat::Svg {
            scatter.points.truncate(MOST_IN_SVG);
        }
        scatter.below = caption(&file, scatter.points.len(), all);
        draw(&scatter, &scatter.title, look.format)
    }

    /// The points of a finished map as CSV.
    ///
    /// # Errors
    /// As [`Studio::map_figure`].
    pub fn map_table(&self, id: &RunId, key: MapKey) -> Result<String, StudioError> {
        let file = self.finished_map(id, key)?;
        let (view, _) = self.snapshot(id, Some(key.step))?;
        let spaces = view.spaces();
        let names: Vec<String> = spaces
            .iter()
            .map(|s| format!("{}_prototype", s.name()))
            .collect();
        let mut text = format!("sample,modality,x,y,{}\n", names.join(","));
        let half = match key.space {
            MapSpace::Joint => file.samples.len() / 2,
            MapSpace::Image | MapSpace::Text => file.samples.len(),
        };
        let (places, _) = file.points.as_chunks::<2>();
        for (at, (sample, [x, y])) in file.samples.iter().zip(places).enumerate() {
            let modality = match key.space {
                MapSpace::Joint if at < half => "image",
                MapSpace::Joint => "text",
                other => other.name(),
            };
            // Writing to a string cannot fail.
            let _ok = write!(text, "{sample},{modality},{x},{y}");
            for &space in &spaces {
                let clusters = view.clusters(space)?;
                let of_row = clusters.assignments.get(at % half.max(1));
                let shown = of_row.map_or_else(String::new, u32::to_string);
                let _ok = write!(text, ",{shown}");
            }
            text.push('\n');
        }
        Ok(text)
    }

    fn finished_map(&self, id: &RunId, key: MapKey) -> Result<Arc<MapFile>, StudioError> {
        self.readable(id)?;
        match map_path(&self.data_dir.run(id), key).exists() {
            true => self.map_file(id, key),
            false => Err(no_map(key, "it is not made yet; ask for it with POST")),
        }
    }

    /// The groups of the map's own space and the group of each of its rows.
    fn groups_of_rows(
        &self,
        id: &RunId,
        key: MapKey,
    ) -> Result<(Arc<MapGroups>, Vec<usize>), StudioError> {
        let space = match key.space {
            MapSpace::Text => Space::Text,
            MapSpace::Image | MapSpace::Joint => Space::Image,
        };
        let groups = self.map_groups(id, Some(key.step), space)?;
        let (view, _) = self.snapshot(id, Some(key.step))?;
        let assigned = view.clusters(space)?.assignments.iter();
        let group = |&p: &u32| {
            groups
                .of_prototype
                .get(p as usize)
                .map_or(0, |&g| g as usize)
        };
        let of_row = assigned.map(group).collect();
        Ok((groups, of_row))
    }
}

fn caption(file: &MapFile, drawn: usize, all: usize) -> String {
    let count = match drawn < all {
        true => format!("{drawn} of {all} points, a random sample"),
        false => format!("{all} points"),
    };
    let quality = match file.quality {
        Some(MapQuality::Kl(kl)) => format!("; Kullback–Leibler divergence {kl:.3} nats"),
        Some(MapQuality::Variance(share)) => format!("; {:.1} % of the variance", 100.0 * share),
        None => String::new(),
    };
    format!("{count}{quality}")
}

impl Painting for Scatter {
    fn size(&self) -> (u32, u32) {
        SIZE
    }

    fn paint<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn
    where
        D::ErrorType: 'static,
    {
        area.fill(&WHITE)?;
        let text = |size: i32| (FAMILY, size).into_font().color(&INK);
        area.draw(&Text::new(self.title.as_str(), (MARGIN, MARGIN), text(20)))?;
        let bottom = SIZE.1 as i32 - MARGIN;
        area.draw(&Text::new(
            self.below.as_str(),
            (MARGIN, bottom - 14),
            text(14),
        ))?;
        let plot = (SIZE.0 - LEGEND) as i32;
        let place = self.placement((plot - 2 * MARGIN, bottom - 24 - TITLE));
        let radius = if self.points.len() > 5_000 { 1 } else { 3 };
        for (point, group) in &self.points {
            let (x, y) = place(point);
            let colour = self.colour(*group).mix(0.7).filled();
            area.draw(&Circle::new((x + MARGIN, y + TITLE), radius, colour))?;
        }
        for (at, words) in self.legend.iter().enumerate() {
            let y = TITLE + 22 * at as i32;
            let swatch = self.colour(Some(at)).filled();
            area.draw(&Circle::new((plot + 6, y + 8), 5, swatch))?;
            let short: String = words.chars().take(28).collect();
            area.draw(&Text::new(short, (plot + 18, y), text(14)))?;
        }
        area.present()?;
        Ok(())
    }
}

impl Scatter {
    /// What puts points into a rectangle of pixels, with equal scales on both axes, y upwards.
    fn placement(&self, (width, height): (i32, i32)) -> impl Fn(&PlacedPoint) -> (i32, i32) {
        let mut low = [f32::INFINITY; 2];
        let mut high = [f32::NEG_INFINITY; 2];
        for (point, _) in &self.points {
            for (axis, value) in [point.x, point.y].into_iter().enumerate() {
                low[axis] = low[axis].min(value);
                high[axis] = high[axis].max(value);
            }
        }
        let extent = |axis: usize| (high[axis] - low[axis]).max(1e-12);
        let scale = (width as f32 / extent(0)).min(height as f32 / extent(1));
        let scale = if scale.is_finite() { scale } else { 1.0 };
        move |point| {
            let x = (point.x - f32::midpoint(low[0], high[0])) * scale;
            let y = (point.y - f32::midpoint(low[1], high[1])) * scale;
            (width / 2 + x as i32, height / 2 - y as i32)
        }
    }

    fn colour(&self, group: Option<usize>) -> RGBColor {
        group.map_or(FAINT, |at| self.colours[at % self.colours.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scatter(count: usize) -> Scatter {
        let point = |i: usize| PlacedPoint {
            sample: i as u32,
            x: (i as f32).sin() * 9.0,
            y: (i as f32).cos(),
        };
        Scatter {
            title: "a <b>".into(),
            below: "n".into(),
            points: (0..count).map(|i| (point(i), Some(i % 3))).collect(),
            legend: vec!["cat, dog".into(), "sun".into()],
            colours: OKABE_ITO.to_vec(),
        }
    }

    #[test]
    fn maps_of_any_size_can_be_drawn_in_both_formats() {
        for count in [0, 1, 300] {
            let scatter = scatter(count);
            let svg = draw(&scatter, "t", FigureFormat::Svg).expect("draws");
            let text = String::from_utf8(svg.bytes).expect("text");
            assert!(!text.contains("<b>"), "titles are escaped");
            assert_eq!(text.matches("<circle").count(), count + 2);
            let png = draw(&scatter, "t", FigureFormat::Png).expect("draws");
            let picture = image::load_from_memory(&png.bytes)
                .expect("decodes")
                .to_rgb8();
            assert_eq!(picture.dimensions(), SIZE);
        }
    }

    #[test]
    fn both_axes_have_one_scale_and_points_stay_inside() {
        let scatter = scatter(200);
        let place = scatter.placement((600, 400));
        let places: Vec<(i32, i32)> = scatter.points.iter().map(|(p, _)| place(p)).collect();
        let inside = |&(x, y): &(i32, i32)| (0..=600).contains(&x) && (0..=400).contains(&y);
        assert!(places.iter().all(inside));
        let spread = |of: fn(&(i32, i32)) -> i32| {
            places.iter().map(of).max().expect("some") - places.iter().map(of).min().expect("some")
        };
        let ratio = f64::from(spread(|p| p.0)) / f64::from(spread(|p| p.1));
        assert!((ratio - 9.0).abs() < 0.5, "{ratio}");
    }
}

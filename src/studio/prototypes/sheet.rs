//! Prototypes as one figure, like the paper's Figure 2: a row for each, its representative pictures
//! and words left, more of its samples with captions right.
//!
//! Decodes every picture that it shows: callers must be allowed to block.

use image::RgbImage;
use image::imageops::{self, FilterType};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::super::figure::{self, Drawn, FAMILY, Figure, FigureLook, GRID, INK, Painting};
use super::super::{RunId, Studio, StudioError, episode_of_prototypes};
use super::{PrototypeCard, PrototypeQuery, PrototypeSort, SampleView};

/// Which prototypes a sheet shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SheetQuery {
    /// Step, space, order, filter and number of rows.
    pub prototypes: PrototypeQuery,
    /// These, in this order, instead of those that the order and filter give.
    pub ids: Vec<usize>,
}

/// Rows of a sheet unless asked otherwise, and at most.
pub const SHEET_ROWS: usize = 8;
pub const MOST_SHEET_ROWS: usize = 60;

/// Everything is laid out in units of two pixels, so that print is sharp.
const SCALE: u32 = 2;
const MARGIN: u32 = 24;
const HEADER: u32 = 62;
const REPRESENTATIVE: u32 = 56;
/// Across and down.
const REPRESENTATIVES: u32 = 2;
const WORDS_LEFT: u32 = 152;
const WORDS_WIDTH: u32 = 150;
const STRIP_LEFT: u32 = 318;
const PICTURE: u32 = 72;
const PITCH: u32 = 104;
const CAPTION_WIDTH: u32 = 96;
const CAPTION_LINES: usize = 3;
const STRIP: u32 = 8;
const ROW: u32 = 132;
const WORDS_SHOWN: usize = 3;
const QUIET: RGBColor = RGBColor(105, 105, 105);
const PLACEHOLDER: RGBColor = RGBColor(238, 238, 238);

struct Sheet {
    /// Of the space.
    hue: RGBColor,
    title: String,
    subtitle: String,
    rows: Vec<Row>,
}

struct Row {
    number: String,
    words: Vec<String>,
    facts: Vec<String>,
    representatives: Vec<Option<RgbImage>>,
    samples: Vec<(Option<RgbImage>, String)>,
}

impl Studio {
    /// Draws prototypes of a run as one sheet.
    ///
    /// # Errors
    /// When the run, the step or the space has no prototypes, one of the asked numbers is too
    /// large, or the data set of the run is absent.
    pub fn prototype_sheet(
        &self,
        id: &RunId,
        query: &SheetQuery,
        look: FigureLook,
    ) -> Result<Figure, StudioError> {
        let record = self.readable(id)?;
        let asked = PrototypeQuery {
            limit: query.prototypes.limit.clamp(1, MOST_SHEET_ROWS),
            ..query.prototypes.clone()
        };
        let page = self.prototypes(id, &asked)?;
        if let Some(reason) = page.data_error {
            return Err(StudioError::Conflict(format!(
                "a sheet needs the pictures of the run: {reason}"
            )));
        }
        let (cards, order) = if query.ids.is_empty() {
            (page.prototypes, order(asked.sort))
        } else {
            (self.asked_cards(id, page.step, query)?, "as chosen")
        };
        let rows = cards.iter().map(|card| self.row(id, card));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let after = match page.offset {
            0 => String::new(),
            passed => format!(", after the first {passed}"),
        };
        let sheet = Sheet {
            hue: look.palette.of_space(page.space),
            title: format!(
                "{}: prototypes of the {} space",
                record.meta.name,
                page.space.name()
            ),
            subtitle: format!(
                "{} of {} prototypes, {order}{after}. Step {}, {}, {} samples. Run {id}, seed {}",
                rows.len(),
                page.count,
                page.step,
                episode_of_prototypes(page.episode, record.config.episodes as u64),
                page.samples,
                record.config.seed
            ),
            rows,
        };
        figure::draw(&sheet, &sheet.title, look.format)
    }

    fn asked_cards(
        &self,
        id: &RunId,
        step: u64,
        query: &SheetQuery,
    ) -> Result<Vec<PrototypeCard>, StudioError> {
        let ids = query.ids.iter().take(MOST_SHEET_ROWS);
        let space = query.prototypes.space;
        ids.map(|&k| Ok(self.prototype(id, Some(step), space, k)?.prototype))
            .collect()
    }

    fn row(&self, id: &RunId, card: &PrototypeCard) -> Result<Row, StudioError> {
        let data_set = self.run(id)?.data_set;
        let picture = |sample: &SampleView, side: u32| {
            let found = self.picture(data_set.as_ref()?, sample.sample).ok();
            found.map(|picture| filling(&picture, side * SCALE))
        };
        let representatives = (REPRESENTATIVES * REPRESENTATIVES) as usize;
        let (first, rest) = card
            .samples
            .split_at(representatives.min(card.samples.len()));
        let plural = if card.size == 1 { "" } else { "s" };
        let tightness = card.tightness.map(|value| format!("tightness {value:.3}"));
        let purity = card.purity.zip(card.label.as_ref());
        let purity = purity.map(|(share, label)| format!("{:.0} % {label}", share * 100.0));
        let size = Some(format!("{} sample{plural}", card.size));
        Ok(Row {
            number: format!("#{}", card.id),
            words: card.words.iter().take(WORDS_SHOWN).cloned().collect(),
            facts: [size, tightness, purity].into_iter().flatten().collect(),
            representatives: first.iter().map(|s| picture(s, REPRESENTATIVE)).collect(),
            samples: rest
                .iter()
                .take(STRIP as usize)
                .map(|s| (picture(s, PICTURE), s.caption.clone()))
                .collect(),
        })
    }
}

fn order(sort: PrototypeSort) -> &'static str {
    match sort {
        PrototypeSort::Size => "largest first",
        PrototypeSort::Tightness => "tightest first",
        PrototypeSort::Change => "most changed since the episode before first",
        PrototypeSort::Id => "by number",
    }
}

/// The picture as large as a square of this side takes it.
fn filling(picture: &RgbImage, side: u32) -> RgbImage {
    let longest = picture.width().max(picture.height()).max(1);
    let scaled = |length: u32| (length * side / longest).max(1);
    let (width, height) = (scaled(picture.width()), scaled(picture.height()));
    imageops::resize(picture, width, height, FilterType::CatmullRom)
}

impl Painting for Sheet {
    fn size(&self) -> (u32, u32) {
        let width = STRIP_LEFT + STRIP * PITCH + MARGIN - (PITCH - CAPTION_WIDTH);
        let height = HEADER + ROW * self.rows.len() as u32 + MARGIN;
        (width * SCALE, height * SCALE)
    }

    fn paint<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn
    where
        D::ErrorType: 'static,
    {
        area.fill(&WHITE)?;
        let pen = Pen { area };
        let right = self.size().0 / SCALE - 2 * MARGIN;
        let swatch = [place((MARGIN, 12)), place((MARGIN + 4, 30))];
        area.draw(&Rectangle::new(swatch, self.hue.filled()))?;
        pen.lines(&self.title, (MARGIN + 12, 14), (18, INK), (right, 1))?;
        pen.lines(&self.subtitle, (MARGIN, 38), (11, QUIET), (right, 1))?;
        for (at, row) in self.rows.iter().enumerate() {
            pen.row(row, HEADER + ROW * at as u32)?;
        }
        area.present()?;
        Ok(())
    }
}

/// Draws in units of [`SCALE`] pixels.
struct Pen<'a, D: DrawingBackend> {
    area: &'a DrawingArea<D, Shift>,
}

impl<D: DrawingBackend> Pen<'_, D>
where
    D::ErrorType: 'static,
{
    fn row(&self, row: &Row, top: u32) -> Drawn {
        let right = STRIP_LEFT + STRIP * PITCH - (PITCH - CAPTION_WIDTH);
        let rule = [place((MARGIN, top - 7)), place((right, top - 7))];
        self.area.draw(&PathElement::new(rule, GRID))?;
        for at in 0..REPRESENTATIVES * REPRESENTATIVES {
            let pitch = REPRESENTATIVE + 4;
            let left = MARGIN + at % REPRESENTATIVES * pitch;
            let top = top + at / REPRESENTATIVES * pitch;
            let picture = row.representatives.get(at as usize);
            if picture.is_some() || row.representatives.is_empty() {
                self.picture(
                    picture.and_then(Option::as_ref),
                    (left, top),
                    REPRESENTATIVE,
                )?;
            }
        }
        let mut y = top;
        self.lines(&row.number, (WORDS_LEFT, y), (11, QUIET), (WORDS_WIDTH, 1))?;
        y += 16;
        for word in &row.words {
            self.lines(word, (WORDS_LEFT, y), (16, INK), (WORDS_WIDTH, 1))?;
            y += 20;
        }
        y += 4;
        for fact in &row.facts {
            self.lines(fact, (WORDS_LEFT, y), (11, QUIET), (WORDS_WIDTH, 1))?;
            y += 14;
        }
        for (at, (picture, caption)) in row.samples.iter().enumerate() {
            let left = STRIP_LEFT + at as u32 * PITCH;
            self.picture(picture.as_ref(), (left, top), PICTURE)?;
            let under = (left, top + PICTURE + 4);
            self.lines(caption, under, (11, INK), (CAPTION_WIDTH, CAPTION_LINES))?;
        }
        Ok(())
    }

    /// A picture in the middle of a square; a grey square where there is none.
    fn picture(&self, picture: Option<&RgbImage>, (left, top): (u32, u32), side: u32) -> Drawn {
        let Some(picture) = picture else {
            let corners = [place((left, top)), place((left + side, top + side))];
            self.area
                .draw(&Rectangle::new(corners, PLACEHOLDER.filled()))?;
            return Ok(());
        };
        let (x, y) = place((left, top));
        let air = |length: u32| (side * SCALE).saturating_sub(length) as i32 / 2;
        let corner = (x + air(picture.width()), y + air(picture.height()));
        let (size, bytes) = (picture.dimensions(), picture.as_raw().clone());
        let element = BitMapElement::with_owned_buffer(corner, size, bytes);
        if let Some(element) = element {
            self.area.draw(&element)?;
        }
        Ok(())
    }

    fn lines(
        &self,
        text: &str,
        at: (u32, u32),
        (size, colour): (u32, RGBColor),
        (width, most): (u32, usize),
    ) -> Drawn {
        let style = (FAMILY, size * SCALE).into_font().color(&colour);
        let measure = |text: &str| {
            let estimated = self.area.estimate_text_size(text, &style);
            estimated.map_or(0, |(width, _)| width)
        };
        let (x, y) = place(at);
        for (line, text) in wrapped(text, width * SCALE, most, measure)
            .iter()
            .enumerate()
        {
            let down = line as u32 * (size + 2) * SCALE;
            let element = Text::new(text.as_str(), (x, y + down as i32), style.clone());
            self.area.draw(&element)?;
        }
        Ok(())
    }
}

fn place((x, y): (u32, u32)) -> (i32, i32) {
    ((x * SCALE) as i32, (y * SCALE) as i32)
}

/// A text in at most `most` lines that fit `width`; what does not fit ends in an ellipsis.
fn wrapped(text: &str, width: u32, most: usize, measure: impl Fn(&str) -> u32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let longer = if line.is_empty() {
            word.to_owned()
        } else {
            format!("{line} {word}")
        };
        if line.is_empty() || measure(&longer) <= width {
            line = longer;
        } else {
            lines.push(std::mem::replace(&mut line, word.to_owned()));
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    let cut = lines.len() > most;
    lines.truncate(most);
    let last = lines.len().saturating_sub(1);
    for (at, line) in lines.iter_mut().enumerate() {
        if measure(line) > width || (cut && at == last) {
            shorten(line, width, &measure);
        }
    }
    lines
}

fn shorten(line: &mut String, width: u32, measure: &impl Fn(&str) -> u32) {
    loop {
        let candidate = format!("{}…", line.trim_end());
        if line.is_empty() || measure(&candidate) <= width {
            *line = candidate;
            return;
        }
        line.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::figure::{FigureFormat, OKABE_ITO};
    use super::*;

    #[test]
    fn text_is_wrapped_between_words_and_cut_with_an_ellipsis() {
        let wrap = |text, most| wrapped(text, 10, most, |line| line.chars().count() as u32);
        assert_eq!(wrap("a red fox", 3), ["a red fox"]);
        assert_eq!(wrap("a red fox in snow", 3), ["a red fox", "in snow"]);
        assert_eq!(wrap("a red fox in deep snow", 2), ["a red fox", "in deep…"]);
        assert_eq!(wrap("extraordinarily", 2), ["extraordi…"]);
        assert_eq!(wrap("", 2), [] as [&str; 0]);
    }

    fn sheet() -> Sheet {
        let red = || RgbImage::from_pixel(40, 20, image::Rgb([250, 20, 20]));
        Sheet {
            hue: OKABE_ITO[5],
            title: "a <b>".into(),
            subtitle: "two rows".into(),
            rows: vec![
                Row {
                    number: "#3".into(),
                    words: vec!["fox".into()],
                    facts: vec!["2 samples".into()],
                    representatives: vec![Some(filling(&red(), REPRESENTATIVE * SCALE)), None],
                    samples: vec![(Some(filling(&red(), PICTURE * SCALE)), "a red <fox>".into())],
                },
                Row {
                    number: "#4".into(),
                    words: Vec::new(),
                    facts: vec!["0 samples".into()],
                    representatives: Vec::new(),
                    samples: Vec::new(),
                },
            ],
        }
    }

    #[test]
    fn a_sheet_holds_its_pictures_in_both_formats() {
        let png = figure::draw(&sheet(), "t", FigureFormat::Png).expect("draws");
        let picture = image::load_from_memory(&png.bytes).expect("decodes");
        let picture = picture.to_rgb8();
        assert_eq!(picture.dimensions(), sheet().size());
        let red = picture.pixels().filter(|p| p.0 == [250, 20, 20]).count() as u32;
        let area = |side: u32| side * SCALE * side * SCALE / 2;
        assert_eq!(red, area(REPRESENTATIVE) + area(PICTURE));
        let svg = figure::draw(&sheet(), "t", FigureFormat::Svg).expect("draws");
        let text = String::from_utf8(svg.bytes).expect("text");
        assert_eq!(text.matches("<image ").count(), 2);
        assert!(!text.contains("<fox>") && !text.contains("<b>"), "escaped");
    }

    #[test]
    fn pictures_fill_their_square_and_keep_their_shape() {
        let wide = filling(&RgbImage::new(40, 10), 100);
        assert_eq!(wide.dimensions(), (100, 25));
        let tiny = filling(&RgbImage::new(1, 400), 100);
        assert_eq!(tiny.dimensions(), (1, 100));
    }
}

//! A table as a figure for a paper, drawn from its CSV text, so that both have the same rows.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::StudioError;
use super::figure::{Drawn, FAMILY, Figure, FigureLook, GRID, INK, Painting, draw, has_font};

/// Rows that a figure takes; the others are counted below it.
const MOST_ROWS: usize = 100;
/// Letters of a cell that are shown.
const MOST_LETTERS: usize = 48;
const TEXT: i32 = 14;
const TITLE: i32 = 20;
const ROW: i32 = 24;
const MARGIN: i32 = 16;
/// Between two columns.
const GUTTER: i32 = 20;
/// From the top to the names of the columns.
const HEAD: i32 = MARGIN + 36;

struct TableFigure {
    title: String,
    /// The first row has the names of the columns.
    rows: Vec<Vec<String>>,
    omitted: usize,
    /// Width of each column, and whether all its cells are numbers.
    columns: Vec<(i32, bool)>,
}

/// Draws a table that is given as CSV with a first line of names.
///
/// # Errors
/// When plotters cannot draw it.
pub fn table_figure(title: &str, csv: &str, look: FigureLook) -> Result<Figure, StudioError> {
    draw(&TableFigure::of(title, csv), title, look.format)
}

impl TableFigure {
    fn of(title: &str, csv: &str) -> Self {
        let mut rows: Vec<Vec<String>> = parsed(csv);
        let omitted = rows.len().saturating_sub(1 + MOST_ROWS);
        rows.truncate(1 + MOST_ROWS);
        let count = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut columns = Vec::with_capacity(count);
        for column in 0..count {
            let cells = || rows.iter().skip(1).filter_map(|row| row.get(column));
            let filled = || cells().filter(|cell| !cell.is_empty());
            let numeric = filled().next().is_some() && filled().all(|c| c.parse::<f64>().is_ok());
            columns.push((0, numeric));
        }
        for row in &mut rows {
            for (cell, (width, numeric)) in row.iter_mut().zip(&mut columns) {
                *cell = shown(cell, *numeric);
                *width = (*width).max(width_of(cell, TEXT));
            }
        }
        Self {
            title: title.to_owned(),
            rows,
            omitted,
            columns,
        }
    }

    fn width(&self) -> i32 {
        let columns: i32 = self.columns.iter().map(|(width, _)| width + GUTTER).sum();
        (columns - GUTTER).max(width_of(&self.title, TITLE)) + 2 * MARGIN
    }

    fn height(&self) -> i32 {
        let below = if self.omitted > 0 { ROW } else { 0 };
        HEAD + ROW * self.rows.len() as i32 + below + MARGIN
    }
}

impl Painting for TableFigure {
    fn size(&self) -> (u32, u32) {
        (self.width().max(320) as u32, self.height() as u32)
    }

    fn paint<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn
    where
        D::ErrorType: 'static,
    {
        let font = |size: i32| (FAMILY, size).into_font().color(&INK);
        area.fill(&WHITE)?;
        area.draw(&Text::new(
            self.title.as_str(),
            (MARGIN, MARGIN),
            font(TITLE),
        ))?;
        for (place, row) in self.rows.iter().enumerate() {
            let top = HEAD + ROW * place as i32;
            let line = [
                (MARGIN, top + ROW - 2),
                (self.width() - MARGIN, top + ROW - 2),
            ];
            let ink = if place == 0 { INK } else { GRID };
            area.draw(&PathElement::new(line, ink))?;
            let mut left = MARGIN;
            for (cell, &(width, numeric)) in row.iter().zip(&self.columns) {
                let (at, side) = match numeric {
                    true => (left + width, HPos::Right),
                    false => (left, HPos::Left),
                };
                let style = font(TEXT).pos(Pos::new(side, VPos::Top));
                area.draw(&Text::new(cell.as_str(), (at, top + 5), style))?;
                left += width + GUTTER;
            }
        }
        if self.omitted > 0 {
            let more = format!("and {} more rows in the CSV file", self.omitted);
            let top = HEAD + ROW * self.rows.len() as i32 + 5;
            area.draw(&Text::new(more, (MARGIN, top), font(TEXT)))?;
        }
        area.present()?;
        Ok(())
    }
}

/// A number with at most six digits that count; a text that ends in time, on one line.
fn shown(cell: &str, numeric: bool) -> String {
    if let (true, true, Ok(number)) = (numeric, cell.len() > 8, cell.parse::<f64>()) {
        let places = 5 - number.abs().max(1e-300).log10().floor().clamp(-4.0, 5.0) as i32;
        return format!("{number:.*}", places.max(0) as usize);
    }
    let plain = cell.replace(char::is_control, " ");
    match plain.chars().count() > MOST_LETTERS {
        true => plain.chars().take(MOST_LETTERS - 1).chain(['…']).collect(),
        false => plain,
    }
}

/// Pixels that a text takes.
fn width_of(text: &str, size: i32) -> i32 {
    let measured = has_font().then(|| (FAMILY, size).into_font().box_size(text));
    match measured {
        Some(Ok((width, _))) => width as i32 + 2,
        _ => text.chars().count() as i32 * size / 2,
    }
}

/// The fields of CSV text: quoted ones may have commas, breaks and doubled quotes. The mark that
/// keeps a spreadsheet from running a field is taken off.
fn parsed(csv: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let (mut row, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = csv.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(unmarked(std::mem::take(&mut field))),
            '\n' if !quoted => {
                row.push(unmarked(std::mem::take(&mut field)));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !quoted && letters.peek() == Some(&'\n') => (),
            letter => field.push(letter),
        }
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(unmarked(field));
        rows.push(row);
    }
    rows
}

fn unmarked(field: String) -> String {
    match field.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest.to_owned(),
        _ => field,
    }
}

#[cfg(test)]
mod tests {
    use super::super::figure::{FigureFormat, Palette};
    use super::*;

    fn look(format: FigureFormat) -> FigureLook {
        FigureLook {
            format,
            palette: Palette::default(),
        }
    }

    #[test]
    fn fields_are_read_as_they_were_written() {
        let rows = parsed("a,b\r\n1,\"x, \"\"y\"\"\nz\"\n\"'=1+1\",\n");
        assert_eq!(
            rows,
            [vec!["a", "b"], vec!["1", "x, \"y\"\nz"], vec!["=1+1", ""]]
        );
        assert!(parsed("").is_empty());
        assert_eq!(parsed("a"), [["a"]]);
    }

    #[test]
    fn a_table_shows_its_rows_and_counts_those_that_are_left_out() {
        let mut csv = String::from("step,name <b>,loss\n");
        for step in 0..MOST_ROWS + 7 {
            csv += &format!("{step},\"run {step}\",0.123456789{step}\n");
        }
        let svg = table_figure("Runs", &csv, look(FigureFormat::Svg)).expect("draws");
        let text = String::from_utf8(svg.bytes).expect("text");
        assert!(
            text.contains("run 99") && !text.contains("run 100"),
            "{text}"
        );
        assert!(
            text.contains("and 7 more rows") && text.contains("0.123457"),
            "{text}"
        );
        assert!(!text.contains("<b>"), "names are escaped");
        let png = table_figure("Runs", &csv, look(FigureFormat::Png)).expect("draws");
        let picture = image::load_from_memory(&png.bytes)
            .expect("decodes")
            .to_rgb8();
        assert_eq!(picture.height(), (HEAD + ROW * 102 + MARGIN) as u32);
        let dark = picture.pixels().filter(|p| p.0.iter().all(|&c| c < 120));
        assert!(dark.count() > 5000, "texts are visible");
    }

    #[test]
    fn an_empty_table_can_be_drawn() {
        for csv in ["", "a,b\n", "\n"] {
            assert!(
                table_figure("t", csv, look(FigureFormat::Png)).is_ok(),
                "{csv:?}"
            );
        }
    }

    #[test]
    fn cells_are_short() {
        assert_eq!(shown("12345678", true), "12345678");
        assert_eq!(shown("12345.6789", true), "12345.7");
        assert_eq!(shown("0.000123456789", true), "0.000123457");
        assert_eq!(shown(&"x".repeat(60), false).chars().count(), MOST_LETTERS);
    }
}

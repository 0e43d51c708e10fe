//! Figures for a paper: SVG or PNG, drawn by plotters with a font of our own, so that they look the
//! same on every machine.

use std::io::Cursor;
use std::sync::OnceLock;

use image::{ImageFormat, RgbImage};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;

use super::StudioError;

/// An encoded figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    pub content_type: &'static str,
    pub bytes: Vec<u8>,
}

/// How a figure is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureFormat {
    Svg,
    Png,
}

/// Something that can be drawn on any of plotters' surfaces.
pub(super) trait Painting {
    /// Width and height in pixels.
    fn size(&self) -> (u32, u32);

    fn paint<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn
    where
        D::ErrorType: 'static;
}

pub(super) type Drawn = Result<(), Box<dyn std::error::Error>>;

/// A subset of Roboto: Latin, Greek and the signs of figures. Its licence lies beside it.
static FONT: &[u8] = include_bytes!("figure/Roboto-Regular-subset.ttf");
/// The font's name in plotters and, in an SVG, for the reader's own fonts.
pub(super) const FAMILY: &str = "sans-serif";
pub(super) const INK: RGBColor = RGBColor(40, 40, 40);
pub(super) const GRID: RGBColor = RGBColor(225, 225, 225);
/// The Okabe–Ito palette without black, then darker and lighter ones of the same hues.
pub(super) const OKABE_ITO: [RGBColor; 10] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(240, 228, 66),
    RGBColor(110, 110, 110),
    RGBColor(0, 80, 70),
    RGBColor(120, 60, 130),
];

impl FigureFormat {
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Svg => "image/svg+xml",
            Self::Png => "image/png",
        }
    }
}

/// Draws and encodes; `title` names the figure in an error.
///
/// # Errors
/// When plotters cannot draw it.
pub(super) fn draw(
    painting: &impl Painting,
    title: &str,
    format: FigureFormat,
) -> Result<Figure, StudioError> {
    let failed =
        |e: &dyn std::fmt::Display| StudioError::Other(format!("cannot draw {title}: {e}"));
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    if !REGISTERED.get_or_init(|| register_font(FAMILY, FontStyle::Normal, FONT).is_ok()) {
        return Err(failed(&"the embedded font cannot be read"));
    }
    let (width, height) = painting.size();
    let bytes = match format {
        FigureFormat::Svg => {
            let mut text = String::new();
            {
                let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
                painting.paint(&area).map_err(|e| failed(&e))?;
            }
            text.into_bytes()
        }
        FigureFormat::Png => {
            let mut pixels = vec![0; (width * height * 3) as usize];
            {
                let surface = BitMapBackend::with_buffer(&mut pixels, (width, height));
                let area = surface.into_drawing_area();
                painting.paint(&area).map_err(|e| failed(&e))?;
            }
            let picture = RgbImage::from_raw(width, height, pixels)
                .ok_or_else(|| failed(&"the picture has the wrong size"))?;
            let mut bytes = Vec::new();
            picture
                .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
                .map_err(|e| failed(&e))?;
            bytes
        }
    };
    Ok(Figure {
        content_type: format.content_type(),
        bytes,
    })
}

//! Figures for a paper: SVG or PNG, drawn by plotters with a font of our own, so that they look the
//! same on every machine.

use std::io::Cursor;
use std::sync::OnceLock;

use image::{ImageFormat, RgbImage};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;

use protoclip::prototypes::Space;

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

/// The colours of curves and spaces, as a person may choose them in the settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Palette {
    #[default]
    OkabeIto,
    /// Image, text and teacher also differ in lightness.
    Lightness,
}

/// How a figure is drawn and encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FigureLook {
    pub format: FigureFormat,
    pub palette: Palette,
}

impl From<FigureFormat> for FigureLook {
    /// In the colours of who chose none.
    fn from(format: FigureFormat) -> Self {
        Self {
            format,
            palette: Palette::default(),
        }
    }
}

/// Colours with a meaning; the same as on the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hue {
    Image,
    Text,
    Teacher,
    Clip,
    Proto,
    Total,
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

impl Palette {
    /// The palette with this name in addresses and settings.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "okabe-ito" => Some(Self::OkabeIto),
            "lightness" => Some(Self::Lightness),
            _ => None,
        }
    }

    pub(super) fn of(self, hue: Hue) -> RGBColor {
        match (self, hue) {
            (_, Hue::Total) => INK,
            (Self::OkabeIto, Hue::Image) => OKABE_ITO[0],
            (Self::OkabeIto, Hue::Text) => OKABE_ITO[5],
            (Self::OkabeIto, Hue::Teacher) => OKABE_ITO[2],
            (Self::OkabeIto, Hue::Clip) => OKABE_ITO[3],
            (Self::OkabeIto, Hue::Proto) => OKABE_ITO[1],
            (Self::Lightness, Hue::Image) => RGBColor(0, 68, 136),
            (Self::Lightness, Hue::Text) => RGBColor(187, 85, 102),
            (Self::Lightness, Hue::Teacher) => RGBColor(184, 138, 0),
            (Self::Lightness, Hue::Clip) => RGBColor(122, 77, 140),
            (Self::Lightness, Hue::Proto) => RGBColor(92, 102, 112),
        }
    }

    pub(super) fn of_space(self, space: Space) -> RGBColor {
        self.of(match space {
            Space::Image => Hue::Image,
            Space::Text => Hue::Text,
            Space::Teacher => Hue::Teacher,
        })
    }
}

impl Hue {
    pub(super) const ALL: [Self; 6] = [
        Self::Image,
        Self::Text,
        Self::Teacher,
        Self::Clip,
        Self::Proto,
        Self::Total,
    ];

    /// The hue with this name on the pages.
    pub(super) fn named(name: &str) -> Option<Self> {
        let names = ["image", "text", "teacher", "clip", "proto", "total"];
        let place = names.iter().position(|known| *known == name)?;
        Some(Self::ALL[place])
    }
}

impl FigureFormat {
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Svg => "image/svg+xml",
            Self::Png => "image/png",
        }
    }
}

/// Whether texts can be drawn and measured; the first call makes the font known.
pub(super) fn has_font() -> bool {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    *REGISTERED.get_or_init(|| register_font(FAMILY, FontStyle::Normal, FONT).is_ok())
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
    if !has_font() {
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

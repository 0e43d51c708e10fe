//! Decoding of untrusted pictures to RGB, within limits.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};

use image::{DynamicImage, ImageReader, Limits, Rgb, RgbImage};

/// Largest accepted width and height, in pixels.
pub const LARGEST_SIDE: u32 = 16_384;
/// Largest memory that decoding one picture may take, in bytes.
pub const LARGEST_DECODE: u64 = 256 << 20;

/// Largest picture file, in bytes.
pub(super) const LARGEST_FILE: u64 = 256 << 20;

/// Decodes a file; transparency is composited on white and EXIF orientation ignored, as the
/// reference does.
pub(super) fn decode_file(file: File) -> Result<RgbImage, String> {
    let mut bytes = Vec::new();
    let read = file.take(LARGEST_FILE + 1).read_to_end(&mut bytes);
    let read = read.map_err(|e| e.to_string())? as u64;
    if read > LARGEST_FILE {
        let limit = LARGEST_FILE >> 20;
        return Err(format!("the file has more than {limit} MiB"));
    }
    decode_bytes(&bytes)
}

/// Whether the bytes are a PNG whose pixels index a palette.
pub(super) fn is_palette_png(bytes: &[u8]) -> bool {
    const COLOUR_TYPE: usize = 25;
    bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.get(COLOUR_TYPE) == Some(&3)
}

/// Reads only the header and says what would keep the picture from being decoded.
pub(super) fn check_header(file: File) -> Result<(), String> {
    check_size(ImageReader::new(BufReader::new(file)))
}

/// The same for bytes in memory, which may end behind the header.
pub(super) fn check_header_of(bytes: &[u8]) -> Result<(), String> {
    check_size(ImageReader::new(Cursor::new(bytes)))
}

fn check_size<R: BufRead + Seek>(reader: ImageReader<R>) -> Result<(), String> {
    let (width, height) = reader
        .with_guessed_format()
        .map_err(|e| e.to_string())?
        .into_dimensions()
        .map_err(|e| e.to_string())?;
    if width == 0 || height == 0 {
        return Err(format!("the picture is empty ({width} × {height})"));
    }
    let bytes = u64::from(width) * u64::from(height) * 4;
    if width > LARGEST_SIDE || height > LARGEST_SIDE || bytes > LARGEST_DECODE {
        return Err(format!(
            "{width} × {height} pixels exceed the limit of {LARGEST_SIDE} a side and {} MiB decoded",
            LARGEST_DECODE >> 20
        ));
    }
    Ok(())
}

/// The same for bytes in memory.
pub(super) fn decode_bytes(bytes: &[u8]) -> Result<RgbImage, String> {
    decode_picture(bytes).map(on_white)
}

/// Decodes bytes in memory, within the same limits, and keeps transparency.
///
/// # Errors
/// The decoder's message, when the bytes are no picture, a broken one, or one beyond the limits.
pub fn decode_picture(bytes: &[u8]) -> Result<DynamicImage, String> {
    if is_cut(bytes) {
        return Err("the file ends before its picture does; it was cut".into());
    }
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| e.to_string())?;
    decode(reader)
}

/// Whether the end of a picture is missing where its decoder would not say so: the one for JPEG fills
/// the rest with grey. PNG decoders tell by themselves.
fn is_cut(bytes: &[u8]) -> bool {
    if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        return !jpeg_has_end(bytes);
    }
    match bytes.split_first_chunk::<8>() {
        Some(([b'R', b'I', b'F', b'F', size @ ..], rest)) if rest.starts_with(b"WEBP") => {
            u64::from(u32::from_le_bytes(*size)) > rest.len() as u64
        }
        _ => false,
    }
}

/// Walks the segments of a JPEG to the mark of its end (ITU T.81, annex B); one within a segment, such
/// as that of a thumbnail, does not count.
fn jpeg_has_end(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        let Some(at) = rest.iter().position(|&byte| byte == 0xff) else {
            return false;
        };
        let Some(&mark) = rest.get(at + 1) else {
            return false;
        };
        let behind = match mark {
            0xd9 => return true,
            // Filling, which may be followed by the mark itself.
            0xff => at + 1,
            // Marks without a length: data that look like one, restarts, beginnings.
            0x00 | 0x01 | 0xd0..=0xd8 => at + 2,
            _ => match rest.get(at + 2..at + 4) {
                Some(&[high, low]) => at + 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
        };
        rest = rest.get(behind..).unwrap_or_default();
    }
}

fn decode<R: BufRead + Seek>(mut reader: ImageReader<R>) -> Result<DynamicImage, String> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(LARGEST_DECODE);
    reader.limits(limits);
    let picture = reader.decode().map_err(|e| e.to_string())?;
    if picture.width() == 0 || picture.height() == 0 {
        return Err("the picture is empty".into());
    }
    Ok(picture)
}

fn on_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let rgba = picture.into_rgba8();
    let mut rgb = RgbImage::new(rgba.width(), rgba.height());
    for (to, from) in rgb.pixels_mut().zip(rgba.pixels()) {
        let [r, g, b, a] = from.0;
        *to = Rgb([r, g, b].map(|c| over_white(c, a)));
    }
    rgb
}

/// `c·a + 255·(1 − a)`, rounded.
fn over_white(channel: u8, alpha: u8) -> u8 {
    let alpha = u32::from(alpha);
    ((u32::from(channel) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{ImageFormat, RgbaImage};

    use super::*;

    fn png(picture: &RgbaImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture
            .write_to(&mut bytes, ImageFormat::Png)
            .expect("encodes");
        bytes.into_inner()
    }

    #[test]
    fn transparency_becomes_white() {
        let mut picture = RgbaImage::new(3, 1);
        picture.put_pixel(0, 0, image::Rgba([10, 20, 30, 255]));
        picture.put_pixel(1, 0, image::Rgba([10, 20, 30, 0]));
        picture.put_pixel(2, 0, image::Rgba([0, 0, 255, 128]));
        let rgb = decode_bytes(&png(&picture)).expect("decodes");
        let pixels: Vec<[u8; 3]> = rgb.pixels().map(|p| p.0).collect();
        assert_eq!(pixels, [[10, 20, 30], [255, 255, 255], [127, 127, 255]]);
    }

    #[test]
    fn a_bomb_is_refused_before_its_pixels_are_allocated() {
        // A valid PNG header that claims 65,535 × 65,535 pixels.
        let mut bytes = png(&RgbaImage::new(1, 1));
        bytes[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
        let crc = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        assert!(decode_bytes(&bytes).is_err());
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), &bytes).expect("writes");
        let message = check_header(file.reopen().expect("opens")).expect_err("too large");
        assert!(message.contains("exceed"), "{message}");
    }

    #[test]
    fn cut_and_foreign_bytes_are_errors() {
        let whole = png(&RgbaImage::new(20, 20));
        for end in 0..whole.len() - 16 {
            assert!(decode_bytes(&whole[..end]).is_err(), "cut at {end}");
        }
        assert!(decode_bytes(b"not a picture").is_err());
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |c, _| {
                (c >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(c & 1))
            })
        })
    }
}

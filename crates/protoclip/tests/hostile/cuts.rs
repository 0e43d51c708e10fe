//! Pictures that end too early: never taken for whole ones with a grey rest, always counted.

use std::io::Cursor;

use image::ImageFormat::{Jpeg, Png, WebP};
use image::{ImageFormat, Rgb, RgbImage};
use protoclip::data::{PairSource, decode_picture};

/// Bytes at the end of a PNG that say nothing of its pixels: the last check sum and the closing chunk.
const PNG_TAIL: usize = 16;

fn encoded(format: ImageFormat, number: u32) -> Vec<u8> {
    let (width, height) = (16 + number % 9 * 7, 12 + number % 7 * 9);
    // Not smooth, so that every byte of the file matters.
    let picture = RgbImage::from_fn(width, height, |x, y| {
        let noise = (x * 31 + y * 17 + number).wrapping_mul(2_654_435_761) >> 9;
        Rgb([noise as u8, (x * 9) as u8, (y * 11 + number) as u8])
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).expect("encodes");
    bytes.into_inner()
}

/// A JPEG with another one, whole, as its thumbnail.
fn with_thumbnail() -> Vec<u8> {
    let (whole, thumbnail) = (encoded(Jpeg, 8), encoded(Jpeg, 1));
    let length = (thumbnail.len() as u16 + 2).to_be_bytes();
    let (start, rest) = whole.split_at(2);
    [start, &[0xff, 0xe1], &length, &thumbnail, rest].concat()
}

fn pictures() -> Vec<(ImageFormat, Vec<u8>)> {
    let formats = [Jpeg, Png, WebP];
    let numbered = (0..99).map(|number| {
        let format = formats[number as usize % 3];
        (format, encoded(format, number))
    });
    numbered.chain([(Jpeg, with_thumbnail())]).collect()
}

#[test]
fn a_hundred_pictures_cut_anywhere_are_errors() {
    let pictures = pictures();
    assert_eq!(pictures.len(), 100);
    let mut cuts = 0;
    for (number, (format, whole)) in pictures.iter().enumerate() {
        decode_picture(whole).expect("whole");
        let tail = if *format == Png { PNG_TAIL } else { 0 };
        let last = whole.len() - 1 - tail;
        for end in (0..last).step_by(1 + last / 40).chain([last]) {
            let cut = decode_picture(&whole[..end]);
            assert!(
                cut.is_err(),
                "{format:?} {number} cut at {end} of {}",
                whole.len()
            );
            cuts += 1;
        }
    }
    println!("{cuts} cuts");
}

#[test]
fn what_follows_the_end_of_a_picture_does_not_matter() {
    for (format, mut bytes) in pictures().into_iter().take(6) {
        bytes.extend(b"and more");
        assert!(decode_picture(&bytes).is_ok(), "{format:?}");
    }
}

#[test]
fn pictures_of_a_data_set_that_were_cut_are_counted_with_their_names() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let class = folder.path().join("class");
    std::fs::create_dir(&class).expect("creates");
    let (mut whole, mut cut) = (0, 0);
    for (number, (format, bytes)) in pictures().iter().enumerate() {
        let ending = format.extensions_str()[0];
        let end = match number % 4 {
            0 => bytes.len(),
            part => bytes.len() * part / 4 - 1,
        };
        whole += u64::from(end == bytes.len());
        cut += u64::from(end != bytes.len());
        std::fs::write(class.join(format!("{number}.{ending}")), &bytes[..end]).expect("writes");
    }
    let source = crate::opened(folder.path());
    let decoded = (0..source.len() as u32).filter(|&sample| source.image(sample).is_ok());
    assert_eq!(decoded.count() as u64, whole);
    let report = source.skipped();
    assert_eq!(report.skipped, cut, "{report:?}");
}

//! Small files that claim to be large pictures: refused within two seconds, before their pixels are.

use std::time::{Duration, Instant};

use protoclip::data::{LARGEST_DECODE, LARGEST_SIDE, PairSource, decode_picture};

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| {
            (c >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(c & 1))
        })
    })
}

fn chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let named = [name.as_slice(), body].concat();
    let length = (body.len() as u32).to_be_bytes();
    [length.as_slice(), &named, &crc32(&named).to_be_bytes()].concat()
}

/// A PNG whose header claims `width` × `height` pixels of `depth` bits and `colour`, and whose data is a
/// few bytes that say nothing.
fn png(width: u32, height: u32, depth: u8, colour: u8) -> Vec<u8> {
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([depth, colour, 0, 0, 0]);
    // An empty zlib stream.
    let data = [0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01];
    let parts = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &header),
        chunk(b"IDAT", &data),
        chunk(b"IEND", &[]),
    ];
    parts.concat()
}

/// A JPEG that is all header.
fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xc0, 0, 17, 8];
    bytes.extend(height.to_be_bytes());
    bytes.extend(width.to_be_bytes());
    bytes.extend([3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 0xff, 0xd9]);
    bytes
}

/// A lossless WebP that is all header.
fn webp(width: u32, height: u32) -> Vec<u8> {
    let mut body = vec![0x2f];
    body.extend(((width - 1) | ((height - 1) << 14)).to_le_bytes());
    body.resize(16, 0);
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((body.len() as u32 + 12).to_le_bytes());
    bytes.extend(b"WEBPVP8L");
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(body);
    bytes
}

fn bombs() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for (width, height) in [
        (65_535, 65_535),
        (u32::MAX >> 1, u32::MAX >> 1),
        (LARGEST_SIDE + 1, 1),
        (1, LARGEST_SIDE + 1),
        (LARGEST_SIDE, LARGEST_SIDE),
        (0, 0),
        (0, 65_535),
    ] {
        for (depth, colour) in [(8, 6), (16, 6), (8, 2), (1, 0), (8, 3)] {
            let name = format!("PNG {width} × {height}, {depth} bits, colour {colour}");
            all.push((name, png(width, height, depth, colour)));
        }
    }
    for (width, height) in [(65_535, 65_535), (65_500, 2), (16_384, 16_384), (0, 9)] {
        all.push((format!("JPEG {width} × {height}"), jpeg(width, height)));
    }
    for (width, height) in [(16_384, 16_384), (16_384, 12_000)] {
        all.push((format!("WebP {width} × {height}"), webp(width, height)));
    }
    all
}

/// The largest amount of memory that this process has had, in bytes.
pub(crate) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes << 10)
}

#[test]
fn bombs_are_refused_soon_and_without_their_memory() {
    let before = peak_memory();
    for (name, bytes) in bombs() {
        let begin = Instant::now();
        let refused = decode_picture(&bytes);
        let lasted = begin.elapsed();
        assert!(refused.is_err(), "{name} was decoded");
        assert!(lasted < Duration::from_secs(2), "{name} took {lasted:?}");
    }
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        let taken = after - before;
        assert!(taken < LARGEST_DECODE + (64 << 20), "{} MiB", taken >> 20);
    }
}

#[test]
fn bombs_in_a_data_set_are_listed_as_broken() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let class = folder.path().join("bomb");
    std::fs::create_dir(&class).expect("creates");
    let picture = image::RgbImage::new(3, 3);
    picture.save(class.join("good.png")).expect("writes");
    let bombs = bombs();
    for (number, (_, bytes)) in bombs.iter().enumerate() {
        std::fs::write(class.join(format!("{number}.png")), bytes).expect("writes");
    }
    let source = crate::opened(folder.path());
    // Headers that claim a size within the limits are found out when they are decoded.
    for sample in 0..source.len() as u32 {
        let decoded = source.image(sample);
        assert!(decoded.is_err() || source.len() == 1 || source.origin(sample).contains("good"));
    }
    assert_eq!(source.skipped().skipped, bombs.len() as u64);
}

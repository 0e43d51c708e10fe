//! Small shards for tests, made of plain pictures.

use std::io::Cursor;

use flate2::Compression;
use flate2::write::GzEncoder;
use image::{ImageFormat, Rgb, RgbImage};

/// A shard in memory.
pub(crate) struct Shard(tar::Builder<Vec<u8>>);

impl Shard {
    pub(crate) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    pub(crate) fn add(mut self, name: &str, bytes: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        self.0
            .append_data(&mut header, name, bytes)
            .expect("appends");
        self
    }

    pub(crate) fn link(mut self, name: &str, target: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_entry_type(tar::EntryType::Symlink);
        self.0
            .append_link(&mut header, name, target)
            .expect("appends");
        self
    }

    /// A picture and its caption.
    pub(crate) fn pair(self, key: &str, shade: u8, caption: &str) -> Self {
        self.add(&format!("{key}.png"), &png(shade))
            .add(&format!("{key}.txt"), caption.as_bytes())
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("finishes")
    }
}

/// A picture of one colour whose red is `shade`.
pub(crate) fn png(shade: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(9, 7, Rgb([shade, 1, 2]))
        .write_to(&mut bytes, ImageFormat::Png)
        .expect("encodes");
    bytes.into_inner()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("packs");
    encoder.finish().expect("packs")
}

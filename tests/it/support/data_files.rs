//! One small data set, written as every kind of files that the program reads.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use image::{ImageFormat, Rgb, RgbImage};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// Usable pairs of each data set; one more is broken.
pub(crate) const PAIRS: usize = 30;

/// (source, path below the folder) of what [`write_all`] writes.
pub(crate) const KINDS: [(&str, &str); 4] = [
    ("csv", "pairs.csv"),
    ("webdataset", "shards/{0..1}.tar"),
    ("parquet", "tables/*.parquet"),
    ("coco", "captions.json"),
];

/// Whether a kind has label columns.
pub(crate) fn has_labels(source: &str) -> bool {
    source != "coco"
}

struct Pair {
    key: String,
    caption: String,
    colour: &'static str,
    png: Vec<u8>,
}

fn pairs() -> Vec<Pair> {
    let pair = |number: usize| {
        let shade = 100 + number as u8 * 4;
        let (colour, pixel) = match number % 2 {
            0 => ("red", Rgb([shade, 0, 0])),
            _ => ("blue", Rgb([0, 0, shade])),
        };
        let mut png = Cursor::new(Vec::new());
        RgbImage::from_pixel(32, 32, pixel)
            .write_to(&mut png, ImageFormat::Png)
            .expect("encodes");
        Pair {
            key: format!("{number:03}"),
            caption: format!("a {colour} square, number {number}"),
            colour,
            png: png.into_inner(),
        }
    };
    let mut all: Vec<Pair> = (0..=PAIRS).map(pair).collect();
    if let Some(last) = all.last_mut() {
        last.png = b"no picture".to_vec();
    }
    all
}

/// Writes the data set in every form.
pub(crate) fn write_all(folder: &Path) {
    let pairs = pairs();
    table(folder, &pairs);
    parquet_files(folder, &pairs);
    coco(folder, &pairs);
    std::fs::create_dir_all(folder.join("shards")).expect("creates");
    let halves = pairs.split_at(PAIRS / 2);
    for (name, part) in [("0.tar", halves.0), ("1.tar", halves.1)] {
        std::fs::write(folder.join("shards").join(name), shard(part)).expect("writes");
    }
}

fn table(folder: &Path, pairs: &[Pair]) {
    let mut rows = "filepath,title,colour\n".to_owned();
    for pair in pairs {
        let file = format!("{}.png", pair.key);
        std::fs::write(folder.join(&file), &pair.png).expect("writes");
        let _infallible = writeln!(rows, "{file},\"{}\",{}", pair.caption, pair.colour);
    }
    std::fs::write(folder.join("pairs.csv"), rows).expect("writes");
}

fn shard(pairs: &[Pair]) -> Vec<u8> {
    let mut shard = tar::Builder::new(Vec::new());
    for pair in pairs {
        let json = serde_json::json!({"colour": pair.colour}).to_string();
        for (ending, bytes) in [
            ("json", json.as_bytes()),
            ("png", &pair.png),
            ("txt", pair.caption.as_bytes()),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            let name = format!("{}.{ending}", pair.key);
            shard
                .append_data(&mut header, name, bytes)
                .expect("appends");
        }
    }
    shard.into_inner().expect("finishes")
}

/// The value of a column in a row.
type Value<'a> = &'a dyn Fn(&Pair) -> Vec<u8>;

/// Hugging Face's layout, in two files of two row groups.
fn parquet_files(folder: &Path, pairs: &[Pair]) {
    let schema = "message schema {
        optional group image { optional binary bytes; optional binary path (UTF8); }
        optional binary caption (UTF8);
        optional binary colour (UTF8);
    }";
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    std::fs::create_dir_all(folder.join("tables")).expect("creates");
    for (number, half) in pairs.chunks(PAIRS.div_ceil(2) + 1).enumerate() {
        let file = File::create(folder.join(format!("tables/{number}.parquet")));
        let mut writer = SerializedFileWriter::new(
            file.expect("creates"),
            Arc::clone(&schema),
            Arc::new(WriterProperties::default()),
        )
        .expect("a writer");
        for rows in half.chunks(9) {
            let mut group = writer.next_row_group().expect("a group");
            let path = |pair: &Pair| format!("{}.png", pair.key).into_bytes();
            let columns: [(Value<'_>, i16); 4] = [
                (&|pair| pair.png.clone(), 2),
                (&path, 2),
                (&|pair| pair.caption.clone().into_bytes(), 1),
                (&|pair| pair.colour.as_bytes().to_vec(), 1),
            ];
            for (value, depth) in columns {
                let values: Vec<ByteArray> = rows
                    .iter()
                    .map(|pair| ByteArray::from(value(pair)))
                    .collect();
                let levels = vec![depth; rows.len()];
                let mut column = group.next_column().expect("reads").expect("one more");
                column
                    .typed::<ByteArrayType>()
                    .write_batch(&values, Some(&levels), None)
                    .expect("writes");
                column.close().expect("closes");
            }
            group.close().expect("closes");
        }
        writer.close().expect("closes");
    }
}

/// Without the labels, which such a file does not have.
fn coco(folder: &Path, pairs: &[Pair]) {
    let images = pairs
        .iter()
        .enumerate()
        .map(|(id, pair)| serde_json::json!({"id": id, "file_name": format!("{}.png", pair.key)}));
    let annotations = pairs
        .iter()
        .enumerate()
        .map(|(id, pair)| serde_json::json!({"id": id, "image_id": id, "caption": pair.caption}));
    let file = serde_json::json!({
        "images": images.collect::<Vec<_>>(),
        "annotations": annotations.collect::<Vec<_>>(),
    });
    std::fs::write(folder.join("captions.json"), file.to_string()).expect("writes");
}

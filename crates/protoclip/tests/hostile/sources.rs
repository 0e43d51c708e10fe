//! Ten thousand inputs for each reader of whole data sets: tar shards, Parquet files, COCO captions.

use std::cell::Cell;
use std::io::Read;
use std::path::Path;

use proptest::prelude::*;
use protoclip::config::{DataConfig, DataSource};
use protoclip::data::{CocoSource, DataError, PairSource, ParquetSource, WebDatasetSource};

use super::bombs::peak_memory;
use super::files::{CASES, damage, place, run};

/// What a reader may take for files of a few kilobytes.
const LARGEST_GROWTH: u64 = 256 << 20;

/// Two pairs, one captioned by a text and one by JSON, as Python's `tarfile` writes them.
fn shard() -> Vec<u8> {
    let packed = include_bytes!("../../src/data/fixtures/python.tar.gz");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_end(&mut bytes)
        .expect("unpacks");
    bytes
}

fn config(source: DataSource, path: &Path) -> DataConfig {
    DataConfig {
        source,
        path: Some(path.to_owned()),
        max_broken_share: 1.0,
        ..DataConfig::default()
    }
}

/// Reads every pair of a data set that could be opened; whether it could.
fn read_all<S: PairSource>(opened: Result<S, DataError>) -> bool {
    let Ok(source) = opened else { return false };
    let report = source.skipped();
    assert!(report.rows >= source.len() as u64);
    for sample in 0..source.len() as u32 {
        let _either = (source.caption(sample), source.image(sample).is_ok());
        assert!(!source.origin(sample).is_empty());
    }
    true
}

/// Runs all cases and says how many could be opened; none may take memory out of proportion.
fn cases<S: Strategy>(strategy: &S, test: impl Fn(S::Value) -> bool) -> u32 {
    let before = peak_memory();
    let opened = Cell::new(0);
    run(CASES, strategy, |value| {
        opened.set(opened.get() + u32::from(test(value)));
    });
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        let taken = after - before;
        assert!(taken < LARGEST_GROWTH, "took {} MiB", taken >> 20);
    }
    opened.get()
}

/// The header of a member whose check sum is right, whatever the rest says.
fn header() -> impl Strategy<Value = Vec<u8>> {
    let name = "(\\./)?[a-b]{1,2}(/[a-b])?\\.(png|jpg|txt|json|TXT|x)";
    let kind = prop_oneof![4 => Just(b'0'), 3 => prop::sample::select(b"LKxgS127\0".to_vec()), 1 => any::<u8>()];
    let size = prop_oneof![4 => 0..600_u64, 1 => any::<u64>()];
    let change = prop::option::weighted(0.3, (0..512_usize, any::<u8>()));
    (name, kind, size, change).prop_map(|(name, kind, size, change)| {
        let mut header = tar::Header::new_gnu();
        header.set_path(&name).expect("short");
        header.set_size(size);
        header.set_entry_type(tar::EntryType::new(kind));
        if let Some((at, byte)) = change {
            header.as_mut_bytes()[at] = byte;
        }
        header.set_cksum();
        header.as_bytes().to_vec()
    })
}

#[test]
fn tar_of_any_bytes_is_pairs_or_an_error() {
    let (_folder, path) = place("shard.tar");
    let good = shard();
    let plain = config(DataSource::WebDataset, &path);
    let mut labelled = plain.clone();
    labelled.label_columns = vec!["kind".into()];
    let made = prop::collection::vec((header(), 0..3_usize, any::<u8>()), 1..6);
    let strategy = (damage(), made, 0..3_u8);
    let opened = cases(&strategy, |(damage, made, kind)| {
        let bytes = match kind {
            0 => damage.of(&good),
            // Good members behind and between those that were made up.
            _ => {
                let mut bytes = Vec::new();
                for (header, blocks, byte) in made {
                    bytes.extend(header);
                    bytes.resize(bytes.len() + blocks * 512, byte);
                }
                bytes.extend(&good);
                if kind == 2 { damage.of(&bytes) } else { bytes }
            }
        };
        std::fs::write(&path, bytes).expect("writes");
        let config = if kind == 1 { &labelled } else { &plain };
        read_all(WebDatasetSource::open(config, &|_, _| true))
    });
    println!("{opened} of {CASES} shards could be opened");
    assert!(opened > 1000, "only {opened} could be opened");
}

#[test]
fn parquet_of_any_bytes_is_pairs_or_an_error() {
    let (_folder, path) = place("pairs.parquet");
    let good = include_bytes!("../../src/data/fixtures/hugging_face.parquet");
    let config = config(DataSource::Parquet, &path);
    std::fs::write(&path, good).expect("writes");
    assert!(read_all(ParquetSource::open(&config, &|_, _| true)));
    // The footer, which says where everything is, is at the end.
    let footer = u32::from_le_bytes(good[good.len() - 8..][..4].try_into().expect("four bytes"));
    let footer = good.len() - 8 - footer as usize;
    let in_footer = prop::collection::vec((footer..good.len() - 8, any::<u8>()), 1..4);
    let opened = cases(&(damage(), in_footer, any::<bool>()), |input| {
        let (damage, in_footer, anywhere) = input;
        let mut bytes = good.to_vec();
        if anywhere {
            bytes = damage.of(good);
        } else {
            for (at, byte) in in_footer {
                bytes[at] = byte;
            }
        }
        std::fs::write(&path, bytes).expect("writes");
        read_all(ParquetSource::open(&config, &|_, _| true))
    });
    println!("{opened} of {CASES} Parquet files could be opened");
    assert!(opened > 500, "only {opened} could be opened");
}

#[test]
fn coco_of_any_bytes_is_pairs_or_an_error() {
    let (folder, path) = place("captions.json");
    image::RgbImage::new(2, 2)
        .save(folder.path().join("a.png"))
        .expect("writes");
    let good = br#"{"images": [{"id": 7, "file_name": "a.png"}, {"id": "x", "file_name": "b.png"}],
        "annotations": [{"image_id": 7, "caption": "a \"cat\" \u00e9"}, {"image_id": "x", "caption": "b"},
        {"image_id": 7, "caption": 5}, {"image_id": 1000}]}"#;
    let mut config = config(DataSource::Coco, &path);
    config.image_folder = Some(folder.path().to_owned());
    let opened = cases(&damage(), |damage| {
        std::fs::write(&path, damage.of(good)).expect("writes");
        read_all(CocoSource::open(&config, &|_, _| true))
    });
    println!("{opened} of {CASES} files of captions could be opened");
    assert!(opened > 1000, "only {opened} could be opened");
    // Nested deeper than a stack is long.
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
        let text = format!("{{\"images\": [], \"annotations\": [], \"x\": {nested}}}");
        std::fs::write(&path, text).expect("writes");
        assert!(CocoSource::open(&config, &|_, _| true).is_err());
    }
}

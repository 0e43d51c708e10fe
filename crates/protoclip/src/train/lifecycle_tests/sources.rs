//! The same pairs from files of other kinds give the same run.

use std::fmt::Write as _;
use std::fs;

use image::ImageFormat;

use super::*;
use crate::config::{DataConfig, DataSource};
use crate::data::tar_fixture::{Shard, gzip};
use crate::data::{self, BuiltinSource};

/// Pairs of a data set that is written in several ways.
const PAIRS: u32 = 96;

/// Writes the first built-in pairs as two shards and as a CSV file with pictures beside it.
fn written(folder: &Path) -> [DataConfig; 2] {
    let source = BuiltinSource::new();
    let (mut shards, mut rows) = (
        [Shard::new(), Shard::new()],
        String::from("filepath,title\n"),
    );
    for sample in 0..PAIRS {
        let caption = source.caption(sample).expect("caption");
        let mut png = std::io::Cursor::new(Vec::new());
        let picture = source.image(sample).expect("decodes");
        picture
            .write_to(&mut png, ImageFormat::Png)
            .expect("encodes");
        fs::write(folder.join(format!("{sample:04}.png")), png.get_ref()).expect("writes");
        let _infallible = writeln!(rows, "{sample:04}.png,\"{}\"", caption.replace('"', "\"\""));
        let [first, second] = shards;
        let add = |shard: Shard| {
            shard
                .add(&format!("{sample:04}.txt"), caption.as_bytes())
                .add(&format!("{sample:04}.png"), png.get_ref())
        };
        shards = match sample < PAIRS / 2 {
            true => [add(first), second],
            false => [first, add(second)],
        };
    }
    fs::write(folder.join("pairs.csv"), rows).expect("writes");
    let [first, second] = shards.map(Shard::bytes);
    fs::write(folder.join("s-0.tar"), first).expect("writes");
    fs::write(folder.join("s-1.tar.gz"), gzip(&second)).expect("writes");
    let of = |source, name: &str| DataConfig {
        source,
        path: Some(folder.join(name)),
        ..DataConfig::default()
    };
    [
        of(DataSource::Csv, "pairs.csv"),
        of(DataSource::WebDataset, "s-*"),
    ]
}

/// All losses of a small run, and which samples its last prototypes were made of.
fn trained(config: &DataConfig) -> (Vec<(u64, f64)>, Vec<u32>) {
    let folder = tempfile::tempdir().expect("folder");
    let config = super::config(|c| {
        c.data = config.clone();
        c.episodes = 2;
    });
    let curve = on_one_thread(|| {
        let mut recorder = Recorder::default();
        let control = Control::new(&config, None);
        let outcome = run(job(&config, folder.path(), false), &mut recorder, &control);
        assert_eq!(outcome.expect("finishes"), Outcome::Finished);
        recorder.curve(tag::LOSS_TOTAL)
    });
    let snapshot = PrototypeSnapshot::read(&folder.path().join(snapshot_file(6))).expect("reads");
    (curve, snapshot.samples)
}

#[test]
fn equal_pairs_from_shards_and_a_table_give_equal_losses() {
    let folder = tempfile::tempdir().expect("folder");
    let configs = written(folder.path());
    let open = |config| data::open(config, &|_, _| true).expect("opens");
    let [table, shards] = [open(&configs[0]), open(&configs[1])];
    assert_eq!((table.len(), shards.len()), (96, 96));
    for sample in 0..PAIRS {
        assert_eq!(table.caption(sample).ok(), shards.caption(sample).ok());
        assert_eq!(table.image(sample).ok(), shards.image(sample).ok());
        assert_eq!(table.key(sample).ok(), shards.key(sample).ok());
        assert_eq!(table.record_number(sample), shards.record_number(sample));
    }
    let [of_table, of_shards] = [trained(&configs[0]), trained(&configs[1])];
    assert_eq!(of_table.0.len(), 6);
    assert_eq!(of_table, of_shards);
}

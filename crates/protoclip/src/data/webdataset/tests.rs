//! Tests of [`WebDatasetSource`](super::WebDatasetSource) on small shards of their own.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;

use super::tar_fixture::{Shard, gzip, png};
use super::*;
use crate::config::DataSource;

struct Folder {
    folder: TempDir,
    config: DataConfig,
}

impl Folder {
    /// Files of a folder, which is the data set.
    fn new(files: &[(&str, Vec<u8>)]) -> Self {
        let folder = TempDir::new().expect("temporary folder");
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).expect("writes");
        }
        let config = DataConfig {
            source: DataSource::WebDataset,
            path: Some(folder.path().to_owned()),
            max_broken_share: 1.0,
            ..DataConfig::default()
        };
        Self { folder, config }
    }

    fn open(&self) -> Result<WebDatasetSource, DataError> {
        WebDatasetSource::open_with(&self.config, None, &|_, _| true)
    }

    fn opened(&self) -> WebDatasetSource {
        self.open().expect("opens")
    }

    fn error(&self) -> String {
        self.open().expect_err("refused").to_string()
    }
}

fn captions(source: &dyn PairSource) -> Vec<String> {
    let all = 0..source.len() as SampleId;
    all.map(|s| source.caption(s).expect("caption")).collect()
}

fn shades(source: &dyn PairSource) -> Vec<u8> {
    let all = 0..source.len() as SampleId;
    all.map(|s| source.image(s).expect("decodes").get_pixel(0, 0).0[0])
        .collect()
}

/// Three pairs whose members lie apart, in any order.
fn scattered() -> Vec<u8> {
    Shard::new()
        .add(
            "b/2.json",
            br#"{"caption": "from json", "kind": "dog", "year": 7}"#,
        )
        .add("1.txt", b" first \n")
        .add("3.PNG", &png(3))
        .add("notes.md", b"of no interest")
        .add("b/2.png", &png(2))
        .add(
            "1.json",
            br#"{"caption": "not this", "kind": "cat", "year": null}"#,
        )
        .add("3.txt", "drit\u{e9}".as_bytes())
        .add("1.png", &png(1))
        .bytes()
}

#[test]
fn members_of_a_key_belong_together_wherever_they_lie() {
    let mut folder = Folder::new(&[("a.tar", scattered())]);
    folder.config.label_columns = vec!["kind".into(), "year".into()];
    let source = folder.opened();
    assert_eq!(captions(&source), ["from json", "first", "drit\u{e9}"]);
    assert_eq!(shades(&source), [2, 1, 3]);
    let keys: Vec<String> = (0..3).map(|s| source.key(s).expect("key")).collect();
    assert_eq!(keys, ["2", "1", "3"]);
    assert_eq!(source.origin(0), "a.tar!b/2.png");
    let [kind, year] = source.labels() else {
        panic!("two columns");
    };
    assert_eq!(kind.classes, ["dog", "cat", "(none)"]);
    assert_eq!(*kind.of_sample, [0, 1, 2]);
    assert_eq!(year.classes, ["7", "(none)"]);
    assert_eq!((source.skipped().rows, source.skipped().skipped), (3, 0));
    assert!(source.caption(3).is_err());
}

#[test]
fn a_named_field_is_the_caption_and_absent_labels_are_an_error() {
    let mut folder = Folder::new(&[("a.tar", scattered())]);
    folder.config.caption_column = Some("kind".into());
    assert_eq!(captions(&folder.opened()), ["dog", "cat"]);
    assert_eq!(
        folder.opened().skipped().by_reason,
        [(SkipReason::EmptyCaption, 1)]
    );
    folder.config.label_columns = vec!["colour".into()];
    assert!(folder.error().contains("\"colour\""), "{}", folder.error());
}

#[test]
fn shards_follow_each_other_and_gzipped_ones_give_the_same() {
    let first = Shard::new().pair("1", 1, "one").pair("2", 2, "two").bytes();
    let second = Shard::new().pair("1", 3, "three").bytes();
    let plain = Folder::new(&[("s-0.tar", first.clone()), ("s-1.tar", second.clone())]);
    let packed = Folder::new(&[("s-0.tar.gz", gzip(&first)), ("s-1.tgz", gzip(&second))]);
    let mixed = Folder::new(&[("s-0.tar", first), ("s-1.tar.gz", gzip(&second))]);
    let wanted = plain.opened();
    assert_eq!(captions(&wanted), ["one", "two", "three"]);
    for folder in [packed, mixed] {
        let source = folder.opened();
        assert_eq!(captions(&source), captions(&wanted));
        assert_eq!(shades(&source), [1, 2, 3]);
        assert_eq!(source.fingerprint(), wanted.fingerprint());
        assert_eq!(source.skipped(), wanted.skipped());
    }
    let mut range = plain;
    range.config.path = Some(range.folder.path().join("s-{0..1}.tar"));
    assert_eq!(range.opened().len(), 3);
    assert_eq!(range.opened().name(), "s-{0..1}.tar");
}

/// The fixture is written by Python, see `tests/peers/data_fixtures.py`.
#[test]
fn a_shard_of_another_writer_is_read() {
    let bytes = include_bytes!("../fixtures/python.tar.gz");
    let mut folder = Folder::new(&[("python.tar.gz", bytes.to_vec())]);
    folder.config.label_columns = vec!["kind".into()];
    let source = folder.opened();
    let wanted = [
        "a cat",
        "a dog",
        "a cat asleep",
        "ein Hündchen",
        "a dog\nthat barks",
        "the last cat",
    ];
    assert_eq!(captions(&source), wanted);
    assert_eq!(shades(&source), [0, 10, 20, 30, 40, 50]);
    assert_eq!(source.labels()[0].classes, ["cat", "dog"]);
    assert_eq!(source.key(5).expect("key"), "ü".repeat(120));
    assert_eq!(source.skipped().skipped, 0);
}

#[test]
fn what_is_broken_is_listed_with_its_place_and_reason() {
    let shard = Shard::new()
        .pair("good", 1, "fine")
        .add("nocaption.png", &png(2))
        .add("nopicture.txt", b"alone")
        .pair("blank", 3, " \n")
        .add("latin.png", &png(4))
        .add("latin.txt", b"caf\xe9")
        .add("broken.png", b"nonsense")
        .add("broken.txt", b"x")
        .add("json.png", &png(5))
        .add("json.json", b"{\"caption\": ")
        .pair("twice", 6, "x")
        .add("twice.png", &png(7))
        .link("link.png", "good.png")
        .add("link.txt", b"x")
        .add("empty.png", b"")
        .add("empty.txt", b"x")
        .bytes();
    let folder = Folder::new(&[("a.tar", shard)]);
    let source = folder.opened();
    assert_eq!(captions(&source), ["fine"]);
    let report = source.skipped();
    assert_eq!((report.rows, report.skipped), (10, 9));
    let found: Vec<(&str, SkipReason)> = report
        .listed
        .iter()
        .map(|row| (row.place.as_str(), row.reason))
        .collect();
    assert_eq!(
        found,
        [
            ("a.tar!nocaption.*", SkipReason::EmptyCaption),
            ("a.tar!nopicture.*", SkipReason::MissingFile),
            ("a.tar!blank.txt", SkipReason::EmptyCaption),
            ("a.tar!latin.txt", SkipReason::BadUtf8),
            ("a.tar!broken.png", SkipReason::BrokenImage),
            ("a.tar!json.json", SkipReason::BadJson),
            ("a.tar!twice.png", SkipReason::BrokenMember),
            ("a.tar!link.png", SkipReason::BrokenMember),
            ("a.tar!empty.png", SkipReason::BrokenImage),
        ]
    );
    let mut strict = folder;
    strict.config.max_broken_share = 0.5;
    assert!(
        strict.error().contains("data.max_broken_share"),
        "{}",
        strict.error()
    );
}

#[test]
fn a_shard_that_was_cut_keeps_the_pairs_before_the_cut() {
    let noise: Vec<u8> = (0..200_000_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let long = Shard::new()
        .pair("1", 1, "one")
        .add("x.bin", &noise)
        .pair("2", 2, "two");
    let mut packed = gzip(&long.bytes());
    packed.truncate(packed.len() / 2);
    let whole = |bytes: &[u8]| Folder::new(&[("a.tar", bytes.to_vec())]).open();
    let cut = Shard::new().pair("1", 1, "one").pair("2", 2, "two").bytes();
    for end in [1, 511, 600, 1024, 1500] {
        let message = whole(&cut[..end]).expect_err("no pair").to_string();
        assert!(message.contains("usable"), "{end}: {message}");
    }
    // Header and content take a block each: the pair ends at 4 blocks.
    for end in [2048, 2049, 2600, 3000, 3500] {
        let source = whole(&cut[..end]).expect("opens");
        assert_eq!(captions(&source), ["one"], "{end}");
        let report = source.skipped();
        let broken = report
            .listed
            .iter()
            .filter(|r| r.reason == SkipReason::BrokenShard);
        assert_eq!(broken.count(), 1, "{end}: {report:?}");
    }
    let source = Folder::new(&[("a.tar.gz", packed)]).opened();
    assert_eq!(captions(&source), ["one"]);
    let report = source.skipped();
    assert_eq!(report.listed[0].reason, SkipReason::BrokenShard);
    assert!(report.listed[0].detail.contains("gzip"), "{report:?}");
}

#[test]
fn shards_that_are_none_are_counted_against_the_threshold() {
    let good = Shard::new().pair("1", 1, "one").bytes();
    let files = [
        ("a.tar", good),
        ("b.tar", vec![7; 3000]),
        ("c.tar.gz", b"not gzip at all".to_vec()),
        ("d.tar", Vec::new()),
    ];
    let mut folder = Folder::new(&files);
    let source = folder.opened();
    assert_eq!(captions(&source), ["one"]);
    let places: Vec<String> = source
        .skipped()
        .listed
        .into_iter()
        .map(|r| r.place)
        .collect();
    assert_eq!(places, ["b.tar", "c.tar.gz", "d.tar"]);
    folder.config.max_broken_share = 0.74;
    assert!(folder.error().contains("3 of 4"), "{}", folder.error());
    folder.config.path = Some(folder.folder.path().join("e-{0..1}.tar"));
    assert!(folder.error().contains("e-0.tar"), "{}", folder.error());
}

#[test]
fn the_index_and_the_unpacked_copy_are_kept_until_a_shard_changes() {
    let shard = |caption: &str| gzip(&Shard::new().pair("1", 1, caption).bytes());
    let folder = Folder::new(&[("a.tar.gz", shard("one"))]);
    let kept = TempDir::new().expect("temporary folder");
    let cache = CacheFolder {
        path: kept.path().join("cache"),
        limit: 1 << 20,
    };
    let reports = AtomicUsize::new(0);
    let open = || {
        reports.store(0, Ordering::Relaxed);
        let count = |_, _| {
            reports.fetch_add(1, Ordering::Relaxed);
            true
        };
        WebDatasetSource::open_with(&folder.config, Some(&cache), &count).expect("opens")
    };
    let first = open();
    assert!(reports.load(Ordering::Relaxed) > 0);
    let again = open();
    assert_eq!(
        reports.load(Ordering::Relaxed),
        0,
        "nothing was looked through"
    );
    assert_eq!(captions(&again), ["one"]);
    assert_eq!(again.fingerprint(), first.fingerprint());
    assert_eq!(again.skipped(), first.skipped());
    std::fs::write(folder.folder.path().join("a.tar.gz"), shard("another")).expect("writes");
    let changed = open();
    assert_eq!(captions(&changed), ["another"]);
    assert_ne!(changed.fingerprint(), first.fingerprint());
    assert_eq!(captions(&first), ["one"], "whoever has it open reads on");
    let third = shard("a third");
    std::fs::write(folder.folder.path().join("a.tar.gz"), third).expect("writes");
    let small = CacheFolder {
        limit: 100,
        ..cache
    };
    let error = WebDatasetSource::open_with(&folder.config, Some(&small), &|_, _| true);
    assert!(error.is_err(), "no room to unpack");
}

#[test]
fn a_shard_that_changes_while_it_is_open_is_an_error_that_names_it() {
    let names: Vec<String> = (0..40).map(|n| format!("{n:02}.tar")).collect();
    let shard = Shard::new().pair("1", 1, "one").bytes();
    let files: Vec<(&str, Vec<u8>)> = names.iter().map(|n| (n.as_str(), shard.clone())).collect();
    let folder = Folder::new(&files);
    let source = folder.opened();
    let long = Shard::new().pair("1", 1, "one").pair("2", 1, "two").bytes();
    std::fs::write(folder.folder.path().join("00.tar"), long).expect("writes");
    let error = source.image(0).expect_err("changed").to_string();
    assert!(
        error.contains("00.tar") && error.contains("changed"),
        "{error}"
    );
    assert!(source.image(39).is_ok());
}

#[test]
fn opening_can_be_cancelled() {
    let shard = Shard::new().pair("1", 1, "one").bytes();
    for (name, bytes) in [("a.tar", shard.clone()), ("a.tar.gz", gzip(&shard))] {
        let folder = Folder::new(&[(name, bytes)]);
        let cancelled = WebDatasetSource::open_with(&folder.config, None, &|_, _| false);
        assert!(matches!(cancelled, Err(DataError::Cancelled)), "{name}");
    }
}

/// Opens bytes as a shard and reads every pair of it.
fn read_all(bytes: &[u8]) {
    let mut folder = Folder::new(&[("a.tar", bytes.to_vec())]);
    folder.config.label_columns = vec!["kind".into()];
    for caption in [None, Some("kind".to_owned())] {
        folder.config.caption_column = caption;
        if let Ok(source) = folder.open() {
            for sample in 0..source.len() as SampleId {
                let _either = (source.caption(sample), source.image(sample).is_ok());
            }
        }
    }
}

#[test]
fn no_cut_makes_reading_panic() {
    let whole = scattered();
    let packed = gzip(&whole);
    for end in (0..whole.len()).step_by(97) {
        read_all(&whole[..end]);
    }
    for end in 0..packed.len() {
        read_all(&packed[..end]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_bytes_make_reading_panic(
        noise in proptest::collection::vec(any::<u8>(), 0..1500),
        changes in proptest::collection::vec((0_usize..9000, any::<u8>()), 0..24),
        packed in any::<bool>(),
    ) {
        read_all(&noise);
        let mut bytes = scattered();
        if packed {
            bytes = gzip(&bytes);
        }
        for (place, byte) in changes {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        read_all(&bytes);
    }

    /// Headers with the right check sum and any sizes and types.
    #[test]
    fn no_header_makes_reading_panic(
        headers in proptest::collection::vec((any::<u64>(), any::<u8>(), "[a-c]{1,2}\\.(png|txt|json)"), 1..6),
    ) {
        let mut bytes = Vec::new();
        for (size, kind, name) in headers {
            let mut header = tar::Header::new_gnu();
            header.set_path(&name).expect("short");
            header.set_size(size >> (size % 64));
            header.set_entry_type(tar::EntryType::new(kind));
            header.set_cksum();
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(&[b'x'; 512]);
        }
        read_all(&bytes);
    }
}

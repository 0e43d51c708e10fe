//! Data sets on S3 beside the same ones as files, read through objects in memory.

use std::path::Path;
use std::sync::Arc;

use super::cache_folder::CacheFolder;
use super::csv::CsvSource;
use super::object_reader::memory::{Memory, memory};
use super::tar_fixture::{Shard, gzip, png};
use super::*;
use crate::config::{Augmentation, Fidelity};
use crate::tokenizer::Tokenizer;

const AWAY: &str = "cannot be reached now: no route; try again or resume the run";

/// Files of one data set, in a folder and in a bucket.
struct Twin {
    folder: tempfile::TempDir,
    bucket: String,
}

impl Twin {
    fn new(bucket: &str, files: &[(&str, Vec<u8>)]) -> Self {
        let twin = Self {
            folder: tempfile::tempdir().expect("temporary folder"),
            bucket: format!("s3://{bucket}"),
        };
        for (name, bytes) in files {
            let path = twin.folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("creates");
            std::fs::write(path, bytes).expect("writes");
            memory().put(twin.url(name), bytes.clone());
        }
        twin
    }

    fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.bucket)
    }

    /// Settings for the files and for the objects.
    fn configs(&self, source: DataSource, name: &str) -> [DataConfig; 2] {
        [self.folder.path().join(name), self.url(name).into()].map(|path| DataConfig {
            source,
            path: Some(path),
            max_broken_share: 1.0,
            ..DataConfig::default()
        })
    }
}

fn opened(config: &DataConfig) -> Arc<dyn PairSource> {
    open(config, &|_, _| true).expect("opens")
}

fn assert_same(a: &dyn PairSource, b: &dyn PairSource) {
    assert_eq!((a.len(), a.fingerprint()), (b.len(), b.fingerprint()));
    assert_eq!(a.labels(), b.labels());
    for sample in 0..a.len() as SampleId {
        let caption = |source: &dyn PairSource| source.caption(sample).expect("caption");
        assert_eq!(caption(a), caption(b));
        let image = |source: &dyn PairSource| source.image(sample).expect("decodes");
        assert_eq!(image(a), image(b));
        let key = |source: &dyn PairSource| source.key(sample).expect("key");
        assert_eq!(key(a), key(b));
    }
    assert_eq!(a.skipped(), b.skipped());
}

fn shard(from: u8, pairs: u8) -> Vec<u8> {
    let mut shard = Shard::new();
    for number in from..from + pairs {
        let json = format!(r#"{{"kind": "{}"}}"#, number % 3);
        shard = shard
            .pair(
                &format!("{number:03}"),
                number,
                &format!("caption {number}"),
            )
            .add(&format!("{number:03}.json"), json.as_bytes());
    }
    shard.bytes()
}

fn shards(bucket: &str) -> Twin {
    let files = [
        ("s/a-0.tar", shard(0, 20)),
        ("s/a-1.tar", shard(20, 20)),
        ("s/b.tar.gz", gzip(&shard(40, 5))),
    ];
    Twin::new(bucket, &files)
}

#[test]
fn shards_are_the_same_by_file_pattern_and_folder() {
    let twin = shards("patterns");
    for name in [
        "s/a-0.tar",
        "s/a-{0..1}.tar",
        "s/a-*.tar",
        "s/{a-1,a-0}.tar",
        "s/",
        "s",
        "s/b.tar.gz",
    ] {
        let [mut local, mut remote] = twin.configs(DataSource::WebDataset, name);
        for config in [&mut local, &mut remote] {
            config.label_columns = vec!["kind".into()];
        }
        assert_eq!(
            kind_of(remote.path.as_deref().expect("a path")),
            DataSource::WebDataset
        );
        assert_eq!(absence(&remote), None, "{name}");
        let (local, remote) = (opened(&local), opened(&remote));
        assert_same(&*local, &*remote);
        assert_eq!(remote.is_remote(), name != "s/b.tar.gz", "{name}");
    }
}

#[test]
fn looking_through_shards_takes_few_requests_and_captions_none() {
    let twin = shards("requests");
    let [_, remote] = twin.configs(DataSource::WebDataset, "s/a-{0..1}.tar");
    let source = opened(&remote);
    // One listing for both, and each is smaller than a block.
    assert_eq!(memory().take_asked(&twin.bucket).len(), 3);
    let all: Vec<SampleId> = (0..40).collect();
    for &sample in &all {
        source.caption(sample).expect("caption");
    }
    assert_eq!(memory().take_asked(&twin.bucket), []);
    source.fetch(&all).expect("fetches");
    assert_eq!(
        memory().take_asked(&twin.bucket).len(),
        2,
        "neighbours together"
    );
    for &sample in &all {
        source.image(sample).expect("decodes");
    }
    assert_eq!(memory().take_asked(&twin.bucket), [], "all are here");
    source.image(7).expect("decodes");
    assert_eq!(
        memory().take_asked(&twin.bucket).len(),
        1,
        "handed out once"
    );
}

#[test]
fn kept_indexes_and_copies_count_while_the_objects_are_the_same() {
    let twin = shards("kept");
    let parquet = include_bytes!("fixtures/hugging_face.parquet");
    memory().put(twin.url("t.parquet"), &parquet[..]);
    let kept = tempfile::tempdir().expect("folder");
    let cache = CacheFolder {
        path: kept.path().to_owned(),
        limit: 1 << 24,
    };
    let [_, tar] = twin.configs(DataSource::WebDataset, "s/");
    let [_, table] = twin.configs(DataSource::Parquet, "t.parquet");
    let open_both = || {
        let tar = WebDatasetSource::open_with(&tar, Some(&cache), &|_, _| true).expect("opens");
        let table = ParquetSource::open_with(&table, Some(&cache), &|_, _| true).expect("opens");
        (tar, table)
    };
    let first = open_both();
    memory().take_asked(&twin.bucket);
    let again = open_both();
    let asked = memory().take_asked(&twin.bucket);
    assert_eq!(asked.len(), 2, "a listing and a stamp: {asked:?}");
    assert_same(&first.0, &again.0);
    assert_same(&first.1, &again.1);
    let before = stamp(&tar);
    memory().put(twin.url("s/a-1.tar"), shard(60, 3));
    std::thread::sleep(std::time::Duration::from_millis(60));
    assert_ne!(stamp(&tar), before, "a page notices");
    let error = first.0.image(21).expect_err("changed").to_string();
    assert!(error.contains("s/a-1.tar: the object changed"), "{error}");
    let changed = open_both().0;
    assert_ne!(changed.fingerprint(), first.0.fingerprint());
    assert_eq!(changed.len(), 28);
    let small = CacheFolder {
        path: kept.path().join("small"),
        limit: 100,
    };
    let refused = ParquetSource::open_with(&table, Some(&small), &|_, _| true);
    let error = refused.map(|_| ()).expect_err("no room").to_string();
    assert!(error.contains("--cache-gib"), "{error}");
}

#[test]
fn parquet_files_tables_and_coco_files_are_the_same() {
    let parquet = include_bytes!("fixtures/hugging_face.parquet").to_vec();
    let rows = "filepath,title\np/1.png,one\n./p/2.png,\"two, too\"\np/gone.png,x\n../p/1.png,x\n/etc/x.png,x\n";
    let coco = r#"{"images": [{"id": 1, "file_name": "1.png"}, {"id": 2, "file_name": "gone.png"}],
        "annotations": [{"image_id": 1, "caption": "one"}, {"image_id": 2, "caption": "x"}]}"#;
    let twin = Twin::new(
        "tables",
        &[
            ("d/t-0.parquet", parquet),
            ("d/pairs.csv", rows.into()),
            ("d/p/1.png", png(1)),
            ("d/p/2.png", png(2)),
            ("d/captions_p.json", coco.into()),
            ("p/1.png", png(3)),
        ],
    );
    let [mut local, mut remote] = twin.configs(DataSource::Parquet, "d/t-*.parquet");
    assert_same(&*opened(&local), &*opened(&remote));
    for (config, folder) in [
        (&mut local, twin.folder.path().join("d/p")),
        (&mut remote, twin.url("d/p").into()),
    ] {
        config.image_folder = Some(folder);
    }
    assert_same(&*opened(&local), &*opened(&remote));
    for (source, name, broken) in [
        (DataSource::Csv, "d/pairs.csv", 3),
        (DataSource::Coco, "d/captions_p.json", 1),
    ] {
        let [local, remote] = twin.configs(source, name);
        let (local, remote) = (opened(&local), opened(&remote));
        assert_eq!((remote.len(), remote.is_remote()), (local.len(), true));
        assert_eq!(remote.fingerprint(), local.fingerprint(), "{name}");
        assert_eq!(remote.skipped().skipped, broken);
        assert_eq!(remote.skipped().by_reason, local.skipped().by_reason);
        for sample in 0..local.len() as SampleId {
            assert_eq!(
                local.image(sample).ok(),
                remote.image(sample).ok(),
                "{name}"
            );
        }
        remote.fetch(&[0]).expect("fetches");
        memory().take_asked(&twin.bucket);
        remote.image(0).expect("decodes");
        assert_eq!(memory().take_asked(&twin.bucket), []);
    }
}

#[test]
fn what_is_broken_in_an_object_is_broken_as_in_a_file() {
    let whole = shard(0, 9);
    let files = [
        ("cut.tar", whole[..whole.len() / 2 + 100].to_vec()),
        ("cut.tar.gz", gzip(&whole)[..700].to_vec()),
        ("none.tar", vec![7; 3000]),
        ("empty.tar", Vec::new()),
        ("good.tar", whole),
    ];
    let twin = Twin::new("cut", &files);
    let [local, remote] = twin.configs(DataSource::WebDataset, "");
    assert_same(&*opened(&local), &*opened(&remote));
}

/// Training batches of a source, or the error that ended them.
fn batches(source: &Arc<dyn PairSource>) -> Result<Vec<Batch>, DataError> {
    let config = BatcherConfig {
        image_size: 8,
        context: 8,
        batch_size: 10,
        seed: 3,
        fidelity: Fidelity::Corrected,
        threads: 2,
        cache_bytes: 0,
        max_broken_share: 0.5,
    };
    let batcher = Batcher::new(Arc::clone(source), Arc::new(Tokenizer::new()), config)?;
    let samples = (0..40).map(|n| n * 7 % 40).collect();
    let mode = BatchMode::Train {
        episode: 0,
        augmentation: Augmentation::None,
    };
    let made = batcher.batches(samples, mode)?.collect();
    assert!(batcher.broken().is_empty(), "no pair is to blame");
    made
}

#[test]
fn storage_that_is_away_ends_a_pass_and_blames_no_pair() {
    let twin = shards("away");
    let [local, remote] = twin.configs(DataSource::WebDataset, "s/a-*.tar");
    let (local, source) = (opened(&local), opened(&remote));
    assert_eq!(
        batches(&source).expect("batches"),
        batches(&local).expect("batches")
    );
    for error in [
        ObjectError::Unreachable(AWAY.into()),
        ObjectError::Denied("no".into()),
    ] {
        memory().fail(&twin.url("s/a-1.tar"), error.clone());
        let failed = batches(&source).expect_err("away");
        assert!(
            matches!(&failed, DataError::Object { error: said, .. } if *said == error),
            "{failed}"
        );
        assert!(
            failed.to_string().contains("s3://away/s/a-1.tar: "),
            "{failed}"
        );
        let failed = open(&remote, &|_, _| true).expect_err("away");
        assert!(matches!(failed, DataError::Object { .. }), "{failed}");
        memory().heal(&twin.url("s/a-1.tar"));
    }
    assert_eq!(source.skipped().skipped, 0);
    assert_eq!(
        batches(&source).expect("again"),
        batches(&local).expect("batches")
    );
    let [_, gzipped] = twin.configs(DataSource::WebDataset, "s/b.tar.gz");
    memory().fail(
        &twin.url("s/b.tar.gz"),
        ObjectError::Unreachable(AWAY.into()),
    );
    assert!(matches!(
        open(&gzipped, &|_, _| true),
        Err(DataError::Object { .. })
    ));
}

#[test]
fn pictures_of_a_table_that_are_away_are_not_missing() {
    let twin = Twin::new(
        "beside",
        &[
            (
                "pairs.csv",
                b"filepath,title\n1.png,one\n2.png,two\n3.png,three\n".to_vec(),
            ),
            ("1.png", png(1)),
            ("2.png", png(2)),
            ("3.png", b"no picture".to_vec()),
        ],
    );
    let [_, remote] = twin.configs(DataSource::Csv, "pairs.csv");
    let source = CsvSource::open(&remote, &|_, _| true).expect("opens");
    assert_eq!(source.len(), 3, "headers are not read");
    memory().fail(&twin.url("2.png"), ObjectError::Unreachable(AWAY.into()));
    assert!(matches!(source.image(1), Err(DataError::Object { .. })));
    assert!(matches!(
        source.fetch(&[0, 1]),
        Err(DataError::Object { .. })
    ));
    assert!(matches!(source.image(2), Err(DataError::Image { .. })));
    assert_eq!(source.skipped().by_reason, [(SkipReason::BrokenImage, 1)]);
    memory().heal(&twin.url("2.png"));
    assert!(source.image(1).is_ok());
}

fn said(config: &DataConfig) -> String {
    let (field, message) = absence(config).expect("absent");
    assert_eq!(field, "data.path");
    message
}

#[test]
fn what_is_absent_is_said_and_storage_that_is_away_is_not_a_change() {
    let twin = shards("absent");
    let [_, config] = twin.configs(DataSource::WebDataset, "s/a-{0..2}.tar");
    assert!(said(&config).contains("s3://absent/s/a-2.tar: there is no such object"));
    let [_, config] = twin.configs(DataSource::WebDataset, "t/*.tar");
    assert!(said(&config).contains("no file ending in .tar"));
    let [_, config] = twin.configs(DataSource::Folder, "s");
    assert!(said(&config).contains("on S3 can be WebDataset shards"));
    let nowhere = Path::new("s3://absent/t/");
    assert_eq!(kind_of(nowhere), DataSource::WebDataset);
    let [_, config] = twin.configs(DataSource::Csv, "t.csv");
    assert!(said(&config).contains("there is no such object"));
    let [_, config] = twin.configs(DataSource::WebDataset, "s/a-*.tar");
    assert_eq!(absence(&config), None);
    let before = stamp(&config).expect("there");
    memory().fail(&twin.bucket, ObjectError::Unreachable(AWAY.into()));
    std::thread::sleep(std::time::Duration::from_millis(60));
    assert_eq!(
        stamp(&config),
        Some(before),
        "as it was when it was seen last"
    );
    assert!(said(&config).contains(AWAY));
    memory().take_asked(&twin.bucket);
    let [_, other] = twin.configs(DataSource::WebDataset, "s/a-0.tar");
    assert!(said(&other).contains("s/a-0.tar: cannot be reached"));
    assert_eq!(
        memory().take_asked(&twin.bucket),
        [],
        "a bucket that is away is left alone"
    );
}

#[test]
fn no_url_makes_anything_panic() {
    let _named: &Memory = memory();
    for url in [
        "s3://",
        "s3:///",
        "s3:///x.tar",
        "s3://b",
        "s3://b/",
        "s3://b/{",
        "s3://b/*",
        "s3://b/{a,b}/*/x.tar",
        "s3://{1..3}/x.tar",
        "s3://é/é.tar",
    ] {
        for source in [
            DataSource::WebDataset,
            DataSource::Parquet,
            DataSource::Csv,
            DataSource::Coco,
            DataSource::Folder,
        ] {
            let config = DataConfig {
                source,
                path: Some(url.into()),
                ..DataConfig::default()
            };
            assert!(open(&config, &|_, _| true).is_err(), "{url}");
            assert!(absence(&config).is_some(), "{url}");
            assert_eq!(stamp(&config), None);
        }
        let _any = kind_of(Path::new(url));
    }
}

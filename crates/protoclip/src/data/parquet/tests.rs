//! Tests of [`ParquetSource`](super::ParquetSource) on small files of their own.

use std::sync::Arc;

use ::parquet::basic::Compression;
use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::config::DataSource;
use crate::data::tar_fixture::png;

/// As Hugging Face writes it.
const HUGGING_FACE: &str = "message schema {
    optional group image { optional binary bytes; optional binary path (UTF8); }
    optional binary caption (UTF8);
    optional int64 label;
}";

/// A row: bytes, path, caption, label.
type Row<'a> = (
    Option<Vec<u8>>,
    Option<&'a str>,
    Option<&'a [u8]>,
    Option<i64>,
);

/// Columns of a schema with the level at which a value is there.
type Layout<'a> = (&'a str, &'a [(&'a str, i16)]);

const STRUCTURE: Layout<'_> = (
    HUGGING_FACE,
    &[("bytes", 2), ("path", 2), ("caption", 1), ("label", 1)],
);
const PATHS: Layout<'_> = (
    "message schema { optional binary filepath (UTF8); required binary title (UTF8); }",
    &[("path", 1), ("caption", 0)],
);

fn file(layout: Layout<'_>, groups: &[Vec<Row<'_>>], compression: Compression) -> Vec<u8> {
    let names =
        r#"{"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}"#;
    let names = KeyValue::new("huggingface".to_owned(), names.to_owned());
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_data_page_row_count_limit(3)
        .set_write_batch_size(1)
        .set_key_value_metadata(Some(vec![names]))
        .build();
    let schema = Arc::new(parse_message_type(layout.0).expect("a schema"));
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).expect("a writer");
    for rows in groups {
        let mut group = writer.next_row_group().expect("a group");
        for &(name, depth) in layout.1 {
            let mut column = group.next_column().expect("a column").expect("one more");
            let level = |there: bool| depth - i16::from(!there);
            if name == "label" {
                let values: Vec<i64> = rows.iter().filter_map(|row| row.3).collect();
                let levels: Vec<i16> = rows.iter().map(|row| level(row.3.is_some())).collect();
                let typed = column.typed::<Int64Type>();
                typed
                    .write_batch(&values, Some(&levels), None)
                    .expect("writes");
            } else {
                let cells = rows.iter().map(|row| match name {
                    "bytes" => row.0.clone(),
                    "path" => row.1.map(|text| text.as_bytes().to_vec()),
                    _ => row.2.map(<[u8]>::to_vec),
                });
                let cells: Vec<Option<Vec<u8>>> = cells.collect();
                let levels: Vec<i16> = cells.iter().map(|cell| level(cell.is_some())).collect();
                let levels = (depth > 0).then_some(&levels[..]);
                let values: Vec<ByteArray> =
                    cells.into_iter().flatten().map(ByteArray::from).collect();
                let typed = column.typed::<ByteArrayType>();
                typed.write_batch(&values, levels, None).expect("writes");
            }
            column.close().expect("closes");
        }
        group.close().expect("closes");
    }
    writer.close().expect("closes");
    bytes
}

struct Folder {
    folder: TempDir,
    config: DataConfig,
}

impl Folder {
    fn new(files: &[(&str, Vec<u8>)]) -> Self {
        let folder = TempDir::new().expect("temporary folder");
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).expect("writes");
        }
        let config = DataConfig {
            source: DataSource::Parquet,
            path: Some(folder.path().to_owned()),
            max_broken_share: 1.0,
            ..DataConfig::default()
        };
        Self { folder, config }
    }

    fn open(&self) -> Result<ParquetSource, DataError> {
        ParquetSource::open_with(&self.config, None, &|_, _| true)
    }
}

fn captions(source: &dyn PairSource) -> Vec<String> {
    let all = 0..source.len() as SampleId;
    all.map(|s| source.caption(s).expect("caption")).collect()
}

fn shade(source: &dyn PairSource, sample: SampleId) -> u8 {
    source.image(sample).expect("decodes").get_pixel(0, 0).0[0]
}

fn row<'a>(shade: u8, path: &'a str, caption: &'a str, label: i64) -> Row<'a> {
    (
        Some(png(shade)),
        Some(path),
        Some(caption.as_bytes()),
        Some(label),
    )
}

#[test]
fn pictures_come_back_from_any_row_group_in_any_order() {
    let names: Vec<String> = (0..100).map(|n| format!("a/{n}.png")).collect();
    let rows: Vec<Row<'_>> = (0..100)
        .map(|n| row(n, &names[n as usize], "x", 0))
        .collect();
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::ZSTD(Default::default()),
        Compression::LZ4_RAW,
        Compression::LZ4,
    ] {
        let groups = [rows[..40].to_vec(), rows[40..].to_vec()];
        let folder = Folder::new(&[("t.parquet", file(STRUCTURE, &groups, compression))]);
        let source = folder.open().expect("opens");
        assert_eq!((source.len(), source.skipped().skipped), (100, 0));
        for sample in [99, 0, 41, 40, 39, 17, 17, 98, 63, 64] {
            assert_eq!(shade(&source, sample), sample as u8, "{compression:?}");
        }
        assert_eq!(source.key(7).expect("key"), "7");
        assert_eq!(source.origin(41), "t.parquet, row group 2, row 2: a/41.png");
        assert_eq!(source.picture_groups(), None);
    }
}

#[test]
fn labels_are_numbers_or_the_names_that_the_file_has_for_them() {
    let rows = vec![
        row(1, "a", "one", 1),
        row(2, "b", "two", 0),
        row(3, "c", "three", 7),
    ];
    let mut unlabelled = row(4, "d", "four", 0);
    unlabelled.3 = None;
    let bytes = file(STRUCTURE, &[rows, vec![unlabelled]], Compression::SNAPPY);
    let mut folder = Folder::new(&[("t.parquet", bytes)]);
    folder.config.label_columns = vec!["label".into()];
    let source = folder.open().expect("opens");
    let [label] = source.labels() else {
        panic!("one column");
    };
    assert_eq!(label.classes, ["dog", "cat", "7", "(none)"]);
    assert_eq!(*label.of_sample, [0, 1, 2, 3]);
    folder.config.label_columns = vec!["colour".into()];
    let error = folder.open().expect_err("absent").to_string();
    assert!(
        error.contains("colour") && error.contains("\"label\""),
        "{error}"
    );
    folder.config.label_columns = vec!["image".into()];
    assert!(folder.open().is_err());
}

/// The fixture is written by pyarrow, see `tests/peers/data_fixtures.py`.
#[test]
fn a_file_of_another_writer_is_read() {
    let bytes = include_bytes!("../fixtures/hugging_face.parquet");
    let mut folder = Folder::new(&[("train.parquet", bytes.to_vec())]);
    folder.config.label_columns = vec!["label".into()];
    let source = folder.open().expect("opens");
    let wanted = [
        "a cat",
        "a dog",
        "a cat asleep",
        "ein Hündchen",
        "a dog\nthat barks",
        "the last cat",
    ];
    assert_eq!(captions(&source), wanted);
    let shades: Vec<u8> = (0..6).map(|sample| shade(&source, sample)).collect();
    assert_eq!(shades, [0, 10, 20, 30, 40, 50]);
    assert_eq!(source.labels()[0].classes, ["cat", "dog"]);
    assert_eq!(*source.labels()[0].of_sample, [0, 1, 0, 0, 1, 0]);
    assert_eq!(source.key(5).expect("key"), "005");
}

#[test]
fn paths_are_looked_up_beside_the_file_or_where_the_setting_says() {
    let rows = |path| {
        vec![
            (None, Some(path), Some(&b"first"[..]), None),
            (None, Some(path), Some(&b"second"[..]), None),
        ]
    };
    let bytes = file(PATHS, &[rows("p/1.png")], Compression::SNAPPY);
    let mut folder = Folder::new(&[("t.parquet", bytes)]);
    let pictures = folder.folder.path().join("elsewhere/p");
    std::fs::create_dir_all(&pictures).expect("creates");
    std::fs::write(pictures.join("1.png"), png(9)).expect("writes");
    let error = folder.open().expect_err("no picture").to_string();
    assert!(error.contains("missing file"), "{error}");
    folder.config.image_folder = Some(folder.folder.path().join("elsewhere"));
    let source = folder.open().expect("opens");
    assert_eq!(captions(&source), ["first", "second"]);
    assert_eq!(shade(&source, 1), 9);
    assert_eq!(
        source.picture_groups(),
        Some(&[0, 0][..]),
        "two captions of a picture"
    );
}

#[test]
fn what_is_broken_is_listed_with_row_group_and_row() {
    let good = row(1, "a", "fine", 0);
    let rows = vec![
        good.clone(),
        (Some(b"nonsense".to_vec()), Some("b"), Some(b"x"), None),
        (Some(png(2)), None, Some(b" \n"), None),
        (Some(png(3)), None, None, None),
        (Some(png(4)), None, Some(b"caf\xe9"), None),
        (None, None, Some(b"x"), None),
        (None, Some("gone.png"), Some(b"x"), None),
    ];
    let bytes = file(STRUCTURE, &[vec![good], rows], Compression::SNAPPY);
    let mut cut = bytes.clone();
    cut.truncate(bytes.len() - 9);
    let folder = Folder::new(&[
        ("a.parquet", bytes),
        ("b.parquet", cut),
        ("c.parquet", Vec::new()),
    ]);
    let source = folder.open().expect("opens");
    assert_eq!(captions(&source), ["fine", "fine"]);
    let report = source.skipped();
    let found: Vec<(&str, SkipReason)> = report
        .listed
        .iter()
        .map(|row| (row.place.as_str(), row.reason))
        .collect();
    assert_eq!(
        found,
        [
            ("a.parquet, row group 2, row 2", SkipReason::BrokenImage),
            ("a.parquet, row group 2, row 3", SkipReason::EmptyCaption),
            ("a.parquet, row group 2, row 4", SkipReason::EmptyCaption),
            ("a.parquet, row group 2, row 5", SkipReason::BadUtf8),
            ("a.parquet, row group 2, row 6", SkipReason::MissingFile),
            ("a.parquet, row group 2, row 7", SkipReason::MissingFile),
            ("b.parquet", SkipReason::BrokenShard),
            ("c.parquet", SkipReason::BrokenShard),
        ]
    );
    assert_eq!((report.rows, report.skipped), (10, 8));
    assert_eq!(source.record_number(1), 1);
}

/// Rows of a picture's bytes with a list of captions: `None` is no list, an inner `None` no text.
fn lists(rows: &[(u8, Option<Vec<Option<&str>>>)], required_key: bool) -> Vec<u8> {
    let element = match required_key {
        true => "required",
        false => "optional",
    };
    let schema = format!(
        "message schema {{
            required binary image;
            optional group caption (LIST) {{ repeated group list {{ {element} binary element (UTF8); }} }}
        }}"
    );
    let schema = Arc::new(parse_message_type(&schema).expect("a schema"));
    let properties = WriterProperties::builder()
        .set_data_page_row_count_limit(2)
        .set_write_batch_size(1)
        .build();
    let full = 3 - i16::from(required_key);
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).expect("a writer");
    for rows in rows.chunks(3) {
        let mut group = writer.next_row_group().expect("a group");
        let mut column = group.next_column().expect("a column").expect("one more");
        let pictures: Vec<ByteArray> = rows.iter().map(|row| png(row.0).into()).collect();
        let typed = column.typed::<ByteArrayType>();
        typed.write_batch(&pictures, None, None).expect("writes");
        column.close().expect("closes");
        let (mut values, mut levels, mut repeats) = (Vec::new(), Vec::new(), Vec::new());
        for (_, captions) in rows {
            let texts = captions.as_deref().unwrap_or_default();
            if texts.is_empty() {
                levels.push(i16::from(captions.is_some()));
                repeats.push(0);
            }
            for (place, text) in texts.iter().enumerate() {
                repeats.push(i16::from(place > 0));
                levels.push(full - i16::from(text.is_none()));
                values.extend(text.map(ByteArray::from));
            }
        }
        let mut column = group.next_column().expect("a column").expect("one more");
        let typed = column.typed::<ByteArrayType>();
        typed
            .write_batch(&values, Some(&levels), Some(&repeats))
            .expect("writes");
        column.close().expect("closes");
        group.close().expect("closes");
    }
    writer.close().expect("closes");
    bytes
}

#[test]
fn each_text_of_a_list_is_a_pair_and_those_of_a_row_share_its_picture() {
    let rows = [
        (1, Some(vec![Some("one"), Some("eins"), Some("un")])),
        (2, Some(vec![])),
        (3, Some(vec![Some("three")])),
        (4, None),
        (5, Some(vec![Some(" "), None, Some("five"), Some("fünf")])),
    ];
    let folder = Folder::new(&[("t.parquet", lists(&rows, false))]);
    let source = folder.open().expect("opens");
    let all = ["one", "eins", "un", "three", "five", "fünf"];
    assert_eq!(captions(&source), all);
    let shades: Vec<u8> = (0..6).map(|sample| shade(&source, sample)).collect();
    assert_eq!(shades, [1, 1, 1, 3, 5, 5]);
    assert_eq!(source.picture_groups(), Some(&[0, 0, 0, 1, 2, 2][..]));
    let keys: Vec<String> = (0..6).map(|s| source.key(s).expect("a key")).collect();
    assert_eq!(
        keys,
        ["0", "0", "0", "4", "7", "7"],
        "a split keeps them together"
    );
    let report = source.skipped();
    // A row without captions counts as one, and so do empty captions; no text at all is none.
    assert_eq!((report.rows, report.skipped), (9, 3));
    let places: Vec<&str> = report.listed.iter().map(|row| row.place.as_str()).collect();
    assert_eq!(
        places,
        [
            "t.parquet, row group 1, row 2",
            "t.parquet, row group 2, row 1",
            "t.parquet, row group 2, row 2"
        ]
    );
    assert_eq!(source.record_number(4), 7);
    let rows: Vec<_> = (0..40)
        .map(|n| (n, Some(vec![Some("a"); usize::from(n % 4)])))
        .collect();
    let folder = Folder::new(&[("t.parquet", lists(&rows, true))]);
    let source = folder.open().expect("opens");
    assert_eq!((source.len(), source.skipped().skipped), (60, 10));
    assert_eq!(shade(&source, 59), 39);
    assert_eq!(shade(&source, 0), 1);
}

#[test]
fn the_index_is_kept() {
    let rows = vec![row(1, "a", "one", 1), row(2, "b", "two", 0)];
    let bytes = file(STRUCTURE, &[rows], Compression::SNAPPY);
    let folder = Folder::new(&[("t.parquet", bytes)]);
    let kept = TempDir::new().expect("temporary folder");
    let cache = CacheFolder {
        path: kept.path().to_owned(),
        limit: 1 << 20,
    };
    let first =
        ParquetSource::open_with(&folder.config, Some(&cache), &|_, _| true).expect("opens");
    let never = |_, _| panic!("looks at no row");
    let again = ParquetSource::open_with(&folder.config, Some(&cache), &never).expect("opens");
    assert_eq!(captions(&again), captions(&first));
    assert_eq!(again.fingerprint(), first.fingerprint());
    assert_eq!(shade(&again, 1), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_reading_panic(
        changes in proptest::collection::vec((0_usize..9000, any::<u8>()), 0..12),
        cut in 0_usize..9000,
    ) {
        let rows = vec![row(1, "a", "one", 1), row(2, "b", "two", 0), row(3, "c", "three", 7)];
        let mut bytes = file(STRUCTURE, &[rows.clone(), rows], Compression::SNAPPY);
        for (place, byte) in changes {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        for end in [bytes.len(), cut.min(bytes.len())] {
            let mut folder = Folder::new(&[("t.parquet", bytes[..end].to_vec())]);
            folder.config.label_columns = vec!["label".into()];
            if let Ok(source) = folder.open() {
                for sample in 0..source.len() as SampleId {
                    let _either = source.image(sample).is_ok();
                }
            }
        }
    }
}

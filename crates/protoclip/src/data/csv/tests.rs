//! Tests of [`CsvSource`](super::CsvSource) on small files of their own.

use std::fs::File;
use std::io::Write;
use std::sync::Mutex;

use image::{Rgb, RgbImage};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::config::DataSource;
use crate::data::{SkipReason, SkippedRow};

struct Folder {
    folder: TempDir,
    config: DataConfig,
}

impl Folder {
    /// A folder with the pictures `0.png`, `1.png`, … and a file `name` of the given bytes.
    fn new(pictures: u8, name: &str, bytes: &[u8]) -> Self {
        let folder = TempDir::new().expect("temporary folder");
        for picture in 0..pictures {
            RgbImage::from_pixel(9, 7, Rgb([picture, 1, 2]))
                .save(folder.path().join(format!("{picture}.png")))
                .expect("saves");
        }
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("writes");
        let config = DataConfig {
            source: DataSource::Csv,
            path: Some(path),
            max_broken_share: 1.0,
            ..DataConfig::default()
        };
        Self { folder, config }
    }

    fn open(&self) -> Result<CsvSource, DataError> {
        CsvSource::open(&self.config, &|_, _| true)
    }

    fn opened(&self) -> CsvSource {
        self.open().expect("opens")
    }

    fn error(&self) -> String {
        self.open().expect_err("refused").to_string()
    }
}

#[test]
fn captions_and_pictures_come_back_by_seeking() {
    let bytes = "\u{feff}title,x,filepath\r\n\"one, \"\"quoted\"\"\",,0.png\r\n\"two\nlines\",y,1.png\r\nthree é,z,./2.png";
    let folder = Folder::new(3, "pairs.csv", bytes.as_bytes());
    let source = folder.opened();
    let captions: Vec<String> = (0..3)
        .map(|s| source.caption(s).expect("caption"))
        .collect();
    assert_eq!(captions, ["one, \"quoted\"", "two\nlines", "three é"]);
    for sample in [2, 0, 1] {
        let picture = source.image(sample).expect("decodes");
        assert_eq!(picture.dimensions(), (9, 7));
        assert_eq!(picture.get_pixel(0, 0).0[0], sample as u8);
    }
    assert_eq!(source.skipped().skipped, 0);
    assert!(source.origin(2).contains("line 5"), "{}", source.origin(2));
    assert!(source.caption(3).is_err());
}

#[test]
fn every_kind_of_unusable_row_is_counted_and_listed_with_its_line() {
    let mut bytes = b"filepath,title\n0.png,good\nabsent.png,x\nbroken.png,x\n0.png,  \n0.png,caf\xff\nonly\n1.png,fine\n".to_vec();
    bytes.extend_from_slice(b",x\n");
    let folder = Folder::new(2, "pairs.csv", &bytes);
    std::fs::write(folder.folder.path().join("broken.png"), b"nonsense").expect("writes");
    let source = folder.opened();
    assert_eq!(source.len(), 2);
    assert_eq!(source.caption(1).expect("caption"), "fine");
    assert_eq!(source.record_number(1), 6);
    let report = source.skipped();
    assert_eq!((report.rows, report.skipped), (8, 6));
    let found: Vec<(u64, SkipReason)> = report.listed.iter().map(|r| (r.row, r.reason)).collect();
    assert_eq!(
        found,
        [
            (3, SkipReason::MissingFile),
            (4, SkipReason::BrokenImage),
            (5, SkipReason::EmptyCaption),
            (6, SkipReason::BadUtf8),
            (7, SkipReason::MissingColumn),
            (9, SkipReason::MissingFile),
        ]
    );
    assert!(report.by_reason.contains(&(SkipReason::MissingFile, 2)));
}

#[test]
fn the_index_is_kept_while_the_file_is_the_same_and_its_pictures_were_there() {
    let bytes = "filepath,title\n0.png,one\n1.png,two\n0.png,\n";
    let folder = Folder::new(2, "pairs.csv", bytes.as_bytes());
    let kept = TempDir::new().expect("temporary folder");
    let cache = CacheFolder {
        path: kept.path().to_owned(),
        limit: 1 << 20,
    };
    let open =
        |progress: OpenProgress<'_>| CsvSource::open_with(&folder.config, Some(&cache), progress);
    let first = open(&|_, _| true).expect("opens");
    let never = |_: u64, _: u64| -> bool { panic!("looks at no row") };
    let again = open(&never).expect("opens");
    assert_eq!(again.fingerprint(), first.fingerprint());
    assert_eq!(again.skipped(), first.skipped());
    assert_eq!(again.picture_groups(), first.picture_groups());
    assert_eq!(again.caption(1).expect("caption"), "two");
    assert_eq!(again.origin(1), first.origin(1));
    let file = folder.config.path.as_ref().expect("a file");
    std::fs::write(file, "filepath,title\n0.png,three\n2.png,four\n").expect("writes");
    for pictures in [1, 2] {
        let source = open(&|_, _| true).expect("opens");
        assert_eq!(
            source.len(),
            pictures,
            "a missing picture is looked for again"
        );
        RgbImage::new(3, 3)
            .save(folder.folder.path().join("2.png"))
            .expect("saves");
    }
}

#[test]
fn columns_separator_and_labels_follow_the_configuration() {
    let mut folder = Folder::new(
        2,
        "pairs.txt",
        b"a;kind;b\n0.png;cat;first\n1.png; ;second\n0.png;cat;third\n",
    );
    folder.config.separator = Some(';');
    folder.config.image_column = Some("a".into());
    folder.config.caption_column = Some("b".into());
    folder.config.label_columns = vec!["kind".into()];
    let source = folder.opened();
    assert_eq!(source.caption(2).expect("caption"), "third");
    let labels = &source.labels()[0];
    assert_eq!(labels.classes, ["cat", "(none)"]);
    assert_eq!(*labels.of_sample, [0, 1, 0]);
}

#[test]
fn rows_with_one_path_are_several_captions_of_a_picture() {
    let folder = Folder::new(
        2,
        "pairs.csv",
        b"filepath,title\n0.png,first\n1.png,other\n./0.png,spelled otherwise\n0.png,second\n",
    );
    let source = folder.opened();
    assert_eq!(source.picture_groups(), Some(&[0, 1, 2, 0][..]));
    assert_eq!(source.key(3).expect("readable"), "0");
    let folder = Folder::new(2, "pairs.csv", b"filepath,title\n0.png,a\n1.png,b\n");
    assert_eq!(folder.opened().picture_groups(), None);
}

#[test]
fn tsv_files_are_split_at_tabs() {
    let folder = Folder::new(1, "pairs.TSV", b"filepath\ttitle\n0.png\ta, b\n");
    assert_eq!(folder.opened().caption(0).expect("caption"), "a, b");
}

#[test]
fn an_absent_column_is_named_with_those_that_are_there() {
    let message = Folder::new(1, "pairs.csv", b"image,caption\n0.png,x\n").error();
    for part in [
        "pairs.csv",
        "\"filepath\"",
        "\"image\", \"caption\"",
        "data.image_column",
    ] {
        assert!(message.contains(part), "{part} not in {message}");
    }
    let message = Folder::new(1, "pairs.csv", b"filepath\ttitle\n0.png\tx\n").error();
    assert!(message.contains("data.separator"), "{message}");
}

#[test]
fn files_without_usable_rows_say_why() {
    for (bytes, wanted) in [
        (&b""[..], "empty"),
        (b"filepath,title\n", "no rows"),
        (b"filepath,title\nnone.png,x\n", "none of the 1 rows"),
    ] {
        let message = Folder::new(0, "pairs.csv", bytes).error();
        assert!(message.contains(wanted), "{wanted} not in {message}");
    }
    let mut folder = Folder::new(0, "pairs.csv", b"");
    folder.config.path = Some("/nowhere/pairs.csv".into());
    assert!(folder.error().contains("/nowhere/pairs.csv"));
}

#[test]
fn too_many_unusable_rows_are_refused_with_the_first_of_them() {
    let mut folder = Folder::new(
        1,
        "pairs.csv",
        b"filepath,title\n0.png,x\n8.png,x\n9.png,x\n",
    );
    folder.config.max_broken_share = 0.5;
    let message = folder.error();
    for part in ["2 of 3", "max_broken_share", "line 3", "8.png"] {
        assert!(message.contains(part), "{part} not in {message}");
    }
}

#[test]
fn a_quote_that_is_never_closed_does_not_swallow_the_file() {
    let mut bytes = b"filepath,title\n0.png,fine\n0.png,\"open\n".to_vec();
    bytes.resize(6 << 20, b'x');
    let message = Folder::new(1, "pairs.csv", &bytes).error();
    assert!(
        message.contains("line 3") && message.contains("never closed"),
        "{message}"
    );
}

#[test]
fn opening_reports_progress_and_can_be_cancelled() {
    let mut bytes = b"filepath,title\n".to_vec();
    for _ in 0..5000 {
        bytes.extend_from_slice(b"0.png,x\n");
    }
    let folder = Folder::new(1, "pairs.csv", &bytes);
    let seen = Mutex::new(Vec::new());
    let source = CsvSource::open(&folder.config, &|done, total| {
        seen.lock().expect("lock").push((done, total));
        true
    });
    assert_eq!(source.expect("opens").len(), 5000);
    let seen = seen.into_inner().expect("lock");
    assert!(seen.len() > 3 && seen.is_sorted());
    assert_eq!(
        *seen.last().expect("some"),
        (bytes.len() as u64, bytes.len() as u64)
    );
    let cancelled = CsvSource::open(&folder.config, &|done, _| done == 0);
    assert!(matches!(cancelled, Err(DataError::Cancelled)));
}

#[test]
fn a_picture_that_fails_to_decode_later_joins_the_report_once() {
    let folder = Folder::new(2, "pairs.csv", b"filepath,title\n0.png,x\n1.png,y\n");
    let source = folder.opened();
    let path = folder.folder.path().join("1.png");
    let whole = std::fs::read(&path).expect("reads");
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("writes");
    for _ in 0..2 {
        let message = source.image(1).expect_err("cut").to_string();
        assert!(
            message.contains("1.png") && message.contains("line 3"),
            "{message}"
        );
    }
    std::fs::remove_file(folder.folder.path().join("0.png")).expect("removes");
    assert!(source.image(0).is_err());
    let report = source.skipped();
    let reasons: Vec<SkipReason> = report
        .listed
        .iter()
        .map(|r: &SkippedRow| r.reason)
        .collect();
    assert_eq!(reasons, [SkipReason::BrokenImage, SkipReason::MissingFile]);
    assert_eq!(report.skipped, 2);
}

#[test]
fn the_fingerprint_changes_with_the_file_and_its_usable_rows() {
    let bytes = b"filepath,title\n0.png,x\n1.png,y\n";
    let folder = Folder::new(2, "pairs.csv", bytes);
    let first = folder.opened().fingerprint().to_owned();
    assert_eq!(folder.opened().fingerprint(), first);
    assert_eq!(
        Folder::new(2, "pairs.csv", bytes).opened().fingerprint(),
        first
    );
    std::fs::remove_file(folder.folder.path().join("0.png")).expect("removes");
    assert_ne!(folder.opened().fingerprint(), first);
}

/// Peak memory of this process, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .expect("peak");
    let kilobytes = line.split_whitespace().nth(1).expect("number");
    kilobytes.parse::<u64>().expect("number") << 10
}

#[test]
#[ignore = "takes a minute; measures memory, so run it alone"]
fn a_million_rows_are_indexed_in_the_memory_of_their_numbers() {
    const ROWS: usize = 1_000_000;
    let mut folder = Folder::new(1, "pairs.csv", b"");
    let path = folder.config.path.clone().expect("path");
    let mut file = std::io::BufWriter::new(File::create(path).expect("creates"));
    writeln!(file, "filepath,title,kind").expect("writes");
    for row in 0..ROWS {
        let kind = row % 50;
        writeln!(
            file,
            "0.png,a caption of usual length with the number {row},kind {kind}"
        )
        .expect("writes");
    }
    drop(file);
    folder.config.label_columns = vec!["kind".into()];
    let (before, begun) = (peak_memory(), std::time::Instant::now());
    let source = folder.opened();
    let grown = peak_memory() - before;
    println!(
        "{ROWS} rows in {:?}, {} MiB more",
        begun.elapsed(),
        grown >> 20
    );
    assert_eq!(source.len(), ROWS);
    let last = source.caption(ROWS as SampleId - 1).expect("caption");
    assert!(last.ends_with("number 999999"));
    // Offset, number, line and one label take 20 bytes; vectors may have grown to twice that.
    assert!(grown < 60 << 20, "{grown} bytes");
}

proptest! {
    #[test]
    fn no_bytes_make_opening_or_reading_panic(
        header in prop_oneof![Just(b"filepath,title\n".to_vec()), proptest::collection::vec(any::<u8>(), 0..30)],
        rows in proptest::collection::vec(prop_oneof![
            Just(b"0.png,x\n".to_vec()),
            Just(b"\"0.png\",\"x\ny\"\r\n".to_vec()),
            proptest::collection::vec(prop_oneof![Just(b'"'), Just(b','), Just(b'\n'), any::<u8>()], 0..40),
        ], 0..20),
    ) {
        let bytes = [header, rows.concat()].concat();
        let folder = Folder::new(1, "pairs.csv", &bytes);
        if let Ok(source) = folder.open() {
            for sample in 0..source.len() as SampleId {
                prop_assert!(!source.caption(sample).expect("caption").is_empty());
                prop_assert!(source.image(sample).is_ok());
            }
            let report = source.skipped();
            prop_assert_eq!(report.rows, report.skipped + source.len() as u64);
        }
    }
}

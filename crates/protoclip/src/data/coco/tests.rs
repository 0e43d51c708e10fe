//! Tests of [`CocoSource`](super::CocoSource) on small files of their own.

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::config::DataSource;
use crate::data::SkipReason;
use crate::data::tar_fixture::png;

const TEXT: &str = r#"{
    "info": {"year": 2017}, "licenses": [],
    "images": [
        {"id": 7, "file_name": "a.png", "width": 9, "height": 7},
        {"id": 9, "file_name": "b.png"},
        {"id": 11, "file_name": "gone.png"}
    ],
    "annotations": [
        {"id": 1, "image_id": 9, "caption": " a \"quoted\" dog\n"},
        {"id": 2, "image_id": 7, "caption": "a cat"},
        {"id": 3, "image_id": 9, "caption": "the same dog"},
        {"id": 4, "image_id": 9, "caption": "  "},
        {"id": 5, "image_id": 12, "caption": "of nothing"},
        {"id": 6, "image_id": 11, "caption": "of what is gone"},
        {"id": 7, "image_id": 7, "caption": 5},
        {"id": 8, "image_id": 7}
    ]
}"#;

struct Folder {
    folder: TempDir,
    config: DataConfig,
}

impl Folder {
    /// The layout of the download: `annotations/captions_val.json` beside `val/`.
    fn new(text: &[u8], pictures: &str) -> Self {
        let folder = TempDir::new().expect("temporary folder");
        let of_pictures = folder.path().join(pictures);
        std::fs::create_dir_all(&of_pictures).expect("creates");
        for (name, shade) in [("a.png", 1), ("b.png", 2)] {
            std::fs::write(of_pictures.join(name), png(shade)).expect("writes");
        }
        let file = folder.path().join("annotations/captions_val.json");
        std::fs::create_dir_all(folder.path().join("annotations")).expect("creates");
        std::fs::write(&file, text).expect("writes");
        let config = DataConfig {
            source: DataSource::Coco,
            path: Some(file),
            max_broken_share: 1.0,
            ..DataConfig::default()
        };
        Self { folder, config }
    }

    fn open(&self) -> Result<CocoSource, DataError> {
        CocoSource::open_with(&self.config, None, &|_, _| true)
    }
}

#[test]
fn annotations_are_pairs_and_those_of_an_image_share_its_picture() {
    for pictures in ["val", "annotations", "images", "images/val"] {
        let folder = Folder::new(TEXT.as_bytes(), pictures);
        let source = folder.open().expect("opens");
        let captions: Vec<String> = (0..3)
            .map(|s| source.caption(s).expect("caption"))
            .collect();
        assert_eq!(captions, ["a \"quoted\" dog", "a cat", "the same dog"]);
        let shades: Vec<u8> = (0..3)
            .map(|s| source.image(s).expect("decodes").get_pixel(0, 0).0[0])
            .collect();
        assert_eq!(shades, [2, 1, 2]);
        let pictures = source.picture_groups().expect("shared");
        assert_eq!(pictures[0], pictures[2]);
        assert_ne!(pictures[0], pictures[1]);
        assert_eq!(source.key(0).expect("key"), "b");
        assert!(source.caption(3).is_err());
    }
}

#[test]
fn annotations_that_cannot_be_used_are_listed() {
    let source = Folder::new(TEXT.as_bytes(), "val").open().expect("opens");
    let report = source.skipped();
    assert_eq!((report.rows, report.skipped), (8, 5));
    let found: Vec<(&str, SkipReason)> = report
        .listed
        .iter()
        .map(|row| (row.place.as_str(), row.reason))
        .collect();
    assert_eq!(
        found,
        [
            ("annotation 4", SkipReason::EmptyCaption),
            ("annotation 5", SkipReason::MissingFile),
            ("annotation 6", SkipReason::MissingFile),
            ("annotation 7", SkipReason::EmptyCaption),
            ("annotation 8", SkipReason::EmptyCaption),
        ]
    );
}

#[test]
fn errors_say_where_pictures_were_looked_for_and_what_the_file_should_be() {
    let mut folder = Folder::new(TEXT.as_bytes(), "elsewhere");
    let error = folder.open().expect_err("no pictures").to_string();
    assert!(error.contains("data.image_folder"), "{error}");
    folder.config.image_folder = Some(folder.folder.path().join("elsewhere"));
    assert_eq!(folder.open().expect("opens").len(), 3);
    for wrong in ["", "[]", "{\"images\": []}", &TEXT[..200]] {
        let error = Folder::new(wrong.as_bytes(), "val").open();
        let error = error.expect_err("wrong").to_string();
        assert!(error.contains("annotations"), "{error}");
    }
    let empty = Folder::new(br#"{"images": [], "annotations": []}"#, "val").open();
    assert!(
        empty
            .expect_err("empty")
            .to_string()
            .contains("no annotations")
    );
}

#[test]
fn the_index_is_kept_until_the_file_changes() {
    let folder = Folder::new(TEXT.as_bytes(), "val");
    let file = folder.config.path.clone().expect("a file");
    let text = TEXT.replace("\"image_id\": 11", "\"image_id\": 7");
    let text = text.replace("\"image_id\": 12", "\"image_id\": 7");
    std::fs::write(&file, &text).expect("writes");
    let kept = TempDir::new().expect("temporary folder");
    let cache = CacheFolder {
        path: kept.path().to_owned(),
        limit: 1 << 20,
    };
    let first = CocoSource::open_with(&folder.config, Some(&cache), &|_, _| true).expect("opens");
    let never = |_, _| panic!("looks at no picture");
    let again = CocoSource::open_with(&folder.config, Some(&cache), &never).expect("opens");
    assert_eq!(again.fingerprint(), first.fingerprint());
    assert_eq!(again.skipped(), first.skipped());
    assert_eq!(again.image(1).ok(), first.image(1).ok());
    std::fs::write(&file, text.replace("a cat", "two cats")).expect("writes");
    let changed = CocoSource::open_with(&folder.config, Some(&cache), &|_, _| true).expect("opens");
    assert_eq!(changed.caption(1).expect("caption"), "two cats");
    assert_ne!(changed.fingerprint(), first.fingerprint());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_reading_panic(
        changes in proptest::collection::vec((0_usize..TEXT.len(), any::<u8>()), 0..4),
        end in 0..TEXT.len(),
    ) {
        let mut bytes = TEXT.as_bytes().to_vec();
        for (place, byte) in changes {
            bytes[place] = byte;
        }
        let _either = Folder::new(&bytes, "val").open();
        let _either = Folder::new(&bytes[..end], "val").open();
    }
}

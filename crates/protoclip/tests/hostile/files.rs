//! Ten thousand inputs for each reader, most of them changed a little from a good one.

use std::io::Cursor;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use protoclip::config::{DataConfig, DataSource, Fidelity};
use protoclip::data::{CsvSource, PairSource, decode_picture};
use protoclip::model::weights::{measure_tensors, tensor_shapes};
use protoclip::npy::NpyMatrix;
use protoclip::tokenizer::Tokenizer;

pub(crate) const CASES: u32 = 10_000;

/// Bytes that are changed, put in and left out of a good file.
#[derive(Debug, Clone)]
pub(crate) struct Damage {
    changes: Vec<(prop::sample::Index, u8, u8)>,
    cut: Option<prop::sample::Index>,
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
    let changes = prop::collection::vec(change, 0..6);
    let cut = prop::option::weighted(0.2, any::<prop::sample::Index>());
    (changes, cut).prop_map(|(changes, cut)| Damage { changes, cut })
}

impl Damage {
    pub(crate) fn of(&self, good: &[u8]) -> Vec<u8> {
        let mut bytes = good.to_vec();
        for &(at, byte, kind) in &self.changes {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes.insert(at, byte),
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                2 => bytes[at] ^= 1 << (byte % 8),
                _ => bytes[at] = byte,
            }
        }
        if let Some(cut) = self.cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes
    }
}

pub(crate) fn run<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value)) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(strategy, |value| {
        test(value);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// A place for one file that is written again and again.
pub(crate) fn place(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join(name);
    (folder, path)
}

#[test]
fn tokenizer_takes_any_text() {
    let tokenizer = Tokenizer::new();
    let text = "\\PC*|[\\x00-\\x7f]*|(&[a-z#0-9]{0,9};?|\u{1b}\\[[0-9;]*.)*|[\u{300}-\u{36f}\u{200b}-\u{202e}]*";
    run(CASES, &(text, 0_usize..80), |(text, context)| {
        for fidelity in [Fidelity::Reference, Fidelity::Corrected] {
            assert_eq!(tokenizer.encode(&text, context, fidelity).len(), context);
        }
    });
}

#[test]
fn csv_of_any_bytes_is_rows_or_an_error() {
    let (folder, path) = place("pairs.csv");
    image::RgbImage::new(2, 2)
        .save(folder.path().join("0.png"))
        .expect("writes");
    let good =
        b"filepath,title,label\n0.png,a cat,x\n\"0.png\",\"a \"\"big\"\"\ndog\",y\r\n0.png,bird,\n";
    let config = DataConfig {
        source: DataSource::Csv,
        path: Some(path.clone()),
        label_columns: vec!["label".into()],
        max_broken_share: 1.0,
        ..DataConfig::default()
    };
    let opened = std::cell::Cell::new(0);
    run(CASES, &damage(), |damage| {
        std::fs::write(&path, damage.of(good)).expect("writes");
        let Ok(source) = CsvSource::open(&config, &|_, _| true) else {
            return;
        };
        opened.set(opened.get() + 1);
        for sample in 0..source.len() as u32 {
            assert!(!source.caption(sample).expect("a caption").is_empty());
        }
        let report = source.skipped();
        assert_eq!(report.rows, report.skipped + source.len() as u64);
    });
    assert!(opened.get() > 1000, "only {} could be opened", opened.get());
}

#[test]
fn npy_of_any_bytes_is_a_matrix_or_an_error() {
    let (_folder, path) = place("features.npy");
    let matrix = NpyMatrix {
        rows: 3,
        dim: 2,
        values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    };
    matrix.write(&path).expect("writes");
    let good = std::fs::read(&path).expect("reads");
    let read = std::cell::Cell::new(0);
    run(CASES, &damage(), |damage| {
        std::fs::write(&path, damage.of(&good)).expect("writes");
        if let Ok(found) = NpyMatrix::read(&path) {
            read.set(read.get() + 1);
            assert_eq!(found.values.len(), found.rows * found.dim);
        }
    });
    assert!(read.get() > 500, "only {} could be read", read.get());
}

/// Reads shapes and numbers of a weight file.
fn weights(path: &std::path::Path) -> bool {
    let shapes = tensor_shapes(path).is_ok();
    let measured = measure_tensors(path, &mut |_, _| true);
    shapes && measured.is_ok()
}

#[test]
fn safetensors_of_any_bytes_are_tensors_or_an_error() {
    let (_folder, path) = place("model.safetensors");
    let header = r#"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"F16","shape":[3],"data_offsets":[16,22]}}"#;
    let mut good = (header.len() as u64).to_le_bytes().to_vec();
    good.extend(header.as_bytes());
    good.extend([0x3c; 22]);
    std::fs::write(&path, &good).expect("writes");
    assert!(weights(&path), "the good one is read");
    run(CASES, &damage(), |damage| {
        std::fs::write(&path, damage.of(&good)).expect("writes");
        let _either = weights(&path);
    });
    // Sizes out of proportion.
    for shape in [
        "[18446744073709551615]",
        "[4294967296,4294967296]",
        "[0,18446744073709551615]",
    ] {
        let header = format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,16]}}}}"#);
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend([0; 16]);
        std::fs::write(&path, file).expect("writes");
        assert!(!weights(&path), "{shape}");
    }
}

/// `{"w": tensor of 2 × 3 floats}` as `torch.save` writes it.
fn torch_file() -> Vec<u8> {
    let pickle = b"\x80\x02}q\x00X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQK\x00K\x02K\x03\x86K\x03K\x01\x86\x89}tRs.";
    super::payloads::archive(&[
        ("x/data.pkl", pickle),
        ("x/byteorder", b"little"),
        ("x/data/0", &[0; 24]),
        ("x/version", b"3\n"),
    ])
}

#[test]
fn pt_of_any_bytes_is_tensors_or_an_error() {
    let (_folder, path) = place("model.pt");
    let good = torch_file();
    std::fs::write(&path, &good).expect("writes");
    assert!(weights(&path), "the good one is read");
    let read = std::cell::Cell::new(0);
    run(CASES, &damage(), |damage| {
        std::fs::write(&path, damage.of(&good)).expect("writes");
        read.set(read.get() + u32::from(weights(&path)));
    });
    assert!(read.get() > 500, "only {} could be read", read.get());
}

#[test]
fn pictures_of_any_bytes_are_pictures_or_errors() {
    use image::ImageFormat::{Jpeg, Png, WebP};
    let picture =
        image::RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8 * 20, y as u8 * 30, 7]));
    for format in [Png, Jpeg, WebP] {
        let mut good = Cursor::new(Vec::new());
        picture.write_to(&mut good, format).expect("encodes");
        let good = good.into_inner();
        run(CASES / 3 + 1, &damage(), |damage| {
            if let Ok(picture) = decode_picture(&damage.of(&good)) {
                assert!(picture.width() > 0 && picture.height() > 0);
            }
        });
    }
}

//! PyTorch archives made by hand: what no fixture holds, and what must not be believed.

use std::io::Write;
use std::path::{Path, PathBuf};

use protoclip::model::weights::WeightSource;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Writes an archive with these entries below a folder, as `torch.save` does.
fn archive(folder: &Path, entries: &[(&str, &[u8])]) -> PathBuf {
    let path = folder.join("made.pt");
    let mut zip = ZipWriter::new(std::fs::File::create(&path).expect("creates"));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in entries {
        zip.start_file(format!("made/{name}"), stored)
            .expect("entry");
        zip.write_all(bytes).expect("writes");
    }
    zip.finish().expect("finishes");
    path
}

fn text(text: &str) -> Vec<u8> {
    let count = (text.len() as u32).to_le_bytes();
    [b"X".as_slice(), &count, text.as_bytes()].concat()
}

/// A pickled f32 matrix over a storage of `count` numbers.
fn matrix(storage: &str, count: u8, shape: [u8; 2], strides: [u8; 2]) -> Vec<u8> {
    let pair = |[a, b]: [u8; 2]| [b'K', a, b'K', b, 0x86];
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text(storage),
        text("cpu"),
        vec![b'K', count],
        b"tQK\x00".to_vec(),
        pair(shape).to_vec(),
        pair(strides).to_vec(),
        b"\x89}tR".to_vec(),
    ]
    .concat()
}

fn dictionary(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let items = items
        .iter()
        .flat_map(|(k, v)| [text(k), v.clone()].concat());
    [b"}(".to_vec(), items.collect(), b"u".to_vec()].concat()
}

fn pickle(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02".as_slice(), value, b"."].concat()
}

fn numbers(count: u8) -> Vec<u8> {
    (0..count)
        .flat_map(|i| f32::from(i).to_le_bytes())
        .collect()
}

fn refused(path: &Path) -> String {
    let error = WeightSource::open(path).expect_err("refused");
    let message = error.to_string();
    assert!(
        message.starts_with(&path.display().to_string()),
        "{message}"
    );
    message
}

#[test]
fn the_fields_of_scripted_modules_are_the_state_dict() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let object = |fields: &[(&str, Vec<u8>)]| {
        let made = b"c__torch__.net\nModule\n)\x81".to_vec();
        [made, dictionary(fields), b"b".to_vec()].concat()
    };
    let inner = object(&[
        ("weight", matrix("0", 6, [3, 2], [1, 3])),
        ("training", vec![0x88]),
    ]);
    let outer = object(&[("visual", inner), ("proj", matrix("1", 2, [1, 2], [2, 1]))]);
    let data = pickle(&outer);
    let (first, second) = (numbers(6), numbers(2));
    let mut entries: Vec<(&str, &[u8])> = vec![
        ("data.pkl", &data),
        ("data/0", &first),
        ("data/1", &second),
        ("code/__torch__/net.py", b"raise SystemExit"),
    ];
    // Without its mark, an archive of torch.save has no classes.
    let message = refused(&archive(folder.path(), &entries));
    assert!(message.contains("__torch__.net.Module"), "{message}");
    entries.push(("constants.pkl", b"\x80\x02)."));
    let mut source = WeightSource::open(&archive(folder.path(), &entries)).expect("opens");
    assert_eq!(
        source.names().collect::<Vec<_>>(),
        ["proj", "visual.weight"]
    );
    let transposed = source.read("visual.weight").expect("reads");
    assert_eq!(transposed, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
}

#[test]
fn storages_are_what_the_pickle_says_or_an_error() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let data = pickle(&dictionary(&[("a", matrix("0", 6, [2, 3], [3, 1]))]));
    let read = |entries: &[(&str, &[u8])]| {
        let path = archive(folder.path(), entries);
        let mut source = WeightSource::open(&path).expect("opens");
        source.read("a").map_err(|e| e.to_string())
    };
    let whole = numbers(6);
    assert_eq!(
        read(&[("data.pkl", &data), ("data/0", &whole)]).map(|v| v.len()),
        Ok(6)
    );
    let missing = read(&[("data.pkl", &data)]).expect_err("missing");
    assert!(
        missing.contains("tensor a") && missing.contains("data/0 is missing"),
        "{missing}"
    );
    for count in [5, 7] {
        let other = numbers(count);
        let message = read(&[("data.pkl", &data), ("data/0", &other)]).expect_err("size");
        assert!(
            message.contains("tensor a") && message.contains("24"),
            "{message}"
        );
    }
}

#[test]
fn archives_that_claim_too_much_are_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let big_endian = pickle(&dictionary(&[]));
    let path = archive(
        folder.path(),
        &[("data.pkl", &big_endian), ("byteorder", b"big")],
    );
    assert!(refused(&path).contains("big-endian"));
    let path = archive(folder.path(), &[("other.pkl", &big_endian)]);
    assert!(refused(&path).contains("no data.pkl"));
    let path = archive(folder.path(), &[("data.pkl", &big_endian)]);
    assert!(refused(&path).contains("holds no state dict"));
    // Hundreds of names for one storage: small as a file, large when read.
    let value = matrix("0", 255, [15, 17], [17, 1]);
    let value = [value, b"q\x07".to_vec()].concat();
    let mut items = [text("w"), value].concat();
    for i in 0..400 {
        items.extend([text(&format!("w{i}")), b"h\x07".to_vec()].concat());
    }
    let data = pickle(&[b"}(".to_vec(), items, b"u".to_vec()].concat());
    let storage = numbers(255);
    let path = archive(folder.path(), &[("data.pkl", &data), ("data/0", &storage)]);
    let message = refused(&path);
    assert!(message.contains("more than 4 times the file"), "{message}");
}

//! Restarts, damage, and any bytes at all.

use proptest::prelude::*;

use super::super::event_file::{EventFile, write_record};
use super::*;

fn read(files: &[&[u8]]) -> Curves {
    let mut curves = Curves::default();
    for (place, bytes) in files.iter().enumerate() {
        let path = PathBuf::from(format!("file-{place}"));
        let mut records = Records::of(*bytes, bytes.len() as u64);
        let whole = curves.read_file(&path, &mut records, &|_| true);
        assert!(whole.expect("reads"));
    }
    curves
}

fn written(points: &[(u64, &str, f32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = EventFile::begin(&mut bytes, 100.0).expect("writes");
    for (step, tag, value) in points {
        let time = 100.0 + *step as f64;
        file.scalar(time, *step, tag, *value).expect("writes");
    }
    bytes
}

/// `{1: 50.0, 2: step, 7: {1: START}}`
fn session_start(step: u8) -> Vec<u8> {
    let mut event = vec![0x09];
    event.extend(50f64.to_le_bytes());
    event.extend([0x10, step, 0x3a, 2, 0x08, 1]);
    let mut bytes = Vec::new();
    write_record(&mut bytes, &event).expect("writes");
    bytes
}

#[test]
fn a_later_file_overrides_the_steps_that_it_has_again() {
    let first = written(&[(1, "a", 1.0), (2, "a", 2.0), (3, "a", 3.0), (3, "b", 9.0)]);
    let second = written(&[(2, "a", 20.0)]);
    let curves = read(&[&first, &second]);
    assert_eq!(curves.points["a"], [(1, 1.0), (2, 20.0)]);
    assert_eq!(curves.points["b"], [(3, 9.0)], "no new value, nothing void");
    assert_eq!(curves.skipped.superseded, 2);
    assert_eq!(curves.recorded, Some((101.0, 103.0)));
    assert_eq!((curves.count(), curves.last_step()), (3, 3));
}

#[test]
fn the_start_of_a_session_makes_all_later_steps_void() {
    let first = written(&[(1, "a", 1.0), (3, "a", 3.0), (3, "b", 9.0)]);
    let curves = read(&[&first, &session_start(2)]);
    assert_eq!(curves.points.len(), 1);
    assert_eq!(curves.points["a"], [(1, 1.0)]);
    assert_eq!(curves.skipped.superseded, 2);
}

#[test]
fn what_is_damaged_is_counted_by_file() {
    let mut bytes = written(&[(1, "a", 1.0), (2, "a", 2.0)]);
    let last = bytes.len() - 6;
    bytes[last] ^= 1;
    bytes.extend([1, 2, 3]);
    write_record(&mut bytes, &[]).expect("writes");
    let curves = read(&[&bytes]);
    assert_eq!(curves.points["a"], [(1, 1.0)]);
    let sentences = curves.skipped.sentences();
    assert_eq!(sentences.len(), 1, "{sentences:?}");
    assert!(
        sentences[0].starts_with("file-0: 1 record was left out")
            && sentences[0].contains("the last 19 bytes"),
        "{sentences:?}"
    );
}

#[test]
fn reading_ends_when_nobody_wants_it_any_more() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("events.out.tfevents.1");
    std::fs::write(&path, written(&[(1, "a", 1.0)])).expect("writes");
    let read = Curves::read(std::slice::from_ref(&path), &|_| false);
    assert_eq!(read.expect("reads"), None);
    let whole = Curves::read(&[path], &|_| true).expect("reads");
    assert_eq!(whole.expect("whole").count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read(&[&bytes]);
        // The same as the content of a record with right checksums.
        let mut framed = Vec::new();
        write_record(&mut framed, &bytes).expect("writes");
        read(&[&framed]);
        let tensor = super::super::tensor::number(&bytes);
        prop_assert!(tensor.is_ok() || tensor.is_err());
    }

    #[test]
    fn a_file_with_wrong_bytes_is_read_without_a_panic(
        places in prop::collection::vec((0usize..400, any::<u8>()), 1..8),
        end in 0usize..400,
    ) {
        let mut bytes = written(&[(1, "a", 1.0), (2, "b", 2.0), (3, "a", 3.0), (4, "a", 4.0)]);
        for (place, byte) in places {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        read(&[&bytes[..end.min(bytes.len())]]);
    }

    /// Events as others write them, damaged below a check sum that is right.
    #[test]
    fn events_with_wrong_bytes_are_read_without_a_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
    ) {
        let mut event = EVENT.to_vec();
        for (at, byte, put_in) in changes {
            match (at.index(event.len()), put_in) {
                (at, true) => event.insert(at, byte),
                (at, false) => event[at] = byte,
            }
        }
        let mut bytes = Vec::new();
        write_record(&mut bytes, &event).expect("writes");
        read(&[&bytes]);
    }
}

/// An event with a step, a number, a tensor of one number and metadata that call it a curve.
const EVENT: &[u8] =
    b"\x09\x00\x00\x00\x00\x00\x00\x59\x40\x10\x05\x2a\x2e\x0a\x08\x0a\x01\x61\x15\x00\
    \x00\x80\x3f\x0a\x22\x0a\x01\x62\x42\x0e\x08\x01\x12\x04\x12\x02\x08\x01\x22\x04\
    \x00\x00\x80\x3f\x4a\x0d\x0a\x09\x0a\x07\x73\x63\x61\x6c\x61\x72\x73\x20\x01";

#[test]
fn the_event_that_is_damaged_is_whole_before() {
    let mut bytes = Vec::new();
    write_record(&mut bytes, EVENT).expect("writes");
    let curves = read(&[&bytes]);
    assert_eq!(curves.points["a"], [(5, 1.0)]);
    assert_eq!(curves.count(), 2, "{curves:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_we_write_is_read_back_as_it_was(
        curves in prop::collection::btree_map(
            "[a-z/_ü]{1,12}",
            prop::collection::btree_map(0u64..1 << 62, any::<f32>(), 1..20),
            0..5,
        ),
    ) {
        let points: Vec<(u64, &str, f32)> = curves
            .iter()
            .flat_map(|(tag, points)| points.iter().map(|(&s, &v)| (s, tag.as_str(), v)))
            .collect();
        let found = read(&[&written(&points)]);
        prop_assert_eq!(&found.skipped, &Skipped::default());
        prop_assert_eq!(found.points.len(), curves.len());
        for (tag, points) in &curves {
            let back = found.points[tag].iter().map(|&(step, value)| (step, (value as f32).to_bits()));
            let there = points.iter().map(|(&step, value)| (step, value.to_bits()));
            let nan_or_same = back.zip(there).all(|(back, there)| {
                back.0 == there.0
                    && (back.1 == there.1
                        || f32::from_bits(back.1).is_nan() && f32::from_bits(there.1).is_nan())
            });
            prop_assert!(nan_or_same && found.points[tag].len() == points.len());
        }
    }
}

//! Commits that die, checkpoints that rot, and what is kept.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

/// Every place in a commit where the program can die, in order.
const CRASH_POINTS: [&str; 9] = [
    "files written",
    "files sealed",
    "pinned",
    "published",
    "parent synced",
    "old one removed",
    "before pruning one",
    "hidden",
    "pruned",
];

thread_local! {
    static DIES_AT: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Unwinds past all cleaning up, as far as the disk is concerned like a kill.
pub(super) fn crash_point(name: &str) {
    assert!(CRASH_POINTS.contains(&name), "{name} is not in the list");
    if DIES_AT.get() == Some(name) {
        DIES_AT.set(None);
        std::panic::resume_unwind(Box::new(()));
    }
}

/// Whether `work` died at the point.
fn dies(point: &'static str, work: impl FnOnce()) -> bool {
    DIES_AT.set(Some(point));
    let died = catch_unwind(AssertUnwindSafe(work)).is_err();
    DIES_AT.set(None);
    died
}

fn header(step: u64, score: Option<f64>) -> CheckpointHeader {
    CheckpointHeader {
        step,
        episode: step / 10,
        data_fingerprint: "abc".into(),
        score,
    }
}

fn write(run: &Path, step: u64, score: Option<f64>) -> CheckpointInfo {
    write_checkpoint(run, &header(step, score), None, |folder| {
        fs::write(folder.join("model"), vec![step as u8; 1000]).expect("writes");
        fs::write(folder.join("state"), b"state").expect("writes");
        Ok(())
    })
    .expect("checkpoint")
}

fn steps(run: &Path) -> Vec<u64> {
    list_checkpoints(run).0.iter().map(|c| c.step).collect()
}

#[test]
fn the_newest_intact_checkpoint_wins_and_broken_ones_stay() {
    let run = tempfile::tempdir().expect("folder");
    let (old, new) = (write(run.path(), 10, None), write(run.path(), 20, None));
    assert_eq!(latest_checkpoint(run.path()).expect("newest").step, 20);
    let mut bytes = fs::read(new.path.join("model")).expect("reads");
    bytes[500] ^= 1;
    fs::write(new.path.join("model"), &bytes).expect("writes");
    assert_eq!(latest_checkpoint(run.path()), Some(old));
    assert!(
        verify_checkpoint(&new.path)
            .expect_err("changed")
            .contains("model")
    );
    assert!(new.path.exists());
}

#[test]
fn a_truncated_file_or_manifest_is_reported_with_its_name() {
    let run = tempfile::tempdir().expect("folder");
    let info = write(run.path(), 10, None);
    for (name, cut) in [("model", 999), (MANIFEST, 30)] {
        let path = info.path.join(name);
        let bytes = fs::read(&path).expect("reads");
        fs::write(&path, &bytes[..cut]).expect("writes");
        let (good, broken) = list_checkpoints(run.path());
        assert!(good.is_empty());
        assert!(broken[0].message.contains(name), "{}", broken[0].message);
        fs::write(&path, &bytes).expect("writes");
    }
    assert_eq!(steps(run.path()), [10]);
}

#[test]
fn pruning_keeps_the_newest_the_best_and_the_pinned() {
    let run = tempfile::tempdir().expect("folder");
    for (step, score) in [
        (10, Some(1.0)),
        (20, Some(5.0)),
        (30, Some(2.0)),
        (40, None),
        (50, None),
    ] {
        write(run.path(), step, score);
    }
    let pinned = list_checkpoints(run.path()).0[0].path.join(PINNED);
    fs::write(pinned, b"").expect("writes");
    let left_over = run.path().join(FOLDER).join(".writing-00000060");
    fs::create_dir(&left_over).expect("creates");
    prune_checkpoints(run.path(), 2).expect("prunes");
    assert_eq!(steps(run.path()), [10, 20, 40, 50]);
    assert!(!left_over.exists());
}

#[test]
fn a_pinned_checkpoint_says_why_and_stays_pinned_when_written_again() {
    let run = tempfile::tempdir().expect("folder");
    let fill = |_: &Path| Ok(());
    let header = header(10, None);
    let pinned = write_checkpoint(run.path(), &header, Some("before change"), fill);
    let pinned = pinned.expect("writes");
    assert_eq!(pinned.pin_reason.as_deref(), Some("before change"));
    let again = write_checkpoint(run.path(), &header, None, fill).expect("writes");
    assert_eq!((again.pinned, again.pin_reason), (true, pinned.pin_reason));
    fs::remove_file(again.path.join(PINNED)).expect("unpins");
    assert_eq!(verify_checkpoint(&again.path), Ok(()));
}

#[test]
fn a_failed_write_leaves_the_old_checkpoint_in_place() {
    let run = tempfile::tempdir().expect("folder");
    let before = write(run.path(), 10, None);
    let failed = write_checkpoint(run.path(), &header(10, None), None, |_| {
        Err(TrainError::Other("disk full".into()))
    });
    assert!(failed.is_err());
    assert_eq!(latest_checkpoint(run.path()), Some(before));
}

/// All checkpoints that are listed are whole.
fn assert_whole(run: &Path, when: &str) {
    let (good, broken) = list_checkpoints(run);
    assert_eq!(broken, [], "{when}");
    for info in &good {
        assert_eq!(verify_checkpoint(&info.path), Ok(()), "{when}");
    }
}

#[test]
fn a_crash_anywhere_in_a_commit_leaves_the_old_set_or_the_new() {
    for point in CRASH_POINTS {
        let run = tempfile::tempdir().expect("folder");
        write(run.path(), 10, None);
        write(run.path(), 20, None);
        let died = dies(point, || {
            write(run.path(), 30, None);
            prune_checkpoints(run.path(), 2).expect("prunes");
        });
        // Without anything to pin or replace, every point is passed.
        assert!(died, "{point} was never reached");
        assert_whole(run.path(), point);
        let found = steps(run.path());
        let published = !["files written", "files sealed", "pinned"].contains(&point);
        let whole: &[&[u64]] = match published {
            true => &[&[10, 20, 30], &[20, 30]],
            false => &[&[10, 20]],
        };
        assert!(whole.contains(&found.as_slice()), "{point}: {found:?}");
        // The next commit goes on as if nothing had been.
        write(run.path(), 40, None);
        prune_checkpoints(run.path(), 2).expect("prunes");
        let kept = if published { [30, 40] } else { [20, 40] };
        assert_eq!(steps(run.path()), kept, "{point}");
        assert_clean(run.path(), point);
    }
}

/// Nothing but checkpoints lies in the folder.
fn assert_clean(run: &Path, when: &str) {
    let names = fs::read_dir(run.join(FOLDER)).expect("lists");
    let hidden: Vec<String> = names
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(hidden, [""; 0], "{when}");
}

#[test]
fn a_crash_while_a_checkpoint_is_replaced_keeps_one_of_the_two() {
    for point in &CRASH_POINTS[..6] {
        let run = tempfile::tempdir().expect("folder");
        let old = write(run.path(), 10, Some(1.0));
        let died = dies(point, || {
            write(run.path(), 10, Some(2.0));
        });
        assert!(died, "{point} was never reached");
        assert_whole(run.path(), point);
        let found = latest_checkpoint(run.path()).expect("the only checkpoint is never lost");
        let published = !["files written", "files sealed", "pinned"].contains(point);
        assert_eq!(found.hash == old.hash, !published, "{point}");
        prune_checkpoints(run.path(), 1).expect("prunes");
        assert_clean(run.path(), point);
    }
}

#[test]
fn a_flipped_or_cut_byte_anywhere_falls_back_to_the_checkpoint_before() {
    let run = tempfile::tempdir().expect("folder");
    let (old, new) = (write(run.path(), 10, None), write(run.path(), 20, None));
    let names: Vec<String> = fs::read_dir(&new.path)
        .expect("lists")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.len(), 3);
    let mut tried = 0;
    for name in names {
        let path = new.path.join(&name);
        let whole = fs::read(&path).expect("reads");
        for place in (0..whole.len()).step_by(whole.len().div_ceil(60)) {
            let mut flipped = whole.clone();
            flipped[place] ^= 1 << (place % 8);
            for damaged in [flipped.as_slice(), &whole[..place]] {
                fs::write(&path, damaged).expect("writes");
                let found = latest_checkpoint(run.path());
                // Where the name of the seal was hit the manifest reads as an old one, still whole.
                let text = String::from_utf8_lossy(damaged);
                let whole_still = name == MANIFEST && verify_checkpoint(&new.path).is_ok();
                let harmless = whole_still && !text.contains("\"seal\"");
                let wanted = if harmless { 20 } else { 10 };
                assert_eq!(
                    found.map(|info| info.step),
                    Some(wanted),
                    "{name} at {place}"
                );
                assert!(path.exists(), "nothing is deleted");
                tried += 1;
            }
        }
        fs::write(&path, &whole).expect("writes");
    }
    assert!(tried >= 200, "{tried}");
    assert_eq!(latest_checkpoint(run.path()), Some(new));
    assert!(old.path.exists());
}

#[test]
fn a_failed_write_takes_no_room() {
    let run = tempfile::tempdir().expect("folder");
    let failed = write_checkpoint(run.path(), &header(10, None), None, |folder| {
        fs::write(folder.join("model"), [0; 100]).expect("writes");
        Err(TrainError::Other("disk full".into()))
    });
    assert!(failed.is_err());
    assert_clean(run.path(), "after a failure");
}

#[test]
fn a_manifest_that_was_edited_is_refused_and_one_without_a_seal_is_not() {
    let run = tempfile::tempdir().expect("folder");
    let info = write(run.path(), 20, None);
    let path = info.path.join(MANIFEST);
    let text = fs::read_to_string(&path).expect("reads");
    fs::write(&path, text.replace("\"step\": 20", "\"step\": 21")).expect("writes");
    let message = verify_checkpoint(&info.path).expect_err("changed");
    assert!(message.contains("was changed"), "{message}");
    let mut old: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    old.as_object_mut().expect("an object").remove("seal");
    fs::write(&path, old.to_string()).expect("writes");
    assert_eq!(verify_checkpoint(&info.path), Ok(()));
}

//! The store of one run: what was committed reads back, and a restart removes what came too late.

use protoclip::config::RunConfig;
use serde_json::Value;

use super::*;
use crate::studio::RunState;
use crate::studio::run_log::LineKind;

fn point(tag: &'static str, step: u64, value: f64) -> Point {
    Point {
        tag: tag.into(),
        step,
        value,
    }
}

fn line(step: u64, message: &str) -> NewLine {
    NewLine::new(step, LineKind::Message, message, Value::Null)
}

fn store(folder: &tempfile::TempDir) -> RunStore {
    RunStore::open(&folder.path().join("run.db")).expect("opens")
}

fn values(store: &RunStore, tag: &str) -> Vec<(u64, f64)> {
    let mut found = Vec::new();
    store
        .each_point(tag, (0, u64::MAX), |step, value| found.push((step, value)))
        .expect("reads");
    found
}

#[test]
fn what_is_committed_is_read_by_another_connection() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut written = store(&folder);
    let mut snapshot = RunSnapshot::queued(&RunConfig::default());
    snapshot.step = 2;
    let batch = Batch {
        points: vec![
            point("a", 1, 0.5),
            point("a", 2, f64::NAN),
            point("b", 1, 3.0),
        ],
        lines: vec![line(0, "first"), line(2, "second")],
    };
    let lines = written.commit_durably(&batch, &snapshot).expect("commits");
    assert_eq!(lines.iter().map(|l| l.seq).collect::<Vec<_>>(), [1, 2]);

    let read = RunStore::read(&folder.path().join("run.db")).expect("opens");
    assert_eq!(read.snapshot().expect("reads"), Some(snapshot));
    assert_eq!(read.lines(0, 10).expect("reads"), lines);
    assert_eq!(read.lines(1, 10).expect("reads"), lines[1..]);
    let a = values(&read, "a");
    assert_eq!(a[0], (1, 0.5));
    assert!(a[1].1.is_nan());
    assert_eq!(
        read.tags().expect("reads"),
        [("a".to_owned(), 2), ("b".to_owned(), 1)]
    );
    assert_eq!(read.last_line().expect("reads"), 2);
}

#[test]
fn a_restart_removes_what_came_after_its_step_and_marks_it_running() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut store = store(&folder);
    let snapshot = RunSnapshot::queued(&RunConfig::default());
    let batch = Batch {
        points: (1..=9).map(|step| point("a", step, step as f64)).collect(),
        lines: (0..=9).map(|step| line(step, "x")).collect(),
    };
    store.commit(&batch, &snapshot).expect("commits");
    let (restarted, _) = store
        .restart(5, &line(5, "again"), |latest| {
            let mut snapshot = snapshot.clone();
            snapshot.latest = latest;
            snapshot.enter(RunState::Running, None);
            snapshot
        })
        .expect("restarts");
    assert_eq!(restarted.latest["a"], 5.0);
    let steps: Vec<u64> = values(&store, "a").iter().map(|p| p.0).collect();
    assert_eq!(steps, [1, 2, 3, 4, 5]);
    let lines = store.lines(0, 100).expect("reads");
    assert_eq!(lines.last().expect("lines").message, "again");
    assert!(lines.iter().all(|l| l.step <= 5));
    assert_eq!(
        store.snapshot().expect("reads").expect("stored").state,
        RunState::Running
    );
}

#[test]
fn events_after_a_checkpoint_at_the_same_step_are_removed_too() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut store = store(&folder);
    let mut snapshot = RunSnapshot::queued(&RunConfig::default());
    snapshot.step = 5;
    let one = |message: &str| Batch {
        points: Vec::new(),
        lines: vec![line(5, message)],
    };
    store
        .commit_durably(&one("before"), &snapshot)
        .expect("commits");
    store.commit(&one("after"), &snapshot).expect("commits");
    store
        .restart(5, &line(5, "again"), |_| snapshot.clone())
        .expect("restarts");
    let messages: Vec<String> = store
        .lines(0, 100)
        .expect("reads")
        .into_iter()
        .map(|l| l.message)
        .collect();
    assert_eq!(messages, ["before", "again"]);
}

#[test]
fn a_point_written_twice_is_stored_once() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut store = store(&folder);
    let batch = Batch {
        points: vec![point("a", 1, 1.0), point("a", 1, 2.0)],
        lines: Vec::new(),
    };
    store
        .commit(&batch, &RunSnapshot::queued(&RunConfig::default()))
        .expect("commits");
    assert_eq!(values(&store, "a"), [(1, 2.0)]);
}

#[test]
fn a_file_that_is_no_database_is_an_error_naming_it() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("run.db");
    std::fs::write(&path, "not a database at all, only some text").expect("writes");
    let error = RunStore::open(&path).expect_err("refused").to_string();
    assert!(error.contains("run.db"), "{error}");
}

#[test]
fn a_newer_format_is_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    store(&folder)
        .connection
        .pragma_update(None, "user_version", 9)
        .expect("writes");
    let error = RunStore::open(&folder.path().join("run.db")).expect_err("refused");
    assert!(error.to_string().contains("newer version"), "{error}");
}

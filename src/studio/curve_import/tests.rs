//! Files of TensorBoard's own writers as runs, and imports that come to nothing.

use std::path::Path;

use super::*;

/// Files of TensorBoard's own writers, and what its own reader finds in them
/// (`tests/peers/tensorboard_files.py`).
fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tensorboard")
}

fn expected() -> serde_json::Value {
    let text = std::fs::read_to_string(fixture().join("expected.json")).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

fn value(json: &serde_json::Value) -> f64 {
    json.as_f64()
        .unwrap_or_else(|| json.as_str().expect("a word").parse().expect("a number"))
}

#[test]
fn files_of_tensorboard_give_the_points_that_its_own_reader_finds() {
    let folder = tempfile::tempdir().expect("folder");
    let data_dir = DataDir::open(folder.path()).expect("opens");
    let made = import_curves(&data_dir, &fixture().join("logs"), "peer", &|_, _| true);
    let made = made.expect("imports");
    let names: Vec<&str> = made.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["peer", "peer/eval"]);
    let expected = expected();
    for (run, key) in made.iter().zip(["", "eval"]) {
        let store = RunStore::read(&data_dir.run(&run.id).database()).expect("reads");
        let wanted = expected[key].as_object().expect("curves");
        assert_eq!(run.curves, wanted.len(), "{:?}", store.tags());
        for (tag, points) in wanted {
            let mut found = Vec::new();
            let each = |step, value: f64| found.push((step, value.to_bits()));
            store.each_point(tag, (0, u64::MAX), each).expect("reads");
            let points = points.as_array().expect("points").iter();
            let points: Vec<(u64, u64)> = points
                .map(|point| {
                    (
                        point[0].as_u64().expect("a step"),
                        value(&point[1]).to_bits(),
                    )
                })
                .collect();
            assert_eq!(found, points, "{key} {tag}");
        }
    }
    let notes = made[0].notes.join("\n");
    assert!(notes.contains("4 points were recorded again"), "{notes}");
    assert!(notes.contains("1 values are no points"), "{notes}");
    let notes = made[1].notes.join("\n");
    assert!(notes.contains("1 record was left out"), "{notes}");
    assert!(notes.contains("are no whole record"), "{notes}");
}

#[test]
fn an_imported_run_is_finished_and_says_where_it_comes_from() {
    let folder = tempfile::tempdir().expect("folder");
    let data_dir = DataDir::open(folder.path()).expect("opens");
    let logs = fixture().join("logs");
    let made = import_curves(&data_dir, &logs, "", &|_, _| true).expect("imports");
    let run = data_dir.run(&made[0].id);
    let meta = run.read_meta().expect("reads");
    assert_eq!(meta.name, "logs");
    let origin = meta.imported.expect("an origin");
    assert_eq!(origin.directory, logs.display().to_string());
    assert_eq!(origin.files.len(), 2);
    let refused = run.read_config().expect_err("no settings").to_string();
    assert!(refused.contains("imported from TensorBoard"), "{refused}");
    let store = RunStore::read(&run.database()).expect("reads");
    let snapshot = store.snapshot().expect("reads").expect("stored");
    assert_eq!(snapshot.state, RunState::Finished);
    assert_eq!((snapshot.step, snapshot.total_steps), (40, 40));
    assert_eq!(snapshot.latest["odd"], 2.5);
    assert!(
        snapshot.trained_seconds > 1000.0,
        "{}",
        snapshot.trained_seconds
    );
}

#[test]
fn an_import_that_is_cancelled_or_finds_nothing_leaves_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let data_dir = DataDir::open(folder.path()).expect("opens");
    let logs = fixture().join("logs");
    // The first run is read and made before the second is refused.
    let half = std::fs::metadata(logs.join("events.out.tfevents.1700000000.fixture"));
    let half = half.expect("a file").len();
    let cancelled = import_curves(&data_dir, &logs, "n", &|done, _| done <= half + 300);
    assert!(
        matches!(cancelled, Err(CurveImportError::Cancelled)),
        "{cancelled:?}"
    );
    let empty = tempfile::tempdir().expect("folder");
    let nothing = import_curves(&data_dir, empty.path(), "n", &|_, _| true);
    let message = nothing.expect_err("nothing").to_string();
    assert!(message.contains("no event files"), "{message}");
    assert!(data_dir.run_ids().expect("lists").is_empty());
}

#[test]
fn a_request_names_the_field_that_cannot_work() {
    let wrong = |directory: &str, name: &str| {
        let request = CurveRequest {
            directory: directory.into(),
            name: name.into(),
        };
        let error = checked(&request, Path::new(directory)).expect_err("wrong");
        error.errors[0].field.clone()
    };
    assert_eq!(wrong("", ""), "directory");
    assert_eq!(wrong("logs", ""), "directory");
    assert_eq!(wrong("/no/such/folder", ""), "directory");
    assert_eq!(wrong("/", "a\nb"), "name");
}

//! Every kind of data set, on the pages and in the terminal: the same pairs, whatever they come from.

use std::path::Path;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::data_sets::added;
use crate::support::data_files::{KINDS, PAIRS, has_labels, write_all};
use crate::support::program::command;
use crate::support::test_site::TestSite;

#[tokio::test]
async fn each_kind_is_added_browsed_and_its_broken_row_listed() {
    let site = TestSite::new();
    let folder = tempfile::tempdir().expect("folder");
    write_all(folder.path());
    for (source, name) in KINDS {
        let path = folder.path().join(name);
        let labels = if has_labels(source) { "colour" } else { "" };
        let form = format!(
            "source={source}&path={}&label_columns={labels}",
            path.display()
        );
        let address = added(&site, &form).await;
        let page = site.get(&address).await.text();
        for part in ["a red square, number 0", "broken image", labels] {
            assert!(page.contains(part), "{source}: {part} in {page}");
        }
        let api = format!("/api{address}");
        let found = site
            .get(&match has_labels(source) {
                true => format!("{api}/pairs?q=blue&column=colour&class=blue&limit=1"),
                false => format!("{api}/pairs?q=blue&limit=1"),
            })
            .await
            .json();
        assert_eq!(found["matching"], PAIRS / 2, "{source}");
        let image = found["pairs"][0]["image_url"].as_str().expect("an address");
        assert_eq!(site.get(image).await.status, StatusCode::OK, "{source}");
        let set = site.get(&api).await.json();
        assert_eq!(set["pairs"], PAIRS, "{source}");
        let listed = &set["skipped"]["listed"][0];
        assert_eq!(listed["reason"], "broken-image", "{source}: {listed}");
        assert!(
            listed["place"].as_str().is_some_and(|p| !p.is_empty()),
            "{listed}"
        );
    }
    let list = site.get("/datasets").await.text();
    assert!(!list.contains("not where it was"), "{list}");
}

#[tokio::test]
async fn a_run_is_refused_when_its_data_is_not_there_and_checked_before_it_starts() {
    let site = TestSite::new();
    let folder = tempfile::tempdir().expect("folder");
    write_all(folder.path());
    for (source, name) in KINDS {
        let absent = folder.path().join("gone").join(name);
        let config = json!({"preset": "protoclip", "data": {"source": source, "path": absent}});
        let answer = site.ask(Method::POST, "/api/runs", Some(config)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{source}");
        let field = &answer.json()["errors"][0]["field"];
        assert_eq!(field, "data.path", "{source}");
        let data = json!({"source": source, "path": folder.path().join(name)});
        let checked = site.ask(Method::POST, "/api/datasets", Some(data)).await;
        assert_eq!(
            checked.status,
            StatusCode::OK,
            "{source}: {}",
            checked.text()
        );
        assert_eq!(checked.json()["pairs"], PAIRS, "{source}");
    }
    let form = site.get("/runs/new").await.text();
    for (source, _) in KINDS {
        assert!(form.contains(&format!("value=\"{source}\"")), "{source}");
    }
}

/// Exit code, output and messages of the program.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = command(arguments).output().expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A finished run on the built-in data.
fn trained(folder: &Path) -> String {
    let settings = folder.join("run.toml");
    let toml = "preset = \"protoclip\"\nepisodes = 1\nepisode_size = 48\nbatch_size = 16\n\
                [prototypes]\ncount = 6\nrestarts = 1\n";
    std::fs::write(&settings, toml).expect("writes");
    let data_dir = folder.join("data").display().to_string();
    let settings = settings.display().to_string();
    let (code, _, error) = run(&["train", &settings, "--data-dir", &data_dir]);
    assert_eq!(code, Some(0), "{error}");
    let mut runs = std::fs::read_dir(folder.join("data/runs")).expect("lists");
    let run = runs.next().expect("one run").expect("reads").path();
    run.display().to_string()
}

/// Removes what differs from one measurement to the next.
fn forget_seconds(report: &mut Value) {
    match report {
        Value::Object(map) => {
            map.retain(|key, _| !key.starts_with("seconds"));
            map.values_mut().for_each(forget_seconds);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_seconds),
        _ => {}
    }
}

#[test]
fn the_program_measures_every_kind_alike() {
    let folder = tempfile::tempdir().expect("folder");
    write_all(folder.path());
    let run_directory = trained(folder.path());
    let mut first: Option<Value> = None;
    for (source, name) in KINDS {
        let data = folder.path().join(name).display().to_string();
        let images = ["bench", "images", "--data", &data, "--batch", "10"];
        let (code, output, error) = run(&images);
        assert_eq!(code, Some(0), "{source}: {error}");
        let line: Value = serde_json::from_str(&output).expect("JSON");
        assert_eq!(
            (&line["images"], &line["broken"]),
            (&PAIRS.into(), &0.into())
        );
        let index = ["bench", "index", "--data", &data, "--episode", "20"];
        let (code, output, error) = run(&index);
        assert_eq!(code, Some(0), "{source}: {error}");
        let line: Value = serde_json::from_str(&output).expect("JSON");
        assert_eq!(
            (&line["pairs"], &line["episode"]),
            (&PAIRS.into(), &20.into())
        );
        assert_eq!((&line["skipped"], &line["broken"]), (&1.into(), &0.into()));
        let mut evaluate = vec!["evaluate", &run_directory, "--data", &data, "--json", "-"];
        if has_labels(source) {
            evaluate.extend(["--label-column", "colour"]);
        }
        let (code, output, error) = run(&evaluate);
        assert_eq!(code, Some(0), "{source}: {error}");
        let mut report: Value = serde_json::from_str(&output).expect("JSON");
        assert_eq!(report["data"]["skipped_rows"], 1, "{source}");
        for own in ["name", "fingerprint", "path"] {
            report["data"][own] = Value::Null;
        }
        forget_seconds(&mut report);
        // Without labels there are no columns, and the report says why.
        if let Some(first) = first.as_ref().filter(|_| !has_labels(source)) {
            assert!(report["no_columns"].is_string(), "{source}: {report}");
            for of_labels in ["columns", "no_columns"] {
                report[of_labels] = first[of_labels].clone();
            }
        }
        assert!(report["retrieval"]["value"].is_object(), "{report}");
        let wanted = first.get_or_insert_with(|| report.clone());
        assert_eq!(*wanted, report, "{source} and {}", KINDS[0].0);
    }
}

/// The tiny encoder of the golden fixtures.
fn tiny_encoder() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = folder.join("crates/protoclip/tests/golden/teachers/tiny_bert");
    folder.display().to_string()
}

#[test]
fn teacher_features_of_every_kind_are_equal_and_train_a_run() {
    let folder = tempfile::tempdir().expect("folder");
    write_all(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (model, out) = (tiny_encoder(), path("features.npy"));
    let mut first: Option<Vec<u8>> = None;
    for (source, name) in KINDS {
        let data = path(name);
        let (code, output, error) = run(&[
            "teacher", "--model", &model, "--data", &data, "--out", &out, "--dim", "4",
        ]);
        assert_eq!(code, Some(0), "{source}: {error}");
        assert!(output.contains("teacher.kind"), "{output}");
        let features = std::fs::read(&out).expect("written");
        let wanted = first.get_or_insert_with(|| features.clone());
        assert_eq!(*wanted, features, "{source}");
    }
    let train = |data: &str| {
        let settings = path("run.toml");
        let toml = format!(
            "preset = \"protoclip-teacher\"\nepisodes = 1\nbatch_size = 10\n{data}\
             [prototypes]\ncount = 4\nrestarts = 1\n[teacher]\nkind = \"npy\"\npath = {out:?}\n"
        );
        std::fs::write(&settings, toml).expect("writes");
        run(&["train", &settings, "--data-dir", &path("data")])
    };
    let tables = format!(
        "[data]\nsource = \"parquet\"\npath = {:?}\n",
        path("tables")
    );
    let (code, _, error) = train(&tables);
    assert_eq!(code, Some(0), "{error}");
    // Features of another data set are refused with both counts.
    let (code, _, error) = train("");
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("found 30 rows, wanted 3724"), "{error}");
}

#[test]
fn what_the_teacher_cannot_do_is_said_with_code_2() {
    let folder = tempfile::tempdir().expect("folder");
    write_all(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (model, data, out) = (tiny_encoder(), path("pairs.csv"), path("features.npy"));
    let nowhere = path("nowhere");
    for (model, data, dim, part) in [
        (&nowhere, &data, "4", "--model"),
        (&model, &nowhere, "4", "does not exist"),
        (&model, &data, "9999", "--dim"),
        (&path("shards"), &data, "4", "config.json"),
    ] {
        let arguments = [
            "teacher", "--model", model, "--data", data, "--out", &out, "--dim", dim,
        ];
        let (code, _, error) = run(&arguments);
        assert_eq!(code, Some(2), "{part}: {error}");
        assert!(error.contains(part), "{part} in {error}");
    }
}

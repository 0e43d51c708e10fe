//! Features of an external teacher, made from the page of a data set and by the API.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::data_sets::ended_work;
use crate::support::data_files::{PAIRS, write_all};
use crate::support::program::command;
use crate::support::scripted_runner::PATIENCE;
use crate::support::test_site::TestSite;

/// The tiny encoder of the golden fixtures.
fn tiny_encoder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.join("crates/protoclip/tests/golden/teachers/tiny_bert")
}

/// Adds a CSV file and answers with the address of its page.
async fn added(site: &TestSite, file: &Path) -> String {
    let form = format!("source=csv&path={}", file.display());
    let added = site.submit("/datasets/add", &form).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.text());
    assert_eq!(ended_work(site).await["state"], "done");
    added.header("location").to_owned()
}

/// A data set of many captions over one picture.
fn many_captions(folder: &Path, count: usize) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/protoclip/tests/golden/images");
    std::fs::copy(golden.join("gray.png"), folder.join("gray.png")).expect("copies");
    let mut rows = "filepath,title\n".to_owned();
    for number in 0..count {
        let animal = ["red fox", "small dog", "cat", "bird"][number % 4];
        let _infallible = writeln!(rows, "gray.png,a {animal} number {number} in the snow");
    }
    let file = folder.join("many.csv");
    std::fs::write(&file, rows).expect("writes");
    file
}

/// What the terminal makes of the same captions.
fn by_terminal(data: &Path, out: &Path) -> Vec<u8> {
    let text = |path: &Path| path.display().to_string();
    let (model, data, file) = (text(&tiny_encoder()), text(data), text(out));
    let arguments = [
        "teacher", "--model", &model, "--data", &data, "--out", &file, "--dim", "4",
    ];
    let output = command(&arguments).output().expect("runs");
    assert!(output.status.success(), "{output:?}");
    std::fs::read(out).expect("written")
}

fn file_of(view: &Value) -> PathBuf {
    view["path"].as_str().expect("a path").into()
}

#[tokio::test]
async fn the_page_makes_the_features_that_the_terminal_makes_and_offers_a_run() {
    let site = TestSite::new();
    let folder = tempfile::tempdir().expect("folder");
    write_all(folder.path());
    let data = folder.path().join("pairs.csv");
    let page = added(&site, &data).await;
    let form = format!("model={}&dim=4", tiny_encoder().display());
    let begun = site.submit(&format!("{page}/teacher"), &form).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text());
    assert_eq!(begun.header("location"), page);
    let work = ended_work(&site).await;
    assert_eq!(
        (&work["state"], &work["kind"]),
        (&"done".into(), &"make_teacher".into()),
        "{work}"
    );
    let api = format!("/api{page}/teachers");
    let listed = site.get(&api).await.json();
    let view = &listed[0];
    assert_eq!(
        (&view["rows"], &view["rows_done"]),
        (&PAIRS.into(), &PAIRS.into())
    );
    assert_eq!(view["dim"], 4, "{view}");
    assert!(
        view["finished"]["explained_variance"].as_f64() > Some(0.1),
        "{view}"
    );
    let file = file_of(view);
    assert!(file.starts_with(site.folder.path()), "{}", file.display());
    let ours = std::fs::read(&file).expect("written");
    assert_eq!(
        ours,
        by_terminal(&data, &folder.path().join("features.npy"))
    );
    let shown = site.get(&page).await.text();
    assert!(shown.contains("New run with this teacher"), "{shown}");
    let table = site.get(&format!("{api}.csv")).await.text();
    assert_eq!(table.lines().count(), 2, "{table}");
    // The form of the new run has data and teacher.
    let link = shown
        .split("href=\"")
        .find(|part| part.contains("teacher="))
        .expect("a link");
    let link = link
        .split('"')
        .next()
        .expect("an address")
        .replace("&#38;", "&");
    let form = site.get(&link).await;
    assert_eq!(form.status, StatusCode::OK, "{link}");
    for part in [
        format!("name=\"data.path\" value=\"{}\"", data.display()),
        format!("name=\"teacher.path\" value=\"{}\"", file.display()),
        "value=\"protoclip-teacher\" checked".to_owned(),
        "<option value=\"npy\" selected".to_owned(),
    ] {
        assert!(form.text().contains(&part), "{part} in {}", form.text());
    }
    // Asked for again they are there already.
    let begun = site.ask(
        Method::POST,
        &api,
        Some(json!({"model": tiny_encoder(), "dim": 4})),
    );
    assert_eq!(begun.await.status, StatusCode::ACCEPTED);
    assert_eq!(
        ended_work(&site).await["message"],
        "these features were made already"
    );
}

#[tokio::test]
async fn cancelled_features_go_on_where_they_were() {
    let site = TestSite::new();
    let folder = tempfile::tempdir().expect("folder");
    let data = many_captions(folder.path(), 60_000);
    let page = added(&site, &data).await;
    let api = format!("/api{page}/teachers");
    let request = json!({"model": tiny_encoder(), "dim": 4});
    let begun = site.ask(Method::POST, &api, Some(request.clone())).await;
    assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.text());
    let work = format!("/api/work/{}", begun.json()["id"]);
    let end = Instant::now() + PATIENCE;
    loop {
        let view = site.get(&work).await.json();
        // Two chunks are on the disk then.
        if view["done"].as_u64() > Some(3 * 1024) {
            assert!(view["per_second"].as_f64() > Some(1.0), "{view}");
            break;
        }
        assert!(view["state"] == "running" && Instant::now() < end, "{view}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let shown = site.get(&page).await.text();
    assert!(shown.contains("encoding captions"), "{shown}");
    let cancelled = site.ask(Method::DELETE, &work, None).await;
    assert_eq!(
        cancelled.status,
        StatusCode::ACCEPTED,
        "{}",
        cancelled.text()
    );
    assert_eq!(ended_work(&site).await["state"], "cancelled");
    let view = site.get(&api).await.json()[0].clone();
    let kept = view["rows_done"].as_u64().expect("a number");
    assert!((2048..60_000).contains(&kept), "{view}");
    assert!(
        view["finished"].is_null() && !file_of(&view).exists(),
        "{view}"
    );
    let shown = site.get(&page).await.text();
    assert!(
        shown.contains("unfinished") && shown.contains("Go on"),
        "{shown}"
    );
    assert!(!shown.contains("New run with this teacher"), "{shown}");
    let begun = site.ask(Method::POST, &api, Some(request)).await;
    let work = format!("/api/work/{}", begun.json()["id"]);
    let first = loop {
        let view = site.get(&work).await.json();
        if view["phase"] == "encoding captions" || view["state"] != "running" {
            break view;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert!(first["done"].as_u64() >= Some(kept), "{first} after {kept}");
    let done = ended_work(&site).await;
    assert_eq!(done["state"], "done", "{done}");
    let view = site.get(&api).await.json()[0].clone();
    let ours = std::fs::read(file_of(&view)).expect("written");
    assert!(ours == by_terminal(&data, &folder.path().join("whole.npy")));
}

#[tokio::test]
async fn what_cannot_be_encoded_is_said_beside_its_field() {
    let site = TestSite::new();
    let folder = tempfile::tempdir().expect("folder");
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(tiny_encoder().join(name), folder.path().join(name)).expect("copies");
    }
    let (broken, tiny) = (folder.path().display().to_string(), tiny_encoder());
    let tiny = tiny.display().to_string();
    for (model, dim, field, part) in [
        ("", "64", "model", "give the folder"),
        (broken.as_str(), "64", "model", "has no tokenizer.json;"),
        (&tiny, "many", "dim", "is no whole number"),
        (&tiny, "4096", "dim", "ask for fewer"),
    ] {
        let form = format!("model={model}&dim={dim}");
        let page = site.submit("/datasets/builtin/teacher", &form).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        let text = page.text();
        let error = text.split(&format!("id=\"teacher-{field}-error\">")).nth(1);
        let error = error
            .and_then(|rest| rest.split('<').next())
            .expect("an error");
        assert!(error.contains(part), "{part} in {error}");
        assert!(
            text.contains(&format!("value=\"{dim}\"")),
            "what was typed stays"
        );
    }
    let api = "/api/datasets/builtin/teachers";
    let answer = site
        .ask(Method::POST, api, Some(json!({"model": broken})))
        .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.json()["errors"][0]["field"], "model");
    let answer = site
        .ask(Method::POST, api, Some(json!({"folder": 1})))
        .await;
    assert!(answer.status.is_client_error(), "{}", answer.text());
    for address in [
        "/api/datasets/nothing/teachers",
        "/datasets/nothing/teacher",
    ] {
        let answer = site.ask(Method::POST, address, Some(json!([]))).await;
        let known = answer.status == StatusCode::NOT_FOUND
            || (address.starts_with("/datasets") && answer.status.is_client_error());
        assert!(known, "{address}: {}", answer.status);
    }
    assert!(
        site.get("/api/work")
            .await
            .json()
            .as_array()
            .expect("a list")
            .is_empty()
    );
    assert!(!site.folder.path().join("teachers").exists());
    let gone = site.get("/runs/new?data_set=nothing").await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

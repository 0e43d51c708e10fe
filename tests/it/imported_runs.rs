//! Curves of other programs as runs: imported over the API, by the form and by the command, shown like
//! other runs, and refused what needs a model.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use protoclip_studio::studio::{DataDir, RunId, RunView, WorkState, import_curves};
use serde_json::json;

use crate::support::program::command;
use crate::support::test_site::TestSite;

/// Files of TensorBoard's own writers.
fn logs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tensorboard/logs")
}

/// Waits for background work and then until the studio knows the runs that it made.
fn imported(site: &TestSite, work: u64) -> Vec<RunView> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let view = site.studio.work_piece(work).expect("listed");
        let mut runs = site.studio.runs();
        runs.retain(|run| run.imported.is_some());
        if view.state == WorkState::Done && runs.len() == 2 {
            runs.sort_by(|a, b| a.name.cmp(&b.name));
            return runs;
        }
        assert!(Instant::now() < end, "{view:?} {runs:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn imported_site() -> (TestSite, RunView) {
    let site = TestSite::new();
    let asked = json!({"directory": logs(), "name": "base"});
    let answer = site
        .ask(Method::POST, "/api/runs/import", Some(asked))
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    let work = answer.json()["id"].as_u64().expect("a number");
    let runs = imported(&site, work);
    assert_eq!([&*runs[0].name, &*runs[1].name], ["base", "base/eval"]);
    (site, runs[0].clone())
}

#[tokio::test]
async fn imported_runs_are_listed_drawn_compared_and_saved() {
    let (site, run) = imported_site().await;
    let other = site.studio.runs().into_iter().find(|r| r.id != run.id);
    let other = other.expect("the second").id;
    let listed = site.get("/runs").await.text();
    assert!(
        listed.contains("base/eval") && listed.contains("imported from"),
        "{listed}"
    );
    let page = site.get(&format!("/runs/{}", run.id)).await;
    assert_eq!(page.status, StatusCode::OK);
    let text = page.text();
    for tag in ["loss", "accuracy", "kinds/content", "odd"] {
        assert!(
            text.contains(&format!("title=\"{tag}\"")),
            "{tag} has a chart: {text}"
        );
    }
    assert!(
        text.contains("2 event files") && text.contains("no training to steer"),
        "{text}"
    );
    let csv = site
        .get(&format!(
            "/api/runs/{}/series.csv?tag=kinds%2Flisted",
            run.id
        ))
        .await;
    assert_eq!(csv.text(), "step,value\n0,1\n1,2\n2,3\n3,4\n4,5\n");
    let runs = site.get("/api/runs.csv").await.text();
    assert!(
        runs.contains(&format!("{},\"base\",finished,,", run.id)),
        "{runs}"
    );
    let compared = site.get(&format!("/compare?runs={},{other}", run.id)).await;
    assert_eq!(compared.status, StatusCode::OK);
    let text = compared.text();
    assert!(
        text.contains("were imported") && text.contains("chart-loss"),
        "{text}"
    );
    let series = format!(
        "/api/compare/series?runs={},{other}&tag=loss&axis=time",
        run.id
    );
    let series = site.get(&series).await.json();
    let first = &series["runs"][0]["points"];
    assert_eq!(first.as_array().expect("points").len(), 9);
}

#[tokio::test]
async fn what_needs_a_model_is_refused_with_the_reason() {
    let (site, run) = imported_site().await;
    let id = &run.id;
    for (path, body) in [
        ("resume", None),
        ("fork", Some(json!({}))),
        ("checkpoint", None),
        ("pause", None),
    ] {
        let answer = site
            .ask(Method::POST, &format!("/api/runs/{id}/{path}"), body)
            .await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{path}");
        let text = answer.text();
        assert!(
            text.contains("imported from TensorBoard event files"),
            "{path}: {text}"
        );
    }
    let asked = Some(json!({"proto_weight": 0.5}));
    let answer = site
        .ask(Method::PATCH, &format!("/api/runs/{id}/controls"), asked)
        .await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(
        answer.text().contains("imported from TensorBoard"),
        "{}",
        answer.text()
    );
    for path in ["config", "config.csv"] {
        let answer = site.get(&format!("/api/runs/{id}/{path}")).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{path}");
    }
    for tab in ["prototypes", "space", "gap", "batch", "evaluate", "config"] {
        let page = site.get(&format!("/runs/{id}/{tab}")).await;
        assert_eq!(page.status, StatusCode::OK, "{tab}");
        assert!(page.text().contains("this run was imported"), "{tab}");
    }
    let log = site.get(&format!("/runs/{id}/log")).await.text();
    assert!(
        log.contains("points were recorded again after a restart"),
        "{log}"
    );
    let deleted = site
        .ask(Method::DELETE, &format!("/api/runs/{id}"), None)
        .await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn imported_runs_are_there_after_a_restart() {
    let (site, run) = imported_site().await;
    let site = TestSite::over(site.end());
    let again = site.studio.run(&run.id).expect("still listed");
    assert_eq!(again, run);
    assert!(!again.broken);
}

#[tokio::test]
async fn the_form_says_what_is_wrong_and_keeps_what_was_typed() {
    let site = TestSite::new();
    let answer = site
        .submit("/runs/import", "directory=%2Fno%2Fsuch&name=n")
        .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let text = answer.text();
    assert!(
        text.contains("/no/such is no folder") && text.contains("value=\"/no/such\""),
        "{text}"
    );
    let body = format!("directory={}&name=", logs().display());
    let answer = site.submit("/runs/import", &body).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let work = site.studio.work()[0].id;
    assert_eq!(imported(&site, work)[0].name, "logs");
    let page = site.get("/runs").await.text();
    assert!(page.contains("2 runs, 6 curves"), "{page}");
}

#[test]
fn the_command_imports_and_what_it_exports_can_be_imported_again() {
    let folder = tempfile::tempdir().expect("folder");
    let data = folder.path().join("data");
    let run = |arguments: &[&str]| {
        let output = command(arguments).output().expect("runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text, error)
    };
    let (data, logs) = (data.to_str().expect("text"), logs());
    let logs = logs.to_str().expect("text");
    let (code, text, error) = run(&[
        "import",
        "--tensorboard",
        logs,
        "--name",
        "n",
        "--data-dir",
        data,
    ]);
    assert_eq!(code, Some(0), "{error}");
    assert!(
        text.contains("n/eval") && text.contains("1 record was left out"),
        "{text}"
    );
    let (code, _, error) = run(&["import", "--tensorboard", "/no/such", "--data-dir", data]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("/no/such is no folder"), "{error}");
    let directory = text.lines().next().expect("a path");
    let out = folder.path().join("out");
    let out = out.to_str().expect("text");
    let (code, text, error) = run(&[
        "export",
        "--tensorboard",
        "--follow",
        directory,
        "--out",
        out,
    ]);
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains("does not train any more"), "{text}");
    let again = DataDir::open(&folder.path().join("again")).expect("opens");
    let made = import_curves(&again, Path::new(out), "", &|_, _| true).expect("imports");
    let id = RunId::from(Path::new(directory).file_name().unwrap().to_str().unwrap());
    assert_eq!(made[0].name, format!("out/{id}"));
    assert_eq!((made[0].curves, made[0].points), (5, 28));
}

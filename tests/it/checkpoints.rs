//! The shelf of checkpoints: list, look inside, verify, pin, fork, import, export.

use std::path::{Path, PathBuf};

use axum::http::{Method, StatusCode};
use protoclip::model::{ImportError, ImportOptions, import_watched};
use protoclip::train::{
    CheckpointHeader, ExportError, ExportOptions, export_watched, write_checkpoint,
};
use protoclip_studio::studio::{RunId, RunState};
use serde_json::{Value, json};

use crate::data_sets::ended_work;
use crate::support::scripted_runner::Action;
use crate::support::test_site::{Answer, TestSite};

fn golden(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/protoclip/tests/golden");
    folder.join(name)
}

/// A stopped run with a real checkpoint at step 2 whose model is a small one of OpenCLIP's.
async fn run_with_checkpoint(site: &TestSite) -> (RunId, PathBuf) {
    let id = site.running().await;
    site.runner.steps(2);
    site.runner.act(Action::Finish);
    site.wait_for_state(&id, RunState::Finished).await;
    let run = site.folder.path().join("runs").join(id.as_str());
    let header = CheckpointHeader {
        step: 2,
        episode: 0,
        data_fingerprint: "abc".into(),
        score: Some(12.5),
    };
    let info = write_checkpoint(&run, &header, None, |folder| {
        let weights = golden("vit_open_clip.safetensors");
        std::fs::copy(weights, folder.join("model.safetensors")).expect("copies");
        std::fs::write(folder.join("state"), "2").expect("writes");
        Ok(())
    });
    (id, info.expect("writes").path)
}

/// What a button of a page without script sends.
async fn press(site: &TestSite, path: &str) -> Answer {
    site.submit(path, "").await
}

#[tokio::test]
async fn a_checkpoint_is_listed_looked_into_and_verified() {
    let site = TestSite::new();
    let (run, _) = run_with_checkpoint(&site).await;
    let list = site.get("/api/checkpoints").await.json();
    assert_eq!(list["checkpoints"][0]["id"], format!("{run}@2"));
    assert_eq!(list["checkpoints"][0]["score"], 12.5);
    let api = format!("/api/checkpoints/{run}@2");
    let detail = site.get(&api).await.json();
    assert_eq!(detail["data_fingerprint"], "abc");
    assert_eq!(detail["files"].as_array().expect("files").len(), 2);
    let tensors = detail["tensors"].as_array().expect("tensors");
    assert!(tensors.iter().any(|tensor| tensor["name"] == "logit_scale"));
    let begun = site.post(&format!("{api}/verify")).await;
    assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.text());
    let work = ended_work(&site).await;
    assert_eq!(work["state"], "done", "{work}");
    let csv = site.get(&format!("{api}/tensors.csv")).await.text();
    let scale = csv.lines().find(|line| line.starts_with("\"logit_scale\""));
    let norm: f64 = scale
        .and_then(|line| line.split(',').nth(5))
        .expect("a norm")
        .parse()
        .expect("a number");
    assert!(norm > 1.0, "{csv}");
    let page = site.get(&format!("/checkpoints/{run}@2")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    assert!(
        page.text().contains("All 2 files have the hashes"),
        "{}",
        page.text()
    );
}

#[tokio::test]
async fn a_changed_file_is_named_and_blocks_loading() {
    let site = TestSite::new();
    let (run, checkpoint) = run_with_checkpoint(&site).await;
    let weights = checkpoint.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).expect("reads");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&weights, &bytes).expect("writes");
    let api = format!("/api/checkpoints/{run}@2");
    for action in ["verify", "export"] {
        let begun = site.post(&format!("{api}/{action}")).await;
        assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.text());
        let work = ended_work(&site).await;
        assert_eq!(work["state"], "failed", "{work}");
        assert!(
            work["message"].to_string().contains("model.safetensors"),
            "{work}"
        );
    }
    let evaluation = site
        .ask(Method::POST, &format!("{api}/evaluate"), Some(json!({})))
        .await;
    assert_eq!(
        evaluation.status,
        StatusCode::ACCEPTED,
        "{}",
        evaluation.text()
    );
    assert!(
        ended_work(&site).await["message"]
            .to_string()
            .contains("model.safetensors")
    );
    let fork = site
        .ask(
            Method::POST,
            &format!("/api/runs/{run}/fork"),
            Some(json!({"step": 2, "episodes": 20})),
        )
        .await;
    assert_eq!(fork.status, StatusCode::CONFLICT);
    assert!(fork.text().contains("model.safetensors"), "{}", fork.text());
    let page = site.get(&format!("/checkpoints/{run}@2")).await.text();
    assert!(page.contains("cannot be loaded"), "{page}");
    std::fs::write(&weights, &bytes[..last]).expect("cuts");
    let cut = site.get(&api).await;
    assert_eq!(cut.status, StatusCode::CONFLICT);
    assert!(cut.text().contains("model.safetensors"), "{}", cut.text());
    let list = site.get("/checkpoints").await.text();
    assert!(list.contains("is damaged and is not loaded"), "{list}");
}

#[tokio::test]
async fn a_pin_comes_and_goes_and_a_fork_goes_on() {
    let site = TestSite::new();
    let (run, checkpoint) = run_with_checkpoint(&site).await;
    let page = format!("/checkpoints/{run}@2");
    for (action, pinned) in [("pin", true), ("unpin", false)] {
        let answer = press(&site, &format!("{page}/{action}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
        assert_eq!(checkpoint.join("PINNED").exists(), pinned);
    }
    let answer = press(&site, &format!("{page}/explode")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let fork = json!({"step": 2, "name": "second life"});
    let forked = site
        .ask(Method::POST, &format!("/api/runs/{run}/fork"), Some(fork))
        .await;
    assert_eq!(forked.status, StatusCode::CREATED, "{}", forked.text());
}

#[tokio::test]
async fn a_foreign_file_is_imported_and_its_errors_name_the_field() {
    let site = TestSite::new();
    let import = async |body: Value| {
        site.ask(Method::POST, "/api/checkpoints/import", Some(body))
            .await
    };
    let wrong = import(json!({"file": "/no/such.pt", "name": "a/b", "model": "RN51"})).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let fields: Vec<Value> = wrong.json()["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|e| e["field"].clone())
        .collect();
    assert_eq!(fields, ["file", "name", "model"]);
    let file = golden("vit_checkpoint_ddp.pt");
    let begun = import(json!({"file": file, "name": "reference"})).await;
    assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.text());
    assert_eq!(begun.json()["id"], "@reference");
    let work = ended_work(&site).await;
    assert_eq!(work["state"], "done", "{work}");
    let detail = site.get("/api/checkpoints/@reference").await.json();
    assert_eq!(detail["source"]["parameters"], 168_482);
    let page = site.get("/checkpoints/@reference").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("/runs/new?model="), "{}", page.text());
    let again = import(json!({"file": file, "name": "reference"})).await;
    assert!(
        again.text().contains("choose another name"),
        "{}",
        again.text()
    );
    let other = import(json!({"file": file, "name": "other", "model": "RN50"})).await;
    assert_eq!(other.status, StatusCode::ACCEPTED, "{}", other.text());
    assert_eq!(ended_work(&site).await["field"], "model");
}

#[tokio::test]
async fn an_export_is_written_and_downloaded() {
    let site = TestSite::new();
    let (run, _) = run_with_checkpoint(&site).await;
    let api = format!("/api/checkpoints/{run}@2/export");
    assert_eq!(
        site.get(&format!("{api}/README.md")).await.status,
        StatusCode::NOT_FOUND
    );
    site.post(&api).await;
    let work = ended_work(&site).await;
    assert_eq!(work["state"], "done", "{work}");
    let weights = site
        .get(&format!("{api}/open_clip_model.safetensors"))
        .await;
    assert_eq!(weights.status, StatusCode::OK);
    let header = u64::from_le_bytes(weights.body[..8].try_into().expect("eight bytes"));
    let header: Value =
        serde_json::from_slice(&weights.body[8..8 + header as usize]).expect("json");
    assert!(
        header.get("visual.conv1.weight").is_some(),
        "OpenCLIP's names"
    );
    assert!(
        header
            .as_object()
            .expect("names")
            .keys()
            .all(|name| !name.contains("projection_head"))
    );
    let path = site.get(&format!("{api}/..%2F..%2Fserve.lock")).await;
    assert_eq!(path.status, StatusCode::NOT_FOUND);
    let page = site.get(&format!("/checkpoints/{run}@2")).await.text();
    assert!(page.contains("open_clip_model.safetensors"), "{page}");
}

#[tokio::test]
async fn ids_that_name_nothing_are_refused() {
    let site = TestSite::new();
    for id in ["x", "x@y", "x@1", "@nobody", "@..", "@%2Fetc", "%00@1"] {
        for path in [
            format!("/api/checkpoints/{id}"),
            format!("/checkpoints/{id}"),
        ] {
            let answer = site.get(&path).await;
            assert_eq!(
                answer.status,
                StatusCode::NOT_FOUND,
                "{path}: {}",
                answer.text()
            );
        }
    }
    assert_eq!(site.get("/api/work/7").await.status, StatusCode::NOT_FOUND);
    let cancel = site.ask(Method::DELETE, "/api/work/7", None).await;
    assert_eq!(cancel.status, StatusCode::NOT_FOUND);
}

#[test]
fn an_import_and_an_export_can_be_cancelled_at_any_point_and_leave_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let source = golden("vit_checkpoint_ddp.pt");
    let imported = folder.path().join("model");
    let exported = folder.path().join("export");
    // A watch that says no the given number of words later.
    let calls = std::cell::Cell::new(0);
    let until = |last: usize| {
        calls.set(0);
        let calls = &calls;
        move |_: &str, _: u64, _: u64| {
            calls.set(calls.get() + 1);
            calls.get() <= last
        }
    };
    let names = || std::fs::read_dir(folder.path()).expect("lists").count();
    let import = |last| {
        let options = ImportOptions::default();
        import_watched(&source, &options, &imported, &until(last))
    };
    import(usize::MAX).expect("imports");
    let words = calls.get();
    assert!(words >= 5, "it asks often: {words}");
    std::fs::remove_dir_all(&imported).expect("removes");
    for last in 0..words {
        let cancelled = import(last).expect_err("cancelled");
        assert!(
            matches!(cancelled, ImportError::Cancelled),
            "{last}: {cancelled}"
        );
        assert_eq!(names(), 0, "{last}: nothing is left");
    }
    import(usize::MAX).expect("imports");
    let export = |last| {
        let options = ExportOptions::default();
        export_watched(&imported, &exported, &options, &until(last))
    };
    export(usize::MAX).expect("exports");
    let words = calls.get();
    assert!(words >= 4, "it asks often: {words}");
    std::fs::remove_dir_all(&exported).expect("removes");
    for last in 0..words {
        let cancelled = export(last).expect_err("cancelled");
        assert!(
            matches!(cancelled, ExportError::Cancelled),
            "{last}: {cancelled}"
        );
        assert_eq!(names(), 1, "{last}: only the import is left");
    }
}

#[tokio::test]
async fn a_fork_goes_on_with_other_settings() {
    let site = TestSite::new();
    let (run, _) = run_with_checkpoint(&site).await;
    let fork = async |settings: Value| {
        let body = Some(json!({"step": 2, "settings": settings}));
        site.ask(Method::POST, &format!("/api/runs/{run}/fork"), body)
            .await
    };
    let refused = fork(json!({"batch_size": 7, "optimizer.learning_rate": 0.001})).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let error = &refused.json()["errors"][0];
    assert_eq!(error["field"], "batch_size", "{error}");
    let settings = json!({"optimizer.learning_rate": 0.001, "prototypes.count": 9, "learning_rate_factor": 0.5});
    let forked = fork(settings).await;
    assert_eq!(forked.status, StatusCode::CREATED, "{}", forked.text());
    let id = forked.json()["id"].as_str().expect("an id").to_owned();
    let config = site.get(&format!("/api/runs/{id}/config")).await.json();
    assert_eq!(config["optimizer"]["learning_rate"], 0.001);
    assert_eq!(config["prototypes"]["count"], 9);
    let view = site.get(&format!("/api/runs/{id}")).await.json();
    assert_eq!(view["controls"]["learning_rate_factor"], 0.5, "{view}");
    assert_eq!(view["forked_from"]["settings"]["prototypes.count"], 9);
    let log = site.get(&format!("/api/runs/{id}/log")).await.text();
    assert!(log.contains("optimizer.learning_rate = 0.001"), "{log}");
    let page = site.get(&format!("/checkpoints/{run}@2")).await.text();
    assert!(page.contains("name=\"optimizer.weight_decay\""), "{page}");
    let body = "name=typed&episodes=&loss.proto=0.25&seed=";
    let answer = site
        .submit(&format!("/checkpoints/{run}@2/fork"), body)
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    let runs = site.studio.runs();
    let typed = runs.iter().find(|run| run.name == "typed").expect("forked");
    assert_eq!(typed.controls.proto_weight, 0.25);
}

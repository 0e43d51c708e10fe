//! Steering with a way back: a checkpoint before each change, undo, and forks without a change.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use protoclip_studio::studio::{LineKind, RunId, RunState};
use serde_json::{Value, json};

use crate::support::scripted_runner::Action;
use crate::support::test_site::{Answer, HOST, TestSite};

async fn steer(site: &TestSite, id: &RunId, change: Value) {
    let path = format!("/api/runs/{id}/controls");
    let answer = site.ask(Method::PATCH, &path, Some(change)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
}

async fn changes(site: &TestSite, id: &RunId) -> Vec<Value> {
    let list = site.get(&format!("/api/runs/{id}/changes")).await.json();
    list.as_array().expect("a list").clone()
}

async fn act(site: &TestSite, id: &RunId, change: &str, action: &str) -> Answer {
    site.post(&format!("/api/runs/{id}/changes/{change}/{action}"))
        .await
}

/// A run whose prototype weight was changed from 1 to 0.5 at its third step.
async fn steered(site: &TestSite) -> RunId {
    let id = site.running().await;
    site.runner.steps(2);
    steer(site, &id, json!({"proto_weight": 0.5})).await;
    site.runner.steps(1);
    id
}

const CHANGE: &str = "3/proto_weight";

#[tokio::test]
async fn a_change_is_listed_with_its_checkpoint_and_undone_as_a_new_change() {
    let site = TestSite::new();
    let id = steered(&site).await;
    let first = changes(&site, &id).await.remove(0);
    assert_eq!(
        (
            &first["step"],
            &first["field"],
            &first["from"],
            &first["to"]
        ),
        (&json!(3), &json!("proto_weight"), &json!(1.0), &json!(0.5))
    );
    assert_eq!(first["checkpoint_step"], 2, "saved before it applied");
    assert_eq!(
        (&first["can_undo"], &first["forks"]),
        (&json!(true), &json!([]))
    );

    let undone = act(&site, &id, CHANGE, "undo").await;
    assert_eq!(undone.status, StatusCode::ACCEPTED, "{}", undone.text());
    assert_eq!(undone.json(), json!({"applies_at": {"step": 4}}));
    let again = act(&site, &id, CHANGE, "undo").await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.text().contains("nothing to undo"), "{}", again.text());
    site.runner.steps(1);
    let controls = site.studio.run(&id).expect("exists").controls;
    assert_eq!(controls.proto_weight, 1.0);
    let all = changes(&site, &id).await;
    let undo: Vec<&Value> = all.iter().map(|change| &change["can_undo"]).collect();
    assert_eq!(
        undo,
        [&json!(false), &json!(true)],
        "the undo can be undone"
    );
    let log = site.studio.log(&id, 0, 100).expect("reads");
    let asked = log.iter().rfind(|l| l.kind == LineKind::ControlAccepted);
    let asked = asked.expect("logged");
    assert_eq!(
        asked.data["undoes"],
        json!({"step": 3, "field": "proto_weight"})
    );
}

#[tokio::test]
async fn a_fork_without_a_change_starts_before_it_with_the_old_value() {
    let site = TestSite::new();
    let id = steered(&site).await;
    site.runner.act(Action::Finish);
    site.wait_for_state(&id, RunState::Finished).await;
    let undone = act(&site, &id, CHANGE, "undo").await;
    assert_eq!(
        undone.status,
        StatusCode::CONFLICT,
        "a finished run cannot be steered"
    );

    let forked = act(&site, &id, CHANGE, "fork").await;
    assert_eq!(forked.status, StatusCode::CREATED, "{}", forked.text());
    let fork = RunId::from(forked.json()["id"].as_str().expect("an id"));
    let run = site.wait_for(&fork, |run| run.device == "script").await;
    assert_eq!((run.step, run.controls.proto_weight), (2, 1.0));
    let origin = run.forked_from.expect("forked");
    assert_eq!((origin.run, origin.step), (id.clone(), 2));
    assert_eq!(origin.without.expect("without").to, 0.5);
    site.runner.steps(2);
    assert_eq!(changes(&site, &fork).await, [] as [Value; 0]);
    let log = site.studio.log(&fork, 0, 100).expect("reads");
    let line = log
        .iter()
        .find(|l| l.message.contains("without the change"));
    let line = &line.expect("logged").message;
    assert!(
        line.contains("proto_weight at step 3: it stays 1"),
        "{line}"
    );

    assert_eq!(
        changes(&site, &id).await[0]["forks"],
        json!([fork.as_str()])
    );
    let difference = format!("/compare?runs={fork},{id}&of=difference");
    let linked = difference.replace('&', "&#38;");
    for page in [
        format!("/runs/{id}"),
        format!("/runs/{id}/changes"),
        format!("/runs/{fork}"),
    ] {
        let html = site.get(&page).await.text();
        assert!(
            html.contains(&linked),
            "{page} links the difference: {html}"
        );
    }
    assert_eq!(site.get(&difference).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_fork_stopped_before_its_own_checkpoint_is_still_without_the_change() {
    let site = TestSite::new();
    let id = steered(&site).await;
    let forked = act(&site, &id, CHANGE, "fork").await.json();
    let fork = RunId::from(forked["id"].as_str().expect("an id"));
    let stop = format!("/api/runs/{fork}/stop");
    assert_eq!(site.post(&stop).await.status, StatusCode::ACCEPTED);
    site.wait_for_state(&fork, RunState::Stopped).await;
    let site = TestSite::over(site.end());
    let resume = format!("/api/runs/{fork}/resume");
    assert_eq!(site.post(&resume).await.status, StatusCode::ACCEPTED);
    let run = site.wait_for(&fork, |run| run.device == "script").await;
    assert_eq!((run.step, run.controls.proto_weight), (2, 1.0));
}

#[tokio::test]
async fn a_change_that_is_not_there_is_named() {
    let site = TestSite::new();
    let id = steered(&site).await;
    for (change, wanted) in [
        ("9/proto_weight", "no change of proto_weight at step 9"),
        ("3/seed", "no change of seed"),
        ("x/proto_weight", "number of its step"),
    ] {
        for action in ["undo", "fork"] {
            let answer = act(&site, &id, change, action).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{change}");
            assert!(answer.text().contains(wanted), "{}", answer.text());
        }
    }
    let gone = site
        .folder
        .path()
        .join(format!("runs/{id}/checkpoints/00000002"));
    std::fs::remove_dir_all(gone).expect("removes");
    let answer = act(&site, &id, CHANGE, "fork").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.text().contains("no checkpoint"), "{}", answer.text());
}

#[tokio::test]
async fn the_buttons_of_a_change_work_without_script() {
    let site = TestSite::new();
    let id = steered(&site).await;
    let log = site.get(&format!("/runs/{id}/log")).await.text();
    let post = async |action: &str| {
        let path = format!("/runs/{id}/changes/{CHANGE}/{action}");
        assert!(log.contains(&format!("action=\"{path}\"")), "{log}");
        let request = Request::post(path)
            .header("host", HOST)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::empty());
        let answer = site.send(request.expect("a request")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
        answer.header("location").to_owned()
    };
    assert_eq!(post("undo").await, format!("/runs/{id}"));
    assert_ne!(post("fork").await, format!("/runs/{id}"));
    assert_eq!(site.studio.runs().len(), 2);
}

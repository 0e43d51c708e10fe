//! The life of runs: queue, train, pause, resume, stop, fail, end, come back.

use axum::http::StatusCode;
use protoclip_studio::studio::{LineKind, RunId, RunState};
use serde_json::json;

use crate::support::scripted_runner::Action;
use crate::support::test_site::TestSite;

async fn ask(site: &TestSite, id: &RunId, what: &str) -> StatusCode {
    site.post(&format!("/api/runs/{id}/{what}")).await.status
}

#[tokio::test]
async fn a_run_is_queued_trained_paused_resumed_and_stopped() {
    let site = TestSite::new();
    let id = site.running().await;
    site.runner.steps(3);
    assert_eq!(ask(&site, &id, "resume").await, StatusCode::CONFLICT);
    assert_eq!(ask(&site, &id, "pause").await, StatusCode::ACCEPTED);
    site.wait_for_state(&id, RunState::Paused).await;
    assert_eq!(ask(&site, &id, "pause").await, StatusCode::CONFLICT);
    assert_eq!(
        site.steps(&id),
        [1, 2, 3],
        "a pause stores what came before it"
    );
    assert_eq!(ask(&site, &id, "checkpoint").await, StatusCode::ACCEPTED);
    site.wait_for(&id, |run| run.checkpoint_step == Some(3))
        .await;
    assert_eq!(ask(&site, &id, "resume").await, StatusCode::ACCEPTED);
    site.wait_for_state(&id, RunState::Running).await;
    site.runner.steps(2);
    assert_eq!(ask(&site, &id, "stop").await, StatusCode::ACCEPTED);
    let stopped = site.wait_for_state(&id, RunState::Stopped).await;
    assert_eq!((stopped.step, stopped.checkpoint_step), (5, Some(5)));
    assert_eq!(ask(&site, &id, "stop").await, StatusCode::CONFLICT);
    assert_eq!(site.steps(&id), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_second_run_waits_for_its_turn_and_can_leave_the_queue() {
    let site = TestSite::new();
    let first = site.running().await;
    let (second, third) = (site.create().await, site.create().await);
    let place = |id| site.studio.run(id).expect("exists").queue_position;
    assert_eq!((place(&second), place(&third)), (Some(1), Some(2)));
    assert_eq!(ask(&site, &second, "pause").await, StatusCode::CONFLICT);
    assert_eq!(ask(&site, &second, "stop").await, StatusCode::ACCEPTED);
    site.wait_for_state(&second, RunState::Stopped).await;
    assert_eq!(place(&third), Some(1));
    site.runner.act(Action::Finish);
    site.wait_for_state(&first, RunState::Finished).await;
    site.wait_for(&third, |run| run.device == "script").await;
    assert_eq!(ask(&site, &first, "resume").await, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_stopped_run_goes_on_from_its_checkpoint_without_gap_or_duplicate() {
    let site = TestSite::new();
    let id = site.running().await;
    site.runner.steps(4);
    site.runner.act(Action::Checkpoint);
    site.runner.steps(3);
    site.runner
        .act(Action::Fail("the loss became NaN at step 7"));
    let failed = site.wait_for_state(&id, RunState::Failed).await;
    assert_eq!(
        failed.reason.as_deref(),
        Some("the loss became NaN at step 7")
    );
    assert_eq!(site.steps(&id), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(ask(&site, &id, "resume").await, StatusCode::ACCEPTED);
    site.wait_for(&id, |run| run.state == RunState::Running && run.step == 4)
        .await;
    assert_eq!(site.steps(&id), [1, 2, 3, 4]);
    site.runner.steps(2);
    site.runner.act(Action::Finish);
    site.wait_for_state(&id, RunState::Finished).await;
    assert_eq!(site.steps(&id), [1, 2, 3, 4, 5, 6]);
    let log = site.studio.log(&id, 0, 1000).expect("reads");
    assert!(
        log.iter().all(|line| !line.message.contains("NaN")),
        "{log:?}"
    );
    assert!(
        log.iter().any(|line| line.message.contains("step 4")),
        "{log:?}"
    );
}

#[tokio::test]
async fn a_panic_of_training_fails_the_run_and_nothing_else() {
    let site = TestSite::new();
    let (first, second) = (site.running().await, site.create().await);
    site.runner.act(Action::Panic("index out of bounds"));
    let failed = site.wait_for_state(&first, RunState::Failed).await;
    let reason = failed.reason.expect("a reason");
    assert!(reason.contains("index out of bounds"), "{reason}");
    site.wait_for(&second, |run| run.device == "script").await;
    assert_eq!(site.runner.act(Action::Step(1.0)), 1);
}

#[tokio::test]
async fn ending_the_program_interrupts_runs_and_a_restart_resumes_them() {
    let site = TestSite::new();
    let (training, waiting) = (site.running().await, site.create().await);
    site.runner.steps(3);
    let folder = site.end();
    let site = TestSite::over(folder);
    let run = site.studio.run(&training).expect("listed");
    assert_eq!((run.state, run.step), (RunState::Interrupted, 3));
    assert!(run.reason.expect("a reason").contains("resume"));
    let run = site.studio.run(&waiting).expect("listed");
    assert_eq!(run.state, RunState::Interrupted);
    assert_eq!(ask(&site, &training, "resume").await, StatusCode::ACCEPTED);
    site.wait_for(&training, |run| run.device == "script").await;
    site.runner.act(Action::Step(1.0));
    site.runner.act(Action::Finish);
    site.wait_for_state(&training, RunState::Finished).await;
}

#[tokio::test]
async fn steering_is_accepted_with_its_time_logged_and_kept_over_a_restart() {
    let site = TestSite::new();
    let id = site.running().await;
    site.runner.steps(2);
    let path = format!("/api/runs/{id}/controls");
    let change = json!({"prototype_count": 256, "external_weight": 0.25});
    let answer = site
        .ask(axum::http::Method::PATCH, &path, Some(change))
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    let applies_at = &answer.json()["applies_at"];
    assert!(
        applies_at["episode"].is_u64() && applies_at["step"].is_u64(),
        "{applies_at}"
    );
    let run = site.studio.run(&id).expect("exists");
    assert_eq!(run.controls.prototype_count, 256);
    let log = site.studio.log(&id, 0, 1000).expect("reads");
    let accepted = log
        .iter()
        .find(|line| line.kind == LineKind::ControlAccepted);
    let accepted = accepted.expect("logged");
    assert!(
        accepted.message.contains("prototype_count to 256"),
        "{accepted:?}"
    );

    let wrong = json!({"target_temperature": -1.0});
    let answer = site
        .ask(axum::http::Method::PATCH, &path, Some(wrong))
        .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.json()["errors"][0]["field"], "target_temperature");

    let site = TestSite::over(site.end());
    assert_eq!(ask(&site, &id, "resume").await, StatusCode::ACCEPTED);
    let run = site
        .wait_for(&id, |run| run.state == RunState::Running)
        .await;
    assert_eq!(run.controls.external_weight, 0.25);
}

#[tokio::test]
async fn a_fork_goes_on_from_a_checkpoint_with_the_history_before_it() {
    let site = TestSite::new();
    let id = site.running().await;
    let fork = async |body: serde_json::Value| {
        let path = format!("/api/runs/{id}/fork");
        site.ask(axum::http::Method::POST, &path, Some(body)).await
    };
    let early = fork(json!({})).await;
    assert_eq!(early.status, StatusCode::CONFLICT, "no checkpoint yet");
    site.runner.steps(2);
    site.runner.act(Action::Checkpoint);
    site.runner.steps(2);
    site.runner.act(Action::Checkpoint);
    site.runner.act(Action::Finish);
    site.wait_for_state(&id, RunState::Finished).await;
    let wrong = fork(json!({"step": 3})).await;
    assert_eq!(wrong.status, StatusCode::CONFLICT);
    assert!(wrong.text().contains("2, 4"), "{}", wrong.text());
    let answer = fork(json!({"step": 2, "name": "other life", "episodes": 12})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let forked = RunId::from(answer.json()["id"].as_str().expect("an id"));
    site.wait_for(&forked, |run| run.device == "script").await;
    assert_eq!(site.steps(&forked), [1, 2]);
    assert_eq!(
        site.runner.act(Action::Step(1.0)),
        3,
        "it begins after the checkpoint"
    );
    site.runner.act(Action::Finish);
    let run = site.wait_for_state(&forked, RunState::Finished).await;
    assert_eq!(run.name, "other life");
    let origin = run.forked_from.expect("an origin");
    assert_eq!((origin.run, origin.step), (id.clone(), 2));
    assert_eq!(site.steps(&forked), [1, 2, 3]);
    assert_eq!(site.steps(&id), [1, 2, 3, 4], "the origin stays as it was");
}

#[tokio::test]
async fn a_run_that_another_process_trains_is_shown_and_left_alone() {
    let site = TestSite::new();
    let id = site.running().await;
    site.runner.steps(2);
    let folder = site.end();
    let data_dir = protoclip_studio::studio::DataDir::open(folder.path()).expect("opens");
    let run = data_dir.run(&id);
    let lock = run.lock().expect("locks").expect("free");
    let (snapshot, _) = {
        let store = protoclip_studio::studio::RunStore::read(&run.database()).expect("opens");
        (store.snapshot().expect("reads").expect("stored"), ())
    };
    let (mut recorder, _) =
        protoclip_studio::studio::Recorder::begin(&run, &snapshot, None).expect("begins");

    let site = TestSite::over(folder);
    let shown = site.studio.run(&id).expect("listed");
    assert_eq!((shown.state, shown.external), (RunState::Running, true));
    assert_eq!(ask(&site, &id, "stop").await, StatusCode::CONFLICT);
    recorder
        .event(protoclip::train::TrainEvent::Points {
            step: 1,
            points: vec![("train/loss_total".into(), 1.5)],
        })
        .expect("takes");
    recorder.end(RunState::Stopped, None).expect("ends");
    drop((recorder, lock));
    let shown = site.wait_for_state(&id, RunState::Stopped).await;
    assert_eq!((shown.step, shown.external), (1, false));
    assert_eq!(shown.latest["train/loss_total"], 1.5);
}

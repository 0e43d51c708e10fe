//! Runs side by side: the page, the curves of several runs, their differences and their groupings.

use axum::http::{Method, StatusCode};
use protoclip::train::tag;
use protoclip_studio::studio::{RunId, RunState};
use serde_json::json;

use crate::support::scripted_runner::Action;
use crate::support::snapshot_fixture::write_snapshot;
use crate::support::test_site::TestSite;

/// A finished run with these total losses from step 1 on.
async fn finished(site: &TestSite, config: serde_json::Value, losses: &[f64]) -> RunId {
    let answer = site.ask(Method::POST, "/api/runs", Some(config)).await;
    let id = RunId::from(answer.json()["id"].as_str().expect("an id"));
    for loss in losses {
        site.runner.act(Action::Step(*loss));
    }
    end(site, &id).await;
    id
}

async fn end(site: &TestSite, id: &RunId) {
    site.runner.act(Action::Finish);
    site.wait_for_state(id, RunState::Finished).await;
}

/// A run that saved a checkpoint at step 2, and its fork, whose later losses are one higher.
async fn origin_and_fork(site: &TestSite) -> (RunId, RunId) {
    let origin = site.running().await;
    for loss in [5.0, 4.0] {
        site.runner.act(Action::Step(loss));
    }
    site.runner.act(Action::Checkpoint);
    for loss in [3.0, 2.0] {
        site.runner.act(Action::Step(loss));
    }
    end(site, &origin).await;
    let path = format!("/api/runs/{origin}/fork");
    let answer = site
        .ask(Method::POST, &path, Some(json!({"name": "the fork"})))
        .await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let fork = RunId::from(answer.json()["id"].as_str().expect("an id"));
    for loss in [4.0, 3.0] {
        site.runner.act(Action::Step(loss));
    }
    end(site, &fork).await;
    (origin, fork)
}

#[tokio::test]
async fn curves_of_several_runs_share_an_axis() {
    let site = TestSite::new();
    let small = finished(&site, json!({"batch_size": 32}), &[3.0, 2.0]).await;
    let large = finished(&site, json!({"batch_size": 64}), &[4.0]).await;
    let path = format!("/api/compare/series?runs={small},{large}&tag=train/loss_total");
    let steps = site.get(&path).await.json();
    assert_eq!(
        steps["runs"][0]["points"],
        json!([[1.0, 3.0, 3.0, 3.0], [2.0, 2.0, 2.0, 2.0]])
    );
    assert_eq!(steps["runs"][1]["run"], large.as_str());
    let samples = site.get(&format!("{path}&axis=samples")).await.json();
    assert_eq!(samples["runs"][0]["points"][1][0], 64.0);
    assert_eq!(samples["runs"][1]["points"][0][0], 64.0);
    let time = site.get(&format!("{path}&axis=time")).await.json();
    let seconds = |place: usize| {
        time["runs"][0]["points"][place][0]
            .as_f64()
            .expect("seconds")
    };
    assert!(0.0 <= seconds(0) && seconds(0) <= seconds(1), "{time}");
    let csv = site.get(&path.replace("series?", "series.csv?")).await;
    assert_eq!(csv.text(), format!("step,{small},{large}\n1,3,4\n2,2,\n"));
}

#[tokio::test]
async fn a_fork_differs_from_its_origin_only_after_the_fork() {
    let site = TestSite::new();
    let (origin, fork) = origin_and_fork(&site).await;
    let path = format!("/api/compare/series.csv?runs={origin},{fork}&tag=train/loss_total");
    let values = site.get(&path).await.text();
    assert_eq!(
        values,
        format!("step,{origin},{fork}\n1,5,5\n2,4,4\n3,3,4\n4,2,3\n")
    );
    let difference = site.get(&format!("{path}&of=difference")).await.text();
    assert_eq!(difference, format!("step,{fork}\n2,0\n3,1\n4,1\n"));
    let page = site
        .get(&format!("/compare?runs={origin},{fork}&of=difference"))
        .await
        .text();
    assert!(page.contains("the fork from step 2 on"), "{page}");
    assert!(
        page.contains("at step 2"),
        "the fork says where it comes from"
    );
    let head = site.get(&format!("/runs/{fork}")).await.text();
    assert!(
        head.contains(&format!("/compare?runs={origin},{fork}")),
        "{head}"
    );
}

#[tokio::test]
async fn the_page_shows_what_differs_what_is_best_and_how_alike_the_groups_are() {
    let site = TestSite::new();
    let mut ids = Vec::new();
    for (count, ari) in [(8, 20.0), (9, 30.5)] {
        let config = json!({"name": format!("K {count}"), "prototypes": {"count": count}});
        let answer = site.ask(Method::POST, "/api/runs", Some(config)).await;
        let id = RunId::from(answer.json()["id"].as_str().expect("an id"));
        site.runner.steps(2);
        site.runner
            .act(Action::Evaluate(vec![(tag::EVAL_ARI, ari)]));
        let directory = site.folder.path().join("runs").join(id.as_str());
        write_snapshot(&directory, 2, [0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 1]);
        end(&site, &id).await;
        ids.push(id);
    }
    let [a, b] = &ids[..] else { panic!("two runs") };
    let page = site.get(&format!("/compare?runs={a},{b}")).await;
    let text = page.text();
    assert_eq!(page.status, StatusCode::OK, "{text}");
    assert!(
        text.contains("prototypes.count") && !text.contains("<code>batch_size"),
        "{text}"
    );
    assert_eq!(text.matches("class=\"mark\"").count(), 1, "one best value");
    assert!(text.contains("+10.50"), "the difference to the first run");
    assert!(text.contains("2 of 2 (100 %)"), "equal groups all match");
    assert!(text.contains("data-chart"), "the shared curve has a chart");
    let matching = site
        .get(&format!("/api/compare/prototypes?runs={a},{b}"))
        .await
        .json();
    assert_eq!(matching["spaces"][0]["ami"], 1.0);
    assert_eq!(matching["spaces"][0]["samples"], 12);
}

#[tokio::test]
async fn what_cannot_be_compared_is_refused_or_asked_for() {
    let site = TestSite::new();
    let id = finished(&site, json!({}), &[1.0]).await;
    let other = finished(&site, json!({}), &[1.0]).await;
    let pick = site.get(&format!("/compare?runs={id}")).await;
    assert_eq!(pick.status, StatusCode::OK);
    assert!(
        pick.text()
            .contains(&format!("value=\"{id}\" id=\"pick-{id}\" checked"))
    );
    let form = site.get(&format!("/compare?runs={id}&runs={other}")).await;
    assert_eq!(form.status, StatusCode::SEE_OTHER);
    assert_eq!(
        form.header("location"),
        format!("/compare?runs={id},{other}")
    );
    let unknown = site.get(&format!("/compare?runs={id},nobody")).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let one = site
        .get(&format!(
            "/api/compare/series?runs={id}&tag=train/loss_total"
        ))
        .await;
    assert_eq!(one.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(one.json()["errors"][0]["field"], "runs");
    let none = site
        .get(&format!("/api/compare/prototypes?runs={id},{other}"))
        .await;
    assert_eq!(none.status, StatusCode::NOT_FOUND, "no prototypes yet");
}

//! The pages without a browser: what they answer, that they obey the content policy, and that every
//! form works without script.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use protoclip::train::tag;
use protoclip_studio::studio::{RunId, RunState};
use serde_json::json;

use crate::support::scripted_runner::Action;
use crate::support::snapshot_fixture::write_snapshot;
use crate::support::test_site::{HOST, TestSite};

/// A name that would run if any template forgot to escape it.
const HOSTILE: &str = r#"<img src=x onerror=alert(1)>"' & more"#;

/// A finished run with curves and prototypes, whose name is hostile.
async fn finished_run(site: &TestSite) -> RunId {
    let body = json!({"name": HOSTILE});
    let answer = site.ask(Method::POST, "/api/runs", Some(body)).await;
    let id = RunId::from(answer.json()["id"].as_str().expect("an id"));
    site.runner.steps(3);
    let directory = site.folder.path().join("runs").join(id.as_str());
    write_snapshot(&directory, 3, [0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 1]);
    site.runner.act(Action::Finish);
    site.wait_for_state(&id, RunState::Finished).await;
    id
}

fn pages_of(id: &RunId) -> Vec<String> {
    let run = format!("/runs/{id}");
    [
        "/",
        "/runs",
        "/runs?q=img&state=finished&sort=-step",
        "/runs/new",
        "/compare",
        "/checkpoints",
        "/datasets",
        "/learn",
        "/notebooks",
        "/settings",
        "/datasets/builtin?q=fox",
        "/checkpoints?q=a&kind=pinned",
        "/fragments/work",
        "/fragments/active-runs",
        "/fragments/runs",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain(
        [
            "",
            "/head",
            "/prototypes",
            "/prototypes?space=text&sort=tightness&q=a",
            "/prototypes?health=dead",
            "/prototypes/0",
            "/prototypes/2",
            "/space",
            "/space?view=joint&method=pca&step=8",
            "/prototypes/disagreement",
            "/prototypes/over-time",
            "/prototypes/over-time?space=text&step=3",
            "/prototypes/groups",
            "/prototypes/groups?space=text&cut=1",
            "/evaluate",
            "/evaluate/tables",
            "/gap",
            "/batch",
            "/config",
            "/log",
            "/log?kind=state",
        ]
        .map(|rest| format!("{run}{rest}")),
    )
    .chain([format!("/runs/new?from={id}")])
    .collect()
}

#[tokio::test]
async fn every_page_answers_and_obeys_the_content_policy() {
    let site = TestSite::new();
    let id = finished_run(&site).await;
    for path in pages_of(&id) {
        let answer = site.get(&path).await;
        let text = answer.text();
        assert_eq!(answer.status, StatusCode::OK, "{path}: {text}");
        assert!(
            answer.header("content-type").starts_with("text/html"),
            "{path}"
        );
        for forbidden in [" style=", " onclick=", "javascript:", "<style"] {
            assert!(!text.contains(forbidden), "{path} has {forbidden}");
        }
        for script in text.split("<script").skip(1) {
            let harmless = script.starts_with(" src=\"/static/")
                || script.starts_with(" type=\"application/json\"");
            assert!(harmless, "{path} has an inline script");
        }
    }
}

#[tokio::test]
async fn a_hostile_name_is_text_on_every_page() {
    let site = TestSite::new();
    let id = finished_run(&site).await;
    for path in pages_of(&id) {
        let text = site.get(&path).await.text();
        assert!(!text.contains("<img src=x"), "{path} does not escape");
    }
    let live = site.get(&format!("/runs/{id}")).await.text();
    assert!(live.contains("&#60;img src=x"), "the name is shown");
}

#[tokio::test]
async fn a_run_without_evaluation_says_what_to_do() {
    let site = TestSite::new();
    let id = finished_run(&site).await;
    let text = site.get(&format!("/runs/{id}/evaluate")).await.text();
    assert!(text.contains("Nothing was measured"), "{text}");
    assert!(text.contains(&format!("protoclip-studio evaluate {id}")));
    assert!(!text.contains("measure-table"), "no empty table");
}

#[tokio::test]
async fn the_evaluate_tab_shows_newest_first_and_best_values() {
    let site = TestSite::new();
    let answer = site.ask(Method::POST, "/api/runs", Some(json!({}))).await;
    let id = RunId::from(answer.json()["id"].as_str().expect("an id"));
    for (ari, davies_bouldin) in [(4.0, 9.0), (31.256, 2.5), (20.5, 3.25)] {
        site.runner.steps(1);
        site.runner.act(Action::Evaluate(vec![
            (tag::EVAL_ARI, ari),
            (tag::EVAL_DAVIES_BOULDIN, davies_bouldin),
        ]));
    }
    site.runner.act(Action::Finish);
    site.wait_for_state(&id, RunState::Finished).await;
    let text = site.get(&format!("/runs/{id}/evaluate")).await.text();
    let cells = |name: &str| -> Vec<String> {
        let row = text
            .split("<tr>")
            .find(|row| row.contains(&format!(">{name} <")));
        let row = row.unwrap_or_else(|| panic!("{name} is not in {text}"));
        let cells = row.split("<td").skip(1).take(4);
        let cell = |cell: &str| Some(cell.split_once('>')?.1.split_once('<')?.0.to_owned());
        cells.filter_map(cell).collect()
    };
    assert_eq!(cells("ARI"), ["20.50", "4.00", "31.26", "2"]);
    assert_eq!(cells("Davies–Bouldin"), ["3.25", "9", "2.5", "2"]);
    assert!(
        text.contains("Step 3, on the samples of the episode"),
        "{text}"
    );
    assert!(text.contains("data-chart"), "curves of what was measured");
    assert!(
        text.contains("not measured"),
        "groups without values say so"
    );
}

#[tokio::test]
async fn files_that_a_page_names_exist_and_may_be_kept_for_ever() {
    let site = TestSite::new();
    let home = site.get("/").await.text();
    let named: Vec<&str> = home
        .split(['"', '#'])
        .filter(|part| part.starts_with("/static/"))
        .collect();
    assert!(named.len() >= 3, "{named:?}");
    for path in named {
        let answer = site.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(
            answer.header("cache-control").contains("immutable"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn prototypes_show_pictures_words_and_what_is_empty() {
    let site = TestSite::new();
    let id = finished_run(&site).await;
    let grid = site.get(&format!("/runs/{id}/prototypes")).await.text();
    assert!(
        grid.contains("3 prototypes of 12 samples, 1 empty"),
        "{grid}"
    );
    assert_eq!(grid.matches("class=\"proto-card").count(), 3);
    let picture = grid
        .split('"')
        .find(|part| part.starts_with("/api/datasets/"))
        .expect("a picture")
        .replace("&#38;", "&");
    assert_eq!(site.get(&picture).await.status, StatusCode::OK, "{picture}");
    let none = site
        .get(&format!("/runs/{id}/prototypes?q=no%20such%20caption"))
        .await;
    assert!(none.text().contains("No prototype matches"));
}

#[tokio::test]
async fn absent_things_have_pages_of_their_own() {
    let site = TestSite::new();
    let id = site.create().await;
    let waiting = site.get(&format!("/runs/{id}/prototypes")).await;
    assert_eq!(waiting.status, StatusCode::OK);
    assert!(waiting.text().contains("No prototypes yet"));
    for path in ["/no/such/page", "/runs/none", "/runs/none/log"] {
        let answer = site.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(
            answer.header("content-type").starts_with("text/html"),
            "{path}"
        );
    }
    let api = site.get("/api/no/such").await;
    assert_eq!(api.status, StatusCode::NOT_FOUND);
    assert!(api.json()["error"].is_string());
}

#[tokio::test]
async fn a_form_comes_back_with_its_errors_or_leads_to_its_run() {
    let site = TestSite::new();
    let wrong = "preset=protoclip&batch_size=1&episodes=7&name=kept";
    let answer = site.submit("/runs/new", wrong).await;
    let text = answer.text();
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(text.contains("must lie in 2..="), "the error is shown");
    assert!(text.contains("value=\"kept\""), "what was typed stays");
    assert!(site.studio.runs().is_empty());
    let answer = site
        .submit("/runs/new", "preset=protoclip&episodes=7&batch_size=")
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let run = &site.studio.runs()[0];
    assert_eq!(answer.header("location"), format!("/runs/{}", run.id));
    // What the scripted runner reports once it starts is another number.
    let config = site.studio.config(&run.id).expect("its settings");
    assert_eq!(config.episodes, 7);
}

#[tokio::test]
async fn buttons_work_without_script() {
    let site = TestSite::new();
    let id = site.running().await;
    let act = |action: &str| format!("/runs/{id}/{action}");
    for (action, state) in [("pause", RunState::Paused), ("resume", RunState::Running)] {
        let answer = site.submit(&act(action), "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
        site.wait_for_state(&id, state).await;
    }
    let steer = "prototype_count=16&proto_weight=&external_weight=0.25";
    let answer = site.submit(&act("controls"), steer).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    let controls = site.studio.run(&id).expect("the run").controls;
    assert_eq!(
        (
            controls.prototype_count,
            controls.external_weight,
            controls.proto_weight
        ),
        (16, 0.25, 1.0)
    );
    let refused = site.submit(&act("controls"), "target_temperature=-1").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let renamed = site
        .submit(&act("rename"), "json%3Aname=Another+name")
        .await;
    assert_eq!(renamed.status, StatusCode::SEE_OTHER, "{}", renamed.text());
    assert_eq!(site.studio.run(&id).expect("the run").name, "Another name");
    assert_eq!(
        site.submit(&act("delete"), "").await.status,
        StatusCode::CONFLICT,
        "a running run is not deleted"
    );
    assert_eq!(
        site.submit(&act("explode"), "").await.status,
        StatusCode::NOT_FOUND
    );
    let stopped = site.submit(&act("stop"), "").await;
    assert_eq!(stopped.status, StatusCode::SEE_OTHER);
    site.wait_for_state(&id, RunState::Stopped).await;
    let deleted = site.submit(&act("delete"), "").await;
    assert_eq!(deleted.header("location"), "/runs");
    assert!(site.studio.runs().is_empty());
}

#[tokio::test]
async fn the_theme_of_the_cookie_is_rendered_without_script() {
    let site = TestSite::new();
    let request = Request::get("/")
        .header("host", HOST)
        .header("cookie", "other=1; theme=dark")
        .body(Body::empty())
        .expect("a request");
    let text = site.send(request).await.text();
    assert!(text.contains("<html lang=\"en\" data-theme=\"dark\">"));
}

//! Every route: what it answers, and how it refuses.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use protoclip_studio::server::routes;
use protoclip_studio::studio::RunState;
use serde_json::{Value, json};

use crate::support::scripted_runner::Action;
use crate::support::snapshot_fixture::write_snapshot;
use crate::support::test_site::{HOST, TestSite};

#[tokio::test]
async fn a_run_is_created_with_a_location_and_listed() {
    let site = TestSite::new();
    let body = json!({"preset": "clip", "name": "first", "episodes": 3});
    let answer = site.ask(Method::POST, "/api/runs", Some(body)).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(answer.header("location"), format!("/api/runs/{id}"));
    let listed = site.get("/api/runs").await.json();
    assert_eq!(listed[0]["id"], id);
    let run = site.get(&format!("/api/runs/{id}")).await.json();
    for field in [
        "id",
        "name",
        "state",
        "reason",
        "step",
        "total_steps",
        "episode",
        "total_episodes",
        "samples_per_second",
        "eta_seconds",
        "controls",
        "latest",
    ] {
        assert!(run.get(field).is_some(), "{field} is absent from {run}");
    }
    let config = site.get(&format!("/api/runs/{id}/config")).await.json();
    assert_eq!(
        (&config["preset"], &config["episodes"]),
        (&json!("clip"), &json!(3))
    );
}

#[tokio::test]
async fn wrong_settings_are_refused_by_field() {
    let site = TestSite::new();
    for (body, field) in [
        (json!({"batch_size": 1}), "batch_size"),
        (json!({"prototypes": {"count": "many"}}), "prototypes.count"),
        (json!({"preset": "moco"}), "preset"),
        (json!({"device": "cuda:7"}), "device"),
        (
            json!({"prototypes": {"count": 100_000}}),
            "prototypes.count",
        ),
        (
            json!({"data": {"source": "csv", "path": "/no/such.csv"}}),
            "data.path",
        ),
        (json!([]), "config"),
    ] {
        let answer = site
            .ask(Method::POST, "/api/runs", Some(body.clone()))
            .await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let errors = answer.json();
        assert_eq!(errors["errors"][0]["field"], field, "{errors}");
        assert!(
            !errors["errors"][0]["message"]
                .as_str()
                .expect("text")
                .is_empty()
        );
    }
    assert!(site.studio.runs().is_empty());
}

#[tokio::test]
async fn a_body_that_is_no_json_is_a_bad_request() {
    let site = TestSite::new();
    let request = Request::post("/api/runs")
        .header("host", HOST)
        .header("content-type", "application/json")
        .body(Body::from("{"))
        .expect("a request");
    assert_eq!(site.send(request).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn curves_are_reduced_for_charts_and_complete_as_csv() {
    let site = TestSite::new();
    let id = site.running().await;
    for step in 0..40 {
        site.runner.act(Action::Step(f64::from(step)));
    }
    site.runner.act(Action::Finish);
    site.wait_for_state(&id, RunState::Finished).await;
    let path = format!("/api/runs/{id}/series?tag=train/loss_total");
    let full = site.get(&path).await.json();
    assert_eq!((&full["shown"], &full["total"]), (&json!(40), &json!(40)));
    assert_eq!(full["points"][3], json!([4, 3.0, 3.0, 3.0]));
    let few = site.get(&format!("{path}&points=10&from=21")).await.json();
    assert_eq!((&few["shown"], &few["total"]), (&json!(10), &json!(20)));
    assert_eq!(few["points"][0], json!([22, 20.0, 21.0, 20.5]));
    let csv = site
        .get(&format!("/api/runs/{id}/series.csv?tag=train/loss_total"))
        .await;
    assert!(csv.header("content-type").starts_with("text/csv"));
    let lines: Vec<String> = csv.text().lines().map(str::to_owned).collect();
    assert_eq!(
        (lines.len(), lines[0].as_str(), lines[1].as_str()),
        (41, "step,value", "1,0")
    );
    let tags = site.get(&format!("/api/runs/{id}/tags")).await.json();
    assert_eq!(tags, json!([{"tag": "train/loss_total", "points": 40}]));
    for (format, content_type) in [("svg", "image/svg+xml"), ("png", "image/png")] {
        let path = format!("/api/runs/{id}/series.{format}?tag=train/loss_total");
        let figure = site.get(&path).await;
        assert_eq!(figure.header("content-type"), content_type);
        assert!(figure.body.len() > 1000);
        let path = format!("/api/runs/{id}/series.{format}?tag=no/such");
        assert_eq!(site.get(&path).await.status, StatusCode::NOT_FOUND);
    }
    let bad = site
        .get(&format!("/api/runs/{id}/series?tag=a&points=x"))
        .await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn prototypes_come_with_words_pictures_and_their_history() {
    let site = TestSite::new();
    let id = site.running().await;
    let path = format!("/api/runs/{id}/prototypes");
    assert_eq!(
        site.get(&path).await.status,
        StatusCode::NOT_FOUND,
        "none yet"
    );
    let directory = site.folder.path().join("runs").join(id.as_str());
    write_snapshot(&directory, 0, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
    write_snapshot(&directory, 4, [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let page = site.get(&path).await.json();
    assert_eq!(
        (&page["step"], &page["count"], &page["empty"]),
        (&json!(4), &json!(3), &json!(1))
    );
    assert_eq!(page["steps"], json!([0, 4]));
    let largest = &page["prototypes"][0];
    assert_eq!((&largest["id"], &largest["size"]), (&json!(0), &json!(8)));
    // Six of its eight were prototype 1 before, which had no other.
    assert_eq!(largest["predecessor"], json!(1));
    assert_eq!(largest["change"], json!(0.25));
    assert!(largest["words"][0].is_string());
    let purity = largest["purity"]
        .as_f64()
        .expect("the built-in data has labels");
    assert!(
        (0.125..=1.0).contains(&purity) && largest["label"].is_string(),
        "{largest}"
    );
    let first = &largest["samples"][0];
    assert_eq!(first["sample"], json!(104), "the nearest comes first");
    let caption = first["caption"].as_str().expect("a caption");
    assert!(!caption.is_empty());
    let picture = site
        .get(first["image_url"].as_str().expect("an address"))
        .await;
    assert_eq!(picture.status, StatusCode::OK);
    assert!(picture.header("cache-control").contains("immutable"));
    image::load_from_memory(&picture.body).expect("a picture");

    let word = caption.split_whitespace().next().expect("a word");
    let found = site
        .get(&format!("{path}?q={}", word.to_uppercase()))
        .await
        .json();
    assert!(
        found["matching"].as_u64().expect("a number") >= 1,
        "{found}"
    );
    let none = site.get(&format!("{path}?q=zzzz")).await.json();
    assert_eq!(none["matching"], json!(0));
    let tight = site
        .get(&format!("{path}?sort=tightness&limit=1&offset=1&step=0"))
        .await
        .json();
    assert_eq!(tight["prototypes"][0]["id"], json!(1));

    let one = site.get(&format!("{path}/0")).await.json();
    assert_eq!(
        one["prototype"]["samples"].as_array().map(Vec::len),
        Some(8)
    );
    // Samples 4..=11 against the text halves 0..=5 and 6..=11.
    assert_eq!(one["overlaps"][0]["prototype"], json!(1));
    assert_eq!(one["overlaps"][0]["shared"], json!(6));
    assert_eq!(one["overlaps"][0]["jaccard"], json!(0.75));
    assert_eq!(one["neighbours"][0]["prototype"], json!(1));
    let sheet = site
        .get(&format!("{path}/0/montage.png?step=4&size=32"))
        .await;
    let sheet = image::load_from_memory(&sheet.body).expect("a picture");
    assert_eq!((sheet.width(), sheet.height()), (64, 64));
    for missing in ["/3", "/x", "?space=teacher", "?step=3"] {
        let answer = site.get(&format!("{path}{missing}")).await;
        assert_eq!(
            answer.status,
            StatusCode::NOT_FOUND,
            "{missing}: {}",
            answer.text()
        );
    }
    let bad = site.get(&format!("{path}?space=sound")).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn data_sets_tell_what_they_hold() {
    let site = TestSite::new();
    let unknown = site.get("/api/datasets/nothing").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let opened = site
        .ask(Method::POST, "/api/datasets", Some(json!({})))
        .await
        .json();
    assert_eq!(opened["id"], "builtin");
    assert!(
        opened["pairs"].as_u64().expect("a number") > 3000,
        "{opened}"
    );
    assert_eq!(site.get("/api/datasets/builtin").await.json(), opened);
    let small = site
        .get("/api/datasets/builtin/samples/5/image?size=32")
        .await;
    let picture = image::load_from_memory(&small.body).expect("a picture");
    assert_eq!(picture.width().max(picture.height()), 32);
    for missing in ["999999", "x", "-1"] {
        let path = format!("/api/datasets/builtin/samples/{missing}/image");
        assert_eq!(
            site.get(&path).await.status,
            StatusCode::NOT_FOUND,
            "{missing}"
        );
    }
}

#[tokio::test]
async fn runs_are_renamed_trashed_and_restored() {
    let site = TestSite::new();
    let id = site.running().await;
    let path = format!("/api/runs/{id}");
    assert_eq!(
        site.ask(Method::DELETE, &path, None).await.status,
        StatusCode::CONFLICT
    );
    let edit = json!({"name": "better", "tags": ["a", "b"]});
    let edited = site.ask(Method::PATCH, &path, Some(edit)).await.json();
    assert_eq!(
        (&edited["name"], &edited["tags"]),
        (&json!("better"), &json!(["a", "b"]))
    );
    let wrong = site
        .ask(Method::PATCH, &path, Some(json!({"name": "a\nb"})))
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    site.runner.act(Action::Finish);
    site.wait_for_state(&id, RunState::Finished).await;
    let deleted = site.ask(Method::DELETE, &path, None).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(&path).await.status, StatusCode::NOT_FOUND);
    let restored = site.post(&format!("{path}/restore")).await.json();
    assert_eq!(
        (&restored["name"], &restored["state"]),
        (&json!("better"), &json!("finished"))
    );
    assert_eq!(
        site.post(&format!("{path}/restore")).await.status,
        StatusCode::CONFLICT
    );
    for odd in ["..", "%2e%2e", "..%2f..%2fetc", "a%2fb", ""] {
        let answer = site.post(&format!("/api/runs/{odd}/restore")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{odd:?}");
    }
}

#[tokio::test]
async fn the_log_is_read_in_pages() {
    let site = TestSite::new();
    let id = site.running().await;
    site.runner.act(Action::Checkpoint);
    site.runner.act(Action::Finish);
    site.wait_for_state(&id, RunState::Finished).await;
    let path = format!("/api/runs/{id}/log");
    let all = site.get(&path).await.json();
    let all = all.as_array().expect("a list");
    let kinds: Vec<&str> = all
        .iter()
        .filter_map(|line| line["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["state", "state", "started", "checkpoint", "state"]);
    let after = site
        .get(&format!("{path}?after={}&limit=1", all[1]["seq"]))
        .await
        .json();
    assert_eq!(after, Value::Array(all[2..3].to_vec()));
    let checkpoints = site
        .get(&format!("/api/runs/{id}/checkpoints"))
        .await
        .json();
    assert_eq!(checkpoints[0]["path"], "checkpoints/00000000");
}

#[tokio::test]
async fn the_description_lists_every_route_and_each_one_answers() {
    let site = TestSite::new();
    let description = site.get("/api/openapi.json").await.json();
    let described: BTreeSet<(String, String)> = description["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").keys();
            methods.map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let routed: BTreeSet<(String, String)> = routes()
        .iter()
        .map(|route| (route.method.to_string(), route.path.to_owned()))
        .collect();
    assert_eq!(described, routed);
    assert!(routed.len() > 20, "{routed:?}");
    for route in routes() {
        let path = route
            .path
            .replace("{id}", "none")
            .replace("{k}", "0")
            .replace("{n}", "0")
            .replace("{step}", "0")
            .replace("{name}", "none")
            .replace("{hash}", "0")
            .replace("{field}", "proto_weight");
        let query = if path.contains("series") {
            "?tag=a"
        } else {
            ""
        };
        let body = route.body.map(|_| json!({}));
        let answer = site
            .ask(route.method.clone(), &format!("{path}{query}"), body)
            .await;
        let status = answer.status.as_u16();
        let known = status == route.success.0 || route.failures.contains(&status);
        assert!(
            known,
            "{} {path} answered {status}: {}",
            route.method,
            answer.text()
        );
        if route.path.contains('{') {
            assert_eq!(status, 404, "{} {path}", route.method);
            let message = answer.json()["error"]
                .as_str()
                .expect("a message")
                .to_owned();
            assert!(
                !message.contains("openapi"),
                "{path} has a handler: {message}"
            );
        }
    }
}

#[tokio::test]
async fn probes_answer_and_readiness_ends_first() {
    let site = TestSite::new();
    assert_eq!(site.get("/healthz").await.text(), "ok\n");
    assert_eq!(site.get("/readyz").await.status, StatusCode::OK);
    let metrics = site.get("/metrics").await.text();
    assert!(
        metrics.contains("protoclip_runs{state=\"running\"} 0"),
        "{metrics}"
    );
    assert_eq!(metrics.matches("# TYPE protoclip_runs ").count(), 1);
    site.end.send_replace(true);
    assert_eq!(
        site.get("/readyz").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(site.get("/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused() {
    let site = TestSite::new();
    let status = async |method: Method, headers: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri("/api/runs");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .header("content-type", "application/json")
            .body(Body::from("{\"batch_size\": 0}"));
        site.send(request.expect("a request")).await.status.as_u16()
    };
    assert_eq!(
        status(Method::GET, &[("host", "evil.example:7878")]).await,
        421
    );
    assert_eq!(status(Method::GET, &[]).await, 421);
    assert_eq!(
        status(Method::GET, &[("host", "127.0.0.1:7878")]).await,
        200
    );
    let post = async |headers: &[(&str, &str)]| {
        let all: Vec<(&str, &str)> = [("host", HOST)]
            .into_iter()
            .chain(headers.iter().copied())
            .collect();
        status(Method::POST, &all).await
    };
    assert_eq!(post(&[("origin", "http://evil.example")]).await, 403);
    assert_eq!(post(&[("origin", "null")]).await, 403);
    assert_eq!(post(&[("sec-fetch-site", "cross-site")]).await, 403);
    // Refused later, for its content.
    assert_eq!(post(&[("origin", "http://localhost:7878")]).await, 422);
    assert_eq!(post(&[]).await, 422);
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let site = TestSite::new();
    for path in [
        "/",
        "/api/runs",
        "/no/such",
        "/api/runs/none",
        "/static/no.js",
    ] {
        let answer = site.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
}

#[tokio::test]
async fn large_bodies_wrong_methods_and_unknown_paths_are_refused() {
    let site = TestSite::new();
    let large = json!({"name": "x".repeat(2 << 20)});
    let answer = site.ask(Method::POST, "/api/runs", Some(large)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let answer = site.ask(Method::PUT, "/api/runs", None).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    let answer = site.get("/api/no/such").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

//! Notebooks over HTTP: saved by the tag that was read and no other way, shown as pages, and all that
//! without script.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use protoclip_studio::studio::RunState;
use serde_json::{Value, json};

use crate::support::scripted_runner::Action;
use crate::support::test_site::{Answer, HOST, TestSite};

/// Foreign line ends, a foreign block, a key of nobody, and markup that must not run.
const TEXT: &str = "---\r\nprotoclip: 1\r\ntitle: Odd \"<b>\" things\r\n---\r\n# Odd things\n\n<script>alert(1)</script> and <img src=x onerror=alert(1)>\n\n[click](javascript:alert(1))\n\n```python\nprint(1)\n```\n\n```yaml protoclip id=smooth type=control\nmin: 0\nmax: 1\nstep: 0.1\nvalue: 0.5 # half\n```\n\n```yaml protoclip id=odd type=plot\nspeed: 3\n```\n\n```yaml protoclip id=go type=run\naction: start\nname: \"</textarea><script>alert(1)</script>\"\n```\nend without line end";

async fn notebook(site: &TestSite, text: &str) -> Value {
    let body = json!({"name": "odd", "text": text});
    let answer = site.ask(Method::POST, "/api/notebooks", Some(body)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    assert_eq!(answer.header("location"), "/api/notebooks/odd");
    answer.json()
}

async fn put(site: &TestSite, tag: Option<&str>, text: &str) -> Answer {
    let mut request = Request::put("/api/notebooks/odd")
        .header("host", HOST)
        .header("content-type", "text/markdown");
    if let Some(tag) = tag {
        request = request.header("if-match", tag);
    }
    let body = Body::from(text.to_owned());
    site.send(request.body(body).expect("a request")).await
}

/// The text that the parts of a view make.
fn text_of(view: &Value) -> String {
    let parts = view["parts"].as_array().expect("parts");
    let pieces = parts
        .iter()
        .flat_map(|part| ["text", "open", "body", "close"].map(|k| part[k].as_str()));
    pieces.flatten().collect()
}

#[tokio::test]
async fn the_parts_are_the_file_and_a_save_changes_what_was_sent() {
    let site = TestSite::new();
    let view = notebook(&site, TEXT).await;
    assert_eq!(text_of(&view), TEXT);
    let file = site.folder.path().join("notebooks/odd.md");
    assert_eq!(std::fs::read_to_string(&file).expect("reads"), TEXT);
    let read = site.get("/api/notebooks/odd").await;
    let tag = read.header("etag").to_owned();
    assert_eq!(
        tag,
        format!("\"{}\"", view["etag"].as_str().expect("a tag"))
    );
    let edited = TEXT.replace("# Odd things\n", "# Odder things\r\n");
    let saved = put(&site, Some(&tag), &edited).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.text());
    assert_eq!(std::fs::read_to_string(&file).expect("reads"), edited);
    assert_ne!(saved.header("etag"), tag);
}

#[tokio::test]
async fn nothing_is_overwritten_unseen() {
    let site = TestSite::new();
    let view = notebook(&site, TEXT).await;
    let tag = view["etag"].as_str().expect("a tag").to_owned();
    let file = site.folder.path().join("notebooks/odd.md");
    std::fs::write(&file, "theirs").expect("writes");
    let without = put(&site, None, "mine").await;
    assert_eq!(without.status.as_u16(), 428, "{}", without.text());
    assert!(without.text().contains("If-Match"));
    for wrong in [tag.as_str(), "*", "\"x\""] {
        let answer = put(&site, Some(wrong), "mine").await;
        assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{wrong}");
        let there = answer.json();
        assert_eq!(there["text"], "theirs");
        assert!(there["error"].is_string());
        let tag = there["etag"].as_str().expect("a tag");
        assert_eq!(answer.header("etag"), format!("\"{tag}\""));
    }
    assert_eq!(std::fs::read_to_string(&file).expect("reads"), "theirs");
}

#[tokio::test]
async fn names_of_nobody_are_not_found() {
    let site = TestSite::new();
    for odd in [
        "none",
        "..",
        "%2e%2e",
        "..%2f..%2fetc",
        "a%2fb",
        "%00",
        "a.md",
    ] {
        for rest in ["", "/parts"] {
            let page = site.get(&format!("/notebooks/{odd}{rest}")).await;
            assert_eq!(page.status, StatusCode::NOT_FOUND, "{odd}{rest}");
        }
        for (method, rest) in [
            (Method::GET, ""),
            (Method::PUT, ""),
            (Method::DELETE, ""),
            (Method::GET, "/blobs/0"),
            (Method::GET, "/cells/a/table.csv"),
        ] {
            let answer = site
                .ask(method.clone(), &format!("/api/notebooks/{odd}{rest}"), None)
                .await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {odd}{rest}");
        }
    }
    let answer = site
        .ask(
            Method::POST,
            "/api/notebooks",
            Some(json!({"name": "../x"})),
        )
        .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.json()["errors"][0]["field"], "name");
}

#[tokio::test]
async fn a_page_shows_everything_and_runs_nothing() {
    let site = TestSite::new();
    notebook(&site, TEXT).await;
    for path in ["/notebooks/odd", "/notebooks/odd/parts", "/notebooks", "/"] {
        let answer = site.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        let text = answer.text();
        for forbidden in [
            "<script>",
            "<img src=x",
            "href=\"javascript:",
            " style=",
            "<b>\"",
        ] {
            assert!(!text.contains(forbidden), "{path} has {forbidden}");
        }
    }
    let page = site.get("/notebooks/odd").await.text();
    assert!(
        page.contains("<h1>Odd things</h1>"),
        "the words are rendered: {page}"
    );
    assert!(page.contains("has no key"), "what is wrong is told");
    assert!(page.contains("Line 23:"), "with its line: {page}");
    assert!(
        page.contains("This starts a training run: action: start"),
        "what an effect does is told"
    );
    assert!(page.contains("id=\"control-smooth\" type=\"range\" name=\"value\" min=\"0\" max=\"1\" step=\"0.1\" value=\"0.5\""), "{page}");
    assert!(
        page.contains("dist/notebook.js"),
        "the editor is loaded here"
    );
    assert!(
        !site
            .get("/notebooks")
            .await
            .text()
            .contains("dist/notebook.js"),
        "and nowhere else"
    );
}

#[tokio::test]
async fn a_notebook_is_made_renamed_and_thrown_away_without_script() {
    let site = TestSite::new();
    let empty = site.get("/notebooks").await.text();
    assert!(empty.contains("No notebooks yet"), "{empty}");
    let wrong = site.submit("/notebooks", "name=a+b&template=").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        wrong.text().contains("value=\"a b\""),
        "what was typed stays"
    );
    let made = site.submit("/notebooks", "name=first&template=").await;
    assert_eq!(
        made.header("location"),
        "/notebooks/first",
        "{}",
        made.text()
    );
    assert!(
        site.get("/")
            .await
            .text()
            .contains("href=\"/notebooks/first\""),
        "home lists it"
    );
    let renamed = site
        .submit("/notebooks/first/rename", "json%3Aname=second")
        .await;
    assert_eq!(
        renamed.header("location"),
        "/notebooks/second",
        "{}",
        renamed.text()
    );
    assert_eq!(
        site.get("/notebooks/first").await.status,
        StatusCode::NOT_FOUND
    );
    let gone = site.submit("/notebooks/second/delete", "").await;
    assert_eq!(gone.header("location"), "/notebooks");
    assert_eq!(
        site.get("/notebooks/second").await.status,
        StatusCode::NOT_FOUND
    );
    assert!(
        site.get("/notebooks")
            .await
            .text()
            .contains("No notebooks yet")
    );
}

#[tokio::test]
async fn controls_and_effects_work_without_script_and_effects_ask() {
    let site = TestSite::new();
    notebook(&site, TEXT).await;
    let set = site
        .submit("/notebooks/odd/cells/smooth/set", "value=0.7")
        .await;
    assert_eq!(
        set.header("location"),
        "/notebooks/odd#cell-smooth",
        "{}",
        set.text()
    );
    let file = std::fs::read_to_string(site.folder.path().join("notebooks/odd.md")).expect("reads");
    assert!(file.contains("value: 0.7"), "{file}");
    assert!(
        file.starts_with("---\r\nprotoclip: 1\r\n"),
        "the rest stays: {file}"
    );
    let outside = site
        .submit("/notebooks/odd/cells/smooth/set", "value=7")
        .await;
    assert_eq!(outside.status, StatusCode::UNPROCESSABLE_ENTITY);
    let unasked = site.submit("/notebooks/odd/run", "cells=go").await;
    assert_eq!(unasked.status, StatusCode::CONFLICT);
    assert!(
        unasked.text().contains("tick the box"),
        "{}",
        unasked.text()
    );
    assert!(site.studio.runs().is_empty());
    let asked = site
        .submit("/notebooks/odd/run", "cells=go&effects=true")
        .await;
    assert_eq!(
        asked.header("location"),
        "/notebooks/odd#cell-go",
        "{}",
        asked.text()
    );
    let started = async {
        while site.studio.runs().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), started)
        .await
        .expect("a run starts");
}

#[tokio::test]
async fn a_view_is_drawn_with_where_it_comes_from() {
    let site = TestSite::new();
    let id = site.running().await;
    for step in 0..5 {
        site.runner.act(Action::Step(f64::from(step)));
    }
    site.runner.act(Action::Finish);
    site.wait_for_state(&id, RunState::Finished).await;
    let cell =
        format!("```yaml protoclip id=loss type=plot\nrun: {id}\nmetric: train/loss_total\n```\n");
    notebook(&site, &format!("---\nprotoclip: 1\n---\n{cell}")).await;
    let begun = site.submit("/notebooks/odd/run", "which=stale").await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text());
    let drawn = async {
        loop {
            let page = site.get("/notebooks/odd").await.text();
            if page.contains("data-state=\"fresh\"") {
                return page;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let page = tokio::time::timeout(std::time::Duration::from_secs(30), drawn)
        .await
        .expect("drawn");
    let figure = page
        .split('"')
        .find(|part| part.contains("/blobs/"))
        .expect("a figure")
        .to_owned();
    let svg = site.get(&figure).await;
    assert_eq!(svg.header("content-type"), "image/svg+xml");
    assert!(svg.header("cache-control").contains("immutable"));
    assert!(svg.text().contains("<svg"));
    assert!(
        page.contains(&format!("href=\"/runs/{id}\"")),
        "the run is linked"
    );
    assert!(
        page.contains("no checkpoint kept") || page.contains("checkpoint <span"),
        "{page}"
    );
    assert!(page.contains("up to date"));
    let links = page
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let own: Vec<String> = links
        .filter(|link| link.starts_with('/') && !link.starts_with("/static"))
        .map(|link| link.replace("&#38;", "&"))
        .collect();
    assert!(own.iter().any(|link| link.contains("table.csv")), "{own:?}");
    for link in own {
        assert_eq!(site.get(&link).await.status, StatusCode::OK, "{link}");
    }
    for (file, content_type, begins) in [
        ("export.html", "text/html; charset=utf-8", "<!doctype html>"),
        ("export.ipynb", "application/x-ipynb+json", "{"),
        ("export-markdown.zip", "application/zip", "PK"),
        ("export-csv.zip", "application/zip", "PK"),
    ] {
        let answer = site.get(&format!("/api/notebooks/odd/{file}")).await;
        assert_eq!(
            answer.header("content-type"),
            content_type,
            "{file}: {}",
            answer.text()
        );
        assert!(
            answer
                .header("content-disposition")
                .starts_with("attachment"),
            "{file}"
        );
        assert!(
            answer
                .text()
                .to_lowercase()
                .starts_with(&begins.to_lowercase()),
            "{file}"
        );
        assert!(
            page.contains(&format!("/api/notebooks/odd/{file}")),
            "{file} is linked"
        );
    }
}

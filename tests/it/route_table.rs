//! Every route of the site, walked from the table that the router is made of: who gets in, what is
//! refused, and that reading changes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{Method, Request, StatusCode};
use axum::response::Response;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use protoclip_studio::server::{Access, Route, RouteKind, Token, all_routes};
use protoclip_studio::studio::{RunId, RunState};

use crate::support::scripted_runner::Action;
use crate::support::snapshot_fixture::write_snapshot;
use crate::support::test_site::{HOST, TestSite};

/// Random queries in all.
const QUERIES: usize = 10_000;
const TOKEN: &str = "0123456789abcdef-of-this-test";

fn locked() -> TestSite {
    let token = Token::parse(TOKEN).expect("long enough");
    let access = Access::with_token(&token, 7878).expect("random numbers");
    TestSite::with_access(tempfile::tempdir().expect("temporary folder"), access)
}

/// The address of a route whose parameters name nothing, or what `known` says.
fn address(route: &Route, known: &[(&str, &str)]) -> String {
    let parts = route.path.split('/').map(|part| {
        let name = part.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
        let value = name.map(|name| {
            let found = known.iter().find(|(known, _)| *known == name);
            found.map_or("0", |(_, value)| value)
        });
        value.unwrap_or(part)
    });
    parts.collect::<Vec<_>>().join("/")
}

fn request(route: &Route) -> Builder {
    Request::builder()
        .method(route.method.clone())
        .uri(address(route, &[]))
        .header("host", HOST)
}

async fn answer(site: &TestSite, request: Builder) -> Response {
    let request = request.body(Body::empty()).expect("a request");
    site.begin(request).await
}

/// Changes something, or at least may.
fn writes(route: &Route) -> bool {
    !matches!(route.method, Method::GET | Method::HEAD)
}

#[test]
fn the_table_has_routes_of_every_kind() {
    let routes = all_routes();
    let count = |kind| routes.iter().filter(|route| route.kind == kind).count();
    assert!(count(RouteKind::Api) > 40 && count(RouteKind::Page) > 35);
    assert_eq!((count(RouteKind::Asset), count(RouteKind::Stream)), (1, 1));
    assert!(routes.iter().filter(|route| writes(route)).count() > 25);
    assert!(routes.iter().all(|route| route.permits > 0));
}

#[tokio::test]
async fn no_route_of_a_locked_studio_answers_without_the_token() {
    let site = locked();
    for route in all_routes() {
        let name = format!("{} {}", route.method, route.path);
        let wrong = "0123456789abcdef-of-this-tesT";
        for (header, value) in [
            ("x-nothing", "".to_owned()),
            ("authorization", format!("Bearer {wrong}")),
            ("authorization", format!("Basic {TOKEN}")),
            ("cookie", format!("protoclip-session-7878={TOKEN}")),
            ("cookie", "protoclip-session-7878=".to_owned()),
        ] {
            let refused = answer(&site, request(&route).header(header, &value)).await;
            assert_eq!(
                refused.status(),
                StatusCode::UNAUTHORIZED,
                "{name} with {header}: {value}"
            );
            assert_eq!(refused.headers()["www-authenticate"], "Bearer", "{name}");
            assert!(
                refused.headers().contains_key("content-security-policy"),
                "{name}"
            );
        }
        let bearer = format!("Bearer {TOKEN}");
        let taken = answer(&site, request(&route).header("authorization", bearer)).await;
        assert_ne!(taken.status(), StatusCode::UNAUTHORIZED, "{name}");
    }
    for address in ["/no/such", "/api/no/such", "//", "/static/"] {
        let request = Request::get(address).header("host", HOST);
        let refused = answer(&site, request).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{address}");
    }
}

#[tokio::test]
async fn the_token_in_an_address_is_exchanged_for_a_cookie() {
    let site = locked();
    let get = |address: String| Request::get(address).header("host", HOST);
    for address in ["/runs?token=wrong-wrong-wrong-wrong&q=a", "/?token="] {
        let refused = answer(&site, get(address.to_owned())).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        assert!(!refused.headers().contains_key("set-cookie"));
    }
    let welcome = answer(&site, get(format!("/runs?q=a&token={TOKEN}&sort=name"))).await;
    assert_eq!(welcome.status(), StatusCode::SEE_OTHER);
    assert_eq!(welcome.headers()["location"], "/runs?q=a&sort=name");
    let cookie = welcome.headers()["set-cookie"].to_str().expect("text");
    assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict"));
    assert!(!cookie.contains(TOKEN), "the cookie is not the token");
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    let page = answer(&site, get("/runs".into()).header("cookie", &pair)).await;
    assert_eq!(page.status(), StatusCode::OK);
    let among_others = format!("theme=dark; {pair}; x=y");
    let page = answer(&site, get("/runs".into()).header("cookie", among_others)).await;
    assert_eq!(page.status(), StatusCode::OK);
    // Another start of the studio, another session.
    let other = answer(&locked(), get("/runs".into()).header("cookie", &pair)).await;
    assert_eq!(other.status(), StatusCode::UNAUTHORIZED);
    let elsewhere = answer(&site, get(format!("//evil.example/?token={TOKEN}"))).await;
    assert_eq!(elsewhere.headers()["location"], "/");
}

#[tokio::test]
async fn a_browser_without_the_token_gets_a_form_and_a_program_the_reason() {
    let site = locked();
    let get = |accept: &str| {
        let request = Request::get("/runs").header("host", HOST);
        request.header("accept", accept).body(Body::empty())
    };
    let page = site.send(get("text/html,*/*").expect("a request")).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text().contains("name=\"token\""), "{}", page.text());
    assert!(!page.text().contains("<script") && !page.text().contains("style="));
    assert!(!page.text().contains("not the token"), "none was given");
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("script"),
        "{policy}"
    );
    let wrong = Request::get("/runs?token=0123456789abcdef-wrong").header("host", HOST);
    let wrong = wrong.header("accept", "text/html").body(Body::empty());
    let page = site.send(wrong.expect("a request")).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(
        page.text().contains("That is not the token"),
        "{}",
        page.text()
    );
    let reason = site.send(get("*/*").expect("a request")).await;
    let message = reason.json()["error"].to_string();
    assert!(message.contains("Authorization: Bearer"), "{message}");
}

#[tokio::test]
async fn every_route_that_writes_refuses_the_pages_of_others() {
    let site = TestSite::new();
    for route in all_routes().iter().filter(|route| writes(route)) {
        let name = format!("{} {}", route.method, route.path);
        for headers in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "https://localhost:7878")],
            &[("origin", "http://localhost:7879")],
            &[("origin", "http://localhost:7878.evil.example")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[
                ("origin", "http://localhost:7878"),
                ("sec-fetch-site", "cross-site"),
            ],
        ] {
            let mut foreign = request(route);
            for (header, value) in headers {
                foreign = foreign.header(*header, *value);
            }
            let refused = answer(&site, foreign).await;
            assert_eq!(
                refused.status(),
                StatusCode::FORBIDDEN,
                "{name}: {headers:?}"
            );
        }
        let own = request(route)
            .header("origin", "http://localhost:7878")
            .header("sec-fetch-site", "same-origin");
        let taken = answer(&site, own).await;
        assert_ne!(taken.status(), StatusCode::FORBIDDEN, "{name}");
    }
}

#[tokio::test]
async fn no_route_of_a_read_only_studio_writes() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let site = TestSite::with_access(folder, Access::open().read_only(true));
    for route in all_routes() {
        let name = format!("{} {}", route.method, route.path);
        if !route.writes {
            let shown = answer(&site, request(&route)).await;
            assert_ne!(shown.status(), StatusCode::FORBIDDEN, "{name}");
            continue;
        }
        for accept in ["*/*", "text/html,*/*"] {
            let request = request(&route).header("accept", accept);
            let request = request.body(Body::from("{}")).expect("a request");
            let refused = site.send(request).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{name}");
            assert!(refused.text().contains("--read-only"), "{name}");
            let page = accept != "*/*" && route.kind == RouteKind::Page;
            let wanted = if page {
                "text/html"
            } else {
                "application/json"
            };
            let found = refused.header("content-type");
            assert!(found.starts_with(wanted), "{name}: {found}");
        }
    }
    assert!(site.studio.runs().is_empty());
    let unknown = Request::post("/no/such").header("host", HOST);
    let refused = answer(&site, unknown).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let page = site.get("/").await.text();
    assert!(
        page.contains(" data-read-only") && page.contains("Read only:"),
        "{page}"
    );
    let page = TestSite::new().get("/").await.text();
    assert!(!page.contains("data-read-only"));
}

#[tokio::test]
async fn preferences_are_cookies_and_so_are_kept_by_a_read_only_studio_too() {
    let of_table = all_routes().into_iter();
    let harmless: Vec<_> = of_table
        .filter(|route| writes(route) && !route.writes)
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(
        harmless,
        ["POST /settings"],
        "whoever adds one shows here that it writes nothing"
    );
    let folder = tempfile::tempdir().expect("temporary folder");
    let site = TestSite::with_access(folder, Access::open().read_only(true));
    let before = files(site.folder.path());
    let saved = site
        .submit("/settings", "theme=dark&palette=normal&motion=auto")
        .await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text());
    assert!(saved.header("set-cookie").starts_with("theme=dark"));
    assert_eq!(files(site.folder.path()), before);
}

/// Hashes of all files below a folder, and the rows of databases: SQLite moves them from file to file
/// when it likes.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).expect("lists") {
            let path = entry.expect("an entry").path();
            let name = path.display().to_string();
            if path.is_dir() {
                found.insert(name, "a folder".to_owned());
                folders.push(path);
            } else if name.ends_with(".db") {
                found.insert(name, rows(&path));
            } else if !name.ends_with("-wal") && !name.ends_with("-shm") {
                let bytes = std::fs::read(&path).expect("reads");
                found.insert(name, format!("{} bytes {:x?}", bytes.len(), hash(&bytes)));
            }
        }
    }
    found
}

fn hash(bytes: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// All that a run's database says.
fn rows(database: &Path) -> String {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(database, flags).expect("opens");
    let tables = [
        "SELECT json_group_array(json_array(tag, step, value)) FROM points",
        "SELECT json_group_array(json_array(seq, step, time, kind, json)) FROM events",
        "SELECT json_group_array(json_array(key, value)) FROM meta",
    ];
    let read = |query: &str| -> String {
        let found = database.query_row(query, [], |row| row.get(0));
        found.expect("reads")
    };
    tables.map(read).concat()
}

/// A studio with a finished run that has prototypes.
async fn with_a_run() -> (TestSite, RunId) {
    let site = TestSite::new();
    let id = site.running().await;
    site.runner.steps(2);
    site.runner.act(Action::Checkpoint);
    site.runner.act(Action::Finish);
    site.wait_for_state(&id, RunState::Finished).await;
    let directory = site.folder.path().join("runs").join(id.as_str());
    write_snapshot(&directory, 0, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
    write_snapshot(&directory, 4, [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    (site, id)
}

/// The address of a route in that studio.
fn address_in(route: &Route, id: &RunId) -> String {
    let nouns = ["runs", "datasets", "checkpoints"];
    let noun = route.path.split('/').find(|part| nouns.contains(part));
    let of_noun = match noun {
        Some("datasets") => "builtin".to_owned(),
        Some("checkpoints") => format!("{id}@2"),
        _ => id.to_string(),
    };
    address(route, &[("id", &of_noun), ("step", "4")])
}

#[tokio::test]
async fn no_get_changes_anything() {
    let (site, id) = with_a_run().await;
    let seen = async || {
        let runs = site.get("/api/runs").await.json();
        let log = site.get(&format!("/api/runs/{id}/log")).await.json();
        let work = site.get("/api/work").await.json();
        (runs.to_string(), log.to_string(), work.to_string())
    };
    let (before, seen_before) = (files(site.folder.path()), seen().await);
    let mut answered = 0;
    for route in all_routes() {
        if writes(&route) || route.kind == RouteKind::Stream {
            continue;
        }
        let address = address_in(&route, &id);
        for query in [
            "",
            "?step=4",
            "?tag=train/loss_total",
            "?space=text&points=10",
        ] {
            let answer = site.get(&format!("{address}{query}")).await;
            assert!(
                !answer.status.is_server_error(),
                "{address}{query}: {} {}",
                answer.status,
                answer.text()
            );
            answered += usize::from(answer.status.is_success());
        }
    }
    assert!(answered > 100, "only {answered} answers were no refusals");
    assert_eq!(seen().await, seen_before);
    let after = files(site.folder.path());
    let changed: Vec<_> = after
        .iter()
        .filter(|(name, hash)| before.get(*name) != Some(hash))
        .map(|(name, _)| name)
        .collect();
    assert!(changed.is_empty(), "written by reading: {changed:#?}");
    let gone: Vec<_> = before
        .keys()
        .filter(|name| !after.contains_key(*name))
        .collect();
    assert!(gone.is_empty(), "removed by reading: {gone:#?}");
}

/// Names that some route reads from its query, and values that few expect.
fn query() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "step", "space", "tag", "points", "from", "to", "q", "sort", "method", "features", "k",
            "cut", "count", "size", "limit", "offset", "page", "runs", "health", "shift", "after",
            "vectors", "view", "seed", "class", "across", "columns", "a", "b",
        ])
        .prop_map(str::to_owned),
        "[a-z_]{0,8}",
    ];
    let value = prop_oneof![
        "-?[0-9]{1,25}",
        "-?[0-9]{1,3}\\.[0-9]{1,40}(e[0-9]{1,4})?",
        prop::sample::select(vec![
            "",
            "NaN",
            "inf",
            "-0",
            "image",
            "text",
            "joint",
            "pca",
            "%",
            "%zz",
            "%00",
            "%ff%fe",
            "a%26b",
            "+",
            "true",
            "null",
            "[]",
            "..%2f..",
            "%F0%9F%A6%8A",
            "train/loss_total",
        ])
        .prop_map(str::to_owned),
        "[a-z%+0-9=;,.]{0,12}",
    ];
    let pair = (name, value).prop_map(|(name, value)| format!("{name}={value}"));
    prop::collection::vec(pair, 0..5).prop_map(|pairs| pairs.join("&"))
}

#[tokio::test]
async fn no_query_is_a_failure_of_ours() {
    let (site, id) = with_a_run().await;
    let mut runner = TestRunner::deterministic();
    let reads = all_routes()
        .into_iter()
        .filter(|route| !writes(route) && route.kind != RouteKind::Stream);
    let addresses: Vec<String> = reads.map(|route| address_in(&route, &id)).collect();
    let mut asked = 0;
    for round in 0..QUERIES.div_ceil(addresses.len()) {
        for address in &addresses {
            let query = query().new_tree(&mut runner).expect("a query").current();
            let uri = format!("{address}?{query}");
            if uri.parse::<axum::http::Uri>().is_err() {
                continue;
            }
            let answer = site.get(&uri).await;
            let failed = answer.status.is_server_error();
            assert!(
                !failed,
                "round {round}: {uri}: {} {}",
                answer.status,
                answer.text()
            );
            asked += 1;
        }
    }
    assert!(asked >= QUERIES * 9 / 10, "{asked}");
}

//! Preferences that the server renders, and room on the disk that can be freed.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use protoclip_studio::studio::RunState;

use crate::support::scripted_runner::Action;
use crate::support::test_site::{HOST, TestSite};

#[tokio::test]
async fn preferences_come_back_as_cookies_and_are_rendered() {
    let site = TestSite::new();
    let form = "theme=dark&palette=lightness&motion=%22%3E%3Cscript%3E";
    let saved = site.submit("/settings", form).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER);
    let cookies: Vec<String> = saved
        .headers
        .get_all("set-cookie")
        .iter()
        .filter_map(|value| value.to_str().ok()?.split(';').next().map(str::to_owned))
        .collect();
    assert_eq!(cookies, ["theme=dark", "palette=lightness", "motion=auto"]);
    let request = Request::get("/settings")
        .header("host", HOST)
        .header("cookie", cookies.join("; "))
        .body(Body::empty())
        .expect("a request");
    let page = site.send(request).await.text();
    assert!(
        page.contains("<html lang=\"en\" data-theme=\"dark\" data-palette=\"lightness\">"),
        "{page}"
    );
    let plain = site.get("/settings").await.text();
    assert!(plain.contains("<html lang=\"en\">"), "{plain}");
}

#[tokio::test]
async fn the_trash_is_measured_and_emptied() {
    let site = TestSite::new();
    let id = site.running().await;
    site.runner.steps(2);
    site.runner.act(Action::Finish);
    site.wait_for_state(&id, RunState::Finished).await;
    let settings = site.get("/settings").await.text();
    assert!(settings.contains(&format!("/runs/{id}")), "{settings}");
    assert!(!settings.contains("Empty the trash"), "nothing is in it");
    site.ask(Method::DELETE, &format!("/api/runs/{id}"), None)
        .await;
    let trashed = site.folder.path().join("trash").join(id.as_str());
    assert!(trashed.exists());
    assert!(
        site.get("/settings")
            .await
            .text()
            .contains("Empty the trash")
    );
    let emptied = site.submit("/settings/trash/empty", "").await;
    assert_eq!(emptied.status, StatusCode::SEE_OTHER, "{}", emptied.text());
    assert!(!trashed.exists());
    let restored = site.post(&format!("/api/runs/{id}/restore")).await;
    assert_eq!(restored.status, StatusCode::NOT_FOUND);
}

//! Prototypes as one figure: PNG and SVG of a real snapshot over real pictures.

use axum::http::StatusCode;
use protoclip_studio::studio::RunId;

use crate::support::snapshot_fixture::write_snapshot;
use crate::support::test_site::TestSite;

async fn run(site: &TestSite) -> RunId {
    let id = site.running().await;
    let directory = site.folder.path().join("runs").join(id.as_str());
    write_snapshot(&directory, 3, [0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 1]);
    id
}

#[tokio::test]
async fn a_sheet_has_a_row_for_each_asked_prototype_and_its_pictures_inside() {
    let site = TestSite::new();
    let id = run(&site).await;
    let sheet = format!("/api/runs/{id}/prototypes/sheet");
    let png = site.get(&format!("{sheet}.png")).await;
    assert_eq!(png.status, StatusCode::OK, "{}", png.text());
    assert_eq!(png.header("content-type"), "image/png");
    let all = image::load_from_memory(&png.body).expect("decodes");
    let one = site.get(&format!("{sheet}.png?ids=1")).await;
    let one = image::load_from_memory(&one.body).expect("decodes");
    assert_eq!(all.width(), one.width());
    assert!(all.height() > 2 * one.height(), "three rows against one");

    let svg = site
        .get(&format!("{sheet}.svg?sort=id&count=1&step=3"))
        .await;
    assert_eq!(svg.header("content-type"), "image/svg+xml");
    let text = svg.text();
    assert_eq!(
        text.matches("<image ").count(),
        6,
        "all samples of the first"
    );
    for shown in ["#0", "6 samples", "image space", "Step 3", id.as_str()] {
        assert!(text.contains(shown), "{shown}");
    }
    let page = site
        .get(&format!("/runs/{id}/prototypes?sort=id"))
        .await
        .text();
    assert!(page.contains(&format!("{sheet}.png?space=image")), "{page}");
}

#[tokio::test]
async fn what_a_sheet_cannot_show_is_named() {
    let site = TestSite::new();
    let id = run(&site).await;
    for (query, status, named) in [
        ("ids=1,x", StatusCode::UNPROCESSABLE_ENTITY, "ids"),
        ("ids=99", StatusCode::NOT_FOUND, "99"),
        ("step=4", StatusCode::NOT_FOUND, "step 4"),
        ("space=teacher", StatusCode::NOT_FOUND, "teacher"),
        ("space=smell", StatusCode::BAD_REQUEST, "space"),
    ] {
        let answer = site
            .get(&format!("/api/runs/{id}/prototypes/sheet.svg?{query}"))
            .await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
        assert!(answer.text().contains(named), "{}", answer.text());
    }
}

//! The modality gap: moved features, what is measured of them, and the page that shows it.

use axum::http::StatusCode;
use protoclip_studio::studio::{RunId, RunState};

use crate::support::scripted_runner::Action;
use crate::support::snapshot_fixture::{write_features, write_snapshot};
use crate::support::test_site::TestSite;

/// A finished run with features and prototypes at steps 4 and 8.
async fn measured_run(site: &TestSite) -> RunId {
    let id = site.running().await;
    site.runner.steps(8);
    let directory = site.folder.path().join("runs").join(id.as_str());
    for step in [4, 8] {
        write_snapshot(&directory, step, [0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 1]);
        write_features(&directory, step);
    }
    site.runner.act(Action::Finish);
    site.wait_for_state(&id, RunState::Finished).await;
    id
}

#[tokio::test]
async fn moving_the_modalities_together_closes_the_gap_and_keeps_the_grouping() {
    let site = TestSite::new();
    let id = measured_run(&site).await;
    let answer = site.get(&format!("/api/runs/{id}/gap?shift=0.5")).await;
    let found = answer.json();
    assert_eq!(answer.status, StatusCode::OK, "{found}");
    assert_eq!(
        (found["step"].as_u64(), found["steps"][0].as_u64()),
        (Some(8), Some(4))
    );
    let number = |at: &str, name: &str| found[at][name].as_f64().expect("a number");
    // The means lie 0.8·√2 apart, and meet at one half.
    assert!(
        (number("unshifted", "gap") - 1.1314).abs() < 1e-3,
        "{found}"
    );
    assert!(number("shifted", "gap") < 1e-3, "{found}");
    let cosine = |at: &str, of: &str| found[at]["cosines"][of]["mean"].as_f64().expect("a number");
    assert!((cosine("unshifted", "matched") - 0.36).abs() < 1e-3);
    assert!(cosine("shifted", "matched") > 0.99);
    assert_eq!(found["shifted"]["cosines"]["unmatched"]["pairs"], 12 * 11);
    assert_eq!(found["shifted"]["retrieval"]["mean"], 100.0);
    let grouping = &found["shifted"]["groupings"][0];
    assert_eq!(
        (grouping["student"].as_str(), grouping["teacher"].as_str()),
        (Some("image"), Some("text"))
    );
    assert_eq!(grouping["translated"]["accuracy_percent"], 100.0);
    assert_eq!(
        found["unshifted"]["groupings"][0]["translated"]["ari"],
        100.0
    );
    let ids: Vec<u64> = found["prototypes"]
        .as_array()
        .expect("prototypes")
        .iter()
        .map(|one| one["id"].as_u64().expect("an id"))
        .collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[2], 2, "the empty prototype comes last");
}

#[tokio::test]
async fn what_cannot_be_measured_is_refused_with_the_reason() {
    let site = TestSite::new();
    let id = measured_run(&site).await;
    let far = site.get(&format!("/api/runs/{id}/gap?shift=3")).await;
    assert_eq!(far.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(far.json()["errors"][0]["field"], "shift");
    let page = site.get(&format!("/runs/{id}/gap?shift=left")).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    let step = site.get(&format!("/api/runs/{id}/gap?step=5")).await;
    assert_eq!(step.status, StatusCode::NOT_FOUND);
    assert!(
        step.text().contains("there are some at 4, 8"),
        "{}",
        step.text()
    );
    let teacher = site.get(&format!("/api/runs/{id}/gap?space=teacher")).await;
    assert_eq!(teacher.status, StatusCode::NOT_FOUND);
    let waiting = site.create().await;
    let page = site.get(&format!("/runs/{waiting}/gap")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("No features to move yet"));
}

#[tokio::test]
async fn the_page_works_without_script_and_its_part_is_the_same() {
    let site = TestSite::new();
    let id = measured_run(&site).await;
    let query = "?step=4&shift=0.5&space=text&sort=size";
    let page = site.get(&format!("/runs/{id}/gap{query}")).await;
    let text = page.text();
    assert_eq!(page.status, StatusCode::OK, "{text}");
    assert!(text.contains("step 4, moved by λ = 0.5: gap"), "{text}");
    assert!(
        text.contains(&format!("/runs/{id}/prototypes/1?space=text&#38;step=4")),
        "{text}"
    );
    assert!(text.contains("aria-sort=\"descending\""));
    let part = site
        .get(&format!("/runs/{id}/gap/measures{query}"))
        .await
        .text();
    assert!(text.contains(part.trim()), "one partial for both");
}

#[tokio::test]
async fn tables_are_files_too() {
    let site = TestSite::new();
    let id = measured_run(&site).await;
    let csv = async |name: &str| {
        let answer = site
            .get(&format!("/api/runs/{id}/gap/{name}.csv?shift=0.5"))
            .await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.header("content-type").starts_with("text/csv"));
        assert!(answer.header("content-disposition").contains("attachment"));
        answer.text()
    };
    let measures = csv("measures").await;
    assert!(
        measures.starts_with("measure,unshifted,shift 0.5\nmodality_gap,1.13"),
        "{measures}"
    );
    assert!(
        measures.contains("accuracy_image_by_text_own_centroids"),
        "{measures}"
    );
    let cosines = csv("cosines").await;
    assert_eq!(cosines.lines().count(), 101);
    assert!(cosines.ends_with("0.98,1.00,12,0\n"), "{cosines}");
    let prototypes = csv("prototypes").await;
    assert_eq!(prototypes.lines().count(), 4, "{prototypes}");
}

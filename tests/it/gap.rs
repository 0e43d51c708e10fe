//! The modality gap: moved features, what is measured of them, and the page that shows it.

use axum::http::{Method, StatusCode};
use protoclip_studio::studio::{RunId, RunState};
use serde_json::json;

use crate::support::scripted_runner::Action;
use crate::support::snapshot_fixture::{write_features, write_snapshot};
use crate::support::test_site::TestSite;

/// A finished run with features and prototypes at steps 4 and 8, in batches of 4.
async fn measured_run(site: &TestSite) -> RunId {
    let config = json!({"batch_size": 4, "prototypes": {"count": 3}});
    let answer = site.ask(Method::POST, "/api/runs", Some(config)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let id = RunId::from(answer.json()["id"].as_str().expect("an id"));
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

#[tokio::test]
async fn charts_are_figures_in_both_formats() {
    let site = TestSite::new();
    let id = measured_run(&site).await;
    for chart in ["gap/cosines/figure", "gap/prototypes/figure", "batch"] {
        let svg = site.get(&format!("/api/runs/{id}/{chart}.svg")).await;
        assert_eq!(svg.status, StatusCode::OK, "{chart}: {}", svg.text());
        assert!(svg.text().contains("step 8"), "{chart} says its step");
        let png = site.get(&format!("/api/runs/{id}/{chart}.png")).await;
        let picture = image::load_from_memory(&png.body)
            .expect("decodes")
            .to_rgb8();
        let coloured = picture.pixels().filter(|p| p.0[0] < 200).count();
        assert!(coloured > 500, "{chart} is drawn: {coloured} pixels");
    }
    let none = site
        .get(&format!("/api/runs/{id}/gap/moon/figure.svg"))
        .await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_batch_is_ordered_by_prototype_and_says_where_infonce_pushes() {
    let site = TestSite::new();
    let id = measured_run(&site).await;
    let answer = site
        .get(&format!("/api/runs/{id}/batch?step=4&batch=1"))
        .await;
    let found = answer.json();
    assert_eq!(answer.status, StatusCode::OK, "{found}");
    assert_eq!(
        (found["batches"].as_u64(), found["made_step"].as_u64()),
        (Some(3), Some(6))
    );
    let pairs = found["pairs"].as_array().expect("pairs");
    assert_eq!(pairs.len(), 4);
    let of = |pair: &serde_json::Value| pair["prototype"].as_u64().expect("a number");
    assert!(pairs.is_sorted_by_key(of), "{found}");
    let cosines = found["cosines"].as_array().expect("cosines");
    assert_eq!(cosines.len(), 16);
    let own = cosines[0].as_f64().expect("a cosine");
    assert!(
        (own - 0.36).abs() < 1e-3,
        "a pair shares its own direction: {own}"
    );
    assert_eq!(cosines[1], 0.0, "and nothing with another");
    // All unmatched pairs are alike, so the push follows the number of pairs.
    let share = |name: &str| found[name].as_f64().expect("a share");
    assert!((share("same_pairs_percent") - share("same_repulsion_percent")).abs() < 1e-3);
    let same: u64 = found["blocks"]
        .as_array()
        .expect("blocks")
        .iter()
        .map(|block| block["size"].as_u64().expect("a size"))
        .map(|size| size * (size - 1))
        .sum();
    assert!((share("same_pairs_percent") - 100.0 * same as f64 / 12.0).abs() < 1e-9);
    assert_eq!(
        found["pushed"].as_array().expect("pushed").len() as u64,
        same
    );
    let csv = site
        .get(&format!("/api/runs/{id}/batch.csv?step=4&batch=1"))
        .await;
    assert_eq!(csv.text().lines().count(), 17);
    let late = site.get(&format!("/api/runs/{id}/batch?batch=3")).await;
    assert_eq!(late.status, StatusCode::NOT_FOUND);
    assert!(
        late.text().contains("has 3, numbered from 0"),
        "{}",
        late.text()
    );
    let page = site
        .get(&format!("/runs/{id}/batch?step=4&batch=1&cells=repulsion"))
        .await;
    assert!(page.text().contains("which made step 6"), "{}", page.text());
    assert!(page.text().contains("data-cells=\"repulsion\""));
}

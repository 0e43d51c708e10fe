//! Prototypes in depth: what may be wrong with them, by page and by API.

use axum::http::{Method, StatusCode};
use image::{Rgb, RgbImage};
use protoclip::prototypes::{PrototypeSnapshot, SpaceClusters};
use protoclip_studio::studio::{RunId, RunState};
use serde_json::{Value, json};

use crate::support::scripted_runner::Action;
use crate::support::test_site::TestSite;

/// Colour and caption of each pair: the first three pictures are the same, 6 and 7 have one caption.
const PAIRS: [(u8, &str); 12] = [
    (9, "a dark square"),
    (9, "a black square"),
    (9, "nearly nothing"),
    (40, "a grey square"),
    (50, "a lighter square"),
    (60, "still grey"),
    (70, "A fox"),
    (80, "a fox"),
    (90, "a wolf"),
    (100, "a bear"),
    (110, "a crow"),
    (120, "a fish"),
];

/// A finished run on these pairs, whose twelve image prototypes hold these samples.
async fn run_with(site: &TestSite, assignments: [u32; 12]) -> RunId {
    let folder = site.folder.path().join("pairs");
    std::fs::create_dir_all(&folder).expect("creates");
    let mut rows = String::from("filepath,title\n");
    for (row, (shade, caption)) in PAIRS.iter().enumerate() {
        let picture = RgbImage::from_pixel(8, 8, Rgb([*shade; 3]));
        picture
            .save(folder.join(format!("{row}.png")))
            .expect("writes");
        rows.push_str(&format!("{row}.png,{caption}\n"));
    }
    let path = folder.join("pairs.csv");
    std::fs::write(&path, rows).expect("writes");
    let body = json!({
        "data": {"source": "csv", "path": path},
        "episode_size": 12, "batch_size": 4, "prototypes": {"count": 12},
    });
    let answer = site.ask(Method::POST, "/api/runs", Some(body)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let id = RunId::from(answer.json()["id"].as_str().expect("an id"));
    site.runner.steps(2);
    let clusters = SpaceClusters {
        count: 12,
        dim: 2,
        centroids: (0..24).map(|i| (i as f32).sin()).collect(),
        assignments: assignments.to_vec(),
        distances: vec![0.5; 12],
    };
    let snapshot = PrototypeSnapshot {
        episode: 0,
        step: 2,
        samples: (0..12).collect(),
        image: clusters.clone(),
        text: clusters,
        teacher: None,
    };
    let folder = site.folder.path().join("runs").join(id.as_str());
    let folder = folder.join("artifacts/prototypes");
    std::fs::create_dir_all(&folder).expect("creates");
    let file = folder.join("00000002.safetensors");
    snapshot.write(&file).expect("writes");
    site.runner.act(Action::Finish);
    site.wait_for_state(&id, RunState::Finished).await;
    id
}

fn ids(page: &Value) -> Vec<u64> {
    let listed = page["prototypes"].as_array().expect("a list");
    listed.iter().filter_map(|p| p["id"].as_u64()).collect()
}

#[tokio::test]
async fn signs_of_health_are_counted_shown_and_filtered_by() {
    let site = TestSite::new();
    let id = run_with(&site, [0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5]).await;
    let list = |health: &str| format!("/api/runs/{id}/prototypes?sort=id{health}");
    let all = site.get(&list("")).await.json();
    assert_eq!(
        all["health"],
        json!([
            {"health": "dead", "prototypes": 6},
            {"health": "overfull", "prototypes": 1},
            {"health": "single-caption", "prototypes": 1},
            {"health": "duplicate-images", "prototypes": 1},
        ])
    );
    assert_eq!(all["pictures"], json!({"done": 12, "total": 12}));
    assert_eq!(
        all["prototypes"][0]["health"],
        json!(["overfull", "duplicate-images"])
    );
    assert_eq!(all["prototypes"][0]["duplicates"], 2);
    for (health, wanted) in [
        ("dead", vec![6, 7, 8, 9, 10, 11]),
        ("overfull", vec![0]),
        ("single-caption", vec![1]),
        ("duplicate-images", vec![0]),
    ] {
        let page = site.get(&list(&format!("&health={health}"))).await.json();
        assert_eq!(ids(&page), wanted, "{health}");
        assert_eq!(page["health"], all["health"], "counts are of all");
    }
    let wrong = site.get(&list("&health=ill")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{}", wrong.text());
    let page = site
        .get(&format!("/runs/{id}/prototypes?health=overfull"))
        .await;
    let text = page.text();
    assert_eq!(text.matches("class=\"proto-card").count(), 1, "{text}");
    assert!(text.contains("2 duplicate images"), "{text}");
    let one = site.get(&format!("/runs/{id}/prototypes/1")).await.text();
    assert!(one.contains("single caption"), "{one}");
}

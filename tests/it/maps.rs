//! Maps of the image and text spaces: asked for, made, served, exported, cancelled, and the page.

use std::path::Path;

use axum::http::{Method, StatusCode};
use protoclip::prototypes::{FeaturePair, FeatureSnapshot};
use protoclip_studio::studio::RunId;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::support::scripted_runner::PATIENCE;
use crate::support::snapshot_fixture::write_snapshot;
use crate::support::test_site::TestSite;

const GROUPS: [u32; 12] = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1];

/// Features of the snapshot's samples in two bunches; texts are shifted.
fn write_features(run_directory: &Path, step: u64) {
    let image: Vec<f32> = (0..12)
        .flat_map(|i| {
            let side = if i < 6 { 1.0 } else { -1.0 };
            [side, 0.1 * i as f32, 0.3]
        })
        .collect();
    let text = image.iter().map(|v| v * 0.5 + 0.25).collect();
    let features = FeatureSnapshot {
        episode: step / 4,
        step,
        samples: (0..12).map(|i| 100 + i).collect(),
        tower: FeaturePair {
            dim: 3,
            image,
            text,
        },
        projected: None,
    };
    let folder = run_directory.join("artifacts").join("features");
    std::fs::create_dir_all(&folder).expect("creates");
    features
        .write(&folder.join(format!("{step:08}.safetensors")))
        .expect("writes");
}

/// A site with a run that has features at these steps.
async fn mapped(steps: &[u64]) -> (TestSite, RunId) {
    let site = TestSite::new();
    let id = site.running().await;
    let directory = site.folder.path().join("runs").join(id.as_str());
    for &step in steps {
        write_snapshot(&directory, step, GROUPS);
        write_features(&directory, step);
    }
    (site, id)
}

async fn ask(site: &TestSite, id: &RunId, key: Value) -> Value {
    let path = format!("/api/runs/{id}/map");
    let answer = site.ask(Method::POST, &path, Some(key)).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    answer.json()
}

/// Waits until no map of the run is on its way; all of them.
async fn settled(site: &TestSite, id: &RunId) -> Vec<Value> {
    let look = async {
        loop {
            let answer = site.get(&format!("/api/runs/{id}/maps")).await;
            let all = answer.json().as_array().expect("a list").clone();
            let pending = |map: &Value| map["state"] == "queued" || map["state"] == "running";
            if !all.iter().any(pending) {
                return all;
            }
            sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, look).await.expect("maps end")
}

/// The header of a packed answer and what follows it.
fn unpacked(bytes: &[u8]) -> (Value, &[u8]) {
    let length = u32::from_le_bytes(bytes[4..8].try_into().expect("four")) as usize;
    let header = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
    (header, &bytes[8 + length..])
}

fn places(bytes: &[u8]) -> Vec<[f64; 2]> {
    let (header, rest) = unpacked(bytes);
    let scale = header["scale"].as_f64().expect("a number");
    let place = |b: &[u8]| scale * f64::from(i16::from_le_bytes([b[0], b[1]]));
    rest.chunks_exact(4)
        .map(|b| [place(&b[..2]), place(&b[2..])])
        .collect()
}

#[tokio::test]
async fn a_map_is_made_once_and_keeps_groups_together() {
    let (site, id) = mapped(&[8]).await;
    let missing = site.get(&format!("/api/runs/{id}/map")).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    for space in ["image", "text", "joint"] {
        ask(&site, &id, json!({"space": space})).await;
    }
    let all = settled(&site, &id).await;
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all.iter().all(|map| map["state"] == "finished"), "{all:?}");
    let again = ask(&site, &id, json!({"space": "image", "step": 8})).await;
    assert_eq!(again["state"], "finished");
    let image = site.get(&format!("/api/runs/{id}/map?step=8")).await.body;
    let (header, _) = unpacked(&image);
    assert_eq!(
        (&header["points"], &header["finished"]),
        (&json!(12), &json!(true))
    );
    let places = places(&image);
    let distance =
        |a: usize, b: usize| (places[a][0] - places[b][0]).hypot(places[a][1] - places[b][1]);
    for a in 0..12 {
        let nearest = (0..12)
            .filter(|&b| b != a)
            .min_by(|&b, &c| distance(a, b).total_cmp(&distance(a, c)));
        assert_eq!(nearest.expect("some") / 6, a / 6, "{places:?}");
    }
    let joint = site
        .get(&format!("/api/runs/{id}/map?space=joint"))
        .await
        .body;
    assert_eq!(unpacked(&joint).0["points"], 24);
}

#[tokio::test]
async fn the_next_step_goes_on_from_the_map_before() {
    let (site, id) = mapped(&[8, 12]).await;
    for step in [8, 12] {
        ask(&site, &id, json!({"step": step})).await;
    }
    settled(&site, &id).await;
    let path = |step: u64| format!("/api/runs/{id}/map?step={step}");
    let first = site.get(&path(8)).await.body;
    let second = site.get(&path(12)).await.body;
    assert_eq!(unpacked(&second).0["after"], 8);
    // The features are the same, so each point stays nearer to its place than to the other bunch.
    let (a, b) = (places(&first), places(&second));
    for (p, q) in a.iter().zip(&b) {
        assert_eq!(p[0] > 0.0, q[0] > 0.0, "{a:?} {b:?}");
    }
}

#[tokio::test]
async fn columns_groups_and_samples_explain_the_points() {
    let (site, id) = mapped(&[8]).await;
    let packed = site.get(&format!("/api/runs/{id}/map/columns")).await.body;
    assert_eq!(&packed[..4], b"PCOL");
    let (header, rest) = unpacked(&packed);
    let names: Vec<&str> = header["columns"]
        .as_array()
        .expect("columns")
        .iter()
        .filter_map(|column| column["name"].as_str())
        .collect();
    assert_eq!(names[..3], ["sample", "image", "image_distance"]);
    assert!(
        names.contains(&"similarity") && names.contains(&"label:group"),
        "{names:?}"
    );
    assert_eq!(rest.len(), names.len() * 12 * 4);
    assert_eq!(rest[..4], 100_u32.to_le_bytes());
    let groups = site.get(&format!("/api/runs/{id}/map/groups")).await.json();
    assert_eq!(groups["of_prototype"].as_array().expect("three").len(), 3);
    assert_eq!(groups["groups"][0]["samples"], 6);
    let words = groups["labels"][0]["words"].as_array().expect("words");
    assert!(!words.is_empty());
    let path = format!("/api/runs/{id}/map/samples?samples=101,100,99999999");
    let samples = site.get(&path).await.json();
    assert_eq!(samples.as_array().expect("two").len(), 2, "{samples}");
    assert_eq!(samples[0]["sample"], 101);
    let picture = samples[0]["image_url"].as_str().expect("an address");
    assert_eq!(site.get(picture).await.status, StatusCode::OK);
    let wrong = site
        .get(&format!("/api/runs/{id}/map/samples?samples=1,x"))
        .await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text().contains("\\\"x\\\""), "{}", wrong.text());
}

#[tokio::test]
async fn a_finished_map_is_a_figure_and_a_table() {
    let (site, id) = mapped(&[8]).await;
    let early = site.get(&format!("/api/runs/{id}/map.svg")).await;
    assert_eq!(early.status, StatusCode::NOT_FOUND);
    for space in ["text", "joint"] {
        ask(&site, &id, json!({"space": space, "method": "pca"})).await;
    }
    settled(&site, &id).await;
    for (space, rows) in [("text", 12), ("joint", 24)] {
        let file = |kind: &str| format!("/api/runs/{id}/map.{kind}?space={space}&method=pca");
        let table = site.get(&file("csv")).await.text();
        let mut lines = table.lines();
        let head = "sample,modality,x,y,image_prototype,text_prototype";
        assert_eq!(lines.next(), Some(head));
        assert_eq!(lines.clone().count(), rows);
        let last = lines.last().expect("rows");
        assert!(
            last.starts_with("111,text,") && last.ends_with(",1,1"),
            "{last}"
        );
        let svg = site.get(&file("svg")).await.text();
        assert!(
            svg.contains("PCA of the") && svg.matches("<circle").count() > rows,
            "{svg}"
        );
        assert_eq!(&site.get(&file("png")).await.body[1..4], b"PNG");
    }
}

#[tokio::test]
async fn what_cannot_be_made_says_why() {
    let (site, id) = mapped(&[8]).await;
    let path = format!("/api/runs/{id}/map");
    let no_step = site
        .ask(Method::POST, &path, Some(json!({"step": 9})))
        .await;
    assert_eq!(no_step.status, StatusCode::NOT_FOUND);
    assert!(
        no_step.text().contains("there are some at 8"),
        "{}",
        no_step.text()
    );
    let wrong = site
        .ask(Method::POST, &path, Some(json!({"method": "umap"})))
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text().contains("umap"), "{}", wrong.text());
    let nothing = site.ask(Method::DELETE, &path, None).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
    ask(&site, &id, json!({"method": "diffusion"})).await;
    let all = settled(&site, &id).await;
    assert_eq!(all[0]["state"], "failed");
    let reason = all[0]["error"].as_str().expect("a reason");
    assert!(reason.contains("12 samples are too few"), "{reason}");
}

#[tokio::test]
async fn the_page_works_without_script() {
    let (site, id) = mapped(&[8, 12]).await;
    let path = format!("/runs/{id}/space");
    let empty = site.get(&path).await.text();
    assert!(empty.contains("data-steps=\"[8, 12]\""), "{empty}");
    assert!(
        empty.contains("press “Make missing maps”") && !empty.contains("<img class=\"no-script\"")
    );
    let form = "step=8&view=twin&method=pca&features=tower&colour=size&by=text";
    let made = site.submit(&path, form).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER);
    let back = made.headers["location"].to_str().expect("text").to_owned();
    assert!(
        back.contains("method=pca") && back.contains("colour=size"),
        "{back}"
    );
    settled(&site, &id).await;
    let shown = site.get(&back).await.text();
    let picture = "map.png?step=8&#38;space=image&#38;method=pca&#38;features=tower";
    assert!(shown.contains(picture), "{shown}");
    let (waiting, id) = mapped(&[]).await;
    let nothing = waiting.get(&format!("/runs/{id}/space")).await.text();
    assert!(nothing.contains("No maps yet") && nothing.contains("on their way"));
}

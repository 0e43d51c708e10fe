//! Prototypes in depth, by page and by API: what may be wrong with them, what they teach, and who
//! disagrees.

use axum::http::{Method, StatusCode};
use image::{Rgb, RgbImage};
use protoclip::prototypes::{FeaturePair, FeatureSnapshot, PrototypeSnapshot, SpaceClusters};
use protoclip_studio::studio::{RunId, RunState};
use serde_json::{Value, json};

use crate::support::scripted_runner::Action;
use crate::support::snapshot_fixture::write_snapshot;
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

/// Samples 0 to 5 in one group of the text space, the others in another one.
const TEXT: [u32; 12] = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1];

/// Sample 5 looks like the pictures of the second group.
fn image_feature(sample: usize) -> [f32; 2] {
    if sample < 5 { [1.0, 0.0] } else { [0.0, 1.0] }
}

fn text_feature(sample: usize) -> [f32; 2] {
    if sample < 6 { [-1.0, 0.0] } else { [0.0, -1.0] }
}

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
        "preset": "protoclip", "episode_size": 12, "batch_size": 4,
        "prototypes": {"count": 12, "target_temperature": 0.5},
    });
    let answer = site.ask(Method::POST, "/api/runs", Some(body)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let id = RunId::from(answer.json()["id"].as_str().expect("an id"));
    site.runner.steps(2);
    let clusters = |assignments: [u32; 12]| SpaceClusters {
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
        image: clusters(assignments),
        text: clusters(TEXT),
        teacher: None,
    };
    let features = FeatureSnapshot {
        episode: 0,
        step: 2,
        samples: (0..12).collect(),
        tower: FeaturePair {
            dim: 2,
            image: (0..12).flat_map(image_feature).collect(),
            text: (0..12).flat_map(text_feature).collect(),
        },
        projected: None,
    };
    let run = site.folder.path().join("runs").join(id.as_str());
    let file = |kind: &str| {
        let folder = run.join("artifacts").join(kind);
        std::fs::create_dir_all(&folder).expect("creates");
        folder.join("00000002.safetensors")
    };
    snapshot.write(&file("prototypes")).expect("writes");
    features.write(&file("features")).expect("writes");
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

const GROUPS: [u32; 12] = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1];

#[tokio::test]
async fn a_target_is_the_softmax_over_prototypes_with_samples() {
    let site = TestSite::new();
    let id = run_with(&site, GROUPS).await;
    let path = format!("/api/runs/{id}/prototypes/0/target?space=text");
    let target = site.get(&path).await.json();
    let centroid = |k: usize| [(2.0 * k as f64).sin(), (2.0 * k as f64 + 1.0).sin()];
    let weight = |k: usize| {
        let (a, b) = (centroid(0), centroid(k));
        ((a[0] * b[0] + a[1] * b[1]) / 0.5).exp()
    };
    let own = weight(0) / (weight(0) + weight(1));
    let entropy = -own * own.ln() - (1.0 - own) * (1.0 - own).ln();
    let number = |value: &Value| value.as_f64().expect("a number");
    assert!((number(&target["own"]) - own).abs() < 1e-5, "{target}");
    assert!(
        (number(&target["entropy"]) - entropy).abs() < 1e-5,
        "{target}"
    );
    assert_eq!(target["count"], 2, "the dead ones take no part");
    let csv = site
        .get(&path.replace("target?", "target.csv?"))
        .await
        .text();
    assert_eq!(csv.lines().count(), 3, "{csv}");
    let dead = site.get(&path.replace("/0/", "/7/")).await;
    assert_eq!(dead.status, StatusCode::NOT_FOUND);
    let page = site
        .get(&format!("/runs/{id}/prototypes/0?space=text"))
        .await;
    assert!(page.text().contains("Soft target"), "{}", page.text());
}

#[tokio::test]
async fn a_sample_is_followed_through_back_translation() {
    let site = TestSite::new();
    let id = run_with(&site, GROUPS).await;
    let path = format!("/api/runs/{id}/prototypes/1/translation?space=image&sample=5");
    let way = site.get(&path).await.json();
    let direction = &way["directions"][0];
    assert_eq!(
        (&direction["student"], &direction["teacher"]),
        (&json!("image"), &json!("text"))
    );
    assert_eq!(direction["teacher_prototype"]["prototype"], 0);
    assert_eq!(direction["own_prototype"]["prototype"], 1);
    let hop = |kind: &str| {
        let hops = direction["hops"].as_array().expect("a list");
        let found = hops.iter().find(|hop| hop["kind"] == kind).expect("a hop");
        found["distance"].as_f64().expect("a number")
    };
    // The text teacher's group is samples 0 to 5, five of which lie at (1, 0), one at (0, 1).
    let there = [5.0 / 6.0, 1.0 / 6.0];
    let distance = f64::hypot(there[0], there[1] - 1.0);
    assert!((hop("translated") - distance).abs() < 1e-5, "{way}");
    assert!((hop("pair") - 2f64.sqrt()).abs() < 1e-5, "{way}");
    assert_eq!(direction["translated"]["rank"], 2, "{way}");
    let csv = site
        .get(&path.replace("translation?", "translation.csv?"))
        .await;
    assert_eq!(csv.text().lines().count(), 15, "{}", csv.text());
    let elsewhere = site.get(&path.replace("sample=5", "sample=0")).await;
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND);
    let message = elsewhere.json()["error"].to_string();
    assert!(
        message.contains("sample 0 is not in this prototype"),
        "{message}"
    );
    let page = site.get(&format!("/runs/{id}/prototypes/1?sample=5")).await;
    let text = page.text();
    assert!(text.contains("The image student, taught by text"), "{text}");
    assert!(text.contains("ranks 2 of 2"), "{text}");
}

#[tokio::test]
async fn the_board_lists_whom_the_student_would_put_elsewhere() {
    let site = TestSite::new();
    let id = run_with(&site, GROUPS).await;
    let path = format!("/api/runs/{id}/disagreements");
    let board = site.get(&path).await.json();
    assert_eq!(
        (&board["scored"], &board["disagreeing"]),
        (&json!(12), &json!(1))
    );
    let row = &board["rows"][0];
    assert_eq!(row["sample"], 5);
    assert_eq!(row["teacher"]["prototype"], 0);
    assert_eq!(row["choice"]["prototype"], 1);
    assert!(row["probability"].as_f64() > row["teacher_probability"].as_f64());
    let none = site.get(&format!("{path}?q=fox")).await.json();
    assert_eq!(
        (&none["matching"], &none["disagreeing"]),
        (&json!(0), &json!(1))
    );
    let csv = site.get(&format!("{path}.csv")).await.text();
    assert!(
        csv.lines().nth(1).expect("a row").starts_with("5,0,"),
        "{csv}"
    );
    let itself = site.get(&format!("{path}?student=text&teacher=text")).await;
    assert_eq!(itself.status, StatusCode::CONFLICT, "{}", itself.text());
    let page = site
        .get(&format!("/runs/{id}/prototypes/disagreement"))
        .await;
    let text = page.text();
    assert!(
        text.contains("disagrees with its text teacher on 1 of 12"),
        "{text}"
    );
    assert!(text.contains("still grey"), "{text}");
    let filtered = site
        .get(&format!("/runs/{id}/prototypes/disagreement?q=fox"))
        .await;
    assert!(filtered.text().contains("No caption matches"));
}

#[tokio::test]
async fn without_features_the_pages_say_so() {
    let site = TestSite::new();
    let id = run_with(&site, GROUPS).await;
    let folder = site.folder.path().join("runs").join(id.as_str());
    std::fs::remove_dir_all(folder.join("artifacts/features")).expect("removes");
    let page = site.get(&format!("/runs/{id}/prototypes/0")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("Nothing to follow"), "{}", page.text());
    let board = site
        .get(&format!("/runs/{id}/prototypes/disagreement"))
        .await;
    assert_eq!(board.status, StatusCode::OK);
    assert!(
        board.text().contains("Nothing to compare"),
        "{}",
        board.text()
    );
}

#[tokio::test]
async fn prototypes_are_gathered_into_any_number_of_groups() {
    let site = TestSite::new();
    let id = run_with(&site, [0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5]).await;
    let at = |cut: &str| format!("/api/runs/{id}/prototypes/groups{cut}");
    let fine = site.get(&at("?cut=999")).await.json();
    assert_eq!((&fine["most"], &fine["cut"]), (&json!(6), &json!(6)));
    let coarse = site.get(&at("?cut=2")).await.json();
    let groups = coarse["groups"].as_array().expect("a list");
    assert_eq!(groups.len(), 2);
    let samples: Vec<u64> = groups
        .iter()
        .filter_map(|g| g["samples"].as_u64())
        .collect();
    assert_eq!(samples.iter().sum::<u64>(), 12);
    assert!(samples[0] >= samples[1], "largest first: {samples:?}");
    // A cut into fewer groups never divides a group of a finer one.
    let of = |cut: &Value| cut["of_prototype"].as_array().expect("a list").clone();
    let mut joined = std::collections::HashMap::new();
    let middle = site.get(&at("?cut=4")).await.json();
    for (fine, coarse) in of(&middle).iter().zip(of(&coarse)).take(6) {
        let known = joined
            .entry(fine.as_u64())
            .or_insert_with(|| coarse.clone());
        assert_eq!(*known, coarse);
    }
    let csv = site.get(&at(".csv?cut=2")).await.text();
    assert_eq!(csv.lines().count(), 13, "{csv}");
    let wrong = site.get(&at("?cut=many")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{}", wrong.text());
    let page = site
        .get(&format!("/runs/{id}/prototypes/groups?cut=2"))
        .await;
    let text = page.text();
    assert!(
        text.contains("6 prototypes with samples in 2 groups"),
        "{text}"
    );
}

#[tokio::test]
async fn prototypes_are_followed_from_snapshot_to_snapshot() {
    let site = TestSite::new();
    let id = site.running().await;
    let run = site.folder.path().join("runs").join(id.as_str());
    // The first group splits, the second one goes on.
    write_snapshot(&run, 4, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
    write_snapshot(&run, 8, [0, 0, 0, 0, 2, 2, 2, 2, 1, 1, 1, 1]);
    let path = format!("/api/runs/{id}/prototypes");
    let over = site.get(&format!("{path}/over-time")).await.json();
    assert_eq!((&over["done"], &over["steps"]), (&json!(2), &json!([4, 8])));
    let change = &over["changes"][0];
    assert_eq!((&change["from"], &change["step"]), (&json!(4), &json!(8)));
    assert_eq!(
        (&change["splits"], &change["merges"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(change["common"], 12);
    assert!((change["churn"].as_f64().expect("a share") - 4.0 / 12.0).abs() < 1e-9);
    let agreement = &over["agreement"][1]["pairs"][0];
    assert_eq!(agreement["spaces"], json!(["image", "text"]));
    let ami = agreement["ami"].as_f64().expect("a number");
    assert!(0.0 < ami && ami < 1.0, "{ami}");
    let river = site.get(&format!("{path}/river")).await.json();
    let flows = river["flows"].as_array().expect("a list");
    let samples: u64 = flows
        .iter()
        .filter_map(|flow| flow["samples"].as_u64())
        .sum();
    assert_eq!((flows.len(), samples), (3, 12), "{river}");
    let kin = site.get(&format!("{path}/2/lineage?step=8")).await.json();
    assert_eq!(kin["before"]["event"], "split");
    assert_eq!(kin["before"]["relatives"][0]["prototype"]["prototype"], 0);
    assert_eq!(kin["after"], Value::Null);
    for (file, lines) in [("agreement", 3), ("changes", 2), ("river", 4)] {
        let text = site.get(&format!("{path}/{file}.csv")).await.text();
        assert_eq!(text.lines().count(), lines, "{file}: {text}");
    }
    for (chart, said) in [
        ("river", "groups of image prototypes, steps 4 to 8"),
        ("agreement", "agreement of the groupings"),
        ("2/target", "of image prototype 2, step 8"),
    ] {
        let svg = site.get(&format!("{path}/{chart}.svg")).await;
        assert_eq!(svg.status, StatusCode::OK, "{chart}: {}", svg.text());
        assert!(svg.text().contains(said), "{chart}: {}", svg.text());
        let png = site.get(&format!("{path}/{chart}.png")).await;
        let picture = image::load_from_memory(&png.body);
        let picture = picture.expect("decodes").to_rgb8();
        // Colours, not only black text on white.
        let hued = picture.pixels().filter(|p| p.0[0].abs_diff(p.0[2]) > 60);
        assert!(hued.count() > 500, "{chart} is drawn");
    }
    let alone = site.get(&format!("{path}/river.svg?step=4")).await;
    assert_eq!(alone.status, StatusCode::NOT_FOUND, "{}", alone.text());
    let page = site.get(&format!("/runs/{id}/prototypes/over-time")).await;
    let text = page.text();
    for file in ["river.csv", "river.svg", "river.png", "agreement.png"] {
        assert!(text.contains(&format!("{path}/{file}?")), "{file}: {text}");
    }
    assert_eq!(text.matches("class=\"stream river-").count(), 3, "{text}");
    assert!(text.contains("Do the spaces group alike?"), "{text}");
    let grid = site
        .get(&format!("/runs/{id}/prototypes?step=8"))
        .await
        .text();
    let shown = format!("AMI × 100 {:.2}", 100.0 * ami);
    assert!(grid.contains(&shown), "{shown}: {grid}");
    let one = site
        .get(&format!("/runs/{id}/prototypes/2?step=8"))
        .await
        .text();
    assert!(one.contains("Part of a split since step 4"), "{one}");
    site.runner.act(Action::Finish);
}

#[tokio::test]
async fn a_number_that_a_step_does_not_have_leads_to_its_descendants() {
    let site = TestSite::new();
    let id = site.running().await;
    let run = site.folder.path().join("runs").join(id.as_str());
    // Three prototypes, then two: number 2 is gone, its samples are in number 1.
    write_snapshot(&run, 4, [0, 0, 0, 0, 2, 2, 2, 2, 1, 1, 1, 1]);
    write_snapshot(&run, 8, [0, 0, 0, 0, 2, 2, 2, 2, 1, 1, 1, 1]);
    let file = run.join("artifacts/prototypes/00000008.safetensors");
    let mut fewer = PrototypeSnapshot::read(&file).expect("reads");
    fewer.image.count = 2;
    fewer.image.centroids.truncate(4);
    for assigned in &mut fewer.image.assignments {
        *assigned = u32::from(*assigned > 0);
    }
    fewer.write(&file).expect("writes");
    write_snapshot(&run, 12, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
    let path = format!("/runs/{id}/prototypes");
    let page = site.get(&format!("{path}/2?step=8")).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    let text = page.text();
    for wanted in [
        "There is no prototype 2 at step 8",
        "2 prototypes at this step, numbered from 0 to 1",
        "was last there at step 4. Merged into another by step 8. Shares of its samples",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let link = |k: usize, step: u64| format!("{path}/{k}?space=image&#38;step={step}");
    for (k, step, links) in [(1, 8, 1), (0, 8, 0), (2, 4, 1), (2, 12, 1), (2, 8, 0)] {
        let found = text.matches(&link(k, step)).count();
        assert_eq!(found, links, "{k} at {step}: {text}");
    }
    // Without an earlier occurrence, the ancestors of the first one.
    std::fs::remove_file(run.join("artifacts/prototypes/00000004.safetensors")).expect("removes");
    let text = site.get(&format!("{path}/2?step=8")).await.text();
    assert!(text.contains("comes first at step 12."), "{text}");
    assert!(text.contains(&link(1, 8)), "{text}");
    let none = site.get(&format!("{path}/77?step=8")).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert!(none.text().contains("No snapshot of this run has so many"));
    let no_number = site.get(&format!("{path}/fox?step=8")).await;
    assert_eq!(no_number.status, StatusCode::NOT_FOUND);
    let api = site.get(&format!("/api{path}/2?step=8")).await;
    assert_eq!(api.status, StatusCode::NOT_FOUND);
    site.runner.act(Action::Finish);
}

//! Data sets: added by path, browsed page by page, their broken rows listed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::Value;

use crate::support::scripted_runner::PATIENCE;
use crate::support::test_site::TestSite;

/// A CSV file of five rows, two of which cannot be used.
fn pairs_file(folder: &Path) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/protoclip/tests/golden/images");
    for name in ["landscape.png", "portrait.png", "gray.png"] {
        std::fs::copy(golden.join(name), folder.join(name)).expect("copies");
    }
    let rows = [
        "filepath,title,kind",
        "landscape.png,a wide red picture,colour",
        "portrait.png,a tall red picture,colour",
        "gray.png,a wide red picture,grey",
        "gone.png,nothing,colour",
        "gray.png,,grey",
    ];
    let path = folder.join("pairs.csv");
    std::fs::write(&path, rows.join("\n")).expect("writes");
    path
}

/// Waits for the end of the newest piece of work.
pub(crate) async fn ended_work(site: &TestSite) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let work = site.get("/api/work").await.json()[0].clone();
        if work["state"] != "running" {
            return work;
        }
        assert!(Instant::now() < end, "{work}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Adds a data set by the form and waits until it is open; the address of its page.
pub(crate) async fn added(site: &TestSite, form: &str) -> String {
    let added = site.submit("/datasets/add", form).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.text());
    let work = ended_work(site).await;
    assert_eq!(work["state"], "done", "{form}: {work}");
    added.header("location").to_owned()
}

#[tokio::test]
async fn a_file_is_added_browsed_and_remembered() {
    let site = TestSite::new();
    let folder = tempfile::tempdir().expect("folder");
    let file = pairs_file(folder.path());
    let form = format!("source=csv&path={}&label_columns=kind", file.display());
    let path = added(&site, &form).await;
    let page = site.get(&path).await.text();
    for expected in [
        "a tall red picture",
        "missing file",
        "empty caption",
        "gone.png",
        "colour",
    ] {
        assert!(page.contains(expected), "{expected} in {page}");
    }
    let api = format!("/api{path}");
    let found = site
        .get(&format!("{api}/pairs?q=WIDE&column=kind&class=grey"))
        .await
        .json();
    assert_eq!(found["matching"], 1);
    assert_eq!(found["pairs"][0]["sample"], 2);
    let second = site
        .get(&format!("{api}/pairs?offset=1&limit=1"))
        .await
        .json();
    assert_eq!(second["pairs"][0]["caption"], "a tall red picture");
    let captions = site.get(&format!("{api}/captions")).await.json();
    assert_eq!(captions["repeated"][0][1], 2);
    let skipped = site.get(&format!("{api}/skipped.csv")).await.text();
    assert_eq!(skipped.lines().count(), 3, "{skipped}");
    let words = site.get(&format!("{api}/words.csv")).await.text();
    assert!(words.contains("\"red\",3"), "{words}");

    let later = TestSite::over(site.end());
    let list = later.get("/api/datasets").await.json();
    let known: Vec<&str> = list
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|set| set["name"].as_str())
        .collect();
    assert_eq!(known, ["built-in emoji", "pairs.csv"]);
    assert!(later.get(&path).await.text().contains("Open the data set"));
    let opened = later.submit(&format!("{path}/open"), "").await;
    assert_eq!(opened.status, StatusCode::SEE_OTHER);
    assert_eq!(ended_work(&later).await["state"], "done");
}

#[tokio::test]
async fn what_cannot_be_opened_names_its_field() {
    let site = TestSite::new();
    for (form, message) in [
        ("source=csv&path=", "give a file or folder"),
        ("source=csv&path=near.csv", "whole path"),
        ("source=csv&path=/no/such.csv", "does not exist"),
        ("source=csv&path=/tmp&separator=ab", "one character"),
        ("source=csv&path=/tmp", "is no file"),
        #[cfg(not(feature = "s3"))]
        (
            "source=webdataset&path=s3://bucket/x.tar",
            "cargo build --release --features s3",
        ),
    ] {
        let answer = site.submit("/datasets/add", form).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        assert!(answer.text().contains(message), "{form}: {}", answer.text());
    }
    assert_eq!(
        site.get("/datasets/nothing").await.status,
        StatusCode::NOT_FOUND
    );
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("pairs.csv");
    std::fs::write(&file, "a,b\n1,2\n").expect("writes");
    let form = format!("source=csv&path={}", file.display());
    assert_eq!(
        site.submit("/datasets/add", &form).await.status,
        StatusCode::SEE_OTHER
    );
    let work = ended_work(&site).await;
    assert_eq!(
        (&work["state"], &work["field"]),
        (&"failed".into(), &"data.path".into()),
        "{work}"
    );
}

#[tokio::test]
async fn pictures_that_two_pairs_share_are_found_and_the_search_can_be_cancelled() {
    let site = TestSite::new();
    let folder = tempfile::tempdir().expect("folder");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/protoclip/tests/golden/images");
    let copies = [
        ("a.png", "landscape.png"),
        ("b.png", "portrait.png"),
        ("c.png", "landscape.png"),
    ];
    let mut rows = String::from("filepath,title\n");
    for (name, of) in copies {
        std::fs::copy(golden.join(of), folder.path().join(name)).expect("copies");
        rows += &format!("{name},caption of {name}\n");
    }
    let path = folder.path().join("pairs.csv");
    std::fs::write(&path, rows).expect("writes");
    let form = format!("source=csv&path={}", path.display());
    let added = site.submit("/datasets/add", &form).await;
    let page = added.header("location").to_owned();
    assert_eq!(ended_work(&site).await["state"], "done");
    let before = site.get(&page).await.text();
    assert!(before.contains("No pictures were compared yet"), "{before}");
    let begun = site.submit(&format!("{page}/pictures"), "").await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text());
    let work = ended_work(&site).await;
    assert_eq!(
        work["message"], "1 picture belongs to more than one pair",
        "{work}"
    );
    let after = site.get(&page).await.text();
    assert!(
        after.contains("All 3 pictures were compared. 1 belong"),
        "{after}"
    );
    assert!(
        after.contains("caption of a.png · caption of c.png"),
        "{after}"
    );
    let found = site.get(&format!("/api{page}/repeats")).await.json();
    assert_eq!(found["listed"][0]["pairs"], 2, "{found}");
    let table = site.get(&format!("/api{page}/repeats.csv")).await.text();
    assert_eq!(table.lines().count(), 3, "{table}");
    // The built-in data has thousands of pictures, so there is time to change one's mind.
    let begun = site.post("/api/datasets/builtin/pictures").await;
    assert_eq!(begun.status, StatusCode::ACCEPTED, "{}", begun.text());
    let id = begun.json()["id"].clone();
    let cancel = site
        .ask(axum::http::Method::DELETE, &format!("/api/work/{id}"), None)
        .await;
    assert_eq!(cancel.status, StatusCode::ACCEPTED, "{}", cancel.text());
    assert_eq!(ended_work(&site).await["state"], "cancelled");
}

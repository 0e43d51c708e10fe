//! What a run gives to other programs: tables, TensorBoard's event files, its projector's files.

use axum::body::Bytes;
use axum::http::StatusCode;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use protoclip::analysis::MapMethod;
use protoclip::prototypes::{FeaturePair, FeatureSnapshot};
use protoclip_studio::studio::{MapKey, RunDirectory, RunId, export_tensorboard};
use serde_json::json;

use crate::support::scripted_runner::Action;
use crate::support::snapshot_fixture::write_snapshot;
use crate::support::test_site::TestSite;

/// A run with three points, one evaluation, prototypes and features at its third step.
async fn run(site: &TestSite) -> RunId {
    let id = site.running().await;
    site.runner.steps(3);
    site.runner
        .act(Action::Evaluate(vec![("eval/recall_mean", 12.5)]));
    let directory = site.folder.path().join("runs").join(id.as_str());
    write_snapshot(&directory, 3, [0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 1]);
    let features = FeatureSnapshot {
        episode: 0,
        step: 3,
        samples: (100..112).collect(),
        tower: FeaturePair {
            dim: 2,
            image: (0..24).map(|i| i as f32).collect(),
            text: (0..24).map(|i| i as f32 + 0.5).collect(),
        },
        projected: None,
    };
    let folder = directory.join("artifacts").join("features");
    std::fs::create_dir_all(&folder).expect("creates");
    let path = folder.join("00000003.safetensors");
    features.write(&path).expect("writes");
    site.runner.act(Action::Finish);
    site.wait_for(&id, |run| run.state.name() == "finished")
        .await;
    id
}

async fn table(site: &TestSite, path: &str, content_type: &str) -> Vec<String> {
    let answer = site.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    assert!(
        answer.header("content-type").starts_with(content_type),
        "{path}"
    );
    assert!(
        answer.header("content-disposition").contains("attachment"),
        "{path}"
    );
    answer.text().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn lists_of_a_run_are_tables() {
    let site = TestSite::new();
    let id = run(&site).await;
    site.ask(
        axum::http::Method::PATCH,
        &format!("/api/runs/{id}"),
        Some(json!({"name": "=a \"b\", c"})),
    )
    .await;
    let runs = table(&site, "/api/runs.csv", "text/csv").await;
    assert_eq!(runs.len(), 2);
    let start = format!("{id},\"'=a \"\"b\"\", c\",finished,");
    assert!(runs[1].starts_with(&start), "{}", runs[1]);
    assert!(runs[1].ends_with(",2.5,12.5,"), "{}", runs[1]);
    let log = table(&site, &format!("/api/runs/{id}/log.csv"), "text/csv").await;
    let lines = site.studio.log(&id, 0, 1000).expect("reads");
    assert_eq!(log.len(), lines.len() + 1);
    assert!(
        log.iter()
            .any(|line| line.contains(",state,info,\"finished\"")),
        "{log:?}"
    );
    let config = table(&site, &format!("/api/runs/{id}/config.csv"), "text/csv").await;
    let preset = format!(
        "preset,\"{}\"",
        site.studio
            .run(&id)
            .expect("exists")
            .preset
            .expect("trained here")
            .name()
    );
    assert!(config.contains(&preset), "{config:?}");
    assert!(
        config
            .iter()
            .any(|line| line.starts_with("prototypes.count,"))
    );
    let path = format!("/api/runs/{id}/prototypes.csv?sort=id");
    let prototypes = table(&site, &path, "text/csv").await;
    assert_eq!(prototypes.len(), 4, "a header and three prototypes");
    assert!(prototypes[1].starts_with("3,image,0,6,"), "{prototypes:?}");
    assert!(
        prototypes[3].starts_with("3,image,2,0,"),
        "the empty one too"
    );
}

/// Payloads of an event file's records.
fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
        let length = u64::from_le_bytes(*length) as usize;
        found.push(rest[4..4 + length].to_vec());
        bytes = &rest[4 + length + 4..];
    }
    found
}

#[tokio::test]
async fn every_point_is_in_the_event_file_and_the_command_writes_the_same() {
    let site = TestSite::new();
    let id = run(&site).await;
    let answer = site.get(&format!("/api/runs/{id}/tensorboard")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert!(
        answer
            .header("content-disposition")
            .contains("events.out.tfevents.")
    );
    let records = records(&answer.body);
    let of = |tag: &str| {
        let holds = |record: &&Vec<u8>| record.windows(tag.len()).any(|w| w == tag.as_bytes());
        records.iter().filter(holds).count()
    };
    assert_eq!(of("brain.Event:2"), 1);
    assert_eq!((of("train/loss_total"), of("eval/recall_mean")), (3, 1));
    assert_eq!(records.len(), 5);
    let out = tempfile::tempdir().expect("temporary folder");
    let directory = site.folder.path().join("runs").join(id.as_str());
    let path = export_tensorboard(&RunDirectory::at(directory), out.path()).expect("writes");
    assert_eq!(path.parent(), Some(out.path().join(id.as_str()).as_path()));
    assert_eq!(std::fs::read(path).expect("reads"), answer.body);
}

#[tokio::test]
async fn features_are_two_tables_of_equal_length_for_the_projector() {
    let site = TestSite::new();
    let id = run(&site).await;
    let tsv = "text/tab-separated-values";
    let folder = format!("/api/runs/{id}/embeddings");
    let vectors = table(&site, &format!("{folder}/vectors.tsv"), tsv).await;
    assert_eq!((vectors.len(), vectors[1].as_str()), (12, "2\t3"));
    let text = format!("{folder}/vectors.tsv?space=text&kind=tower&step=3");
    assert_eq!(table(&site, &text, tsv).await[0], "0.5\t1.5");
    let metadata = table(&site, &format!("{folder}/metadata.tsv"), tsv).await;
    assert_eq!(metadata.len(), 13, "a header more than vectors");
    assert_eq!(
        metadata[0],
        "sample\tcaption\timage prototype\ttext prototype"
    );
    let first: Vec<&str> = metadata[1].split('\t').collect();
    assert_eq!((first[0], first[2], first[3]), ("100", "0", "0"));
    assert!(!first[1].is_empty(), "a caption of the built-in data");
    for query in ["space=teacher", "step=2"] {
        let absent = site.get(&format!("{folder}/metadata.tsv?{query}")).await;
        assert_eq!(absent.status, StatusCode::NOT_FOUND, "{query}");
    }
}

/// The rows of a Parquet table, each a list of named fields.
fn rows(body: Vec<u8>) -> Vec<Vec<(String, Field)>> {
    let file = SerializedFileReader::new(Bytes::from(body)).expect("a Parquet file");
    let rows = file.get_row_iter(None).expect("rows");
    rows.map(|row| row.expect("a row").into_columns()).collect()
}

fn field<'a>(row: &'a [(String, Field)], name: &str) -> &'a Field {
    let found = row.iter().find(|(column, _)| column == name);
    &found.unwrap_or_else(|| panic!("no {name} in {row:?}")).1
}

#[tokio::test]
async fn a_step_is_a_table_for_data_frames() {
    let site = TestSite::new();
    let id = run(&site).await;
    let path = format!("/api/runs/{id}/embeddings.parquet");
    let answer = site.get(&path).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let disposition = answer.header("content-disposition");
    assert!(
        disposition.contains("00000003-image-pca-clustered.parquet"),
        "without a t-SNE map it is PCA, and says so: {disposition}"
    );
    let image = rows(answer.body.to_vec());
    assert_eq!(image.len(), 12);
    let prototypes: Vec<&Field> = image.iter().map(|r| field(r, "image_prototype")).collect();
    let want = [0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 1].map(Field::UInt);
    assert_eq!(prototypes, want.iter().collect::<Vec<_>>());
    let set = site.studio.map_samples(&id, &[100]).expect("reads");
    let first = &image[0];
    assert_eq!(*field(first, "sample"), Field::UInt(100));
    assert_eq!(*field(first, "caption"), Field::Str(set[0].caption.clone()));
    let address = Field::Str("/api/datasets/builtin/samples/100/image".into());
    assert_eq!(*field(first, "image"), address);
    assert!(matches!(field(first, "origin"), Field::Str(_)));
    assert!(matches!(field(first, "label:group"), Field::Str(_)));
    // The features lie on a line of equal distances, 2·√2 apart, and so must their PCA.
    let x = |row: usize| match field(&image[row], "x") {
        Field::Float(x) => *x,
        other => panic!("{other:?}"),
    };
    for row in 1..12 {
        assert!(((x(row) - x(row - 1)).abs() - 8.0_f32.sqrt()).abs() < 1e-3);
    }
    let joint = site.get(&format!("{path}?space=joint&vectors=true")).await;
    let joint = rows(joint.body.to_vec());
    assert_eq!(joint.len(), 24);
    assert_eq!(*field(&joint[12], "modality"), Field::Str("text".into()));
    assert_eq!(*field(&joint[12], "sample"), Field::UInt(100));
    let Field::ListInternal(feature) = field(&joint[13], "feature") else {
        panic!("no list: {:?}", joint[13]);
    };
    assert_eq!(feature.elements(), [Field::Float(2.5), Field::Float(3.5)]);
}

#[tokio::test]
async fn a_table_of_a_map_that_is_not_there_says_how_to_get_it() {
    let site = TestSite::new();
    let id = run(&site).await;
    let path = format!("/api/runs/{id}/embeddings.parquet");
    for (query, status, word) in [
        ("method=tsne", StatusCode::NOT_FOUND, "POST"),
        ("step=2", StatusCode::NOT_FOUND, "3"),
        ("space=teacher", StatusCode::BAD_REQUEST, "space"),
        ("vectors=many", StatusCode::BAD_REQUEST, "vectors"),
    ] {
        let answer = site.get(&format!("{path}?{query}")).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
        assert!(answer.text().contains(word), "{query}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_finished_map_gives_its_places_to_the_table() {
    let site = TestSite::new();
    let id = run(&site).await;
    let key = MapKey {
        step: 3,
        method: MapMethod::Random,
        ..MapKey::default()
    };
    site.studio.start_map(&id, key).expect("asks");
    let file = loop {
        let answer = site
            .get(&format!("/api/runs/{id}/map.csv?method=random"))
            .await;
        if answer.status == StatusCode::OK {
            break answer.text();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let path = format!("/api/runs/{id}/embeddings.parquet?method=random");
    let table = rows(site.get(&path).await.body.to_vec());
    for (line, row) in file.lines().skip(1).zip(&table) {
        let values: Vec<&str> = line.split(',').collect();
        for (name, value) in [("x", values[2]), ("y", values[3])] {
            let want = Field::Float(value.parse().expect("a number"));
            assert_eq!(*field(row, name), want, "{line}");
        }
    }
    assert_eq!(table.len(), 12);
}

//! Tests of [`evaluate`](super::evaluate) with a small untrained model on pictures made by rule.

use image::{Rgb, RgbImage};
use tempfile::TempDir;

use super::*;
use crate::config::{DataConfig, DataSource, Fidelity};
use crate::device::ComputeDevice;
use crate::model::ClipConfig;
use crate::tokenizer::Tokenizer;

/// Three plain colours, each picture a shade of one, in a CSV file with two captions for some.
fn data(folder: &TempDir, labels: &[&str]) -> Arc<dyn PairSource> {
    let mut rows = String::from("filepath,title,colour,side\n");
    for picture in 0..24u8 {
        let shade = 90 + picture * 6;
        let (name, colour) = [
            ("red", Rgb([shade, 0, 0])),
            ("green", Rgb([0, shade, 0])),
            ("blue", Rgb([0, 0, shade])),
        ][usize::from(picture) % 3];
        let file = format!("{picture}.png");
        RgbImage::from_pixel(32, 32, colour)
            .save(folder.path().join(&file))
            .expect("saves");
        let side = if picture < 12 { "train" } else { "test" };
        rows += &format!("{file},a {name} square {picture},{name},{side}\n");
        if picture % 4 == 0 {
            rows += &format!("{file},plain {name} number {picture},{name},{side}\n");
        }
    }
    let path = folder.path().join("pairs.csv");
    std::fs::write(&path, rows).expect("writes");
    let config = DataConfig {
        source: DataSource::Csv,
        path: Some(path),
        label_columns: labels.iter().map(|&l| l.to_owned()).collect(),
        ..DataConfig::default()
    };
    data::open(&config, &|_, _| true).expect("opens")
}

fn encoder() -> Encoder {
    let device = ComputeDevice::cpu().device;
    let config = ClipConfig::named("vit-nano-32").expect("known");
    let model = config.init(3, Fidelity::Corrected, &device);
    Encoder::new(model, device, Arc::new(Tokenizer::new()), 7).expect("CLIP's vocabulary")
}

fn without_seconds(mut report: EvaluationReport) -> EvaluationReport {
    fn still<T>(part: &mut Part<T>) {
        if let Part::Measured { seconds, .. } = part {
            *seconds = 0.0;
        }
    }
    report.seconds_extract = 0.0;
    still(&mut report.spaces);
    still(&mut report.retrieval);
    for column in &mut report.columns {
        still(&mut column.zero_shot);
        still(&mut column.grouping);
        still(&mut column.separation);
        still(&mut column.linear_probe);
    }
    report
}

#[test]
fn everything_is_measured_once_and_the_same_way_again() {
    let folder = TempDir::new().expect("temporary folder");
    let data = data(&folder, &["colour"]);
    let encoder = encoder();
    let options = EvaluationOptions {
        linear_probe: true,
        ..EvaluationOptions::default()
    };
    let run = || evaluate(&encoder, &data, &options, &|_, _, _| true).expect("evaluated");
    let report = run();
    assert_eq!((report.data.pairs, report.data.pictures), (30, 24));
    assert_eq!(report.data.measured_captions, 30);
    let retrieval = report.retrieval.value().expect("measured");
    assert_eq!((retrieval.pictures, retrieval.captions), (24, 30));
    let [column] = &report.columns[..] else {
        panic!("one column: {:?}", report.columns);
    };
    assert_eq!(column.classes, ["red", "green", "blue"]);
    let zero_shot = column.zero_shot.value().expect("measured");
    assert_eq!((zero_shot.pictures, zero_shot.top5), (24, 100.0));
    // Plain colours are far apart even for a model that has learned nothing.
    let probe = column.linear_probe.value().expect("measured");
    assert_eq!((probe.top1, probe.test_samples), (100.0, 4));
    assert!(column.separation.value().expect("measured").silhouette > 0.0);
    assert_eq!(without_seconds(run()), without_seconds(report.clone()));
    let json = serde_json::to_string(&report).expect("writes");
    let read: EvaluationReport = serde_json::from_str(&json).expect("reads");
    assert_eq!(without_seconds(read).columns[0].column, "colour");
}

#[test]
fn held_out_pairs_are_measured_and_the_probe_learns_from_the_others() {
    let folder = TempDir::new().expect("temporary folder");
    let data = data(&folder, &["colour", "side"]);
    let options = EvaluationOptions {
        linear_probe: true,
        holdout: Some("column:side=test".parse().expect("a rule")),
        ..EvaluationOptions::default()
    };
    let report = evaluate(&encoder(), &data, &options, &|_, _, _| true).expect("evaluated");
    assert_eq!(report.data.measured_pictures, 12);
    assert_eq!(report.data.pictures, 24);
    assert_eq!(report.columns.len(), 1, "the splitting column is no label");
    let column = &report.columns[0];
    assert_eq!(column.zero_shot.value().expect("measured").pictures, 12);
    assert_eq!(column.labelled_pictures, 24);
    let probe = column.linear_probe.value().expect("measured");
    let sizes = [
        probe.train_samples,
        probe.validation_samples,
        probe.test_samples,
    ];
    assert_eq!(sizes, [10, 2, 12]);
}

#[test]
fn what_is_not_possible_says_why() {
    let folder = TempDir::new().expect("temporary folder");
    let data = data(&folder, &[]);
    let encoder = encoder();
    let run = |options: &EvaluationOptions, go| evaluate(&encoder, &data, options, &|_, _, _| go);
    let report = run(&EvaluationOptions::default(), true).expect("evaluated");
    assert!(
        report
            .no_columns
            .is_some_and(|why| why.contains("no label column"))
    );
    let absent = EvaluationOptions {
        label_columns: Some(vec!["colour".into()]),
        ..EvaluationOptions::default()
    };
    let message = run(&absent, true).expect_err("absent").to_string();
    assert!(
        message.contains("\"colour\"") && message.contains("none"),
        "{message}"
    );
    let cancelled = run(&EvaluationOptions::default(), false);
    assert!(matches!(cancelled, Err(EvaluateError::Cancelled)));
}

#[test]
fn broken_pictures_are_left_out_with_their_captions() {
    let folder = TempDir::new().expect("temporary folder");
    let data = data(&folder, &["colour"]);
    // Its header stays readable, its pixels do not.
    let path = folder.path().join("4.png");
    let bytes = std::fs::read(&path).expect("reads");
    std::fs::write(&path, &bytes[..bytes.len() - 30]).expect("writes");
    let options = EvaluationOptions::default();
    let report = evaluate(&encoder(), &data, &options, &|_, _, _| true).expect("evaluated");
    assert_eq!((report.data.broken_pictures, report.data.pictures), (1, 23));
    assert_eq!(report.data.measured_captions, 28);
}

#[test]
fn samples_of_large_sets_are_drawn_without_repetition() {
    assert_eq!(drawn(5, 9, 0), [0, 1, 2, 3, 4]);
    let rows = drawn(100, 10, 4);
    assert!(rows.windows(2).all(|w| w[0] < w[1]) && rows.len() == 10);
    assert_eq!(rows, drawn(100, 10, 4));
    assert_ne!(rows, drawn(100, 10, 5));
}

//! `evaluate` as a program: on a run of its own, a folder of classes and a CSV file.

use std::path::Path;

use image::{Rgb, RgbImage};
use serde_json::Value;

use crate::support::program::command;

/// Exit code, standard output and standard error.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = command(arguments).output().expect("runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Two folders of plain pictures, each a shade of its class, and a CSV file of the same.
fn pictures(folder: &Path) {
    let mut rows = "filepath,title,colour\n".to_owned();
    for class in ["dark_red", "blue"] {
        std::fs::create_dir_all(folder.join(class)).expect("creates");
        for number in 0..15u8 {
            let shade = 100 + number * 9;
            let colour = match class {
                "blue" => Rgb([0, 0, shade]),
                _ => Rgb([shade, 0, 0]),
            };
            let file = format!("{class}/{number}.png");
            RgbImage::from_pixel(32, 32, colour)
                .save(folder.join(&file))
                .expect("saves");
            rows += &format!(
                "{file},a {class} square {number},{class}\n{file},number {number} of {class},{class}\n"
            );
        }
    }
    std::fs::write(folder.join("blue/broken.png"), b"no picture").expect("writes");
    std::fs::write(folder.join("pairs.csv"), rows).expect("writes");
}

/// A data directory with one tiny finished run; its id.
fn trained(folder: &Path) -> String {
    let settings = folder.join("run.toml");
    let toml = "preset = \"protoclip\"\nepisodes = 1\nepisode_size = 48\nbatch_size = 16\n\
                [prototypes]\ncount = 6\nrestarts = 1\n";
    std::fs::write(&settings, toml).expect("writes");
    let data_dir = folder.join("data");
    let (code, _, error) = run(&[
        "train",
        settings.to_str().expect("text"),
        "--data-dir",
        data_dir.to_str().expect("text"),
    ]);
    assert_eq!(code, Some(0), "{error}");
    let mut runs = std::fs::read_dir(data_dir.join("runs")).expect("lists");
    let name = runs.next().expect("one run").expect("reads").file_name();
    name.into_string().expect("text")
}

fn measured<'a>(part: &'a Value, name: &str) -> &'a Value {
    assert_eq!(part["state"], "measured", "{name}: {part}");
    &part["value"]
}

#[test]
fn a_run_is_measured_on_any_data_as_table_and_json() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let id = trained(folder.path());
    let files = folder.path().join("pictures");
    pictures(&files);
    let path = |rest: &str| folder.path().join(rest).display().to_string();
    let (data_dir, csv, json) = (
        path("data"),
        path("pictures/pairs.csv"),
        path("report.json"),
    );

    let run_directory = path(&format!("data/runs/{id}"));
    let on_folder = [
        "evaluate",
        &run_directory,
        "--data",
        &path("pictures"),
        "--probe",
        "--json",
        "-",
    ];
    let (code, output, error) = run(&on_folder);
    assert_eq!(code, Some(0), "{error}");
    let report: Value = serde_json::from_str(&output).expect("nothing but JSON");
    assert_eq!(report["data"]["pictures"], 30);
    assert_eq!(report["data"]["skipped_rows"], 1);
    let reason = report["retrieval"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("2 of 30 captions"), "{reason}");
    let column = &report["columns"][0];
    assert_eq!(column["column"], "class");
    assert_eq!(column["class_names"][1], "dark red");
    let zero_shot = measured(&column["zero_shot"], "zero-shot");
    assert_eq!(zero_shot["pictures"], 30);
    let probe = measured(&column["linear_probe"], "probe");
    assert_eq!(probe["test_samples"], 6);
    for part in ["grouping", "separation"] {
        measured(&column[part], part);
    }

    // A checkpoint inside a run is measured on the run's own data.
    let checkpoint = path(&format!("data/runs/{id}/checkpoints/00000003"));
    let (code, output, error) = run(&[
        "evaluate",
        &checkpoint,
        "--holdout",
        "sha1:40",
        "--json",
        "-",
    ]);
    assert_eq!(code, Some(0), "{error}");
    let report: Value = serde_json::from_str(&output).expect("nothing but JSON");
    assert_eq!(report["data"]["name"], "built-in emoji");
    assert_eq!(report["data"]["holdout"], "sha1:40");

    let names = path("names.txt");
    std::fs::write(&names, "dark_red\ta deep red square\nblue\ta blue square\n").expect("writes");
    let (code, output, error) = run(&[
        "evaluate",
        &id,
        "--data-dir",
        &data_dir,
        "--data",
        &csv,
        "--label-column",
        "colour",
        "--classes",
        &names,
        "--holdout",
        "sha1:3",
        "--json",
        &json,
    ]);
    assert_eq!(code, Some(0), "{error}");
    for part in [
        "mean recall",
        "zero-shot top-1",
        "AMI × 100",
        "modality gap",
        "held out",
    ] {
        assert!(output.contains(part), "{part} is not in\n{output}");
    }
    let text = std::fs::read_to_string(&json).expect("written");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&report["data"]["pairs"], &report["data"]["pictures"]),
        (&60.into(), &30.into())
    );
    let retrieval = measured(&report["retrieval"], "retrieval");
    let (pictures, captions) = (&retrieval["pictures"], &retrieval["captions"]);
    assert_eq!(pictures.as_u64().map(|n| 2 * n), captions.as_u64());
    assert!(
        pictures.as_u64().is_some_and(|n| n > 0 && n < 30),
        "{pictures}"
    );
    assert_eq!(
        report["columns"][0]["linear_probe"]["reason"],
        "not asked for"
    );
}

#[test]
fn what_was_asked_wrongly_is_said_with_code_2() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = |rest: &str| folder.path().join(rest).display().to_string();
    pictures(&folder.path().join("pictures"));
    let (weights, data, templates) = (path("weights.pt"), path("pictures"), path("templates.txt"));
    std::fs::write(&weights, b"nothing to load").expect("writes");
    std::fs::write(&templates, "a {}\na photo\n").expect("writes");
    let (absent, names) = (path("absent.pt"), path("names.txt"));
    std::fs::write(&names, "red\n").expect("writes");
    for (arguments, part) in [
        (vec![absent.as_str(), "--data", "builtin"], "absent.pt"),
        (vec![&weights], "--data builtin"),
        (vec![&weights, "--data", "/no/such"], "/no/such"),
        (
            vec![&weights, "--data", &data, "--templates", &templates],
            "line 2",
        ),
        (
            vec![&weights, "--data", &data, "--classes", &names],
            "1 class names",
        ),
        (
            vec![&weights, "--data", &data, "--device", "abacus"],
            "abacus",
        ),
        (
            vec![&weights, "--data", &data, "--holdout", "md5:3"],
            "sha1:N",
        ),
    ] {
        let (code, _, error) = run(&[&["evaluate"], arguments.as_slice()].concat());
        assert_eq!(code, Some(2), "{arguments:?}: {error}");
        assert!(error.contains(part), "{part} is not in {error}");
    }
    let (code, _, error) = run(&["evaluate", &weights, "--data", &data]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("weights.pt"), "{error}");
}

//! Weights through the real program: import, export, and a run that starts from them.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::support::program::command;

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().expect("starts")
}

fn said(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    texts.concat()
}

fn checkpoint(name: &str) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/protoclip/tests/golden");
    golden.join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn a_checkpoint_of_the_reference_is_imported_and_exported() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = checkpoint("vit_checkpoint_ddp.pt");
    let data_dir = text(folder.path());
    let import = [
        "import",
        text(&file),
        "--name",
        "reference",
        "--data-dir",
        data_dir,
    ];
    let output = run(&import);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(
        said(&output).contains("convention of 64"),
        "{}",
        said(&output)
    );
    let model = folder.path().join("checkpoints/reference");
    let source = std::fs::read(model.join("SOURCE.json")).expect("reads");
    let source: Value = serde_json::from_slice(&source).expect("json");
    let hash = blake3::hash(&std::fs::read(&file).expect("reads"));
    assert_eq!(source["blake3"], hash.to_hex().as_str());
    assert_eq!(source["parameters"], 168_482);

    let again = run(&import);
    assert_eq!(again.status.code(), Some(1));
    assert!(said(&again).contains("exists already"), "{}", said(&again));

    let out = folder.path().join("exported");
    let output = run(&[
        "export",
        text(&model),
        "--out",
        text(&out),
        "--name",
        "A name",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let card = std::fs::read_to_string(out.join("README.md")).expect("reads");
    assert!(card.contains("# A name"), "{card}");
    assert!(out.join("open_clip_model.safetensors").is_file());
}

#[test]
fn what_cannot_be_imported_or_exported_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let data_dir = text(folder.path());
    let file = checkpoint("vit_checkpoint.pt");
    let broken = folder.path().join("broken.pt");
    std::fs::write(&broken, b"PK\x03\x04").expect("writes");
    let cases: [(&[&str], i32, &str); 6] = [
        (&["import", "/no/such.pt"], 2, "/no/such.pt does not exist"),
        (
            &["import", text(&file), "--name", "../x"],
            2,
            "letters, digits",
        ),
        (
            &["import", text(&file), "--model", "vit-huge"],
            1,
            "vit-nano-32",
        ),
        (
            &["import", text(&file), "--model", "vit-nano-32"],
            1,
            "tensor visual.conv1.weight has shape [64, 3, 8, 8], the model needs [128, 3, 8, 8]",
        ),
        (&["import", text(&broken)], 1, "not a zip archive"),
        (
            &["export", "/no/such", "--out", "/tmp/x"],
            2,
            "/no/such does not exist",
        ),
    ];
    for (arguments, code, words) in cases {
        let mut arguments = arguments.to_vec();
        if arguments[0] == "import" {
            arguments.extend(["--data-dir", data_dir]);
        }
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
    }
    let left = folder.path().join("checkpoints");
    assert!(!left.exists() || std::fs::read_dir(left).expect("reads").next().is_none());
}

#[test]
fn a_run_from_weights_of_another_model_is_not_created() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let config = folder.path().join("run.toml");
    let weights = checkpoint("vit_open_clip.safetensors");
    std::fs::write(&config, format!("weights = {:?}", text(&weights))).expect("writes");
    let output = run(&["train", text(&config), "--data-dir", text(folder.path())]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("weights: "), "{}", said(&output));
    assert!(
        said(&output).contains("visual.conv1.weight"),
        "{}",
        said(&output)
    );
    let runs = std::fs::read_dir(folder.path().join("runs")).expect("reads");
    assert_eq!(runs.count(), 0);
}

//! Runs that ask for more memory than there is: refused, or failed with the reason, never the end of
//! the program.

use std::path::{Path, PathBuf};

use protoclip::config::RunConfig;
use protoclip_studio::studio::{DataDir, new_run};

use crate::support::client::request;
use crate::support::program::{Program, command, tiny_run};

/// A model whose weights alone take petabytes.
fn enormous_model(folder: &Path) -> PathBuf {
    let path = folder.join("enormous.json");
    let json = serde_json::json!({
        "embed_dim": 128,
        "vision_cfg": {"image_size": 32, "layers": 1000, "width": 1 << 20, "patch_size": 8, "head_width": 32},
        "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 3},
        "projection_head": {"hidden": 512, "output": 128},
    });
    std::fs::write(&path, json.to_string()).expect("writes");
    path
}

fn runs_of(server: &Program) -> usize {
    let (status, runs) = request(server.address, "GET", "/api/runs", "");
    assert_eq!(status, 200, "{runs}");
    runs.as_array().expect("a list").len()
}

#[test]
fn a_run_that_can_never_fit_is_refused_before_there_is_one() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let model = enormous_model(folder.path());
    let data_dir = folder.path().join("data");
    let server = Program::serve(&data_dir);
    let mut settings = tiny_run();
    settings["model"] = model.to_str().expect("text").into();
    let (status, answer) = request(server.address, "POST", "/api/runs", &settings.to_string());
    assert_eq!(status, 422, "{answer}");
    let error = &answer["errors"][0];
    assert_eq!(error["field"], "model", "{answer}");
    let message = error["message"].as_str().expect("a message");
    assert!(
        message.contains("GiB of this machine; choose a smaller model"),
        "{message}"
    );
    assert_eq!(runs_of(&server), 0);

    let file = folder.path().join("run.toml");
    std::fs::write(&file, format!("model = {model:?}\n")).expect("writes");
    let other = folder.path().join("other");
    let output = command(&["train", file.to_str().expect("text"), "--data-dir"])
        .arg(&other)
        .output()
        .expect("runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("model: ") && error.contains("GiB of this machine"),
        "{error}"
    );
}

#[test]
fn a_run_from_a_larger_machine_fails_with_the_reason_and_the_next_one_trains() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut config: RunConfig = serde_json::from_value(tiny_run()).expect("settings");
    config.model = enormous_model(folder.path()).display().to_string();
    let config = config.validate().expect("valid by itself").into_inner();
    let data_dir = folder.path().join("data");
    let id = new_run(&DataDir::open(&data_dir).expect("opens"), config)
        .expect("writes")
        .id;

    let server = Program::serve(&data_dir);
    assert_eq!(server.post(&format!("/api/runs/{id}/resume")), 202);
    let failed = server.wait_for(&id, |run| run["state"] == "failed");
    let reason = failed["reason"].as_str().expect("a reason");
    assert!(
        reason.starts_with("model: ") && reason.contains("free now"),
        "{reason}"
    );
    let healthy = server.create(&tiny_run());
    server.wait_for(&healthy, |run| run["step"].as_u64() >= Some(2));
}

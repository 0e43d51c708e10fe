//! A data set that moves while a run uses it: said, found again, and only where its pairs are the same.

use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::client::request;
use crate::support::data_files::{KINDS, write_all};
use crate::support::program::{Program, command};
use crate::support::scripted_runner::PATIENCE;

fn settings(source: &str, path: &Path) -> Value {
    json!({
        "preset": "protoclip", "episodes": 5000, "batch_size": 10,
        "data": {"source": source, "path": path},
        "prototypes": {"count": 4, "iterations": 3, "restarts": 1},
        "checkpoints": {"every_episodes": 1, "keep_last": 2},
        "evaluation": {"every_episodes": 0},
    })
}

fn is(state: &'static str) -> impl Fn(&Value) -> bool {
    move |run| run["state"] == state
}

/// A page as text.
fn text(program: &Program, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(program.address).expect("connects");
    let host = program.address;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .expect("asks");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("reads");
    page
}

/// How the newest piece of work ended.
fn ended_work(program: &Program) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let work = request(program.address, "GET", "/api/work", "").1[0].clone();
        if work["state"] != "running" {
            return work;
        }
        assert!(Instant::now() < end, "{work}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn a_run_whose_data_moved_fails_with_the_fix_and_goes_on_once_relinked() {
    let folder = tempfile::tempdir().expect("folder");
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    std::fs::create_dir(&old).expect("creates");
    write_all(&old);
    let program = Program::serve(&folder.path().join("data"));
    for (source, name) in KINDS {
        let id = program.create(&settings(source, &old.join(name)));
        program.wait_for(&id, |run| run["step"].as_u64() > Some(4));
        std::fs::rename(&old, &new).expect("renames");
        // Pictures that were decoded before are still at hand, so that the run may go on or fail.
        program.post(&format!("/api/runs/{id}/stop"));
        program.wait_for(&id, |run| {
            run["state"] == "stopped" || run["state"] == "failed"
        });
        assert_eq!(
            program.post(&format!("/api/runs/{id}/resume")),
            202,
            "{source}"
        );
        let failed = program.wait_for(&id, is("failed"));
        let reason = failed["reason"].as_str().expect("a reason");
        for part in ["data set is missing", "relinked"] {
            assert!(reason.contains(part), "{source}: {reason}");
        }
        let page = text(&program, &format!("/runs/{id}"));
        assert!(page.contains("Point to its new place"), "{source}: {page}");
        let data_set = failed["data_set"].as_str().expect("an id");
        let page = text(&program, &format!("/datasets/{data_set}"));
        assert!(page.contains("Not where it was"), "{source}: {page}");
        let address = format!("/api/datasets/{data_set}/relink");
        let relink = |path: &Path| {
            let body = json!({"path": path}).to_string();
            request(program.address, "POST", &address, &body)
        };
        let (status, body) = relink(&old.join(name));
        assert_eq!(status, 422, "{source}: {body}");
        let (status, body) = relink(&new.join(name));
        assert_eq!(status, 202, "{source}: {body}");
        let work = ended_work(&program);
        assert_eq!(work["state"], "done", "{source}: {work}");
        let step = failed["step"].as_u64();
        assert_eq!(
            program.post(&format!("/api/runs/{id}/resume")),
            202,
            "{source}"
        );
        let run = program.wait_for(&id, |run| run["step"].as_u64() > step);
        assert_eq!(run["data_set"], body["id"], "{source}");
        program.post(&format!("/api/runs/{id}/stop"));
        program.wait_for(&id, is("stopped"));
        std::fs::rename(&new, &old).expect("renames");
    }
}

#[test]
fn other_pairs_are_refused_in_the_terminal_and_the_same_ones_taken() {
    let folder = tempfile::tempdir().expect("folder");
    let files = folder.path().join("files");
    std::fs::create_dir(&files).expect("creates");
    write_all(&files);
    let text = |path: &Path| path.display().to_string();
    let data_dir = text(&folder.path().join("data"));
    let program = Program::serve(&folder.path().join("data"));
    let id = program.create(&settings("csv", &files.join("pairs.csv")));
    program.wait_for(&id, |run| run["step"].as_u64() > Some(4));
    program.post(&format!("/api/runs/{id}/stop"));
    program.wait_for(&id, is("stopped"));
    drop(program);
    let rows = std::fs::read_to_string(files.join("pairs.csv")).expect("reads");
    std::fs::write(files.join("other.csv"), rows.replace("blue square", "sea")).expect("writes");
    std::fs::rename(files.join("pairs.csv"), files.join("moved.csv")).expect("renames");
    let resume = |name: &str| {
        let data = text(&files.join(name));
        let arguments = [
            "train",
            "--resume",
            id.as_str(),
            "--data-dir",
            &data_dir,
            "--data",
            &data,
        ];
        let mut child = command(&arguments)
            .stderr(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("starts");
        let end = Instant::now() + std::time::Duration::from_secs(20);
        while child.try_wait().expect("asks").is_none() && Instant::now() < end {
            if name == "moved.csv" && config(folder.path(), id.as_str()).contains("moved.csv") {
                child.kill().expect("ends");
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let output = child.wait_with_output().expect("ended");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, error) = resume("other.csv");
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("other pairs"), "{error}");
    let (code, error) = resume("pairs.csv");
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("does not exist"), "{error}");
    assert!(!config(folder.path(), id.as_str()).contains("moved.csv"));
    let (code, error) = resume("moved.csv");
    assert_eq!(code, None, "{error}");
    assert!(config(folder.path(), id.as_str()).contains("moved.csv"));
}

fn config(folder: &Path, id: &str) -> String {
    let path = folder.join("data/runs").join(id).join("config.toml");
    std::fs::read_to_string(path).expect("reads")
}

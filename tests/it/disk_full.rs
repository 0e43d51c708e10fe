//! A disk without space: the run waits and says so, everything else answers, and with space it goes
//! on. Needs the right to mount; where that is absent the test says so and ends.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::client::request;
use crate::support::program::{Program, tiny_run};

/// A small file system in memory, unmounted when the test ends.
struct SmallDisk {
    _parent: tempfile::TempDir,
    path: PathBuf,
}

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let parent = tempfile::tempdir().expect("temporary folder");
        let path = parent.path().join("disk");
        fs::create_dir(&path).expect("creates");
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self {
                _parent: parent,
                path,
            }),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                eprintln!("skipped: cannot mount a small disk: {}", why.trim());
                None
            }
            Err(error) => {
                eprintln!("skipped: cannot mount a small disk: {error}");
                None
            }
        }
    }

    /// Writes until nothing more fits.
    fn fill(&self) -> PathBuf {
        let ballast = self.path.join("ballast");
        let mut file = fs::File::create(&ballast).expect("creates");
        for size in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _at_the_end = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn answers(server: &Program, path: &str) {
    let (status, _) = request(server.address, "GET", path, "");
    assert_eq!(status, 200, "{path} on a full disk");
}

#[test]
fn a_full_disk_pauses_the_run_and_space_resumes_it() {
    let Some(disk) = SmallDisk::mount("400m") else {
        return;
    };
    let server = Program::serve(Path::new(&disk.path));
    let id = server.create(&tiny_run());
    server.wait_for(&id, |run| run["checkpoint_step"].as_u64() >= Some(6));
    let ballast = disk.fill();
    let filled = Instant::now();
    let paused = server.wait_for(&id, |run| run["state"] == "paused");
    println!("paused {:?} after the disk was full", filled.elapsed());
    let reason = paused["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("disk full: "), "{reason}");
    for path in ["/healthz", "/readyz", "/", "/runs", "/api/runs", "/metrics"] {
        answers(&server, path);
    }
    for path in ["", "/prototypes", "/log", "/config"] {
        answers(&server, &format!("/runs/{id}{path}"));
    }
    let (_, page) = request(server.address, "GET", &format!("/api/runs/{id}"), "");
    assert_eq!(page["reason"].as_str(), Some(reason));
    let step = page["step"].as_u64().expect("a step");
    // It stays so as long as there is no space.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(server.run(&id)["state"], "paused");
    fs::remove_file(ballast).expect("removes");
    let freed = Instant::now();
    server.wait_for(&id, |run| {
        run["state"] == "running" && run["step"].as_u64() > Some(step + 3)
    });
    println!("went on {:?} after there was space", freed.elapsed());
    assert!(server.run(&id)["reason"].is_null());
    assert_eq!(server.post(&format!("/api/runs/{id}/stop")), 202);
    server.wait_for(&id, |run| run["state"] == "stopped");
    let series = format!("/api/runs/{id}/series?tag=train/loss_total&points=5000");
    let (_, series) = request(server.address, "GET", &series, "");
    let points = series["points"].as_array().expect("points");
    for (index, point) in points.iter().enumerate() {
        assert_eq!(
            point[0].as_u64(),
            Some(index as u64 + 1),
            "no gap, no double"
        );
    }
    assert!(points.len() as u64 > step);
}

#[test]
fn a_run_that_waits_for_space_can_be_stopped_and_the_server_ended() {
    let Some(disk) = SmallDisk::mount("400m") else {
        return;
    };
    let mut server = Program::serve(Path::new(&disk.path));
    let id = server.create(&tiny_run());
    server.wait_for(&id, |run| run["checkpoint_step"].as_u64() >= Some(6));
    let ballast = disk.fill();
    server.wait_for(&id, |run| run["state"] == "paused");
    server.signal(rustix::process::Signal::TERM);
    let status = server.ended_within(Duration::from_secs(10));
    assert_eq!(status.code(), Some(0));
    fs::remove_file(ballast).expect("removes");
    let server = Program::serve(Path::new(&disk.path));
    let run = server.run(&id);
    assert!(
        run["state"] == "interrupted" || run["state"] == "failed",
        "{run}"
    );
    assert_eq!(server.post(&format!("/api/runs/{id}/resume")), 202);
    let step = run["step"].as_u64().expect("a step");
    server.wait_for(&id, |run| {
        run["state"] == "running" && run["step"].as_u64() > Some(step)
    });
}

//! `kill -9` again and again: no acknowledged step is lost, doubled or torn, and in the end the run is
//! bit for bit the one that was never killed: losses and weights.
//!
//! `PROTOCLIP_STUDIO_KILLS=1000 cargo test --test it kill_loop -- --nocapture` is the long form.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use protoclip::train::list_checkpoints;
use protoclip_studio::studio::{DataDir, RunId, RunStore};
use serde_json::{Value, json};

use crate::support::client::EventStream;
use crate::support::program::Program;
use crate::support::scripted_runner::PATIENCE;

/// Kills where nothing else is asked for.
const KILLS: u64 = 4;
/// Tells the writer of the control where to write.
const CONTROL_FILE: &str = "PROTOCLIP_STUDIO_CONTROL_FILE";

fn kills() -> u64 {
    let asked = std::env::var("PROTOCLIP_STUDIO_KILLS").ok();
    asked.map_or(KILLS, |text| text.parse().expect("a number of kills"))
}

/// What is wrong with stored steps when the step `acknowledged` was shown to somebody.
fn damage(stored: &[u64], acknowledged: u64) -> Option<String> {
    let expected: Vec<u64> = (1..=stored.len() as u64).collect();
    if stored != expected {
        return Some(format!("not 1, 2, 3 … but {stored:?}"));
    }
    let last = stored.last().copied().unwrap_or(0);
    (last < acknowledged).then(|| format!("step {acknowledged} was shown, {last} is stored"))
}

/// Step and bits of each stored total loss.
fn losses(data_dir: &Path, id: &RunId) -> Vec<(u64, u64)> {
    let run = DataDir::open(data_dir).expect("opens").run(id);
    let mut points = Vec::new();
    RunStore::read(&run.database())
        .expect("opens")
        .each_point("train/loss_total", (0, u64::MAX), |step, value| {
            points.push((step, value.to_bits()));
        })
        .expect("reads");
    points
}

fn checkpoint(data_dir: &Path, id: &RunId, step: u64) -> PathBuf {
    let run = DataDir::open(data_dir).expect("opens").run(id);
    run.path().join(format!("checkpoints/{step:08}"))
}

/// Steps of the whole checkpoints of a run, ascending.
fn checkpoint_steps(data_dir: &Path, id: &RunId) -> Vec<u64> {
    let run = DataDir::open(data_dir).expect("opens").run(id);
    let (whole, _) = list_checkpoints(run.path());
    whole.iter().map(|checkpoint| checkpoint.step).collect()
}

/// Numbers that look random and are the same each time.
pub(crate) struct Times(pub(crate) u64);

impl Times {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

fn run_of(episodes: u64) -> Value {
    json!({
        "preset": "protoclip", "model": "vit-nano-32",
        "episodes": episodes, "episode_size": 48, "batch_size": 16,
        "prototypes": {"count": 6, "iterations": 3, "restarts": 1},
        "checkpoints": {"every_episodes": 1, "keep_last": 2},
        "evaluation": {"every_episodes": 0}, "seed": 7,
    })
}

/// The newest step that a listener is told of within a time.
fn listen(server: &Program, id: &RunId, time: Duration) -> u64 {
    let mut stream = EventStream::open(server.address, None);
    let begin = Instant::now();
    let mut newest = server.run(id)["step"].as_u64().unwrap_or(0);
    let from = newest;
    // At least two steps, so that each life gets further than the one before.
    while begin.elapsed() < time || newest < from + 2 {
        assert!(begin.elapsed() < PATIENCE, "no step in a minute");
        let event = stream.next().expect("the stream goes on");
        let points = &event.data["points"]["train/loss_total"];
        let last = points.as_array().and_then(|all| all.last()?[0].as_u64());
        newest = newest.max(last.unwrap_or(0));
    }
    newest
}

#[test]
fn kill_loop_loses_no_acknowledged_step_and_ends_bit_equal() {
    if !Program::has_one_core_launcher() {
        eprintln!("skipped: no taskset, and only one thread trains bit for bit the same");
        return;
    }
    // More episodes than all lives get through.
    let settings = run_of(100 + kills() * 40);
    let (killed, straight) = (
        tempfile::tempdir().expect("temporary folder"),
        tempfile::tempdir().expect("temporary folder"),
    );
    let mut server = Program::serve_on_one_core(killed.path());
    let id = server.create(&settings);
    let mut times = Times(20_261_128);
    let begin = Instant::now();
    for kill in 0..kills() {
        let time = Duration::from_millis(20 + times.below(480));
        let acknowledged = listen(&server, &id, time);
        server.child.kill().expect("kills");
        server.child.wait().expect("ends");
        let stored: Vec<u64> = losses(killed.path(), &id).iter().map(|p| p.0).collect();
        assert_eq!(damage(&stored, acknowledged), None, "kill {kill}");
        server = Program::serve_on_one_core(killed.path());
        assert_eq!(server.run(&id)["state"], "interrupted");
        assert_eq!(server.post(&format!("/api/runs/{id}/resume")), 202);
        if (kill + 1).is_multiple_of(50) {
            let (steps, seconds) = (stored.len(), begin.elapsed().as_secs());
            println!("{} kills, {steps} steps, {seconds} s", kill + 1);
        }
    }
    listen(&server, &id, Duration::ZERO);
    drop(server);
    let left = losses(killed.path(), &id);
    println!(
        "{} kills, none lost an acknowledged step of {}",
        kills(),
        left.len()
    );

    let saved = checkpoint_steps(killed.path(), &id);
    let newest = saved.last().copied().expect("a checkpoint");

    let server = Program::serve_on_one_core(straight.path());
    let mut settings = settings;
    // The one to compare stays until it is seen.
    settings["checkpoints"]["keep_last"] = 20.into();
    let never_killed = server.create(&settings);
    while !checkpoint_steps(straight.path(), &never_killed).contains(&newest) {
        std::thread::sleep(Duration::from_millis(20));
    }
    // The optimizer's file has its tensors in any order; that they are the same show the losses after it.
    for file in ["model.safetensors", "state.json"] {
        let bytes = |folder: &Path, id| std::fs::read(checkpoint(folder, id, newest).join(file));
        let (left, right) = (
            bytes(killed.path(), &id),
            bytes(straight.path(), &never_killed),
        );
        let same = left.expect("reads") == right.expect("reads");
        assert!(same, "{file} of step {newest} is byte for byte the other");
    }
    let as_far = |run: &Value| {
        run["step"]
            .as_u64()
            .is_some_and(|step| step >= left.len() as u64)
    };
    while !as_far(&server.run(&never_killed)) {
        listen(&server, &never_killed, Duration::from_secs(1));
    }
    drop(server);
    let right = losses(straight.path(), &never_killed);
    let common = right.get(..left.len());
    assert_eq!(
        common,
        Some(&left[..]),
        "the killed run is bit for bit the other"
    );
}

#[test]
fn kill_loop_finds_the_losses_of_a_writer_in_place() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("steps");
    let mut times = Times(5);
    let mut damaged = 0;
    let rounds = kills().max(25);
    for _ in 0..rounds {
        let (mut child, acknowledged) = kill_writer(&file, 3 + times.below(40));
        child.wait().expect("ends");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let stored: Vec<u64> = text.lines().filter_map(|line| line.parse().ok()).collect();
        damaged += u64::from(damage(&stored, acknowledged).is_some());
    }
    println!("in place: {damaged} of {rounds} kills lost something");
    assert!(damaged > 0, "the loop would not have found a loss");
}

/// Starts the writer of the control, hears `steps` steps and kills it.
fn kill_writer(file: &Path, steps: u64) -> (Child, u64) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--ignored",
            "--exact",
            "kill_loop::the_writer_of_the_control",
        ])
        .args(["--nocapture", "--test-threads=1"])
        .env(CONTROL_FILE, file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let heard = output
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("step ")?.parse().ok());
    let acknowledged = heard.take(steps as usize).last().expect("steps");
    child.kill().expect("kills");
    (child, acknowledged)
}

#[test]
#[ignore = "the control of the kill loop runs it in a process of its own, which it kills"]
fn the_writer_of_the_control() {
    let Some(path) = std::env::var_os(CONTROL_FILE) else {
        return;
    };
    let mut steps = String::new();
    for step in 1_u64.. {
        steps.push_str(&format!("{step}\n"));
        // The old content is gone before the new one is there.
        let mut file = std::fs::File::create(&path).expect("creates");
        for part in steps.as_bytes().chunks(16) {
            file.write_all(part).expect("writes");
            std::thread::sleep(Duration::from_micros(50));
        }
        println!("\nstep {step}");
    }
}

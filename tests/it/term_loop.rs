//! SIGTERM again and again, at random moments, within k-means and while maps are made: the program ends
//! well each time and its run goes on.
//!
//! `PROTOCLIP_STUDIO_TERMS=20 cargo test --test it term_loop -- --nocapture` is the long form.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protoclip_studio::studio::{DataDir, RunState, RunStore};
use rustix::process::Signal;
use serde_json::json;

use crate::kill_loop::Times;
use crate::support::client::{EventStream, request};
use crate::support::program::Program;

/// Signals where nothing else is asked for.
const TERMS: u64 = 3;
/// What an end may take.
const LIMIT: Duration = Duration::from_secs(10);

fn terms() -> u64 {
    let asked = std::env::var("PROTOCLIP_STUDIO_TERMS").ok();
    asked.map_or(TERMS, |text| text.parse().expect("a number of signals"))
}

#[test]
fn term_loop_ends_well_each_time_and_the_run_goes_on() {
    let folder = tempfile::tempdir().expect("temporary folder");
    // Grouping takes most of the time.
    let settings = json!({
        "preset": "protoclip", "episodes": 4000, "episode_size": 256, "batch_size": 64,
        "prototypes": {"count": 128, "iterations": 400, "restarts": 20},
        "checkpoints": {"every_episodes": 1, "keep_last": 2},
        "evaluation": {"every_episodes": 0},
    });
    let mut times = Times(20);
    let mut server = Program::serve(folder.path());
    let id = server.create(&settings);
    server.wait_for(&id, |run| run["prototypes_step"].is_u64());
    let (mut phases, mut maps, mut longest) = (BTreeMap::new(), 0, Duration::ZERO);
    for term in 0..terms() {
        if term > 0 {
            assert_eq!(server.post(&format!("/api/runs/{id}/resume")), 202);
        }
        let run = server.wait_for(&id, |run| run["state"] == "running");
        // Every second time while a map is made as well.
        if term % 2 == 0
            && let Some(step) = run["prototypes_step"].as_u64()
        {
            let map =
                json!({"step": step, "space": "image", "method": "tsne", "features": "clustered"});
            let (status, _) = request(
                server.address,
                "POST",
                &format!("/api/runs/{id}/map"),
                &map.to_string(),
            );
            maps += u32::from(status == 202);
        }
        let mut streams = [(); 3].map(|()| EventStream::open(server.address, None));
        std::thread::sleep(Duration::from_millis(times.below(1500)));
        let phase = server.run(&id)["phase"]["phase"].to_string();
        *phases.entry(phase).or_insert(0_u32) += 1;
        let begin = Instant::now();
        server.signal(Signal::TERM);
        let status = server.ended_within(LIMIT);
        longest = longest.max(begin.elapsed());
        assert_eq!(status.code(), Some(0), "signal {term}");
        for stream in &mut streams {
            while stream.next().is_some() {}
        }
        let run = DataDir::open(folder.path()).expect("opens").run(&id);
        let store = RunStore::read(&run.database()).expect("opens");
        let snapshot = store.snapshot().expect("reads").expect("stored");
        assert_eq!(snapshot.state, RunState::Interrupted, "signal {term}");
        assert_eq!(
            snapshot.checkpoint_step,
            Some(snapshot.step),
            "signal {term}"
        );
        let mut steps = Vec::new();
        let each = |step, _| steps.push(step);
        store
            .each_point("train/loss_total", (0, u64::MAX), each)
            .expect("reads");
        assert!(
            steps.iter().copied().eq(1..=snapshot.step),
            "signal {term}: {steps:?}"
        );
        server = Program::serve(folder.path());
        assert_eq!(server.run(&id)["state"], "interrupted");
    }
    println!(
        "{} signals, {maps} of them while a map was made; in phases {phases:?}; longest end {longest:?}",
        terms()
    );
    assert_eq!(server.post(&format!("/api/runs/{id}/resume")), 202);
    let step = server.run(&id)["step"].as_u64().unwrap_or(0);
    server.wait_for(&id, |run| {
        run["state"] == "running" && run["step"].as_u64() > Some(step)
    });
}

//! `/events` over a real socket: live, resumed, ended.

use std::net::SocketAddr;

use protoclip_studio::server::{AllowedHosts, AppState, serve};
use protoclip_studio::studio::RunState;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::support::client::EventStream;
use crate::support::scripted_runner::Action;
use crate::support::test_site::TestSite;

/// Serves the site's studio on a free port.
async fn listen(site: &TestSite) -> (SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("binds");
    let address = listener.local_addr().expect("an address");
    let (end, ending) = watch::channel(false);
    let state = AppState::new(
        site.studio.clone(),
        AllowedHosts::of(address),
        ending.clone(),
    );
    tokio::spawn(serve(listener, state, ending));
    (address, end)
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_arrive_as_events_and_a_reconnect_hears_what_it_missed() {
    let site = TestSite::new();
    let (address, _end) = listen(&site).await;
    let mut stream = EventStream::open(address, None);
    let hello = stream.next().expect("greets");
    assert_eq!(hello.name, "hello");
    assert_eq!(hello.id, hello.data["seq"].as_u64());
    let id = site.running().await;
    site.runner.steps(1);
    site.runner.act(Action::Checkpoint);
    let series = stream.next_named("series");
    assert_eq!(series.data["run"], id.as_str());
    assert_eq!(series.data["points"]["train/loss_total"], json!([[1, 2.5]]));
    let lines = loop {
        let log = stream.next_named("log");
        let lines = log.data["lines"].as_array().expect("lines").clone();
        if lines.iter().any(|line| line["kind"] == "checkpoint") {
            break lines;
        }
    };
    assert!(lines.iter().all(|line| line["seq"].is_i64()));
    let last = loop {
        let run = stream.next_named("run");
        if let (Some(id), Some(1)) = (run.id, run.data["step"].as_u64()) {
            break id;
        }
    };
    drop(stream);

    site.runner.steps(2);
    site.runner.act(Action::Checkpoint);
    let mut stream = EventStream::open(address, Some(last));
    assert_eq!(stream.next().expect("greets").name, "hello");
    let mut steps = Vec::new();
    while steps.last() != Some(&3) {
        let series = stream.next_named("series");
        let points = series.data["points"]["train/loss_total"]
            .as_array()
            .expect("points")
            .clone();
        steps.extend(points.iter().filter_map(|point| point[0].as_u64()));
    }
    assert_eq!(steps, [2, 3], "nothing twice, nothing missed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_from_another_time_is_answered_with_reset() {
    let site = TestSite::new();
    let (address, _end) = listen(&site).await;
    for number in [1, u64::MAX] {
        let mut stream = EventStream::open(address, Some(number));
        assert_eq!(stream.next().expect("greets").name, "reset");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_the_server_does() {
    let site = TestSite::new();
    let (address, end) = listen(&site).await;
    let mut stream = EventStream::open(address, None);
    assert_eq!(stream.next().expect("greets").name, "hello");
    let id = site.running().await;
    site.post(&format!("/api/runs/{id}/stop")).await;
    site.wait_for_state(&id, RunState::Stopped).await;
    end.send_replace(true);
    let mut last = None;
    while let Some(event) = stream.next() {
        if event.name == "run" {
            last = Some(event.data["state"].clone());
        }
    }
    assert_eq!(
        last,
        Some(json!("stopped")),
        "what was known is sent before the end"
    );
}

/// Memory of this process that is in RAM, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) << 10
}

/// Clients that open the stream and never read cost a bounded amount, however much is sent.
#[test]
fn fifty_stalled_clients_cost_little_memory() {
    // Other tests take memory of this process.
    let output = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--ignored",
            "--exact",
            "event_stream::fifty_stalled_clients",
        ])
        .args(["--nocapture", "--test-threads=1"])
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "fifty_stalled_clients_cost_little_memory runs it in a process of its own"]
async fn fifty_stalled_clients() {
    let site = TestSite::new();
    let (address, _end) = listen(&site).await;
    let steps = std::env::var("PROTOCLIP_STUDIO_STALLED_STEPS").ok();
    let steps: u64 = steps.map_or(3000, |text| text.parse().expect("a number"));
    let id = site.running().await;
    let train = || {
        let before = resident();
        site.runner.steps(steps);
        site.runner.act(Action::Checkpoint);
        resident().saturating_sub(before)
    };
    // What is kept for those who reconnect fills up first, and is the same without any client.
    train();
    let alone = train();
    let stalled: Vec<EventStream> = (0..50).map(|_| EventStream::open(address, None)).collect();
    let beside = train();
    println!(
        "{steps} steps: {} KiB grown without clients, {} KiB with 50 stalled ones",
        alone >> 10,
        beside >> 10
    );
    let cost = beside.saturating_sub(alone);
    assert!(cost < 32 << 20, "{} MiB", cost >> 20);
    // Training was not held up, and who reads hears the newest.
    let mut reader = EventStream::open(address, None);
    assert_eq!(reader.next().expect("greets").name, "hello");
    assert_eq!(site.studio.run(&id).expect("exists").step, 3 * steps);
    drop(stalled);
}

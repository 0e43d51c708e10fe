//! What machines ask: alive, ready, numbers.

use std::fmt::Write;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use protoclip::train::tag;

use super::endpoint::Endpoint;
use super::{AppError, AppState};
use crate::studio::{RunState, RunView};

const TEXT: &str = "text/plain";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/healthz", "The process answers", healthy).success(200, TEXT),
        Endpoint::get("/readyz", "The server takes requests", ready)
            .success(200, TEXT)
            .failures(&[503]),
        Endpoint::get("/metrics", "Numbers in the Prometheus text format", metrics)
            .success(200, TEXT),
    ]
}

async fn healthy() -> &'static str {
    "ok\n"
}

async fn ready(State(state): State<AppState>) -> Result<&'static str, AppError> {
    if *state.ending.borrow() {
        let message = "the server is ending";
        return Err(AppError::new(StatusCode::SERVICE_UNAVAILABLE, message));
    }
    Ok("ready\n")
}

async fn metrics(State(state): State<AppState>) -> impl IntoResponse {
    let runs = state.studio.runs();
    let mut text = String::new();
    for run_state in RunState::ALL {
        let count = runs.iter().filter(|run| run.state == run_state).count();
        let labels = format!("{{state=\"{}\"}}", run_state.name());
        metric(&mut text, "runs", &labels, count as f64, "gauge");
    }
    let training = runs.iter().find(|run| run.state.is_training());
    let of_training = |value: fn(&RunView) -> f64| training.map_or(0.0, value);
    metric(
        &mut text,
        "training_step",
        "",
        of_training(|r| r.step as f64),
        "gauge",
    );
    let pace = of_training(|r| r.samples_per_second.unwrap_or(0.0));
    metric(&mut text, "training_samples_per_second", "", pace, "gauge");
    let waiting = of_training(|r| r.latest.get(tag::DATA_WAIT_PERCENT).copied().unwrap_or(0.0));
    metric(
        &mut text,
        "training_data_wait_percent",
        "",
        waiting,
        "gauge",
    );
    let listeners = state.events.listeners() as f64;
    metric(&mut text, "event_streams", "", listeners, "gauge");
    metric(
        &mut text,
        "uptime_seconds",
        "",
        state.studio.uptime_seconds(),
        "counter",
    );
    if let Some(bytes) = resident_bytes() {
        metric(&mut text, "resident_memory_bytes", "", bytes, "gauge");
    }
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], text)
}

fn metric(text: &mut String, name: &str, labels: &str, value: f64, kind: &str) {
    let name = format!("protoclip_{name}");
    if !text.contains(&format!("# TYPE {name} ")) {
        // Writing to a String cannot fail.
        let _written = writeln!(text, "# TYPE {name} {kind}");
    }
    let _written = writeln!(text, "{name}{labels} {value}");
}

/// Memory of this process that is in RAM, where the system says it.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kibibytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

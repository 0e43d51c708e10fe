//! `GET /events`: one stream of server-sent events with the changes of all runs.
//!
//! Changes of the last tenth of a second are merged and written once for all clients, so each gets at
//! most ten batches per second and costs no more than the sending of bytes. Only the last event of a
//! batch carries `id:`, the number of the newest change in it: a client that reconnects with
//! `Last-Event-ID` hears a torn batch again, whole (all events can be applied twice). The first event
//! is `hello`; `reset` says that changes were missed and everything must be read anew. The stream ends
//! when the server does and when the client lags; it is then opened again by the browser.

mod batch;
mod hub;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::json;
use tokio::sync::broadcast;
use tokio::time::timeout;

use super::AppState;
use crate::studio::Subscription;
use batch::{Batch, Sent};
use hub::Frame;

pub(super) use hub::EventHub;

const RECONNECT_AFTER: Duration = Duration::from_secs(1);
/// Silence after which a client hears that the stream lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A line that clients take no notice of.
const STILL_HERE: &[u8] = b":\n\n";

/// Opens the stream.
pub(super) async fn events(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let after = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .and_then(|id| id.parse().ok());
    // First the frames, then what came before: nothing falls between the two.
    let frames = state.events.subscribe(&state);
    let feed = Feed::new(frames, &state.studio.subscribe(after));
    let parts = stream::unfold(feed, async |mut feed| {
        let part = feed.next().await?;
        Some((Ok::<_, Infallible>(part), feed))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Body::from_stream(parts)).into_response()
}

/// One client's place in the stream.
struct Feed {
    frames: broadcast::Receiver<Arc<Frame>>,
    /// Number of the newest change that the client has heard or can read.
    known: u64,
    /// The greeting and what the client missed.
    first: Option<Bytes>,
}

impl Feed {
    fn new(frames: broadcast::Receiver<Arc<Frame>>, subscription: &Subscription) -> Self {
        let Subscription {
            seq,
            replay,
            missed,
            ..
        } = subscription;
        let mut first = greeting(*seq, *missed, replay.is_empty());
        first.push_str(&Batch::of(replay).written());
        Self {
            frames,
            known: *seq,
            first: Some(first.into()),
        }
    }

    /// What to send next; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            match timeout(KEEP_ALIVE, self.frames.recv()).await {
                Err(_silence) => return Some(Bytes::from_static(STILL_HERE)),
                Ok(Err(_lagged_or_ended)) => return None,
                Ok(Ok(frame)) => {
                    if let Some(bytes) = frame.after(self.known) {
                        return Some(bytes);
                    }
                }
            }
        }
    }
}

fn greeting(seq: u64, missed: bool, carries_id: bool) -> String {
    let retry = RECONNECT_AFTER.as_millis();
    let mut text = format!("retry: {retry}\n");
    let greeting = Sent {
        name: if missed { "reset" } else { "hello" },
        data: json!({"seq": seq}),
        id: carries_id.then_some(seq),
    };
    greeting.write(&mut text);
    text
}

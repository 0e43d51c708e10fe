//! `GET /events`: one stream of server-sent events with the changes of all runs.
//!
//! Changes of the last tenth of a second are merged, so a client gets at most ten batches per
//! second. Only the last event of a batch carries `id:`, the number of the newest change in it: a
//! client that reconnects with `Last-Event-ID` hears a torn batch again, whole (all events can be
//! applied twice). The first event is `hello`; `reset` says that changes were missed and everything
//! must be read anew. The stream ends when the server does and when the client lags; it is then
//! opened again by the browser.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};

use super::AppState;
use crate::studio::notebooks::NotebookName;
use crate::studio::{
    LogLine, MapKey, MapStatus, Message, MessageBody, NewPrototypes, RunId, RunView, Subscription,
};

const BETWEEN_BATCHES: Duration = Duration::from_millis(100);
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// Opens the stream.
pub(super) async fn events(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let after = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .and_then(|id| id.parse().ok());
    let feed = Feed::new(state.studio.subscribe(after), state.ending.clone());
    let events = stream::unfold(feed, async |mut feed| {
        let event = feed.next().await?;
        Some((Ok::<_, Infallible>(event), feed))
    });
    let stream = Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)));
    stream.into_response()
}

/// One client's place in the stream.
struct Feed {
    receiver: broadcast::Receiver<Arc<Message>>,
    ending: watch::Receiver<bool>,
    ready: VecDeque<Event>,
    next_batch: Instant,
    ended: bool,
}

impl Feed {
    fn new(subscription: Subscription, ending: watch::Receiver<bool>) -> Self {
        let Subscription {
            seq,
            replay,
            missed,
            receiver,
        } = subscription;
        let mut ready = VecDeque::from([greeting(seq, missed, replay.is_empty())]);
        let mut batch = Batch::default();
        for message in &replay {
            batch.add(message);
        }
        ready.extend(batch.into_events());
        Self {
            receiver,
            ending,
            ready,
            next_batch: Instant::now(),
            ended: false,
        }
    }

    async fn next(&mut self) -> Option<Event> {
        while self.ready.is_empty() && !self.ended {
            let batch = self.gather().await;
            self.ready.extend(batch.into_events());
            self.next_batch = Instant::now() + BETWEEN_BATCHES;
        }
        self.ready.pop_front()
    }

    /// Waits for a change, then takes all that come until the next batch is due.
    async fn gather(&mut self) -> Batch {
        let mut batch = Batch::default();
        loop {
            let due = sleep_until(self.next_batch);
            tokio::select! {
                biased;
                _ = self.ending.wait_for(|ending| *ending) => {
                    self.ended = true;
                    // What was published before the end still belongs to this stream.
                    while let Ok(message) = self.receiver.try_recv() {
                        batch.add(&message);
                    }
                    return batch;
                }
                () = due, if !batch.is_empty() => return batch,
                received = self.receiver.recv() => match received {
                    Ok(message) => batch.add(&message),
                    Err(_lagged_or_gone) => {
                        self.ended = true;
                        return batch;
                    }
                },
            }
        }
    }
}

fn greeting(seq: u64, missed: bool, carries_id: bool) -> Event {
    let event = Event::default()
        .event(if missed { "reset" } else { "hello" })
        .retry(RECONNECT_AFTER)
        .data(json!({"seq": seq}).to_string());
    if carries_id {
        event.id(seq.to_string())
    } else {
        event
    }
}

/// Changes merged by run and by notebook.
#[derive(Default)]
struct Batch {
    seq: u64,
    runs: BTreeMap<RunId, Merged>,
    /// Those that changed.
    notebooks: BTreeSet<NotebookName>,
}

#[derive(Default)]
struct Merged {
    series: BTreeMap<String, Vec<Value>>,
    prototypes: Option<NewPrototypes>,
    lines: Vec<LogLine>,
    /// The newest word on each.
    maps: BTreeMap<MapKey, MapStatus>,
    run: Option<Box<RunView>>,
    removed: bool,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.notebooks.is_empty()
    }

    fn add(&mut self, message: &Message) {
        self.seq = message.seq;
        if let MessageBody::Notebook(name) = &message.body {
            self.notebooks.insert(name.clone());
        }
        let Some(run) = &message.run else { return };
        let merged = self.runs.entry(run.clone()).or_default();
        match &message.body {
            MessageBody::Notebook(_) => (),
            MessageBody::Run(view) => {
                merged.run = Some(view.clone());
                merged.removed = false;
            }
            MessageBody::Removed => {
                *merged = Merged {
                    removed: true,
                    ..Merged::default()
                };
            }
            MessageBody::Series(points) => {
                for point in points {
                    let curve = merged.series.entry(point.tag.to_string()).or_default();
                    curve.push(json!([point.step, point.value]));
                }
            }
            MessageBody::Prototypes(new) => merged.prototypes = Some(*new),
            MessageBody::Log(lines) => merged.lines.extend(lines.iter().cloned()),
            MessageBody::Map(status) => {
                merged.maps.insert(status.key, status.as_ref().clone());
            }
        }
    }

    fn into_events(self) -> Vec<Event> {
        let mut named: Vec<(&str, Value)> = Vec::new();
        for (id, merged) in self.runs {
            named.extend(merged.into_events(&id));
        }
        for name in self.notebooks {
            named.push(("notebook", json!({"name": name, "version": self.seq})));
        }
        let last = named.len().saturating_sub(1);
        named
            .into_iter()
            .enumerate()
            .map(|(index, (name, data))| {
                let event = Event::default().event(name).data(data.to_string());
                if index == last {
                    event.id(self.seq.to_string())
                } else {
                    event
                }
            })
            .collect()
    }
}

impl Merged {
    fn into_events(self, id: &RunId) -> Vec<(&'static str, Value)> {
        let mut events = Vec::new();
        if !self.series.is_empty() {
            events.push(("series", json!({"run": id, "points": self.series})));
        }
        if let Some(new) = self.prototypes {
            let (step, episode, count) = (new.step, new.episode, new.count);
            events.push((
                "prototypes",
                json!({"run": id, "step": step, "episode": episode, "count": count}),
            ));
        }
        if !self.lines.is_empty() {
            events.push(("log", json!({"run": id, "lines": self.lines})));
        }
        for status in self.maps.into_values() {
            events.push(("map", json!({"run": id, "map": status})));
        }
        if let Some(view) = self.run {
            events.push(("run", json!(view)));
        }
        if self.removed {
            events.push(("removed", json!({"run": id})));
        }
        events
    }
}

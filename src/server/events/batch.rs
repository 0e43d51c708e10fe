//! Changes of a tenth of a second, merged by run and by notebook, as server-sent events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::studio::notebooks::NotebookName;
use crate::studio::{
    LogLine, MapKey, MapStatus, Message, MessageBody, NewPrototypes, RunId, RunView,
};

/// Changes merged by run and by notebook.
#[derive(Default)]
pub(super) struct Batch {
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
    pub(super) fn of(messages: &[Arc<Message>]) -> Self {
        let mut batch = Self::default();
        for message in messages {
            batch.add(message);
        }
        batch
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

    /// All events as they are sent.
    pub(super) fn written(self) -> String {
        let mut named: Vec<(&'static str, Value)> = Vec::new();
        for (id, merged) in self.runs {
            named.extend(merged.into_events(&id));
        }
        for name in self.notebooks {
            named.push(("notebook", json!({"name": name, "version": self.seq})));
        }
        let last = named.len().saturating_sub(1);
        let mut text = String::new();
        for (index, (name, data)) in named.into_iter().enumerate() {
            let id = (index == last).then_some(self.seq);
            Sent { name, data, id }.write(&mut text);
        }
        text
    }
}

/// One event of the stream.
pub(super) struct Sent {
    pub(super) name: &'static str,
    pub(super) data: Value,
    pub(super) id: Option<u64>,
}

impl Sent {
    /// JSON has no line ends outside of its texts, and there they are escaped.
    pub(super) fn write(&self, text: &mut String) {
        text.push_str(&format!("event: {}\ndata: {}\n", self.name, self.data));
        if let Some(id) = self.id {
            text.push_str(&format!("id: {id}\n"));
        }
        text.push('\n');
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

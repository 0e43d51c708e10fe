//! What happens now: the records of all runs and the stream of changes to them.
//!
//! Every change is made under one lock: number it, move the record, keep it for latecomers,
//! broadcast it. [`Live::subscribe`] takes the same lock, so a subscriber misses nothing between
//! what it is given and what it hears. What is broadcast was stored before; the stream is a hint
//! and the store is the truth. The channel is bounded: a subscriber that lags loses its place and
//! must subscribe again; it never slows training.
//!
//! Lock order of the studio: desk, then a run's recorder, then this one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::RunId;
use super::maps::MapStatus;
use super::notebooks::NotebookName;
use super::recorder::{Change, NewPrototypes};
use super::run_log::LogLine;
use super::run_store::Point;
use super::view::{RunRecord, RunView};

/// One change, with its number.
#[derive(Debug, Clone)]
pub struct Message {
    /// Ascending over all runs and over restarts of the program.
    pub seq: u64,
    /// The run that changed; absent when it was something else.
    pub run: Option<RunId>,
    pub body: MessageBody,
}

/// What changed.
#[derive(Debug, Clone)]
pub enum MessageBody {
    Run(Box<RunView>),
    Removed,
    Series(Vec<Point>),
    Prototypes(NewPrototypes),
    Log(Vec<LogLine>),
    Map(Box<MapStatus>),
    /// A notebook changed, or a cell of it began, went on or ended.
    Notebook(NotebookName),
}

/// A place in the stream.
#[derive(Debug)]
pub struct Subscription {
    /// Number of the newest change at the time of subscribing.
    pub seq: u64,
    /// Changes after the asked number, oldest first.
    pub replay: Vec<Arc<Message>>,
    /// Changes after the asked number are no longer kept: everything must be read anew.
    pub missed: bool,
    pub receiver: broadcast::Receiver<Arc<Message>>,
}

/// Records of all runs, and who listens to them.
#[derive(Debug)]
pub(crate) struct Live {
    state: Mutex<State>,
    sender: broadcast::Sender<Arc<Message>>,
}

#[derive(Debug)]
struct State {
    seq: u64,
    records: BTreeMap<RunId, RunRecord>,
    kept: VecDeque<Arc<Message>>,
}

/// Changes kept for those who reconnect, about a minute of one training run.
const KEPT: usize = 512;
/// Changes that a slow subscriber may be behind.
const CHANNEL: usize = 256;

impl Live {
    /// Starts numbering above everything that an earlier process can have sent.
    pub(crate) fn new(records: Vec<RunRecord>, now_milliseconds: u64) -> Self {
        let records = records
            .into_iter()
            .map(|record| (record.meta.id.clone(), record))
            .collect();
        Self {
            state: Mutex::new(State {
                // A thousand changes per millisecond would be needed to reach a later start.
                seq: now_milliseconds * 1000,
                records,
                kept: VecDeque::with_capacity(KEPT),
            }),
            sender: broadcast::Sender::new(CHANNEL),
        }
    }

    /// A copy of one record.
    pub(crate) fn record(&self, id: &RunId) -> Option<RunRecord> {
        self.lock().records.get(id).cloned()
    }

    /// Calls `each` with every record, oldest run first. Must be quick.
    pub(crate) fn each(&self, each: impl FnMut(&RunRecord)) {
        self.lock().records.values().for_each(each);
    }

    /// Adds or replaces a record and tells everybody.
    pub(crate) fn insert(&self, record: RunRecord) {
        self.put(&mut self.lock(), record);
    }

    /// Adds a record, unless the run has one, and tells everybody.
    pub(crate) fn insert_if_absent(&self, record: RunRecord) {
        let mut state = self.lock();
        if !state.records.contains_key(&record.meta.id) {
            self.put(&mut state, record);
        }
    }

    fn put(&self, state: &mut State, record: RunRecord) {
        let view = RunView::from(&record);
        let id = record.meta.id.clone();
        state.records.insert(id.clone(), record);
        self.send(state, Some(id), MessageBody::Run(Box::new(view)));
    }

    /// Forgets a record and tells everybody.
    pub(crate) fn remove(&self, id: &RunId) {
        let mut state = self.lock();
        if state.records.remove(id).is_some() {
            self.send(&mut state, Some(id.clone()), MessageBody::Removed);
        }
    }

    /// Changes a record and tells everybody, together with what was stored for it.
    pub(crate) fn update(&self, id: &RunId, change: &Change, edit: impl FnOnce(&mut RunRecord)) {
        let mut state = self.lock();
        let Some(record) = state.records.get_mut(id) else {
            return;
        };
        edit(record);
        if let Some(line) = change.lines.last() {
            record.last_line = line.seq;
        }
        let view = RunView::from(&*record);
        let bodies = [
            (!change.points.is_empty()).then(|| MessageBody::Series(change.points.clone())),
            change.prototypes.map(MessageBody::Prototypes),
            (!change.lines.is_empty()).then(|| MessageBody::Log(change.lines.clone())),
            Some(MessageBody::Run(Box::new(view))),
        ];
        for body in bodies.into_iter().flatten() {
            self.send(&mut state, Some(id.clone()), body);
        }
    }

    /// Tells everybody how far a map is.
    pub(crate) fn tell_map(&self, id: &RunId, status: MapStatus) {
        let mut state = self.lock();
        if state.records.contains_key(id) {
            self.send(
                &mut state,
                Some(id.clone()),
                MessageBody::Map(Box::new(status)),
            );
        }
    }

    /// Tells everybody that a notebook is not what it was.
    pub(crate) fn tell_notebook(&self, name: &NotebookName) {
        let mut state = self.lock();
        self.send(&mut state, None, MessageBody::Notebook(name.clone()));
    }

    /// Edits records without telling anybody; for values that the next change will carry.
    pub(crate) fn edit_all(&self, edit: impl FnMut(&mut RunRecord)) {
        self.lock().records.values_mut().for_each(edit);
    }

    /// Listens from now on, after hearing again what came after `after`.
    pub(crate) fn subscribe(&self, after: Option<u64>) -> Subscription {
        let state = self.lock();
        let receiver = self.sender.subscribe();
        let seq = state.seq;
        let (replay, missed) = match after {
            None => (Vec::new(), false),
            Some(after) if after >= seq => (Vec::new(), after > seq),
            Some(after) => {
                let oldest = state.kept.front().map_or(seq + 1, |m| m.seq);
                if after + 1 < oldest {
                    (Vec::new(), true)
                } else {
                    let later = state.kept.iter().filter(|m| m.seq > after);
                    (later.cloned().collect(), false)
                }
            }
        };
        Subscription {
            seq,
            replay,
            missed,
            receiver,
        }
    }

    fn send(&self, state: &mut State, run: Option<RunId>, body: MessageBody) {
        state.seq += 1;
        let message = Arc::new(Message {
            seq: state.seq,
            run,
            body,
        });
        if state.kept.len() == KEPT {
            state.kept.pop_front();
        }
        state.kept.push_back(Arc::clone(&message));
        // An error only says that nobody listens.
        let _unheard = self.sender.send(message);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use protoclip::config::RunConfig;

    use super::*;
    use crate::studio::run_directory::RunMeta;
    use crate::studio::run_snapshot::RunSnapshot;

    fn record(id: &str) -> RunRecord {
        RunRecord {
            meta: RunMeta {
                id: RunId::from(id),
                name: id.into(),
                tags: Vec::new(),
                created: Timestamp::UNIX_EPOCH,
                program: String::new(),
                forked_from: None,
                imported: None,
            },
            config: Arc::new(RunConfig::default()),
            snapshot: RunSnapshot::queued(&RunConfig::default()),
            eta_seconds: None,
            queue_place: None,
            external: false,
            last_line: 0,
            broken: false,
        }
    }

    fn change(step: u64) -> Change {
        Change {
            points: vec![Point {
                tag: "a".into(),
                step,
                value: 1.0,
            }],
            ..Change::default()
        }
    }

    fn numbers(messages: &[Arc<Message>]) -> Vec<u64> {
        messages.iter().map(|m| m.seq).collect()
    }

    #[tokio::test]
    async fn a_reconnecting_subscriber_hears_exactly_what_it_missed() {
        let live = Live::new(vec![record("a")], 1);
        let id = RunId::from("a");
        live.update(&id, &change(1), |_| ());
        let first = live.subscribe(Some(1001));
        assert_eq!(numbers(&first.replay), [1002]);
        let mut second = live.subscribe(None);
        assert!(second.replay.is_empty() && second.seq == 1002);
        live.update(&id, &change(2), |record| record.snapshot.step = 2);
        let heard = second.receiver.recv().await.expect("hears");
        assert_eq!(heard.seq, 1003);
        assert!(matches!(&heard.body, MessageBody::Series(points) if points[0].step == 2));
        let heard = second.receiver.recv().await.expect("hears");
        assert!(matches!(&heard.body, MessageBody::Run(view) if view.step == 2));
    }

    #[test]
    fn what_is_listed_already_stays_as_it_is() {
        let live = Live::new(vec![record("a")], 1);
        let named = |id: &str, name: &str| {
            let mut record = record(id);
            record.meta.name = name.into();
            record
        };
        let before = live.subscribe(None).seq;
        live.insert_if_absent(named("a", "late"));
        assert_eq!(live.subscribe(None).seq, before);
        live.insert_if_absent(named("b", "new"));
        assert_eq!(live.subscribe(None).seq, before + 1);
        let name_of = |id: &str| live.record(&RunId::from(id)).expect("listed").meta.name;
        assert_eq!((name_of("a"), name_of("b")), ("a".into(), "new".into()));
        live.insert(named("a", "edited"));
        assert_eq!(name_of("a"), "edited");
    }

    #[test]
    fn one_who_was_away_too_long_or_comes_from_another_time_is_told() {
        let live = Live::new(vec![record("a")], 1);
        let id = RunId::from("a");
        for step in 0..KEPT as u64 {
            live.update(&id, &change(step), |_| ());
        }
        assert!(live.subscribe(Some(1000)).missed);
        assert!(live.subscribe(Some(99_999_999)).missed);
        let newest = live.subscribe(None).seq;
        let recent = live.subscribe(Some(newest - 3));
        assert!(!recent.missed);
        assert_eq!(numbers(&recent.replay), [newest - 2, newest - 1, newest]);
    }

    #[tokio::test]
    async fn a_subscriber_that_lags_is_told_and_never_blocks() {
        let live = Live::new(vec![record("a")], 1);
        let mut slow = live.subscribe(None);
        for step in 0..CHANNEL as u64 {
            live.update(&RunId::from("a"), &change(step), |_| ());
        }
        let error = slow.receiver.recv().await.expect_err("lagged");
        assert!(matches!(error, broadcast::error::RecvError::Lagged(_)));
    }
}

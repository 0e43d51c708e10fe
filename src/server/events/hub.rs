//! Gathers changes for all clients at once: a task takes what the studio tells, merges a tenth of a
//! second of it, and hands the same bytes to every stream.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};

use super::batch::Batch;
use crate::server::AppState;
use crate::studio::Message;

const BETWEEN_FRAMES: Duration = Duration::from_millis(100);
/// Frames that a slow client may be behind, some ten seconds.
const CHANNEL: usize = 128;

/// What all clients are sent together.
pub(super) struct Frame {
    bytes: Bytes,
    /// For those who know some of it.
    messages: Vec<Arc<Message>>,
}

impl Frame {
    fn of(messages: Vec<Arc<Message>>) -> Self {
        Self {
            bytes: Batch::of(&messages).written().into(),
            messages,
        }
    }

    /// What is new to a client that knows all changes up to a number; `None` when nothing is.
    pub(super) fn after(&self, known: u64) -> Option<Bytes> {
        let known_here = self.messages.iter().take_while(|m| m.seq <= known).count();
        match &self.messages[known_here..] {
            [] => None,
            _ if known_here == 0 => Some(self.bytes.clone()),
            rest => Some(Batch::of(rest).written().into()),
        }
    }
}

/// The frames' channel while anybody listens.
type Channel = Arc<Mutex<Option<broadcast::Sender<Arc<Frame>>>>>;

/// Where streams get their frames. The task that makes them lives as long as there are streams.
#[derive(Clone, Default)]
pub(in crate::server) struct EventHub {
    channel: Channel,
}

impl EventHub {
    /// Listens from now on. Must be called within the server's runtime.
    pub(super) fn subscribe(&self, state: &AppState) -> broadcast::Receiver<Arc<Frame>> {
        let mut channel = locked(&self.channel);
        if let Some(sender) = &*channel {
            return sender.subscribe();
        }
        let (sender, receiver) = broadcast::channel(CHANNEL);
        *channel = Some(sender.clone());
        let source = Source {
            messages: state.studio.subscribe(None).receiver,
            ending: state.ending.clone(),
        };
        tokio::spawn(source.feed(sender, Arc::clone(&self.channel)));
        receiver
    }

    /// Number of open streams.
    pub(in crate::server) fn listeners(&self) -> usize {
        let channel = locked(&self.channel);
        channel
            .as_ref()
            .map_or(0, broadcast::Sender::receiver_count)
    }
}

fn locked(channel: &Channel) -> MutexGuard<'_, Option<broadcast::Sender<Arc<Frame>>>> {
    channel.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the messages come from.
struct Source {
    messages: broadcast::Receiver<Arc<Message>>,
    ending: watch::Receiver<bool>,
}

impl Source {
    /// Makes frames until nobody listens, the server ends, or it has lost its own place; the streams
    /// end with the channel.
    async fn feed(mut self, sender: broadcast::Sender<Arc<Frame>>, channel: Channel) {
        let mut next = Instant::now();
        loop {
            let (messages, ended) = self.gather(next).await;
            if !messages.is_empty() {
                // An error only says that nobody listens.
                let _unheard = sender.send(Arc::new(Frame::of(messages)));
            }
            next = Instant::now() + BETWEEN_FRAMES;
            let mut channel = locked(&channel);
            if ended || sender.receiver_count() == 0 {
                *channel = None;
                return;
            }
        }
    }

    /// Waits for a change, then takes all that come until the next frame is due; whether it was the
    /// last time.
    async fn gather(&mut self, due: Instant) -> (Vec<Arc<Message>>, bool) {
        let mut gathered = Vec::new();
        loop {
            tokio::select! {
                biased;
                _ = self.ending.wait_for(|ending| *ending) => {
                    // What was published before the end still belongs to the streams.
                    while let Ok(message) = self.messages.try_recv() {
                        gathered.push(message);
                    }
                    return (gathered, true);
                }
                () = sleep_until(due), if !gathered.is_empty() => return (gathered, false),
                received = self.messages.recv() => match received {
                    Ok(message) => gathered.push(message),
                    Err(_lagged_or_gone) => return (gathered, true),
                },
            }
        }
    }
}

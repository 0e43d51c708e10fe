//! Which run trains next: a pure state machine without threads, clocks or files.

use std::collections::VecDeque;

use super::RunId;

/// Runs that wait, and the one that trains. One run trains at a time; a paused run keeps its turn.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<RunId>,
    current: Option<RunId>,
    closed: bool,
}

impl Queue {
    /// Appends a run; `false` when it is already here or the queue is closed.
    pub(crate) fn push(&mut self, id: RunId) -> bool {
        if self.closed || self.current.as_ref() == Some(&id) || self.waiting.contains(&id) {
            return false;
        }
        self.waiting.push_back(id);
        true
    }

    /// Takes a waiting run out; `false` when it does not wait.
    pub(crate) fn remove(&mut self, id: &RunId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting != id);
        self.waiting.len() < before
    }

    /// Gives the next run its turn, when nobody has it.
    pub(crate) fn take_next(&mut self) -> Option<RunId> {
        if self.closed || self.current.is_some() {
            return None;
        }
        self.current = self.waiting.pop_front();
        self.current.clone()
    }

    /// Ends the current turn.
    pub(crate) fn finish(&mut self) {
        self.current = None;
    }

    /// The run whose turn it is.
    #[cfg(test)]
    pub(crate) fn current(&self) -> Option<&RunId> {
        self.current.as_ref()
    }

    /// Place in the line, from 1.
    pub(crate) fn place(&self, id: &RunId) -> Option<usize> {
        self.waiting.iter().position(|w| w == id).map(|p| p + 1)
    }

    /// Lets nothing start any more and gives back those that waited.
    pub(crate) fn close(&mut self) -> Vec<RunId> {
        self.closed = true;
        self.waiting.drain(..).collect()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> RunId {
        RunId::from(name)
    }

    #[test]
    fn runs_train_one_at_a_time_in_the_order_of_their_arrival() {
        let mut queue = Queue::default();
        assert!(queue.push(id("a")) && queue.push(id("b")) && queue.push(id("c")));
        assert_eq!(queue.take_next(), Some(id("a")));
        assert_eq!(queue.take_next(), None, "a has its turn");
        assert_eq!(
            (queue.place(&id("b")), queue.place(&id("c"))),
            (Some(1), Some(2))
        );
        queue.finish();
        assert_eq!(queue.take_next(), Some(id("b")));
    }

    #[test]
    fn a_run_is_in_the_queue_at_most_once() {
        let mut queue = Queue::default();
        assert!(queue.push(id("a")));
        assert!(!queue.push(id("a")));
        queue.take_next();
        assert!(!queue.push(id("a")), "it has its turn");
        queue.finish();
        assert!(queue.push(id("a")), "after its turn it may come again");
    }

    #[test]
    fn only_waiting_runs_can_be_removed() {
        let mut queue = Queue::default();
        queue.push(id("a"));
        queue.push(id("b"));
        queue.take_next();
        assert!(!queue.remove(&id("a")));
        assert!(queue.remove(&id("b")));
        assert!(!queue.remove(&id("b")));
        assert_eq!(queue.current(), Some(&id("a")));
    }

    #[test]
    fn a_closed_queue_starts_nothing_and_gives_back_the_waiting() {
        let mut queue = Queue::default();
        queue.push(id("a"));
        queue.push(id("b"));
        queue.take_next();
        assert_eq!(queue.close(), [id("b")]);
        queue.finish();
        assert!(!queue.push(id("c")));
        assert_eq!(queue.take_next(), None);
    }
}

//! How fast a run advances, to say when it will end.

use std::time::{Duration, Instant};

/// Steps against time of one session, without its pauses and without the work before its first
/// step (opening data, computing the teacher).
#[derive(Debug, Default)]
pub(crate) struct Pace {
    first: Option<(u64, Instant)>,
    last: Option<(u64, Instant)>,
    paused_since: Option<Instant>,
    paused: Duration,
}

impl Pace {
    /// The run is at `step`.
    pub(crate) fn at(&mut self, step: u64, now: Instant) {
        if self.first.is_none() {
            self.first = Some((step, now));
        }
        self.last = Some((step, now));
    }

    pub(crate) fn pause(&mut self, now: Instant) {
        self.paused_since.get_or_insert(now);
    }

    pub(crate) fn resume(&mut self, now: Instant) {
        if let Some(since) = self.paused_since.take() {
            self.paused += now.saturating_duration_since(since);
        }
    }

    /// Time spent in pauses, the current one included.
    pub(crate) fn paused(&self, now: Instant) -> Duration {
        let current = self
            .paused_since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.paused + current
    }

    /// Seconds that `steps` more steps will take; `None` until two steps were seen.
    pub(crate) fn seconds_for(&self, steps: u64) -> Option<f64> {
        let ((first, began), (last, now)) = (self.first?, self.last?);
        let taken = last.checked_sub(first).filter(|&n| n > 0)?;
        let busy = now
            .saturating_duration_since(began)
            .saturating_sub(self.paused);
        Some(busy.as_secs_f64() / taken as f64 * steps as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_estimated_from_the_steps_so_far_without_pauses() {
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let mut pace = Pace::default();
        pace.at(10, begin);
        assert_eq!(pace.seconds_for(5), None);
        pace.at(20, after(20));
        assert_eq!(pace.seconds_for(5), Some(10.0));
        pace.pause(after(20));
        pace.pause(after(30));
        assert_eq!(pace.paused(after(50)), Duration::from_secs(30));
        pace.resume(after(120));
        pace.at(30, after(140));
        assert_eq!(pace.seconds_for(5), Some(10.0));
    }
}

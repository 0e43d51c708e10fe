//! Pace of training over its last seconds: samples per second, and how much of the time went by
//! waiting for data.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Window over which the pace is averaged.
const WINDOW: Duration = Duration::from_secs(10);

/// Counts samples and waiting as they are trained on.
#[derive(Debug, Default)]
pub struct ThroughputMeter {
    marks: VecDeque<Mark>,
    seen: u64,
    waited: Duration,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Instant,
    seen: u64,
    waited: Duration,
}

/// What the meter shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    pub samples_per_second: f64,
    /// Share of the time in which the training thread had no batch to work on, in percent.
    pub data_wait_percent: f64,
}

impl ThroughputMeter {
    /// Forgets the past: a training pass begins or goes on after a pause.
    pub fn start(&mut self, now: Instant) {
        self.marks.clear();
        self.mark(now);
    }

    /// Adds one step that just ended: its samples, and how long it had waited for them. `None`
    /// while no time has passed.
    pub fn add(&mut self, now: Instant, samples: usize, waited: Duration) -> Option<Pace> {
        self.seen += samples as u64;
        self.waited += waited;
        self.mark(now);
        while self.marks.len() > 2 && now.duration_since(self.marks[0].at) > WINDOW {
            self.marks.pop_front();
        }
        let first = *self.marks.front()?;
        let passed = now.duration_since(first.at);
        (!passed.is_zero()).then(|| Pace {
            samples_per_second: (self.seen - first.seen) as f64 / passed.as_secs_f64(),
            data_wait_percent: percent(self.waited - first.waited, passed),
        })
    }

    fn mark(&mut self, at: Instant) {
        self.marks.push_back(Mark {
            at,
            seen: self.seen,
            waited: self.waited,
        });
    }
}

/// Share of `part` in `whole`, in percent; 0 of nothing.
pub(super) fn percent(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() {
        return 0.0;
    }
    100.0 * part.as_secs_f64() / whole.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn the_pace_follows_the_last_seconds_only() {
        let mut meter = ThroughputMeter::default();
        let start = Instant::now();
        meter.start(start);
        let mut pace = None;
        for second in 1..=30 {
            let (samples, waited) = match second <= 15 {
                true => (1000, Duration::from_millis(900)),
                false => (100, Duration::from_millis(250)),
            };
            pace = meter.add(start + seconds(second), samples, waited);
        }
        let expected = Pace {
            samples_per_second: 100.0,
            data_wait_percent: 25.0,
        };
        assert_eq!(pace, Some(expected));
    }

    #[test]
    fn the_first_step_counts_from_the_start_of_the_pass() {
        let mut meter = ThroughputMeter::default();
        let start = Instant::now();
        meter.start(start);
        assert_eq!(meter.add(start, 5, Duration::ZERO), None, "no time passed");
        meter.start(start + seconds(60));
        let pace = meter.add(start + seconds(64), 8, seconds(3));
        let pace = pace.expect("four seconds passed");
        assert_eq!(pace.samples_per_second, 2.0);
        assert_eq!(pace.data_wait_percent, 75.0);
    }
}

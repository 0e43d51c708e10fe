//! Samples per second over the last seconds of training.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Window over which the rate is averaged.
const WINDOW: Duration = Duration::from_secs(10);

/// Counts samples as they are trained on.
#[derive(Debug, Default)]
pub struct ThroughputMeter {
    marks: VecDeque<(Instant, u64)>,
    seen: u64,
}

impl ThroughputMeter {
    /// Adds the samples of one step that just ended; returns samples per second, `None` until two
    /// steps were seen.
    pub fn add(&mut self, now: Instant, samples: usize) -> Option<f64> {
        self.seen += samples as u64;
        self.marks.push_back((now, self.seen));
        while self.marks.len() > 2 && now.duration_since(self.marks[0].0) > WINDOW {
            self.marks.pop_front();
        }
        let &(first, before) = self.marks.front()?;
        let seconds = now.duration_since(first).as_secs_f64();
        (seconds > 0.0).then(|| (self.seen - before) as f64 / seconds)
    }

    /// Forgets the past, after a pause or between training passes.
    pub fn reset(&mut self) {
        self.marks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_the_last_seconds_only() {
        let mut meter = ThroughputMeter::default();
        let start = Instant::now();
        assert_eq!(meter.add(start, 100), None);
        let mut rate = None;
        for second in 1..=30 {
            let samples = if second <= 15 { 1000 } else { 100 };
            rate = meter.add(start + Duration::from_secs(second), samples);
        }
        assert_eq!(rate, Some(100.0));
        meter.reset();
        assert_eq!(meter.add(start + Duration::from_secs(31), 5), None);
    }
}

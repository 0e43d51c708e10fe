//! When a step was taken, in seconds of training: pauses and the time between two processes do not
//! count.
//!
//! Points carry no time. The event log does, and has lines at every episode, checkpoint and change:
//! between two lines the steps are taken to be equally long.

use jiff::Timestamp;

use super::run_log::{LineKind, LogLine};

/// Seconds of training by step.
#[derive(Debug, Default)]
pub(crate) struct StepClock {
    /// (step, seconds), both ascending; a step may come several times.
    knots: Vec<(u64, f64)>,
}

impl StepClock {
    /// Reads the clock off a log, oldest line first.
    pub(crate) fn of(lines: &[LogLine]) -> Self {
        let mut knots: Vec<(u64, f64)> = Vec::with_capacity(lines.len());
        let mut seconds = 0.0;
        let mut before: Option<(Timestamp, bool)> = None;
        for line in lines {
            if let Some((time, true)) = before.filter(|_| !opens(line)) {
                seconds += line.time.duration_since(time).as_secs_f64().max(0.0);
            }
            let runs = match line.kind {
                LineKind::Started | LineKind::Resumed => true,
                LineKind::Paused => false,
                LineKind::State => line.data["state"] == "running",
                _ => before.is_some_and(|(_, runs)| runs),
            };
            before = Some((line.time, runs));
            knots.push((line.step, seconds));
        }
        Self { knots }
    }

    /// Seconds of training when `step` was done. Beyond the newest line the pace of the last two
    /// different steps goes on.
    pub(crate) fn at(&self, step: u64) -> f64 {
        let next = self.knots.partition_point(|knot| knot.0 < step);
        let (from, to) = match (next.checked_sub(1), self.knots.get(next)) {
            (None, first) => return first.map_or(0.0, |knot| knot.1),
            (Some(before), Some(&after)) => (self.knots[before], after),
            (Some(before), None) => {
                let newest = self.knots[before];
                let earlier = self.knots.iter().rfind(|knot| knot.0 < newest.0);
                (*earlier.unwrap_or(&(0, 0.0)), newest)
            }
        };
        let steps = (to.0 - from.0).max(1) as f64;
        from.1 + (to.1 - from.1) * (step - from.0) as f64 / steps
    }
}

/// Whether a process begins with this line, so that the time before it was nobody's.
fn opens(line: &LogLine) -> bool {
    match line.kind {
        LineKind::Started => true,
        LineKind::State => {
            let state = line.data["state"].as_str();
            matches!(state, Some("queued" | "running" | "interrupted"))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use protoclip::train::LogLevel;
    use serde_json::json;

    use super::*;

    fn line(second: i64, step: u64, kind: LineKind, state: &str) -> LogLine {
        LogLine {
            seq: second,
            step,
            time: Timestamp::from_second(second).expect("time"),
            kind,
            level: LogLevel::Info,
            message: String::new(),
            data: json!({"state": state}),
        }
    }

    #[test]
    fn pauses_and_dead_time_do_not_count() {
        let clock = StepClock::of(&[
            line(0, 0, LineKind::State, "queued"),
            line(100, 0, LineKind::State, "running"),
            line(105, 0, LineKind::Started, ""),
            line(115, 10, LineKind::Paused, ""),
            line(500, 10, LineKind::Resumed, ""),
            line(520, 20, LineKind::Checkpoint, ""),
            // Another process, a day later, goes on from the checkpoint.
            line(90_000, 20, LineKind::State, "queued"),
            line(90_001, 20, LineKind::State, "running"),
            line(90_002, 20, LineKind::Started, ""),
            line(90_012, 30, LineKind::State, "finished"),
        ]);
        let at = |step| (clock.at(step) * 1000.0).round() / 1000.0;
        assert_eq!([at(0), at(5), at(10)], [0.0, 5.0, 10.0]);
        assert_eq!([at(15), at(20)], [20.0, 30.0]);
        assert_eq!([at(25), at(30)], [35.0, 40.0]);
        assert_eq!(at(40), 50.0, "the pace goes on");
    }

    #[test]
    fn a_log_without_lines_has_no_time() {
        assert_eq!(StepClock::default().at(7), 0.0);
    }
}

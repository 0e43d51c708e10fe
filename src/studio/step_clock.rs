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
    /// Reads the clock off a log, oldest line first, and off the (step, time) at which someone looked at
    /// the run, oldest first: without those a run that spent minutes before its first step would seem
    /// to spend as long on each step until its next line.
    pub(crate) fn of(lines: &[LogLine], looks: &[(u64, Timestamp)]) -> Self {
        let mut reading = Reading::default();
        let mut looks = looks.iter().peekable();
        for line in lines {
            while let Some(look) = looks.next_if(|l| l.1 <= line.time && l.0 <= line.step) {
                reading.look(look);
            }
            reading.line(line);
        }
        looks.for_each(|look| reading.look(look));
        Self {
            knots: reading.knots,
        }
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

/// A clock while its log is read.
#[derive(Default)]
struct Reading {
    knots: Vec<(u64, f64)>,
    seconds: f64,
    /// The newest time, and whether the run trained from then on.
    before: Option<(Timestamp, bool)>,
}

impl Reading {
    fn line(&mut self, line: &LogLine) {
        if let Some((time, true)) = self.before.filter(|_| !opens(line)) {
            self.seconds += line.time.duration_since(time).as_secs_f64().max(0.0);
        }
        let runs = match line.kind {
            LineKind::Started | LineKind::Resumed => true,
            LineKind::Paused => false,
            LineKind::State => line.data["state"] == "running",
            _ => self.before.is_some_and(|(_, runs)| runs),
        };
        self.before = Some((line.time, runs));
        self.knots.push((line.step, self.seconds));
    }

    /// Says something only while the run trains, and nothing of a step before the newest line.
    fn look(&mut self, &(step, time): &(u64, Timestamp)) {
        let newest = self.knots.last().map_or(0, |knot| knot.0);
        if let Some((before, true)) = self.before.filter(|b| b.0 <= time && newest <= step) {
            self.seconds += time.duration_since(before).as_secs_f64();
            self.before = Some((time, true));
            self.knots.push((step, self.seconds));
        }
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
        let clock = StepClock::of(
            &[
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
            ],
            &[],
        );
        let at = |step| (clock.at(step) * 1000.0).round() / 1000.0;
        assert_eq!([at(0), at(5), at(10)], [0.0, 5.0, 10.0]);
        assert_eq!([at(15), at(20)], [20.0, 30.0]);
        assert_eq!([at(25), at(30)], [35.0, 40.0]);
        assert_eq!(at(40), 50.0, "the pace goes on");
    }

    #[test]
    fn minutes_before_the_first_step_are_not_the_pace_of_the_next() {
        let lines = [
            line(0, 0, LineKind::State, "running"),
            line(0, 0, LineKind::Started, ""),
            line(600, 1, LineKind::Prototypes, ""),
        ];
        let look = |step, second| (step, Timestamp::from_second(second).expect("time"));
        assert_eq!(StepClock::of(&lines, &[]).at(11), 6600.0);
        let clock = StepClock::of(&lines, &[look(6, 605), look(11, 610)]);
        assert_eq!(
            [clock.at(1), clock.at(6), clock.at(11)],
            [600.0, 605.0, 610.0]
        );
        assert_eq!(clock.at(12), 611.0);
        let paused = [lines.as_slice(), &[line(620, 11, LineKind::Paused, "")]].concat();
        let clock = StepClock::of(&paused, &[look(6, 605), look(11, 900)]);
        assert_eq!(clock.at(11), 620.0, "a look at a paused run says nothing");
    }

    #[test]
    fn a_log_without_lines_has_no_time() {
        assert_eq!(StepClock::default().at(7), 0.0);
    }
}

//! One curve of several runs on one axis, and the differences between them.
//!
//! Reads whole curves from SQLite: callers must be allowed to block.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::run_log::LogLine;
use super::series::{Bucket, buckets};
use super::step_clock::StepClock;
use super::{ConfigErrors, FEWEST_BUCKETS, MOST_BUCKETS, RunId, RunView, Studio, StudioError};

/// Fewest and most runs of a comparison.
pub const FEWEST_COMPARED: usize = 2;
pub const MOST_COMPARED: usize = 8;

/// Log lines read at a time.
const LINES_PER_READ: usize = 10_000;

/// What the curves run over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComparisonAxis {
    /// Optimizer steps.
    #[default]
    Step,
    /// Image–caption pairs seen: steps times batch size.
    Samples,
    /// Seconds of training, without pauses.
    Time,
}

/// What is drawn of each run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compared {
    /// The values of the curve.
    #[default]
    Values,
    /// The value minus that of the first run at the same step; from where the two runs part, if
    /// they have a common origin.
    Difference,
}

/// Which curve of which runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparisonQuery {
    pub runs: Vec<RunId>,
    pub tag: String,
    pub axis: ComparisonAxis,
    pub of: Compared,
    /// Most buckets per run.
    pub points: usize,
}

/// A curve of several runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub tag: String,
    pub axis: ComparisonAxis,
    pub of: Compared,
    /// One per run, in the asked order.
    pub runs: Vec<ComparedCurve>,
}

/// The curve of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedCurve {
    pub run: RunId,
    pub shown: usize,
    pub total: usize,
    pub points: Vec<PlacedBucket>,
}

/// `[x, min, max, mean]` of neighbouring points; x is that of the last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PlacedBucket(pub f64, pub Option<f64>, pub Option<f64>, pub Option<f64>);

/// (step, value), ascending.
type Points = Vec<(u64, f64)>;

impl ComparisonAxis {
    /// What stands below the axis of a figure.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Step => "optimizer step",
            Self::Samples => "image–caption pairs seen",
            Self::Time => "seconds of training",
        }
    }

    pub const ALL: [Self; 3] = [Self::Step, Self::Samples, Self::Time];

    /// The word used in addresses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Samples => "samples",
            Self::Time => "time",
        }
    }
}

impl Compared {
    pub const ALL: [Self; 2] = [Self::Values, Self::Difference];

    /// The word used in addresses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Values => "values",
            Self::Difference => "difference",
        }
    }
}

/// Ids out of a comma-separated list, each once, in order.
pub fn listed_runs(list: &str) -> Vec<RunId> {
    let mut runs: Vec<RunId> = Vec::new();
    for text in list.split(',').map(str::trim).filter(|t| !t.is_empty()) {
        let id = RunId::from(text);
        if !runs.contains(&id) {
            runs.push(id);
        }
    }
    runs
}

impl Studio {
    /// The runs of a comparison.
    ///
    /// # Errors
    /// For fewer or more than a comparison takes, and for one that does not exist.
    pub fn compared_runs(&self, ids: &[RunId]) -> Result<Vec<RunView>, StudioError> {
        check_count(ids.len())?;
        ids.iter().map(|id| self.run(id)).collect()
    }

    /// A curve of several runs, reduced to what a chart can show.
    ///
    /// # Errors
    /// When there is no such run, or the number of runs cannot be compared.
    pub fn compare(&self, query: &ComparisonQuery) -> Result<Comparison, StudioError> {
        let most = query.points.clamp(FEWEST_BUCKETS, MOST_BUCKETS);
        let curves = self.compared_points(query)?;
        let reduce = |(run, points): (RunId, Points)| {
            let reduced = buckets(&points, most);
            let place = self.axis_of(&run, query.axis)?;
            let shown: Vec<_> = reduced
                .iter()
                .map(|&Bucket(step, min, max, mean)| PlacedBucket(place.at(step), min, max, mean))
                .collect();
            Ok(ComparedCurve {
                run,
                shown: shown.len(),
                total: points.len(),
                points: shown,
            })
        };
        Ok(Comparison {
            tag: query.tag.clone(),
            axis: query.axis,
            of: query.of,
            runs: curves
                .into_iter()
                .map(reduce)
                .collect::<Result<_, StudioError>>()?,
        })
    }

    /// Every point of a curve of several runs by step: one value per run where it has one.
    ///
    /// # Errors
    /// As [`Studio::compare`].
    pub fn compared_rows(
        &self,
        query: &ComparisonQuery,
    ) -> Result<BTreeMap<u64, Vec<Option<f64>>>, StudioError> {
        let curves = self.compared_points(query)?;
        let mut rows: BTreeMap<u64, Vec<Option<f64>>> = BTreeMap::new();
        let count = curves.len();
        for (place, (_, points)) in curves.iter().enumerate() {
            for &(step, value) in points {
                rows.entry(step).or_insert_with(|| vec![None; count])[place] = Some(value);
            }
        }
        Ok(rows)
    }

    /// Curves that at least two of the runs have, with the number of runs that have each.
    ///
    /// # Errors
    /// When there is no such run.
    pub fn shared_tags(&self, runs: &[RunId]) -> Result<BTreeMap<String, usize>, StudioError> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for run in runs {
            for (tag, _) in self.tags(run)? {
                *counts.entry(tag).or_default() += 1;
            }
        }
        counts.retain(|_, count| *count >= FEWEST_COMPARED);
        Ok(counts)
    }

    /// Points per run: values, or differences to the first run (which then is left out).
    fn compared_points(
        &self,
        query: &ComparisonQuery,
    ) -> Result<Vec<(RunId, Points)>, StudioError> {
        check_count(query.runs.len())?;
        let mut curves = Vec::with_capacity(query.runs.len());
        for run in &query.runs {
            curves.push((run.clone(), self.points(run, &query.tag)?));
        }
        if query.of == Compared::Values {
            return Ok(curves);
        }
        let (first, base) = curves.remove(0);
        for (run, points) in &mut curves {
            let from = self.parted_at(&first, run)?.unwrap_or(0);
            *points = difference(points, &base, from);
        }
        Ok(curves)
    }

    pub(super) fn axis_of(&self, run: &RunId, axis: ComparisonAxis) -> Result<Place, StudioError> {
        Ok(match axis {
            ComparisonAxis::Step => Place::Product(1.0),
            ComparisonAxis::Samples => Place::Product(self.config(run)?.batch_size as f64),
            ComparisonAxis::Time => {
                let view = self.run(run)?;
                let look = view.updated.map(|time| (view.step, time));
                Place::Clock(StepClock::of(&self.whole_log(run)?, look.as_slice()))
            }
        })
    }

    /// Every log line of a run, oldest first.
    pub(super) fn whole_log(&self, run: &RunId) -> Result<Vec<LogLine>, StudioError> {
        let mut lines: Vec<LogLine> = Vec::new();
        loop {
            let after = lines.last().map_or(0, |line| line.seq);
            let more = self.log(run, after, LINES_PER_READ)?;
            let complete = more.len() < LINES_PER_READ;
            lines.extend(more);
            if complete {
                return Ok(lines);
            }
        }
    }
}

/// From steps to places on an axis.
pub(super) enum Place {
    Product(f64),
    Clock(StepClock),
}

impl Place {
    pub(super) fn at(&self, step: u64) -> f64 {
        match self {
            Self::Product(factor) => step as f64 * factor,
            Self::Clock(clock) => clock.at(step),
        }
    }
}

/// The names of runs, with the end of the id where two have one name.
pub fn run_labels(runs: &[RunView]) -> Vec<String> {
    let label = |run: &RunView| {
        let twins = runs.iter().filter(|other| other.name == run.name).count();
        match run.id.as_str().rsplit_once('-') {
            Some((_, end)) if twins > 1 => format!("{} · {end}", run.name),
            _ => run.name.clone(),
        }
    };
    runs.iter().map(label).collect()
}

fn check_count(runs: usize) -> Result<(), ConfigErrors> {
    if (FEWEST_COMPARED..=MOST_COMPARED).contains(&runs) {
        return Ok(());
    }
    let message =
        format!("{runs} given; a comparison takes {FEWEST_COMPARED} to {MOST_COMPARED} runs");
    Err(ConfigErrors::one("runs", message))
}

/// `points − base` at the steps that both have, from `from` on.
fn difference(points: &[(u64, f64)], base: &[(u64, f64)], from: u64) -> Points {
    let base: HashMap<u64, f64> = base.iter().copied().collect();
    let points = points.iter().filter(|point| point.0 >= from);
    points
        .filter_map(|&(step, value)| Some((step, value - base.get(&step)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_taken_at_common_steps_from_the_fork_on() {
        let points = [(1, 1.0), (2, 2.5), (4, 4.0), (5, 1.0)];
        let base = [(1, 1.0), (2, 2.0), (3, 9.0), (4, 3.0)];
        assert_eq!(difference(&points, &base, 2), [(2, 0.5), (4, 1.0)]);
        assert_eq!(difference(&points, &[], 0), []);
    }

    #[test]
    fn lists_name_each_run_once_in_order() {
        let ids = listed_runs("b, a,,b,c");
        assert_eq!(ids, ["b", "a", "c"].map(RunId::from));
        assert!(listed_runs("").is_empty());
    }

    #[test]
    fn one_run_and_nine_runs_cannot_be_compared() {
        assert!(check_count(1).is_err() && check_count(9).is_err());
        assert!(check_count(2).is_ok() && check_count(8).is_ok());
    }
}

//! Long curves in memory, so that each look at one reads only the points that are new.

use std::sync::{Arc, Mutex, PoisonError};

use super::run_store::RunStore;
use super::{RunId, StudioError};

/// Step and value of every point, ascending.
pub(crate) type Curve = Vec<(u64, f64)>;

/// Shorter curves are read from the database each time: that takes less than 10 ms.
const LONG: usize = 20_000;
/// Points of all kept curves, of 16 bytes each.
const MOST: usize = 4_000_000;

/// The long curves looked at last, the newest look at the end.
#[derive(Debug, Default)]
pub(crate) struct CurveCache {
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    run: RunId,
    tag: String,
    curve: Arc<Curve>,
}

impl CurveCache {
    /// The whole curve of a run as it is stored now. A kept one is gone on from where it ended, if the
    /// point there is still the same; a run that began again from a checkpoint is read anew.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn curve(
        &self,
        run: &RunId,
        tag: &str,
        store: &RunStore,
    ) -> Result<Arc<Curve>, StudioError> {
        let known = self.take(run, tag);
        let curve = match known.as_deref().and_then(|curve| curve.last()) {
            Some(&end) => match from(store, tag, end.0)?.split_first() {
                Some((first, [])) if same(*first, end) => known.unwrap_or_default(),
                Some((first, new)) if same(*first, end) => {
                    let mut curve = known.map(Arc::unwrap_or_clone).unwrap_or_default();
                    curve.extend_from_slice(new);
                    Arc::new(curve)
                }
                _ => Arc::new(store.curve(tag)?),
            },
            None => Arc::new(store.curve(tag)?),
        };
        if curve.len() >= LONG {
            self.keep(run, tag, Arc::clone(&curve));
        }
        Ok(curve)
    }

    fn take(&self, run: &RunId, tag: &str) -> Option<Arc<Curve>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|k| k.run == *run && k.tag == tag)?;
        Some(kept.remove(place).curve)
    }

    fn keep(&self, run: &RunId, tag: &str, curve: Arc<Curve>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Another look at the same curve may have kept it meanwhile.
        kept.retain(|k| k.run != *run || k.tag != tag);
        let mut points: usize = curve.len() + kept.iter().map(|k| k.curve.len()).sum::<usize>();
        while points > MOST && !kept.is_empty() {
            points -= kept.remove(0).curve.len();
        }
        if points <= MOST {
            let (run, tag) = (run.clone(), tag.to_owned());
            kept.push(Kept { run, tag, curve });
        }
    }
}

fn from(store: &RunStore, tag: &str, step: u64) -> Result<Curve, StudioError> {
    let mut curve = Vec::new();
    store.each_point(tag, (step, u64::MAX), |step, value| {
        curve.push((step, value))
    })?;
    Ok(curve)
}

/// Not-a-number is the same as itself here.
fn same(a: (u64, f64), b: (u64, f64)) -> bool {
    a.0 == b.0 && a.1.to_bits() == b.1.to_bits()
}

#[cfg(test)]
mod tests {
    use protoclip::config::RunConfig;

    use super::super::RunState;
    use super::super::recorder::state_line;
    use super::super::run_snapshot::RunSnapshot;
    use super::super::run_store::{Batch, Point};
    use super::*;

    const TAG: &str = "train/loss_total";

    fn points(steps: std::ops::RangeInclusive<u64>, value: f64) -> Batch {
        let point = |step| Point {
            tag: TAG.into(),
            step,
            value,
        };
        Batch {
            points: steps.map(point).collect(),
            lines: Vec::new(),
        }
    }

    #[test]
    fn a_kept_curve_grows_and_is_read_anew_when_steps_come_again() {
        let folder = tempfile::tempdir().expect("folder");
        let mut store = RunStore::open(&folder.path().join("run.db")).expect("opens");
        let snapshot = RunSnapshot::queued(&RunConfig::default());
        let (cache, run) = (CurveCache::default(), RunId::from("a"));
        let long = LONG as u64;
        let mut commit = |steps, value| {
            store
                .commit(&points(steps, value), &snapshot)
                .expect("stores");
            cache.curve(&run, TAG, &store).expect("reads")
        };
        assert_eq!(commit(1..=long, 1.0).len(), LONG);
        let grown = commit(long + 1..=long + 5, 2.0);
        assert_eq!((grown.len(), grown[LONG]), (LONG + 5, (long + 1, 2.0)));
        let nothing_new = cache.curve(&run, TAG, &store).expect("reads");
        assert!(Arc::ptr_eq(
            &nothing_new,
            &cache.curve(&run, TAG, &store).expect("reads")
        ));
        // Resumed from a checkpoint three steps before the end.
        let line = state_line(long + 2, RunState::Running, None);
        store
            .restart(long + 2, &line, |_| snapshot.clone())
            .expect("stores");
        assert_eq!(
            cache.curve(&run, TAG, &store).expect("reads").len(),
            LONG + 2
        );
        store
            .commit(&points(long + 3..=long + 9, 3.0), &snapshot)
            .expect("stores");
        let resumed = cache.curve(&run, TAG, &store).expect("reads");
        assert_eq!((resumed.len(), resumed[LONG + 2].1), (LONG + 9, 3.0));
        assert_eq!(resumed.as_slice(), from(&store, TAG, 0).expect("reads"));
    }

    #[test]
    fn what_is_kept_is_bounded_and_short_curves_are_not() {
        let cache = CurveCache::default();
        for number in 0..5 {
            let curve = vec![(0, 0.0); MOST / 4];
            cache.keep(
                &RunId::from(number.to_string().as_str()),
                TAG,
                Arc::new(curve),
            );
        }
        let kept = |name: &str| cache.take(&RunId::from(name), TAG).is_some();
        assert!(!kept("0") && kept("1") && kept("4"));
        cache.keep(
            &RunId::from("vast"),
            TAG,
            Arc::new(vec![(0, 0.0); MOST + 1]),
        );
        assert!(!kept("vast"));
    }
}

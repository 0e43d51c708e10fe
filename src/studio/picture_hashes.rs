//! Which samples of a data set show the same picture, pixel for pixel after decoding.
//!
//! A picture is decoded once, by one thread of lowest priority that ends with the samples it was
//! asked for; until then a sample's picture is unknown, and callers are told how many are known.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use protoclip::data::{DataError, PairSource, SampleId};
use rayon::prelude::*;
use serde::Serialize;

use super::niceness;

/// Hashes of the pictures of one data set.
#[derive(Debug)]
pub(crate) struct PictureHashes {
    /// `[samples]`: [`UNKNOWN`], [`UNREADABLE`] or a hash.
    hashes: Vec<AtomicU64>,
    /// The list that a thread is at work on.
    working: Mutex<Option<Arc<[SampleId]>>>,
    /// Signalled when it ends.
    ended: Condvar,
}

/// How many pictures were compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PicturesCompared {
    pub done: usize,
    pub total: usize,
}

/// Pictures that take about as long as anybody waits.
const WORTH_WAITING: usize = 4096;
/// Pictures between two looks at whether anybody wants more.
const CHUNK: usize = 256;
const UNKNOWN: u64 = 0;
const UNREADABLE: u64 = 1;

impl PictureHashes {
    pub(super) fn new(samples: usize) -> Self {
        Self {
            hashes: (0..samples).map(|_| AtomicU64::new(UNKNOWN)).collect(),
            working: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    /// Starts to hash the pictures of `samples`, unless they are known or another list is at work,
    /// and waits for at most `patience`, not at all for another list or for more than can be known by
    /// then. A later call goes on where this one ends.
    pub(crate) fn look(
        self: &Arc<Self>,
        source: &Arc<dyn PairSource>,
        samples: &[SampleId],
        patience: Duration,
    ) -> PicturesCompared {
        let unknown = samples.len() - self.known(samples);
        if unknown > 0 && self.start(source, samples) && unknown <= WORTH_WAITING {
            let working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
            let own = |list: &mut Option<Arc<[SampleId]>>| list.as_deref() == Some(samples);
            drop(self.ended.wait_timeout_while(working, patience, own));
        }
        PicturesCompared {
            done: self.known(samples),
            total: samples.len(),
        }
    }

    /// Hashes every picture that is not known yet, on the pool of the caller. `report` hears how many
    /// are known and answers whether to go on; answers with whether it came to the end.
    ///
    /// # Errors
    /// When storage cannot be reached.
    pub(crate) fn look_at_all(
        &self,
        source: &dyn PairSource,
        report: &dyn Fn(u64, u64) -> bool,
    ) -> Result<bool, DataError> {
        let samples: Vec<SampleId> = (0..self.hashes.len() as SampleId).collect();
        let mut done = 0;
        for chunk in samples.chunks(CHUNK) {
            if !report(done, samples.len() as u64) {
                return Ok(false);
            }
            source.fetch(chunk)?;
            chunk
                .par_iter()
                .for_each(|&sample| self.hash(source, sample));
            done += chunk.len() as u64;
        }
        Ok(report(done, samples.len() as u64))
    }

    /// How many pictures of the data set are known.
    pub(crate) fn compared(&self) -> PicturesCompared {
        let unknown = |hash: &&AtomicU64| hash.load(Ordering::Relaxed) == UNKNOWN;
        let total = self.hashes.len();
        PicturesCompared {
            done: total - self.hashes.iter().filter(unknown).count(),
            total,
        }
    }

    /// Samples that show one picture, where more than one does: the largest groups first.
    pub(crate) fn groups(&self) -> Vec<Vec<SampleId>> {
        let known = (0..self.hashes.len() as SampleId).filter_map(|s| Some((self.of(s)?, s)));
        let mut pictures: Vec<(u64, SampleId)> = known.collect();
        pictures.sort_unstable();
        let shared = pictures
            .chunk_by(|a, b| a.0 == b.0)
            .filter(|group| group.len() > 1);
        let mut groups: Vec<Vec<SampleId>> = shared
            .map(|group| group.iter().map(|(_, sample)| *sample).collect())
            .collect();
        groups.sort_by_key(|group| (std::cmp::Reverse(group.len()), group.first().copied()));
        groups
    }

    /// The hash of a sample's picture; none when it cannot be read or is not known yet.
    pub(crate) fn of(&self, sample: SampleId) -> Option<u64> {
        let hash = self.hashes.get(sample as usize)?.load(Ordering::Relaxed);
        (hash > UNREADABLE).then_some(hash)
    }

    fn known(&self, samples: &[SampleId]) -> usize {
        let known = |sample: &&SampleId| {
            let hash = self.hashes.get(**sample as usize);
            hash.is_none_or(|hash| hash.load(Ordering::Relaxed) != UNKNOWN)
        };
        samples.iter().filter(known).count()
    }

    /// Whether a thread is at work on these samples now.
    fn start(self: &Arc<Self>, source: &Arc<dyn PairSource>, samples: &[SampleId]) -> bool {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = &*working {
            return **list == *samples;
        }
        let samples: Arc<[SampleId]> = samples.into();
        *working = Some(Arc::clone(&samples));
        drop(working);
        let (own, source) = (Arc::clone(self), Arc::clone(source));
        let thread = std::thread::Builder::new().name("pictures".into());
        let started = thread.spawn(move || {
            niceness::yield_to_others();
            let end = EndOfWork(&own);
            for &sample in &*samples {
                own.hash(&*source, sample);
            }
            drop(end);
        });
        if let Err(error) = started {
            tracing::warn!(%error, "pictures are not compared");
            drop(EndOfWork(self));
        }
        true
    }

    fn hash(&self, source: &dyn PairSource, sample: SampleId) {
        let Some(slot) = self.hashes.get(sample as usize) else {
            return;
        };
        if slot.load(Ordering::Relaxed) != UNKNOWN {
            return;
        }
        let hash = match source.image(sample) {
            Ok(picture) => hash_of(&picture),
            // The network's fault; the next look asks again.
            Err(DataError::Object { .. }) => return,
            Err(_) => UNREADABLE,
        };
        slot.store(hash, Ordering::Relaxed);
    }
}

/// Of the size and all pixels.
fn hash_of(picture: &image::RgbImage) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&picture.width().to_le_bytes());
    hasher.update(picture.as_raw());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first).max(UNREADABLE + 1)
}

/// Says that nobody is at work when it goes, also when a decoder panics.
struct EndOfWork<'a>(&'a PictureHashes);

impl Drop for EndOfWork<'_> {
    fn drop(&mut self) {
        let working = self.0.working.lock();
        *working.unwrap_or_else(PoisonError::into_inner) = None;
        self.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use protoclip::config::DataConfig;

    use super::*;

    #[test]
    fn equal_pictures_have_equal_hashes_and_only_what_was_asked_for_is_known() {
        let source = protoclip::data::open(&DataConfig::default(), &|_, _| true).expect("opens");
        let hashes = Arc::new(PictureHashes::new(source.len()));
        let compared = hashes.look(&source, &[5, 9, 5, 7], Duration::from_secs(60));
        assert_eq!((compared.done, compared.total), (4, 4));
        assert!(hashes.of(5).is_some());
        assert_eq!(hashes.of(6), None, "nobody asked");
        for (a, b) in [(5, 9), (5, 7), (9, 7)] {
            let same = source.image(a).expect("decodes") == source.image(b).expect("decodes");
            assert_eq!(hashes.of(a) == hashes.of(b), same, "{a} and {b}");
        }
        let more = hashes.look(&source, &[6], Duration::from_secs(60));
        assert_eq!((more.done, hashes.of(6).is_some()), (1, true));
    }

    #[test]
    fn nobody_waits_for_more_than_can_be_known_soon() {
        let source = protoclip::data::open(&DataConfig::default(), &|_, _| true).expect("opens");
        let hashes = Arc::new(PictureHashes::new(source.len()));
        let many: Vec<u32> = (0..WORTH_WAITING as u32 + 1)
            .map(|sample| sample % source.len() as u32)
            .collect();
        let compared = hashes.look(&source, &many, Duration::from_secs(60));
        assert!(compared.done < compared.total, "{compared:?}");
    }

    #[test]
    fn nobody_waits_for_the_pictures_of_others() {
        let source = protoclip::data::open(&DataConfig::default(), &|_, _| true).expect("opens");
        let hashes = Arc::new(PictureHashes::new(source.len()));
        *hashes.working.lock().expect("lock") = Some([1, 2, 3].into());
        let compared = hashes.look(&source, &[5, 9], Duration::from_secs(600));
        assert_eq!((compared.done, compared.total), (0, 2), "and it came back");
    }

    #[test]
    fn no_patience_means_not_yet() {
        let source = protoclip::data::open(&DataConfig::default(), &|_, _| true).expect("opens");
        let hashes = Arc::new(PictureHashes::new(source.len()));
        let all: Vec<u32> = (0..source.len() as u32).collect();
        let compared = hashes.look(&source, &all, Duration::ZERO);
        assert!(compared.done < compared.total, "{compared:?}");
    }
}

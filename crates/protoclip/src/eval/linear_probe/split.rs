//! Which samples a probe learns from, which pick its strength, and which test it.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::ProbeError;

/// One sample in so many validates, and tests when no test samples are given.
const ONE_IN: usize = 5;

/// Three parts of the samples, by index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbeSplit {
    pub train: Vec<usize>,
    pub validation: Vec<usize>,
    pub test: Vec<usize>,
}

impl ProbeSplit {
    /// Shuffles `samples` with `seed`: one fifth tests, one fifth validates, the rest trains.
    pub fn drawn(samples: usize, seed: u64) -> Self {
        let mut order = shuffled((0..samples).collect(), seed);
        let test = order.split_off(order.len() - samples / ONE_IN);
        let validation = order.split_off(order.len() - samples / ONE_IN);
        Self {
            train: order,
            validation,
            test,
        }
    }

    /// The samples for which `held_out` `[n]` is true test; of the others, shuffled with `seed`, one
    /// fifth validates.
    pub fn testing(held_out: &[bool], seed: u64) -> Self {
        let (test, rest): (Vec<usize>, Vec<usize>) =
            (0..held_out.len()).partition(|&sample| held_out[sample]);
        let mut train = shuffled(rest, seed);
        let validation = train.split_off(train.len() - train.len() / ONE_IN);
        Self {
            train,
            validation,
            test,
        }
    }

    /// Training and validation samples.
    pub fn not_tested(&self) -> Vec<usize> {
        [self.train.as_slice(), &self.validation].concat()
    }

    pub(super) fn check(&self) -> Result<(), ProbeError> {
        let sizes = [&self.train, &self.validation, &self.test].map(Vec::len);
        if sizes.contains(&0) {
            return Err(ProbeError::Split {
                train: sizes[0],
                validation: sizes[1],
                test: sizes[2],
            });
        }
        Ok(())
    }
}

fn shuffled(mut samples: Vec<usize>, seed: u64) -> Vec<usize> {
    samples.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(split: &ProbeSplit) -> Vec<usize> {
        let mut all = [split.not_tested().as_slice(), &split.test].concat();
        all.sort_unstable();
        all
    }

    #[test]
    fn every_sample_is_in_one_part_and_the_seed_decides_which() {
        let split = ProbeSplit::drawn(103, 3);
        assert_eq!(all(&split), (0..103).collect::<Vec<_>>());
        assert_eq!((split.validation.len(), split.test.len()), (20, 20));
        assert_eq!(split, ProbeSplit::drawn(103, 3));
        assert_ne!(split, ProbeSplit::drawn(103, 4));
    }

    #[test]
    fn held_out_samples_and_no_others_test() {
        let held_out: Vec<bool> = (0..50).map(|i| i % 7 == 0).collect();
        let split = ProbeSplit::testing(&held_out, 1);
        assert_eq!(split.test, [0, 7, 14, 21, 28, 35, 42, 49]);
        assert_eq!(all(&split), (0..50).collect::<Vec<_>>());
        assert_eq!(split.validation.len(), 8);
    }
}

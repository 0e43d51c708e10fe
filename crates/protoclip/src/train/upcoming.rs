//! The passes over the data, started ahead: their first batches are prepared while the session still
//! loads a teacher, builds the model, clusters or saves a checkpoint, so that a pass begins at once.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::TrainError;
use super::session::{Plan, Session};
use crate::config::{Fidelity, RunConfig};
use crate::data::{BatchMode, Batcher, Batches, EpisodeSampler, SampleId};

/// A pass of one episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Extract { episode: u64 },
    Train { episode: u64 },
}

/// A pass that was started before its turn.
#[derive(Debug)]
pub(super) struct Upcoming {
    pass: Pass,
    batches: Batches,
}

impl Upcoming {
    /// The first extraction of a new run.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub(super) fn first_extraction(
        batcher: &Batcher,
        sampler: &EpisodeSampler,
        config: &RunConfig,
        plan: &Plan,
    ) -> Result<Self, TrainError> {
        let samples = sampler.episode(0, plan.samples_per_episode);
        let mode = extraction_mode(config, 0);
        Ok(Self {
            pass: Pass::Extract { episode: 0 },
            batches: batcher.batches(samples, mode)?,
        })
    }
}

impl Session<'_> {
    /// Starts the extraction of the current episode.
    pub(super) fn prepare_extraction(&mut self) -> Result<(), TrainError> {
        let batches = self.start_extraction()?;
        let episode = self.place.episode;
        self.upcoming = Some(Upcoming {
            pass: Pass::Extract { episode },
            batches,
        });
        Ok(())
    }

    /// Starts the training pass of the current episode, whose samples these are.
    pub(super) fn prepare_training(&mut self, samples: &[SampleId]) -> Result<(), TrainError> {
        let batches = self.start_training(samples)?;
        let episode = self.place.episode;
        self.upcoming = Some(Upcoming {
            pass: Pass::Train { episode },
            batches,
        });
        Ok(())
    }

    /// The extraction of the current episode, started ahead or now.
    pub(super) fn extraction(&mut self) -> Result<Batches, TrainError> {
        let episode = self.place.episode;
        match self.take_upcoming(Pass::Extract { episode }) {
            Some(batches) => Ok(batches),
            None => self.start_extraction(),
        }
    }

    /// The training pass of the current episode, started ahead or now.
    pub(super) fn training(&mut self, samples: &[SampleId]) -> Result<Batches, TrainError> {
        let episode = self.place.episode;
        match self.take_upcoming(Pass::Train { episode }) {
            Some(batches) => Ok(batches),
            None => self.start_training(samples),
        }
    }

    /// What was started ahead, if it is this pass; anything else is given up.
    fn take_upcoming(&mut self, pass: Pass) -> Option<Batches> {
        let upcoming = self.upcoming.take()?;
        (upcoming.pass == pass).then_some(upcoming.batches)
    }

    fn start_extraction(&self) -> Result<Batches, TrainError> {
        // After the last episode, its samples are looked at once more with the finished model.
        let episode = self.place.episode.min(self.config.episodes as u64 - 1);
        let samples = self.sampler.episode(episode, self.plan.samples_per_episode);
        let mode = extraction_mode(&self.config, self.place.episode);
        Ok(self.batcher.batches(samples, mode)?)
    }

    fn start_training(&self, samples: &[SampleId]) -> Result<Batches, TrainError> {
        let order = self.training_order(samples);
        let mode = training_mode(&self.config, self.place.episode);
        Ok(self.batcher.batches(order, mode)?)
    }

    /// Samples of the training pass from the current place on: whole batches in an order drawn from
    /// seed and episode. Where undecodable images left too few samples, the order starts over.
    fn training_order(&self, samples: &[SampleId]) -> Vec<SampleId> {
        let order = training_order(samples, self.config.seed, self.place.episode);
        let batch = self.config.batch_size;
        let wanted = self.plan.steps_per_episode as usize * batch;
        let done = self.place.cursor as usize * batch;
        order
            .iter()
            .copied()
            .cycle()
            .take(wanted)
            .skip(done)
            .collect()
    }
}

/// The order in which the training pass of an episode takes its samples, batch after batch. Only
/// broken pictures, which other samples replace, can make a batch differ from it.
pub fn training_order(samples: &[SampleId], seed: u64, episode: u64) -> Vec<SampleId> {
    let mut order = samples.to_vec();
    order.shuffle(&mut order_generator(seed, episode));
    order
}

fn order_generator(seed: u64, episode: u64) -> ChaCha8Rng {
    let mut hash = blake3::Hasher::new();
    hash.update(b"training order");
    hash.update(&seed.to_le_bytes());
    hash.update(&episode.to_le_bytes());
    ChaCha8Rng::from_seed(*hash.finalize().as_bytes())
}

fn extraction_mode(config: &RunConfig, episode: u64) -> BatchMode {
    match config.fidelity {
        Fidelity::Corrected => BatchMode::Evaluate,
        Fidelity::Reference => training_mode(config, episode),
    }
}

fn training_mode(config: &RunConfig, episode: u64) -> BatchMode {
    BatchMode::Train {
        episode,
        augmentation: config.augmentation,
    }
}

//! What a run needs in memory at least, before it starts: a run that can never fit is refused with
//! the setting to lower, instead of being ended by the system hours later.

use crate::config::{ConfigErrors, ValidRunConfig};
use crate::data::gibibytes;
use crate::device::MachineMemory;
use crate::model::ClipConfig;

/// Bytes of a value.
const VALUE: f64 = 4.0;

/// Fewest pairs that a step can have.
const SMALLEST_BATCH: f64 = 2.0;

/// Lower bounds, in bytes, of what a run holds in main memory. A run on a GPU holds only the features
/// there.
///
/// Nothing is counted that a kernel needs for a moment, no gradient of an activation, no picture that
/// waits: a run needs more than this, never less.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemoryNeed {
    /// Weights and the optimizer's two moments.
    model: f64,
    /// Gradients of the weights, whole at the end of a backward pass.
    gradients: f64,
    batch: BatchNeed,
    /// Pairs of a step.
    batch_size: f64,
    /// Features of one sample of an episode, both spaces.
    sample: f64,
    /// Samples of an episode; `None` where the data set was not read yet.
    samples: Option<f64>,
}

/// What a step keeps of its batch, from the forward pass to the backward pass.
#[derive(Debug, Clone, Copy, PartialEq)]
struct BatchNeed {
    /// Of every pair by itself, and of its scores with the prototypes.
    pair: f64,
    /// Of each of the batch's pairs with each other: their scores, and these times the scale.
    between: f64,
}

impl BatchNeed {
    fn bytes(self, size: f64) -> f64 {
        size * self.pair + size * size * self.between
    }

    /// The largest batch that needs no more than `room`.
    fn largest(self, room: f64) -> f64 {
        let room = room.max(0.0);
        match self.between > 0.0 {
            // The positive root of between·n² + pair·n = room.
            true => {
                let root = (self.pair * self.pair + 4.0 * self.between * room).sqrt();
                ((root - self.pair) / (2.0 * self.between)).floor()
            }
            false => (room / self.pair).floor(),
        }
    }
}

impl MemoryNeed {
    /// The need of a run that computes on the CPU (`on_cpu`) or elsewhere, with `samples` in each
    /// episode where that is known.
    pub fn of(
        config: &ValidRunConfig,
        model: &ClipConfig,
        samples: Option<usize>,
        on_cpu: bool,
    ) -> Self {
        let here = if on_cpu { VALUE } else { 0.0 };
        // A tower that is locked from the first step to the last has neither gradients nor moments.
        let trains_all = config.schedule.lit_episodes < config.episodes;
        let trained = if trains_all { here } else { 0.0 };
        let parameters = model.parameters();
        let (scores, projected) = match config.trains_prototypes() {
            // Two students, each with its scores and these times the scale.
            true => (
                4.0 * config.prototypes.count as f64,
                2.0 * model.projection_head.output as f64,
            ),
            false => (0.0, 0.0),
        };
        Self {
            model: here * parameters + trained * 2.0 * parameters,
            gradients: trained * (parameters - model.token_embedding_parameters()),
            batch: BatchNeed {
                pair: trained * (model.kept_per_pair() + scores),
                between: trained * 2.0,
            },
            batch_size: config.batch_size as f64,
            sample: VALUE * (2.0 * model.embed_dim as f64 + projected),
            samples: samples.map(|samples| samples as f64),
        }
    }

    /// At the moment of the run that needs most, in bytes.
    pub fn bytes(&self) -> f64 {
        self.step_of(self.batch_size).max(self.episode())
    }

    /// The backward pass gives back what the forward pass kept while gradients come: most is held
    /// before or after it.
    fn step_of(&self, pairs: f64) -> f64 {
        self.model + self.gradients.max(self.batch.bytes(pairs))
    }

    fn episode(&self) -> f64 {
        self.model + self.samples.unwrap_or(0.0) * self.sample
    }

    /// Whether the run could fit into this machine if nothing else ran.
    ///
    /// # Errors
    /// Names the setting to lower, and how far where that helps.
    pub fn check_total(&self, memory: MachineMemory) -> Result<(), ConfigErrors> {
        self.check(memory.total, "of this machine")
    }

    /// Whether the run can fit into what is free now.
    ///
    /// # Errors
    /// As [`MemoryNeed::check_total`].
    pub fn check_available(&self, memory: MachineMemory) -> Result<(), ConfigErrors> {
        self.check(memory.available, "that are free now")
    }

    fn check(&self, limit: u64, which: &str) -> Result<(), ConfigErrors> {
        let room = limit as f64;
        if self.bytes() <= room {
            return Ok(());
        }
        let beyond = |need: f64| {
            format!(
                "at least {}, more than the {} {which}",
                gibibytes(need),
                gibibytes(room)
            )
        };
        let smallest = self.step_of(SMALLEST_BATCH);
        let (field, message) = if smallest > room {
            let message = format!(
                "its weights, gradients and moments with the smallest batch need {}; choose a smaller model",
                beyond(smallest)
            );
            ("model", message)
        } else if self.step_of(self.batch_size) > room {
            let fitting = self.batch.largest(room - self.model);
            let message = format!(
                "a step of {} pairs needs {}; lower it, to {fitting} at most, or choose a smaller model",
                self.batch_size,
                beyond(self.step_of(self.batch_size))
            );
            ("batch_size", message)
        } else {
            let fitting = ((room - self.model) / self.sample).floor();
            let message = format!(
                "the features of {} samples need {}; give at most {fitting}",
                self.samples.unwrap_or(0.0),
                beyond(self.episode())
            );
            ("episode_size", message)
        };
        Err(ConfigErrors::one(field, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RunConfig, TeacherKind};

    const GIB: u64 = 1 << 30;

    fn need(model: &str, samples: usize, change: impl FnOnce(&mut RunConfig)) -> MemoryNeed {
        let mut config = RunConfig::default();
        change(&mut config);
        let config = config.validate().expect("valid");
        let model = ClipConfig::named(model).expect("built in");
        MemoryNeed::of(&config, &model, Some(samples), true)
    }

    fn refusal(need: &MemoryNeed, gibibytes: u64) -> Option<(String, String)> {
        let memory = MachineMemory {
            total: gibibytes * GIB,
            available: gibibytes * GIB,
        };
        assert_eq!(
            need.check_total(memory).is_ok(),
            need.check_available(memory).is_ok()
        );
        let errors = need.check_total(memory).err()?.errors;
        let [error] = <[_; 1]>::try_from(errors).expect("one setting at a time");
        Some((error.field, error.message))
    }

    #[test]
    fn what_trains_on_a_small_machine_today_is_let_through() {
        for model in ["vit-nano-32", "vit-tiny-64", "rn-tiny-64"] {
            assert_eq!(refusal(&need(model, 6_000, |_| ()), 2), None, "{model}");
        }
    }

    #[test]
    fn a_batch_that_cannot_fit_is_refused_with_the_largest_that_does() {
        let with = |size| need("ViT-L-14", 100_000, |c| c.batch_size = size);
        let (field, message) = refusal(&with(4096), 24).expect("terabytes");
        assert_eq!(field, "batch_size");
        let fitting = message
            .split("to ")
            .nth(1)
            .and_then(|m| m.split(' ').next());
        let fitting: usize = fitting.and_then(|m| m.parse().ok()).expect(&message);
        assert!(fitting > 2, "{message}");
        assert_eq!(refusal(&with(fitting), 24), None, "{message}");
        assert!(refusal(&with(fitting + 1), 24).is_some(), "{message}");
    }

    #[test]
    fn a_model_that_cannot_fit_is_named_and_so_are_features() {
        let (field, message) = refusal(&need("ViT-L-14", 100_000, |_| ()), 4).expect("too large");
        assert_eq!(field, "model");
        assert!(message.contains("GiB of this machine"), "{message}");
        let (field, message) =
            refusal(&need("vit-nano-32", 50_000_000, |_| ()), 8).expect("features");
        assert_eq!(field, "episode_size");
        assert!(message.contains("50000000 samples"), "{message}");
    }

    #[test]
    fn elsewhere_only_features_count() {
        let config = RunConfig::default().validate().expect("valid");
        let model = ClipConfig::named("ViT-L-14").expect("built in");
        let need = MemoryNeed::of(&config, &model, Some(1000), false);
        assert!(need.bytes() < 10e6, "{need:?}");
    }

    #[test]
    fn a_tower_that_never_trains_needs_its_weights_alone() {
        let lit = |c: &mut RunConfig| {
            c.schedule.lit_episodes = c.episodes;
            c.schedule.infonce_episodes = 0;
            c.loss.proto = 0.0;
            c.loss.external = 0.0;
            c.teacher.kind = TeacherKind::None;
        };
        let need = need("ViT-L-14", 1000, lit);
        assert!(need.bytes() < 2.0e9, "{need:?}");
    }
}

//! Learning rates by optimizer step: linear warm-up, then half a cosine down to zero.
//!
//! Port note: `src/training/scheduler.py` of the reference. Its image and text rates run over
//! windows of their own; [`LearningRateSchedule::of`] chooses those windows by fidelity.

use std::f64::consts::PI;

use crate::config::{Fidelity, ValidRunConfig};

/// Image-tower rate and the rate of everything else.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningRates {
    pub image: f64,
    pub rest: f64,
}

/// One warm-up and cosine over the steps `start..end`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LearningRateWindow {
    pub(crate) base: f64,
    pub(crate) warmup: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// The rates of a whole run.
#[derive(Debug, Clone, PartialEq)]
pub struct LearningRateSchedule {
    image: Vec<LearningRateWindow>,
    rest: Vec<LearningRateWindow>,
}

impl LearningRateWindow {
    /// Rate before 0-based step `step`; zero outside the window.
    pub(crate) fn rate(&self, step: u64) -> f64 {
        if !(self.start..self.end).contains(&step) {
            return 0.0;
        }
        let step = step - self.start;
        if step < self.warmup {
            return self.base * (step + 1) as f64 / self.warmup as f64;
        }
        let progress =
            (step - self.warmup) as f64 / (self.end - self.start - self.warmup).max(1) as f64;
        0.5 * (1.0 + (PI * progress).cos()) * self.base
    }
}

impl LearningRateSchedule {
    /// The schedule of a run with this many steps per episode.
    ///
    /// The image rate falls to zero where the LiT stage starts. Reference fidelity lets the other
    /// rate fall over the whole run, so that it is almost zero in that stage; the corrected one
    /// gives the text tower a warm restart there.
    pub fn of(config: &ValidRunConfig, steps_per_episode: u64) -> Self {
        let total = config.episodes as u64 * steps_per_episode;
        let locked_from = total - config.schedule.lit_episodes as u64 * steps_per_episode;
        let base = config.optimizer.learning_rate;
        let window = |base: f64, start: u64, end: u64| LearningRateWindow {
            base,
            warmup: (config.schedule.warmup_steps as u64).min((end - start) / 2),
            start,
            end,
        };
        let image_base = config.optimizer.visual_learning_rate.unwrap_or(base);
        let image = vec![window(image_base, 0, locked_from)];
        let rest = match config.fidelity {
            Fidelity::Reference => vec![window(base, 0, total)],
            Fidelity::Corrected => vec![
                window(base, 0, locked_from),
                window(base, locked_from, total),
            ],
        };
        Self { image, rest }
    }

    /// The rates for the update from `step` to `step + 1`.
    pub fn at(&self, step: u64) -> LearningRates {
        let sum = |windows: &[LearningRateWindow]| windows.iter().map(|w| w.rate(step)).sum();
        LearningRates {
            image: sum(&self.image),
            rest: sum(&self.rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunConfig;

    #[test]
    fn the_lit_stage_locks_the_image_tower_and_restarts_the_text_tower() {
        let mut config = RunConfig {
            episodes: 10,
            ..RunConfig::default()
        };
        config.schedule.lit_episodes = 2;
        config.schedule.warmup_steps = 20;
        let corrected = LearningRateSchedule::of(&config.clone().validate().expect("valid"), 50);
        assert_eq!(corrected.at(400).image, 0.0);
        assert!((corrected.at(420).rest - config.optimizer.learning_rate).abs() < 1e-12);
        config.fidelity = Fidelity::Reference;
        let reference = LearningRateSchedule::of(&config.clone().validate().expect("valid"), 50);
        assert!(reference.at(420).rest < 0.1 * config.optimizer.learning_rate);
    }

    #[test]
    fn a_run_shorter_than_its_warm_up_still_reaches_the_base_rate() {
        let config = RunConfig {
            episodes: 1,
            ..RunConfig::default()
        };
        let schedule = LearningRateSchedule::of(&config.validate().expect("valid"), 10);
        let highest = (0..10).map(|s| schedule.at(s).rest).fold(0.0, f64::max);
        assert!((highest - 5e-4).abs() < 1e-12);
    }
}

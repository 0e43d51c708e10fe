//! `lr_schedule.json`: both learning rates at every step.

use std::path::Path;

use burn::tensor::Device;
use serde::Deserialize;

use super::golden_file::read_json;
use super::{GoldenError, Measure, Report};
use crate::train::LearningRateWindow;

const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Setting {
    visual_base_lr: f64,
    text_base_lr: f64,
    warmup: u64,
    visual_steps: u64,
    text_start_step: u64,
    text_end_step: u64,
    /// Image rate and the rate of the rest, by step.
    lr: Vec<[f64; 2]>,
}

impl Setting {
    fn windows(&self) -> [LearningRateWindow; 2] {
        let image = LearningRateWindow {
            base: self.visual_base_lr,
            warmup: self.warmup,
            start: 0,
            end: self.visual_steps,
        };
        let rest = LearningRateWindow {
            base: self.text_base_lr,
            warmup: self.warmup,
            start: self.text_start_step,
            end: self.text_end_step,
        };
        [image, rest]
    }
}

pub(super) fn check(path: &Path, _: &Device, report: &mut Report<'_>) -> Result<(), GoldenError> {
    let settings: Vec<Setting> = read_json(path)?;
    for (number, setting) in settings.iter().enumerate() {
        for (which, window) in setting.windows().into_iter().enumerate() {
            let steps = setting.lr.iter().enumerate();
            let error = steps.fold(0.0, |worst: f64, (step, rates)| {
                worst.max((window.rate(step as u64) - rates[which]).abs())
            });
            let part = ["image", "rest"][which];
            let case = format!("setting {number}, {part} rate, {} steps", setting.lr.len());
            report.add(case, Measure::Absolute, error, TOLERANCE);
        }
    }
    Ok(())
}

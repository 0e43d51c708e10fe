//! `*_train.json`: optimizer steps from a given checkpoint, figure by figure.
//!
//! Training amplifies rounding: a model whose weights differ in the last bits soon reports other
//! losses, however right the code is. Where the figures stray from the log, it is measured how soon
//! that happens, by training *twins* whose weights were moved by a few units in the last place. Steps
//! before the twins part are still held to the tolerance; all steps are held to a multiple of what
//! the twins differ by. PyTorch itself, run again in f32 or f64, strays from the golden log of such
//! a model as far (`docs/verify.md`).

use std::path::Path;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;

use super::golden_file::read_json;
use super::model::{model_config, outputs};
use super::{GoldenError, GoldenFile, Measure, Report, beside, worst};
use crate::config::{Fidelity, Preset, TargetKind, ValidRunConfig};
use crate::data::Batch;
use crate::model::{ClipConfig, weights};
use crate::prototypes::{BackTranslated, PrototypeSnapshot, SpaceClusters};
use crate::train::replay::{Replay, ReplayStep};
use crate::train::{EpisodePrototypes, LearningRates, TranslatedPrototypes, tag};

/// Relative, of each figure of each step.
const STEP: f64 = 1e-3;
/// Absolute, of the features after all steps.
const FEATURE: f64 = 5e-3;
/// Steps are held to [`STEP`] while the twins differ by less than this share of it.
const DETERMINED: f64 = 0.5;
/// How much farther than a twin another implementation may stray: it rounds differently in every
/// sum of every step, not once in the weights, which differences that grow three- to tenfold a step
/// show a step or two earlier.
const TWIN_FACTOR: f64 = 30.0;
const TWINS: usize = 4;
/// Units in the last place by which a twin's weights are moved, about what reordering the sum of a
/// dense layer changes.
const MOVED: u32 = 4;

/// Figures that a step reports; both log-scales after it follow them. Accuracies, which jump by a
/// whole sample, are not compared.
const FIGURES: [&str; 5] = [
    tag::LOSS_CLIP,
    tag::LOSS_PROTO,
    tag::LOSS_EXTERNAL,
    tag::LOSS_TOTAL,
    tag::GRAD_NORM,
];

/// In the order of [`FIGURES`], then the log-scales of InfoNCE and of the prototype terms.
type StepFigures = [f64; 7];

#[derive(Deserialize)]
struct Log {
    train: Settings,
    history: Vec<StepLog>,
}

#[derive(Deserialize)]
struct Settings {
    batch: usize,
    weight_decay: f64,
    betas: [f64; 2],
    eps: f64,
    max_grad_norm: f64,
    w_clip: f64,
    w_proto: f64,
    w_external: f64,
    target_temperature: f64,
}

#[derive(Deserialize)]
struct StepLog {
    lr_visual: f64,
    lr_rest: f64,
    loss_clip: f64,
    loss_proto: f64,
    loss_external: f64,
    loss_total: f64,
    grad_norm: f64,
    logit_scale: f64,
    logit_scale_proto: f64,
}

impl StepLog {
    fn figures(&self) -> StepFigures {
        [
            self.loss_clip,
            self.loss_proto,
            self.loss_external,
            self.loss_total,
            self.grad_norm,
            self.logit_scale,
            self.logit_scale_proto,
        ]
    }
}

/// What a replay gave: figures by step, and the features after the last one.
struct Course {
    figures: Vec<StepFigures>,
    features: Vec<f32>,
}

pub(super) fn check(
    path: &Path,
    device: &Device,
    report: &mut Report<'_>,
) -> Result<(), GoldenError> {
    let case = TrainCase::open(path, device)?;
    let ours = case.course(None)?;
    let wanted = case.wanted()?;
    let (step, feature) = (ours.furthest_step(&wanted), ours.furthest_feature(&wanted));
    let steps = wanted.figures.len();
    if step <= STEP && feature <= FEATURE {
        let name = format!("all {steps} steps, losses, norm and scales");
        report.add(name, Measure::Relative, step, STEP);
        report.add(
            "features after training",
            Measure::Absolute,
            feature,
            FEATURE,
        );
        return Ok(());
    }
    let twins = (0..TWINS).map(|twin| case.course(Some(twin)));
    let twins = twins.collect::<Result<Vec<_>, _>>()?;
    compare_steps(&ours, &wanted, &twins, report);
    compare_features(&ours, &wanted, &twins, report);
    Ok(())
}

impl Course {
    /// Largest relative difference of a figure of any step.
    fn furthest_step(&self, other: &Self) -> f64 {
        let steps = self.figures.iter().zip(&other.figures);
        steps.fold(0.0, |worst: f64, (a, b)| worst.max(furthest(a, b)))
    }

    fn furthest_feature(&self, other: &Self) -> f64 {
        worst(&self.features, &other.features)
    }
}

fn compare_steps(ours: &Course, wanted: &Course, twins: &[Course], report: &mut Report<'_>) {
    let steps = wanted.figures.len();
    let (mut strict, mut scaled) = (0.0_f64, 0.0_f64);
    let (mut horizon, mut apart) = (0, 0.0_f64);
    for (step, wanted) in wanted.figures.iter().enumerate() {
        let error = furthest(&ours.figures[step], wanted);
        for twin in twins {
            apart = apart.max(furthest(&twin.figures[step], &ours.figures[step]));
        }
        if apart <= STEP * DETERMINED {
            horizon = step + 1;
            strict = strict.max(error);
        }
        scaled = scaled.max(error / (apart * TWIN_FACTOR).max(STEP));
    }
    if horizon > 0 {
        let case = format!("first {horizon} of {steps} steps, losses, norm and scales");
        let limit = STEP * DETERMINED;
        let note = format!("later ones move by more than {limit:.0e} with the weights' last bits");
        report.add_noted(case, Measure::Relative, strict, STEP, note);
    }
    let case = format!("all {steps} steps, share of what is allowed");
    let note = format!("{STEP:.0e}, or {TWIN_FACTOR} × what last bits change, at last {apart:.0e}");
    report.add_noted(case, Measure::Absolute, scaled, 1.0, note);
}

fn compare_features(ours: &Course, wanted: &Course, twins: &[Course], report: &mut Report<'_>) {
    let apart = twins.iter().map(|twin| twin.furthest_feature(ours));
    let tolerance = (apart.fold(0.0, f64::max) * TWIN_FACTOR).max(FEATURE);
    let note = match tolerance > FEATURE {
        true => format!("allowed: {TWIN_FACTOR} × what the weights' last bits change"),
        false => String::new(),
    };
    let error = ours.furthest_feature(wanted);
    report.add_noted(
        "features after training",
        Measure::Absolute,
        error,
        tolerance,
        note,
    );
}

struct TrainCase<'a> {
    log: Log,
    io: GoldenFile,
    /// All inputs, read once for every step of every course.
    images: Vec<f32>,
    tokens: Vec<u32>,
    weights: std::path::PathBuf,
    config: ClipConfig,
    run: ValidRunConfig,
    device: &'a Device,
}

impl<'a> TrainCase<'a> {
    fn open(path: &Path, device: &'a Device) -> Result<Self, GoldenError> {
        let log: Log = read_json(path)?;
        let run = run_config(&log.train).map_err(|e| GoldenError::format(path, e))?;
        let io = GoldenFile::open(&beside(path, "_train.json", "_io.safetensors"))?;
        Ok(Self {
            images: io.f32("images")?,
            tokens: io.labels("tokens")?,
            io,
            weights: beside(path, "_train.json", "_open_clip.safetensors"),
            config: model_config(path)?,
            run,
            log,
            device,
        })
    }

    /// Trains from the golden weights, or from those of a twin.
    fn course(&self, twin: Option<usize>) -> Result<Course, GoldenError> {
        let training = self.device.clone().autodiff();
        let model = self.config.init(0, Fidelity::Reference, &training);
        let failed = |e: &dyn std::fmt::Display| GoldenError::compute("training", e);
        let mut model = weights::load(model, &self.weights).map_err(|e| failed(&e))?;
        if let Some(twin) = twin {
            model = model.map(&mut LastBits { count: twin });
        }
        let prototypes = self.prototypes()?;
        let order = self.io.labels("batch_order")?;
        let batch_size = self.log.train.batch.max(1);
        let mut replay = Replay::new(model, &self.run, &prototypes, &training);
        let mut figures = Vec::with_capacity(self.log.history.len());
        for (wanted, samples) in self.log.history.iter().zip(order.chunks_exact(batch_size)) {
            let step = ReplayStep {
                batch: self.batch(samples)?,
                rates: LearningRates {
                    image: wanted.lr_visual,
                    rest: wanted.lr_rest,
                },
            };
            let points = replay.step(&step).map_err(|e| failed(&e))?;
            let figure = |name: &str| {
                let point = points.iter().find(|(tag, _)| tag == name);
                point.map_or(f64::NAN, |(_, value)| *value)
            };
            let [clip, proto, external, total, norm] = FIGURES.map(figure);
            let [scale, scale_proto] = replay.log_scales().map_err(|e| failed(&e))?;
            figures.push([clip, proto, external, total, norm, scale, scale_proto]);
        }
        let (taken, steps) = (figures.len(), self.log.history.len());
        if taken < steps {
            let message = format!("has batches for {taken} of {steps} steps");
            return Err(self.io.wrong("batch_order", message));
        }
        let model = replay.model().map_err(|e| failed(&e))?.valid();
        let features = outputs(&model, &self.io, self.device)?;
        let features = features
            .into_iter()
            .filter(|(name, _)| TRAINED.contains(name));
        Ok(Course {
            figures,
            features: features.flat_map(|(_, values)| values).collect(),
        })
    }

    /// The golden course, as long as the log.
    fn wanted(&self) -> Result<Course, GoldenError> {
        let mut features = Vec::new();
        for name in TRAINED {
            features.extend(self.io.f32(&format!("trained/{name}"))?);
        }
        Ok(Course {
            figures: self.log.history.iter().map(StepLog::figures).collect(),
            features,
        })
    }

    fn batch(&self, samples: &[u32]) -> Result<Batch, GoldenError> {
        let (images, tokens) = (&self.images, &self.tokens);
        let pixels: usize = self.io.shape("images")?.iter().skip(1).product();
        let [_, context] = self.io.matrix_shape("tokens")?;
        let mut batch = Batch {
            images: Vec::new(),
            tokens: Vec::new(),
            replaced: Vec::new(),
            samples: samples.to_vec(),
        };
        for &sample in samples {
            let sample = sample as usize;
            let row = (images.get(sample * pixels..(sample + 1) * pixels))
                .zip(tokens.get(sample * context..(sample + 1) * context));
            let (image, ids) = row.ok_or_else(|| {
                self.io
                    .wrong("batch_order", format!("there is no sample {sample}"))
            })?;
            batch.images.extend(image);
            batch.tokens.extend(ids.iter().map(|&id| id as i32));
        }
        Ok(batch)
    }

    fn prototypes(&self) -> Result<EpisodePrototypes, GoldenError> {
        let (image, text) = (self.clusters("image")?, self.clusters("text")?);
        let external = self.clusters("external")?;
        let translated = |name: &str, teacher: &SpaceClusters| {
            Ok(BackTranslated {
                centroids: self.io.f32(name)?,
                counts: teacher.sizes(),
            })
        };
        Ok(EpisodePrototypes {
            translated: Some(TranslatedPrototypes {
                text_prototypes_in_image_space: translated("image_from_text", &text)?,
                image_prototypes_in_text_space: translated("text_from_image", &image)?,
                teacher_prototypes_in_image_space: Some(translated(
                    "image_from_external",
                    &external,
                )?),
                teacher_prototypes_in_text_space: Some(translated(
                    "text_from_external",
                    &external,
                )?),
            }),
            snapshot: PrototypeSnapshot {
                samples: (0..image.assignments.len() as u32).collect(),
                image,
                text,
                teacher: Some(external),
                ..PrototypeSnapshot::default()
            },
        })
    }

    fn clusters(&self, space: &str) -> Result<SpaceClusters, GoldenError> {
        let name = format!("{space}_centroids");
        let [count, dim] = self.io.matrix_shape(&name)?;
        let labels = format!("{space}_labels");
        let assignments = self.io.labels(&labels)?;
        if assignments.iter().any(|&label| label as usize >= count) {
            return Err(self
                .io
                .wrong(&labels, format!("has a label of {count} or more")));
        }
        Ok(SpaceClusters {
            count,
            dim,
            centroids: self.io.f32(&name)?,
            distances: vec![0.0; assignments.len()],
            assignments,
        })
    }
}

/// Golden outputs after training, in the order in which [`outputs`] gives them.
const TRAINED: [&str; 4] = [
    "image_projected",
    "text_projected",
    "image_features",
    "text_features",
];

fn run_config(train: &Settings) -> Result<ValidRunConfig, crate::config::ConfigErrors> {
    let mut config = Preset::ProtoclipTeacher.config();
    config.fidelity = Fidelity::Reference;
    config.batch_size = train.batch;
    config.optimizer.weight_decay = train.weight_decay;
    [config.optimizer.beta1, config.optimizer.beta2] = train.betas;
    config.optimizer.epsilon = train.eps;
    config.optimizer.grad_clip_norm = train.max_grad_norm;
    config.loss.clip = train.w_clip;
    config.loss.proto = train.w_proto;
    config.loss.external = train.w_external;
    config.prototypes.target = TargetKind::Soft;
    config.prototypes.target_temperature = train.target_temperature;
    config.teacher.target = TargetKind::Hard;
    config.validate()
}

/// Largest relative difference of two steps' figures.
fn furthest(found: &StepFigures, wanted: &StepFigures) -> f64 {
    found
        .iter()
        .zip(wanted)
        .fold(0.0, |worst, (found, wanted)| {
            let error = (found - wanted).abs() / wanted.abs().max(1e-6);
            match error.is_nan() {
                true => f64::INFINITY,
                false => worst.max(error),
            }
        })
}

/// Moves the weights by [`MOVED`] units in the last place: up, down, not at all, in turns.
struct LastBits {
    count: usize,
}

impl ModuleMapper for LastBits {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let count = &mut self.count;
        param.map(|value| {
            let tracked = value.is_require_grad();
            let (shape, device) = (value.dims(), value.device());
            let moved: Vec<f32> = value
                .into_data()
                .iter::<f32>()
                .map(|v| {
                    *count += 1;
                    match (v == 0.0, *count % 3) {
                        (true, _) | (_, 0) => v,
                        (_, 1) => (0..MOVED).fold(v, |v, _| v.next_up()),
                        _ => (0..MOVED).fold(v, |v, _| v.next_down()),
                    }
                })
                .collect();
            let value = Tensor::from_data(TensorData::new(moved, shape), &device);
            value.detach().set_require_grad(tracked)
        })
    }
}

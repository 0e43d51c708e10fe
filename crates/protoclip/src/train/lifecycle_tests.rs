//! Whole small runs on the built-in data: what is reported, and what a stop and resume change.

mod sources;
mod steering;
mod stops;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use safetensors::SafeTensors;

use super::*;
use crate::config::{Augmentation, EvaluatedPairs, Fidelity, Preset, RunConfig, ValidRunConfig};
use crate::data::PairSource;
use crate::eval::{Encoder, EvaluationOptions, evaluate};
use crate::prototypes::{FeatureSnapshot, PrototypeSnapshot};

/// Records every event; steers at chosen steps.
#[derive(Default)]
struct Recorder<'a> {
    events: Vec<TrainEvent>,
    steer: Option<(u64, &'a dyn Fn())>,
    /// Sees every event before it is recorded.
    react: Option<&'a dyn Fn(&TrainEvent)>,
    flushed: Vec<u64>,
}

impl Observer for Recorder<'_> {
    fn on_event(&mut self, event: TrainEvent) -> Result<(), ObserverError> {
        if let (TrainEvent::Points { step, points }, Some((at, act))) = (&event, self.steer)
            && *step == at
            && points.iter().any(|(tag, _)| tag == tag::LOSS_TOTAL)
        {
            act();
        }
        if let Some(react) = self.react {
            react(&event);
        }
        self.events.push(event);
        Ok(())
    }

    fn before_checkpoint(&mut self, step: u64) -> Result<(), ObserverError> {
        self.flushed.push(step);
        Ok(())
    }
}

impl Recorder<'_> {
    fn curve(&self, name: &str) -> Vec<(u64, f64)> {
        let mut curve = Vec::new();
        for event in &self.events {
            if let TrainEvent::Points { step, points } = event {
                let values = points.iter().filter(|(tag, _)| tag == name);
                curve.extend(values.map(|(_, value)| (*step, *value)));
            }
        }
        curve
    }

    fn applied(&self) -> Vec<(u64, u64, String, f64)> {
        let mut applied = Vec::new();
        for event in &self.events {
            if let TrainEvent::ControlApplied {
                episode,
                step,
                field,
                to,
                ..
            } = event
            {
                applied.push((*episode, *step, field.clone(), *to));
            }
        }
        applied
    }
}

/// With CLIP's vocabulary, but a quarter of the smallest built-in model: its table of tokens is what
/// checkpoints take their time with.
const MODEL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/src/train/lifecycle_tests/small_model.json"
);

fn config(change: impl FnOnce(&mut RunConfig)) -> ValidRunConfig {
    let mut config = Preset::ProtoclipTeacher.config();
    config.model = MODEL.into();
    config.episodes = 3;
    config.episode_size = Some(48);
    config.batch_size = 16;
    config.prototypes.count = 6;
    config.prototypes.restarts = 1;
    config.checkpoints.every_episodes = 1;
    config.schedule.warmup_steps = 2;
    change(&mut config);
    config.validate().expect("valid")
}

fn job(config: &ValidRunConfig, directory: &Path, resume: bool) -> TrainJob {
    TrainJob {
        config: config.clone(),
        directory: directory.to_path_buf(),
        data: crate::data::open(&config.data, &|_, _| true).expect("built-in data"),
        resume: if resume {
            latest_checkpoint(directory)
        } else {
            None
        },
    }
}

/// One thread, so that sums are added in one order.
fn on_one_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    pool.expect("pool").install(work)
}

#[test]
fn a_run_reports_every_step_and_leaves_prototypes_and_checkpoints() {
    let folder = tempfile::tempdir().expect("folder");
    let config = config(|_| ());
    let mut recorder = Recorder::default();
    let control = Control::new(&config, None);
    let outcome = run(job(&config, folder.path(), false), &mut recorder, &control);
    assert_eq!(outcome.expect("finishes"), Outcome::Finished);
    let steps: Vec<u64> = recorder
        .curve(tag::LOSS_TOTAL)
        .iter()
        .map(|p| p.0)
        .collect();
    assert_eq!(steps, (1..=9).collect::<Vec<_>>());
    // The first episode is InfoNCE only.
    assert_eq!(
        recorder.curve(tag::LOSS_PROTO).first().expect("a value").0,
        4
    );
    assert_eq!(recorder.curve(tag::LOSS_EXTERNAL).len(), 6);
    assert_eq!(snapshot_steps(folder.path()), [0, 3, 6, 9]);
    let snapshot = PrototypeSnapshot::read(&folder.path().join(snapshot_file(9))).expect("reads");
    assert_eq!((snapshot.samples.len(), snapshot.image.count), (48, 6));
    assert!(snapshot.teacher.is_some());
    assert_eq!(feature_steps(folder.path()), [0, 3, 6, 9]);
    let features = FeatureSnapshot::read(&folder.path().join(feature_file(9))).expect("reads");
    assert_eq!(features.samples, snapshot.samples);
    assert_eq!(features.clustered().dim, snapshot.image.dim);
    assert_eq!(features.tower.rows(), 48);
    let (checkpoints, broken) = list_checkpoints(folder.path());
    assert!(broken.is_empty());
    assert_eq!(checkpoints.last().expect("a checkpoint").step, 9);
    assert_eq!(recorder.flushed, [3, 6, 9]);
    assert_eq!(recorder.curve(tag::EVAL_AMI).len(), 4);
    assert_waits_are_shares(&recorder);
}

fn assert_waits_are_shares(recorder: &Recorder<'_>) {
    let steps = |tag| -> Vec<u64> { recorder.curve(tag).iter().map(|p| p.0).collect() };
    assert_eq!(steps(tag::DATA_WAIT_PERCENT), (1..=9).collect::<Vec<_>>());
    assert_eq!(steps(tag::DATA_WAIT_PERCENT_TRAIN), [3, 6, 9]);
    assert_eq!(steps(tag::DATA_WAIT_PERCENT_EXTRACT), [0, 3, 6, 9]);
    for tag in [
        tag::DATA_WAIT_PERCENT,
        tag::DATA_WAIT_PERCENT_TRAIN,
        tag::DATA_WAIT_PERCENT_EXTRACT,
    ] {
        for (step, value) in recorder.curve(tag) {
            assert!((0.0..=100.0).contains(&value), "{tag} {step}: {value}");
        }
    }
}

#[test]
fn a_run_stopped_and_resumed_at_any_step_has_the_same_losses_bit_by_bit() {
    let config = config(|c| c.episodes = 2);
    let straight = {
        let folder = tempfile::tempdir().expect("folder");
        on_one_thread(|| {
            let mut recorder = Recorder::default();
            let control = Control::new(&config, None);
            run(job(&config, folder.path(), false), &mut recorder, &control).expect("runs");
            recorder.curve(tag::LOSS_TOTAL)
        })
    };
    for stop_at in 1..=5 {
        let folder = tempfile::tempdir().expect("folder");
        let pieces = on_one_thread(|| {
            let control = Control::new(&config, None);
            let stop = || control.stop(StopReason::Shutdown);
            let mut first = Recorder {
                steer: Some((stop_at, &stop)),
                ..Recorder::default()
            };
            let outcome = run(job(&config, folder.path(), false), &mut first, &control);
            assert_eq!(outcome.expect("stops"), Outcome::Interrupted);
            let mut second = Recorder::default();
            let control = Control::new(&config, None);
            run(job(&config, folder.path(), true), &mut second, &control).expect("resumes");
            let mut curve = first.curve(tag::LOSS_TOTAL);
            curve.extend(second.curve(tag::LOSS_TOTAL));
            curve
        });
        assert_eq!(pieces, straight, "stopped at step {stop_at}");
    }
}

#[test]
fn steering_takes_effect_exactly_when_announced() {
    let folder = tempfile::tempdir().expect("folder");
    let config = config(|_| ());
    let control = Control::new(&config, None);
    let announced = std::sync::Mutex::new(None);
    let steer = || {
        let change = ControlChange {
            prototype_count: Some(9),
            external_weight: Some(0.25),
            ..ControlChange::default()
        };
        let at = control.change(&change).expect("accepted");
        *announced.lock().expect("lock") = Some(at);
    };
    let mut recorder = Recorder {
        steer: Some((4, &steer)),
        ..Recorder::default()
    };
    run(job(&config, folder.path(), false), &mut recorder, &control).expect("runs");
    let at = announced.lock().expect("lock").expect("announced");
    assert_eq!((at.episode, at.step), (Some(2), Some(5)));
    assert_eq!(
        recorder.applied(),
        [
            (1, 5, "external_weight".to_owned(), 0.25),
            (2, 6, "prototype_count".to_owned(), 9.0)
        ]
    );
    let snapshot = PrototypeSnapshot::read(&folder.path().join(snapshot_file(6))).expect("reads");
    assert_eq!(snapshot.image.count, 9);
    assert_eq!(snapshot.teacher.expect("teacher").count, 9);
}

#[test]
fn pause_holds_the_run_and_a_checkpoint_can_be_asked_for_meanwhile() {
    let folder = tempfile::tempdir().expect("folder");
    let config = config(|c| c.episodes = 1);
    let control = Control::new(&config, None);
    let pause = || control.pause();
    let react = |event: &TrainEvent| match event {
        TrainEvent::Paused { .. } => control.request_checkpoint(),
        TrainEvent::Checkpoint { step: 2, .. } => control.resume(),
        _ => {}
    };
    let mut recorder = Recorder {
        steer: Some((2, &pause)),
        react: Some(&react),
        ..Recorder::default()
    };
    let outcome = run(job(&config, folder.path(), false), &mut recorder, &control);
    assert_eq!(outcome.expect("finishes"), Outcome::Finished);
    let place = |wanted: &TrainEvent| recorder.events.iter().position(|e| e == wanted);
    let paused = place(&TrainEvent::Paused { step: 2 }).expect("paused");
    let saved = place(&TrainEvent::Checkpoint {
        step: 2,
        path: "checkpoints/00000002".into(),
    });
    let resumed = place(&TrainEvent::Resumed { step: 2 }).expect("resumed");
    assert!((paused..resumed).contains(&saved.expect("saved")));
}

#[test]
fn a_plain_clip_run_shows_prototypes_of_its_tower_features() {
    let folder = tempfile::tempdir().expect("folder");
    let mut config = Preset::Clip.config();
    config.episodes = 1;
    config.episode_size = Some(32);
    config.batch_size = 16;
    config.prototypes.count = 4;
    let config = config.validate().expect("valid");
    let mut recorder = Recorder::default();
    let control = Control::new(&config, None);
    run(job(&config, folder.path(), false), &mut recorder, &control).expect("runs");
    let snapshot = PrototypeSnapshot::read(&folder.path().join(snapshot_file(2))).expect("reads");
    assert_eq!(snapshot.image.dim, 128);
    assert!(snapshot.teacher.is_none());
    assert!(recorder.curve(tag::LOSS_PROTO).is_empty());
}

#[test]
fn an_episode_larger_than_the_data_is_refused_before_training() {
    let folder = tempfile::tempdir().expect("folder");
    let config = config(|c| c.episode_size = Some(1_000_000));
    let control = Control::new(&config, None);
    let failed = run(
        job(&config, folder.path(), false),
        &mut Recorder::default(),
        &control,
    );
    let message = failed.expect_err("too large").to_string();
    assert!(message.contains("episode_size"), "{message}");
}

/// Every tensor of a run's checkpoint, by name.
fn weights_at(directory: &Path, step: u64) -> BTreeMap<String, Vec<u8>> {
    let (checkpoints, _) = list_checkpoints(directory);
    let found = checkpoints.into_iter().find(|c| c.step == step);
    let path = found.expect("kept").path.join("model.safetensors");
    let bytes = std::fs::read(path).expect("weights");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let tensors = file.tensors().into_iter();
    tensors
        .map(|(name, view)| (name, view.data().to_vec()))
        .collect()
}

#[test]
fn both_fidelities_train_through_their_lit_stage() {
    for fidelity in [Fidelity::Corrected, Fidelity::Reference] {
        let folder = tempfile::tempdir().expect("folder");
        let config = config(|c| {
            c.fidelity = fidelity;
            c.schedule.lit_episodes = 1;
        });
        let mut recorder = Recorder::default();
        let control = Control::new(&config, None);
        let outcome = run(job(&config, folder.path(), false), &mut recorder, &control);
        assert_eq!(outcome.expect("finishes"), Outcome::Finished);
        let last = |tag| recorder.curve(tag).split_off(6);
        assert!(last(tag::LR_IMAGE).iter().all(|(_, rate)| *rate == 0.0));
        let rates: Vec<f64> = last(tag::LR_REST).into_iter().map(|p| p.1).collect();
        let restarted = rates.contains(&config.optimizer.learning_rate);
        assert_eq!(restarted, fidelity == Fidelity::Corrected, "{rates:?}");
        // InfoNCE only.
        assert_eq!(recorder.curve(tag::LOSS_PROTO).last().map(|p| p.0), Some(6));
        let (before, after) = (weights_at(folder.path(), 6), weights_at(folder.path(), 9));
        let moved: Vec<&String> = before.keys().filter(|k| before[*k] != after[*k]).collect();
        assert!(
            !moved.iter().any(|name| name.starts_with("visual.")),
            "{moved:?}"
        );
        assert!(
            moved.iter().any(|name| name.starts_with("transformer.")),
            "{moved:?}"
        );
    }
}

#[test]
fn only_the_reference_clusters_augmented_pictures() {
    let first_inertia = |fidelity, augmentation| {
        let folder = tempfile::tempdir().expect("folder");
        let config = config(|c| {
            c.fidelity = fidelity;
            c.augmentation = augmentation;
            c.episodes = 1;
        });
        on_one_thread(|| {
            let mut recorder = Recorder::default();
            let control = Control::new(&config, None);
            run(job(&config, folder.path(), false), &mut recorder, &control).expect("finishes");
            recorder.curve(tag::KMEANS_INERTIA_IMAGE)[0].1
        })
    };
    let (light, none) = (Augmentation::ProtoclipLight, Augmentation::None);
    let corrected = Fidelity::Corrected;
    assert_eq!(
        first_inertia(corrected, light),
        first_inertia(corrected, none)
    );
    let reference = Fidelity::Reference;
    assert_ne!(
        first_inertia(reference, light),
        first_inertia(reference, none)
    );
}

#[test]
fn a_run_starts_from_the_weights_of_another_and_refuses_those_of_another_model() {
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("folder"));
    let [origin, start, refused] = folders.each_ref().map(tempfile::TempDir::path);
    let train = |config: &ValidRunConfig, folder: &Path| {
        let control = Control::new(config, None);
        let job = job(config, folder, false);
        run(job, &mut Recorder::default(), &control)
    };
    train(&config(|c| c.episodes = 1), origin).expect("finishes");
    let weights = latest_checkpoint(origin).expect("a checkpoint").path;
    // Steps too small to move anything, so that the values of the start are those of the end.
    let follower = config(|c| {
        c.episodes = 1;
        c.seed = 99;
        c.weights = Some(weights.clone());
        c.optimizer.learning_rate = 1e-30;
    });
    train(&follower, start).expect("finishes");
    let tensor = |folder: &Path, name: &str| -> Vec<u8> {
        let path = latest_checkpoint(folder).expect("a checkpoint").path;
        let bytes = std::fs::read(path.join("model.safetensors")).expect("reads");
        let file = SafeTensors::deserialize(&bytes).expect("safetensors");
        file.tensor(name).expect(name).data().to_vec()
    };
    for name in [
        "visual.proj",
        "text_projection",
        "text_projection_head.3.weight",
    ] {
        assert!(tensor(start, name) == tensor(origin, name), "{name}");
    }
    let other = config(|c| {
        c.model = "vit-tiny-64".into();
        c.weights = Some(weights.clone());
    });
    let message = train(&other, refused)
        .expect_err("another model")
        .to_string();
    assert!(
        message.contains("visual.conv1.weight") && message.contains("[192, 3, 8, 8]"),
        "{message}"
    );
}

/// The trainer's figures of held-out pairs are those of an evaluation of its checkpoint on them.
#[test]
fn held_out_pairs_are_measured_and_not_trained_on() {
    let folder = tempfile::tempdir().expect("folder");
    let config = config(|c| {
        c.episodes = 1;
        c.data.holdout = Some("sha1:20".parse().expect("a rule"));
        c.evaluation.on = EvaluatedPairs::Holdout;
        c.evaluation.linear_probe = true;
    });
    let job = job(&config, folder.path(), false);
    let (whole, train) = (crate::data::BuiltinSource::new(), Arc::clone(&job.data));
    let held_out = train.held_out().expect("has the other side");
    assert_eq!(train.len() + held_out.len(), whole.len());
    let mut recorder = Recorder::default();
    let control = Control::new(&config, None);
    run(job, &mut recorder, &control).expect("trains");

    let last = |name: &str| {
        recorder
            .curve(name)
            .last()
            .map(|point| point.1)
            .expect(name)
    };
    assert_eq!(
        recorder.curve(tag::EVAL_RECALL_MEAN).len(),
        2,
        "before and after"
    );
    let checkpoint = latest_checkpoint(folder.path()).expect("saved").path;
    let device = crate::device::ComputeDevice::cpu().device;
    let model = crate::model::load_checkpoint(&checkpoint, &device).expect("loads");
    let tokenizer = Arc::new(crate::tokenizer::Tokenizer::new());
    let encoder = Encoder::new(model.clip, device, tokenizer, 32).expect("CLIP's vocabulary");
    let options = EvaluationOptions {
        seed: config.seed,
        linear_probe: true,
        ..EvaluationOptions::default()
    };
    let report = evaluate(&encoder, &held_out, &options, &|_, _, _| true).expect("evaluated");
    let (spaces, column) = (report.spaces.value().expect("measured"), &report.columns[0]);
    let zero_shot = column.zero_shot.value().expect("measured");
    let probe = column.linear_probe.value().expect("measured");
    // Batches of another size round otherwise; a picture between two classes may change sides.
    let one_picture = 100.0 / zero_shot.pictures as f64 + 1e-9;
    for (name, want, tolerance) in [
        (tag::EVAL_MODALITY_GAP, spaces.modality_gap, 1e-5),
        (tag::EVAL_FEATURE_STD_IMAGE, spaces.feature_std_image, 1e-5),
        (tag::EVAL_ZERO_SHOT_TOP1, zero_shot.top1, one_picture),
        (tag::EVAL_LINEAR_PROBE_TOP1, probe.top1, 6.0 * one_picture),
    ] {
        let got = last(name);
        assert!((got - want).abs() <= tolerance, "{name}: {got} {want}");
    }
}

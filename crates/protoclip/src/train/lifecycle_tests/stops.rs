//! Stops within the work between steps: it is left at once, and a resumed run is none the worse.

use std::cell::Cell;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// Phases between the training steps, which a stop must not wait for.
const BETWEEN_STEPS: [Phase; 2] = [Phase::Extract, Phase::Cluster];

fn grouped_often() -> ValidRunConfig {
    config(|c| {
        c.episodes = 2;
        c.prototypes.count = 12;
        c.prototypes.iterations = 30;
        c.prototypes.restarts = 4;
        c.evaluation.every_episodes = 0;
    })
}

/// Words on progress between the steps, in all.
fn words(recorder: &Recorder<'_>) -> usize {
    let within = |event: &&TrainEvent| matches!(event, TrainEvent::Progress { phase, .. } if BETWEEN_STEPS.contains(phase));
    recorder.events.iter().filter(within).count()
}

#[test]
fn a_run_stopped_anywhere_between_its_steps_goes_on_as_if_it_had_not_been() {
    let config = grouped_often();
    let (straight, words) = on_one_thread(|| {
        let folder = tempfile::tempdir().expect("folder");
        let mut recorder = Recorder::default();
        let control = Control::new(&config, None);
        run(job(&config, folder.path(), false), &mut recorder, &control).expect("runs");
        (recorder.curve(tag::LOSS_TOTAL), words(&recorder))
    });
    assert!(words > 10, "{words} places to stop at");
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut stopped_in = Vec::new();
    for _ in 0..6 {
        let at = random.random_range(0..words);
        let (curve, phase) = on_one_thread(|| stopped_at(&config, at));
        assert_eq!(curve, straight, "stopped at word {at}, in {phase:?}");
        stopped_in.push(phase);
    }
    println!("stopped in {stopped_in:?}");
    assert!(stopped_in.contains(&Some(Phase::Cluster)));
}

/// Losses of a run that is stopped at a word on its progress and resumed, and the phase of that word.
fn stopped_at(config: &ValidRunConfig, at: usize) -> (Vec<(u64, f64)>, Option<Phase>) {
    let folder = tempfile::tempdir().expect("folder");
    let control = Control::new(config, None);
    let (heard, stopped_in) = (Cell::new(0), Cell::new(None));
    let stop = |event: &TrainEvent| {
        let TrainEvent::Progress { phase, .. } = event else {
            return;
        };
        if !BETWEEN_STEPS.contains(phase) {
            return;
        }
        if heard.get() == at {
            stopped_in.set(Some(*phase));
            control.stop(StopReason::Shutdown);
        }
        // After the stop at most the word that the phase ends with.
        assert!(heard.get() <= at + 2, "{phase:?} goes on after a stop");
        heard.set(heard.get() + 1);
    };
    let mut first = Recorder {
        react: Some(&stop),
        ..Recorder::default()
    };
    let outcome = run(job(config, folder.path(), false), &mut first, &control);
    let outcome = outcome.expect("stops");
    let mut curve = first.curve(tag::LOSS_TOTAL);
    if outcome == Outcome::Interrupted {
        let mut second = Recorder::default();
        let control = Control::new(config, None);
        run(job(config, folder.path(), true), &mut second, &control).expect("resumes");
        let again = second.curve(tag::LOSS_TOTAL);
        let from = again.first().map_or(u64::MAX, |&(step, _)| step);
        curve.retain(|&(step, _)| step < from);
        curve.extend(again);
    }
    (curve, stopped_in.get())
}

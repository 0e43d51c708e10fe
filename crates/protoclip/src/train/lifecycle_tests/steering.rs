//! What a steered run leaves behind: a checkpoint from which a run without the change goes on bit
//! by bit as one that was never steered.

use super::*;

/// A change of settings at a step of a run, what it must say about it, and where.
struct Steered {
    change: ControlChange,
    after_step: u64,
    checkpoint_step: u64,
}

fn applied_before(recorder: &Recorder<'_>) -> Vec<(String, BeforeChange)> {
    let events = recorder.events.iter();
    let changes = events.filter_map(|event| match event {
        TrainEvent::ControlApplied { field, before, .. } => {
            Some((field.clone(), before.expect("saved before")))
        }
        _ => None,
    });
    changes.collect()
}

/// Losses of a run that is steered, and of one that goes on from before the change without it.
fn with_and_without(config: &ValidRunConfig, steered: &Steered) -> [Vec<(u64, f64)>; 2] {
    let folder = tempfile::tempdir().expect("folder");
    let control = Control::new(config, None);
    let steer = || {
        control.change(&steered.change).expect("accepted");
    };
    let mut recorder = Recorder {
        steer: Some((steered.after_step, &steer)),
        ..Recorder::default()
    };
    run(job(config, folder.path(), false), &mut recorder, &control).expect("runs");
    let changes = applied_before(&recorder);
    let (_, before) = changes.first().expect("a change");
    assert_eq!(before.checkpoint_step, steered.checkpoint_step);
    assert_eq!(before.without, ControlValues::of(config));
    let (checkpoints, _) = list_checkpoints(folder.path());
    let kept = checkpoints
        .into_iter()
        .find(|c| c.step == before.checkpoint_step)
        .expect("kept");
    assert_eq!(kept.pin_reason.as_deref(), Some(BEFORE_CHANGE));
    verify_checkpoint(&kept.path).expect("intact");

    let fork = tempfile::tempdir().expect("folder");
    let control = Control::new(config, None);
    control.start_with(before.without);
    let job = TrainJob {
        resume: Some(kept),
        ..job(config, fork.path(), false)
    };
    let mut without = Recorder::default();
    run(job, &mut without, &control).expect("runs");
    assert_eq!(without.applied(), [], "nothing is changed in the fork");
    [
        recorder.curve(tag::LOSS_TOTAL),
        without.curve(tag::LOSS_TOTAL),
    ]
}

#[test]
fn a_fork_from_before_a_change_is_the_run_that_was_never_changed() {
    let config = config(|_| ());
    on_one_thread(|| {
        let folder = tempfile::tempdir().expect("folder");
        let mut never = Recorder::default();
        let control = Control::new(&config, None);
        run(job(&config, folder.path(), false), &mut never, &control).expect("runs");
        let never = never.curve(tag::LOSS_TOTAL);
        for steered in [
            Steered {
                change: ControlChange {
                    external_weight: Some(0.25),
                    ..ControlChange::default()
                },
                after_step: 4,
                checkpoint_step: 4,
            },
            Steered {
                change: ControlChange {
                    prototype_count: Some(9),
                    ..ControlChange::default()
                },
                after_step: 4,
                checkpoint_step: 6,
            },
        ] {
            let [with, without] = with_and_without(&config, &steered);
            let at = steered.checkpoint_step as usize;
            assert_eq!(with[..at], never[..at]);
            assert_ne!(with[at..], never[at..], "the change does something");
            assert_eq!(without, never[at..]);
        }
    });
}

#[test]
fn of_two_changes_at_one_step_each_can_be_left_out_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let config = config(|c| c.episodes = 2);
    let control = Control::new(&config, None);
    let steer = || {
        let change = ControlChange {
            external_weight: Some(0.25),
            learning_rate_factor: Some(0.5),
            ..ControlChange::default()
        };
        control.change(&change).expect("accepted");
    };
    let mut recorder = Recorder {
        steer: Some((4, &steer)),
        ..Recorder::default()
    };
    run(job(&config, folder.path(), false), &mut recorder, &control).expect("runs");
    let start = ControlValues::of(&config);
    let without = |values| BeforeChange {
        checkpoint_step: 4,
        without: values,
    };
    assert_eq!(
        applied_before(&recorder),
        [
            (
                "external_weight".to_owned(),
                without(ControlValues {
                    learning_rate_factor: 0.5,
                    ..start
                })
            ),
            (
                "learning_rate_factor".to_owned(),
                without(ControlValues {
                    external_weight: 0.25,
                    ..start
                })
            ),
        ]
    );
}

/// A kill right after the checkpoint must not lose what a person was told to be accepted.
#[test]
fn the_change_is_applied_again_by_a_resume_from_its_own_checkpoint() {
    let folder = tempfile::tempdir().expect("folder");
    let config = config(|c| c.episodes = 2);
    let control = Control::new(&config, None);
    let steer = || {
        let change = ControlChange {
            target_temperature: Some(0.5),
            ..ControlChange::default()
        };
        control.change(&change).expect("accepted");
    };
    let mut recorder = Recorder {
        steer: Some((4, &steer)),
        ..Recorder::default()
    };
    run(job(&config, folder.path(), false), &mut recorder, &control).expect("runs");
    let (checkpoints, _) = list_checkpoints(folder.path());
    let job = TrainJob {
        resume: checkpoints.into_iter().find(|c| c.step == 4),
        ..job(&config, folder.path(), false)
    };
    let mut again = Recorder::default();
    run(job, &mut again, &Control::new(&config, None)).expect("runs");
    assert_eq!(
        again.applied(),
        [(1, 5, "target_temperature".to_owned(), 0.5)]
    );
}

#[test]
fn a_change_wished_before_the_first_step_can_be_left_out_too() {
    let folder = tempfile::tempdir().expect("folder");
    let config = config(|c| c.episodes = 2);
    let control = Control::new(&config, None);
    let change = ControlChange {
        external_weight: Some(0.25),
        ..ControlChange::default()
    };
    control.change(&change).expect("accepted");
    let mut recorder = Recorder::default();
    run(job(&config, folder.path(), false), &mut recorder, &control).expect("runs");
    let wanted = BeforeChange {
        checkpoint_step: 0,
        without: ControlValues::of(&config),
    };
    assert_eq!(
        applied_before(&recorder),
        [("external_weight".to_owned(), wanted)]
    );
    let (checkpoints, _) = list_checkpoints(folder.path());
    let first = checkpoints.first().expect("kept");
    assert_eq!(
        (first.step, first.pin_reason.as_deref()),
        (0, Some(BEFORE_CHANGE))
    );
}

//! The episodes of a session: prototypes first, then one pass of optimizer steps.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::episode::{
    EpisodePlace, EpisodePrototypes, batch_labels, cluster_episode, snapshot_file,
};
use super::evaluation::Evaluation;
use super::extract::{EpisodeFeatures, extract_features};
use super::meter::percent;
use super::session::{Flow, PhaseProgress, Session, stop_reason};
use super::step::{BatchAssignments, PrototypeTensors, StepPlan, take_step};
use super::{LogLevel, Phase, StopReason, Tag, TrainError, TrainEvent, tag};
use crate::config::EvaluatedPairs;
use crate::data::{Batch, SampleId};
use crate::prototypes::{PrototypeSnapshot, Space};

/// Broken pictures that one episode's log names one by one.
const NAMED_BROKEN: usize = 5;

/// Which losses an episode trains with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    InfoNce,
    Prototypes,
    /// Image tower locked, InfoNCE only.
    Lit,
}

impl Session<'_> {
    /// Runs what is left of the run.
    pub(super) fn all_episodes(&mut self) -> Result<Flow, TrainError> {
        while self.place.episode < self.config.episodes as u64 {
            if let Flow::Stop(reason) = self.obey()? {
                return Ok(Flow::Stop(reason));
            }
            if let Flow::Stop(reason) = self.one_episode()? {
                return Ok(Flow::Stop(reason));
            }
        }
        Ok(Flow::GoOn)
    }

    /// Last look: prototypes and evaluation of the trained model, and the final checkpoint.
    pub(super) fn finish(&mut self) -> Result<(), TrainError> {
        if let Flow::Stop(_) = self.build_prototypes()? {
            return self.save_checkpoint();
        }
        self.save_checkpoint()
    }

    fn one_episode(&mut self) -> Result<Flow, TrainError> {
        let episode = self.place.episode;
        let wanted = self.control.begin_episode(episode);
        if !self.place.announced {
            self.apply_count(wanted)?;
            let step = self.place.step;
            self.emit(TrainEvent::EpisodeStarted { episode, step })?;
            self.place.announced = true;
        }
        if self.prototypes.is_none()
            && let Flow::Stop(reason) = self.build_prototypes()?
        {
            return Ok(Flow::Stop(reason));
        }
        self.enter_stage()?;
        let started = Instant::now();
        if let Flow::Stop(reason) = self.training_pass()? {
            return Ok(Flow::Stop(reason));
        }
        let seconds = started.elapsed().as_secs_f64();
        self.points(vec![(tag::SECONDS_TRAIN.into(), seconds)])?;
        self.place.episode += 1;
        self.place.cursor = 0;
        self.place.announced = false;
        self.prototypes = None;
        self.prepare_extraction()?;
        let every = self.config.checkpoints.every_episodes as u64;
        if self.place.episode.is_multiple_of(every) && !self.is_last() {
            self.save_checkpoint()?;
        }
        Ok(Flow::GoOn)
    }

    fn is_last(&self) -> bool {
        self.place.episode >= self.config.episodes as u64
    }

    fn stage(&self) -> Stage {
        let episode = self.place.episode as usize;
        let schedule = &self.config.schedule;
        if episode < schedule.infonce_episodes {
            Stage::InfoNce
        } else if episode + schedule.lit_episodes >= self.config.episodes {
            Stage::Lit
        } else {
            Stage::Prototypes
        }
    }

    fn enter_stage(&mut self) -> Result<(), TrainError> {
        if self.stage() == Stage::Lit
            && let Some(model) = self.model.take()
        {
            self.model = Some(model.lock_image_tower(self.config.fidelity));
        }
        Ok(())
    }

    /// Features, evaluation, clusters and back translation of the current episode.
    fn build_prototypes(&mut self) -> Result<Flow, TrainError> {
        let started = Instant::now();
        let Some(mut features) = self.extract()? else {
            return Ok(self.stop());
        };
        let extracted = started.elapsed().as_secs_f64();
        self.points(vec![(tag::SECONDS_EXTRACT.into(), extracted)])?;
        self.report_broken(&features.broken)?;
        if self.place.episode < self.config.episodes as u64 {
            self.prepare_training(&features.samples)?;
        }
        if self.evaluation_is_due()
            && let Flow::Stop(reason) = self.evaluate(&mut features)?
        {
            return Ok(Flow::Stop(reason));
        }
        let started = Instant::now();
        let Some(snapshot) = self.cluster(&features)? else {
            return Ok(self.stop());
        };
        let clustered = started.elapsed().as_secs_f64();
        let started = Instant::now();
        let prototypes = EpisodePrototypes::translated(&self.config, snapshot, &features)?;
        let translated = started.elapsed().as_secs_f64();
        self.keep_features(&features, &prototypes.snapshot)?;
        self.report_clusters(&prototypes, (clustered, translated))?;
        self.prototypes = Some(Arc::new(prototypes));
        Ok(Flow::GoOn)
    }

    fn stop(&self) -> Flow {
        Flow::Stop(stop_reason(self.control).unwrap_or(StopReason::Shutdown))
    }

    fn extract(&mut self) -> Result<Option<EpisodeFeatures>, TrainError> {
        let total = self.plan.samples_per_episode as u64;
        let model = self.evaluation_model()?;
        let started = Instant::now();
        let mut batches = self.extraction()?;
        let mut progress = PhaseProgress::new(self.observer, self.control, Phase::Extract, total);
        let features = extract_features(
            &model,
            &mut batches,
            self.config.trains_prototypes(),
            &self.device,
            &mut |done| progress.report(done as u64),
        )?;
        let waited = percent(batches.take_waited(), started.elapsed());
        self.points(vec![(tag::DATA_WAIT_PERCENT_EXTRACT.into(), waited)])?;
        Ok(features)
    }

    fn evaluation_is_due(&self) -> bool {
        let every = self.config.evaluation.every_episodes as u64;
        every > 0 && (self.place.episode.is_multiple_of(every) || self.is_last())
    }

    fn evaluate(&mut self, features: &mut EpisodeFeatures) -> Result<Flow, TrainError> {
        let held_out = match self.config.evaluation.on {
            EvaluatedPairs::Episode => None,
            EvaluatedPairs::Holdout => Some(self.data.held_out().ok_or_else(nothing_held_out)?),
        };
        let encoder = self.encoder()?;
        let progress = PhaseProgress::new(self.observer, self.control, Phase::Evaluate, 1);
        let progress = RefCell::new(progress);
        let report = |done, total| progress.borrow_mut().report_of(done, total);
        let evaluation = Evaluation {
            encoder: &encoder,
            data: held_out.as_ref().unwrap_or(&self.data),
            seed: self.config.seed,
            linear_probe: self.config.evaluation.linear_probe,
            progress: &report,
        };
        let points = match held_out {
            Some(_) => evaluation.of_source()?,
            None => evaluation.of_episode(features)?,
        };
        let Some(points) = points else {
            return Ok(self.stop());
        };
        self.place.score = points
            .iter()
            .find(|(name, _)| name == tag::EVAL_RECALL_MEAN)
            .map(|(_, value)| *value);
        self.points(points)?;
        Ok(Flow::GoOn)
    }

    fn cluster(
        &mut self,
        features: &EpisodeFeatures,
    ) -> Result<Option<PrototypeSnapshot>, TrainError> {
        let place = EpisodePlace {
            episode: self.place.episode,
            step: self.place.step,
            count: self.place.prototype_count,
        };
        let progress = PhaseProgress::new(self.observer, self.control, Phase::Cluster, 1);
        let progress = RefCell::new(progress);
        cluster_episode(
            &self.config,
            place,
            features,
            self.teacher.as_ref().map(|teacher| (teacher, &*self.data)),
            &|done, total| progress.borrow_mut().report_of(done, total),
        )
    }

    fn report_clusters(
        &mut self,
        prototypes: &EpisodePrototypes,
        (clustered, translated): (f64, f64),
    ) -> Result<(), TrainError> {
        let snapshot = &prototypes.snapshot;
        let file = snapshot_file(snapshot.step);
        let path = self.directory.join(&file);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|e| TrainError::Other(format!("{}: {e}", folder.display())))?;
        }
        self.writing(|_| Ok(snapshot.write(&path)?))?;
        let points: Vec<(Tag, f64)> = vec![
            (tag::SECONDS_CLUSTER.into(), clustered),
            (tag::SECONDS_TRANSLATE.into(), translated),
            (tag::KMEANS_INERTIA_IMAGE.into(), snapshot.image.inertia()),
            (tag::KMEANS_INERTIA_TEXT.into(), snapshot.text.inertia()),
            (tag::EMPTY_IMAGE.into(), snapshot.image.empty() as f64),
            (tag::EMPTY_TEXT.into(), snapshot.text.empty() as f64),
        ];
        let event = TrainEvent::Prototypes {
            episode: snapshot.episode,
            step: snapshot.step,
            count: snapshot.image.count,
            file,
        };
        self.points(points)?;
        self.emit(event)
    }

    /// The optimizer steps that are left of the current episode.
    fn training_pass(&mut self) -> Result<Flow, TrainError> {
        // Shared, not copied: an episode's assignments and centroids can be large.
        let Some(prototypes) = self.prototypes.clone() else {
            return Err(TrainError::Other(
                "a training pass without prototypes".into(),
            ));
        };
        let positions = prototypes.positions();
        let device = self.training_device();
        let tensors = (self.stage() == Stage::Prototypes && self.config.trains_prototypes())
            .then(|| PrototypeTensors::of(&prototypes, self.config.fidelity, &self.device));
        let started = Instant::now();
        let mut batches = self.training(&prototypes.snapshot.samples)?;
        self.meter.start(started);
        let mut waited_in_all = Duration::ZERO;
        while let Some(batch) = batches.next() {
            let batch = batch?;
            let waited = batches.take_waited();
            waited_in_all += waited;
            let assignments = assignments(&prototypes, &positions, &batch)?;
            self.step(&batch, waited, (tensors.as_ref(), assignments), &device)?;
            if let Flow::Stop(reason) = self.obey()? {
                return Ok(Flow::Stop(reason));
            }
        }
        let waited = percent(waited_in_all, started.elapsed());
        self.points(vec![(tag::DATA_WAIT_PERCENT_TRAIN.into(), waited)])?;
        Ok(Flow::GoOn)
    }

    fn report_broken(&mut self, broken: &[String]) -> Result<(), TrainError> {
        for reason in broken.iter().take(NAMED_BROKEN) {
            self.log(
                LogLevel::Warning,
                format!("replaced a broken picture: {reason}"),
            )?;
        }
        match broken.len().saturating_sub(NAMED_BROKEN) {
            0 => Ok(()),
            more => self.log(
                LogLevel::Warning,
                format!("replaced {more} more broken pictures"),
            ),
        }
    }

    fn step(
        &mut self,
        batch: &Batch,
        waited: Duration,
        (prototypes, assignments): (Option<&PrototypeTensors>, BatchAssignments),
        device: &burn::tensor::Device,
    ) -> Result<(), TrainError> {
        let step = self.place.step + 1;
        let controls = self.apply_controls(step)?;
        let mut rates = self.schedule.at(self.place.step);
        rates.image *= controls.learning_rate_factor;
        rates.rest *= controls.learning_rate_factor;
        let plan = StepPlan {
            config: &self.config,
            controls,
            rates,
            prototypes,
            assignments,
            step,
            device,
        };
        let model = self.model.take().ok_or_else(super::session::no_model)?;
        let (model, mut points) = take_step(model, &mut self.optimizer, batch, &plan)?;
        self.model = Some(model);
        self.place.step = step;
        self.place.cursor += 1;
        let now = Instant::now();
        if let Some(pace) = self.meter.add(now, batch.samples.len(), waited) {
            points.extend([
                (tag::SAMPLES_PER_SECOND.into(), pace.samples_per_second),
                (tag::DATA_WAIT_PERCENT.into(), pace.data_wait_percent),
            ]);
        }
        self.points(points)
    }
}

fn assignments(
    prototypes: &EpisodePrototypes,
    positions: &rustc_hash::FxHashMap<SampleId, usize>,
    batch: &Batch,
) -> Result<BatchAssignments, TrainError> {
    let labels = |space| batch_labels(prototypes, positions, space, &batch.samples);
    Ok(BatchAssignments {
        image: labels(Space::Image)?,
        text: labels(Space::Text)?,
        teacher: labels(Space::Teacher)?,
    })
}

fn nothing_held_out() -> TrainError {
    TrainError::Other("evaluation.on is holdout, but the data set holds no pairs out".into())
}

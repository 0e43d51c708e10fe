//! Measuring a checkpoint on a data set, as `evaluate` does on the command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protoclip::config::{ConfigErrors, DataConfig};
use protoclip::data;
use protoclip::device::{ComputeDevice, DeviceChoice};
use protoclip::eval::{
    Encoder, EvaluateError, EvaluationOptions, EvaluationPhase, EvaluationReport, evaluate,
};
use protoclip::model::{ImportOptions, import_weights};
use protoclip::tokenizer::Tokenizer;
use serde::Deserialize;

use super::super::run_directory::write_durably;
use super::super::work::{self, WorkFailure, WorkKind, WorkView};
use super::super::{DataSetId, Studio, StudioError};
use super::CheckpointId;
use super::verification::intact;

/// What to measure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationRequest {
    /// Id of a known data set; empty means the run's own, or the built-in one.
    pub data_set: String,
    /// Also fit a linear probe per label column.
    pub probe: bool,
}

/// What to measure, on what, where.
pub(in super::super) struct AskedEvaluation {
    path: PathBuf,
    data: DataConfig,
    options: EvaluationOptions,
    device: ComputeDevice,
}

/// Notes phase, done and total; `false` when the work is not wanted any more.
pub(in super::super) type Report<'a> = dyn Fn(&str, u64, u64) -> bool + Sync + 'a;

/// Pictures or captions of one batch.
const BATCH: usize = 64;

impl Studio {
    /// Starts to measure a checkpoint, in the background.
    ///
    /// # Errors
    /// When there is no such checkpoint or data set, or too much work is under way.
    pub fn evaluate(
        &self,
        id: &CheckpointId,
        request: &EvaluationRequest,
    ) -> Result<WorkView, StudioError> {
        let asked = self.asked_evaluation(id, request)?;
        let target = self.evaluation_path(id)?;
        self.work
            .begin(WorkKind::Evaluate, &id.to_string(), move |progress| {
                let report =
                    asked.measured(&|phase, done, total| progress.report(phase, done, total))?;
                store(&target, &report)?;
                Ok(format!("measured on {} pairs", report.data.pairs))
            })
    }

    /// The newest report of a checkpoint, if it was measured from here.
    ///
    /// # Errors
    /// When there is no such checkpoint or the report cannot be read.
    pub fn evaluation(&self, id: &CheckpointId) -> Result<Option<EvaluationReport>, StudioError> {
        self.entry(id)?;
        let path = self.evaluation_path(id)?;
        if !path.exists() {
            return Ok(None);
        }
        let bytes = fs::read(&path).map_err(StudioError::io(&path))?;
        let report = serde_json::from_slice(&bytes);
        report.map(Some).map_err(|e| StudioError::format(&path, e))
    }

    /// Everything that measuring a checkpoint needs.
    ///
    /// # Errors
    /// When there is no such checkpoint, data set or device.
    pub(in super::super) fn asked_evaluation(
        &self,
        id: &CheckpointId,
        request: &EvaluationRequest,
    ) -> Result<AskedEvaluation, StudioError> {
        self.entry(id)?;
        let mut data = self.data_to_measure(id, &request.data_set)?;
        let device = DeviceChoice::parse(&self.default_device).and_then(DeviceChoice::open);
        Ok(AskedEvaluation {
            path: self.checkpoint_path(id)?,
            options: EvaluationOptions {
                linear_probe: request.probe,
                holdout: data.holdout.take(),
                ..EvaluationOptions::default()
            },
            data,
            device: device.map_err(|e| ConfigErrors::one("device", e.to_string()))?,
        })
    }

    fn data_to_measure(&self, id: &CheckpointId, asked: &str) -> Result<DataConfig, StudioError> {
        match (asked, id) {
            ("", CheckpointId::OfRun { run, .. }) => Ok(self.config(run)?.data.clone()),
            ("", CheckpointId::Imported { .. }) => Ok(DataConfig::default()),
            (asked, _) => {
                let known = self.data_sets.config(&DataSetId::from(asked));
                let unknown = || {
                    let message = format!("there is no data set {asked:?}; /datasets lists them");
                    ConfigErrors::one("data_set", message).into()
                };
                known.ok_or_else(unknown)
            }
        }
    }

    fn evaluation_path(&self, id: &CheckpointId) -> Result<PathBuf, StudioError> {
        Ok(match id {
            CheckpointId::OfRun { run, step } => {
                let folder = self.data_dir.run(run).path().join("artifacts/evaluations");
                folder.join(format!("{step:08}.json"))
            }
            CheckpointId::Imported { .. } => self.checkpoint_path(id)?.join("EVALUATION.json"),
        })
    }
}

impl AskedEvaluation {
    /// Measures on this thread.
    pub(in super::super) fn measured(
        self,
        report: &Report<'_>,
    ) -> Result<EvaluationReport, WorkFailure> {
        let Self {
            path,
            data,
            options,
            device,
        } = self;
        let (path, data, options) = (&path, &data, &options);
        report("checking hashes", 0, 0);
        intact(path)?;
        let wanted = AtomicBool::new(true);
        let opening = |done, total| {
            let go_on = report("opening the data", done, total);
            wanted.fetch_and(go_on, Ordering::Relaxed);
            go_on
        };
        let source = data::open_whole(data, &opening).map_err(|error| {
            match wanted.load(Ordering::Relaxed) {
                true => WorkFailure::Failed(Some("data_set"), error.to_string()),
                false => WorkFailure::Cancelled,
            }
        })?;
        let pool = work::pool()?;
        let report = |phase: EvaluationPhase, done, total| report(phase.title(), done, total);
        let result = pool.install(|| {
            let given = ImportOptions::default();
            let loaded = import_weights(path, &given, &device.device).map_err(WorkFailure::of)?;
            let tokenizer = Arc::new(Tokenizer::new());
            let encoder = Encoder::new(loaded.clip, device.device, tokenizer, BATCH);
            let measured =
                encoder.and_then(|encoder| evaluate(&encoder, &source, options, &report));
            measured.map_err(|error| match error {
                EvaluateError::Cancelled => WorkFailure::Cancelled,
                other => WorkFailure::of(other),
            })
        });
        protoclip::kernels::release_freed_memory();
        result
    }
}

/// Readers see the old report or the new one.
fn store(target: &Path, report: &EvaluationReport) -> Result<(), WorkFailure> {
    let folder = target.parent().unwrap_or(target);
    fs::create_dir_all(folder).map_err(WorkFailure::of)?;
    let text = serde_json::to_vec_pretty(report).map_err(WorkFailure::of)?;
    write_durably(target, &text).map_err(WorkFailure::of)
}

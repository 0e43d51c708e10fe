//! New runs: checks that need the machine, then files, then the queue.

use std::path::Path;

use jiff::Timestamp;
use protoclip::config::{
    ConfigErrors, DataConfig, DataFacts, DataSource, FieldError, RunConfig, TeacherKind,
    ValidRunConfig,
};
use protoclip::device::{DeviceChoice, MachineMemory};
use protoclip::model::{ClipConfig, ModelConfigError, check_weights};
use protoclip::train::MemoryNeed;

use super::data_dir::DataDir;
use super::data_sets::DataSets;
use super::recorder::state_line;
use super::run_directory::RunMeta;
use super::run_snapshot::RunSnapshot;
use super::run_store::{Batch, RunStore};
use super::view::{RunRecord, data_name};
use super::{RunId, RunState, Studio, StudioError};

impl Studio {
    /// Creates a run and puts it in the queue.
    ///
    /// # Errors
    /// Names each setting that cannot work, or the file that cannot be written.
    pub fn create(&self, mut config: RunConfig) -> Result<RunId, StudioError> {
        if matches!(config.device.as_str(), "" | "auto") {
            config.device.clone_from(&self.default_device);
        }
        let valid = config.validate()?;
        start_problems(&valid, &self.data_sets)?;
        let meta = new_run(&self.data_dir, valid.into_inner())?;
        let id = meta.id.clone();
        let config = self.data_dir.run(&id).read_config()?;
        self.enqueue_new(meta, config)?;
        Ok(id)
    }

    /// Sizes of the built-in data, for hints before a run exists.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn builtin_facts(&self) -> Result<DataFacts, StudioError> {
        let set = self.data_sets.open(&DataConfig::default(), &|_, _| true)?;
        Ok(set.source.facts())
    }

    fn enqueue_new(&self, meta: RunMeta, config: RunConfig) -> Result<(), StudioError> {
        let id = meta.id.clone();
        self.data_sets.register(&config.data);
        let snapshot = RunSnapshot::queued(&config);
        self.live.insert(RunRecord::new(meta, config, snapshot));
        self.enqueue(&id)
    }
}

/// Writes the directory of a new run in state queued.
///
/// # Errors
/// When a file cannot be written.
pub fn new_run(data_dir: &DataDir, config: RunConfig) -> Result<RunMeta, StudioError> {
    let now = Timestamp::now();
    let meta = RunMeta {
        id: RunId::new(now, config.preset),
        name: display_name(&config),
        tags: Vec::new(),
        created: now,
        program: format!("protoclip-studio {}", env!("CARGO_PKG_VERSION")),
        forked_from: None,
        imported: None,
    };
    let run = data_dir.run(&meta.id);
    run.create(&meta, &config)?;
    let batch = Batch {
        points: Vec::new(),
        lines: vec![state_line(0, RunState::Queued, None)],
    };
    RunStore::open(&run.database())?.commit(&batch, &RunSnapshot::queued(&config))?;
    Ok(meta)
}

fn display_name(config: &RunConfig) -> String {
    if config.name.is_empty() {
        format!("{} on {}", config.preset.title(), data_name(&config.data))
    } else {
        config.name.clone()
    }
}

/// Problems that only the machine knows of: absent files and devices, and sizes that do not fit a
/// data set whose size is known at once.
///
/// # Errors
/// All problems, by field.
pub fn start_problems(config: &ValidRunConfig, data_sets: &DataSets) -> Result<(), ConfigErrors> {
    let mut errors = Vec::new();
    let absent_data = protoclip::data::absence(&config.data);
    errors.extend(absent_data.map(|(field, message)| problem(field, message)));
    if let (TeacherKind::Npy, Some(path)) = (config.teacher.kind, &config.teacher.path) {
        errors.extend(absent(path, "teacher.path"));
    }
    let model = ClipConfig::load(&config.model);
    errors.extend(model_problem(config, &model));
    let device = DeviceChoice::parse(&config.device).and_then(DeviceChoice::open);
    if let Err(error) = &device {
        errors.push(problem("device", error.to_string()));
    }
    if let (true, Ok(model), Ok(device)) = (errors.is_empty(), model, device) {
        errors.extend(size_problems(config, &model, device.is_cpu(), data_sets));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ConfigErrors { errors })
    }
}

/// Whether the model is one, and the weights to start from fit it; reads their names and shapes only.
fn model_problem(
    config: &ValidRunConfig,
    model: &Result<ClipConfig, ModelConfigError>,
) -> Option<FieldError> {
    match (model, &config.weights) {
        (Err(error), _) => Some(problem("model", error.to_string())),
        (Ok(model), Some(path)) => {
            let wrong = check_weights(path, model).err()?;
            Some(problem("weights", wrong.to_string()))
        }
        (Ok(_), None) => None,
    }
}

/// Sizes that do not fit the data set, where its own is known, or this machine's memory.
fn size_problems(
    config: &ValidRunConfig,
    model: &ClipConfig,
    on_cpu: bool,
    data_sets: &DataSets,
) -> Vec<FieldError> {
    let quick = config.data.source == DataSource::Builtin;
    let facts = match known_set(&config.data, data_sets, quick) {
        None => None,
        Some(Err(message)) => return vec![problem("data.source", message)],
        Some(Ok(facts)) => Some(facts),
    };
    let samples = facts.map_or(config.episode_size, |facts| {
        Some(config.samples_per_episode(facts))
    });
    let need = MemoryNeed::of(config, model, samples, on_cpu);
    let memory = MachineMemory::read().map(|memory| need.check_total(memory));
    let data = facts.map(|facts| config.check_data(facts));
    let wrong = [data, memory].into_iter().flatten().filter_map(Result::err);
    wrong.flat_map(|errors| errors.errors).collect()
}

type Facts = Result<DataFacts, String>;

fn known_set(data: &DataConfig, data_sets: &DataSets, quick: bool) -> Option<Facts> {
    if quick {
        let opened = data_sets.open(data, &|_, _| true);
        return Some(
            opened
                .map(|set| set.source.facts())
                .map_err(|e| e.to_string()),
        );
    }
    data_sets.opened(data).map(|set| Ok(set.source.facts()))
}

fn absent(path: &Path, field: &str) -> Option<FieldError> {
    let message = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => return None,
        Ok(_) => format!("{} is not a file; give the path of a file", path.display()),
        Err(error) => format!(
            "{}: {error}; give an absolute path, or one relative to where the program was started",
            path.display()
        ),
    };
    Some(problem(field, message))
}

fn problem(field: &str, message: String) -> FieldError {
    FieldError {
        field: field.into(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_absent_are_named_by_their_setting() {
        let mut config = RunConfig::default();
        config.data.source = DataSource::Csv;
        config.data.path = Some("/no/such/pairs.csv".into());
        config.teacher.kind = TeacherKind::Npy;
        config.teacher.path = Some("/no/such/features.npy".into());
        config.weights = Some("/no/such/weights.pt".into());
        let config = config.validate().expect("valid by itself");
        let errors = start_problems(&config, &DataSets::default()).expect_err("absent");
        let fields: Vec<&str> = errors.errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["data.path", "teacher.path", "weights"]);
        assert!(errors.errors[0].message.contains("/no/such/pairs.csv"));
    }

    #[test]
    fn a_run_without_a_name_gets_one() {
        let name = display_name(&RunConfig::default());
        assert_eq!(name, "ProtoCLIP + external teacher on built-in emoji");
    }
}

//! The checks between what a person wrote and what a trainer accepts.

use std::ops::Deref;

use super::{ConfigErrors, DataSource, EvaluatedPairs, FieldError, RunConfig, TeacherKind};

/// A configuration that passed every check that needs no data. The trainer takes only this.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidRunConfig(RunConfig);

/// What must be known of a data set before the remaining checks can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataFacts {
    /// Usable pairs.
    pub pairs: usize,
    /// Pairs that one balanced pass draws (equals `pairs` where nothing is balanced).
    pub balanced_pairs: usize,
}

impl Deref for ValidRunConfig {
    type Target = RunConfig;

    fn deref(&self) -> &RunConfig {
        &self.0
    }
}

impl ValidRunConfig {
    /// Samples of one episode on a data set with these facts.
    pub fn samples_per_episode(&self, facts: DataFacts) -> usize {
        self.0.episode_size.unwrap_or(facts.balanced_pairs)
    }

    /// Whether the prototype terms may contribute to the loss. A plain CLIP run still clusters its
    /// features every episode, but only to show them.
    pub fn trains_prototypes(&self) -> bool {
        self.0.loss.proto > 0.0 || self.0.loss.external > 0.0
    }

    /// The plain configuration, for storage and display.
    pub fn into_inner(self) -> RunConfig {
        self.0
    }

    /// Checks sizes against the data set.
    ///
    /// # Errors
    /// When the data set is smaller than a batch, an episode or the number of prototypes.
    pub fn check_data(&self, facts: DataFacts) -> Result<(), ConfigErrors> {
        let mut check = Checks::default();
        let samples = self.samples_per_episode(facts);
        check.that(samples <= facts.pairs, "episode_size", || {
            format!(
                "{samples} samples per episode but the data set has {} usable pairs; lower it or leave it out",
                facts.pairs
            )
        });
        check.that(samples >= self.0.batch_size, "batch_size", || {
            format!(
                "{} is larger than the {samples} samples of an episode, so no step would run; lower it",
                self.0.batch_size
            )
        });
        check.that(samples >= self.0.prototypes.count, "prototypes.count", || {
            format!(
                "{} prototypes need at least as many samples, an episode has {samples}; lower it",
                self.0.prototypes.count
            )
        });
        check.done(())
    }
}

#[derive(Default)]
struct Checks {
    errors: Vec<FieldError>,
}

impl Checks {
    fn that(&mut self, holds: bool, field: &str, message: impl FnOnce() -> String) {
        if !holds {
            self.errors.push(FieldError {
                field: field.into(),
                message: message(),
            });
        }
    }

    fn positive(&mut self, value: f64, field: &str) {
        self.that(value.is_finite() && value > 0.0, field, || {
            format!("must be a number above 0, got {value}")
        });
    }

    fn not_negative(&mut self, value: f64, field: &str) {
        self.that(value.is_finite() && value >= 0.0, field, || {
            format!("must be 0 or above, got {value}")
        });
    }

    fn share(&mut self, value: f64, field: &str) {
        self.that((0.0..1.0).contains(&value), field, || {
            format!("must lie in [0, 1), got {value}")
        });
    }

    fn at_least(&mut self, value: usize, least: usize, field: &str) {
        self.that(value >= least, field, || {
            format!("must be at least {least}, got {value}")
        });
    }

    fn done<T>(self, value: T) -> Result<T, ConfigErrors> {
        if self.errors.is_empty() {
            Ok(value)
        } else {
            Err(ConfigErrors {
                errors: self.errors,
            })
        }
    }
}

/// Largest values accepted, so that a typing error cannot ask for terabytes.
const MOST_PROTOTYPES: usize = 1_000_000;
const LARGEST_BATCH: usize = 65_536;
const MOST_EPISODES: usize = 1_000_000;
/// Characters that fit on one line of every page.
const LONGEST_NAME: usize = 120;

pub(super) fn validate(config: RunConfig) -> Result<ValidRunConfig, ConfigErrors> {
    let mut check = Checks::default();
    sizes(&config, &mut check);
    method(&config, &mut check);
    optimizer(&config, &mut check);
    sources(&config, &mut check);
    check.done(ValidRunConfig(config))
}

fn sizes(config: &RunConfig, check: &mut Checks) {
    check.that(
        config.name.chars().count() <= LONGEST_NAME && !config.name.contains(char::is_control),
        "name",
        || format!("must be one line of at most {LONGEST_NAME} characters"),
    );
    check.that(
        (1..=MOST_EPISODES).contains(&config.episodes),
        "episodes",
        || format!("must lie in 1..={MOST_EPISODES}, got {}", config.episodes),
    );
    check.that(
        (2..=LARGEST_BATCH).contains(&config.batch_size),
        "batch_size",
        || {
            format!(
                "must lie in 2..={LARGEST_BATCH} (one pair has no negative), got {}",
                config.batch_size
            )
        },
    );
    check.that(config.episode_size != Some(0), "episode_size", || {
        "0 would train on nothing; give the samples per episode or leave it out for the whole data set".into()
    });
    check.at_least(
        config.checkpoints.every_episodes,
        1,
        "checkpoints.every_episodes",
    );
    check.at_least(config.checkpoints.keep_last, 1, "checkpoints.keep_last");
}

fn method(config: &RunConfig, check: &mut Checks) {
    let p = &config.prototypes;
    check.that(
        (2..=MOST_PROTOTYPES).contains(&p.count),
        "prototypes.count",
        || format!("must lie in 2..={MOST_PROTOTYPES}, got {}", p.count),
    );
    check.at_least(p.iterations, 1, "prototypes.iterations");
    check.at_least(p.restarts, 1, "prototypes.restarts");
    check.positive(p.target_temperature, "prototypes.target_temperature");
    check.not_negative(config.loss.clip, "loss.clip");
    check.not_negative(config.loss.proto, "loss.proto");
    check.not_negative(config.loss.external, "loss.external");
    check.that(
        config.loss.clip + config.loss.proto + config.loss.external > 0.0,
        "loss.clip",
        || "all three loss weights are 0, nothing would be learned; raise one".into(),
    );
    let teacher = config.teacher.kind != TeacherKind::None;
    check.that(
        config.loss.external == 0.0 || teacher,
        "teacher.kind",
        || "loss.external is above 0 but there is no teacher; choose lsa or npy, or set loss.external to 0".into(),
    );
    check.that(!teacher || p.back_translation, "prototypes.back_translation", || {
        "an external teacher's prototypes live in another space and need back translation; set it to true or teacher.kind to none".into()
    });
    let staged = config.schedule.infonce_episodes + config.schedule.lit_episodes;
    check.that(staged <= config.episodes, "schedule.infonce_episodes", || {
        format!(
            "{staged} warm-up and LiT episodes exceed the {} episodes of the run; lower them or raise episodes",
            config.episodes
        )
    });
    let infonce = staged == 0 || config.loss.clip > 0.0;
    check.that(infonce, "loss.clip", || {
        "the InfoNCE-only episodes (schedule.infonce_episodes, lit_episodes) would learn nothing at weight 0; raise it or set them to 0".into()
    });
}

fn optimizer(config: &RunConfig, check: &mut Checks) {
    let o = &config.optimizer;
    check.positive(o.learning_rate, "optimizer.learning_rate");
    if let Some(rate) = o.visual_learning_rate {
        check.positive(rate, "optimizer.visual_learning_rate");
    }
    check.not_negative(o.weight_decay, "optimizer.weight_decay");
    check.share(o.beta1, "optimizer.beta1");
    check.share(o.beta2, "optimizer.beta2");
    check.positive(o.epsilon, "optimizer.epsilon");
    check.positive(o.grad_clip_norm, "optimizer.grad_clip_norm");
}

fn sources(config: &RunConfig, check: &mut Checks) {
    let data = &config.data;
    let builtin = data.source == DataSource::Builtin;
    check.that(builtin || data.path.is_some(), "data.path", || {
        match data.source {
            DataSource::Folder => {
                "give the folder that has one folder of pictures per class".into()
            }
            DataSource::WebDataset => {
                "give a tar shard, several as in shards/{00000..00003}.tar, or their folder".into()
            }
            DataSource::Parquet => {
                "give a Parquet file, several as in data/train-*.parquet, or their folder".into()
            }
            DataSource::Coco => "give the JSON file with images and annotations".into(),
            _ => "give the path of the CSV or TSV file".into(),
        }
    });
    check.that(!builtin || data.path.is_none(), "data.path", || {
        "the built-in data has no path; leave it out or set data.source to csv".into()
    });
    check.that(
        data.separator
            .is_none_or(|c| c.is_ascii() && c != '"' && c != '\n'),
        "data.separator",
        || "must be a single ASCII character such as ',' or a tab".into(),
    );
    let coco = data.source == DataSource::Coco;
    check.that(
        !coco || data.label_columns.is_empty(),
        "data.label_columns",
        || "COCO captions have no labels; leave it out".into(),
    );
    check.that(
        (0.0..=1.0).contains(&data.max_broken_share),
        "data.max_broken_share",
        || format!("must lie in [0, 1], got {}", data.max_broken_share),
    );
    let on_holdout = config.evaluation.on == EvaluatedPairs::Holdout;
    check.that(!on_holdout || data.holdout.is_some(), "evaluation.on", || {
        "holdout evaluates held-out pairs, but none are held out; set data.holdout, for example to sha1:10, or evaluation.on to episode".into()
    });
    let npy = config.teacher.kind == TeacherKind::Npy;
    check.that(
        !npy || config.teacher.path.is_some(),
        "teacher.path",
        || "give the .npy file with one feature row per record of the data set".into(),
    );
    check.that(
        (2..=4096).contains(&config.teacher.dim),
        "teacher.dim",
        || format!("must lie in 2..=4096, got {}", config.teacher.dim),
    );
    if let Err(message) = crate::device::DeviceChoice::parse(&config.device) {
        check.that(false, "device", || message.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    fn fields(change: impl FnOnce(&mut RunConfig)) -> Vec<String> {
        let mut config = RunConfig::default();
        change(&mut config);
        match config.validate() {
            Ok(_) => Vec::new(),
            Err(e) => e.errors.into_iter().map(|e| e.field).collect(),
        }
    }

    #[test]
    fn every_preset_is_valid() {
        for preset in Preset::ALL {
            preset.config().validate().expect("presets are valid");
        }
    }

    #[test]
    fn each_setting_that_cannot_train_is_named() {
        let none = Vec::<String>::new();
        assert_eq!(fields(|_| ()), none);
        assert_eq!(fields(|c| c.episode_size = Some(0)), ["episode_size"]);
        assert_eq!(fields(|c| c.batch_size = 1), ["batch_size"]);
        assert_eq!(fields(|c| c.prototypes.count = 1), ["prototypes.count"]);
        assert_eq!(
            fields(|c| c.prototypes.target_temperature = 0.0),
            ["prototypes.target_temperature"]
        );
        assert_eq!(fields(|c| c.loss.proto = f64::NAN)[0], "loss.proto");
        assert_eq!(
            fields(|c| c.prototypes.back_translation = false),
            ["prototypes.back_translation"]
        );
        assert_eq!(
            fields(|c| c.teacher.kind = TeacherKind::None),
            ["teacher.kind"]
        );
        assert_eq!(
            fields(|c| c.teacher.kind = TeacherKind::Npy),
            ["teacher.path"]
        );
        assert_eq!(fields(|c| c.optimizer.beta2 = 1.0), ["optimizer.beta2"]);
        assert_eq!(fields(|c| c.data.source = DataSource::Csv), ["data.path"]);
        for source in [
            DataSource::Folder,
            DataSource::WebDataset,
            DataSource::Parquet,
            DataSource::Coco,
        ] {
            assert_eq!(fields(|c| c.data.source = source), ["data.path"]);
        }
        assert_eq!(
            fields(|c| c.evaluation.on = EvaluatedPairs::Holdout),
            ["evaluation.on"]
        );
        assert_eq!(fields(|c| c.device = "tpu".into()), ["device"]);
        assert_eq!(
            fields(|c| c.episodes = 0),
            ["episodes", "schedule.infonce_episodes"]
        );
    }

    #[test]
    fn a_data_set_smaller_than_batch_or_prototypes_is_refused() {
        let mut config = RunConfig::default();
        config.prototypes.count = 500;
        let config = config.validate().expect("valid without data");
        let errors = config
            .check_data(DataFacts {
                pairs: 100,
                balanced_pairs: 100,
            })
            .expect_err("too small");
        let fields: Vec<&str> = errors.errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["batch_size", "prototypes.count"]);
    }
}

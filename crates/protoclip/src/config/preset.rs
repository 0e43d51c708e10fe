//! The four presets and their values.

use serde::{Deserialize, Serialize};

use super::{
    Augmentation, CheckpointConfig, DataConfig, DataSource, EvaluatedPairs, EvaluationConfig,
    Fidelity, LossConfig, OptimizerConfig, Precision, PrototypeConfig, RunConfig, ScheduleConfig,
    TargetKind, TeacherConfig, TeacherKind,
};

/// A named starting point, from plain CLIP to the full method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// InfoNCE only.
    Clip,
    /// Prototype loss against the teacher's own centroids.
    ProtoclipNoPbt,
    /// Prototype loss with prototype back translation.
    Protoclip,
    /// The same with an external teacher.
    ProtoclipTeacher,
}

impl Preset {
    pub const ALL: [Self; 4] = [
        Self::Clip,
        Self::ProtoclipNoPbt,
        Self::Protoclip,
        Self::ProtoclipTeacher,
    ];

    /// The name used in files, flags and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clip => "clip",
            Self::ProtoclipNoPbt => "protoclip-no-pbt",
            Self::Protoclip => "protoclip",
            Self::ProtoclipTeacher => "protoclip-teacher",
        }
    }

    /// What a person reads beside the choice.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Clip => "CLIP",
            Self::ProtoclipNoPbt => "ProtoCLIP without PBT",
            Self::Protoclip => "ProtoCLIP",
            Self::ProtoclipTeacher => "ProtoCLIP + external teacher",
        }
    }

    /// The complete configuration that a run starts from.
    pub fn config(self) -> RunConfig {
        RunConfig {
            preset: self,
            ..RunConfig::default()
        }
        .with_method(self)
    }
}

impl RunConfig {
    fn with_method(mut self, preset: Preset) -> Self {
        match preset {
            Preset::Clip => {
                self.loss.proto = 0.0;
                self.loss.external = 0.0;
                self.teacher.kind = TeacherKind::None;
            }
            Preset::ProtoclipNoPbt => {
                self.prototypes.back_translation = false;
                self.loss.external = 0.0;
                self.teacher.kind = TeacherKind::None;
            }
            Preset::Protoclip => {
                self.loss.external = 0.0;
                self.teacher.kind = TeacherKind::None;
            }
            Preset::ProtoclipTeacher => {}
        }
        self
    }
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            preset: Preset::ProtoclipTeacher,
            name: String::new(),
            model: "vit-nano-32".into(),
            weights: None,
            device: "auto".into(),
            seed: 7,
            episodes: 60,
            episode_size: None,
            batch_size: 128,
            fidelity: Fidelity::Corrected,
            precision: Precision::F32,
            augmentation: Augmentation::ProtoclipLight,
            data: DataConfig::default(),
            prototypes: PrototypeConfig::default(),
            teacher: TeacherConfig::default(),
            loss: LossConfig::default(),
            optimizer: OptimizerConfig::default(),
            schedule: ScheduleConfig::default(),
            checkpoints: CheckpointConfig::default(),
            evaluation: EvaluationConfig::default(),
        }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: DataSource::Builtin,
            path: None,
            separator: None,
            image_column: None,
            caption_column: None,
            image_folder: None,
            label_columns: Vec::new(),
            max_broken_share: 0.5,
            holdout: None,
        }
    }
}

impl Default for PrototypeConfig {
    fn default() -> Self {
        Self {
            count: 128,
            iterations: 20,
            restarts: 3,
            target: TargetKind::Soft,
            target_temperature: 0.01,
            back_translation: true,
        }
    }
}

impl Default for TeacherConfig {
    fn default() -> Self {
        Self {
            kind: TeacherKind::Lsa,
            path: None,
            dim: 64,
            target: TargetKind::Hard,
        }
    }
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            clip: 1.0,
            proto: 1.0,
            external: 1.0,
        }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            learning_rate: 5e-4,
            visual_learning_rate: None,
            weight_decay: 0.5,
            beta1: 0.9,
            beta2: 0.98,
            epsilon: 1e-6,
            grad_clip_norm: 10.0,
        }
    }
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            warmup_steps: 60,
            infonce_episodes: 1,
            lit_episodes: 0,
        }
    }
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self {
            every_episodes: 2,
            keep_last: 3,
        }
    }
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            every_episodes: 1,
            on: EvaluatedPairs::Episode,
            linear_probe: false,
        }
    }
}

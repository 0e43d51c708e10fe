//! The shape of a model as data: OpenCLIP's JSON, checked, with the named models built in.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Files of `configs/`, by model name.
const NAMED: [(&str, &str); 9] = [
    ("vit-nano-32", include_str!("configs/vit-nano-32.json")),
    ("vit-tiny-64", include_str!("configs/vit-tiny-64.json")),
    ("rn-tiny-64", include_str!("configs/rn-tiny-64.json")),
    ("RN50", include_str!("configs/RN50.json")),
    ("RN101", include_str!("configs/RN101.json")),
    ("RN50x4", include_str!("configs/RN50x4.json")),
    ("ViT-B-32", include_str!("configs/ViT-B-32.json")),
    ("ViT-B-16", include_str!("configs/ViT-B-16.json")),
    ("ViT-L-14", include_str!("configs/ViT-L-14.json")),
];

/// OpenCLIP publishes these six also with QuickGELU, under this suffix.
const QUICK_GELU_SUFFIX: &str = "-quickgelu";

/// Sizes of a whole model. Reads OpenCLIP's model JSON; `projection_head` is ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipConfig {
    /// Dimension of the tower outputs that InfoNCE compares.
    pub embed_dim: usize,
    pub vision_cfg: VisionConfig,
    pub text_cfg: TextConfig,
    /// `x·σ(1.702x)` instead of the exact GELU.
    #[serde(default)]
    pub quick_gelu: bool,
    #[serde(default)]
    pub projection_head: ProjectionHeadConfig,
}

/// The image tower.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionConfig {
    /// Side of the square input, in pixels.
    pub image_size: usize,
    /// A number selects a VisionTransformer, four numbers a ModifiedResNet.
    pub layers: ImageLayers,
    /// Token width, or the channels after the ResNet stem.
    pub width: usize,
    /// Side of a patch, in pixels; VisionTransformer only.
    #[serde(default)]
    pub patch_size: Option<usize>,
    /// Width of one attention head.
    #[serde(default = "default_head_width")]
    pub head_width: usize,
}

/// Depth of the image tower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ImageLayers {
    /// Transformer blocks.
    VisionTransformer(usize),
    /// Bottlenecks in each of the four stages.
    ModifiedResNet([usize; 4]),
}

/// The causal text transformer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// Tokens per caption, start and end included.
    pub context_length: usize,
    pub vocab_size: usize,
    pub width: usize,
    pub heads: usize,
    pub layers: usize,
}

/// `Linear(embed_dim → hidden) + BatchNorm + ReLU + Linear(hidden → output)`, one per tower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectionHeadConfig {
    pub hidden: usize,
    /// Dimension of the features that are clustered.
    pub output: usize,
}

impl Default for ProjectionHeadConfig {
    /// The paper's sizes.
    fn default() -> Self {
        Self {
            hidden: 2048,
            output: 128,
        }
    }
}

fn default_head_width() -> usize {
    64
}

/// Why a model cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ModelConfigError {
    #[error(
        "{name:?} is no model and no file; choose one of {known} or give an OpenCLIP-style JSON file"
    )]
    Unknown { name: String, known: String },
    #[error("{path}: {source}")]
    Io {
        path: String,
        source: std::io::Error,
    },
    #[error("{origin}: field {field}: {message}")]
    Invalid {
        origin: String,
        field: String,
        message: String,
    },
}

impl ClipConfig {
    /// Every name that [`ClipConfig::named`] knows, small models first.
    pub fn names() -> Vec<String> {
        let plain = NAMED.iter().map(|(name, _)| (*name).to_owned());
        let quick = NAMED
            .iter()
            .filter(|(name, _)| is_open_clip(name))
            .map(|(name, _)| format!("{name}{QUICK_GELU_SUFFIX}"));
        plain.chain(quick).collect()
    }

    /// A built-in model.
    ///
    /// # Errors
    /// When the name is not in [`ClipConfig::names`]; the message lists them.
    pub fn named(name: &str) -> Result<Self, ModelConfigError> {
        let base = name.strip_suffix(QUICK_GELU_SUFFIX);
        let found = NAMED
            .iter()
            .find(|(known, _)| *known == name || (base == Some(*known) && is_open_clip(known)));
        let Some((known, json)) = found else {
            return Err(ModelConfigError::Unknown {
                name: name.to_owned(),
                known: Self::names().join(", "),
            });
        };
        let mut config = Self::from_json(json, known)?;
        config.quick_gelu |= base.is_some();
        Ok(config)
    }

    /// A built-in model, or one described by a JSON file, ours or OpenCLIP's, or by the one in the
    /// directory of a model.
    ///
    /// # Errors
    /// An unknown name, an unreadable file, or the first field that is wrong and what it must be.
    pub fn load(name_or_path: &str) -> Result<Self, ModelConfigError> {
        let path = Path::new(name_or_path);
        if path.is_dir()
            && let Some(config) = super::import::directory_config(path)?
        {
            return Ok(config);
        }
        if path.extension().is_none_or(|e| e != "json") && !path.is_file() {
            return Self::named(name_or_path);
        }
        let text = fs::read_to_string(path).map_err(|source| ModelConfigError::Io {
            path: name_or_path.to_owned(),
            source,
        })?;
        match Self::from_open_clip_json(&text, name_or_path)? {
            Some(config) => Ok(config),
            None => Self::from_json(&text, name_or_path),
        }
    }

    /// Reads JSON that may be OpenCLIP's `open_clip_config.json`, which has the model under
    /// `model_cfg`; `None` when it describes something else.
    ///
    /// # Errors
    /// As [`ClipConfig::from_json`].
    pub(super) fn from_open_clip_json(
        text: &str,
        origin: &str,
    ) -> Result<Option<Self>, ModelConfigError> {
        let Ok(serde_json::Value::Object(mut json)) = serde_json::from_str(text) else {
            return Ok(None);
        };
        let model = json
            .remove("model_cfg")
            .unwrap_or(serde_json::Value::Object(json));
        match model.get("vision_cfg") {
            None => Ok(None),
            Some(_) => Self::from_json(&model.to_string(), origin).map(Some),
        }
    }

    /// Reads and checks JSON; `origin` names it in errors.
    ///
    /// # Errors
    /// The first field that is wrong and what it must be.
    pub fn from_json(text: &str, origin: &str) -> Result<Self, ModelConfigError> {
        let mut json = serde_json::Deserializer::from_str(text);
        let config: Self = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            ModelConfigError::Invalid {
                origin: origin.to_owned(),
                field: error.path().to_string(),
                message: error.inner().to_string(),
            }
        })?;
        config.checked(origin)
    }

    /// Checks what was put together elsewhere.
    pub(super) fn checked(self, origin: &str) -> Result<Self, ModelConfigError> {
        let checked = self.check();
        checked.map_err(|(field, message)| ModelConfigError::Invalid {
            origin: origin.to_owned(),
            field: field.to_owned(),
            message,
        })?;
        Ok(self)
    }

    /// Heads of the image tower's attention (a ResNet has them in its attention pool).
    pub fn vision_heads(&self) -> usize {
        let width = match self.vision_cfg.layers {
            ImageLayers::VisionTransformer(_) => self.vision_cfg.width,
            ImageLayers::ModifiedResNet(_) => self.vision_cfg.width * 32,
        };
        width / self.vision_cfg.head_width
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        self.check_positive()?;
        self.check_vision()?;
        let text = &self.text_cfg;
        divides("text_cfg.heads", text.heads, "text_cfg.width", text.width)
    }

    fn check_positive(&self) -> Result<(), (&'static str, String)> {
        let (vision, text) = (&self.vision_cfg, &self.text_cfg);
        let sizes = [
            ("embed_dim", self.embed_dim),
            ("vision_cfg.image_size", vision.image_size),
            ("vision_cfg.width", vision.width),
            ("vision_cfg.head_width", vision.head_width),
            ("text_cfg.context_length", text.context_length),
            ("text_cfg.vocab_size", text.vocab_size),
            ("text_cfg.width", text.width),
            ("text_cfg.heads", text.heads),
            ("text_cfg.layers", text.layers),
            ("projection_head.hidden", self.projection_head.hidden),
            ("projection_head.output", self.projection_head.output),
        ];
        for (field, size) in sizes {
            if !(1..=1 << 24).contains(&size) {
                return Err((field, format!("{size} must be between 1 and 16777216")));
            }
        }
        Ok(())
    }

    fn check_vision(&self) -> Result<(), (&'static str, String)> {
        let vision = &self.vision_cfg;
        match vision.layers {
            ImageLayers::VisionTransformer(layers) => {
                at_least_one("vision_cfg.layers", layers)?;
                let patch = vision.patch_size.ok_or_else(|| {
                    let fix = "is required when vision_cfg.layers is one number";
                    ("vision_cfg.patch_size", fix.to_owned())
                })?;
                let size = ("vision_cfg.image_size", vision.image_size);
                divides("vision_cfg.patch_size", patch, size.0, size.1)?;
                let width = ("vision_cfg.width", vision.width);
                divides("vision_cfg.head_width", vision.head_width, width.0, width.1)
            }
            ImageLayers::ModifiedResNet(layers) => {
                for stage in layers {
                    at_least_one("vision_cfg.layers", stage)?;
                }
                let size = vision.image_size;
                if !size.is_multiple_of(32) {
                    let fix = format!("{size} must be a multiple of 32 for a ModifiedResNet");
                    return Err(("vision_cfg.image_size", fix));
                }
                if !vision.width.is_multiple_of(2) {
                    return Err(("vision_cfg.width", format!("{} must be even", vision.width)));
                }
                let pooled = ("32 × vision_cfg.width", vision.width * 32);
                divides(
                    "vision_cfg.head_width",
                    vision.head_width,
                    pooled.0,
                    pooled.1,
                )
            }
        }
    }
}

fn is_open_clip(name: &str) -> bool {
    name.starts_with("RN") || name.starts_with("ViT")
}

fn at_least_one(field: &'static str, value: usize) -> Result<(), (&'static str, String)> {
    match value {
        0 => Err((field, "must be at least 1".to_owned())),
        _ => Ok(()),
    }
}

fn divides(
    field: &'static str,
    divisor: usize,
    of: &str,
    total: usize,
) -> Result<(), (&'static str, String)> {
    if divisor == 0 || !total.is_multiple_of(divisor) {
        return Err((field, format!("{divisor} must divide {of} = {total}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nano_with(change: impl FnOnce(&mut serde_json::Value)) -> Result<ClipConfig, String> {
        let mut json = serde_json::to_value(ClipConfig::named("vit-nano-32").expect("built in"))
            .expect("serialises");
        change(&mut json);
        ClipConfig::from_json(&json.to_string(), "test.json").map_err(|e| e.to_string())
    }

    #[test]
    fn every_name_loads_and_the_sizes_are_those_of_open_clip() {
        for name in ClipConfig::names() {
            let config = ClipConfig::load(&name).expect(&name);
            assert_eq!(config.quick_gelu, name.ends_with("-quickgelu"), "{name}");
        }
        let rn50 = ClipConfig::named("RN50").expect("built in");
        assert_eq!((rn50.embed_dim, rn50.vision_heads()), (1024, 32));
        let vit = ClipConfig::named("ViT-L-14").expect("built in");
        assert_eq!((vit.embed_dim, vit.vision_heads()), (768, 16));
        let nano = ClipConfig::named("vit-nano-32").expect("built in");
        assert_eq!((nano.vision_heads(), nano.projection_head.hidden), (4, 512));
    }

    #[test]
    fn unknown_names_list_the_known_ones() {
        let message = ClipConfig::load("vit-huge")
            .expect_err("unknown")
            .to_string();
        assert!(message.contains("vit-nano-32") && message.contains("RN50-quickgelu"));
        assert!(ClipConfig::named("vit-nano-32-quickgelu").is_err());
    }

    #[test]
    fn each_wrong_field_is_named_with_the_fix() {
        type Case = (&'static str, fn(&mut serde_json::Value), &'static str);
        let cases: [Case; 7] = [
            (
                "vision_cfg.patch_size",
                |j| j["vision_cfg"]["patch_size"] = 7.into(),
                "divide",
            ),
            (
                "vision_cfg.patch_size",
                |j| j["vision_cfg"]["patch_size"] = ().into(),
                "required",
            ),
            (
                "text_cfg.heads",
                |j| j["text_cfg"]["heads"] = 3.into(),
                "divide",
            ),
            ("embed_dim", |j| j["embed_dim"] = 0.into(), "between"),
            (
                "text_cfg.width",
                |j| j["text_cfg"]["width"] = "wide".into(),
                "invalid type",
            ),
            (
                "vision_cfg.layers",
                |j| j["vision_cfg"]["layers"] = 0.into(),
                "at least 1",
            ),
            (
                "vision_cfg",
                |j| j["vision_cfg"]["timm"] = 1.into(),
                "unknown field",
            ),
        ];
        for (field, change, fix) in cases {
            let message = nano_with(change).expect_err(field);
            assert!(message.contains(&format!("field {field}")), "{message}");
            assert!(message.contains(fix), "{message}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = ClipConfig::load("/nowhere/model.json")
            .expect_err("no file")
            .to_string();
        assert!(message.starts_with("/nowhere/model.json"), "{message}");
    }

    #[test]
    fn json_round_trips() {
        for name in ClipConfig::names() {
            let config = ClipConfig::named(&name).expect(&name);
            let text = serde_json::to_string(&config).expect("serialises");
            assert_eq!(
                ClipConfig::from_json(&text, "again").expect("reads"),
                config
            );
        }
    }
}

//! Parameters by their OpenCLIP names.
//!
//! Burn's module paths follow our field names; [`NamePath`] turns a path into the name that
//! OpenCLIP (and, for the heads, the ProtoCLIP reference) gives the same tensor.

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

use super::Clip;

/// One trainable tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedParameter {
    pub id: ParamId,
    /// OpenCLIP's name, such as `visual.transformer.resblocks.0.attn.in_proj_weight`.
    pub name: String,
    /// Shape in a weight file (PyTorch's layout); a log-scale has rank 0.
    pub shape: Vec<usize>,
}

/// Every trainable tensor of the model, in a fixed order; running statistics are left out.
pub fn parameter_names(clip: &Clip) -> Vec<NamedParameter> {
    NameVisitor::parameters_of(clip)
}

/// Whether AdamW's weight decay applies: matrices and kernels of the towers, nothing else.
///
/// Excluded as in the reference: rank below 2 and names with `bn`, `ln`, `bias`, `logit_scale` or
/// `projection_head`.
pub fn decays(name: &str, rank: usize) -> bool {
    const EXCLUDED: [&str; 5] = ["bn", "ln", "bias", "logit_scale", "projection_head"];
    rank >= 2 && !EXCLUDED.iter().any(|part| name.contains(part))
}

/// Whether the image tower's learning rate applies.
pub fn is_visual(name: &str) -> bool {
    name.starts_with("visual.")
}

/// The place of a traversal in the module tree.
#[derive(Debug, Default)]
pub(super) struct NamePath {
    /// One entry per open module; `None` for levels that OpenCLIP does not have.
    parts: Vec<Option<String>>,
}

impl NamePath {
    pub(super) fn enter(&mut self, name: &str, container_type: &str) {
        let part = match name {
            _ if container_type.starts_with("Enum:") => None,
            "text" => None,
            "hidden" | "downsample_conv" => Some("0"),
            "norm" | "downsample_norm" => Some("1"),
            "output" => Some("3"),
            other => Some(other),
        };
        if name.starts_with("downsample") {
            self.parts.push(part.map(|p| format!("downsample.{p}")));
        } else {
            self.parts.push(part.map(str::to_owned));
        }
    }

    pub(super) fn exit(&mut self) {
        self.parts.pop();
    }

    pub(super) fn name(&self) -> String {
        let parts: Vec<&str> = self.parts.iter().flatten().map(String::as_str).collect();
        parts.join(".")
    }
}

/// How a tensor lies in a weight file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileLayout {
    /// As in memory.
    Same,
    /// A linear layer: PyTorch stores `[output, input]`.
    Transposed,
    /// A log-scale: `[1]` in memory, no dimension in the file.
    Scalar,
}

impl FileLayout {
    pub(super) fn of(name: &str, rank: usize) -> Self {
        let linear = name.ends_with(".weight") && name != "token_embedding.weight";
        match rank {
            1 if name.starts_with("logit_scale") => Self::Scalar,
            2 if linear || name.ends_with(".in_proj_weight") => Self::Transposed,
            _ => Self::Same,
        }
    }

    /// The shape in the file of a tensor with `dims` in memory.
    pub(super) fn file_shape(self, dims: &[usize]) -> Vec<usize> {
        match self {
            Self::Same => dims.to_vec(),
            Self::Transposed => dims.iter().rev().copied().collect(),
            Self::Scalar => Vec::new(),
        }
    }
}

pub(super) fn is_running_statistic(name: &str) -> bool {
    name.ends_with(".running_mean") || name.ends_with(".running_var")
}

/// Collects [`NamedParameter`]s.
#[derive(Debug, Default)]
pub(super) struct NameVisitor {
    path: NamePath,
    found: Vec<NamedParameter>,
}

impl NameVisitor {
    pub(super) fn parameters_of(clip: &Clip) -> Vec<NamedParameter> {
        let mut visitor = Self::default();
        clip.visit(&mut visitor);
        visitor.found.retain(|p| !is_running_statistic(&p.name));
        visitor.found
    }
}

impl ModuleVisitor for NameVisitor {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        let shape = FileLayout::of(&name, D).file_shape(&param.lazy_shape());
        self.found.push(NamedParameter {
            id: param.id,
            name,
            shape,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use burn::tensor::Device;

    use super::*;
    use crate::config::Fidelity;
    use crate::model::ClipConfig;
    use crate::model::parameter_init::parameter_id;

    fn tiny(json: &str) -> Clip {
        let config = ClipConfig::from_json(json, "test").expect("valid");
        config.init(1, Fidelity::Corrected, &Device::flex())
    }

    fn vit() -> Clip {
        tiny(
            r#"{"embed_dim":8,"vision_cfg":{"image_size":16,"layers":1,"width":8,"patch_size":8,
            "head_width":4},"text_cfg":{"context_length":6,"vocab_size":50,"width":8,"heads":2,
            "layers":1},"projection_head":{"hidden":8,"output":4}}"#,
        )
    }

    #[test]
    fn ids_are_derived_from_names_in_every_process() {
        let parameters = parameter_names(&vit());
        for parameter in &parameters {
            assert_eq!(
                parameter.id,
                parameter_id(&parameter.name),
                "{}",
                parameter.name
            );
        }
        let ids: HashSet<_> = parameters.iter().map(|p| p.id).collect();
        assert_eq!(ids.len(), parameters.len());
    }

    #[test]
    fn shapes_are_those_of_the_file() {
        let parameters = parameter_names(&vit());
        let shape = |name: &str| {
            let found = parameters.iter().find(|p| p.name == name);
            found.expect(name).shape.clone()
        };
        assert_eq!(
            shape("visual.transformer.resblocks.0.attn.in_proj_weight"),
            [24, 8]
        );
        assert_eq!(shape("transformer.resblocks.0.mlp.c_fc.weight"), [32, 8]);
        assert_eq!(shape("token_embedding.weight"), [50, 8]);
        assert_eq!(shape("text_projection_head.3.weight"), [4, 8]);
        assert_eq!(shape("logit_scale"), [0usize; 0]);
    }

    #[test]
    fn decay_and_learning_rate_groups_are_the_references() {
        let decaying = [
            ("visual.conv1.weight", 4),
            ("visual.proj", 2),
            ("token_embedding.weight", 2),
            ("positional_embedding", 2),
            ("transformer.resblocks.0.attn.in_proj_weight", 2),
        ];
        for (name, rank) in decaying {
            assert!(decays(name, rank), "{name}");
        }
        let plain = [
            ("visual.class_embedding", 1),
            ("visual.ln_pre.weight", 1),
            ("visual.layer1.0.bn3.weight", 1),
            ("visual.layer1.0.downsample.1.weight", 1),
            ("transformer.resblocks.0.attn.in_proj_bias", 1),
            ("image_projection_head.0.weight", 2),
            ("logit_scale_proto", 0),
        ];
        for (name, rank) in plain {
            assert!(!decays(name, rank), "{name}");
        }
        assert!(is_visual("visual.proj"));
        assert!(!is_visual("transformer.resblocks.0.ln_1.weight"));
        assert!(!is_visual("image_projection_head.0.weight"));
    }
}

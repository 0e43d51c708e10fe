//! Either kind of image tower.

use burn::module::Module;
use burn::tensor::Tensor;

use super::parameter_init::ParameterInit;
use super::{ClipConfig, ImageLayers, ModifiedResNet, VisionTransformer};

/// The image encoder that a configuration chose.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one value per model, and Burn's Module derive knows no boxed variant"
)]
pub enum ImageTower {
    VisionTransformer(VisionTransformer),
    ModifiedResNet(ModifiedResNet),
}

impl ImageTower {
    pub(super) fn init(config: &ClipConfig, init: &ParameterInit<'_>) -> Self {
        match config.vision_cfg.layers {
            ImageLayers::ModifiedResNet(layers) => {
                Self::ModifiedResNet(ModifiedResNet::init(config, layers, init))
            }
            ImageLayers::VisionTransformer(layers) => {
                let whole = config.vision_cfg.image_size;
                let patch = config.vision_cfg.patch_size.unwrap_or(whole);
                Self::VisionTransformer(VisionTransformer::init(config, layers, patch, init))
            }
        }
    }

    /// `[batch, 3, size, size]` → `[batch, embed_dim]`, not normalised.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        match self {
            Self::VisionTransformer(tower) => tower.forward(images),
            Self::ModifiedResNet(tower) => tower.forward(images),
        }
    }
}

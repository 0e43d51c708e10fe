//! The ViT image tower of OpenCLIP 1.2.1.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

use super::parameter_init::ParameterInit;
use super::transformer::BlockShape;
use super::{ClipConfig, Convolution, LayerNorm, Transformer};
use crate::kernels::Segments;

/// Patches, class token, positions, pre-norm blocks; the class token's output is projected.
#[derive(Module, Debug)]
pub struct VisionTransformer {
    /// Patch embedding, `[width, 3, patch, patch]`.
    pub conv1: Convolution,
    /// `[width]`
    pub class_embedding: Param<Tensor<1>>,
    /// `[1 + patches, width]`
    pub positional_embedding: Param<Tensor<2>>,
    pub ln_pre: LayerNorm,
    pub transformer: Transformer,
    pub ln_post: LayerNorm,
    /// `[width, embed_dim]`
    pub proj: Param<Tensor<2>>,
}

impl VisionTransformer {
    pub(super) fn init(
        config: &ClipConfig,
        layers: usize,
        patch: usize,
        init: &ParameterInit<'_>,
    ) -> Self {
        let width = config.vision_cfg.width;
        let tokens = (config.vision_cfg.image_size / patch).pow(2) + 1;
        let std = (width as f64).powf(-0.5);
        let shape = BlockShape {
            width,
            heads: config.vision_heads(),
            quick_gelu: config.quick_gelu,
            depth_scaled: None,
        };
        Self {
            conv1: Convolution::init((3, width), patch, patch, &init.scope("conv1")),
            class_embedding: init.normal("class_embedding", [width], std),
            positional_embedding: init.normal("positional_embedding", [tokens, width], std),
            ln_pre: LayerNorm::init(width, &init.scope("ln_pre")),
            transformer: Transformer::init(layers, shape, &init.scope("transformer")),
            ln_post: LayerNorm::init(width, &init.scope("ln_post")),
            proj: init.normal("proj", [width, config.embed_dim], std),
        }
    }

    /// `[batch, 3, size, size]` → `[batch, embed_dim]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let patches = self.embed_patches(images);
        let [batch, _, width] = patches.dims();
        let class = self.class_embedding.val().reshape([1, 1, width]);
        let tokens = Tensor::cat(vec![class.expand([batch, 1, width]), patches], 1);
        let x = tokens + self.positional_embedding.val().unsqueeze::<3>();
        let tokens = x.dims()[1];
        let x = self.ln_pre.forward(x.reshape([batch * tokens, width]));
        let segments = Segments::uniform(batch, tokens);
        let class = first_rows(&segments, &x.device());
        let class = self.transformer.forward_readers(x, &segments, false, class);
        self.ln_post.forward(class).matmul(self.proj.val())
    }

    /// The strided convolution as one matrix product: patches do not overlap.
    ///
    /// `[batch, 3, size, size]` → `[batch, patches, width]`
    fn embed_patches(&self, images: Tensor<4>) -> Tensor<3> {
        let [batch, channels, height, _] = images.dims();
        let [width, _, patch, _] = self.conv1.weight.dims();
        let (grid, pixels) = (height / patch, channels * patch * patch);
        let patches = images
            .reshape([batch, channels, grid, patch, grid, patch])
            .permute([0, 2, 4, 1, 3, 5])
            .reshape([batch * grid * grid, pixels]);
        let weight = self.conv1.weight.val().reshape([width, pixels]);
        patches
            .matmul(weight.transpose())
            .reshape([batch, grid * grid, width])
    }
}

/// The first row of each segment, `[segments]`.
fn first_rows(segments: &Segments, device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = segments.iter().map(|rows| rows.start as i32).collect();
    Tensor::from_ints(rows.as_slice(), device)
}

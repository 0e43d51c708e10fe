//! The ResNet image tower of CLIP as in OpenCLIP 1.2.1.

use burn::module::Module;
use burn::tensor::Tensor;

use super::parameter_init::ParameterInit;
use super::{AttentionPool, BatchNorm, Bottleneck, ClipConfig, Convolution};
use crate::kernels;

/// Three-convolution stem, four stages of anti-aliased bottlenecks, attention pool.
#[derive(Module, Debug)]
pub struct ModifiedResNet {
    pub conv1: Convolution,
    pub bn1: BatchNorm,
    pub conv2: Convolution,
    pub bn2: BatchNorm,
    pub conv3: Convolution,
    pub bn3: BatchNorm,
    pub layer1: Vec<Bottleneck>,
    pub layer2: Vec<Bottleneck>,
    pub layer3: Vec<Bottleneck>,
    pub layer4: Vec<Bottleneck>,
    pub attnpool: AttentionPool,
}

impl ModifiedResNet {
    /// Input pixels per position of the last feature map.
    const REDUCTION: usize = 32;

    pub(super) fn init(config: &ClipConfig, layers: [usize; 4], init: &ParameterInit<'_>) -> Self {
        let width = config.vision_cfg.width;
        let conv = |name: &str, channels, stride| {
            Convolution::init(channels, 3, stride, &init.scope(name))
        };
        let norm = |name: &str, channels| BatchNorm::init(channels, 1.0, &init.scope(name));
        let side = config.vision_cfg.image_size / Self::REDUCTION;
        let (channels, heads) = (width * 32, config.vision_heads());
        let pool = init.scope("attnpool");
        Self {
            conv1: conv("conv1", (3, width / 2), 2),
            bn1: norm("bn1", width / 2),
            conv2: conv("conv2", (width / 2, width / 2), 1),
            bn2: norm("bn2", width / 2),
            conv3: conv("conv3", (width / 2, width), 1),
            bn3: norm("bn3", width),
            layer1: stage(0, width, layers, init),
            layer2: stage(1, width, layers, init),
            layer3: stage(2, width, layers, init),
            layer4: stage(3, width, layers, init),
            attnpool: AttentionPool::init(side, channels, heads, config.embed_dim, &pool),
        }
    }

    /// `[batch, 3, size, size]` → `[batch, embed_dim]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        // Channels last, so that every position is a row for the products and norms to come.
        let x = images.permute([0, 2, 3, 1]);
        let x = self.bn1.forward_relu(self.conv1.forward(x));
        let x = self.bn2.forward_relu(self.conv2.forward(x));
        let x = self.bn3.forward_relu(self.conv3.forward(x));
        let x = self
            .blocks()
            .fold(kernels::average_pool(x, 2), |x, block| block.forward(x));
        self.attnpool.forward(x)
    }

    fn blocks(&self) -> impl Iterator<Item = &Bottleneck> {
        [&self.layer1, &self.layer2, &self.layer3, &self.layer4]
            .into_iter()
            .flatten()
    }
}

/// The bottlenecks of stage `index` (0 to 3); all but the first stage halve the side.
fn stage(
    index: usize,
    width: usize,
    layers: [usize; 4],
    init: &ParameterInit<'_>,
) -> Vec<Bottleneck> {
    let init = init.scope(&format!("layer{}", index + 1));
    let planes = width << index;
    let output = planes * Bottleneck::EXPANSION;
    let before = if index == 0 { width } else { output / 2 };
    let block = |i: usize| {
        let (input, stride) = match i {
            0 => (before, if index == 0 { 1 } else { 2 }),
            _ => (output, 1),
        };
        Bottleneck::init(input, planes, stride, &init.scope(&i.to_string()))
    };
    (0..layers[index]).map(block).collect()
}

//! How large a model is, from its sizes alone: known before anything is allocated.
//!
//! All figures are numbers of 32-bit values, in `f64`: a model that nobody can hold must not overflow
//! the arithmetic that says so.

use super::{Bottleneck, ClipConfig, ImageLayers};

/// Start and end token: what the shortest caption has.
const FEWEST_TOKENS: f64 = 2.0;

impl ClipConfig {
    /// Parameters of the whole model: what `num_parameters` of the built [`Clip`](super::Clip) counts.
    pub fn parameters(&self) -> f64 {
        let (embed, text) = (self.embed_dim as f64, &self.text_cfg);
        let width = text.width as f64;
        let towers = match self.vision_cfg.layers {
            ImageLayers::VisionTransformer(layers) => self.vision_transformer_parameters(layers),
            ImageLayers::ModifiedResNet(stages) => self.resnet_parameters(stages),
        } + self.token_embedding_parameters()
            + text.context_length as f64 * width
            + text.layers as f64 * block_parameters(width)
            + 2.0 * width
            + width * embed;
        let hidden = self.projection_head.hidden as f64;
        let head = embed * hidden + 3.0 * hidden + linear(hidden, self.projection_head.output);
        towers + 2.0 * head + 2.0
    }

    /// Parameters of the token embedding, whose gradient holds the rows of a batch's tokens alone.
    pub(crate) fn token_embedding_parameters(&self) -> f64 {
        self.text_cfg.vocab_size as f64 * self.text_cfg.width as f64
    }

    /// Least number of values that one pair keeps in memory from the forward pass to the backward
    /// pass on the CPU: what the fused operations of [`crate::kernels`] keep of the picture and of the
    /// shortest caption.
    pub(crate) fn kept_per_pair(&self) -> f64 {
        let text = &self.text_cfg;
        let caption = transformer_kept(text.layers, text.width, text.heads, FEWEST_TOKENS);
        let side = self.vision_cfg.image_size as f64;
        let image = match self.vision_cfg.layers {
            ImageLayers::VisionTransformer(layers) => {
                let width = self.vision_cfg.width;
                transformer_kept(layers, width, self.vision_heads(), self.tokens())
            }
            ImageLayers::ModifiedResNet(stages) => self.resnet_kept(stages),
        };
        3.0 * side * side + image + caption
    }

    /// Tokens of a picture, the class token included.
    fn tokens(&self) -> f64 {
        let patch = self.vision_cfg.patch_size.unwrap_or(1) as f64;
        (self.vision_cfg.image_size as f64 / patch).powi(2) + 1.0
    }

    fn vision_transformer_parameters(&self, layers: usize) -> f64 {
        let width = self.vision_cfg.width as f64;
        let patch = self.vision_cfg.patch_size.unwrap_or(1) as f64;
        let embedding = 3.0 * patch * patch * width + width + self.tokens() * width;
        let norms = 4.0 * width;
        embedding + norms + layers as f64 * block_parameters(width) + width * self.embed_dim as f64
    }

    fn resnet_parameters(&self, stages: [usize; 4]) -> f64 {
        let width = self.vision_cfg.width as f64;
        let half = width / 2.0;
        let stem = 9.0 * (3.0 * half + half * half + half * width) + 2.0 * (half + half + width);
        let blocks: f64 = self
            .bottlenecks(stages)
            .map(|(number, shape)| number * shape.parameters())
            .sum();
        let channels = 32.0 * width;
        let tokens = (self.vision_cfg.image_size as f64 / 32.0).powi(2) + 1.0;
        let projections = 3.0 * (channels * channels + channels);
        let pool = tokens * channels + projections + linear(channels, self.embed_dim);
        stem + blocks + pool
    }

    fn resnet_kept(&self, stages: [usize; 4]) -> f64 {
        let width = self.vision_cfg.width as f64;
        let half_side = self.vision_cfg.image_size as f64 / 2.0;
        // Each of three norms keeps its input and, for the ReLU, its output; then the first pool.
        let stem = half_side * half_side * 4.0 * width + (half_side / 2.0).powi(2) * width;
        let blocks: f64 = self
            .bottlenecks(stages)
            .map(|(number, shape)| number * shape.kept())
            .sum();
        stem + blocks
    }

    /// How many bottlenecks there are of each shape: the first of a stage changes it, the others do not.
    fn bottlenecks(&self, stages: [usize; 4]) -> impl Iterator<Item = (f64, BottleneckShape)> {
        let (width, size) = (self.vision_cfg.width, self.vision_cfg.image_size);
        let stages = stages.into_iter().enumerate();
        stages.flat_map(move |(stage, blocks)| {
            let planes = (width << stage) as f64;
            let output = planes * Bottleneck::EXPANSION as f64;
            let side = size as f64 / (4 << stage) as f64;
            let first = BottleneckShape {
                input: if stage == 0 { planes } else { output / 2.0 },
                planes,
                side_before: if stage == 0 { side } else { 2.0 * side },
                side,
            };
            let other = BottleneckShape {
                input: output,
                side_before: side,
                ..first
            };
            [(1.0, first), (blocks as f64 - 1.0, other)]
        })
    }
}

/// Sizes of a [`Bottleneck`].
#[derive(Debug, Clone, Copy)]
struct BottleneckShape {
    input: f64,
    planes: f64,
    side_before: f64,
    side: f64,
}

impl BottleneckShape {
    fn output(self) -> f64 {
        self.planes * Bottleneck::EXPANSION as f64
    }

    fn strided(self) -> bool {
        self.side_before > self.side
    }

    fn reshapes(self) -> bool {
        self.strided() || self.input != self.output()
    }

    fn parameters(self) -> f64 {
        let (planes, output) = (self.planes, self.output());
        let convolutions = self.input * planes + 9.0 * planes * planes + planes * output;
        let norms = 2.0 * (planes + planes + output);
        let identity = match self.reshapes() {
            true => self.input * output + 2.0 * output,
            false => 0.0,
        };
        convolutions + norms + identity
    }

    /// A convolution keeps its input, a norm its input and, where a ReLU follows, its output; what is
    /// one's output and the other's input is one and the same.
    fn kept(self) -> f64 {
        let (before, after) = (self.side_before.powi(2), self.side.powi(2));
        let inner = 4.0 * self.planes * before;
        let last = 2.0 * self.output() * after;
        let pooled = match self.strided() {
            true => (self.planes + self.input) * after,
            false => 0.0,
        };
        let identity = match self.reshapes() {
            true => self.output() * after,
            false => 0.0,
        };
        inner + last + pooled + identity
    }
}

/// Weights and biases of a linear layer.
fn linear(input: f64, output: usize) -> f64 {
    (input + 1.0) * output as f64
}

/// Parameters of a residual attention block.
fn block_parameters(width: f64) -> f64 {
    let attention = 4.0 * width * width + 4.0 * width;
    let mlp = 8.0 * width * width + 5.0 * width;
    attention + mlp + 4.0 * width
}

/// What the blocks keep of a sequence. Each keeps, for every token: the input of both norms and their
/// outputs, the packed queries, keys and values, what was attended to and with which probabilities,
/// and the hidden layer behind its activation with the slope of it. The last reads its tokens as they are:
/// the input of the first norm and its output.
fn transformer_kept(layers: usize, width: usize, heads: usize, tokens: f64) -> f64 {
    let width = width as f64;
    let whole = 16.0 * width + heads as f64 * tokens;
    let last = 2.0 * width;
    tokens * ((layers as f64 - 1.0).max(0.0) * whole + last)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::config::Fidelity;

    #[test]
    fn parameters_are_those_of_the_model_that_is_built() {
        let with = |name: &str, change: fn(&mut ClipConfig)| {
            let mut config = ClipConfig::named(name).expect("built in");
            change(&mut config);
            config
        };
        let deep = with("vit-nano-32", |c| {
            c.vision_cfg.layers = ImageLayers::VisionTransformer(3);
            c.text_cfg.layers = 5;
            c.text_cfg.context_length = 13;
            c.projection_head.hidden = 9;
        });
        let uneven = with("rn-tiny-64", |c| {
            c.vision_cfg.layers = ImageLayers::ModifiedResNet([1, 3, 2, 1]);
            c.embed_dim = 48;
        });
        let names = ["vit-nano-32", "vit-tiny-64", "rn-tiny-64"];
        let named = names.map(|name| with(name, |_| ()));
        for config in named.into_iter().chain([deep, uneven]) {
            let built = config.init(1, Fidelity::Corrected, &Device::flex());
            assert_eq!(
                config.parameters(),
                built.num_parameters() as f64,
                "{config:?}"
            );
        }
    }

    /// The models of the papers, without projection heads: what OpenCLIP prints.
    #[test]
    fn large_models_have_the_published_number_of_parameters() {
        for (name, published) in [
            ("RN50", 102_007_137.0),
            ("RN50x4", 178_300_601.0),
            ("ViT-B-32", 151_277_313.0),
            ("ViT-L-14", 427_616_513.0),
        ] {
            let config = ClipConfig::named(name).expect("built in");
            let (hidden, output) = (2048.0, 128.0);
            let head = config.embed_dim as f64 * hidden + 3.0 * hidden + (hidden + 1.0) * output;
            assert_eq!(config.parameters() - 2.0 * head - 1.0, published, "{name}");
        }
    }

    #[test]
    fn no_size_overflows() {
        let mut config = ClipConfig::named("ViT-B-32").expect("built in");
        config.vision_cfg.width = 1 << 24;
        config.vision_cfg.layers = ImageLayers::VisionTransformer(usize::MAX);
        config.text_cfg.layers = usize::MAX;
        assert!(config.parameters() > 1e30 && config.parameters().is_finite());
        assert!(config.kept_per_pair().is_finite());
    }
}

//! The whole model.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

use super::parameter_init::ParameterInit;
use super::{ClipConfig, ImageTower, ProjectionHead, TextTransformer, parameter_name::NameVisitor};
use crate::config::Fidelity;

/// Image and text tower, a projection head each, and the two learned log-scales.
///
/// On an autodiff device it trains (BatchNorm uses batch statistics); [`Module::valid`] gives the
/// evaluation copy on the plain device, which is also the fast one for feature extraction.
#[derive(Module, Debug)]
pub struct Clip {
    pub visual: ImageTower,
    pub text: TextTransformer,
    pub image_projection_head: ProjectionHead,
    pub text_projection_head: ProjectionHead,
    /// `[1]`, natural logarithm of the InfoNCE scale.
    pub logit_scale: Param<Tensor<1>>,
    /// `[1]`, natural logarithm of the one scale of all prototype terms.
    pub logit_scale_proto: Param<Tensor<1>>,
    image_size: usize,
    context_length: usize,
    vocab_size: usize,
    embed_dim: usize,
    projection_dim: usize,
}

impl ClipConfig {
    /// A model with the initial values of OpenCLIP 1.2.1.
    ///
    /// Equal seeds give equal values on every device. With [`Fidelity::Reference`] the text
    /// projection head starts as a copy of the image head; corrected, both are independent.
    pub fn init(&self, seed: u64, fidelity: Fidelity, device: &Device) -> Clip {
        let init = ParameterInit::new(seed, device);
        let (image_head, text_head) = ("image_projection_head", "text_projection_head");
        let text_init = match fidelity {
            Fidelity::Corrected => init.scope(text_head),
            Fidelity::Reference => init.copy_of(text_head, image_head),
        };
        let head = |init| ProjectionHead::init(self.embed_dim, self.projection_head, &init);
        Clip {
            visual: ImageTower::init(self, &init.scope("visual")),
            text: TextTransformer::init(self, &init),
            image_projection_head: head(init.scope(image_head)),
            text_projection_head: head(text_init),
            logit_scale: init.constant("logit_scale", [1], Clip::initial_logit_scale()),
            logit_scale_proto: init.constant("logit_scale_proto", [1], Clip::initial_logit_scale()),
            image_size: self.vision_cfg.image_size,
            context_length: self.text_cfg.context_length,
            vocab_size: self.text_cfg.vocab_size,
            embed_dim: self.embed_dim,
            projection_dim: self.projection_head.output,
        }
    }
}

impl Clip {
    /// Upper bound of both log-scales: a scale of 100.
    pub const MAX_LOGIT_SCALE: f64 = 4.605_170_185_988_092;

    /// ln(1/0.07), the start of both log-scales.
    pub fn initial_logit_scale() -> f32 {
        (1.0f64 / 0.07).ln() as f32
    }

    /// `[batch, 3, image_size, image_size]` → z, `[batch, embed_dim]`, not normalised.
    pub fn encode_image(&self, images: Tensor<4>) -> Tensor<2> {
        self.visual.forward(images)
    }

    /// Token ids `[batch, context_length]` → z, `[batch, embed_dim]`, not normalised.
    pub fn encode_text(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        self.text.forward(tokens)
    }

    /// Un-normalised z → h, `[batch, projection_dim]`, not normalised.
    pub fn project_image(&self, z: Tensor<2>) -> Tensor<2> {
        self.image_projection_head.forward(z)
    }

    /// Un-normalised z → h, `[batch, projection_dim]`, not normalised.
    pub fn project_text(&self, z: Tensor<2>) -> Tensor<2> {
        self.text_projection_head.forward(z)
    }

    /// Both log-scales brought back into [0, ln 100]; call it after every optimizer step.
    #[must_use]
    pub fn clamp_logit_scales(self) -> Self {
        Self {
            logit_scale: clamp(self.logit_scale),
            logit_scale_proto: clamp(self.logit_scale_proto),
            ..self
        }
    }

    /// Stops training of the image tower (the LiT stage).
    ///
    /// Corrected, its BatchNorm uses running statistics and leaves them alone. The reference
    /// only stops gradients, so the statistics of the "locked" tower keep moving.
    #[must_use]
    pub fn lock_image_tower(self, fidelity: Fidelity) -> Self {
        let visual = match fidelity {
            Fidelity::Corrected => self.visual.freeze(),
            Fidelity::Reference => self.visual.no_grad(),
        };
        Self { visual, ..self }
    }

    /// Undoes [`Clip::lock_image_tower`].
    #[must_use]
    pub fn unlock_image_tower(self) -> Self {
        Self {
            visual: self.visual.unfreeze(),
            ..self
        }
    }

    /// Trainable numbers of the whole model; running statistics do not count.
    pub fn num_parameters(&self) -> usize {
        let count = |shape: &[usize]| shape.iter().product::<usize>();
        let parameters = NameVisitor::parameters_of(self);
        parameters.iter().map(|p| count(&p.shape)).sum()
    }

    /// Side of the square input, in pixels.
    pub fn image_size(&self) -> usize {
        self.image_size
    }

    /// Tokens per caption.
    pub fn context_length(&self) -> usize {
        self.context_length
    }

    /// Token ids must be below this.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Dimension of z.
    pub fn embed_dim(&self) -> usize {
        self.embed_dim
    }

    /// Dimension of h.
    pub fn projection_dim(&self) -> usize {
        self.projection_dim
    }
}

fn clamp(scale: Param<Tensor<1>>) -> Param<Tensor<1>> {
    scale.map(|value| {
        let tracked = value.is_require_grad();
        let clamped = value.detach().set_require_grad(false);
        let clamped = clamped.clamp(0.0, Clip::MAX_LOGIT_SCALE);
        match tracked {
            true => clamped.detach().require_grad(),
            false => clamped,
        }
    })
}

/// Rows divided by their length, `[batch, dim]`; a zero row stays zero and its gradient is finite.
pub fn l2_normalize(x: Tensor<2>) -> Tensor<2> {
    const SMALLEST_SQUARE: f64 = 1e-24;
    let squares = x.clone().square().sum_dim(1);
    x / squares.clamp_min(SMALLEST_SQUARE).sqrt()
}

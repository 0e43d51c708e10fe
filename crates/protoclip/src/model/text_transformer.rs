//! The causal text tower.

use burn::module::{Module, Param};
use burn::nn::Embedding;
use burn::tensor::{DType, Int, IntDType, Tensor};

use super::parameter_init::ParameterInit;
use super::transformer::BlockShape;
use super::{ClipConfig, LayerNorm, Transformer};

/// Token and position embeddings, causal blocks; the end token's output is projected.
#[derive(Module, Debug)]
pub struct TextTransformer {
    /// `[vocab_size, width]`
    pub token_embedding: Embedding,
    /// `[context_length, width]`
    pub positional_embedding: Param<Tensor<2>>,
    pub transformer: Transformer,
    pub ln_final: LayerNorm,
    /// `[width, embed_dim]`
    pub text_projection: Param<Tensor<2>>,
}

impl TextTransformer {
    pub(super) fn init(config: &ClipConfig, init: &ParameterInit<'_>) -> Self {
        let text = &config.text_cfg;
        let shape = BlockShape {
            width: text.width,
            heads: text.heads,
            quick_gelu: config.quick_gelu,
            depth_scaled: Some(text.layers),
        };
        let projection_std = (text.width as f64).powf(-0.5);
        let tokens = init.scope("token_embedding");
        let positions = [text.context_length, text.width];
        Self {
            token_embedding: Embedding {
                weight: tokens.normal("weight", [text.vocab_size, text.width], 0.02),
            },
            positional_embedding: init.normal("positional_embedding", positions, 0.01),
            transformer: Transformer::init(text.layers, shape, &init.scope("transformer")),
            ln_final: LayerNorm::init(text.width, &init.scope("ln_final")),
            text_projection: init.normal(
                "text_projection",
                [text.width, config.embed_dim],
                projection_std,
            ),
        }
    }

    /// `[batch, context_length]` token ids → `[batch, embed_dim]`, not normalised.
    ///
    /// The feature is read where the largest id stands (the end token in CLIP's vocabulary; the
    /// first such place if there are several). Every id must be below `vocab_size`.
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let [batch, length] = tokens.dims();
        let device = tokens.device();
        // Burn does not mix integer widths, and token ids may come in either.
        let end = tokens
            .clone()
            .argmax(1)
            .reshape([batch])
            .cast(IntDType::I32);
        let rows = Tensor::<1, Int>::arange(0..batch as i64, (&device, DType::I32));
        let end = rows.mul_scalar(length as i32) + end;

        let embedded = self.token_embedding.forward(tokens);
        let x = embedded + self.positional_embedding.val().unsqueeze::<3>();
        let x = self.transformer.forward(x, true);
        let [_, _, width] = x.dims();
        let ends = x.reshape([batch * length, width]).select(0, end);
        self.ln_final
            .forward(ends)
            .matmul(self.text_projection.val())
    }
}

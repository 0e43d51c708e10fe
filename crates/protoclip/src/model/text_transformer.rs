//! The causal text tower.

use burn::module::{Module, Param};
use burn::nn::Embedding;
use burn::tensor::{DType, Int, IntDType, Tensor};

use super::parameter_init::ParameterInit;
use super::transformer::BlockShape;
use super::{ClipConfig, LayerNorm, Transformer};
use crate::kernels::{self, Segments};

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

    /// Token ids `[batch, length]` → `[batch, embed_dim]`, not normalised; `length` is at most
    /// `context_length`.
    ///
    /// The feature is read where the largest id stands (the end token in CLIP's vocabulary; the
    /// first such place if there are several). What comes later is hidden from it by causality and
    /// changes nothing. Every id must be below `vocab_size`.
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let ends = match kernels::packs_rows(&tokens.device()) {
            true => self.read_packed(tokens),
            false => self.read_padded(tokens),
        };
        self.ln_final
            .forward(ends)
            .matmul(self.text_projection.val())
    }

    /// Every caption up to its end token, one after the other: nothing is computed for padding.
    fn read_packed(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let device = self.token_embedding.weight.device();
        let captions = Captions::read(tokens);
        let embedded = kernels::embedding(self.token_embedding.weight.val(), &captions.ids);
        let places = Tensor::from_ints(captions.places.as_slice(), &device);
        let x = embedded + self.positional_embedding.val().select(0, places);
        let segments = Segments::of_lengths(captions.lengths);
        let ends: Vec<i32> = segments.iter().map(|rows| rows.end as i32 - 1).collect();
        let ends = Tensor::from_ints(ends.as_slice(), &device);
        self.transformer.forward_readers(x, &segments, true, ends)
    }

    /// All tokens of all captions, so that shapes are the same in every batch.
    fn read_padded(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let [batch, length] = tokens.dims();
        let device = tokens.device();
        // Burn does not mix integer widths, and token ids may come in either.
        let end = tokens
            .clone()
            .argmax(1)
            .reshape([batch])
            .cast(IntDType::I32);
        let rows = Tensor::<1, Int>::arange(0..batch as i64, (&device, DType::I32));
        let ends = rows.mul_scalar(length as i32) + end;

        let embedded = self.token_embedding.forward(tokens);
        let positions = self.positional_embedding.val().slice_dim(0, 0..length);
        let x = embedded + positions.unsqueeze::<3>();
        let [_, _, width] = x.dims();
        let segments = Segments::uniform(batch, length);
        let x = x.reshape([batch * length, width]);
        self.transformer.forward(x, &segments, true).select(0, ends)
    }
}

/// Token ids of captions up to and including their end tokens.
struct Captions {
    /// `[rows]`
    ids: Vec<u32>,
    /// `[rows]`: the place of each in its caption.
    places: Vec<i32>,
    /// `[captions]`
    lengths: Vec<usize>,
}

impl Captions {
    fn read(tokens: Tensor<2, Int>) -> Self {
        let length = tokens.dims()[1].max(1);
        let all: Vec<u32> = tokens.into_data().iter::<u32>().collect();
        let mut captions = Self {
            ids: Vec::with_capacity(all.len()),
            places: Vec::with_capacity(all.len()),
            lengths: Vec::with_capacity(all.len() / length),
        };
        for caption in all.chunks_exact(length) {
            let mut end = 0;
            for (place, &id) in caption.iter().enumerate() {
                if id > caption[end] {
                    end = place;
                }
            }
            captions.ids.extend_from_slice(&caption[..=end]);
            captions.places.extend(0..=end as i32);
            captions.lengths.push(end + 1);
        }
        captions
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::config::Fidelity;

    /// Without padding: the same features, and the same gradients of every parameter.
    #[test]
    fn captions_without_padding_read_the_same() {
        let device = Device::flex().autodiff();
        let config = ClipConfig::named("vit-nano-32").expect("built in");
        let model = config.init(3, Fidelity::Corrected, &device).text;
        // The end token first, in the middle, last, and twice.
        let ids = [[9, 1, 2, 3], [4, 9, 0, 0], [1, 2, 3, 9], [1, 9, 9, 2]];
        let ids: Vec<i32> = ids.concat();
        let tokens = || Tensor::<2, Int>::from_data(TensorData::new(ids.clone(), [4, 4]), &device);
        let run = |ends: Tensor<2>| {
            let gradients = ends.clone().powi_scalar(3).sum().backward();
            let block = &model.transformer.resblocks[0];
            let by_projection = block
                .attn
                .in_proj_weight
                .val()
                .grad(&gradients)
                .expect("used");
            let by_position = model
                .positional_embedding
                .val()
                .grad(&gradients)
                .expect("used");
            [ends.inner(), by_projection, by_position]
        };
        let packed = run(model.read_packed(tokens()));
        let padded = run(model.read_padded(tokens()));
        for (packed, padded) in packed.into_iter().zip(padded) {
            let scale = padded.clone().abs().max().into_scalar::<f32>();
            let error = (packed - padded).abs().max().into_scalar::<f32>();
            assert!(error < 1e-5 * scale, "{error:e} of {scale:e}");
        }
    }
}

//! The encoder: embeddings, then post-norm attention blocks.
//!
//! Sequences of a batch have one length, so no position is ever masked.

use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::BertConfig;
use crate::kernels::{self, Segments};
use crate::model::weights::{WeightSource, WeightsError};

/// Weights of a BERT-like encoder, on a device, without gradients.
#[derive(Debug)]
pub(super) struct Bert {
    /// `[vocab, hidden]`
    words: Tensor<2>,
    /// `[positions, hidden]`, the first one is that of a caption's first token; token type 0 is
    /// already added.
    positions: Tensor<2>,
    norm: Norm,
    layers: Vec<Layer>,
    heads: usize,
}

#[derive(Debug)]
struct Layer {
    /// Queries, keys and values side by side.
    attention: Dense,
    attention_output: Dense,
    attention_norm: Norm,
    intermediate: Dense,
    output: Dense,
    output_norm: Norm,
}

/// `[input, output]` weight and `[output]` bias.
#[derive(Debug)]
struct Dense {
    weight: Tensor<2>,
    bias: Tensor<1>,
}

#[derive(Debug)]
struct Norm {
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
}

impl Bert {
    /// Loads the encoder from a weight file; names may start with `bert.` or `roberta.`.
    pub(super) fn load(
        config: &BertConfig,
        path: &Path,
        device: &Device,
    ) -> Result<Self, WeightsError> {
        let source = WeightSource::open(path)?;
        let probe = "embeddings.word_embeddings.weight";
        let prefix = ["", "bert.", "roberta."]
            .into_iter()
            .find(|prefix| source.entry(&format!("{prefix}{probe}")).is_some());
        Weights {
            source,
            prefix: prefix.unwrap_or_default(),
            device,
            hidden: config.hidden_size,
            epsilon: config.layer_norm_eps,
        }
        .bert(config)
    }

    /// Token ids `[batch, tokens]` → features `[batch, tokens, hidden]`.
    pub(super) fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [batch, tokens] = ids.dims();
        let [_, hidden] = self.words.dims();
        let words = self.words.clone().select(0, ids.reshape([batch * tokens]));
        let positions = self.positions.clone().slice([0..tokens, 0..hidden]);
        let x = words.reshape([batch, tokens, hidden]) + positions.unsqueeze::<3>();
        let mut x = self.norm.forward(x.reshape([batch * tokens, hidden]));
        let segments = Segments::uniform(batch, tokens);
        for layer in &self.layers {
            x = layer.forward(x, &segments, self.heads);
        }
        x.reshape([batch, tokens, hidden])
    }
}

impl Layer {
    fn forward(&self, x: Tensor<2>, segments: &Segments, heads: usize) -> Tensor<2> {
        let packed = self.attention.forward(x.clone());
        let attended = kernels::attention(packed, segments, heads, false);
        let x = self
            .attention_norm
            .forward(self.attention_output.forward_onto(x, attended));
        let layers = [&self.intermediate, &self.output]
            .map(|layer| (layer.weight.clone(), Some(layer.bias.clone())));
        let x = kernels::mlp_onto(x.clone(), x, layers, false);
        self.output_norm.forward(x)
    }
}

impl Dense {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        kernels::linear(x, self.weight.clone(), Some(self.bias.clone()))
    }

    fn forward_onto(&self, residual: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
        kernels::linear_onto(residual, x, self.weight.clone(), Some(self.bias.clone()))
    }
}

impl Norm {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        kernels::layer_norm(x, self.weight.clone(), self.bias.clone(), self.epsilon)
    }
}

/// The weight file while an encoder is built from it.
struct Weights<'a> {
    source: WeightSource,
    prefix: &'static str,
    device: &'a Device,
    hidden: usize,
    epsilon: f64,
}

impl Weights<'_> {
    fn bert(mut self, config: &BertConfig) -> Result<Bert, WeightsError> {
        let hidden = self.hidden;
        let (first, last) = (config.first_position(), config.max_position_embeddings);
        let words = self.embeddings("word_embeddings", config.vocab_size)?;
        let positions = self.embeddings("position_embeddings", last)?;
        let types = self.embeddings("token_type_embeddings", config.type_vocab_size)?;
        let norm = self.norm("embeddings.LayerNorm")?;
        let layers = (0..config.num_hidden_layers)
            .map(|number| self.layer(number, config))
            .collect::<Result<_, _>>()?;
        Ok(Bert {
            words,
            positions: positions.slice([first..last, 0..hidden]) + types.slice([0..1, 0..hidden]),
            norm,
            layers,
            heads: config.num_attention_heads,
        })
    }

    fn layer(&mut self, number: usize, config: &BertConfig) -> Result<Layer, WeightsError> {
        let (hidden, inner) = (self.hidden, config.intermediate_size);
        let name = |part: &str| format!("encoder.layer.{number}.{part}");
        let [queries, keys, values] = ["query", "key", "value"]
            .map(|which| self.dense(&name(&format!("attention.self.{which}")), hidden, hidden));
        let (queries, keys, values) = (queries?, keys?, values?);
        Ok(Layer {
            attention: Dense {
                weight: Tensor::cat(vec![queries.weight, keys.weight, values.weight], 1),
                bias: Tensor::cat(vec![queries.bias, keys.bias, values.bias], 0),
            },
            attention_output: self.dense(&name("attention.output.dense"), hidden, hidden)?,
            attention_norm: self.norm(&name("attention.output.LayerNorm"))?,
            intermediate: self.dense(&name("intermediate.dense"), hidden, inner)?,
            output: self.dense(&name("output.dense"), inner, hidden)?,
            output_norm: self.norm(&name("output.LayerNorm"))?,
        })
    }

    /// `[rows, hidden]`
    fn embeddings(&mut self, name: &str, rows: usize) -> Result<Tensor<2>, WeightsError> {
        let shape = [rows, self.hidden];
        let values = self.values(&format!("embeddings.{name}.weight"), &shape)?;
        Ok(Tensor::from_data(
            TensorData::new(values, shape),
            self.device,
        ))
    }

    fn dense(&mut self, name: &str, input: usize, output: usize) -> Result<Dense, WeightsError> {
        let values = self.values(&format!("{name}.weight"), &[output, input])?;
        // PyTorch keeps [output, input].
        let mut transposed = vec![0.0; values.len()];
        for (row, values) in values.chunks_exact(input).enumerate() {
            for (column, &value) in values.iter().enumerate() {
                transposed[column * output + row] = value;
            }
        }
        let weight = TensorData::new(transposed, [input, output]);
        Ok(Dense {
            weight: Tensor::from_data(weight, self.device),
            bias: self.vector(&format!("{name}.bias"), output)?,
        })
    }

    fn norm(&mut self, name: &str) -> Result<Norm, WeightsError> {
        // Names from TensorFlow days.
        let old = self
            .source
            .entry(&format!("{}{name}.gamma", self.prefix))
            .is_some();
        let (weight, bias) = if old {
            ("gamma", "beta")
        } else {
            ("weight", "bias")
        };
        Ok(Norm {
            weight: self.vector(&format!("{name}.{weight}"), self.hidden)?,
            bias: self.vector(&format!("{name}.{bias}"), self.hidden)?,
            epsilon: self.epsilon,
        })
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Tensor<1>, WeightsError> {
        let values = self.values(name, &[length])?;
        Ok(Tensor::from_data(
            TensorData::new(values, [length]),
            self.device,
        ))
    }

    fn values(&mut self, name: &str, wanted: &[usize]) -> Result<Vec<f32>, WeightsError> {
        let tensor = format!("{}{name}", self.prefix);
        if let Some(entry) = self.source.entry(&tensor)
            && entry.shape != wanted
        {
            return Err(WeightsError::Shape {
                path: self.source.place().to_owned(),
                tensor,
                wanted: wanted.to_vec(),
                found: entry.shape.clone(),
            });
        }
        self.source.read(&tensor)
    }
}

//! Features of a model on a data set: each picture once, each caption once.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use rustc_hash::FxHashMap;

use super::EvaluateError;
use crate::config::Fidelity;
use crate::data::{BatchMode, Batcher, BatcherConfig, PairSource, SampleId};
use crate::model::{Clip, l2_normalize};
use crate::tokenizer::{Tokenizer, VOCABULARY};

/// A model in evaluation mode, ready to encode; cheap to make anew when the model changes.
#[derive(Debug, Clone)]
pub struct Encoder {
    model: Clip,
    device: Device,
    tokenizer: Arc<Tokenizer>,
    batch_size: usize,
}

/// L2-normalised features, row-major.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PairFeatures {
    /// Dimension of both spaces.
    pub dim: usize,
    /// A sample that has the picture of each row of `images`.
    pub image_samples: Vec<SampleId>,
    /// `ẑI`, `[pictures, dim]`.
    pub images: Vec<f32>,
    /// The sample whose caption each row of `texts` is.
    pub text_samples: Vec<SampleId>,
    /// `ẑT`, `[captions, dim]`.
    pub texts: Vec<f32>,
    /// Row of `images` of each row of `texts`.
    pub image_of_text: Vec<u32>,
    /// Pictures that could not be decoded; their captions are left out too.
    pub broken: usize,
}

/// Progress of the extraction, pictures and captions done; return `false` to cancel.
pub(crate) type ExtractProgress<'a> = &'a mut dyn FnMut(u64) -> bool;

impl Encoder {
    /// `model` without autodiff lies on `device`; `batch_size` pictures or texts are encoded at a time.
    ///
    /// # Errors
    /// When the vocabulary of the model is smaller than that of the tokenizer.
    pub fn new(
        model: Clip,
        device: Device,
        tokenizer: Arc<Tokenizer>,
        batch_size: usize,
    ) -> Result<Self, EvaluateError> {
        if model.vocab_size() < VOCABULARY {
            return Err(EvaluateError::Vocabulary {
                found: model.vocab_size(),
            });
        }
        Ok(Self {
            model,
            device,
            tokenizer,
            batch_size: batch_size.max(1),
        })
    }

    /// Dimension of the features.
    pub fn dim(&self) -> usize {
        self.model.embed_dim()
    }

    /// The model that encodes.
    pub fn model(&self) -> &Clip {
        &self.model
    }

    /// L2-normalised features `[texts, dim]`; a text that is too long is cut and keeps its end token.
    /// `go_on` is asked after each batch with the number of texts done.
    ///
    /// # Errors
    /// When cancelled or the device fails.
    pub fn texts(
        &self,
        texts: &[String],
        go_on: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Vec<f32>, EvaluateError> {
        let context = self.model.context_length();
        let mut features = Vec::with_capacity(texts.len() * self.dim());
        let mut done = 0;
        for batch in texts.chunks(self.batch_size) {
            let encode = |text: &String| self.tokenizer.encode(text, context, Fidelity::Corrected);
            let tokens: Vec<i32> = batch.iter().flat_map(encode).collect();
            let tokens = TensorData::new(tokens, [batch.len(), context]);
            let tokens: Tensor<2, Int> = Tensor::from_data(tokens, &self.device);
            append(&mut features, l2_normalize(self.model.encode_text(tokens)))?;
            done += batch.len() as u64;
            if !go_on(done) {
                return Err(EvaluateError::Cancelled);
            }
        }
        Ok(features)
    }

    /// Features of all pictures and captions of `samples`, pictures under the evaluation transform.
    /// Pictures that cannot be decoded are left out with their captions and counted.
    pub(crate) fn pairs(
        &self,
        data: &Arc<dyn PairSource>,
        samples: &[SampleId],
        progress: ExtractProgress<'_>,
    ) -> Result<PairFeatures, EvaluateError> {
        let (firsts, picture_of) = pictures(&**data, samples);
        let mut features = PairFeatures {
            dim: self.dim(),
            ..PairFeatures::default()
        };
        let row_of_picture = self.images(data, firsts, &mut features, progress)?;
        let pictures = row_of_picture.len() as u64;
        let mut captions = Vec::new();
        for (&sample, picture) in samples.iter().zip(picture_of) {
            if let Some(row) = row_of_picture[picture] {
                captions.push(data.caption(sample)?);
                features.text_samples.push(sample);
                features.image_of_text.push(row);
            }
        }
        features.texts = self.texts(&captions, &mut |done| progress(pictures + done))?;
        Ok(features)
    }

    /// Encodes the pictures of `firsts` and gives for each the row it got.
    fn images(
        &self,
        data: &Arc<dyn PairSource>,
        firsts: Vec<SampleId>,
        features: &mut PairFeatures,
        progress: ExtractProgress<'_>,
    ) -> Result<Vec<Option<u32>>, EvaluateError> {
        let batcher = self.batcher(data)?;
        let mut rows = Vec::with_capacity(firsts.len());
        for batch in batcher.batches(firsts.clone(), BatchMode::Evaluate)? {
            let batch = batch?;
            let side = self.model.image_size();
            let images = TensorData::new(batch.images, [batch.samples.len(), 3, side, side]);
            let images: Tensor<4> = Tensor::from_data(images, &self.device);
            let mut encoded = Vec::new();
            append(&mut encoded, l2_normalize(self.model.encode_image(images)))?;
            let encoded = encoded.chunks_exact(features.dim);
            for (&sample, row) in batch.samples.iter().zip(encoded) {
                // The batcher puts another sample in the place of a broken one.
                let usable = firsts[rows.len()] == sample;
                rows.push(usable.then_some(features.image_samples.len() as u32));
                if usable {
                    features.image_samples.push(sample);
                    features.images.extend_from_slice(row);
                }
            }
            if !progress(rows.len() as u64) {
                return Err(EvaluateError::Cancelled);
            }
        }
        features.broken = rows.iter().filter(|row| row.is_none()).count();
        Ok(rows)
    }

    fn batcher(&self, data: &Arc<dyn PairSource>) -> Result<Batcher, EvaluateError> {
        let config = BatcherConfig {
            image_size: self.model.image_size() as u32,
            context: self.model.context_length(),
            batch_size: self.batch_size,
            seed: 0,
            fidelity: Fidelity::Corrected,
            threads: 0,
            cache_bytes: 0,
            // Broken pictures are counted in the report instead.
            max_broken_share: 1.0,
        };
        Ok(Batcher::new(
            Arc::clone(data),
            Arc::clone(&self.tokenizer),
            config,
        )?)
    }
}

impl PairFeatures {
    /// Features that were extracted pair by pair: `images` and `texts` `[samples, dim]`. A picture that
    /// several pairs share is kept once.
    pub fn of_pairs(
        data: &dyn PairSource,
        samples: &[SampleId],
        (images, texts): (Vec<f32>, Vec<f32>),
        dim: usize,
    ) -> Self {
        let all = Self {
            dim,
            image_samples: samples.to_vec(),
            images,
            text_samples: samples.to_vec(),
            texts,
            image_of_text: (0..samples.len() as u32).collect(),
            broken: 0,
        };
        if data.picture_groups().is_none() {
            return all;
        }
        let (_, picture_of) = pictures(data, samples);
        let mut first_row = Vec::new();
        for (row, &picture) in picture_of.iter().enumerate() {
            if picture == first_row.len() {
                first_row.push(row);
            }
        }
        let row = |&row: &usize| &all.images[row * dim..(row + 1) * dim];
        Self {
            image_samples: first_row.iter().map(|&row| samples[row]).collect(),
            images: first_row.iter().flat_map(row).copied().collect(),
            image_of_text: picture_of.iter().map(|&picture| picture as u32).collect(),
            ..all
        }
    }

    /// The pictures whose sample is `wanted`, with their captions. Captions of one picture share their
    /// key and so lie on the same side of a split by hash; where a column splits them, the picture's
    /// first sample decides.
    pub(super) fn chosen(&self, wanted: impl Fn(SampleId) -> bool) -> Self {
        let keep: Vec<bool> = self.image_samples.iter().map(|&s| wanted(s)).collect();
        self.of_pictures(&keep)
    }

    /// The pictures whose row is to be kept, with their captions.
    pub fn of_pictures(&self, keep: &[bool]) -> Self {
        let mut part = Self {
            dim: self.dim,
            ..Self::default()
        };
        let mut row_of = vec![None; keep.len()];
        for row in (0..keep.len()).filter(|&row| keep[row]) {
            row_of[row] = Some(part.image_samples.len() as u32);
            part.image_samples.push(self.image_samples[row]);
            part.images
                .extend_from_slice(&self.images[row * self.dim..][..self.dim]);
        }
        for (text, &image) in self.image_of_text.iter().enumerate() {
            if let Some(row) = row_of[image as usize] {
                part.image_of_text.push(row);
                part.text_samples.push(self.text_samples[text]);
                part.texts
                    .extend_from_slice(&self.texts[text * self.dim..][..self.dim]);
            }
        }
        part
    }
}

/// The first sample of each distinct picture, and for each of `samples` which picture it has.
fn pictures(data: &dyn PairSource, samples: &[SampleId]) -> (Vec<SampleId>, Vec<usize>) {
    let Some(groups) = data.picture_groups() else {
        return (samples.to_vec(), (0..samples.len()).collect());
    };
    let (mut firsts, mut number_of) = (Vec::new(), FxHashMap::default());
    let picture_of = samples
        .iter()
        .map(|&sample| {
            *number_of.entry(groups[sample as usize]).or_insert_with(|| {
                firsts.push(sample);
                firsts.len() - 1
            })
        })
        .collect();
    (firsts, picture_of)
}

fn append(features: &mut Vec<f32>, rows: Tensor<2>) -> Result<(), EvaluateError> {
    let values = rows
        .into_data()
        .try_into_vec::<f32>()
        .map_err(|e| EvaluateError::Device(format!("{e:?}")))?;
    features.extend_from_slice(&values);
    Ok(())
}

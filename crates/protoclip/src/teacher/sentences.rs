//! Captions to embeddings.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use tokenizers::Tokenizer;

use super::bert::Bert;
use super::{BertConfig, TeacherError};
use crate::model::l2_normalize;

/// Tokens of one batch; bounds the memory of a forward pass.
const BATCH_TOKENS: usize = 4096;

/// Captions done and captions in all; return `false` to cancel.
pub type EncodeProgress<'a> = &'a dyn Fn(usize, usize) -> bool;

/// A BERT or RoBERTa encoder with its tokenizer.
#[derive(Debug)]
pub struct SentenceEncoder {
    bert: Bert,
    tokenizer: Tokenizer,
    config: BertConfig,
    device: Device,
}

impl SentenceEncoder {
    /// Opens a Hugging Face directory with `config.json`, `tokenizer.json` and `model.safetensors` or
    /// `pytorch_model.bin`.
    ///
    /// Captions are cut where `tokenizer.json` says, or at the model's last position.
    ///
    /// # Errors
    /// Names the file and what is missing or wrong in it.
    pub fn open(folder: &Path, device: &Device) -> Result<Self, TeacherError> {
        let config = BertConfig::read(&folder.join("config.json"))?;
        let path = folder.join("tokenizer.json");
        let format = |message: String| TeacherError::Format {
            path: path.clone(),
            message,
        };
        let mut tokenizer = Tokenizer::from_file(&path).map_err(|e| format(e.to_string()))?;
        let vocabulary = tokenizer.get_vocab_size(true);
        if vocabulary > config.vocab_size {
            let words = config.vocab_size;
            return Err(format(format!(
                "has {vocabulary} tokens, config.json {words}"
            )));
        }
        let mut cut = tokenizer.get_truncation().cloned().unwrap_or_default();
        let given = tokenizer
            .get_truncation()
            .map_or(usize::MAX, |t| t.max_length);
        cut.max_length = given.min(config.longest());
        tokenizer
            .with_truncation(Some(cut))
            .map_err(|e| format(e.to_string()))?;
        tokenizer.with_padding(None);
        Ok(Self {
            bert: Bert::load(&config, &weights_in(folder), device)?,
            tokenizer,
            config,
            device: device.clone(),
        })
    }

    /// Hash of the files that a directory with an encoder has, which names it.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn fingerprint(folder: &Path) -> Result<String, TeacherError> {
        let mut hash = blake3::Hasher::new();
        let files = [
            folder.join("config.json"),
            folder.join("tokenizer.json"),
            weights_in(folder),
        ];
        for path in files {
            let failed = |source| TeacherError::Io {
                path: path.clone(),
                source,
            };
            let file = std::fs::File::open(&path).map_err(failed)?;
            hash.update_reader(file).map_err(failed)?;
        }
        Ok(hash.finalize().to_hex().to_string())
    }

    /// Numbers per caption.
    pub fn dim(&self) -> usize {
        self.config.hidden_size
    }

    /// Token ids of a caption, special tokens included.
    ///
    /// # Errors
    /// When the tokenizer refuses the caption.
    pub fn token_ids(&self, caption: &str) -> Result<Vec<u32>, TeacherError> {
        self.tokens(0, caption)
    }

    /// Captions → L2-normalised mean token features, `[n, dim]` row-major, in the order given.
    ///
    /// Captions of one length are computed together: no padding, and so no masks.
    ///
    /// # Errors
    /// When a caption cannot be tokenized, or `progress` cancelled.
    pub fn encode(
        &self,
        captions: &[&str],
        progress: EncodeProgress<'_>,
    ) -> Result<Vec<f32>, TeacherError> {
        let mut tokens = Vec::with_capacity(captions.len());
        for (index, caption) in captions.iter().enumerate() {
            tokens.push((index, self.tokens(index, caption)?));
        }
        tokens.sort_by_key(|(_, ids)| ids.len());
        let mut embeddings = vec![0.0; captions.len() * self.dim()];
        let mut done = 0;
        for same in tokens.chunk_by(|a, b| a.1.len() == b.1.len()) {
            let length = same.first().map_or(1, |(_, ids)| ids.len().max(1));
            for batch in same.chunks((BATCH_TOKENS / length).max(1)) {
                if !progress(done, captions.len()) {
                    return Err(TeacherError::Cancelled);
                }
                self.encode_batch(batch, length, &mut embeddings);
                done += batch.len();
            }
        }
        progress(done, captions.len());
        Ok(embeddings)
    }

    /// Writes the embeddings of captions with `length` tokens each.
    fn encode_batch(&self, batch: &[(usize, Vec<u32>)], length: usize, embeddings: &mut [f32]) {
        let ids: Vec<i32> = batch
            .iter()
            .flat_map(|(_, ids)| ids.iter().map(|&id| id as i32))
            .collect();
        // A caption without any token has the embedding zero.
        if ids.is_empty() {
            return;
        }
        let data = TensorData::new(ids, [batch.len(), length]);
        let features = self
            .bert
            .forward(Tensor::<2, Int>::from_data(data, &self.device));
        let mean = features.mean_dim(1).reshape([batch.len(), self.dim()]);
        let rows: Vec<f32> = l2_normalize(mean).into_data().iter::<f32>().collect();
        for ((index, _), row) in batch.iter().zip(rows.chunks_exact(self.dim())) {
            embeddings[index * self.dim()..][..self.dim()].copy_from_slice(row);
        }
    }

    fn tokens(&self, index: usize, caption: &str) -> Result<Vec<u32>, TeacherError> {
        let encoding = self.tokenizer.encode_fast(caption, true);
        let encoding = encoding.map_err(|e| TeacherError::Caption {
            index,
            message: e.to_string(),
        })?;
        Ok(encoding.get_ids().to_vec())
    }
}

/// Which files of a Hugging Face directory are absent that [`SentenceEncoder::open`] needs, by name.
pub fn missing_files(folder: &Path) -> Vec<&'static str> {
    let mut files: Vec<&str> = vec!["config.json", "tokenizer.json"];
    files.retain(|name| !folder.join(name).is_file());
    if !weights_in(folder).is_file() {
        files.push("model.safetensors");
    }
    files
}

/// The directory's weight file; `model.safetensors` where both or none are there.
fn weights_in(folder: &Path) -> PathBuf {
    let [safe, pickled] = ["model.safetensors", "pytorch_model.bin"].map(|name| folder.join(name));
    match !safe.exists() && pickled.exists() {
        true => pickled,
        false => safe,
    }
}

//! The part of a Hugging Face `config.json` that decides what a BERT-like encoder computes.

use std::path::Path;

use serde::Deserialize;

use super::TeacherError;

/// Sizes of an encoder. Fields that change nothing here (dropout, initialisation) are ignored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct BertConfig {
    /// `bert` or `roberta`.
    pub model_type: String,
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub vocab_size: usize,
    pub max_position_embeddings: usize,
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    #[serde(default = "usual_epsilon")]
    pub layer_norm_eps: f64,
    #[serde(default = "gelu")]
    pub hidden_act: String,
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
    /// RoBERTa counts positions from the one after this.
    #[serde(default)]
    pub pad_token_id: Option<usize>,
}

fn two() -> usize {
    2
}

fn usual_epsilon() -> f64 {
    1e-12
}

fn gelu() -> String {
    "gelu".into()
}

fn absolute() -> String {
    "absolute".into()
}

impl BertConfig {
    /// Reads and checks `config.json`.
    ///
    /// # Errors
    /// Names the field that is missing, ill-typed or of a kind that this program does not compute.
    pub fn read(path: &Path) -> Result<Self, TeacherError> {
        let text = std::fs::read_to_string(path).map_err(|source| TeacherError::Io {
            path: path.to_owned(),
            source,
        })?;
        let format = |message: String| TeacherError::Format {
            path: path.to_owned(),
            message,
        };
        let mut json = serde_json::Deserializer::from_str(&text);
        let config: Self =
            serde_path_to_error::deserialize(&mut json).map_err(|e| format(e.to_string()))?;
        config.check().map_err(format)?;
        Ok(config)
    }

    /// Position of a caption's first token.
    pub(super) fn first_position(&self) -> usize {
        match self.model_type.as_str() {
            "roberta" => self.pad_token_id.unwrap_or(1) + 1,
            _ => 0,
        }
    }

    /// Most tokens of a caption.
    pub(super) fn longest(&self) -> usize {
        self.max_position_embeddings - self.first_position()
    }

    fn check(&self) -> Result<(), String> {
        let known = |field: &str, value: &str, known: &[&str]| match known.contains(&value) {
            true => Ok(()),
            false => Err(format!(
                "{field} is {value:?}; this program has {}",
                known.join(", ")
            )),
        };
        known("model_type", &self.model_type, &["bert", "roberta"])?;
        known("hidden_act", &self.hidden_act, &["gelu"])?;
        known(
            "position_embedding_type",
            &self.position_embedding_type,
            &["absolute"],
        )?;
        for (field, value) in [
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("type_vocab_size", self.type_vocab_size),
        ] {
            if value == 0 || value > 1 << 24 {
                return Err(format!(
                    "{field} is {value}; between 1 and {} is needed",
                    1 << 24
                ));
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let heads = self.num_attention_heads;
            return Err(format!(
                "num_attention_heads {heads} must divide hidden_size"
            ));
        }
        if self.max_position_embeddings < self.first_position() + 2 {
            return Err("max_position_embeddings leaves no room for a caption".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TINY: &str = r#"{"model_type":"bert","hidden_size":8,"num_hidden_layers":1,
        "num_attention_heads":2,"intermediate_size":16,"vocab_size":30,"max_position_embeddings":12}"#;

    fn read(text: &str) -> Result<BertConfig, String> {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("config.json");
        std::fs::write(&path, text).expect("written");
        BertConfig::read(&path).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_not_computed_is_refused_by_field() {
        assert_eq!(read(TINY).expect("reads").longest(), 12);
        for (old, new, field) in [
            ("\"bert\"", "\"t5\"", "model_type"),
            (
                "\"hidden_size\":8",
                "\"hidden_size\":9",
                "num_attention_heads",
            ),
            ("\"vocab_size\":30", "\"vocab_size\":0", "vocab_size"),
            ("\"vocab_size\":30,", "", "vocab_size"),
            ("\"vocab_size\":30", "\"vocab_size\":\"many\"", "vocab_size"),
            ("{\"model", "{\"hidden_act\":\"relu\",\"model", "hidden_act"),
            (":12}", ":1}", "max_position_embeddings"),
        ] {
            let changed = TINY.replacen(old, new, 1);
            assert_ne!(changed, TINY, "{old}");
            let message = read(&changed).expect_err(field);
            assert!(
                message.contains(field) && message.contains("config.json"),
                "{message}"
            );
        }
    }

    #[test]
    fn roberta_counts_positions_after_its_padding() {
        let config = read(&TINY.replace("\"bert\"", "\"roberta\"")).expect("reads");
        assert_eq!((config.first_position(), config.longest()), (2, 10));
    }
}

//! Captions to token ids: CLIP's text cleaning and its byte-level BPE.
//!
//! Cleaning follows the reference (open_clip 1.2.1): repair of mojibake (ftfy there, `plsfix`
//! here), removal of terminal escapes, two rounds of HTML unescaping, lower case and collapsed
//! white space. The vocabulary comes with the crate `instant-clip-tokenizer`.

mod clean;

use std::fmt;

use instant_clip_tokenizer::Token;

use crate::config::Fidelity;

/// Number of token ids, special ones included.
pub const VOCABULARY: usize = 49_408;
/// First token of every sequence.
pub const START_OF_TEXT: i32 = 49_406;
/// Last token of every sequence; the largest id, which is how OpenCLIP finds it (argmax over ids).
pub const END_OF_TEXT: i32 = 49_407;
/// Longest part of a caption that is looked at, in bytes: far above any context length, and a bound
/// on the time that one hostile caption can take.
const LONGEST_CAPTION: usize = 16 << 10;

/// Encodes captions. Expensive to create, cheap to share between threads.
pub struct Tokenizer {
    bpe: instant_clip_tokenizer::Tokenizer,
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokenizer")
    }
}

impl Default for Tokenizer {
    fn default() -> Self {
        Self::new()
    }
}

impl Tokenizer {
    /// Loads the built-in vocabulary.
    pub fn new() -> Self {
        Self {
            bpe: instant_clip_tokenizer::Tokenizer::new(),
        }
    }

    /// Token ids `[context]` of a caption: start, words, end, then zeros.
    ///
    /// A caption that is too long is cut. [`Fidelity::Corrected`] keeps the end token as the last
    /// one; [`Fidelity::Reference`] drops it with the rest, as the reference does (the position
    /// that [`eot_position`] then finds is that of the largest remaining id).
    pub fn encode(&self, text: &str, context: usize, fidelity: Fidelity) -> Vec<i32> {
        let mut tokens = vec![self.bpe.start_of_text()];
        let cleaned = clean::clean(cut(text, LONGEST_CAPTION));
        self.bpe.encode(&cleaned, &mut tokens);
        tokens.push(self.bpe.end_of_text());
        let mut ids: Vec<i32> = tokens
            .into_iter()
            .take(context)
            .map(|token: Token| i32::from(token.to_u16()))
            .collect();
        let cut_off = ids.len() == context && ids.last() != Some(&END_OF_TEXT);
        if cut_off
            && fidelity == Fidelity::Corrected
            && let Some(last) = ids.last_mut()
        {
            *last = END_OF_TEXT;
        }
        ids.resize(context, 0);
        ids
    }
}

/// Position of the token whose feature stands for the whole text: the first largest id, as in
/// OpenCLIP. That is the end token unless reference truncation dropped it. 0 for an empty slice.
pub fn eot_position(ids: &[i32]) -> usize {
    let largest = ids.iter().copied().max().unwrap_or(0);
    ids.iter().position(|&id| id == largest).unwrap_or(0)
}

/// The caption without its non-ASCII characters, as the reference's data loader passes it on. The
/// corrected mode keeps them.
pub fn strip_non_ascii(text: &str) -> String {
    text.chars().filter(char::is_ascii).collect()
}

/// The longest prefix of at most `limit` bytes that ends between characters.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(Tokenizer::new);
    #[test]
    fn corrected_truncation_keeps_the_end_token_last() {
        let text = "one two three four five six seven eight";
        let reference = TOKENIZER.encode(text, 6, Fidelity::Reference);
        let corrected = TOKENIZER.encode(text, 6, Fidelity::Corrected);
        assert_eq!(corrected[..5], reference[..5]);
        assert!(!reference.contains(&END_OF_TEXT));
        assert_eq!(corrected[5], END_OF_TEXT);
        assert_eq!(eot_position(&corrected), 5);
        assert_eq!(eot_position(&reference), 0, "the start token is largest");
    }

    #[test]
    fn a_caption_that_just_fits_is_the_same_in_both_modes() {
        let both = [Fidelity::Reference, Fidelity::Corrected]
            .map(|fidelity| TOKENIZER.encode("a cat", 4, fidelity));
        assert_eq!(both[0], both[1]);
        assert_eq!(both[0], [START_OF_TEXT, 320, 2368, END_OF_TEXT]);
    }

    #[test]
    fn stripping_removes_what_the_reference_loader_removes() {
        assert_eq!(strip_non_ascii("Café 猫 cat"), "Caf  cat");
    }

    proptest! {
        #[test]
        fn any_text_gives_ids_in_range(text in "\\PC*|[\\x00-\\x7f]*|(&[a-z#0-9]{0,9};?|\u{1b}\\[[0-9;]*.)*",
                                       context in 0_usize..40) {
            for fidelity in [Fidelity::Reference, Fidelity::Corrected] {
                let ids = TOKENIZER.encode(&text, context, fidelity);
                prop_assert_eq!(ids.len(), context);
                prop_assert!(ids.iter().all(|&id| (0..VOCABULARY as i32).contains(&id)));
                prop_assert!(eot_position(&ids) < context.max(1));
            }
        }
    }
}

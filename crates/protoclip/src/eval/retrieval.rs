//! Retrieval among pairs: recall at 1, 5 and 10, both ways, with any number of captions per image.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::EvalProgress;
use super::best_matches::{BestMatches, MOST};
use crate::analysis::AnalysisError;
use crate::analysis::error::{checked_aligned, checked_rows};
use crate::kernels::distance::{Panels, Queries, for_each_tile};

/// Queries that one task ranks.
const BLOCK: usize = 96;

/// Multiply-adds between two calls of the progress callback.
const WAVE_WORK: usize = 400_000_000;

/// Percent of the queries with a true match among the best 1, 5 and 10 candidates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RecallAt {
    pub at_1: f64,
    pub at_5: f64,
    pub at_10: f64,
}

/// Recall in both directions, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RetrievalScores {
    /// An image counts as found when ANY of its captions is among the best; images without a caption
    /// are no queries.
    pub image_to_text: RecallAt,
    pub text_to_image: RecallAt,
}

/// Why there is no retrieval score.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetrievalError {
    #[error(transparent)]
    Features(#[from] AnalysisError),
    #[error("caption {text} belongs to image {image}, but there are {images} images")]
    Pairing {
        text: usize,
        image: u32,
        images: usize,
    },
    #[error("retrieval was cancelled")]
    Cancelled,
}

impl RetrievalScores {
    /// Mean of the six recalls, as the reference reports it.
    pub fn mean(&self) -> f64 {
        let Self {
            image_to_text: i,
            text_to_image: t,
        } = self;
        (i.at_1 + i.at_5 + i.at_10 + t.at_1 + t.at_5 + t.at_10) / 6.0
    }
}

/// Ranks all texts for every image and all images for every text by inner product of their
/// L2-normalised features `[images, dim]` and `[texts, dim]`. `image_of_text` `[texts]` names the
/// image of each text. Equal similarities rank in index order. Needs O(images + texts) memory.
///
/// # Errors
/// When shapes or the pairing do not fit, a feature is not finite, or `progress` cancelled.
pub fn retrieval(
    image_features: &[f32],
    text_features: &[f32],
    dim: usize,
    image_of_text: &[u32],
    progress: EvalProgress<'_>,
) -> Result<RetrievalScores, RetrievalError> {
    let images = checked_rows("image feature", image_features, dim)?;
    let texts = checked_rows("text feature", text_features, dim)?;
    checked_aligned(
        ("text_features", texts),
        ("image_of_text", image_of_text.len()),
    )?;
    let mut captioned = vec![false; images];
    for (text, &image) in image_of_text.iter().enumerate() {
        *captioned
            .get_mut(image as usize)
            .ok_or(RetrievalError::Pairing {
                text,
                image,
                images,
            })? = true;
    }
    let total = (images + texts) as u64;
    let image_to_text = Ranking {
        queries: image_features,
        candidates: text_features,
        dim,
    }
    .recall(
        |image| captioned[image],
        |image, text| image_of_text[text] as usize == image,
        &|done| progress(done, total),
    )?;
    let text_to_image = Ranking {
        queries: text_features,
        candidates: image_features,
        dim,
    }
    .recall(
        |_| true,
        |text, image| image_of_text[text] as usize == image,
        &|done| progress(images as u64 + done, total),
    )?;
    Ok(RetrievalScores {
        image_to_text,
        text_to_image,
    })
}

/// One direction of retrieval.
struct Ranking<'a> {
    queries: &'a [f32],
    candidates: &'a [f32],
    dim: usize,
}

impl Ranking<'_> {
    /// Recall of the queries that `counts`, where `is_match(query, candidate)`.
    fn recall(
        &self,
        counts: impl Fn(usize) -> bool,
        is_match: impl Fn(usize, usize) -> bool + Sync,
        progress: &dyn Fn(u64) -> bool,
    ) -> Result<RecallAt, RetrievalError> {
        let firsts = self.first_matches(is_match, progress)?;
        let counted: Vec<Option<usize>> = firsts
            .into_iter()
            .enumerate()
            .filter_map(|(query, first)| counts(query).then_some(first))
            .collect();
        let percent_below = |limit: usize| {
            let found = counted.iter().flatten().filter(|&&rank| rank < limit);
            100.0 * found.count() as f64 / counted.len() as f64
        };
        Ok(RecallAt {
            at_1: percent_below(1),
            at_5: percent_below(5),
            at_10: percent_below(MOST),
        })
    }

    /// Rank from 0 of each query's first match, if it is among the best [`MOST`].
    fn first_matches(
        &self,
        is_match: impl Fn(usize, usize) -> bool + Sync,
        progress: &dyn Fn(u64) -> bool,
    ) -> Result<Vec<Option<usize>>, RetrievalError> {
        let origin = vec![0.0; self.dim];
        let panels = Panels::products(self.candidates, self.dim, &origin);
        let mut firsts = vec![None; self.queries.len() / self.dim];
        let wave_blocks = WAVE_WORK / (BLOCK * self.candidates.len());
        let wave = BLOCK * wave_blocks.max(rayon::current_num_threads());
        let waves = self
            .queries
            .chunks(wave * self.dim)
            .zip(firsts.chunks_mut(wave));
        for (number, (queries, firsts)) in waves.enumerate() {
            if !progress((number * wave) as u64) {
                return Err(RetrievalError::Cancelled);
            }
            queries
                .par_chunks(BLOCK * self.dim)
                .zip(firsts.par_chunks_mut(BLOCK))
                .enumerate()
                .for_each(|(block, (queries, firsts))| {
                    let start = number * wave + block * BLOCK;
                    let queries = Queries::pack(queries, self.dim, &origin);
                    let mut best = vec![BestMatches::default(); firsts.len()];
                    for_each_tile(&queries, &panels, |row, first, scores| {
                        best[row].offer(first, scores);
                    });
                    for (row, (slot, best)) in firsts.iter_mut().zip(&best).enumerate() {
                        *slot = best.ranked().position(|c| is_match(start + row, c));
                    }
                });
        }
        Ok(firsts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(images: &[f32], texts: &[f32], dim: usize, of: &[u32]) -> RetrievalScores {
        retrieval(images, texts, dim, of, &|_, _| true).expect("scored")
    }

    #[test]
    fn equal_similarities_rank_in_index_order() {
        let rows = [1.0f32, 0.0].repeat(30);
        let of: Vec<u32> = (0..30).collect();
        let got = scores(&rows, &rows, 2, &of).text_to_image;
        let percent = |found: f64| 100.0 * found / 30.0;
        assert_eq!(got.at_1, percent(1.0));
        assert_eq!(got.at_5, percent(5.0));
        assert_eq!(got.at_10, percent(10.0));
    }

    #[test]
    fn images_without_a_caption_are_no_queries() {
        let images = [1.0, 0.0, 0.0, 1.0, -1.0, 0.0];
        let texts = [1.0, 0.0, 0.9, 0.1];
        let got = scores(&images, &texts, 2, &[0, 0]);
        assert_eq!(got.image_to_text.at_1, 100.0);
        assert_eq!(got.text_to_image.at_1, 100.0);
    }

    /// Against sorting all candidates, over several blocks.
    #[test]
    fn ranks_are_those_of_a_full_sort() {
        let value = |i: usize| ((i * 7919) % 1009) as f32 / 504.0 - 1.0;
        let images: Vec<f32> = (0..150 * 5).map(value).collect();
        let texts: Vec<f32> = (0..330 * 5).map(|i| value(i + 31)).collect();
        let of: Vec<u32> = (0..330).map(|i| (i * 13 % 150) as u32).collect();
        let mut found = [0; 3];
        for (t, text) in texts.chunks_exact(5).enumerate() {
            let dot = |image: &[f32]| image.iter().zip(text).map(|(a, b)| f64::from(a * b)).sum();
            let similarities: Vec<f64> = images.chunks_exact(5).map(dot).collect();
            let own = similarities[of[t] as usize];
            let ahead = similarities.iter().filter(|&&s| s > own + 1e-6).count();
            for (slot, limit) in found.iter_mut().zip([1, 5, 10]) {
                *slot += usize::from(ahead < limit);
            }
        }
        let got = scores(&images, &texts, 5, &of).text_to_image;
        for (got, want) in [got.at_1, got.at_5, got.at_10].into_iter().zip(found) {
            assert!(
                (got - 100.0 * want as f64 / 330.0).abs() < 1e-9,
                "{got} {want}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let run = |images: &[f32], texts: &[f32], of: &[u32], go: bool| {
            retrieval(images, texts, 2, of, &|_, _| go).expect_err("refused")
        };
        let two = [1.0, 0.0, 0.0, 1.0];
        let pairing = RetrievalError::Pairing {
            text: 1,
            image: 2,
            images: 2,
        };
        assert_eq!(run(&two, &two, &[0, 2], true), pairing);
        assert!(matches!(
            run(&two, &two, &[0], true),
            RetrievalError::Features(_)
        ));
        assert!(matches!(
            run(&two, &[], &[], true),
            RetrievalError::Features(_)
        ));
        assert_eq!(run(&two, &two, &[0, 1], false), RetrievalError::Cancelled);
    }
}

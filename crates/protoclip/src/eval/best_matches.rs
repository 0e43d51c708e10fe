//! The best candidates of one query, kept while all candidates pass by.

use crate::kernels::distance::LANES;

/// Candidates kept: the largest rank that recall looks at.
pub(super) const MOST: usize = 10;

/// At most [`MOST`] candidates, best first; the earlier one first at equal scores.
#[derive(Debug, Clone)]
pub(super) struct BestMatches {
    scores: [f32; MOST],
    candidates: [u32; MOST],
}

impl Default for BestMatches {
    fn default() -> Self {
        Self {
            scores: [f32::NEG_INFINITY; MOST],
            candidates: [u32::MAX; MOST],
        }
    }
}

impl BestMatches {
    /// Takes the scores of candidates `first`, `first + 1`, …; −∞ is none.
    pub(super) fn offer(&mut self, first: usize, scores: &[f32; LANES]) {
        let best = scores.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        if best <= self.scores[MOST - 1] {
            return;
        }
        for (lane, &score) in scores.iter().enumerate() {
            if score > self.scores[MOST - 1] {
                self.insert(score, (first + lane) as u32);
            }
        }
    }

    /// Kept candidates, best first.
    pub(super) fn ranked(&self) -> impl Iterator<Item = usize> {
        self.candidates
            .iter()
            .take_while(|&&candidate| candidate != u32::MAX)
            .map(|&candidate| candidate as usize)
    }

    fn insert(&mut self, score: f32, candidate: u32) {
        let rank = self.scores.partition_point(|&kept| kept >= score);
        self.scores[rank..].rotate_right(1);
        self.candidates[rank..].rotate_right(1);
        self.scores[rank] = score;
        self.candidates[rank] = candidate;
    }
}

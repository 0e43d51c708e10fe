//! Which prototype a student would choose for each sample, beside what its teacher says.
//!
//! Called by the studio, from any thread; runs on the current rayon pool. The scores are those of the
//! prototype loss (method, loss 4): `softmax_k(scale · ĥ · C[k])`, with the students as they were when
//! the prototypes were made.

use rayon::prelude::*;

use crate::kernels::distance::{LANES, Panels, Queries, for_each_tile};
use crate::kernels::elementary::exp;

/// Samples that one task scores.
const BLOCK: usize = 96;

/// What a student makes of one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StudentChoice {
    /// The prototype with the highest score; the lowest number at a tie.
    pub prototype: u32,
    /// Its probability, in (0, 1].
    pub probability: f32,
    /// Probability of the teacher's prototype.
    pub teacher_probability: f32,
}

/// What the student's scores are made of.
#[derive(Debug, Clone, Copy)]
pub struct StudentScores<'a> {
    /// `[n, dim]`, row-major: L2-normalised features of the student.
    pub features: &'a [f32],
    /// `[k, dim]`, row-major: prototypes in the student's space.
    pub centroids: &'a [f32],
    pub dim: usize,
    /// `[k]`: prototypes that take part in the softmax.
    pub takes_part: &'a [bool],
    /// Exponential of `logit_scale_proto`: 1 over the prototype temperature.
    pub scale: f32,
}

/// The choice of every sample, given the teacher's prototype of each `[n]`. `None` when shapes do not
/// fit, a label is no prototype, or none takes part.
pub fn student_choices(scores: StudentScores<'_>, labels: &[u32]) -> Option<Vec<StudentChoice>> {
    let StudentScores { dim, .. } = scores;
    let count = scores.takes_part.len();
    let fits = dim > 0
        && scores.features.len() == labels.len() * dim
        && scores.centroids.len() == count * dim
        && labels.iter().all(|&label| (label as usize) < count)
        && scores.takes_part.contains(&true);
    if !fits {
        return None;
    }
    let origin = vec![0.0; dim];
    let panels = Panels::products_of(scores.centroids, dim, &origin, scores.takes_part);
    let blocks = scores.features.par_chunks(BLOCK * dim);
    let choices = blocks.zip(labels.par_chunks(BLOCK)).map(|(rows, labels)| {
        let queries = Queries::pack(rows, dim, &origin);
        let mut sums = vec![RunningSoftmax::default(); labels.len()];
        for_each_tile(&queries, &panels, |row, first, products| {
            sums[row].take(first, products, labels[row], scores.scale);
        });
        sums.iter().map(RunningSoftmax::choice).collect::<Vec<_>>()
    });
    Some(choices.flatten_iter().collect())
}

/// A softmax over scores that come panel by panel; −∞ takes no part.
#[derive(Debug, Clone, Copy)]
struct RunningSoftmax {
    best: u32,
    most: f32,
    /// `Σ exp(score − most)` of every sixteenth prototype.
    sums: [f32; LANES],
    teacher: f32,
}

impl Default for RunningSoftmax {
    fn default() -> Self {
        Self {
            best: 0,
            // Not −∞, from which −∞ is no distance.
            most: f32::MIN,
            sums: [0.0; LANES],
            teacher: f32::NEG_INFINITY,
        }
    }
}

impl RunningSoftmax {
    // Inlined into the loop over panels, which is compiled for the CPU's vector units.
    #[inline(always)]
    fn take(&mut self, first: usize, products: &[f32; LANES], label: u32, scale: f32) {
        let scores = products.map(|product| scale * product);
        let most = scores.iter().copied().fold(f32::MIN, f32::max);
        if most > self.most {
            let shrink = exp::<false>(self.most - most);
            self.sums = self.sums.map(|sum| sum * shrink);
            let lane = scores.iter().position(|&score| score == most);
            self.best = (first + lane.unwrap_or(0)) as u32;
            self.most = most;
        }
        for (sum, score) in self.sums.iter_mut().zip(scores) {
            *sum += exp::<false>(score - self.most);
        }
        if let Some(&score) = scores.get((label as usize).wrapping_sub(first)) {
            self.teacher = score;
        }
    }

    fn choice(&self) -> StudentChoice {
        let sum: f64 = self.sums.iter().copied().map(f64::from).sum();
        let share = |score: f32| (f64::from(score - self.most).exp() / sum) as f32;
        StudentChoice {
            prototype: self.best,
            probability: share(self.most),
            teacher_probability: share(self.teacher),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_does_not_fit_has_no_choice() {
        let scores = StudentScores {
            features: &[1.0, 0.0],
            centroids: &[1.0, 0.0, 0.0, 1.0],
            dim: 2,
            takes_part: &[true, true],
            scale: 14.0,
        };
        assert!(student_choices(scores, &[1]).is_some());
        assert_eq!(student_choices(scores, &[2]), None, "no such prototype");
        assert_eq!(
            student_choices(scores, &[0, 0]),
            None,
            "one row, two labels"
        );
        let nobody = StudentScores {
            takes_part: &[false, false],
            ..scores
        };
        assert_eq!(student_choices(nobody, &[0]), None);
    }

    fn cases() -> impl Strategy<Value = (Vec<f32>, Vec<f32>, Vec<bool>, Vec<u32>)> {
        (1_usize..120, 1_usize..40).prop_flat_map(|(samples, count)| {
            (
                prop::collection::vec(-1.0_f32..1.0, samples * 3),
                prop::collection::vec(-1.0_f32..1.0, count * 3),
                prop::collection::vec(any::<bool>(), count),
                prop::collection::vec(0..count as u32, samples),
            )
        })
    }

    proptest! {
        #[test]
        fn it_is_the_softmax_written_out((features, centroids, takes_part, labels) in cases()) {
            let scores = StudentScores {
                features: &features, centroids: &centroids, dim: 3,
                takes_part: &takes_part, scale: 14.0,
            };
            let Some(choices) = student_choices(scores, &labels) else {
                prop_assert!(!takes_part.contains(&true));
                return Ok(());
            };
            for ((row, choice), &label) in features.chunks(3).zip(&choices).zip(&labels) {
                let weights: Vec<f64> = centroids.chunks(3).zip(&takes_part).map(|(c, &part)| {
                    let score: f64 = row.iter().zip(c).map(|(a, b)| f64::from(a * b)).sum();
                    if part { (14.0 * score).exp() } else { 0.0 }
                }).collect();
                let sum: f64 = weights.iter().sum();
                let share = |k: u32| weights[k as usize] / sum;
                let most = weights.iter().copied().fold(0.0, f64::max) / sum;
                prop_assert!((f64::from(choice.probability) - most).abs() < 1e-4);
                prop_assert!((share(choice.prototype) - most).abs() < 1e-4);
                prop_assert!((f64::from(choice.teacher_probability) - share(label)).abs() < 1e-4);
            }
        }
    }
}

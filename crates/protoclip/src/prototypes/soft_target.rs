//! The soft target of one prototype, as plain numbers for people to look at.
//!
//! Called by the studio, from any thread. Training computes the same row for every sample of a batch
//! as tensors (`loss::proto`); a test there holds the two to each other.

/// What the students of a prototype's samples are asked to predict.
#[derive(Debug, Clone, PartialEq)]
pub struct SoftTarget {
    /// `[k]`: probability of each prototype; 0 for one that takes no part.
    pub probabilities: Vec<f32>,
    /// `−Σ p ln p`, in nats: 0 for a one-hot target, `ln k` for a uniform one.
    pub entropy: f64,
}

impl SoftTarget {
    /// `softmax_k(C[own]·C[k] / temperature)` over the teacher's centroids `[k, dim]` (method,
    /// loss 2). `takes_part` `[k]` leaves prototypes out, as corrected fidelity does with empty ones.
    /// `None` when shapes do not fit, `own` is no prototype, or the temperature is not positive.
    pub fn of(
        centroids: &[f32],
        dim: usize,
        own: usize,
        temperature: f64,
        takes_part: &[bool],
    ) -> Option<Self> {
        let fits = dim > 0 && centroids.len() == takes_part.len() * dim;
        if !fits || own >= takes_part.len() || temperature.is_nan() || temperature <= 0.0 {
            return None;
        }
        let teacher = &centroids[own * dim..(own + 1) * dim];
        let logits: Vec<f64> = centroids
            .chunks_exact(dim)
            .zip(takes_part)
            .map(|(row, &takes_part)| match takes_part {
                true => dot(teacher, row) / temperature,
                false => f64::NEG_INFINITY,
            })
            .collect();
        let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if !most.is_finite() {
            return None;
        }
        let weights: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let shares = weights.iter().map(|weight| weight / sum);
        let entropy = shares
            .clone()
            .filter(|&p| p > 0.0)
            .map(|p| -p * p.ln())
            .sum();
        Some(Self {
            probabilities: shares.map(|p| p as f32).collect(),
            entropy,
        })
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
    products.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CENTROIDS: [f32; 6] = [1.0, 0.0, 0.8, 0.6, 0.0, 1.0];

    #[test]
    fn a_warm_target_spreads_and_a_cold_one_does_not() {
        let of = |temperature| {
            SoftTarget::of(&CENTROIDS, 2, 0, temperature, &[true; 3]).expect("a target")
        };
        let (cold, hot) = (of(0.001), of(1000.0));
        assert!(cold.probabilities[0] > 0.999 && cold.entropy < 1e-6);
        assert!((hot.entropy - 3f64.ln()).abs() < 1e-3);
        let sum: f32 = of(0.1).probabilities.iter().sum();
        assert!((sum - 1.0).abs() < 1e-6);
    }

    #[test]
    fn what_takes_no_part_gets_nothing_and_the_others_are_as_if_it_did_not_exist() {
        let masked = SoftTarget::of(&CENTROIDS, 2, 0, 0.5, &[true, false, true]).expect("a target");
        let alone = [1.0, 0.0, 0.0, 1.0];
        let alone = SoftTarget::of(&alone, 2, 0, 0.5, &[true; 2]).expect("a target");
        assert_eq!(masked.probabilities[1], 0.0);
        assert_eq!(
            [masked.probabilities[0], masked.probabilities[2]],
            alone.probabilities[..]
        );
        assert_eq!(masked.entropy, alone.entropy);
    }

    #[test]
    fn what_has_no_target_has_none() {
        let of =
            |dim, own, temperature| SoftTarget::of(&CENTROIDS, dim, own, temperature, &[true; 3]);
        assert_eq!(of(3, 0, 0.1), None);
        assert_eq!(of(2, 3, 0.1), None);
        assert_eq!(of(2, 0, 0.0), None);
        assert_eq!(of(2, 0, f64::NAN), None);
        assert_eq!(SoftTarget::of(&CENTROIDS, 2, 0, 0.1, &[false; 3]), None);
    }
}

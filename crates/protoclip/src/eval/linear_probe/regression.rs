//! Multinomial logistic regression with an L2 penalty on standardised features.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::lbfgs::{MOST_ITERATIONS, minimise};

/// Rows multiplied together: their scores stay in the cache.
const BLOCK: usize = 256;
/// Sums of gradients that are added up at the end, in order: more parts than threads, and a number
/// that does not depend on them.
const PARTS: usize = 16;

/// Standardised features of all samples and their labels.
pub(super) struct Regression<'a> {
    /// `[n, dim]`, mean 0 and standard deviation 1 over the samples that are not tested.
    features: Array2<f64>,
    /// `[n]`, below `classes`.
    labels: &'a [u32],
    classes: usize,
}

/// Weights `[dim + 1, classes]`, row-major; the last row is the bias.
#[derive(Debug, Clone)]
pub(super) struct Fit(Vec<f64>);

/// Loss and gradient summed over some samples.
struct Sums {
    loss: f64,
    /// `[dim, classes]`.
    weights: Array2<f64>,
    /// `[classes]`.
    bias: Array1<f64>,
}

impl<'a> Regression<'a> {
    /// `image_features` `[n, dim]` are finite; `known` are the samples that give mean and deviation.
    pub(super) fn new(
        image_features: &[f32],
        dim: usize,
        labels: &'a [u32],
        classes: usize,
        known: &[usize],
    ) -> Self {
        let values = image_features.iter().map(|&v| f64::from(v));
        let mut features = Array2::from_shape_fn((labels.len(), dim), |_| 0.0);
        features.iter_mut().zip(values).for_each(|(to, v)| *to = v);
        for mut column in features.columns_mut() {
            let count = known.len() as f64;
            let mean = known.iter().map(|&i| column[i]).sum::<f64>() / count;
            let square = known
                .iter()
                .map(|&i| (column[i] - mean).powi(2))
                .sum::<f64>();
            let deviation = (square / count).sqrt();
            let scale = if deviation > 1e-12 { deviation } else { 1.0 };
            column.mapv_inplace(|v| (v - mean) / scale);
        }
        Self {
            features,
            labels,
            classes,
        }
    }

    pub(super) fn classes(&self) -> usize {
        self.classes
    }

    /// Minimises mean cross-entropy + strength/2·‖W‖² over `samples`, without penalty on the bias.
    /// `progress` gets the share of the most iterations; `None` when it says no.
    pub(super) fn fit(
        &self,
        samples: &[usize],
        strength: f64,
        start: Option<Fit>,
        progress: &dyn Fn(f64) -> bool,
    ) -> Option<Fit> {
        let size = (self.features.ncols() + 1) * self.classes;
        let start = start.map_or_else(|| vec![0.0; size], |fit| fit.0);
        let rows = self.features.select(Axis(0), samples);
        let labels: Vec<u32> = samples.iter().map(|&sample| self.labels[sample]).collect();
        let objective = |at: &[f64]| self.objective(&rows, &labels, strength, at);
        let go_on = |done: usize| progress(done as f64 / MOST_ITERATIONS as f64);
        minimise(start, &objective, &go_on).map(Fit)
    }

    /// The most probable class of each of `samples`, the lower one of equals.
    pub(super) fn predict(&self, fit: &Fit, samples: &[usize]) -> Vec<u32> {
        let predict = |samples: &[usize]| -> Vec<u32> {
            let scores = self.scores(self.features.select(Axis(0), samples).view(), &fit.0);
            scores
                .rows()
                .into_iter()
                .map(|row| {
                    let better = |best: (u32, f64), (class, &score): (u32, &f64)| {
                        if score > best.1 { (class, score) } else { best }
                    };
                    (0..).zip(row).fold((0, f64::NEG_INFINITY), better).0
                })
                .collect()
        };
        samples.par_chunks(BLOCK).flat_map_iter(predict).collect()
    }

    /// Mean cross-entropy over `samples`, without the penalty.
    pub(super) fn loss(&self, fit: &Fit, samples: &[usize]) -> f64 {
        let rows = self.features.select(Axis(0), samples);
        let labels: Vec<u32> = samples.iter().map(|&sample| self.labels[sample]).collect();
        self.objective(&rows, &labels, 0.0, &fit.0).0
    }

    fn objective(
        &self,
        rows: &Array2<f64>,
        labels: &[u32],
        strength: f64,
        at: &[f64],
    ) -> (f64, Vec<f64>) {
        let part = labels.len().div_ceil(PARTS).max(1);
        let parts: Vec<Sums> = labels
            .par_chunks(part)
            .enumerate()
            .map(|(number, labels)| {
                let start = number * part;
                self.sums(rows.slice(s![start..start + labels.len(), ..]), labels, at)
            })
            .collect();
        let count = labels.len() as f64;
        let (mut loss, mut gradient) = (0.0, vec![0.0; at.len()]);
        for part in &parts {
            loss += part.loss;
            let values = part.weights.iter().chain(&part.bias);
            gradient.iter_mut().zip(values).for_each(|(to, v)| *to += v);
        }
        gradient.iter_mut().for_each(|g| *g /= count);
        let penalised = self.features.ncols() * self.classes;
        let mut square = 0.0;
        for (gradient, &weight) in gradient.iter_mut().zip(&at[..penalised]) {
            *gradient += strength * weight;
            square += weight * weight;
        }
        (loss / count + 0.5 * strength * square, gradient)
    }

    fn sums(&self, rows: ArrayView2<'_, f64>, labels: &[u32], at: &[f64]) -> Sums {
        let mut sums = Sums {
            loss: 0.0,
            weights: Array2::zeros((self.features.ncols(), self.classes)),
            bias: Array1::zeros(self.classes),
        };
        for (rows, labels) in rows
            .axis_chunks_iter(Axis(0), BLOCK)
            .zip(labels.chunks(BLOCK))
        {
            let mut scores = self.scores(rows, at);
            for (mut row, &label) in scores.rows_mut().into_iter().zip(labels) {
                let own = row[label as usize];
                let largest = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
                row.mapv_inplace(|score| (score - largest).exp());
                let total = row.sum();
                sums.loss += total.ln() + largest - own;
                row /= total;
                row[label as usize] -= 1.0;
            }
            general_mat_mul(1.0, &rows.t(), &scores, 1.0, &mut sums.weights);
            sums.bias += &scores.sum_axis(Axis(0));
        }
        sums
    }

    /// `rows` `[m, dim]` → scores `[m, classes]`.
    fn scores(&self, rows: ArrayView2<'_, f64>, at: &[f64]) -> Array2<f64> {
        let penalised = self.features.ncols() * self.classes;
        let weights =
            ArrayView2::from_shape((self.features.ncols(), self.classes), &at[..penalised]);
        let mut scores = Array2::zeros((rows.nrows(), self.classes));
        if let Ok(weights) = weights {
            general_mat_mul(1.0, &rows, &weights, 0.0, &mut scores);
        }
        for mut row in scores.rows_mut() {
            row.iter_mut()
                .zip(&at[penalised..])
                .for_each(|(s, b)| *s += b);
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let features: Vec<f32> = (0..24).map(|i| ((i * 7) % 11) as f32 / 5.0 - 1.0).collect();
        let labels = [0, 1, 2, 1, 0, 2, 2, 1];
        let all: Vec<usize> = (0..8).collect();
        let data = Regression::new(&features, 3, &labels, 3, &all);
        let rows = data.features.clone();
        let at: Vec<f64> = (0..12)
            .map(|i| f64::from((i * 5) % 7) / 7.0 - 0.4)
            .collect();
        let value = |at: &[f64]| data.objective(&rows, &labels, 0.3, at);
        let (_, gradient) = value(&at);
        for place in 0..at.len() {
            let shifted = |by: f64| {
                let mut at = at.clone();
                at[place] += by;
                value(&at).0
            };
            let want = (shifted(1e-6) - shifted(-1e-6)) / 2e-6;
            assert!((gradient[place] - want).abs() < 1e-8, "{place}");
        }
    }

    /// Probabilities of scikit-learn's LogisticRegression on the same standardised features.
    #[test]
    fn golden_probabilities() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("scikit_learn.json")).expect("JSON");
        let list =
            |name: &str| -> Vec<f64> { serde_json::from_value(golden[name].clone()).expect(name) };
        let features: Vec<f32> = list("features").iter().map(|&v| v as f32).collect();
        let labels: Vec<u32> = list("labels").iter().map(|&v| v as u32).collect();
        let strength = golden["strength"].as_f64().expect("strength");
        let (dim, classes) = (features.len() / labels.len(), 4);
        let all: Vec<usize> = (0..labels.len()).collect();
        let data = Regression::new(&features, dim, &labels, classes, &all);
        let fit = data.fit(&all, strength, None, &|_| true).expect("fitted");
        let mut scores = data.scores(data.features.view(), &fit.0);
        for mut row in scores.rows_mut() {
            row.mapv_inplace(f64::exp);
            let total = row.sum();
            row /= total;
        }
        let want = list("probabilities");
        assert_eq!(want.len(), scores.len());
        for (got, want) in scores.iter().zip(want) {
            assert!((got - want).abs() < 1e-4, "{got} {want}");
        }
    }
}

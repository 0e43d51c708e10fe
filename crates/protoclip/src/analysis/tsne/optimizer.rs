//! Gradient descent on a map.

use rayon::prelude::*;

use super::affinities::Affinities;
use super::progress::{MapSnapshot, TsnePhase, TsneProgress, Watch};
use super::quadtree::Field;
use super::{TsneConfig, TsneError, TsneMap};
use crate::kernels::student::attract;

/// Factor of affinities while they are exaggerated.
const EXAGGERATION: f32 = 12.0;
/// Momentum while affinities are exaggerated, and after.
const EARLY_MOMENTUM: f32 = 0.5;
const MOMENTUM: f32 = 0.8;
/// A step grows by this while its direction stays, shrinks by the factor when it turns.
const GAIN_STEP: f32 = 0.2;
const GAIN_FACTOR: f32 = 0.8;
const LEAST_GAIN: f32 = 0.01;
/// Longest step of a point in one iteration.
const LONGEST_STEP: f32 = 5.0;

/// Points that are moved by one task.
const CHUNK: usize = 256;

/// A map on its way.
pub(super) struct Optimizer<'a> {
    affinities: &'a Affinities,
    config: &'a TsneConfig,
    points: Vec<[f32; 2]>,
    moves: Vec<Move>,
    field: Field,
}

/// The last step of a point, and its gains.
#[derive(Debug, Clone, Copy)]
struct Move {
    step: [f32; 2],
    gain: [f32; 2],
}

impl Move {
    const REST: Self = Self {
        step: [0.0; 2],
        gain: [1.0; 2],
    };
}

/// How one iteration moves points.
#[derive(Debug, Clone, Copy)]
struct Pace {
    exaggeration: f32,
    momentum: f32,
    rate: f32,
}

impl<'a> Optimizer<'a> {
    pub(super) fn new(
        affinities: &'a Affinities,
        config: &'a TsneConfig,
        start: Vec<[f32; 2]>,
    ) -> Self {
        Self {
            affinities,
            config,
            moves: vec![Move::REST; start.len()],
            points: start,
            field: Field::default(),
        }
    }

    /// All iterations, of which the first `exaggerated` exaggerate affinities.
    pub(super) fn run(
        mut self,
        exaggerated: usize,
        watch: &Watch<'_>,
    ) -> Result<TsneMap, TsneError> {
        let total = self.config.iterations;
        for iteration in 0..total {
            if iteration == exaggerated {
                self.moves.fill(Move::REST);
            }
            let phase = match iteration < exaggerated {
                true => TsnePhase::Exaggeration,
                false => TsnePhase::Refinement,
            };
            self.field.compute(&self.points, self.config.theta);
            self.step(self.pace(phase));
            self.report(phase, iteration + 1, watch)?;
        }
        self.field.compute(&self.points, self.config.theta);
        Ok(TsneMap {
            kl: self.divergence(),
            points: self.points.as_flattened().to_vec(),
        })
    }

    fn pace(&self, phase: TsnePhase) -> Pace {
        let samples = self.points.len() as f32;
        match phase {
            TsnePhase::Refinement => Pace {
                exaggeration: 1.0,
                momentum: MOMENTUM,
                rate: samples,
            },
            TsnePhase::Neighbours | TsnePhase::Exaggeration => Pace {
                exaggeration: EXAGGERATION,
                momentum: EARLY_MOMENTUM,
                rate: samples / EXAGGERATION,
            },
        }
    }

    /// Moves all points along 4 Σ (p − q) w (own − other), then their mean to 0.
    fn step(&mut self, pace: Pace) {
        let (points, affinities) = (&self.points, self.affinities);
        let scale = (1.0 / self.field.weight.max(f64::MIN_POSITIVE)) as f32;
        self.moves
            .par_chunks_mut(CHUNK)
            .zip(self.field.forces.par_chunks(CHUNK))
            .enumerate()
            .for_each(|(chunk, (moves, forces))| {
                for (i, (step, repulsion)) in moves.iter_mut().zip(forces).enumerate() {
                    let sample = chunk * CHUNK + i;
                    let (others, weights) = affinities.row(sample);
                    let attraction = attract(points, points[sample], others, weights);
                    step.update(
                        pace,
                        std::array::from_fn(|axis| {
                            4.0 * (pace.exaggeration * attraction[axis] - scale * repulsion[axis])
                        }),
                    );
                }
            });
        let mut sum = [0.0f64; 2];
        for (point, step) in self.points.iter_mut().zip(&self.moves) {
            for axis in 0..2 {
                point[axis] += step.step[axis];
                sum[axis] += f64::from(point[axis]);
            }
        }
        let mean = sum.map(|sum| (sum / self.points.len() as f64) as f32);
        for point in &mut self.points {
            *point = [point[0] - mean[0], point[1] - mean[1]];
        }
    }

    fn report(
        &mut self,
        phase: TsnePhase,
        done: usize,
        watch: &Watch<'_>,
    ) -> Result<(), TsneError> {
        let every = self.config.report_every;
        let total = self.config.iterations;
        if every == 0 || !done.is_multiple_of(every) {
            return watch.work(phase, done, total);
        }
        self.field.compute(&self.points, self.config.theta);
        let map = Some(MapSnapshot {
            points: self.points.as_flattened(),
            kl: self.divergence(),
        });
        watch.tell(&TsneProgress {
            phase,
            done,
            total,
            map,
        })
    }

    /// Σ p ln(p / q) of the points that the field was computed for.
    fn divergence(&self) -> f64 {
        let sums: Vec<f64> = (0..self.points.len())
            .into_par_iter()
            .map(|sample| {
                let [x, y] = self.points[sample];
                let (others, weights) = self.affinities.row(sample);
                let pair = |(&other, &p): (&u32, &f32)| {
                    let [ox, oy] = self.points[other as usize];
                    let square = f64::from(x - ox).powi(2) + f64::from(y - oy).powi(2);
                    let p = f64::from(p);
                    match p > 0.0 {
                        true => p * (p * (1.0 + square) * self.field.weight).ln(),
                        false => 0.0,
                    }
                };
                others.iter().zip(weights).map(pair).sum()
            })
            .collect();
        sums.iter().sum()
    }
}

impl Move {
    fn update(&mut self, pace: Pace, gradient: [f32; 2]) {
        let axes = self.step.iter_mut().zip(&mut self.gain).zip(gradient);
        for ((step, gain), gradient) in axes {
            *gain = match (gradient > 0.0) == (*step > 0.0) {
                true => (*gain * GAIN_FACTOR).max(LEAST_GAIN),
                false => *gain + GAIN_STEP,
            };
            *step = pace.momentum * *step - pace.rate * *gain * gradient;
        }
        let [x, y] = self.step;
        let length = (x * x + y * y).sqrt();
        if length > LONGEST_STEP {
            self.step = [x, y].map(|v| v * (LONGEST_STEP / length));
        }
    }
}

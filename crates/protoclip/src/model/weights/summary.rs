//! What a weight file holds, tensor by tensor, without building a model.

use std::path::Path;

use serde::Serialize;

use super::{WeightSource, WeightsError};

/// A tensor as the header of its file describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TensorShape {
    pub name: String,
    /// As in the file (PyTorch's layout).
    pub shape: Vec<usize>,
    pub number_type: String,
    /// Number of numbers.
    pub numbers: u64,
    /// Bytes of the numbers; 0 for types that are never read.
    pub bytes: u64,
}

/// What the numbers of a tensor are like; the sums are taken in f64.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TensorNumbers {
    /// Euclidean norm of all finite numbers.
    pub norm: f64,
    /// Of the finite numbers, 0 when there is none.
    pub mean: f64,
    pub min: f64,
    pub max: f64,
    /// Numbers that are NaN or infinite.
    pub not_finite: u64,
}

/// Names, shapes and types of all tensors of a weight file, by name. Reads the header only.
///
/// # Errors
/// When the file is no weight file or damaged.
pub fn tensor_shapes(path: &Path) -> Result<Vec<TensorShape>, WeightsError> {
    let source = WeightSource::open(path)?;
    let names = source.names();
    let shapes = names.filter_map(|name| {
        let entry = source.entry(name)?;
        let sides = entry.shape.iter().map(|&side| side as u64);
        let numbers = sides.fold(1, u64::saturating_mul);
        Some(TensorShape {
            name: name.to_owned(),
            shape: entry.shape.clone(),
            number_type: entry.number_type.name().to_owned(),
            numbers,
            bytes: numbers.saturating_mul(entry.number_type.bytes().unwrap_or(0) as u64),
        })
    });
    Ok(shapes.collect())
}

/// Reads every tensor of a weight file that holds floating-point numbers and measures it. `go_on` gets
/// the tensors done and their number, and cancels by answering `false`; `None` then.
///
/// # Errors
/// When the file is no weight file, or a tensor cannot be read.
pub fn measure_tensors(
    path: &Path,
    go_on: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Option<Vec<(String, TensorNumbers)>>, WeightsError> {
    let mut source = WeightSource::open(path)?;
    let readable = |name: &&str| {
        let entry = source.entry(name);
        entry.is_some_and(|entry| entry.number_type.bytes().is_some())
    };
    let names: Vec<String> = source.names().filter(readable).map(str::to_owned).collect();
    let total = names.len() as u64;
    let mut measured = Vec::with_capacity(names.len());
    for name in names {
        if !go_on(measured.len() as u64, total) {
            return Ok(None);
        }
        let numbers = TensorNumbers::of(&source.read(&name)?);
        measured.push((name, numbers));
    }
    Ok(Some(measured))
}

impl TensorNumbers {
    fn of(values: &[f32]) -> Self {
        let (mut sum, mut squares, mut count) = (0.0, 0.0, 0_u64);
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.iter().copied().filter(|v| v.is_finite()) {
            let value = f64::from(value);
            sum += value;
            squares += value * value;
            count += 1;
            min = min.min(value);
            max = max.max(value);
        }
        let some = count > 0;
        Self {
            norm: f64::sqrt(squares),
            mean: if some { sum / count as f64 } else { 0.0 },
            min: if some { min } else { 0.0 },
            max: if some { max } else { 0.0 },
            not_finite: values.len() as u64 - count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_not_finite_are_counted_and_left_out() {
        let numbers = TensorNumbers::of(&[3.0, f32::NAN, -4.0, f32::INFINITY]);
        let expected = TensorNumbers {
            norm: 5.0,
            mean: -0.5,
            min: -4.0,
            max: 3.0,
            not_finite: 2,
        };
        assert_eq!(numbers, expected);
        assert_eq!(TensorNumbers::of(&[]).norm, 0.0);
    }

    #[test]
    fn a_file_of_open_clip_is_described_and_measured() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let path = golden.join("vit_open_clip.safetensors");
        let shapes = tensor_shapes(&path).expect("reads");
        let scale = shapes.iter().find(|t| t.name == "logit_scale");
        assert_eq!(scale.expect("has one").numbers, 1);
        let measured = measure_tensors(&path, &mut |_, _| true).expect("reads");
        let measured = measured.expect("not cancelled");
        assert_eq!(measured.len(), shapes.len());
        let (_, scale) = measured
            .iter()
            .find(|(name, _)| name == "logit_scale")
            .expect("has one");
        assert!((scale.norm - scale.max.abs()).abs() < 1e-9, "{scale:?}");
        let cancelled = measure_tensors(&path, &mut |done, _| done < 2).expect("reads");
        assert_eq!(cancelled, None);
    }
}

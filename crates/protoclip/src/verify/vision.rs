//! `preprocess.safetensors` with `images/`: decoding and the evaluation transform.

use std::path::Path;

use burn::tensor::Device;

use super::golden_file::read;
use super::{GoldenError, GoldenFile, Measure, Report};
use crate::data::Transform;

/// In units of CLIP's standard deviation.
const MEAN: f64 = 0.02;
const WORST: f64 = 0.15;

pub(super) fn check(path: &Path, _: &Device, report: &mut Report<'_>) -> Result<(), GoldenError> {
    let file = GoldenFile::open(path)?;
    let mut transform = Transform::new();
    for name in file.names()? {
        let (picture, size) = name
            .rsplit_once('/')
            .and_then(|(picture, size)| Some((picture, size.parse::<u32>().ok()?)))
            .ok_or_else(|| file.wrong(&name, "its name is not FILE/SIZE"))?;
        // A plain file name: nothing outside the folder is opened.
        if Path::new(picture).components().count() != 1 || picture == ".." {
            return Err(file.wrong(&name, "names no picture in images/"));
        }
        let bytes = read(&path.with_file_name("images").join(picture))?;
        let ours = transform
            .evaluate_as_reference(&bytes, size)
            .map_err(|e| GoldenError::compute(&name, e))?;
        let wanted = file.f32(&name)?;
        if ours.len() != wanted.len() {
            return Err(file.wrong(&name, format!("ours has {} values", ours.len())));
        }
        let differences = ours
            .iter()
            .zip(&wanted)
            .map(|(a, b)| f64::from((a - b).abs()));
        let mean = differences.sum::<f64>() / wanted.len().max(1) as f64;
        report.add(format!("{name}, mean"), Measure::Absolute, mean, MEAN);
        let worst = super::worst(&ours, &wanted);
        report.add(format!("{name}, worst"), Measure::Absolute, worst, WORST);
    }
    Ok(())
}

//! `losses.safetensors`: InfoNCE and prototype loss with their gradients.

use std::path::Path;

use burn::tensor::{Device, Tensor};

use super::golden_file::numbers;
use super::{GoldenError, GoldenFile, Measure, Report, worst_relative};
use crate::loss::clip::clip_loss;
use crate::loss::proto::{ProtoTarget, ProtoTermInput, proto_term};
use crate::model::Clip;

const VALUE: f64 = 1e-5;
const GRADIENT: f64 = 1e-4;

pub(super) fn check(
    path: &Path,
    device: &Device,
    report: &mut Report<'_>,
) -> Result<(), GoldenError> {
    let golden = LossFile {
        file: GoldenFile::open(path)?,
        device: device.clone().autodiff(),
    };
    golden.clip(report)?;
    for temperature in golden.temperatures()? {
        golden.proto(&temperature, report)?;
    }
    Ok(())
}

struct LossFile {
    file: GoldenFile,
    device: Device,
}

impl LossFile {
    fn clip(&self, report: &mut Report<'_>) -> Result<(), GoldenError> {
        let (image, text) = (
            self.leaf("clip/image_features")?,
            self.leaf("clip/text_features")?,
        );
        let log_scale = self.log_scale();
        let loss = clip_loss(image.clone(), text.clone(), log_scale.clone().exp());
        self.compare("clip/loss", loss.clone(), VALUE, report)?;
        let gradients = loss.backward();
        self.compare_gradient("clip/grad_image", image.grad(&gradients), report)?;
        self.compare_gradient("clip/grad_text", text.grad(&gradients), report)?;
        self.compare_gradient("clip/grad_log_scale", log_scale.grad(&gradients), report)
    }

    /// The target temperatures of the file, as written in its tensor names; −1 means hard targets.
    fn temperatures(&self) -> Result<Vec<String>, GoldenError> {
        let names = self.file.names()?;
        let found = names.iter().filter_map(|name| {
            let rest = name.strip_prefix("proto/tau_")?.strip_suffix("/loss")?;
            Some(rest.to_owned())
        });
        Ok(found.collect())
    }

    fn proto(&self, temperature: &str, report: &mut Report<'_>) -> Result<(), GoldenError> {
        let name = |figure: &str| format!("proto/tau_{temperature}/{figure}");
        let number: f64 = temperature.parse().map_err(|_| {
            self.file
                .wrong(&name("loss"), "its temperature is no number")
        })?;
        let target = match number > 0.0 {
            true => ProtoTarget::Soft {
                temperature: number,
            },
            false => ProtoTarget::Hard,
        };
        let student = self.leaf("proto/student_features")?;
        let log_scale = self.log_scale();
        let device = self.device.clone().inner();
        let input = ProtoTermInput {
            student_features: student.clone(),
            student_centroids: self.file.tensor("proto/student_centroids", &device)?,
            teacher_centroids: self.file.tensor("proto/teacher_centroids", &device)?,
            labels: self.file.ints("proto/labels", &device)?,
            occupied: None,
        };
        let term = proto_term(input, target, log_scale.clone().exp());
        self.compare(&name("loss"), term.loss.clone(), VALUE, report)?;
        self.compare(
            &name("accuracy_percent"),
            term.accuracy_percent,
            VALUE,
            report,
        )?;
        let gradients = term.loss.backward();
        self.compare_gradient(&name("grad_student"), student.grad(&gradients), report)?;
        self.compare_gradient(&name("grad_log_scale"), log_scale.grad(&gradients), report)
    }

    fn leaf(&self, name: &str) -> Result<Tensor<2>, GoldenError> {
        Ok(self.file.tensor::<2>(name, &self.device)?.require_grad())
    }

    fn log_scale(&self) -> Tensor<1> {
        Tensor::<1>::from_floats([Clip::initial_logit_scale()], &self.device).require_grad()
    }

    fn compare<const D: usize>(
        &self,
        name: &str,
        ours: Tensor<D>,
        tolerance: f64,
        report: &mut Report<'_>,
    ) -> Result<(), GoldenError> {
        let wanted = self.file.f32(name)?;
        let found = numbers(ours);
        if found.len() != wanted.len() {
            let message = format!("holds {} values, ours {}", wanted.len(), found.len());
            return Err(self.file.wrong(name, message));
        }
        let error = worst_relative(&found, &wanted);
        report.add(name, Measure::Relative, error, tolerance);
        Ok(())
    }

    fn compare_gradient<const D: usize>(
        &self,
        name: &str,
        gradient: Option<Tensor<D>>,
        report: &mut Report<'_>,
    ) -> Result<(), GoldenError> {
        let gradient = gradient.ok_or_else(|| GoldenError::compute(name, "no gradient arrived"))?;
        self.compare(name, gradient, GRADIENT, report)
    }
}

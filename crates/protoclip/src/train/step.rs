//! One optimizer step: forward, the three losses, backward, clip, update, clamp.

use burn::optim::GradientsParams;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::episode::{EpisodePrototypes, TranslatedPrototypes};
use super::optimizer::clip_gradients;
use super::tensors::{image_tensor, label_tensor, matrix_tensor, token_tensor};
use super::{ControlValues, LearningRates, RunOptimizer, Tag, TrainError, tag};
use crate::analysis::same_prototype_percent;
use crate::config::{Fidelity, TargetKind, ValidRunConfig};
use crate::data::Batch;
use crate::kernels::with_precision;
use crate::loss::clip::clip_loss;
use crate::loss::proto::{ProtoLoss, ProtoTarget, ProtoTermInput, proto_loss};
use crate::loss::repulsion::Repulsion;
use crate::model::{Clip, l2_normalize};
use crate::prototypes::{BackTranslated, SpaceClusters};

/// Largest batch whose pairs are looked at one by one: 64 MiB for each matrix of them.
const MOST_REPELLED: usize = 4096;

/// The prototypes of an episode on the run's device, as constants of the loss.
#[derive(Debug, Clone)]
pub(super) struct PrototypeTensors {
    /// What the image student is compared with, and the text teacher's own centroids.
    image_student: StudentPrototypes,
    /// What the text student is compared with, and the image teacher's own centroids.
    text_student: StudentPrototypes,
    external: Option<(StudentPrototypes, StudentPrototypes)>,
}

#[derive(Debug, Clone)]
struct StudentPrototypes {
    /// `[k, projection_dim]`
    student_centroids: Tensor<2>,
    /// `[k, teacher_dim]`
    teacher_centroids: Tensor<2>,
    /// `[k]`; `None` in reference fidelity.
    occupied: Option<Tensor<1, Bool>>,
}

/// Assignments of a batch in each space; empty where the prototypes are not known.
#[derive(Debug, Clone, Default)]
pub(super) struct BatchAssignments {
    pub(super) image: Vec<u32>,
    pub(super) text: Vec<u32>,
    /// Empty without a teacher.
    pub(super) teacher: Vec<u32>,
}

/// What the losses of one step look at besides features.
pub(super) struct StepPlan<'a> {
    pub(super) config: &'a ValidRunConfig,
    pub(super) controls: ControlValues,
    pub(super) rates: LearningRates,
    /// `None` in an InfoNCE-only episode.
    pub(super) prototypes: Option<&'a PrototypeTensors>,
    pub(super) assignments: BatchAssignments,
    /// Number of this step, from 1.
    pub(super) step: u64,
    /// Autodiff device.
    pub(super) device: &'a Device,
}

impl PrototypeTensors {
    pub(super) fn of(prototypes: &EpisodePrototypes, fidelity: Fidelity, device: &Device) -> Self {
        let snapshot = &prototypes.snapshot;
        let build = |teacher: &SpaceClusters, student: Option<&BackTranslated>| {
            StudentPrototypes::of(teacher, student, fidelity, device)
        };
        let translated = prototypes.translated.as_ref();
        let pick = |choose: fn(&TranslatedPrototypes) -> &BackTranslated| translated.map(choose);
        let external = snapshot
            .teacher
            .as_ref()
            .zip(translated)
            .and_then(|(clusters, t)| {
                let image = t.teacher_prototypes_in_image_space.as_ref()?;
                let text = t.teacher_prototypes_in_text_space.as_ref()?;
                Some((build(clusters, Some(image)), build(clusters, Some(text))))
            });
        Self {
            image_student: build(&snapshot.text, pick(|t| &t.text_prototypes_in_image_space)),
            text_student: build(&snapshot.image, pick(|t| &t.image_prototypes_in_text_space)),
            external,
        }
    }
}

impl StudentPrototypes {
    fn of(
        teacher: &SpaceClusters,
        student: Option<&BackTranslated>,
        fidelity: Fidelity,
        device: &Device,
    ) -> Self {
        let teacher_centroids = matrix_tensor(&teacher.centroids, teacher.dim, device);
        let occupied: Vec<bool> = teacher.sizes().iter().map(|&size| size > 0).collect();
        let any_empty = occupied.contains(&false);
        let count = occupied.len();
        Self {
            student_centroids: match student {
                Some(translated) => {
                    let dim = translated.centroids.len() / count.max(1);
                    matrix_tensor(&translated.centroids, dim, device)
                }
                None => teacher_centroids.clone(),
            },
            teacher_centroids,
            occupied: (fidelity == Fidelity::Corrected && any_empty)
                .then(|| Tensor::from_data(TensorData::new(occupied, [count]), device)),
        }
    }

    fn input(&self, student_features: Tensor<2>, labels: Tensor<1, Int>) -> ProtoTermInput {
        ProtoTermInput {
            student_features,
            student_centroids: self.student_centroids.clone(),
            teacher_centroids: self.teacher_centroids.clone(),
            labels,
            occupied: self.occupied.clone(),
        }
    }
}

/// Figures that one step reports, read back from the device together.
#[derive(Default)]
struct Figures {
    tags: Vec<&'static str>,
    values: Vec<Tensor<1>>,
}

impl Figures {
    fn add(&mut self, tag: &'static str, value: Tensor<1>) {
        self.tags.push(tag);
        self.values.push(value.without_autodiff());
    }

    fn read(self) -> Result<Vec<(Tag, f64)>, TrainError> {
        let values = Tensor::cat(self.values, 0)
            .into_data()
            .try_into_vec::<f32>()
            .map_err(|e| TrainError::Other(format!("reading losses back: {e:?}")))?;
        let named = self.tags.into_iter().zip(values);
        Ok(named
            .map(|(tag, value)| (tag.into(), f64::from(value)))
            .collect())
    }
}

/// Takes one step; returns the updated model and its figures.
///
/// # Errors
/// When the loss is not finite: the model is lost then, the last checkpoint is not.
pub(super) fn take_step(
    model: Clip,
    optimizer: &mut RunOptimizer,
    batch: &Batch,
    plan: &StepPlan<'_>,
) -> Result<(Clip, Vec<(Tag, f64)>), TrainError> {
    let mut figures = Figures::default();
    let total = with_precision(plan.config.precision, || {
        total_loss(&model, batch, plan, &mut figures)
    });
    let mut points = figures.read()?;
    let value = points
        .iter()
        .find(|(name, _)| name == tag::LOSS_TOTAL)
        .map_or(f64::NAN, |(_, value)| *value);
    if !value.is_finite() {
        return Err(TrainError::NotFinite {
            step: plan.step,
            value,
        });
    }
    let mut gradients = GradientsParams::from_grads(total.backward(), &model);
    let norm = clip_gradients(&model, &mut gradients, plan.config.optimizer.grad_clip_norm);
    let model = optimizer
        .step(plan.rates, model, gradients)
        .clamp_logit_scales();
    points.extend([
        (tag::GRAD_NORM.into(), norm),
        (tag::LR_IMAGE.into(), plan.rates.image),
        (tag::LR_REST.into(), plan.rates.rest),
    ]);
    let labels = &plan.assignments;
    if !labels.image.is_empty() {
        points.extend([
            (
                tag::SAME_PROTOTYPE_PAIRS_IMAGE.into(),
                same_prototype_percent(&labels.image),
            ),
            (
                tag::SAME_PROTOTYPE_PAIRS_TEXT.into(),
                same_prototype_percent(&labels.text),
            ),
        ]);
    }
    Ok((model, points))
}

/// `w_clip·L_CLIP + w_proto·L_P + w_external·L_E`, method, loss 6.
fn total_loss(
    model: &Clip,
    batch: &Batch,
    plan: &StepPlan<'_>,
    figures: &mut Figures,
) -> Tensor<1> {
    let image_output = model.encode_image(image_tensor(batch, plan.device));
    let text_output = model.encode_text(token_tensor(batch, plan.device));
    let image = l2_normalize(image_output.clone());
    let text = l2_normalize(text_output.clone());
    let scale = model.logit_scale.val().exp();
    let scale_proto = model.logit_scale_proto.val().exp();
    feature_figures(&image, &text, figures);
    figures.add(tag::TEMPERATURE, scale.clone().recip());
    figures.add(tag::TEMPERATURE_PROTO, scale_proto.clone().recip());

    repulsion_figures(&image, &text, &scale, &plan.assignments, figures);
    let clip = clip_loss(image, text, scale);
    figures.add(tag::LOSS_CLIP, clip.clone());
    let mut total = clip * plan.config.loss.clip;
    if let Some(prototypes) = plan.prototypes {
        let students = Students {
            image: l2_normalize(model.project_image(image_output)),
            text: l2_normalize(model.project_text(text_output)),
            scale_proto,
        };
        total = total + students.losses(prototypes, &plan.assignments, plan, figures);
    }
    figures.add(tag::LOSS_TOTAL, total.clone());
    total
}

/// Projected features `ĥ` of a batch and the scale of their scores.
struct Students {
    image: Tensor<2>,
    text: Tensor<2>,
    scale_proto: Tensor<1>,
}

impl Students {
    fn losses(
        &self,
        prototypes: &PrototypeTensors,
        assignments: &BatchAssignments,
        plan: &StepPlan<'_>,
        figures: &mut Figures,
    ) -> Tensor<1> {
        let target = |kind| match kind {
            TargetKind::Hard => ProtoTarget::Hard,
            TargetKind::Soft => ProtoTarget::Soft {
                temperature: plan.controls.target_temperature,
            },
        };
        let device = &plan.device.clone().inner();
        let proto = self.loss(
            (&prototypes.image_student, &assignments.text),
            (&prototypes.text_student, &assignments.image),
            target(plan.config.prototypes.target),
            device,
        );
        figures.add(tag::LOSS_PROTO, proto.loss.clone());
        figures.add(tag::PROTO_ACCURACY_IMAGE, proto.image.accuracy_percent);
        figures.add(tag::PROTO_ACCURACY_TEXT, proto.text.accuracy_percent);
        let entropy = (proto.image.target_entropy + proto.text.target_entropy) / 2.0;
        figures.add(tag::TARGET_ENTROPY, entropy);
        let mut total = proto.loss * plan.controls.proto_weight;
        if let Some((image, text)) = &prototypes.external {
            let teacher = &assignments.teacher;
            let kind = target(plan.config.teacher.target);
            let external = self.loss((image, teacher), (text, teacher), kind, device);
            figures.add(tag::LOSS_EXTERNAL, external.loss.clone());
            total = total + external.loss * plan.controls.external_weight;
        }
        total
    }

    fn loss(
        &self,
        image: (&StudentPrototypes, &[u32]),
        text: (&StudentPrototypes, &[u32]),
        target: ProtoTarget,
        device: &Device,
    ) -> ProtoLoss {
        proto_loss(
            image
                .0
                .input(self.image.clone(), label_tensor(image.1, device)),
            text.0
                .input(self.text.clone(), label_tensor(text.1, device)),
            target,
            self.scale_proto.clone(),
        )
    }
}

/// Share of InfoNCE's pushes on pairs of one prototype. Takes a second matrix product of the batch,
/// small beside the towers; a batch too large for that is left out.
fn repulsion_figures(
    image: &Tensor<2>,
    text: &Tensor<2>,
    scale: &Tensor<1>,
    assignments: &BatchAssignments,
    figures: &mut Figures,
) {
    let [size, _] = image.dims();
    let spaces = [
        (tag::SAME_PROTOTYPE_REPULSION_IMAGE, &assignments.image),
        (tag::SAME_PROTOTYPE_REPULSION_TEXT, &assignments.text),
    ];
    let known = spaces.iter().all(|(_, labels)| labels.len() == size);
    if size > MOST_REPELLED || !known {
        return;
    }
    let [image, text] = [image, text].map(|side| side.clone().without_autodiff());
    let device = image.device();
    let mask = |keep: &dyn Fn(usize, usize) -> bool| {
        let cell = |at: usize| f32::from(u8::from(keep(at / size, at % size)));
        let cells: Vec<f32> = (0..size * size).map(cell).collect();
        Tensor::from_data(TensorData::new(cells, [size, size]), &device)
    };
    let scale = scale.clone().without_autodiff();
    let repulsion = Repulsion::of(image, text, scale, mask(&|i, j| i != j));
    for (tag, labels) in spaces {
        let same = mask(&|i, j| i != j && labels[i] == labels[j]);
        figures.add(tag, repulsion.percent_on(same));
    }
}

/// Modality gap `‖mean ẑI − mean ẑT‖` and mean per-dimension standard deviation of the batch.
fn feature_figures(image: &Tensor<2>, text: &Tensor<2>, figures: &mut Figures) {
    let image = image.clone().without_autodiff();
    let text = text.clone().without_autodiff();
    let gap = (image.clone().mean_dim(0) - text.clone().mean_dim(0))
        .square()
        .sum()
        .sqrt();
    figures.add(tag::MODALITY_GAP, gap);
    figures.add(tag::FEATURE_STD_IMAGE, image.var(0).sqrt().mean());
    figures.add(tag::FEATURE_STD_TEXT, text.var(0).sqrt().mean());
}

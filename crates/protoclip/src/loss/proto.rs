//! Prototype losses: L_P with or without back translation, and L_E.

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Int, IntDType, Tensor};

use super::log_sum_exp;

/// Logit of a prototype that is masked out.
const MASKED: f64 = -1e9;

/// What a student is asked to predict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ProtoTarget {
    /// The sample's own prototype.
    Hard,
    /// `softmax_k(C[a]·C[k] / temperature)` over the teacher's prototypes.
    Soft {
        /// τ_y, positive.
        temperature: f64,
    },
}

/// One student compared with prototypes.
///
/// With back translation `student_centroids` are the teacher's clusters translated into the
/// student's space; without it, they are the teacher's centroids themselves.
#[derive(Debug, Clone)]
pub struct ProtoTermInput {
    /// `[batch, dim]`, L2-normalised.
    pub student_features: Tensor<2>,
    /// `[k, dim]`, not normalised.
    pub student_centroids: Tensor<2>,
    /// `[k, teacher_dim]`, not normalised; only soft targets look at them.
    pub teacher_centroids: Tensor<2>,
    /// `[batch]`, the teacher's assignment of each sample, below k.
    pub labels: Tensor<1, Int>,
    /// `[k]`, true where a prototype has a sample. Corrected fidelity gives it, so that empty
    /// prototypes take no part in the softmax; the reference leaves them as zero rows.
    pub occupied: Option<Tensor<1, Bool>>,
}

/// A loss term with the figures that explain it; all `[1]`.
#[derive(Debug, Clone)]
pub struct ProtoTerm {
    /// Cross-entropy in nats.
    pub loss: Tensor<1>,
    /// Samples whose best-scored prototype is their own, in percent. No gradient.
    pub accuracy_percent: Tensor<1>,
    /// Mean entropy of the targets in nats; 0 for hard ones. No gradient.
    pub target_entropy: Tensor<1>,
}

/// The image and the text student together.
#[derive(Debug, Clone)]
pub struct ProtoLoss {
    /// Half the sum of both terms, `[1]`.
    pub loss: Tensor<1>,
    /// The image student's term.
    pub image: ProtoTerm,
    /// The text student's term.
    pub text: ProtoTerm,
}

/// Both students: L_P when each is taught by the other modality, L_E when both are taught by the
/// external teacher (method, losses 4 and 5).
///
/// `scale_proto`: `[1]`, the exponential of `logit_scale_proto`, shared by all terms.
pub fn proto_loss(
    image: ProtoTermInput,
    text: ProtoTermInput,
    target: ProtoTarget,
    scale_proto: Tensor<1>,
) -> ProtoLoss {
    let image = proto_term(image, target, scale_proto.clone());
    let text = proto_term(text, target, scale_proto);
    ProtoLoss {
        loss: (image.loss.clone() + text.loss.clone()) / 2.0,
        image,
        text,
    }
}

/// Cross-entropy of one student's scores `scale_proto · ĥ · Cᵀ` against its targets.
pub fn proto_term(input: ProtoTermInput, target: ProtoTarget, scale_proto: Tensor<1>) -> ProtoTerm {
    let [batch, _] = input.student_features.dims();
    let labels = input.labels.without_autodiff();
    let occupied = input.occupied.map(Tensor::without_autodiff);
    let centroids = input.student_centroids.without_autodiff();

    let scores = input.student_features.matmul(centroids.transpose());
    let logits = mask(scores * scale_proto.reshape([1, 1]), occupied.as_ref());
    let accuracy_percent = accuracy(logits.clone().without_autodiff(), labels.clone());

    let normaliser = log_sum_exp(logits.clone(), 1);
    let (expected, target_entropy) = match target {
        ProtoTarget::Hard => {
            let own = logits.gather(1, labels.reshape([batch, 1]));
            (own, Tensor::zeros([1], &accuracy_percent.device()))
        }
        ProtoTarget::Soft { temperature } => {
            let teacher = input.teacher_centroids.without_autodiff();
            let targets = soft_targets(teacher, labels, temperature, occupied.as_ref());
            let entropy = mean_entropy(targets.clone());
            ((logits * targets).sum_dim(1), entropy)
        }
    };
    ProtoTerm {
        loss: (normaliser - expected).mean(),
        accuracy_percent,
        target_entropy,
    }
}

/// `softmax_k(C[a]·C[k] / temperature)` for every label, `[batch, k]`; empty prototypes get none.
fn soft_targets(
    teacher_centroids: Tensor<2>,
    labels: Tensor<1, Int>,
    temperature: f64,
    occupied: Option<&Tensor<1, Bool>>,
) -> Tensor<2> {
    let own = teacher_centroids.clone().select(0, labels);
    let similarity = own.matmul(teacher_centroids.transpose());
    softmax(mask(similarity / temperature, occupied), 1)
}

fn mask(logits: Tensor<2>, occupied: Option<&Tensor<1, Bool>>) -> Tensor<2> {
    let Some(occupied) = occupied else {
        return logits;
    };
    let empty = occupied.clone().bool_not().unsqueeze::<2>();
    let dims = logits.dims();
    logits.mask_fill(empty.expand(dims), MASKED)
}

fn accuracy(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    // Burn does not mix integer widths, and labels may come in either.
    let best = logits.argmax(1).squeeze_dim::<1>(1).cast(IntDType::I32);
    best.equal(labels.cast(IntDType::I32)).float().mean() * 100.0
}

/// Mean over rows of `-Σ p ln p`, `[1]`, in nats.
fn mean_entropy(probabilities: Tensor<2>) -> Tensor<1> {
    const SMALLEST: f64 = 1e-30;
    let logarithms = probabilities.clone().clamp_min(SMALLEST).log();
    (probabilities * logarithms).sum_dim(1).mean().neg()
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn one(x: Tensor<1>) -> f32 {
        x.into_scalar()
    }

    fn input(device: &Device) -> ProtoTermInput {
        let centroids = [[0.9, 0.1], [-0.2, 0.8], [0.0, 0.0], [0.1, -0.9]];
        ProtoTermInput {
            student_features: Tensor::from_floats([[0.6, 0.8], [1.0, 0.0], [0.0, -1.0]], device),
            student_centroids: Tensor::from_floats(centroids, device),
            teacher_centroids: Tensor::from_floats(centroids, device),
            labels: Tensor::from_ints([1, 0, 3], device),
            occupied: None,
        }
    }

    fn masked(device: &Device) -> ProtoTermInput {
        ProtoTermInput {
            occupied: Some(Tensor::from_data([true, true, false, true], device)),
            ..input(device)
        }
    }

    fn without_the_empty_row(device: &Device) -> ProtoTermInput {
        let centroids = [[0.9, 0.1], [-0.2, 0.8], [0.1, -0.9]];
        ProtoTermInput {
            student_centroids: Tensor::from_floats(centroids, device),
            teacher_centroids: Tensor::from_floats(centroids, device),
            labels: Tensor::from_ints([1, 0, 2], device),
            ..input(device)
        }
    }

    #[test]
    fn a_masked_prototype_is_as_if_it_did_not_exist() {
        let device = Device::flex();
        for target in [ProtoTarget::Hard, ProtoTarget::Soft { temperature: 0.1 }] {
            let scale = || Tensor::from_floats([2.0], &device);
            let masked = proto_term(masked(&device), target, scale());
            let removed = proto_term(without_the_empty_row(&device), target, scale());
            let reference = proto_term(input(&device), target, scale());
            let (masked, removed) = (one(masked.loss), one(removed.loss));
            assert!((masked - removed).abs() < 1e-5, "{masked} {removed}");
            assert!((one(reference.loss) - masked).abs() > 1e-4);
        }
    }

    #[test]
    fn soft_targets_become_hard_when_cold_and_uniform_when_hot() {
        let device = Device::flex();
        let scale = || Tensor::from_floats([14.0], &device);
        let term = |target| proto_term(without_the_empty_row(&device), target, scale());
        let cold = term(ProtoTarget::Soft { temperature: 1e-3 });
        let hot = term(ProtoTarget::Soft { temperature: 1e3 });
        assert!((one(cold.loss) - one(term(ProtoTarget::Hard).loss)).abs() < 1e-5);
        assert!(one(cold.target_entropy).abs() < 1e-5);
        assert!((one(hot.target_entropy) - 3f32.ln()).abs() < 1e-3);
        assert_eq!(one(term(ProtoTarget::Hard).target_entropy), 0.0);
    }

    #[test]
    fn the_row_that_people_see_is_the_target_that_students_get() {
        let device = Device::flex();
        let input = masked(&device);
        let occupied = [true, true, false, true];
        let rows = soft_targets(
            input.teacher_centroids.clone(),
            input.labels.clone(),
            0.1,
            input.occupied.as_ref(),
        );
        let trained: Vec<f32> = rows.clone().into_data().try_to_vec().expect("numbers");
        let centroids: Vec<f32> = input
            .teacher_centroids
            .into_data()
            .try_to_vec()
            .expect("numbers");
        let seen = [1, 0, 3].map(|own| {
            crate::prototypes::SoftTarget::of(&centroids, 2, own, 0.1, &occupied).expect("a target")
        });
        let shown = seen.iter().flat_map(|target| &target.probabilities);
        for (shown, trained) in shown.zip(&trained) {
            assert!((shown - trained).abs() < 1e-6, "{shown} {trained}");
        }
        let entropy = seen.iter().map(|target| target.entropy).sum::<f64>() / 3.0;
        assert!((f64::from(one(mean_entropy(rows))) - entropy).abs() < 1e-5);
    }

    /// Method, first exact property: rotating a student's space does not matter with back
    /// translation, since its centroids rotate along.
    #[test]
    fn rotating_the_student_space_changes_nothing_with_back_translation() {
        let device = Device::flex();
        let rotation = Tensor::<2>::from_floats([[0.28, 0.96], [-0.96, 0.28]], &device);
        let target = ProtoTarget::Soft { temperature: 0.1 };
        let scale = || Tensor::from_floats([14.0], &device);
        let plain = input(&device);
        let mut rotated = plain.clone();
        rotated.student_features = rotated.student_features.matmul(rotation.clone());
        let untranslated = rotated.clone();
        rotated.student_centroids = rotated.student_centroids.matmul(rotation);
        let plain = proto_term(plain, target, scale());
        let rotated = proto_term(rotated, target, scale());
        let untranslated = proto_term(untranslated, target, scale());
        assert!((one(plain.loss.clone()) - one(rotated.loss)).abs() < 1e-5);
        assert_eq!(one(plain.accuracy_percent), one(rotated.accuracy_percent));
        assert!(one(untranslated.loss) > one(plain.loss) + 1.0);
    }

    #[test]
    fn both_terms_count_half() {
        let device = Device::flex().autodiff();
        let scale = Tensor::<1>::from_floats([14.0], &device).require_grad();
        let both = proto_loss(
            input(&device),
            masked(&device),
            ProtoTarget::Hard,
            scale.clone(),
        );
        let mean = (one(both.image.loss) + one(both.text.loss)) / 2.0;
        assert!((one(both.loss.clone()) - mean).abs() < 1e-6);
        let gradients = both.loss.backward();
        assert!(one(scale.grad(&gradients).expect("tracked")).abs() > 0.0);
    }
}

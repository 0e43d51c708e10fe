//! Prototype back translation (PBT): a teacher's clusters, expressed in the student's own space.
//!
//! Called by the trainer after clustering, once for each pair of student and teacher. The teacher
//! says which samples belong together; the student's prototype is the mean of ITS features of these
//! samples. Scores against it therefore do not depend on where the teacher's space lies.

use super::group_means::group_means;

/// Prototypes of the teacher's clusters in the student's space.
#[derive(Debug, Clone, PartialEq)]
pub struct BackTranslated {
    /// `[k, d]`, row-major: mean student feature of each cluster, zero for an empty one.
    pub centroids: Vec<f32>,
    /// `[k]`: samples of each cluster.
    pub counts: Vec<u32>,
}

/// Why clusters cannot be translated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackTranslationError {
    #[error("{values} student values do not form {samples} rows, one for each teacher assignment")]
    Shape { values: usize, samples: usize },
    #[error("sample {sample} is assigned to prototype {prototype} of {count}")]
    Assignment {
        sample: usize,
        prototype: u32,
        count: usize,
    },
}

/// Means of `student_features` `[n, d]` by `teacher_assignments` `[n]` into `count` prototypes
/// (method, loss 3: `C^{T→I}[k] = mean{ ĥI_i : a^T_i = k }`).
///
/// # Errors
/// When the rows do not match the assignments, or an assignment is not below `count`.
pub fn back_translate(
    student_features: &[f32],
    teacher_assignments: &[u32],
    count: usize,
) -> Result<BackTranslated, BackTranslationError> {
    let samples = teacher_assignments.len();
    let values = student_features.len();
    if samples == 0 || values == 0 || !values.is_multiple_of(samples) {
        return Err(BackTranslationError::Shape { values, samples });
    }
    let outside = |&(_, &prototype): &(usize, &u32)| prototype as usize >= count;
    if let Some((sample, &prototype)) = teacher_assignments.iter().enumerate().find(outside) {
        return Err(BackTranslationError::Assignment {
            sample,
            prototype,
            count,
        });
    }
    let groups = group_means(
        student_features,
        values / samples,
        teacher_assignments,
        count,
    );
    Ok(BackTranslated {
        centroids: groups.means,
        counts: groups.counts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::Golden;

    #[test]
    fn golden_means_with_an_empty_label() {
        let golden = Golden::open("pbt.safetensors");
        let [count, dim] = golden.shape("translated_centroids")[..] else {
            panic!("two dimensions");
        };
        let got = back_translate(
            &golden.f32("student_features"),
            &golden.labels("teacher_labels"),
            count,
        )
        .expect("translated");
        for (got, want) in got.centroids.iter().zip(golden.f32("translated_centroids")) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
        assert_eq!(got.counts.iter().sum::<u32>(), 200);
        assert_eq!(got.counts[7], 0);
        assert!(got.centroids[7 * dim..8 * dim].iter().all(|&v| v == 0.0));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let features = [0.0; 6];
        let shape = |values, samples| BackTranslationError::Shape { values, samples };
        assert_eq!(back_translate(&features, &[0; 4], 2), Err(shape(6, 4)));
        assert_eq!(back_translate(&features, &[], 2), Err(shape(6, 0)));
        assert_eq!(back_translate(&[], &[0], 2), Err(shape(0, 1)));
        let message = back_translate(&features, &[0, 2, 1], 2)
            .expect_err("2 is no prototype")
            .to_string();
        assert!(message.contains("sample 1"), "{message}");
    }
}

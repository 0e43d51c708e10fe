//! Why a measure has no value.

/// Why a measure has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnalysisError {
    #[error("there are no samples to measure")]
    Empty,
    #[error("{values} {name} values are no multiple of dimension {dim}")]
    Shape {
        name: &'static str,
        values: usize,
        dim: usize,
    },
    #[error("{first_name} has {first} rows but {second_name} has {second}; they must be aligned")]
    Length {
        first_name: &'static str,
        first: usize,
        second_name: &'static str,
        second: usize,
    },
    #[error("{name}, row {row}: NaN or infinite; features must be finite numbers")]
    NotFinite { name: &'static str, row: usize },
    #[error(
        "{clusters} clusters of {samples} samples: this measure needs at least 2, and fewer than samples"
    )]
    Clusters { clusters: usize, samples: usize },
    #[error("{count} components were asked for; between 1 and {most} fit these features")]
    Components { count: usize, most: usize },
    #[error("the covariance matrix has no eigenvectors: {0}")]
    Eigen(String),
    #[error("label {label} is not below the number of classes, {classes}")]
    Label { label: u32, classes: usize },
}

/// Checks that `rows` holds at least one row of `dim` finite numbers; the number of rows.
pub(crate) fn checked_rows(
    name: &'static str,
    rows: &[f32],
    dim: usize,
) -> Result<usize, AnalysisError> {
    let count = checked_shape(name, rows, dim)?;
    match rows.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(AnalysisError::NotFinite {
            name,
            row: at / dim,
        }),
        None => Ok(count),
    }
}

/// Checks that `rows` holds at least one row of `dim` numbers; the number of rows.
pub(crate) fn checked_shape(
    name: &'static str,
    rows: &[f32],
    dim: usize,
) -> Result<usize, AnalysisError> {
    if rows.is_empty() {
        return Err(AnalysisError::Empty);
    }
    if dim == 0 || !rows.len().is_multiple_of(dim) {
        return Err(AnalysisError::Shape {
            name,
            values: rows.len(),
            dim,
        });
    }
    Ok(rows.len() / dim)
}

/// Checks that two things have one entry per sample.
pub(crate) fn checked_aligned(
    (first_name, first): (&'static str, usize),
    (second_name, second): (&'static str, usize),
) -> Result<(), AnalysisError> {
    if first == second {
        Ok(())
    } else {
        Err(AnalysisError::Length {
            first_name,
            first,
            second_name,
            second,
        })
    }
}

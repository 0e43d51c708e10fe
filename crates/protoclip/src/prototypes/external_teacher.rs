//! Features of the external text teacher, one row per record.

use crate::config::{TeacherConfig, TeacherKind};
use crate::data::{DataError, PairSource};

/// L2-normalised features of every record.
#[derive(Debug, Clone, PartialEq)]
pub struct TeacherFeatures {
    pub dim: usize,
    /// `[records, dim]`, row-major.
    pub rows: Vec<f32>,
}

/// The features that a configuration asks for; `None` without a teacher.
///
/// # Errors
/// For every teacher: none is built in yet.
pub fn teacher_features(
    config: &TeacherConfig,
    _data: &dyn PairSource,
    _seed: u64,
    _progress: &dyn Fn(u64, u64) -> bool,
) -> Result<Option<TeacherFeatures>, DataError> {
    match config.kind {
        TeacherKind::None => Ok(None),
        TeacherKind::Lsa | TeacherKind::Npy => Err(DataError::Format {
            path: "teacher".into(),
            message: "this build has no external teacher yet; choose the preset protoclip".into(),
        }),
    }
}

//! Models for other programs: the two weight files of an export.

use std::collections::BTreeMap;
use std::path::Path;

use super::import::HEADS;
use super::weights::{self, WeightsError, transfer};
use super::{Clip, ClipConfig};

/// Weight file that `open_clip` looks for first in a directory.
const MODEL: &str = "open_clip_model.safetensors";

/// Writes a model's tensors into `directory` and returns the names of the files.
///
/// `open_clip_model.safetensors` has exactly the tensors of an OpenCLIP model, so that OpenCLIP's strict
/// loading takes it, BatchNorm's `num_batches_tracked` included (always 0: momentum is fixed, so
/// nothing depends on it). The projection heads and `logit_scale_proto`, which OpenCLIP does not have,
/// go to `projection_heads.safetensors`, or into the first file when `heads_inside`; strict loading
/// then fails.
///
/// # Errors
/// When a file cannot be written.
pub fn write_open_clip_weights(
    clip: &Clip,
    config: &ClipConfig,
    directory: &Path,
    heads_inside: bool,
) -> Result<Vec<&'static str>, WeightsError> {
    let tensors = transfer::tensors_of(clip);
    let (heads, model): (BTreeMap<_, _>, BTreeMap<_, _>) = tensors
        .into_iter()
        .partition(|(name, _)| !heads_inside && transfer::is_optional(name));
    let write = |tensors: &BTreeMap<_, _>, name: &'static str| {
        weights::write(tensors, &counters(tensors), config, &directory.join(name)).map(|()| name)
    };
    let mut files = vec![write(&model, MODEL)?];
    if !heads.is_empty() {
        files.push(write(&heads, HEADS)?);
    }
    Ok(files)
}

/// Names of the counters that PyTorch's BatchNorm keeps beside its running statistics.
fn counters<T>(tensors: &BTreeMap<String, T>) -> Vec<String> {
    let norms = tensors
        .keys()
        .filter_map(|name| name.strip_suffix("running_mean"));
    norms
        .map(|norm| format!("{norm}num_batches_tracked"))
        .collect()
}

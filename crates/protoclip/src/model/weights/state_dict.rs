//! From the names in a file to those of the model.

use std::collections::BTreeMap;

use super::source::WeightEntry;

/// Prefixes that wrappers put before every name: `DistributedDataParallel`, `torch.compile`.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// Sizes that OpenAI's checkpoints carry as tensors of their own.
pub(in crate::model) const OPENAI_KEYS: [&str; 3] =
    ["input_resolution", "context_length", "vocab_size"];

/// Removes wrappers' prefixes and takes out the buffers that are no weights; returns their names.
///
/// OpenAI's three sizes stay: they tell where a file comes from.
pub(super) fn clean(
    entries: BTreeMap<String, WeightEntry>,
) -> (BTreeMap<String, WeightEntry>, Vec<String>) {
    let mut entries = entries;
    while let Some(prefix) = shared_wrapper(&entries) {
        let stripped = entries.into_iter();
        entries = stripped
            .map(|(name, entry)| (name[prefix.len()..].to_owned(), entry))
            .collect();
    }
    let (ignored, kept): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .partition(|(name, _)| is_no_weight(name));
    let names = ignored.into_iter().map(|(name, _)| name).collect();
    (kept.into_iter().collect(), names)
}

/// The wrapper's prefix that every name has.
fn shared_wrapper(entries: &BTreeMap<String, WeightEntry>) -> Option<&'static str> {
    let shared = |prefix: &&&str| entries.keys().all(|name| name.starts_with(**prefix));
    let found = WRAPPERS.iter().find(shared);
    found.copied().filter(|_| !entries.is_empty())
}

/// Counters, masks and position numbers that can be computed.
fn is_no_weight(name: &str) -> bool {
    name.ends_with("num_batches_tracked")
        || name.ends_with("position_ids")
        || name == "attn_mask"
        || name.ends_with(".attn_mask")
}

#[cfg(test)]
mod tests {
    use super::super::NumberType;
    use super::super::source::Location;
    use super::*;

    fn cleaned(names: &[&str]) -> (Vec<String>, Vec<String>) {
        let entry = WeightEntry {
            shape: Vec::new(),
            number_type: NumberType::F32,
            location: Location::Bytes {
                file: 0,
                from: 0,
                count: 0,
            },
        };
        let entries = names.iter().map(|n| ((*n).to_owned(), entry.clone()));
        let (kept, ignored) = clean(entries.collect());
        (kept.into_keys().collect(), ignored)
    }

    #[test]
    fn prefixes_go_only_where_every_name_has_them() {
        let (kept, _) = cleaned(&["module._orig_mod.a", "module._orig_mod.b.weight"]);
        assert_eq!(kept, ["a", "b.weight"]);
        let (kept, _) = cleaned(&["module.a", "b"]);
        assert_eq!(kept, ["b", "module.a"]);
        assert_eq!(cleaned(&[]), (Vec::new(), Vec::new()));
    }

    #[test]
    fn buffers_that_are_no_weights_are_left_out() {
        let (kept, ignored) = cleaned(&[
            "visual.bn1.num_batches_tracked",
            "visual.bn1.weight",
            "text.transformer.embeddings.position_ids",
            "attn_mask",
            "vocab_size",
        ]);
        assert_eq!(kept, ["visual.bn1.weight", "vocab_size"]);
        assert_eq!(ignored.len(), 3);
    }
}

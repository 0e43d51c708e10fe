//! Where the tensors are in what a pickle describes.

use std::collections::BTreeMap;

use super::pickle::{Heap, Node, NodeId, TensorRef};

/// Keys under which training scripts keep the state dict, in this order.
const STATE_DICT_KEYS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// The tensors of the state dict in a pickle's result.
pub(super) fn find(heap: &Heap, root: NodeId) -> Result<Vec<(String, TensorRef)>, String> {
    let top = match heap.get(root) {
        Node::Dict(top) => top,
        Node::Record(_) => return ScriptedFields::of(heap, root),
        _ => {
            let fix =
                "holds no dictionary; save the weights with torch.save(model.state_dict(), path)";
            return Err(fix.into());
        }
    };
    let below = |key: &str| {
        let found = top.iter().rev().find(|(k, _)| heap.text(*k) == Ok(key));
        found.map(|(_, value)| tensors(heap, *value))
    };
    let nested = STATE_DICT_KEYS.iter().filter_map(|key| below(key));
    let found = nested
        .chain([tensors(heap, root)])
        .find(|found| !found.is_empty());
    found.ok_or_else(|| {
        let keys = top.iter().filter_map(|(k, _)| heap.text(*k).ok()).take(8);
        let keys: Vec<String> = keys.map(|k| k.chars().take(40).collect()).collect();
        format!(
            "holds no state dict, neither at the top nor under {}; its keys are {keys:?}",
            STATE_DICT_KEYS.join(", ")
        )
    })
}

fn tensors(heap: &Heap, dict: NodeId) -> Vec<(String, TensorRef)> {
    let Node::Dict(items) = heap.get(dict) else {
        return Vec::new();
    };
    // By reference first: of equal names, of which a pickle may hold many, only one is copied.
    let tensor = |&(key, value): &(NodeId, NodeId)| match (heap.get(key), heap.get(value)) {
        (Node::Text(name), Node::Tensor(tensor)) => Some((name.as_str(), &**tensor)),
        _ => None,
    };
    let found: BTreeMap<&str, &TensorRef> = items.iter().filter_map(tensor).collect();
    let owned = |(name, tensor): (&str, &TensorRef)| (name.to_owned(), tensor.clone());
    found.into_iter().map(owned).collect()
}

/// Collects the tensors of a scripted module, named by the path of fields that leads to them, as its
/// `state_dict()` does.
struct ScriptedFields<'a> {
    heap: &'a Heap,
    found: Vec<(String, TensorRef)>,
    /// Fields looked at.
    seen: usize,
    /// Bytes of all names.
    bytes: usize,
}

impl<'a> ScriptedFields<'a> {
    /// Most fields that are looked at: a module may occur in several places, each counts.
    const MOST: usize = 1 << 18;
    const MOST_BYTES: usize = 32 << 20;
    /// Most modules inside each other.
    const DEEPEST: usize = 32;

    fn of(heap: &'a Heap, root: NodeId) -> Result<Vec<(String, TensorRef)>, String> {
        let mut fields = Self {
            heap,
            found: Vec::new(),
            seen: 0,
            bytes: 0,
        };
        fields.walk(root, "", 0)?;
        Ok(fields.found)
    }

    fn walk(&mut self, module: NodeId, prefix: &str, depth: usize) -> Result<(), String> {
        let Node::Record(fields) = self.heap.get(module) else {
            return Ok(());
        };
        self.seen += fields.len();
        if self.seen > Self::MOST || depth > Self::DEEPEST {
            return Err(format!(
                "its modules have more than {} fields or {} levels",
                Self::MOST,
                Self::DEEPEST
            ));
        }
        for &(key, value) in fields {
            let key = self.heap.text(key)?;
            self.bytes += prefix.len() + key.len();
            if self.bytes > Self::MOST_BYTES {
                return Err("the names in it are too long".into());
            }
            let name = format!("{prefix}{key}");
            match self.heap.get(value) {
                Node::Tensor(tensor) => self.found.push((name, TensorRef::clone(tensor))),
                Node::Record(_) => self.walk(value, &format!("{name}."), depth + 1)?,
                _ => {}
            }
        }
        Ok(())
    }
}

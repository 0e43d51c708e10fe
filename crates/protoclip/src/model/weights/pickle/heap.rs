//! The values of a pickle.

use super::Callable;
use crate::model::weights::NumberType;

/// Number of a value in its [`Heap`].
pub(in crate::model::weights) type NodeId = usize;

/// All values that a pickle made, in order.
#[derive(Debug, Default)]
pub(in crate::model::weights) struct Heap {
    nodes: Vec<Node>,
}

/// One value. Those that a state dict does not need keep their place but not their content.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::model::weights) enum Node {
    /// `None`, a truth value, a floating-point number, bytes.
    Plain,
    Int(i64),
    Text(String),
    Tuple(Vec<NodeId>),
    List(Vec<NodeId>),
    /// In the order of the pickle; of equal keys the last counts.
    Dict(Vec<(NodeId, NodeId)>),
    /// A scripted module: its fields by name.
    Record(Vec<(NodeId, NodeId)>),
    Callable(Callable),
    Storage(Box<StorageRef>),
    Tensor(Box<TensorRef>),
    /// A value that is no weight.
    Inert,
}

/// A storage by name: an entry of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model::weights) struct StorageRef {
    pub(in crate::model::weights) key: String,
    pub(in crate::model::weights) number_type: NumberType,
    /// Numbers in it.
    pub(in crate::model::weights) count: usize,
}

/// A view of a storage: element `i` lies at `offset + Σ i[axis]·strides[axis]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model::weights) struct TensorRef {
    pub(in crate::model::weights) storage: StorageRef,
    pub(in crate::model::weights) offset: usize,
    pub(in crate::model::weights) shape: Vec<usize>,
    pub(in crate::model::weights) strides: Vec<usize>,
}

/// Longest name of a storage; torch.save numbers them.
const LONGEST_KEY: usize = 64;
/// Most axes of a tensor; weights have up to four.
const MOST_AXES: usize = 8;

impl Heap {
    pub(super) fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(in crate::model::weights) fn get(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id]
    }

    pub(in crate::model::weights) fn text(&self, id: NodeId) -> Result<&str, String> {
        match self.get(id) {
            Node::Text(text) => Ok(text),
            _ => Err("something stands where a text is needed".into()),
        }
    }

    pub(super) fn tuple(&self, id: NodeId) -> Result<&[NodeId], String> {
        match self.get(id) {
            Node::Tuple(items) => Ok(items),
            _ => Err("something stands where a tuple is needed".into()),
        }
    }

    /// The items of a tuple or list.
    pub(super) fn items(&self, id: NodeId) -> Result<&[NodeId], String> {
        match self.get(id) {
            Node::Tuple(items) | Node::List(items) => Ok(items),
            _ => Err("something stands where a list is needed".into()),
        }
    }

    fn size(&self, id: NodeId) -> Result<usize, String> {
        match self.get(id) {
            Node::Int(value) => usize::try_from(*value).map_err(|_| format!("{value} is no size")),
            _ => Err("something stands where a size is needed".into()),
        }
    }

    fn sizes(&self, id: NodeId) -> Result<Vec<usize>, String> {
        let items = self.items(id)?;
        if items.len() > MOST_AXES {
            return Err(format!("a tensor has more than {MOST_AXES} axes"));
        }
        items.iter().map(|&item| self.size(item)).collect()
    }
}

impl StorageRef {
    /// Reads `('storage', torch.FloatStorage, key, location, count)`.
    pub(super) fn from_persistent_id(heap: &Heap, id: NodeId) -> Result<Self, String> {
        let &[tag, class, key, _location, count] = heap.tuple(id)? else {
            return Err("a persistent id does not have five parts".into());
        };
        if heap.text(tag)? != "storage" {
            return Err("a persistent id names something that is no storage".into());
        }
        let Node::Callable(Callable::Storage(number_type)) = heap.get(class) else {
            return Err("a storage has no class".into());
        };
        let key = heap.text(key)?;
        if key.len() > LONGEST_KEY {
            return Err(format!(
                "the name of a storage has more than {LONGEST_KEY} bytes"
            ));
        }
        Ok(Self {
            key: key.to_owned(),
            number_type: number_type.clone(),
            count: heap.size(count)?,
        })
    }
}

impl TensorRef {
    /// Reads `(storage, offset, shape, strides, …)` and checks that the view stays inside.
    pub(super) fn from_arguments(heap: &Heap, arguments: &[NodeId]) -> Result<Self, String> {
        let [storage, offset, shape, strides, ..] = arguments else {
            return Err("a tensor is made of fewer than four parts".into());
        };
        let Node::Storage(storage) = heap.get(*storage) else {
            return Err("a tensor has no storage".into());
        };
        let tensor = Self {
            storage: StorageRef::clone(storage),
            offset: heap.size(*offset)?,
            shape: heap.sizes(*shape)?,
            strides: heap.sizes(*strides)?,
        };
        tensor.check()?;
        Ok(tensor)
    }

    fn check(&self) -> Result<(), String> {
        let held = self.storage.count;
        let what = || {
            format!(
                "a tensor of shape {:?} and strides {:?} at {} leaves its storage of {held} numbers",
                self.shape, self.strides, self.offset
            )
        };
        if self.shape.len() != self.strides.len() {
            return Err(what());
        }
        let numbers = self.shape.iter().try_fold(1usize, |n, &s| n.checked_mul(s));
        let numbers = numbers.ok_or_else(what)?;
        if numbers > held {
            return Err(format!(
                "a tensor of shape {:?} repeats a storage of {held} numbers; save it with .contiguous()",
                self.shape
            ));
        }
        if numbers == 0 {
            return Ok(());
        }
        let axes = self.shape.iter().zip(&self.strides);
        let last = axes
            .into_iter()
            .try_fold(self.offset, |last, (&size, &stride)| {
                stride.checked_mul(size - 1)?.checked_add(last)
            });
        match last {
            Some(last) if last < held => Ok(()),
            _ => Err(what()),
        }
    }
}

//! The names that a pickle may mention, and what they make.

use super::Origin;
use super::heap::{Heap, Node, NodeId, TensorRef};
use crate::model::weights::NumberType;

/// A known class or function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model::weights) enum Callable {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch.Size`
    Size,
    /// `torch._utils._rebuild_tensor`, `_rebuild_tensor_v2`
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`
    RebuildParameter,
    /// `torch.FloatStorage` and its like.
    Storage(NumberType),
    /// A class below `__torch__` in a TorchScript archive.
    ScriptClass,
    /// Makes values that are no weights, such as NumPy scalars in a training log.
    Inert,
}

/// Characters of a name that an error repeats.
const LONGEST_NAME: usize = 120;

/// Modules and names whose results are of no interest and never looked into. Protocol 2 calls Python's
/// own module `__builtin__`.
const INERT: [(&str, &str); 12] = [
    ("_codecs", "encode"),
    ("collections", "defaultdict"),
    ("builtins", "dict"),
    ("builtins", "set"),
    ("builtins", "complex"),
    ("__builtin__", "dict"),
    ("__builtin__", "set"),
    ("__builtin__", "complex"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("torch", "device"),
];

impl Callable {
    /// The callable of this name.
    ///
    /// # Errors
    /// For every name that is not on the list.
    pub(super) fn named(module: &str, name: &str, origin: Origin) -> Result<Self, String> {
        let scripted = origin == Origin::Scripted;
        let known = match (module, name) {
            (class, _) if scripted && is_script_class(class) => Some(Self::ScriptClass),
            ("torch.jit._pickle", list) if scripted && list.starts_with("build_") => {
                Some(Self::Inert)
            }
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch", "Size") => Some(Self::Size),
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Some(Self::RebuildParameter),
            ("torch", storage) => storage
                .strip_suffix("Storage")
                .and_then(storage_type)
                .map(Self::Storage),
            _ => None,
        };
        let inert = || {
            let listed = INERT.contains(&(module, name));
            let number = module == "torch" && is_number_type(name);
            (listed || number).then_some(Self::Inert)
        };
        known.or_else(inert).ok_or_else(|| {
            let full: String = format!("{module}.{name}").chars().take(LONGEST_NAME).collect();
            format!(
                "{full:?} is code, not data, and is not run; save the weights alone with torch.save(model.state_dict(), path)"
            )
        })
    }

    /// What calling it with a tuple of arguments makes.
    pub(super) fn apply(&self, heap: &Heap, arguments: NodeId) -> Result<Node, String> {
        let arguments = heap.tuple(arguments)?;
        match self {
            Self::OrderedDict => ordered_dict(heap, arguments),
            Self::Size => match arguments {
                [] => Ok(Node::Tuple(Vec::new())),
                [sizes, ..] => Ok(Node::Tuple(heap.items(*sizes)?.to_vec())),
            },
            Self::RebuildTensor => TensorRef::from_arguments(heap, arguments)
                .map(Box::new)
                .map(Node::Tensor),
            Self::RebuildParameter => match arguments.first().map(|&first| heap.get(first)) {
                Some(Node::Tensor(tensor)) => Ok(Node::Tensor(tensor.clone())),
                _ => Err("a parameter is made of something that is no tensor".into()),
            },
            Self::Inert => Ok(Node::Inert),
            Self::ScriptClass => Err("a class is called as a function".into()),
            Self::Storage(_) => Err("a storage is called as a function".into()),
        }
    }
}

fn is_script_class(module: &str) -> bool {
    module == "__torch__" || module.starts_with("__torch__.")
}

/// `OrderedDict()` or `OrderedDict([(key, value), …])`.
fn ordered_dict(heap: &Heap, arguments: &[NodeId]) -> Result<Node, String> {
    let Some(&items) = arguments.first() else {
        return Ok(Node::Dict(Vec::new()));
    };
    let mut pairs = Vec::new();
    for &item in heap.items(items)? {
        match heap.items(item)? {
            &[key, value] => pairs.push((key, value)),
            _ => return Err("an OrderedDict is made of something that is no pair".into()),
        }
    }
    Ok(Node::Dict(pairs))
}

/// The numbers in `torch.<name>Storage`.
fn storage_type(name: &str) -> Option<NumberType> {
    Some(match name {
        "Half" => NumberType::F16,
        "BFloat16" => NumberType::BF16,
        "Float" => NumberType::F32,
        "Double" => NumberType::F64,
        "Byte" | "Char" | "Short" | "Int" | "Long" | "Bool" | "ComplexFloat" | "ComplexDouble" => {
            NumberType::Other(format!("torch.{name}Storage"))
        }
        _ => return None,
    })
}

/// Whether `torch.<name>` is a number type, as optimizer settings may mention one.
fn is_number_type(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        "float16",
        "bfloat16",
        "float32",
        "float64",
        "uint8",
        "int8",
        "int16",
        "int32",
        "int64",
        "bool",
        "complex64",
        "complex128",
    ];
    NAMES.contains(&name)
}

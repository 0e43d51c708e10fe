//! Between a model in memory and tensors by OpenCLIP's names in PyTorch's layout.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use super::{WeightSource, WeightsError};
use crate::model::Clip;
use crate::model::parameter_name::{FileLayout, NamePath};

/// Shape and values of a tensor on its way to a file.
pub(in crate::model) type PlainTensor = (Vec<usize>, Vec<f32>);

/// Copies every parameter and running statistic out of a model, in file layout.
pub(in crate::model) fn tensors_of(clip: &Clip) -> BTreeMap<String, PlainTensor> {
    let mut collector = Collector::default();
    clip.visit(&mut collector);
    collector.tensors
}

/// A model whose values were replaced.
#[derive(Debug)]
pub(in crate::model) struct Filled {
    pub(in crate::model) clip: Clip,
    /// Names of the tensors that were read.
    pub(in crate::model) used: BTreeSet<String>,
    /// Names of those that the source does not have; they keep the model's values.
    pub(in crate::model) kept: Vec<String>,
}

/// Replaces the model's values by those of `source`. Every `ParamId`, the gradient settings and the
/// device stay. The projection heads and `logit_scale_proto` may be absent.
pub(in crate::model) fn fill(
    clip: Clip,
    source: &mut WeightSource,
) -> Result<Filled, WeightsError> {
    let mut filler = Filler {
        path: NamePath::default(),
        source,
        used: BTreeSet::new(),
        kept: Vec::new(),
        failure: None,
    };
    let clip = clip.map(&mut filler);
    match filler.failure {
        Some(failure) => Err(failure),
        None => Ok(Filled {
            clip,
            used: filler.used,
            kept: filler.kept,
        }),
    }
}

#[derive(Default)]
struct Collector {
    path: NamePath,
    tensors: BTreeMap<String, PlainTensor>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        let layout = FileLayout::of(&name, D);
        let value = param.val().detach();
        let shape = layout.file_shape(&value.dims());
        let value = match layout {
            FileLayout::Transposed => value.transpose(),
            FileLayout::Same | FileLayout::Scalar => value,
        };
        let values = value.into_data().iter::<f32>().collect();
        self.tensors.insert(name, (shape, values));
    }
}

/// Puts a source's tensors into a model; remembers the first failure and then changes nothing more.
struct Filler<'a> {
    path: NamePath,
    source: &'a mut WeightSource,
    used: BTreeSet<String>,
    kept: Vec<String>,
    failure: Option<WeightsError>,
}

impl Filler<'_> {
    /// The values for the tensor called `name`, `None` where the model's own are kept.
    fn values(&mut self, name: &str, wanted: &[usize]) -> Result<Option<Vec<f32>>, WeightsError> {
        if is_optional(name) && self.source.entry(name).is_none() {
            self.kept.push(name.to_owned());
            return Ok(None);
        }
        let found = self.source.shape(name)?;
        // A log-scale may also have been written as one row.
        let fits = found == wanted || (wanted.is_empty() && found == [1]);
        if !fits {
            return Err(WeightsError::Shape {
                path: self.source.place().to_owned(),
                tensor: name.to_owned(),
                wanted: wanted.to_vec(),
                found: found.to_vec(),
            });
        }
        let values = self.source.read(name)?;
        self.used.insert(name.to_owned());
        Ok(Some(values))
    }

    fn replace<const D: usize>(
        &mut self,
        name: &str,
        param: Param<Tensor<D>>,
    ) -> Result<Param<Tensor<D>>, WeightsError> {
        let layout = FileLayout::of(name, D);
        let dims = param.lazy_shape();
        let shape = layout.file_shape(&dims);
        let Some(values) = self.values(name, &shape)? else {
            return Ok(param);
        };
        let file_dims = match layout {
            FileLayout::Scalar => dims.to_vec(),
            FileLayout::Same | FileLayout::Transposed => shape,
        };
        Ok(param.map(|old| {
            let tracked = old.is_require_grad();
            let data = TensorData::new(values, file_dims);
            let value = Tensor::from_data(data, &old.device());
            let value = match layout {
                // Contiguous again, so that kernels need not copy it at every step.
                FileLayout::Transposed => contiguous(value.transpose()),
                FileLayout::Same | FileLayout::Scalar => value,
            };
            value.detach().set_require_grad(tracked)
        }))
    }
}

impl ModuleMapper for Filler<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.failure.is_some() {
            return param;
        }
        let unchanged = param.clone();
        let name = self.path.name();
        match self.replace(&name, param) {
            Ok(param) => param,
            Err(failure) => {
                self.failure = Some(failure);
                unchanged
            }
        }
    }
}

fn contiguous<const D: usize>(value: Tensor<D>) -> Tensor<D> {
    let device = value.device();
    Tensor::from_data(value.into_data(), &device)
}

/// Whether OpenCLIP's own models lack this tensor.
pub(in crate::model) fn is_optional(name: &str) -> bool {
    name.contains("projection_head") || name == "logit_scale_proto"
}

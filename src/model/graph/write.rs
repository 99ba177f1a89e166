//! Trained weights put back into the file they came from.

use std::collections::HashMap;
use std::path::Path;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, TensorProto};
use tract_onnx::prelude::f16;

use super::module::OnnxGraph;
use crate::error::{Error, Result};
use crate::onnx;
use crate::onnx::values::{self, Numbers};

impl OnnxGraph {
    /// Puts the weights as they are now into `model`, the file that this was imported from
    /// (at `path`), each in the type that it has there.
    ///
    /// # Errors
    /// [`Error::Onnx`] if a weight does not fit into the file's type.
    pub(crate) fn write_into(&self, path: &Path, model: &mut ModelProto) -> Result<()> {
        let graph = onnx::graph_mut(path, model)?;
        let constants = graph.node.iter_mut().filter(|node| node.op_type == "Constant");
        let constants = constants.filter_map(|node| {
            let name = node.output.first().cloned()?;
            let value = node.attribute.iter_mut().find(|attribute| attribute.name == "value")?;
            Some((name, value.t.as_mut()?))
        });
        let initializers = graph.initializer.iter_mut().map(|tensor| (tensor.name.clone(), tensor));
        let mut tensors: HashMap<String, &mut TensorProto> =
            initializers.chain(constants).collect();
        for (name, values) in self.trained() {
            let Some(tensor) = tensors.get_mut(name) else {
                return Err(Error::onnx(path, format!("the weight \"{name}\" is gone")));
            };
            // What has not learned keeps every bit that it has.
            if values::numbers(path, tensor)?.1 == Numbers::Floats(values.clone()) {
                continue;
            }
            let Some(bytes) = encoded(tensor.data_type, &values) else {
                let reason = format!(
                    "the trained weight \"{name}\" does not fit into the file's half floats"
                );
                return Err(Error::onnx(path, reason));
            };
            tensor.raw_data = bytes;
            tensor.float_data.clear();
            tensor.double_data.clear();
            tensor.int32_data.clear();
            tensor.external_data.clear();
            tensor.data_location = None;
        }
        Ok(())
    }
}

/// Values in a type of floats; none if one is out of its range.
fn encoded(kind: i32, values: &[f32]) -> Option<Vec<u8>> {
    Some(match DataType::try_from(kind) {
        Ok(DataType::Float16) => {
            let halves: Vec<f16> = values.iter().map(|value| f16::from_f32(*value)).collect();
            if !halves.iter().all(|half| half.is_finite()) {
                return None;
            }
            halves.iter().flat_map(|half| half.to_bits().to_le_bytes()).collect()
        }
        Ok(DataType::Bfloat16) => {
            // To the nearest, ties to even.
            let rounded = |value: f32| {
                let bits = value.to_bits();
                ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
            };
            values.iter().flat_map(|value| rounded(*value).to_le_bytes()).collect()
        }
        Ok(DataType::Double) => {
            values.iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect()
        }
        _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    })
}

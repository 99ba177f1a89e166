//! Batch normalization folded into the convolution before it: the statistics are fixed once
//! a model is trained, so the two are one convolution with other weights.

use std::collections::BTreeMap;
use std::path::Path;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

use crate::error::Result;
use crate::onnx::attributes::{float, int};
use crate::onnx::nodes::float_tensor;
use crate::onnx::prune::{keep_what_outputs_need, read_by};
use crate::onnx::values;

/// The operators' own default for what is added to a variance.
const EPSILON: f32 = 1e-5;

/// Folds every batch normalization that directly follows a convolution nobody else reads;
/// how many.
///
/// One behind a ReLU (musicnn) stays: it cannot pass the padding of the next convolution,
/// whose zeros it does not shift.
///
/// # Errors
/// [`crate::Error::Onnx`] if a weight does not hold what it promises.
pub(super) fn fold_batch_norms(path: &Path, model: &mut ModelProto) -> Result<usize> {
    let Some(graph) = &mut model.graph else { return Ok(0) };
    let mut folded: BTreeMap<usize, (usize, [TensorProto; 2])> = BTreeMap::new();
    for (at, norm) in graph.node.iter().enumerate() {
        if let Some((conv, weights)) = fold(path, graph, norm)? {
            folded.insert(at, (conv, weights));
        }
    }
    let count = folded.len();
    for (norm, (conv, [weight, bias])) in &folded {
        let output = graph.node[*norm].output.clone();
        let conv = &mut graph.node[*conv];
        conv.input.truncate(1);
        conv.input.extend([weight.name.clone(), bias.name.clone()]);
        conv.output = output;
    }
    let mut at = 0..;
    graph.node.retain(|_| at.next().is_none_or(|at| !folded.contains_key(&at)));
    graph.initializer.extend(folded.into_values().flat_map(|(_, weights)| weights));
    graph.value_info.clear();
    keep_what_outputs_need(graph);
    Ok(count)
}

/// The convolution before `norm` and its new weight and bias; none if it is not to be folded.
fn fold(
    path: &Path,
    graph: &GraphProto,
    norm: &NodeProto,
) -> Result<Option<(usize, [TensorProto; 2])>> {
    let [input, statistics @ ..] = norm.input.as_slice() else { return Ok(None) };
    let learning = int(norm, "training_mode", 0) != 0;
    // Before opset 9 there were statistics for each place.
    let of_places = int(norm, "spatial", 1) == 0;
    let is_norm = norm.op_type == "BatchNormalization" && norm.output.len() == 1;
    if !is_norm || learning || of_places {
        return Ok(None);
    }
    let Some(at) = graph.node.iter().position(|node| node.output.contains(input)) else {
        return Ok(None);
    };
    let conv = &graph.node[at];
    let readers = graph.node.iter().flat_map(read_by).filter(|name| *name == input);
    let shown = graph.output.iter().any(|port| port.name == *input);
    if conv.op_type != "Conv" || readers.count() > 1 || shown {
        return Ok(None);
    }
    let is_float = |tensor: &&TensorProto| tensor.data_type == DataType::Float as i32;
    let constant = |name: &String| {
        graph.initializer.iter().find(|tensor| tensor.name == *name).filter(is_float)
    };
    let values = |tensor: &TensorProto| values::floats(path, tensor);
    let Some(statistics) = statistics.iter().map(constant).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let Some(weight) = conv.input.get(1).and_then(constant) else { return Ok(None) };
    let bias = conv.input.get(2).filter(|name| !name.is_empty()).map(constant);
    if matches!(bias, Some(None)) || statistics.len() != 4 {
        return Ok(None);
    }
    let (shape, weights) = values(weight)?;
    let statistics: Vec<Vec<f32>> =
        statistics.into_iter().map(|t| Ok(values(t)?.1)).collect::<Result<_>>()?;
    let channels = shape.first().copied().unwrap_or(0);
    let bias = match bias.flatten() {
        Some(bias) => values(bias)?.1,
        None => vec![0.0; channels],
    };
    let fits = statistics.iter().chain([&bias]).all(|values| values.len() == channels);
    if !fits || channels == 0 {
        return Ok(None);
    }
    let epsilon = float(norm, "epsilon", EPSILON);
    let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|part: usize| &statistics[part]);
    let slopes: Vec<f64> = (gamma.iter().zip(variance))
        .map(|(gamma, variance)| {
            f64::from(*gamma) / (f64::from(*variance) + f64::from(epsilon)).sqrt()
        })
        .collect();
    let kernels = weights.chunks_exact(weights.len() / channels).zip(&slopes);
    let weights: Vec<f32> = kernels
        .flat_map(|(kernel, slope)| kernel.iter().map(move |w| (f64::from(*w) * slope) as f32))
        .collect();
    let offset = |c: usize| (f64::from(bias[c]) - f64::from(mean[c])) * slopes[c];
    let bias: Vec<f32> = (0..channels).map(|c| (offset(c) + f64::from(beta[c])) as f32).collect();
    // PyTorch's layers call their own weights and biases after a layer.
    let name = |part| {
        let mut name = format!("{}.{part}", norm.output[0]);
        while graph.initializer.iter().any(|tensor| tensor.name == name) {
            name.push_str(".folded");
        }
        name
    };
    let folded = [
        float_tensor(&name("weight"), &shape, &weights),
        float_tensor(&name("bias"), &[channels], &bias),
    ];
    Ok(Some((at, folded)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::nodes::{node, port};

    fn graph(readers: &[&str]) -> ModelProto {
        let mut nodes = vec![
            node("Conv", &["x", "w"], "c", vec![]),
            node("BatchNormalization", &["c", "gamma", "beta", "mean", "variance"], "n", vec![]),
            node("Relu", &["n"], "y", vec![]),
        ];
        nodes.extend(readers.iter().map(|tensor| node("Relu", &[tensor], "z", vec![])));
        let vector = |name, values: [f32; 2]| float_tensor(name, &[2], &values);
        let mut output = vec![port("y", None, &[2])];
        output.extend(readers.iter().map(|_| port("z", None, &[2])));
        let graph = GraphProto {
            node: nodes,
            initializer: vec![
                float_tensor("w", &[2, 1, 1, 1], &[3.0, 5.0]),
                vector("gamma", [2.0, 1.0]),
                vector("beta", [0.5, -1.0]),
                vector("mean", [1.0, 0.0]),
                vector("variance", [4.0 - EPSILON, 1.0 - EPSILON]),
            ],
            output,
            ..Default::default()
        };
        ModelProto { graph: Some(graph), ..Default::default() }
    }

    #[test]
    fn a_normalization_becomes_part_of_its_convolution() {
        let mut model = graph(&[]);
        assert_eq!(fold_batch_norms(Path::new("m.onnx"), &mut model).unwrap(), 1);
        let graph = model.graph.unwrap();
        let operators: Vec<&str> = graph.node.iter().map(|node| node.op_type.as_str()).collect();
        assert_eq!(operators, ["Conv", "Relu"]);
        assert_eq!(graph.node[0].input, ["x", "n.weight", "n.bias"]);
        assert_eq!(graph.node[0].output, ["n"]);
        let value = |at: usize| values::floats(Path::new(""), &graph.initializer[at]).unwrap().1;
        // (3 x - 1) * 2 / 2 + 0.5 and (5 x - 0) * 1 / 1 - 1.
        assert_eq!([value(0), value(1)], [vec![3.0, 5.0], vec![-0.5, -1.0]]);
        assert_eq!(graph.initializer.len(), 2, "nothing unused may stay");
    }

    /// What is not a normalization of channels by 32-bit floats, or has names that are taken.
    #[test]
    fn what_cannot_be_folded_stays_and_names_are_free() {
        let mut half = graph(&[]);
        half.graph.as_mut().unwrap().initializer[0].data_type = DataType::Float16 as i32;
        let mut of_places = graph(&[]);
        let spatial = crate::onnx::nodes::int("spatial", 0);
        of_places.graph.as_mut().unwrap().node[1].attribute.push(spatial);
        for mut model in [half, of_places] {
            assert_eq!(fold_batch_norms(Path::new("m.onnx"), &mut model).unwrap(), 0);
        }
        let mut model = graph(&[]);
        let inner = model.graph.as_mut().unwrap();
        inner.initializer[1].name = "n.weight".to_owned();
        inner.node[1].input[1] = "n.weight".to_owned();
        assert_eq!(fold_batch_norms(Path::new("m.onnx"), &mut model).unwrap(), 1);
        let names: Vec<String> =
            model.graph.unwrap().initializer.into_iter().map(|tensor| tensor.name).collect();
        assert_eq!(names, ["n.weight.folded", "n.bias"]);
    }

    #[test]
    fn a_convolution_that_something_else_reads_stays() {
        let mut model = graph(&["c"]);
        assert_eq!(fold_batch_norms(Path::new("m.onnx"), &mut model).unwrap(), 0);
        assert_eq!(model.graph.unwrap().node.len(), 4);
    }
}

//! The operator set that a graph needs.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use tract_onnx::pb::{GraphProto, ModelProto};

use super::nodes::{int, int64_tensor, ints};
use super::prune::{graphs, graphs_mut};
use super::values;
use crate::error::{Error, Result};

/// Since this version of the file format initializers need not be inputs.
pub(crate) const OLDEST_FORMAT: i64 = 4;
/// Broadcasting as it is today, since this opset.
const OLDEST: i64 = 7;
/// The newest that all we write was tried in.
const NEWEST: i64 = 23;

/// Operators in the form that opset 17 knows, and the first opset with that form (of
/// [the list](https://github.com/onnx/onnx/blob/main/docs/Changelog.md)), for the inputs and
/// attributes that our graphs give them.
const SINCE: &[(&str, i64)] = &[
    ("Add", 7),
    ("AveragePool", 10),
    ("BatchNormalization", 9),
    ("Cast", 6),
    ("Concat", 4),
    ("Conv", 1),
    ("ConvInteger", 10),
    // With a scale for each channel.
    ("DequantizeLinear", 13),
    ("Div", 7),
    ("DynamicQuantizeLinear", 11),
    ("Flatten", 9),
    ("Gather", 1),
    ("Gemm", 7),
    ("GlobalAveragePool", 1),
    ("Identity", 1),
    ("Log", 6),
    ("MatMul", 1),
    ("MatMulInteger", 10),
    ("MaxPool", 10),
    ("Mul", 7),
    ("QuantizeLinear", 13),
    ("ReduceMean", 1),
    ("Relu", 6),
    ("Reshape", 5),
    ("Shape", 1),
    ("Sigmoid", 6),
    ("Slice", 10),
    // Over the last axis; over another, 13.
    ("Softmax", 1),
    ("Sqrt", 6),
    ("Sub", 7),
    ("Tile", 6),
    ("Transpose", 1),
];

/// The opset of the ONNX operators in `model`; 0 if it says none.
pub(crate) fn of(model: &ModelProto) -> i64 {
    let sets = model.opset_import.iter().filter(|set| is_own(&set.domain));
    sets.map(|set| set.version).max().unwrap_or(0)
}

/// Whether a domain is that of ONNX's own operators, which has two names.
pub(crate) fn is_own(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// The opset of `model`, the file at `path`, in which what we add to it is then written.
///
/// # Errors
/// [`Error::Onnx`] if it is one that we cannot write in.
pub(crate) fn check(path: &Path, model: &ModelProto) -> Result<i64> {
    let opset = of(model);
    if (OLDEST..=NEWEST).contains(&opset) {
        return Ok(opset);
    }
    let reason = format!(
        "its operators are of opset {opset}, and a model can be exported with a backbone of opset \
         {OLDEST} to {NEWEST}; convert it first (onnx.version_converter)"
    );
    Err(Error::onnx(path, reason))
}

/// Declares the oldest opset that `model` can do with, if all its operators are in [`SINCE`].
pub(crate) fn lower(model: &mut ModelProto) {
    let Some(graph) = &mut model.graph else { return };
    let since: HashMap<&str, i64> = SINCE.iter().copied().collect();
    let oldest = graph.node.iter().map(|node| since.get(&*node.op_type).copied());
    let Some(oldest) = oldest.collect::<Option<Vec<i64>>>() else { return };
    let oldest = oldest.into_iter().max().unwrap_or(0).max(OLDEST);
    give_means_their_axes(graph);
    model.opset_import.iter_mut().filter(|set| set.domain.is_empty()).for_each(|set| {
        set.version = set.version.min(oldest);
    });
    model.ir_version = model.ir_version.min(ir_version(oldest));
}

/// Axes of a mean are an input since opset 18, and were an attribute before.
fn give_means_their_axes(graph: &mut GraphProto) {
    let GraphProto { node, initializer, .. } = graph;
    for mean in node.iter_mut().filter(|node| node.op_type == "ReduceMean") {
        let Some(name) = mean.input.get(1) else { continue };
        let axes = initializer.iter().find(|tensor| tensor.name == *name);
        let axes = axes.and_then(|tensor| values::ints(Path::new(name), tensor).ok());
        if let Some(axes) = axes {
            mean.attribute.push(ints("axes", &axes));
            mean.input.truncate(1);
        }
    }
    let used: HashSet<&String> = node.iter().flat_map(|node| &node.input).collect();
    initializer.retain(|tensor| used.contains(&tensor.name));
}

/// Since this opset an operator means what it means in all later ones that we write, but for
/// [`CHANGED`] and what [`raise`] rewrites.
const STEADY: i64 = 13;

/// Operators with another meaning since an opset (the same list): what they were cannot be told
/// from the node alone.
const CHANGED: [(&str, i64); 4] =
    [("RoiAlign", 16), ("DFT", 20), ("GridSample", 20), ("GroupNormalization", 21)];

/// Brings `model`, the file at `path`, to the opset `to`, the same or a later one, so that it can
/// stand in one graph with others.
///
/// # Errors
/// [`Error::Onnx`] if what it means there cannot be told.
pub(crate) fn raise(path: &Path, model: &mut ModelProto, to: i64) -> Result<()> {
    let from = of(model);
    if from == to {
        return Ok(());
    }
    let refuse = |what: String| {
        let advice = "convert it first (onnx.version_converter)";
        Err(Error::onnx(
            path,
            format!("{what} opset {to}, beside a file of which it is to stand; {advice}"),
        ))
    };
    if from < STEADY {
        return refuse(format!("it is of opset {from} and cannot be brought to"));
    }
    let Some(graph) = &mut model.graph else { return Ok(()) };
    for (operator, since) in CHANGED {
        if from < since && since <= to && has(graph, operator) {
            return refuse(format!("its operator {operator} of opset {from} is another one in"));
        }
    }
    if from < 18 && 18 <= to {
        give_axes_as_inputs(graph);
    }
    for set in model.opset_import.iter_mut().filter(|set| is_own(&set.domain)) {
        set.version = to;
    }
    model.ir_version = model.ir_version.max(ir_version(to));
    Ok(())
}

fn has(graph: &GraphProto, operator: &str) -> bool {
    graph.node.iter().any(|node| {
        let mut inner = node.attribute.iter().flat_map(graphs);
        node.op_type == operator || inner.any(|graph| has(graph, operator))
    })
}

/// As opset 18 wants it: the axes of a reduction as an input, and the number of parts of a split
/// that does not say their sizes.
fn give_axes_as_inputs(graph: &mut GraphProto) {
    let GraphProto { node, initializer, .. } = graph;
    for node in node {
        graphs_mut(node).for_each(give_axes_as_inputs);
        if !is_own(&node.domain) {
            continue;
        }
        let sizes = node.input.get(1).is_some_and(|name| !name.is_empty());
        match &*node.op_type {
            // Its axes are an input already.
            "ReduceSum" => {}
            "Split" if !sizes => {
                node.attribute.push(int("num_outputs", node.output.len() as i64));
            }
            name if name.starts_with("Reduce") => {
                let at = node.attribute.iter().position(|attribute| attribute.name == "axes");
                let Some(axes) = at.map(|at| node.attribute.remove(at).ints) else { continue };
                let name = format!("{}/axes", node.output[0]);
                initializer.push(int64_tensor(&name, axes));
                node.input.truncate(1);
                node.input.push(name);
            }
            _ => {}
        }
    }
}

/// The version of the file format that came with an opset.
fn ir_version(opset: i64) -> i64 {
    match opset {
        ..=9 => 4,
        10 => 5,
        11 => 6,
        12..=14 => 7,
        15..=18 => 8,
        19..=20 => 9,
        21..=22 => 10,
        _ => 11,
    }
}

#[cfg(test)]
mod tests {
    use ndarray::ArrayD;
    use prost::Message;
    use tract_onnx::pb::{NodeProto, OperatorSetIdProto};

    use super::*;
    use crate::onnx::nodes::{node, port};
    use crate::runtime::{self, Options, Runtime};

    fn model(version: i64, nodes: Vec<NodeProto>) -> ModelProto {
        let set = OperatorSetIdProto { domain: String::new(), version };
        let graph = GraphProto {
            name: "raised".into(),
            node: nodes,
            input: vec![port("x", None, &[2, 4])],
            output: vec![port("y", None, &[2, 1])],
            ..Default::default()
        };
        ModelProto {
            ir_version: 7,
            opset_import: vec![set],
            graph: Some(graph),
            ..Default::default()
        }
    }

    fn answer(model: &ModelProto, runtime: Runtime) -> ArrayD<f32> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), model.encode_to_vec()).unwrap();
        let mut session = runtime::open(runtime, file.path(), &Options::default()).unwrap();
        let x = ArrayD::from_shape_fn(vec![3, 2, 4], |at| (at[0] * 8 + at[1] * 4 + at[2]) as f32);
        session.run(x.view()).unwrap().remove(0)
    }

    #[test]
    fn a_raised_file_answers_as_before() {
        let split = NodeProto {
            output: vec!["a".into(), "b".into()],
            ..node("Split", &["x"], "a", vec![int("axis", 2)])
        };
        let old = model(
            13,
            vec![
                split,
                node("Mul", &["a", "b"], "product", vec![]),
                node("ReduceMax", &["product"], "y", vec![ints("axes", &[2]), int("keepdims", 1)]),
            ],
        );
        // The domain by its other name.
        let mut named = old.clone();
        let nodes = named.graph.iter_mut().flat_map(|graph| &mut graph.node);
        nodes.for_each(|node| node.domain = "ai.onnx".to_owned());
        raise(Path::new("m.onnx"), &mut named, 18).unwrap();
        assert_eq!(named.graph.unwrap().node[2].input.len(), 2);
        for runtime in [Runtime::Tract, Runtime::Ort] {
            if runtime.version().is_none() {
                continue;
            }
            let wanted = answer(&old, runtime);
            assert_eq!(wanted.as_slice().unwrap()[..2], [3.0, 35.0]);
            for to in [17, 18, 21] {
                let mut raised = old.clone();
                raise(Path::new("m.onnx"), &mut raised, to).unwrap();
                assert_eq!((of(&raised), answer(&raised, runtime)), (to, wanted.clone()));
            }
        }
    }

    #[test]
    fn what_meant_something_else_is_not_raised() {
        let text = |from, operator: &str, to| {
            let mut model = model(from, vec![node(operator, &["x"], "y", vec![])]);
            raise(Path::new("m.onnx"), &mut model, to).unwrap_err().to_string()
        };
        assert!(text(11, "Relu", 13).contains("opset 11 and cannot be brought to opset 13"));
        assert!(text(17, "DFT", 20).contains("operator DFT of opset 17"));
        raise(Path::new("m.onnx"), &mut model(17, vec![]), 20).unwrap();
    }
}

//! What a graph asks of whoever runs it, whatever it is given: turns of a loop and sizes that
//! stand in the file. A few bytes can ask for a machine's memory, or for ever; runtimes believe
//! them, and abort the process or never end.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::attributes::attribute;
use super::scope::{Scope, inner_graphs};

/// The most turns of a loop, those of loops inside it multiplied: as many as the longest patch has
/// frames.
const MOST_TURNS: u64 = 1 << 16;

/// The most elements of a tensor whose size stands in the file: a gigabyte of floats.
const MOST_ELEMENTS: u64 = 1 << 28;

/// The most axes of a tensor: tract takes memory for every one up to the place that is asked for.
const MOST_AXES: u64 = 64;

/// Operators that make a count of a shape, and no large one of a small one.
const COUNTING: [&str; 22] = [
    "Shape",
    "Size",
    "Gather",
    "Slice",
    "Squeeze",
    "Unsqueeze",
    "Reshape",
    "Cast",
    "Identity",
    "Concat",
    "Add",
    "Sub",
    "Div",
    "Min",
    "Max",
    "ReduceMin",
    "ReduceMax",
    "Floor",
    "Ceil",
    "Round",
    "SequenceLength",
    "Where",
];

/// What is asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Excess {
    #[error(
        "Loop \"{node}\" may never end: {why}; export the model with a loop of a fixed number of \
         turns, or of one for each frame"
    )]
    Endless { node: String, why: String },
    #[error("{operator} \"{node}\" asks for axis {axis}, and no tensor has more than {MOST_AXES}")]
    Axis { operator: String, node: String, axis: i64 },
    #[error("{operator} \"{node}\" makes {elements} elements, more than {MOST_ELEMENTS}")]
    Elements { operator: String, node: String, elements: u64 },
}

/// Checks all nodes of `graph` and of the graphs inside it.
///
/// # Errors
/// The first that asks for too much.
pub(super) fn check(graph: &GraphProto) -> Result<(), Excess> {
    check_graph(graph, None, 1)
}

/// A graph that is run so many times.
// The recursion is bounded: prost refuses messages nested more than 100 deep.
fn check_graph(graph: &GraphProto, outer: Option<&Scope>, times: u64) -> Result<(), Excess> {
    let scope = Scope::of(graph, outer);
    for node in &graph.node {
        check_axes(node, &scope)?;
        check_elements(node, &scope)?;
        let turns = if node.op_type == "Loop" { turns(node, &scope, times)? } else { 1 };
        for inner in inner_graphs(node) {
            check_graph(inner, Some(&scope), times.saturating_mul(turns))?;
        }
    }
    Ok(())
}

/// A node's name for messages: its own, or its first output's.
fn name_of(node: &NodeProto) -> String {
    if node.name.is_empty() {
        node.output.first().cloned().unwrap_or_default()
    } else {
        node.name.clone()
    }
}

/// The turns of a loop that stands in the file; 1 where they are as many as something has axes or
/// elements.
fn turns(node: &NodeProto, scope: &Scope, times: u64) -> Result<u64, Excess> {
    let endless = |why: String| Err(Excess::Endless { node: name_of(node), why });
    let Some(count) = node.input.first().filter(|name| !name.is_empty()) else {
        return endless("it has no number of turns".to_owned());
    };
    if let Some(tensor) = scope.constant(count) {
        return match integers(tensor).as_deref() {
            Some([turns]) if times.saturating_mul((*turns).max(0) as u64) <= MOST_TURNS => {
                Ok((*turns).max(1) as u64)
            }
            Some([turns]) if times > 1 => {
                endless(format!("{turns} turns, {times} times over, are more than {MOST_TURNS}"))
            }
            Some([turns]) => endless(format!("{turns} turns are more than {MOST_TURNS}")),
            _ => endless("its number of turns is no number".to_owned()),
        };
    }
    match uncounted(count, scope, &mut 1000) {
        None => Ok(1),
        Some(what) => endless(format!("nothing bounds its number of turns, which {what}")),
    }
}

/// What in the making of the number `name` is no counting of a shape; `left` steps are looked at.
fn uncounted(name: &str, scope: &Scope, left: &mut usize) -> Option<String> {
    if name.is_empty() {
        return None;
    }
    if let Some(tensor) = scope.constant(name) {
        let values = integers(tensor).unwrap_or_default();
        let large = values.iter().find(|value| value.unsigned_abs() > MOST_TURNS)?;
        // The end of a slice, as exporters write it, is no number that is counted with.
        return (*large < i64::MAX - (1 << 32) && *large > i64::MIN + (1 << 32))
            .then(|| format!("is made with {large}"));
    }
    let Some(maker) = scope.maker(name) else {
        return Some(format!("is given from outside as \"{name}\""));
    };
    *left = left.saturating_sub(1);
    match maker.op_type.as_str() {
        _ if *left == 0 => Some("is made in too many steps".to_owned()),
        "Shape" | "Size" | "SequenceLength" => None,
        operator if COUNTING.contains(&operator) => {
            maker.input.iter().find_map(|input| uncounted(input, scope, left))
        }
        operator => Some(format!("comes from {operator}")),
    }
}

/// Refuses an axis that no tensor has.
fn check_axes(node: &NodeProto, scope: &Scope) -> Result<(), Excess> {
    let named = ["axis", "axes", "batch_axis", "time_axis", "batch_dims"];
    let attributes = named.into_iter().filter_map(|key| attribute(node, key));
    let attributes = attributes.flat_map(|found| found.ints.iter().copied().chain([found.i]));
    let input = match node.op_type.as_str() {
        "Squeeze" | "Unsqueeze" | "CumSum" => node.input.get(1),
        "DFT" => node.input.get(2),
        operator if operator.starts_with("Reduce") => node.input.get(1),
        _ => None,
    };
    let stored = input.and_then(|name| integers(scope.constant(name)?)).unwrap_or_default();
    match attributes.chain(stored).find(|axis| axis.unsigned_abs() > MOST_AXES) {
        Some(axis) => {
            Err(Excess::Axis { operator: node.op_type.clone(), node: name_of(node), axis })
        }
        None => Ok(()),
    }
}

/// Refuses a tensor whose size stands in the file and is beyond all use.
fn check_elements(node: &NodeProto, scope: &Scope) -> Result<(), Excess> {
    let given = |at: usize| {
        let name = node.input.get(at)?;
        integers(scope.constant(name)?)
    };
    let listed = |key: &str| attribute(node, key).map(|found| found.ints.clone());
    let sizes = match node.op_type.as_str() {
        "ConstantOfShape" => given(0).or_else(|| listed("value")),
        "Expand" | "Tile" => given(1),
        "Resize" => given(3),
        "Upsample" => None,
        "OneHot" => given(1).filter(|depth| depth.len() == 1),
        "RandomNormal" | "RandomUniform" => listed("shape"),
        "HannWindow" | "HammingWindow" | "BlackmanWindow" | "Bernoulli" => given(0),
        "Pad" => given(1)
            .map(|pads| pads.into_iter().map(|pad| pad.saturating_abs()).max())
            .map(|most| vec![most.unwrap_or(0)]),
        "Range" => range(given(0), given(1), given(2)).map(|count| vec![count]),
        _ => None,
    };
    let positive = |size: i64| u64::try_from(size).unwrap_or(1).max(1);
    let product = |sizes: Vec<i64>| sizes.into_iter().map(positive).fold(1, u64::saturating_mul);
    match sizes.map(product) {
        Some(elements) if elements > MOST_ELEMENTS => {
            Err(Excess::Elements { operator: node.op_type.clone(), node: name_of(node), elements })
        }
        _ => Ok(()),
    }
}

/// The elements of a range of whole numbers that stand in the file.
fn range(start: Option<Vec<i64>>, end: Option<Vec<i64>>, step: Option<Vec<i64>>) -> Option<i64> {
    let (start, end, step) = (*start?.first()?, *end?.first()?, *step?.first()?);
    end.saturating_sub(start).checked_div(step)
}

/// The whole numbers in a tensor that has few of them, in the file itself.
fn integers(tensor: &TensorProto) -> Option<Vec<i64>> {
    let kind = DataType::try_from(tensor.data_type).ok()?;
    let few = |count: usize| count <= 64;
    match kind {
        DataType::Int64 if !tensor.raw_data.is_empty() => {
            let words = tensor.raw_data.as_chunks::<8>().0;
            few(words.len()).then(|| words.iter().map(|word| i64::from_le_bytes(*word)).collect())
        }
        DataType::Int64 => few(tensor.int64_data.len()).then(|| tensor.int64_data.clone()),
        DataType::Int32 if !tensor.raw_data.is_empty() => {
            let words = tensor.raw_data.as_chunks::<4>().0;
            let wide = |word: &[u8; 4]| i32::from_le_bytes(*word).into();
            few(words.len()).then(|| words.iter().map(wide).collect())
        }
        DataType::Int32 => {
            let values = &tensor.int32_data;
            few(values.len()).then(|| values.iter().map(|value| (*value).into()).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::pb::AttributeProto;

    fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: operator.into(),
            name: output.into(),
            input: inputs.iter().map(ToString::to_string).collect(),
            output: vec![output.into()],
            ..Default::default()
        }
    }

    fn ints(name: &str, values: &[i64]) -> TensorProto {
        TensorProto {
            name: name.into(),
            data_type: DataType::Int64 as i32,
            dims: vec![values.len() as i64],
            int64_data: values.to_vec(),
            ..Default::default()
        }
    }

    fn looped(count: &str, body: Vec<NodeProto>) -> NodeProto {
        let body = GraphProto { node: body, ..Default::default() };
        let body = AttributeProto { name: "body".into(), g: Some(body), ..Default::default() };
        NodeProto { attribute: vec![body], ..node("Loop", &[count, "go", "x"], "l") }
    }

    fn checked(nodes: Vec<NodeProto>, stored: Vec<TensorProto>) -> Result<(), String> {
        let graph = GraphProto { node: nodes, initializer: stored, ..Default::default() };
        check(&graph).map_err(|excess| excess.to_string())
    }

    #[test]
    fn a_loop_has_a_bound_or_is_refused_by_its_name() {
        let few = || ints("few", &[100]);
        assert_eq!(checked(vec![looped("few", vec![])], vec![few()]), Ok(()));
        let frames = vec![
            node("Shape", &["x"], "shape"),
            node("Gather", &["shape", "one"], "frames"),
            node("Sub", &["frames", "one"], "turns"),
            looped("turns", vec![]),
        ];
        assert_eq!(checked(frames, vec![ints("one", &[1])]), Ok(()));
        for (count, stored, why) in [
            ("", vec![], "has no number of turns"),
            ("m", vec![ints("m", &[i64::MAX])], "turns are more than 65536"),
            ("m", vec![], "is given from outside as \"m\""),
        ] {
            let text = checked(vec![looped(count, vec![])], stored).unwrap_err();
            assert!(text.contains("Loop \"l\" may never end") && text.contains(why), "{text}");
        }
        let made = vec![node("Mul", &["few", "few"], "m"), looped("m", vec![])];
        assert!(checked(made, vec![few()]).unwrap_err().contains("comes from Mul"));
        // 100 by 100 by 100 turns.
        let inner = looped("few", vec![looped("few", vec![])]);
        let text = checked(vec![looped("few", vec![inner])], vec![few()]).unwrap_err();
        assert!(text.contains("100 turns, 10000 times over"), "{text}");
        assert_eq!(checked(vec![looped("few", vec![looped("few", vec![])])], vec![few()]), Ok(()));
    }

    #[test]
    fn an_axis_that_no_tensor_has_is_refused_by_its_node() {
        let axis =
            |axis: i64| AttributeProto { name: "axis".into(), i: axis, ..Default::default() };
        let fourier = |at: i64| NodeProto { attribute: vec![axis(at)], ..node("DFT", &["x"], "y") };
        assert_eq!(checked(vec![fourier(-2)], vec![]), Ok(()));
        let text = checked(vec![fourier(70_000)], vec![]).unwrap_err();
        assert!(text.contains("DFT \"y\" asks for axis 70000"), "{text}");
        let squeeze = vec![node("Squeeze", &["x", "far"], "y")];
        assert!(checked(squeeze, vec![ints("far", &[0, 1 << 33])]).is_err());
    }

    #[test]
    fn a_size_that_takes_all_memory_is_refused_by_its_node() {
        let huge = || ints("huge", &[1 << 20, 1 << 20]);
        for (operator, inputs) in [
            ("ConstantOfShape", vec!["huge"]),
            ("Expand", vec!["x", "huge"]),
            ("Tile", vec!["x", "huge"]),
            ("Resize", vec!["x", "", "", "huge"]),
        ] {
            let text = checked(vec![node(operator, &inputs, "y")], vec![huge()]).unwrap_err();
            assert!(text.contains(&format!("{operator} \"y\" makes 1099511627776")), "{text}");
        }
        let range = vec![node("Range", &["zero", "most", "one"], "y")];
        let stored = vec![ints("zero", &[0]), ints("most", &[i64::MAX]), ints("one", &[1])];
        assert!(checked(range, stored).unwrap_err().contains("Range \"y\""));
        let fine = vec![node("Expand", &["x", "some"], "y")];
        assert_eq!(checked(fine, vec![ints("some", &[-1, 128, 1024])]), Ok(()));
    }
}

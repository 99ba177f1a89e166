//! The layers with weights of a graph, with the numbers that `finetune` counts them by.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use tract_onnx::pb::NodeProto;

use super::walk::{Walk, name_of};
use super::work::{is_counted, multiply_adds};

/// Operators that begin a layer where one of their inputs is a matrix of weights, or where
/// `finetune` counts one.
const BEGINNINGS: [&str; 15] = [
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "Einsum",
    "FusedConv",
    "FusedGemm",
    "FusedMatMul",
    "GRU",
    "Gemm",
    "LSTM",
    "MatMul",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
    "RNN",
];

/// A layer: an operator with weights, and all that follows until the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Counted from the embeddings backwards: the least N with which `finetune` trains this
    /// layer; none if it cannot train it, or if that is not known.
    pub unfreeze: Option<usize>,
    /// The operator that it begins with.
    pub operator: String,
    /// That node's name, or its output's where it has none.
    pub name: String,
    /// Shape of that node's output for one patch; none where it is not known.
    pub output: Option<Vec<u64>>,
    /// Weights, biases, and scales and statistics of normalizations after it.
    pub parameters: u64,
    /// Multiplications that are added up, for one patch; none where a shape is not known.
    pub multiply_adds: Option<u64>,
}

/// What `finetune` calls the layers by number: the places in `walk` of the nodes that begin
/// those called `names`, which are the importer's, from the input on.
///
/// # Errors
/// Why that cannot be told, in a few words.
pub(super) fn numbers(walk: &Walk, names: &[String]) -> Result<HashMap<usize, usize>, String> {
    if names.is_empty() {
        return Err("burn finds no weights in it that could learn".to_owned());
    }
    let mut called: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, node) in walk.nodes.iter().enumerate().filter(|(p, _)| !walk.constant[*p]) {
        if may_begin(node) {
            called.entry(name_of(node)).or_default().push(place);
        }
    }
    let number = |(at, name): (usize, &String)| match called.get(name.as_str()) {
        Some(places) if places.len() == 1 => Ok((places[0], names.len() - at)),
        // A file may give several nodes one name.
        _ => Err(format!("\"{name}\" is not the name of one layer alone")),
    };
    names.iter().enumerate().map(number).collect()
}

/// The layers of `walk` in the order in which they are computed, with the [`numbers`] of those
/// that have one; `sizes` are the shapes that are known.
pub(super) fn layers(
    walk: &Walk,
    numbers: &HashMap<usize, usize>,
    sizes: &BTreeMap<String, Vec<u64>>,
) -> Vec<Layer> {
    let shape = |name: &str| shape(walk, sizes, name);
    let mut layers: Vec<Layer> = vec![];
    let mut counted = HashSet::new();
    // What has weights before the first layer is trained with it.
    let (mut early_parameters, mut early_work) = (0u64, Some(0u64));
    for (place, node) in walk.nodes.iter().enumerate().filter(|(p, _)| !walk.constant[*p]) {
        let unfreeze = numbers.get(&place).copied();
        if unfreeze.is_some() || begins(walk, node, shape) {
            layers.push(Layer {
                unfreeze,
                operator: node.op_type.clone(),
                name: name_of(node).to_owned(),
                output: node.output.first().and_then(|name| shape(name)),
                parameters: std::mem::take(&mut early_parameters),
                multiply_adds: early_work.replace(0),
            });
        }
        let (parameters, work) = match layers.last_mut() {
            Some(layer) => (&mut layer.parameters, &mut layer.multiply_adds),
            None => (&mut early_parameters, &mut early_work),
        };
        for name in &node.input {
            *parameters = parameters.saturating_add(walk.parameters(name, &mut counted));
        }
        *work = work.zip(multiply_adds(node, shape)).map(|(all, one)| all.saturating_add(one));
    }
    layers
}

/// All multiply-adds of the graph for one patch, and the operators among them whose shapes are
/// not known, which are left out of the sum.
pub(super) fn work(walk: &Walk, sizes: &BTreeMap<String, Vec<u64>>) -> (u64, usize) {
    let counted = walk.nodes.iter().zip(&walk.constant).filter(|(_, constant)| !**constant);
    let (mut sum, mut unknown) = (0u64, 0);
    for (node, _) in counted.filter(|(node, _)| is_counted(node)) {
        match multiply_adds(node, |name| shape(walk, sizes, name)) {
            Some(work) => sum = sum.saturating_add(work),
            None => unknown += 1,
        }
    }
    (sum, unknown)
}

fn may_begin(node: &NodeProto) -> bool {
    BEGINNINGS.contains(&node.op_type.as_str())
}

fn begins(walk: &Walk, node: &NodeProto, shape: impl Fn(&str) -> Option<Vec<u64>>) -> bool {
    // A weight whose shape is not known is computed from others, which have axes enough.
    let is_matrix =
        |name: &String| walk.is_constant(name) && shape(name).is_none_or(|sizes| sizes.len() >= 2);
    may_begin(node) && node.input.iter().any(is_matrix)
}

fn shape(walk: &Walk, sizes: &BTreeMap<String, Vec<u64>>, name: &str) -> Option<Vec<u64>> {
    walk.weight_shape(name).map(<[u64]>::to_vec).or_else(|| sizes.get(name).cloned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tract_onnx::pb::{GraphProto, TensorProto, ValueInfoProto};

    use super::*;

    /// Products of an input with a matrix, two vectors and another matrix, called `names`.
    fn graph(names: [&str; 4]) -> GraphProto {
        let weight = |(name, dims): (&str, &[i64])| TensorProto {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: 1,
            ..Default::default()
        };
        let sizes: [(&str, &[i64]); 4] =
            [("w0", &[4, 4]), ("w1", &[4]), ("w2", &[4]), ("w3", &[4, 2])];
        let product = |(at, name): (usize, &str)| NodeProto {
            op_type: "MatMul".into(),
            name: name.into(),
            input: vec![format!("x{at}"), format!("w{at}")],
            output: vec![format!("x{}", at + 1)],
            ..Default::default()
        };
        GraphProto {
            node: names.into_iter().enumerate().map(product).collect(),
            initializer: sizes.into_iter().map(weight).collect(),
            input: vec![ValueInfoProto { name: "x0".into(), ..Default::default() }],
            ..Default::default()
        }
    }

    #[test]
    fn layers_have_the_importers_numbers() {
        let graph = graph(["a", "b", "", "d"]);
        let walk = Walk::of(Path::new("a.onnx"), &graph).unwrap();
        let known = |names: &[&str]| -> Result<Vec<(String, Option<usize>)>, String> {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let numbers = numbers(&walk, &names)?;
            let found = layers(&walk, &numbers, &BTreeMap::new());
            Ok(found.into_iter().map(|layer| (layer.name, layer.unfreeze)).collect())
        };
        let wanted = |layers: &[(&str, Option<usize>)]| -> Result<Vec<_>, String> {
            Ok(layers.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect())
        };
        // Of the vectors one is the importer's layer: it is listed, by its output's name.
        let listed = wanted(&[("a", Some(2)), ("x3", Some(1)), ("d", None)]);
        assert_eq!(known(&["a", "x3"]), listed);
        assert_eq!(known(&["a", "d"]), wanted(&[("a", Some(2)), ("d", Some(1))]));
        assert!(known(&[]).unwrap_err().contains("no weights"));
        assert!(known(&["a", "nobody"]).unwrap_err().contains("\"nobody\""));
    }

    #[test]
    fn names_that_several_nodes_have_number_nothing() {
        let graph = graph(["a", "a", "c", "d"]);
        let walk = Walk::of(Path::new("a.onnx"), &graph).unwrap();
        assert!(numbers(&walk, &["a".to_owned(), "d".to_owned()]).unwrap_err().contains("\"a\""));
        assert_eq!(numbers(&walk, &["d".to_owned()]), Ok(HashMap::from([(3, 1)])));
    }
}

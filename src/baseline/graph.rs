//! ONNX graphs from `features` `[batch, features]` to `probabilities` `[batch, classes]`.
//!
//! Operators: <https://github.com/onnx/onnx/blob/main/docs/Operators.md> and, for trees
//! and support vectors, <https://github.com/onnx/onnx/blob/main/docs/Operators-ml.md>.

use libsvm_rs::SvmModel;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto};
use tract_onnx::pb::{OperatorSetIdProto, TensorProto};

use super::tree::{Ensemble, Node};
use crate::model::Standardization;
use crate::onnx::names::{FEATURES, PROBABILITIES};
use crate::onnx::nodes::{
    float_tensor, floats, int, int64_tensor, ints, node, port, string, strings,
};

/// The operator set the graphs are written in.
pub(super) const OPSET: i64 = 13;

/// The file format of that operator set.
const IR_VERSION: i64 = 7;
/// The operators of classical models.
const ML: &str = "ai.onnx.ml";

/// What the scores of trees are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scores {
    /// Sums that a softmax makes probabilities of.
    Logits,
    /// Probabilities.
    Probabilities,
}

/// A graph that is being written.
#[derive(Debug)]
pub(super) struct Graph {
    features: usize,
    classes: usize,
    nodes: Vec<NodeProto>,
    weights: Vec<TensorProto>,
}

impl Graph {
    pub(super) fn new(features: usize, classes: usize) -> Self {
        Self { features, classes, nodes: vec![], weights: vec![] }
    }

    /// Layers of weights for raw features, with ReLU between them and softmax at the end.
    pub(super) fn network(layers: &[([usize; 2], Vec<f32>, Vec<f32>)]) -> Self {
        let features = layers.first().map_or(0, |(shape, ..)| shape[0]);
        let classes = layers.last().map_or(0, |(shape, ..)| shape[1]);
        let mut graph = Self::new(features, classes);
        let mut last = FEATURES.to_owned();
        for (index, (shape, weights, bias)) in layers.iter().enumerate() {
            if index > 0 {
                last = graph.push(node("Relu", &[&last], &format!("activation.{index}"), vec![]));
            }
            last = graph.dense(&format!("layer.{index}"), &last, *shape, weights, bias);
        }
        graph.softmax(&last);
        graph
    }

    fn push(&mut self, node: NodeProto) -> String {
        let output = node.output.last().cloned().unwrap_or_default();
        self.nodes.push(node);
        output
    }

    fn weight(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.weights.push(float_tensor(name, shape, values));
    }

    fn integers(&mut self, name: &str, values: Vec<i64>) {
        self.weights.push(int64_tensor(name, values));
    }

    /// The input, standardized.
    pub(super) fn standardize(&mut self, standardization: &Standardization) -> String {
        let shape = [self.features];
        self.weight("scaler.mean", &shape, standardization.mean());
        self.weight("scaler.deviation", &shape, standardization.deviation());
        let centred = self.push(node("Sub", &[FEATURES, "scaler.mean"], "centred", vec![]));
        self.push(node("Div", &[&centred, "scaler.deviation"], "standardized", vec![]))
    }

    /// `x · weights + bias`, with weights of `[from, to]`.
    pub(super) fn dense(
        &mut self,
        name: &str,
        x: &str,
        shape: [usize; 2],
        weights: &[f32],
        bias: &[f32],
    ) -> String {
        let [weight_name, bias_name] = ["weight", "bias"].map(|part| format!("{name}.{part}"));
        self.weight(&weight_name, &shape, weights);
        self.weight(&bias_name, &shape[1..], bias);
        self.push(node("Gemm", &[x, &weight_name, &bias_name], name, vec![]))
    }

    fn softmax(&mut self, x: &str) {
        self.push(node("Softmax", &[x], PROBABILITIES, vec![int("axis", 1)]));
    }

    /// The places of the `count` largest values in each row.
    pub(super) fn top(&mut self, x: &str, count: usize) -> String {
        self.integers("neighbors", vec![count as i64]);
        let mut top = node("TopK", &[x, "neighbors"], "nearest", vec![int("axis", 1)]);
        top.output.insert(0, "nearest.values".to_owned());
        self.push(top)
    }

    /// The mean of the rows of a table that are at `places`.
    pub(super) fn mean_of_rows(&mut self, places: &str, shape: [usize; 2], table: &[f32]) {
        self.weight("votes.table", &shape, table);
        let votes = self.push(node("Gather", &["votes.table", places], "votes", vec![]));
        let attributes = vec![ints("axes", &[1]), int("keepdims", 0)];
        self.push(node("ReduceMean", &[&votes], PROBABILITIES, attributes));
    }

    /// Trees on the raw features.
    ///
    /// ONNX Runtime takes two classes for one score and its complement, and base values
    /// along with it. Therefore a third class without trees stands beside two, until the
    /// scores are there, and base values are added by an operator of their own.
    pub(super) fn trees(&mut self, ensemble: &Ensemble, meaning: Scores) {
        let attributes = attributes(ensemble, self.classes.max(3));
        let mut trees = node("TreeEnsembleClassifier", &[FEATURES], "trees", attributes);
        trees.domain = ML.to_owned();
        trees.output.insert(0, "label".to_owned());
        let mut scores = self.push(trees);
        if self.classes < 3 {
            self.integers("classes", labels(self.classes));
            let columns = node("Gather", &[&scores, "classes"], "scores", vec![int("axis", 1)]);
            scores = self.push(columns);
        }
        match meaning {
            Scores::Logits => {
                self.weight("base", &[1, self.classes], &ensemble.base);
                let logits = self.push(node("Add", &[&scores, "base"], "logits", vec![]));
                self.softmax(&logits);
            }
            Scores::Probabilities => {
                self.push(node("Identity", &[&scores], PROBABILITIES, vec![]));
            }
        }
    }

    /// Support vectors of standardized features.
    pub(super) fn svm(&mut self, x: &str, model: &SvmModel) {
        let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let vectors = model.sv.iter().flatten().map(|node| node.value as f32).collect();
        let coefficients = model.sv_coef.iter().flat_map(|row| single(row)).collect();
        // The operator adds what LIBSVM subtracts.
        let rho = model.rho.iter().map(|&rho| -rho as f32).collect();
        let counts: Vec<i64> = model.n_sv.iter().map(|&count| count as i64).collect();
        let attributes = vec![
            ints("classlabels_ints", &labels(self.classes)),
            floats("coefficients", coefficients),
            floats("kernel_params", vec![model.param.gamma as f32, 0.0, 0.0]),
            string("kernel_type", "RBF"),
            string("post_transform", "NONE"),
            floats("prob_a", single(&model.prob_a)),
            floats("prob_b", single(&model.prob_b)),
            floats("rho", rho),
            floats("support_vectors", vectors),
            ints("vectors_per_class", &counts),
        ];
        let mut svm = node("SVMClassifier", &[x], PROBABILITIES, attributes);
        svm.domain = ML.to_owned();
        svm.output.insert(0, "label".to_owned());
        self.push(svm);
    }

    /// The whole model, still without metadata.
    pub(super) fn into_model(self) -> ModelProto {
        let uses_ml = self.nodes.iter().any(|node| node.domain == ML);
        let mut opset_import = vec![OperatorSetIdProto { domain: String::new(), version: OPSET }];
        if uses_ml {
            opset_import.push(OperatorSetIdProto { domain: ML.to_owned(), version: 1 });
        }
        let graph = GraphProto {
            name: "baseline".to_owned(),
            node: self.nodes,
            initializer: self.weights,
            input: vec![port(FEATURES, None, &[self.features])],
            output: vec![port(PROBABILITIES, None, &[self.classes])],
            ..Default::default()
        };
        ModelProto {
            ir_version: IR_VERSION,
            opset_import,
            graph: Some(graph),
            ..Default::default()
        }
    }
}

fn labels(classes: usize) -> Vec<i64> {
    (0..classes as i64).collect()
}

/// The trees as the operator wants them: all nodes of all trees in parallel lists.
fn attributes(ensemble: &Ensemble, classes: usize) -> Vec<AttributeProto> {
    const NAMES: [&str; 5] = [
        "nodes_treeids",
        "nodes_nodeids",
        "nodes_featureids",
        "nodes_truenodeids",
        "nodes_falsenodeids",
    ];
    let mut lists: [Vec<i64>; 5] = Default::default();
    let [mut leaf_trees, mut leaf_nodes, mut leaf_classes] = [vec![], vec![], vec![]];
    let (mut thresholds, mut weights, mut modes) = (vec![], vec![], vec![]);
    for (tree, nodes) in ensemble.trees.iter().enumerate() {
        for (index, node) in nodes.0.iter().enumerate() {
            let (place, threshold, mode) = match *node {
                Node::Split { feature, threshold, below, above } => {
                    ([feature, below, above], threshold, "BRANCH_LEQ")
                }
                Node::Leaf { class, weight } => {
                    leaf_trees.push(tree as i64);
                    leaf_nodes.push(index as i64);
                    leaf_classes.push(class as i64);
                    weights.push(weight);
                    ([0; 3], 0.0, "LEAF")
                }
            };
            let row = [tree, index, place[0], place[1], place[2]];
            lists.iter_mut().zip(row).for_each(|(list, value)| list.push(value as i64));
            thresholds.push(threshold);
            modes.push(mode.as_bytes().to_vec());
        }
    }
    let mut attributes: Vec<AttributeProto> =
        NAMES.iter().zip(&lists).map(|(name, list)| ints(name, list)).collect();
    attributes.extend([
        floats("nodes_values", thresholds),
        strings("nodes_modes", modes),
        ints("class_treeids", &leaf_trees),
        ints("class_nodeids", &leaf_nodes),
        ints("class_ids", &leaf_classes),
        floats("class_weights", weights),
        ints("classlabels_int64s", &labels(classes)),
        string("post_transform", "NONE"),
    ]);
    attributes
}

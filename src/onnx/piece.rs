//! Nodes and constants to be joined to a graph.

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

use super::nodes::{float_tensor, int, ints, node, shaped_int64_tensor};

/// A piece of a graph; every name in it begins with its prefix.
pub(crate) struct Builder {
    prefix: &'static str,
    opset: i64,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

/// How many of something there are.
pub(crate) enum Count {
    /// This many.
    Known(usize),
    /// As many as the scalar of this name says at run time.
    Computed(String),
}

impl Builder {
    /// An empty piece for a graph of this opset.
    pub fn new(prefix: &'static str, opset: i64) -> Self {
        Self { prefix, opset, nodes: vec![], constants: vec![] }
    }

    /// Adds a node; its output.
    pub fn node(
        &mut self,
        operator: &str,
        input: &[&str],
        name: &str,
        attributes: Vec<AttributeProto>,
    ) -> String {
        let output = format!("{}.{name}", self.prefix);
        self.nodes.push(node(operator, input, &output, attributes));
        output
    }

    /// Adds a node whose output has a name of its own, without the prefix.
    pub fn output(
        &mut self,
        operator: &str,
        input: &[&str],
        output: &str,
        attributes: Vec<AttributeProto>,
    ) {
        let name = format!("{}.{output}.node", self.prefix);
        self.nodes.push(NodeProto { name, ..node(operator, input, output, attributes) });
    }

    /// Adds a constant, rounded to single precision; its name.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f64]) -> String {
        let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        self.constant(float_tensor(&format!("{}.{name}", self.prefix), shape, &values))
    }

    /// Adds a constant of integers; its name.
    pub fn integers(&mut self, name: &str, shape: &[usize], values: &[i64]) -> String {
        self.constant(shaped_int64_tensor(format!("{}.{name}", self.prefix), shape, values))
    }

    fn constant(&mut self, tensor: TensorProto) -> String {
        let name = tensor.name.clone();
        self.constants.push(tensor);
        name
    }

    /// Arranges a tensor anew, in row-major order; -1 for the one size that follows.
    pub fn reshape(&mut self, from: &str, name: &str, shape: &[i64]) -> String {
        let shape = self.integers(&format!("{name}.shape"), &[shape.len()], shape);
        self.node("Reshape", &[from, &shape], name, vec![])
    }

    /// Runs of `length` entries of an axis, one every `hop` entries: that axis becomes two,
    /// `[count, length]`.
    pub fn runs(
        &mut self,
        from: &str,
        name: &str,
        axis: i64,
        count: &Count,
        [hop, length]: [usize; 2],
    ) -> String {
        let offsets: Vec<i64> = (0..length as i64).collect();
        let places = match count {
            Count::Known(count) => {
                let starts = (0..*count).map(|run| (run * hop) as i64);
                let places: Vec<i64> =
                    starts.flat_map(|start| offsets.iter().map(move |at| start + at)).collect();
                self.integers(&format!("{name}.places"), &[*count, length], &places)
            }
            Count::Computed(count) => {
                let zero = self.integers(&format!("{name}.zero"), &[], &[0]);
                let one = self.integers(&format!("{name}.one"), &[], &[1]);
                let hop = self.integers(&format!("{name}.hop"), &[], &[hop as i64]);
                let offsets = self.integers(&format!("{name}.offsets"), &[1, length], &offsets);
                let range = [&*zero, count, &one];
                let numbers = self.node("Range", &range, &format!("{name}.numbers"), vec![]);
                let starts = self.node("Mul", &[&numbers, &hop], &format!("{name}.starts"), vec![]);
                let starts = self.reshape(&starts, &format!("{name}.column"), &[-1, 1]);
                self.node("Add", &[&starts, &offsets], &format!("{name}.places"), vec![])
            }
        };
        self.node("Gather", &[from, &places], name, vec![int("axis", axis)])
    }

    /// The mean over the first axis, which stays with a size of 1.
    pub fn mean(&mut self, from: &str, output: &str) {
        // Since opset 18 the axes are an input.
        if self.opset >= 18 {
            let axes = self.integers("mean.axes", &[1], &[0]);
            self.output("ReduceMean", &[from, &axes], output, vec![int("keepdims", 1)]);
        } else {
            let attributes = vec![ints("axes", &[0]), int("keepdims", 1)];
            self.output("ReduceMean", &[from], output, attributes);
        }
    }

    /// Puts the piece before what the graph has.
    pub fn prepend_to(self, graph: &mut GraphProto) {
        graph.node.splice(..0, self.nodes);
        graph.initializer.extend(self.constants);
    }

    /// Puts the piece after what the graph has.
    pub fn append_to(self, graph: &mut GraphProto) {
        graph.node.extend(self.nodes);
        graph.initializer.extend(self.constants);
    }
}

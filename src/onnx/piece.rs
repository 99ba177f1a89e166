//! Nodes and constants to be joined to a graph.

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto};

use super::nodes::{float_tensor, int, ints, node, shaped_int64_tensor};

/// A piece of a graph; every name in it begins with its prefix.
pub(crate) struct Builder {
    prefix: String,
    opset: i64,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl Builder {
    /// An empty piece for a graph of this opset.
    pub fn new(prefix: impl Into<String>, opset: i64) -> Self {
        Self { prefix: prefix.into(), opset, nodes: vec![], constants: vec![] }
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

    /// Adds a constant as it is; its name.
    pub fn weights(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        self.constant(float_tensor(&format!("{}.{name}", self.prefix), shape, values))
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

    /// Runs of `length` entries of an axis, one every `hop` entries, `count` of them: that axis
    /// becomes two, `[count, length]`.
    pub fn runs(
        &mut self,
        from: &str,
        name: &str,
        axis: i64,
        count: usize,
        [hop, length]: [usize; 2],
    ) -> String {
        let starts = (0..count).map(|run| (run * hop) as i64);
        let places: Vec<i64> =
            starts.flat_map(|start| (0..length as i64).map(move |at| start + at)).collect();
        let places = self.integers(&format!("{name}.places"), &[count, length], &places);
        self.node("Gather", &[from, &places], name, vec![int("axis", axis)])
    }

    /// Runs of `length` rows, one every `hop` rows, of a table of any number of rows: from
    /// `[1, 1, rows, columns]` to `[runs, length / divisor, divisor, columns]`, row-major a
    /// table for each run.
    ///
    /// Two convolutions with kernels of zeros and ones, because an operator that counts them
    /// (`Range`) or cuts at a computed place (`Slice`) came late to ONNX, and because a runtime
    /// that cannot do with computed places (a GPU's) can do with convolutions. The first deals
    /// rows out to blocks of `divisor`, the second gathers blocks; so both kernels are small.
    pub fn runs_of_rows(
        &mut self,
        from: &str,
        name: &str,
        columns: usize,
        [hop, length]: [usize; 2],
    ) -> String {
        let divisor = divisor(hop, length);
        let blocks = self.deal(from, &format!("{name}.blocks"), [divisor, divisor]);
        let apart = [divisor as i64, 1, -1, columns as i64];
        let blocks = self.reshape(&blocks, &format!("{name}.apart"), &apart);
        let [hop, length] = [hop / divisor, length / divisor];
        let gathered = self.deal(&blocks, &format!("{name}.gathered"), [hop, length]);
        // From [divisor, length, runs, columns].
        self.node("Transpose", &[&gathered], name, vec![ints("perm", &[2, 1, 0, 3])])
    }

    /// From `[batch, 1, rows, columns]` to `[batch, length, runs, columns]`: run `r` has rows
    /// `r * hop` to `r * hop + length`.
    fn deal(&mut self, from: &str, name: &str, [hop, length]: [usize; 2]) -> String {
        let ones: Vec<f64> =
            (0..length * length).map(|at| f64::from(u8::from(at % (length + 1) == 0))).collect();
        let kernel = self.floats(&format!("{name}.kernel"), &[length, 1, length, 1], &ones);
        let attributes =
            vec![ints("kernel_shape", &[length as i64, 1]), ints("strides", &[hop as i64, 1])];
        self.node("Conv", &[from, &kernel], name, attributes)
    }

    /// A reduction (`ReduceMean`, `ReduceMax`) over `axes`, which stay with a size of 1 if
    /// `keep` says so, to a tensor with a name of its own.
    pub fn reduce(&mut self, operator: &str, from: &str, output: &str, axes: &[i64], keep: bool) {
        let keep = int("keepdims", i64::from(keep));
        // Since opset 18 the axes are an input.
        if self.opset >= 18 {
            let axes = self.integers(&format!("{output}.axes"), &[axes.len()], axes);
            self.output(operator, &[from, &axes], output, vec![keep]);
        } else {
            self.output(operator, &[from], output, vec![ints("axes", axes), keep]);
        }
    }

    /// As [`Self::reduce`], of axes that go, to a tensor whose name begins with the prefix; its
    /// name.
    pub fn reduced(&mut self, operator: &str, from: &str, name: &str, axes: &[i64]) -> String {
        let output = format!("{}.{name}", self.prefix);
        self.reduce(operator, from, &output, axes, false);
        output
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

/// The common divisor of both numbers that makes the kernels of [`Builder::runs_of_rows`]
/// smallest.
fn divisor(hop: usize, length: usize) -> usize {
    let common = (1..=hop.min(length)).filter(|d| hop.is_multiple_of(*d));
    let common = common.filter(|d| length.is_multiple_of(*d));
    common.min_by_key(|d| d * d + (length / d) * (length / d)).unwrap_or(1)
}

//! Recurrent layers: RNN, GRU and LSTM, in either direction or both.

use burn::tensor::Tensor;
use burn::tensor::activation::{elu, leaky_relu, relu, sigmoid, softplus, tanh};

use super::super::fault::{Outcome, refuse};
use super::super::floats::{Floats, count};
use super::super::node::{Inputs, Node};
use super::super::value::Value;

/// A function that a gate or a state goes through.
#[derive(Clone, Debug)]
struct Function {
    /// ONNX's name in lower case.
    name: String,
    alpha: f32,
    beta: f32,
}

impl Function {
    /// As ONNX names it, with what it takes from the front of the lists of alphas and betas.
    fn new(
        name: &str,
        alphas: &mut impl Iterator<Item = f32>,
        betas: &mut impl Iterator<Item = f32>,
    ) -> Outcome<Self> {
        let name = name.to_lowercase();
        let (alpha, beta) = match name.as_str() {
            "sigmoid" | "tanh" | "relu" | "softsign" | "softplus" => (None, None),
            "leakyrelu" => (Some(0.01), None),
            "thresholdedrelu" | "elu" => (Some(1.0), None),
            "hardsigmoid" => (Some(0.2), Some(0.5)),
            "affine" => (Some(1.0), Some(0.0)),
            "scaledtanh" => (Some(1.0), Some(1.0)),
            _ => return refuse(format!("activation {name}")),
        };
        let alpha = alpha.map_or(0.0, |default| alphas.next().unwrap_or(default));
        let beta = beta.map_or(0.0, |default| betas.next().unwrap_or(default));
        Ok(Self { name, alpha, beta })
    }

    fn of(&self, x: Tensor<2>) -> Tensor<2> {
        let Self { alpha, beta, .. } = *self;
        match self.name.as_str() {
            "sigmoid" => sigmoid(x),
            "tanh" => tanh(x),
            "relu" => relu(x),
            "softsign" => x.clone() / (x.abs() + 1.0),
            "softplus" => softplus(x, 1.0),
            "leakyrelu" => leaky_relu(x, f64::from(alpha)),
            "thresholdedrelu" => {
                let below = x.clone().lower_equal_scalar(alpha);
                x.mask_fill(below, 0.0)
            }
            "elu" => elu(x, f64::from(alpha)),
            "hardsigmoid" => (x * alpha + beta).clamp(0.0, 1.0),
            "affine" => x * alpha + beta,
            _ => tanh(x * beta) * alpha,
        }
    }
}

/// What distinguishes the three kinds of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Gru,
    Lstm,
}

impl Kind {
    /// Blocks of rows that the weights have.
    fn gates(self) -> usize {
        match self {
            Self::Plain => 1,
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }

    /// The functions of one direction, if the node names none.
    fn functions(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["Tanh"],
            Self::Gru => &["Sigmoid", "Tanh"],
            Self::Lstm => &["Sigmoid", "Tanh", "Tanh"],
        }
    }
}

/// What all directions of a layer have in common.
struct Layer {
    kind: Kind,
    hidden: usize,
    clip: Option<f32>,
    /// GRU: the reset gate acts behind the matrix product, as PyTorch has it.
    linear_before_reset: bool,
    /// LSTM: what is not remembered is forgotten.
    input_forget: bool,
}

/// What a time step begins with and leaves, each `[batch, hidden]`.
#[derive(Clone)]
struct State {
    hidden: Tensor<2>,
    cell: Tensor<2>,
}

/// The weights of one direction, turned so that a row of values is multiplied from the left.
struct Direction {
    /// `[input, gates * hidden]`.
    weight: Tensor<2>,
    /// `[hidden, gates * hidden]`.
    recurrence: Tensor<2>,
    /// Both biases, `[1, gates * hidden]`.
    biases: Option<[Tensor<2>; 2]>,
    /// `[1, hidden]` each: of the input, output and forget gate.
    peepholes: Option<[Tensor<2>; 3]>,
    functions: Vec<Function>,
    start: State,
    reverse: bool,
}

pub(super) fn recurrent(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let kind = match node.operator.as_str() {
        "RNN" => Kind::Plain,
        "GRU" => Kind::Gru,
        _ => Kind::Lstm,
    };
    let batch_first = node.flag("layout", false);
    let x = inputs.filled(0)?;
    let x = if batch_first && x.rank() == 3 { x.permute(&[1, 0, 2])? } else { x };
    let &[steps, batch, width] = x.shape() else {
        return refuse(format!("a sequence of shape {:?}", x.shape()));
    };
    let hidden = match inputs.peek(2)?.shape() {
        [_, _, hidden] => *hidden,
        other => return refuse(format!("recurrent weights of shape {other:?}")),
    };
    if node.has("hidden_size") && node.int("hidden_size", 0) != hidden as i64 {
        return refuse(format!("hidden_size {}, not {hidden}", node.int("hidden_size", 0)));
    }
    if steps * batch * width * hidden == 0 {
        return refuse(format!("an empty sequence {:?}", x.shape()));
    }
    if let Some(lengths) = inputs.optional_list(4)?
        && lengths.iter().any(|length| *length != steps as i64)
    {
        return refuse(format!("sequences of different lengths {lengths:?}"));
    }
    let layer = Layer {
        kind,
        hidden,
        clip: node.has("clip").then(|| node.float("clip", 0.0)),
        linear_before_reset: node.flag("linear_before_reset", false),
        input_forget: node.flag("input_forget", false),
    };
    let directions = directions(node, inputs, &layer, [batch, width], batch_first)?;
    count(&[steps, directions.len(), batch, kind.gates() * hidden])?;
    let x: Tensor<3> = x.with_rank()?;
    let (mut all, mut last, mut cells) = (vec![], vec![], vec![]);
    for direction in directions {
        let (states, end) = layer.run(x.clone(), direction);
        all.push(states.reshape([steps, 1, batch, hidden]));
        last.push(end.hidden.reshape([1, batch, hidden]));
        cells.push(end.cell.reshape([1, batch, hidden]));
    }
    let all = Floats::from_tensor(Tensor::cat(all, 1));
    let ends = [last, cells].map(|states| Floats::from_tensor(Tensor::<3>::cat(states, 0)));
    let (all, ends) = if batch_first {
        let [last, cells] = ends;
        (all.permute(&[2, 0, 1, 3])?, [last.permute(&[1, 0, 2])?, cells.permute(&[1, 0, 2])?])
    } else {
        (all, ends)
    };
    let [last, cells] = ends.map(Value::Float);
    let mut answers = vec![Value::Float(all), last];
    answers.extend((kind == Kind::Lstm).then_some(cells));
    Ok(answers)
}

/// The directions of a node, each with its weights and its beginning.
fn directions(
    node: &Node,
    inputs: &mut Inputs,
    layer: &Layer,
    [batch, width]: [usize; 2],
    batch_first: bool,
) -> Outcome<Vec<Direction>> {
    let reverses: &[bool] = match node.text("direction", "forward")? {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return refuse(format!("direction {other}")),
    };
    let (number, hidden) = (reverses.len(), layer.hidden);
    let rows = layer.kind.gates() * hidden;
    let mut weight = |index: usize, shape: &[usize]| -> Outcome<Option<Floats>> {
        match inputs.optional_floats(index)? {
            Some(found) if found.shape() != shape => {
                refuse(format!("its input {index} has shape {:?}, not {shape:?}", found.shape()))
            }
            found => Ok(found),
        }
    };
    let weights = weight(1, &[number, rows, width])?;
    let recurrences = weight(2, &[number, rows, hidden])?;
    let (Some(weights), Some(recurrences)) = (weights, recurrences) else {
        return refuse("it has no weights");
    };
    let biases = weight(3, &[number, 2 * rows])?;
    let of_state = if batch_first { [batch, number, hidden] } else { [number, batch, hidden] };
    let mut state = |index: usize| -> Outcome<Option<Floats>> {
        match weight(index, &of_state)? {
            Some(state) if batch_first => state.permute(&[1, 0, 2]).map(Some),
            other => Ok(other),
        }
    };
    let is_lstm = layer.kind == Kind::Lstm;
    let start = [state(5)?, if is_lstm { state(6)? } else { None }];
    let peepholes = if is_lstm { weight(7, &[number, 3 * hidden])? } else { None };
    let functions = functions(node, layer.kind, number)?;
    let device = weights.device();
    let one = |at: usize| {
        let matrix = |floats: &Floats, columns: usize| -> Tensor<2> {
            let all: Tensor<3> = floats.clone().into_rank([number, rows, columns]);
            all.narrow(0, at, 1).reshape([rows, columns]).transpose()
        };
        let row = |floats: &Floats, part: usize, size: usize| -> Tensor<2> {
            let all: Tensor<2> = floats.clone().into_rank([number, floats.len() / number]);
            all.slice([at..at + 1, part * size..(part + 1) * size])
        };
        let state = |state: &Option<Floats>| match state {
            Some(state) => {
                let all: Tensor<3> = state.clone().into_rank([number, batch, hidden]);
                all.narrow(0, at, 1).reshape([batch, hidden])
            }
            None => Tensor::zeros([batch, hidden], &device),
        };
        Direction {
            weight: matrix(&weights, width),
            recurrence: matrix(&recurrences, hidden),
            biases: biases.as_ref().map(|biases| [0, 1].map(|part| row(biases, part, rows))),
            peepholes: peepholes.as_ref().map(|p| [0, 1, 2].map(|part| row(p, part, hidden))),
            functions: functions[at].clone(),
            start: State { hidden: state(&start[0]), cell: state(&start[1]) },
            reverse: reverses[at],
        }
    };
    Ok((0..number).map(one).collect())
}

/// The functions of each of `number` directions.
fn functions(node: &Node, kind: Kind, number: usize) -> Outcome<Vec<Vec<Function>>> {
    let usual = kind.functions();
    let names = node.texts("activations").unwrap_or_else(|| {
        (0..number).flat_map(|_| usual.iter().map(ToString::to_string)).collect()
    });
    if names.len() != number * usual.len() {
        return refuse(format!("activations {names:?} for {number} directions"));
    }
    let list = |key: &str| node.floats(key).unwrap_or_default().iter().copied();
    let (mut alphas, mut betas) = (list("activation_alpha"), list("activation_beta"));
    let functions: Vec<Function> = names
        .iter()
        .map(|name| Function::new(name, &mut alphas, &mut betas))
        .collect::<Outcome<_>>()?;
    Ok(functions.chunks(usual.len()).map(<[Function]>::to_vec).collect())
}

/// `[steps, ...]` as single steps. Halves of halves: the gradient of each cut is as large as
/// what was cut, and that is the whole sequence only once.
fn single_steps(x: Tensor<3>) -> Vec<Tensor<3>> {
    match x.dims()[0] {
        0 | 1 => vec![x],
        length => {
            let halves = [0..length / 2, length / 2..length];
            halves.into_iter().flat_map(|half| single_steps(x.clone().slice([half]))).collect()
        }
    }
}

impl Layer {
    /// The states after every step of `x` `[steps, batch, input]`, in the order of the steps,
    /// and the one after the last.
    fn run(&self, x: Tensor<3>, direction: Direction) -> (Tensor<3>, State) {
        let [steps, batch, width] = x.dims();
        let rows = self.kind.gates() * self.hidden;
        // What comes from the inputs is one product for all steps.
        let mut given = x.reshape([steps * batch, width]).matmul(direction.weight.clone());
        if let Some([bias, recurrent]) = &direction.biases {
            given = given + bias.clone();
            if !self.resets_late() {
                given = given + recurrent.clone();
            }
        }
        let mut given = single_steps(given.reshape([steps, batch, rows]));
        if direction.reverse {
            given.reverse();
        }
        let mut state = direction.start.clone();
        let mut states = vec![];
        for now in given {
            state = self.step(now.reshape([batch, rows]), state, &direction);
            states.push(state.hidden.clone().reshape([1, batch, self.hidden]));
        }
        if direction.reverse {
            states.reverse();
        }
        (Tensor::cat(states, 0), state)
    }

    fn resets_late(&self) -> bool {
        self.kind == Kind::Gru && self.linear_before_reset
    }

    fn step(&self, now: Tensor<2>, state: State, direction: &Direction) -> State {
        match self.kind {
            Kind::Plain => {
                let sum = now + state.hidden.matmul(direction.recurrence.clone());
                State { hidden: self.through(&direction.functions[0], sum), cell: state.cell }
            }
            Kind::Gru => self.gru(&now, state, direction),
            Kind::Lstm => self.lstm(now, state, direction),
        }
    }

    /// Gates of update and reset, and the candidate.
    fn gru(&self, now: &Tensor<2>, state: State, direction: &Direction) -> State {
        let size = self.hidden;
        let columns = |x: &Tensor<2>, from: usize, to: usize| {
            x.clone().slice([0..x.dims()[0], from * size..to * size])
        };
        let [gate, last] = [&direction.functions[0], &direction.functions[1]];
        let h = state.hidden;
        let (gates, candidate) = if self.linear_before_reset {
            let mut recurrent = h.clone().matmul(direction.recurrence.clone());
            if let Some([_, bias]) = &direction.biases {
                recurrent = recurrent + bias.clone();
            }
            let gates = columns(now, 0, 2) + columns(&recurrent, 0, 2);
            (self.through(gate, gates), columns(&recurrent, 2, 3))
        } else {
            let recurrent = h.clone().matmul(columns(&direction.recurrence, 0, 2));
            let gates = self.through(gate, columns(now, 0, 2) + recurrent);
            let reset = columns(&gates, 1, 2) * h.clone();
            let candidate = reset.matmul(columns(&direction.recurrence, 2, 3));
            (gates, candidate)
        };
        let candidate =
            if self.linear_before_reset { columns(&gates, 1, 2) * candidate } else { candidate };
        let candidate = self.through(last, columns(now, 2, 3) + candidate);
        let update = columns(&gates, 0, 1);
        let hidden = candidate.clone() + update * (h - candidate);
        State { hidden, cell: state.cell }
    }

    /// Gates of input, output and forgetting, and the cell.
    fn lstm(&self, now: Tensor<2>, state: State, direction: &Direction) -> State {
        let size = self.hidden;
        let sums = now + state.hidden.matmul(direction.recurrence.clone());
        let gate = |index: usize| {
            sums.clone().slice([0..sums.dims()[0], index * size..(index + 1) * size])
        };
        let peep = |x: Tensor<2>, index: usize, cell: &Tensor<2>| match &direction.peepholes {
            Some(peepholes) => x + peepholes[index].clone() * cell.clone(),
            None => x,
        };
        let [open, candidate, last] =
            [&direction.functions[0], &direction.functions[1], &direction.functions[2]];
        let input = self.through(open, peep(gate(0), 0, &state.cell));
        let forget = if self.input_forget {
            -input.clone() + 1.0
        } else {
            self.through(open, peep(gate(2), 2, &state.cell))
        };
        let cell = forget * state.cell + input * self.through(candidate, gate(3));
        let output = self.through(open, peep(gate(1), 1, &cell));
        State { hidden: output * last.of(cell.clone()), cell }
    }

    /// A function behind the node's bound on what it is given.
    fn through(&self, function: &Function, x: Tensor<2>) -> Tensor<2> {
        function.of(match self.clip {
            Some(bound) => x.clamp(-bound.abs(), bound.abs()),
            None => x,
        })
    }
}

//! Layers on maps `[batch, height, width, channels]` as tract's operators.

use std::sync::Arc;

use tract_linalg::multithread::{Executor, current_tract_executor};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use crate::kernels::{Dense, Depthwise, Ending, Fill, MaxPool, Share, Vectors, Window, in_parts};

/// Multiplications below which sharing them out takes longer than they do.
const FEW: usize = 1 << 17;

/// The threads that tract computes with at the moment, each with a part of the same size.
struct Threads(Executor);

impl Threads {
    fn now() -> Self {
        Self(current_tract_executor())
    }
}

impl Share for Threads {
    fn rows(&self, out: &mut [f32], row: usize, multiplications: usize, fill: Fill) {
        match &self.0 {
            Executor::MultiThread(pool) if multiplications >= FEW => {
                pool.install(|| in_parts(out, row, pool.current_num_threads(), fill));
            }
            _ => fill(0, out),
        }
    }

    fn threads(&self) -> usize {
        match &self.0 {
            Executor::MultiThread(pool) => pool.current_num_threads(),
            _ => 1,
        }
    }
}

/// What a convolution multiplies with, ready for its kernel.
#[derive(Clone, Debug)]
pub(super) enum Weights {
    Dense(Dense),
    Depthwise(Depthwise),
}

/// A convolution and what follows it.
#[derive(Clone, Debug)]
pub(super) struct Convolution {
    pub weights: Arc<Weights>,
    pub window: Window,
    pub ending: Ending,
}

impl Convolution {
    fn filters(&self) -> usize {
        match self.weights.as_ref() {
            Weights::Dense(dense) => dense.filters(),
            Weights::Depthwise(depthwise) => depthwise.channels(),
        }
    }
}

impl PartialEq for Convolution {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.weights, &other.weights)
            && (self.window, &self.ending) == (other.window, &other.ending)
    }
}

impl Eq for Convolution {}

impl Op for Convolution {
    fn name(&self) -> StaticName {
        "NhwcConvolution".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{:?} {:?}", self.window, self.ending.bounds)])
    }

    op_as_typed_op!();
}

impl EvalOp for Convolution {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let threads = Threads::now();
        evaluate(inputs, &self.window, Some(self.filters()), |maps, out| {
            match self.weights.as_ref() {
                Weights::Dense(of) => of.run(&self.window, maps, &self.ending, out, &threads),
                Weights::Depthwise(of) => of.run(&self.window, maps, &self.ending, out, &threads),
            }
        })
    }
}

impl TypedOp for Convolution {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        facts(inputs, &self.window, Some(self.filters()))
    }

    as_op!();
}

/// The largest values in a window.
#[derive(Clone, Debug)]
pub(super) struct Pooling {
    pub window: Window,
    pub vectors: Vectors,
}

impl PartialEq for Pooling {
    fn eq(&self, other: &Self) -> bool {
        self.window == other.window
    }
}

impl Eq for Pooling {}

impl Op for Pooling {
    fn name(&self) -> StaticName {
        "NhwcMaxPool".into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{:?}", self.window)])
    }

    op_as_typed_op!();
}

impl EvalOp for Pooling {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let pool = MaxPool { window: self.window, vectors: self.vectors };
        evaluate(inputs, &self.window, None, |(x, shape), out| {
            pool.run(x, shape, out, &Threads::now());
        })
    }
}

impl TypedOp for Pooling {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        facts(inputs, &self.window, None)
    }

    as_op!();
}

/// The shape of maps.
fn shape_of(shape: &[usize]) -> TractResult<[usize; 4]> {
    shape.try_into().with_context(|| format!("maps of shape {shape:?}"))
}

/// The answer's shape; its `channels`, unless they are those of the maps.
fn facts(
    inputs: &[&TypedFact],
    window: &Window,
    channels: Option<usize>,
) -> TractResult<TVec<TypedFact>> {
    let &[maps] = inputs else { bail!("{} inputs in place of one", inputs.len()) };
    let shape = shape_of(maps.shape.as_concrete().context("a shape that is not known")?)?;
    let output = window.output(shape, channels.unwrap_or(shape[3]));
    Ok(tvec!(f32::fact(output)))
}

fn evaluate(
    inputs: TVec<TValue>,
    window: &Window,
    channels: Option<usize>,
    compute: impl FnOnce((&[f32], [usize; 4]), &mut [f32]),
) -> TractResult<TVec<TValue>> {
    let maps = args_1!(inputs);
    let shape = shape_of(maps.shape())?;
    let output = window.output(shape, channels.unwrap_or(shape[3]));
    // SAFETY: the kernels write every value of the answer and read none, which their tests show by
    // filling it with what is no number before.
    #[allow(unsafe_code)]
    let mut out = unsafe { Tensor::uninitialized::<f32>(&output)? };
    let values = maps.try_as_plain_ram()?;
    compute((values.as_slice::<f32>()?, shape), out.try_as_plain_ram_mut()?.as_slice_mut()?);
    Ok(tvec!(out.into_tvalue()))
}

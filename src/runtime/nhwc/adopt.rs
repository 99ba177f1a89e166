//! Which of tract's layers become ours.

use std::collections::HashMap;
use std::sync::Arc;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PoolSpec};
use tract_onnx::tract_core::ops::nn::DataFormat;

use super::operators::{Convolution, Pooling, Weights};
use crate::kernels::{Dense, Depthwise, Ending, Vectors, Window};

/// How many times as many places as a map has it may have with what lies around it, and how many
/// more: a dense convolution makes room for all of them, and a hostile file may ask for any number.
const MOST_PADDED: [usize; 2] = [4, 1024];

/// Values that blocks of filters may take beyond twice the file's.
const MOST_PACKED: usize = 1 << 20;

/// Weights made ready, by the name of their node: plans for several shapes share them.
pub(in super::super) struct Kernels {
    pub(super) vectors: Option<Vectors>,
    ready: HashMap<String, Ready>,
}

/// Weights made ready, and what of: a file may compute its weights from the shape of its input.
struct Ready {
    weight: Arc<Tensor>,
    bias: Arc<Tensor>,
    depthwise: bool,
    weights: Arc<Weights>,
}

impl Kernels {
    pub(in super::super) fn new() -> Self {
        Self { vectors: vectors(), ready: HashMap::new() }
    }
}

/// Those that tract says the processor has, of the ones that our kernels are faster with: its
/// variable TRACT_CPU_ISA counts.
#[cfg(target_arch = "x86_64")]
fn vectors() -> Option<Vectors> {
    use tract_linalg::isa::{Isa, native};

    let has = |isa: &[Isa]| isa.iter().all(|isa| native().has(*isa));
    let eight = Vectors::of_eight().filter(|_| has(&[Isa::X86_64Avx2, Isa::X86_64Fma]))?;
    Some(if has(&[Isa::X86_64Avx512f]) { Vectors::widest() } else { eight })
}

/// Of other processors tract has kernels itself.
#[cfg(not(target_arch = "x86_64"))]
fn vectors() -> Option<Vectors> {
    None
}

/// Makes convolutions and pooling of `model`, which is not simplified yet, ours: before that
/// biases are casts, and after it convolutions of one place are products.
pub(in super::super) fn adopt(model: &mut TypedModel, kernels: &mut Kernels) -> TractResult<()> {
    let Some(vectors) = kernels.vectors else { return Ok(()) };
    model.prop_consts()?;
    for id in 0..model.nodes().len() {
        let found = convolution(model, id, vectors, &mut kernels.ready)?;
        let op: Box<dyn TypedOp> = match found {
            Some(convolution) => Box::new(convolution),
            None => match pooling(model, id, vectors)? {
                Some(pooling) => Box::new(pooling),
                None => continue,
            },
        };
        let node = model.node(id);
        let name = node.name.clone();
        let mut patch = TypedModelPatch::default();
        let wire = patch.tap_model(model, node.inputs[0])?;
        let wire = patch.wire_node(format!("{name}.to-nhwc"), AxisOp::Move(1, 3), &[wire])?;
        let wire = patch.wire_node(&name, op, &wire)?;
        let wire = patch.wire_node(format!("{name}.to-nchw"), AxisOp::Move(3, 1), &wire)?;
        patch.shunt_outside(model, id.into(), wire[0])?;
        patch.apply(model)?;
    }
    model.compact()
}

/// The node as a convolution of ours, if it is one that our kernels compute.
fn convolution(
    model: &TypedModel,
    id: usize,
    vectors: Vectors,
    ready: &mut HashMap<String, Ready>,
) -> TractResult<Option<Convolution>> {
    let node = model.node(id);
    let Some(conv) = node.op_as::<Conv>() else { return Ok(None) };
    let spec = &conv.pool_spec;
    let (channels, filters) = (spec.input_channels, spec.output_channels);
    let depthwise = conv.group == channels && conv.group == filters && filters > 1;
    if filters == 0
        || conv.q_params.is_some()
        || conv.kernel_fmt != KernelFormat::OIHW
        || !(conv.group == 1 || depthwise)
    {
        return Ok(None);
    }
    let Some((window, _)) = window(model, node.inputs[0], spec)? else { return Ok(None) };
    let (Some(weight), Some(bias)) =
        (constant(model, node.inputs[1])?, constant(model, node.inputs[2])?)
    else {
        return Ok(None);
    };
    let expected = filters * channels / conv.group * window.kernel[0] * window.kernel[1];
    if weight.len() != expected || ![1, filters].contains(&bias.len()) {
        return Ok(None);
    }
    let blocks = filters.next_multiple_of(2 * vectors.width());
    if !depthwise && expected / filters * blocks > 2 * expected + MOST_PACKED {
        return Ok(None);
    }
    let known = ready.get(&node.name).filter(|ready| {
        ready.depthwise == depthwise && ready.weight == weight && ready.bias == bias
    });
    let weights = match known {
        Some(ready) => Arc::clone(&ready.weights),
        None => {
            let values = [floats(&weight)?, floats(&bias)?];
            let sizes = [filters, channels];
            let weights = Arc::new(packed(vectors, window.kernel, values, sizes, depthwise));
            let entry = Ready { weight, bias, depthwise, weights: Arc::clone(&weights) };
            ready.insert(node.name.clone(), entry);
            weights
        }
    };
    Ok(Some(Convolution { weights, window, ending: Ending::NONE }))
}

/// Weights and bias, which may be one for all filters, as a kernel takes them.
fn packed(
    vectors: Vectors,
    kernel: [usize; 2],
    [weight, bias]: [&[f32]; 2],
    sizes: [usize; 2],
    depthwise: bool,
) -> Weights {
    let bias = match *bias {
        [one] => vec![one; sizes[0]],
        _ => bias.to_vec(),
    };
    if depthwise {
        Weights::Depthwise(Depthwise::new(vectors, kernel, weight, &bias))
    } else {
        Weights::Dense(Dense::new(vectors, kernel, weight, sizes, &bias))
    }
}

fn pooling(model: &TypedModel, id: usize, vectors: Vectors) -> TractResult<Option<Pooling>> {
    let node = model.node(id);
    let Some(pool) = node.op_as::<MaxPool>() else { return Ok(None) };
    if pool.with_index_outputs.is_some() {
        return Ok(None);
    }
    let Some((window, sizes)) = window(model, node.inputs[0], &pool.pool_spec)? else {
        return Ok(None);
    };
    // The largest of nothing is tract's to tell.
    let sees = |axis: usize| window.always_sees(axis, sizes[axis]);
    Ok((sees(0) && sees(1)).then_some(Pooling { window, vectors }))
}

/// The window of a layer on single-precision maps `[batch, channels, height, width]` whose shape is
/// known, and their height and width.
fn window(
    model: &TypedModel,
    maps: OutletId,
    spec: &PoolSpec,
) -> TractResult<Option<(Window, [usize; 2])>> {
    let fact = model.outlet_fact(maps)?;
    let (&[down, across], DataFormat::NCHW, DatumType::F32) =
        (&spec.kernel_shape[..], spec.data_format, fact.datum_type)
    else {
        return Ok(None);
    };
    let Some(&[_, _, height, width]) = fact.shape.as_concrete() else { return Ok(None) };
    let (strides, dilations) = (spec.strides(), spec.dilations());
    let sizes = [height, width];
    let computed = spec.computed_padding(&sizes);
    let mut window = Window {
        kernel: [down, across],
        stride: [strides[0], strides[1]],
        dilation: [dilations[0], dilations[1]],
        padding: [(0, 0); 2],
    };
    for (axis, dim) in computed.iter().enumerate() {
        // As much behind as the last position sees: tract rounds up for some poolings.
        let seen = dim.convoluted.saturating_sub(1) * window.stride[axis]
            + window.dilation[axis] * window.kernel[axis].saturating_sub(1)
            + 1;
        let after = seen.saturating_sub(sizes[axis] + dim.pad_before);
        window.padding[axis] = (dim.pad_before, after);
        if window.positions(axis, sizes[axis]) != dim.convoluted {
            return Ok(None);
        }
    }
    let padded = |axis: usize| {
        let (before, after) = window.padding[axis];
        sizes[axis].saturating_add(before).saturating_add(after)
    };
    // Nor does any number that a hostile file may name overflow below.
    let usable = |axis: usize| {
        let (kernel, stride) = (window.kernel[axis], window.stride[axis]);
        let spread = window.dilation[axis].saturating_mul(kernel.saturating_sub(1));
        let positive = sizes[axis] > 0 && kernel > 0 && stride > 0 && window.dilation[axis] > 0;
        positive && spread < padded(axis) && stride <= padded(axis)
    };
    let [times, more] = MOST_PADDED;
    let most = height.saturating_mul(width).saturating_mul(times).saturating_add(more);
    let room = padded(0).saturating_mul(padded(1)) <= most;
    Ok((spec.input_channels > 0 && usable(0) && usable(1) && room).then_some((window, sizes)))
}

/// A single-precision constant.
pub(super) fn constant(model: &TypedModel, at: OutletId) -> TractResult<Option<Arc<Tensor>>> {
    let constant = model.outlet_fact(at)?.konst.as_ref();
    Ok(constant.filter(|constant| constant.datum_type() == DatumType::F32).cloned())
}

/// Its values.
pub(super) fn floats(constant: &Tensor) -> TractResult<&[f32]> {
    constant.try_as_plain_ram()?.as_slice::<f32>()
}

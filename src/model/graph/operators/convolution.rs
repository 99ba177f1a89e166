//! Convolution, plain and transposed, over one axis or two.

use burn::tensor::Tensor;
use burn::tensor::module::{conv_transpose2d, conv2d};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};

use super::super::fault::{Outcome, refuse};
use super::super::floats::{Floats, count};
use super::super::node::{Inputs, Node};
use super::super::value::Value;
use super::windows::{Window, windows};
use crate::model::layers::{Geometry, How, Order, are_for, bounded, convolve, fits_places};

/// A window of one value, for the axis that a convolution over one axis lacks.
const POINT: Window = Window { kernel: 1, stride: 1, dilation: 1, pads: (0, 0) };

/// Maps and weights of a convolution, over one axis made one over two.
struct Maps {
    x: Floats,
    weight: Floats,
    windows: [Window; 2],
    groups: usize,
    bias: Option<Tensor<1>>,
    /// Whether there is an axis more than the node knows.
    is_flat: bool,
}

fn maps(node: &Node, inputs: &mut Inputs) -> Outcome<Maps> {
    let (x, weight) = (inputs.filled(0)?, inputs.filled(1)?);
    if !matches!(x.rank(), 3 | 4) || weight.rank() != x.rank() {
        return refuse(format!(
            "maps of shape {:?} with weights of shape {:?}; it is known over one axis or two",
            x.shape(),
            weight.shape()
        ));
    }
    let found = windows(node, &weight.shape()[2..], &x.shape()[2..])?;
    let is_flat = x.rank() == 3;
    let windows = if is_flat { [POINT, found[0]] } else { [found[0], found[1]] };
    let groups = match usize::try_from(node.int("group", 1)) {
        Ok(groups) if (1..1 << 31).contains(&groups) => groups,
        _ => return refuse(format!("group {}", node.int("group", 1))),
    };
    let deeper = |floats: Floats| {
        if !is_flat {
            return Ok(floats);
        }
        let mut shape = floats.shape().to_vec();
        shape.insert(2, 1);
        floats.reshape(shape)
    };
    let bias = inputs.optional_floats(2)?.map(Floats::flat);
    Ok(Maps { x: deeper(x)?, weight: deeper(weight)?, windows, groups, bias, is_flat })
}

fn answer(tensor: Tensor<4>, is_flat: bool) -> Vec<Value> {
    let [batch, channels, height, width] = tensor.dims();
    let floats = if is_flat {
        Floats::from_reshaped(tensor, vec![batch, channels, width])
    } else {
        Floats::from_reshaped(tensor, vec![batch, channels, height, width])
    };
    vec![Value::Float(floats)]
}

fn check_bias(bias: Option<&Tensor<1>>, channels: usize) -> Outcome<()> {
    match bias.map(|bias| bias.dims()[0]) {
        Some(size) if size != channels => {
            refuse(format!("a bias of {size} values for {channels} channels"))
        }
        _ => Ok(()),
    }
}

/// That neither the padded maps nor the answer is larger than can be meant.
fn check_size(maps: &[usize], windows: &[Window; 2], channels: usize) -> Outcome<()> {
    let size = |axis: usize| maps[2 + axis] + windows[axis].pads.0 + windows[axis].pads.1;
    count(&[maps[0], maps[1], size(0), size(1)])?;
    let windows = |axis: usize| windows[axis].count(maps[2 + axis], false);
    count(&[maps[0], channels, windows(0)?, windows(1)?])?;
    Ok(())
}

pub(super) fn conv(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let Maps { x, weight, windows, groups, bias, is_flat } = maps(node, inputs)?;
    let (to, from) = (weight.shape()[0], weight.shape()[1]);
    if x.shape()[1] != from * groups || to % groups != 0 || x.len() * weight.len() == 0 {
        return refuse(format!(
            "{} channels, weights of shape {:?}, group {groups}",
            x.shape()[1],
            weight.shape()
        ));
    }
    check_bias(bias.as_ref(), to)?;
    check_size(x.shape(), &windows, to)?;
    let geometry = Geometry {
        stride: windows.map(|window| window.stride),
        padding: windows.map(|window| window.pads),
    };
    if let Some(order) = order(&x, &weight, &windows, groups, geometry)? {
        let how = How { geometry, order, bounds: node.bounds };
        let y = convolve(x.with_rank::<4>()?, weight.with_rank::<4>()?, bias, how);
        return Ok(match order {
            Order::Places if !is_flat => vec![Value::Float(Floats::by_place(y))],
            _ => answer(y, is_flat),
        });
    }
    let options = ConvOptions::new_with_padding(
        windows.map(|window| window.stride),
        windows.map(|window| window.pads),
        windows.map(|window| window.dilation),
        groups,
    );
    let y = conv2d(x.with_rank::<4>()?, weight.with_rank::<4>()?, bias, options);
    Ok(answer(bounded(y, node.bounds), is_flat))
}

/// The most values of what one row of the answer sees; our kernels keep them all.
const MOST_SEEN: usize = 1 << 22;

/// How the values of a convolution's maps are to lie, if our kernels know it.
fn order(
    x: &Floats,
    weight: &Floats,
    windows: &[Window; 2],
    groups: usize,
    geometry: Geometry,
) -> Outcome<Option<Order>> {
    let (&[filters, seen, down, across], &[batch, channels, height, width]) =
        (weight.shape(), x.shape())
    else {
        return Ok(None);
    };
    if !are_for(&x.device())
        || windows.iter().any(|window| window.dilation > 1 && window.kernel > 1)
    {
        return Ok(None);
    }
    let is_still = windows.iter().all(|window| window.stride == 1 && window.pads == (0, 0));
    if seen == 1 && groups > 1 && filters == groups {
        return Ok(Some(Order::Places));
    }
    if groups > 1 {
        return Ok(None);
    }
    if [down, across] == [1, 1] && is_still && x.is_by_place() {
        return Ok(Some(Order::Places));
    }
    let sizes = ([batch, channels, height, width], [filters, seen, down, across]);
    // Over one axis, or of one place, a map that lies otherwise is better left so.
    if height > 1 && [down, across] != [1, 1] && fits_places(sizes.0, sizes.1, geometry) {
        return Ok(Some(Order::Places));
    }
    let row = windows[1].count(x.shape()[3], false)?;
    let fits = seen * down * across * row <= MOST_SEEN;
    Ok(fits.then_some(Order::Planes))
}

/// What of one axis of a whole transposed convolution is the answer.
#[derive(Clone, Copy)]
struct Kept {
    /// Padding before it.
    start: usize,
    size: usize,
    /// Values behind the last window, which are only the bias.
    beyond: usize,
}

impl Kept {
    /// Of an axis of `size` values, given its output padding, the size that the node asks for,
    /// and its way to pad.
    fn new(
        window: &Window,
        size: usize,
        more: usize,
        wanted: Option<usize>,
        auto: &str,
    ) -> Outcome<Self> {
        let Window { stride, pads, .. } = *window;
        let windows = size.saturating_sub(1) * stride + window.reach();
        let whole = windows + more;
        let same = auto.starts_with("SAME").then_some(size * stride);
        let (start, size) = match wanted.or(same) {
            Some(size) => {
                let total = whole.saturating_sub(size);
                let half = total / 2;
                (if auto == "SAME_UPPER" { half } else { total - half }, size)
            }
            // For VALID the pads are zero.
            None => match whole.checked_sub(pads.0 + pads.1) {
                Some(size) => (pads.0, size),
                None => return refuse(format!("pads {pads:?} of {whole} values")),
            },
        };
        Ok(Self { start, size, beyond: (start + size).saturating_sub(windows) })
    }
}

pub(super) fn conv_transpose(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let Maps { x, weight, windows, groups, bias, is_flat } = maps(node, inputs)?;
    let (from, to) = (weight.shape()[0], weight.shape()[1] * groups);
    if x.shape()[1] != from || from % groups != 0 || x.len() * weight.len() == 0 {
        return refuse(format!(
            "{} channels, weights of shape {:?}, group {groups}",
            x.shape()[1],
            weight.shape()
        ));
    }
    check_bias(bias.as_ref(), to)?;
    let auto = node.text("auto_pad", "NOTSET")?;
    let along = |key: &str| -> Outcome<[Option<usize>; 2]> {
        match node.sizes(key, 0)?.unwrap_or_default()[..] {
            [] => Ok([None; 2]),
            [size] if is_flat => Ok([None, Some(size)]),
            [height, width] if !is_flat => Ok([Some(height), Some(width)]),
            _ => refuse(format!("{key} for {} axes", if is_flat { 1 } else { 2 })),
        }
    };
    let (more, wanted) = (along("output_padding")?, along("output_shape")?);
    let size = |axis: usize| x.shape()[2 + axis];
    let kept = |axis: usize| {
        Kept::new(&windows[axis], size(axis), more[axis].unwrap_or(0), wanted[axis], auto)
    };
    let kept = [kept(0)?, kept(1)?];
    let length = |axis: usize| {
        let windows = size(axis).saturating_sub(1) * windows[axis].stride + windows[axis].reach();
        windows.saturating_add(kept[axis].beyond)
    };
    count(&[x.shape()[0], to, length(0), length(1)])?;
    // All of it is computed and what is padding cut off: that way the two sides may differ.
    let options = ConvTransposeOptions::new(
        windows.map(|window| window.stride),
        [0, 0],
        [0, 0],
        windows.map(|window| window.dilation),
        groups,
    );
    let mut y = conv_transpose2d(x.with_rank::<4>()?, weight.with_rank::<4>()?, None, options);
    let [batch, channels, height, width] = y.dims();
    let beyond = kept.map(|kept| kept.beyond);
    if beyond != [0, 0] {
        let wider = [batch, channels, height + beyond[0], width + beyond[1]];
        let silence = Tensor::zeros(wider, &y.device());
        y = silence.slice_assign([0..batch, 0..channels, 0..height, 0..width], y);
    }
    let [down, across] = kept.map(|kept| kept.start..kept.start + kept.size);
    let y = y.slice([0..batch, 0..channels, down, across]);
    let y = match bias {
        Some(bias) => y + bias.reshape([1, channels, 1, 1]),
        None => y,
    };
    Ok(answer(y, is_flat))
}

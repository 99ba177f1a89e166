//! Resizing: every axis on its own, each value a weighted sum of its neighbours.

use super::super::fault::{Outcome, refuse};
use super::super::floats::{Floats, count};
use super::super::node::{Inputs, Node, axes, axis};
use super::super::value::Value;
use super::indexing::at_places;
use super::matrix::along_axis;

/// How a cubic curve through four values bends, if the node does not say.
const CUBIC: f32 = -0.75;

/// What is the same for all axes.
struct Method<'a> {
    /// How values between places are found: `nearest`, `linear` or `cubic`.
    mode: &'a str,
    /// Where in the old axis a place of the new one is.
    transformation: &'a str,
    /// Which neighbour is nearest.
    rounding: &'a str,
    cubic: f64,
    antialias: bool,
    excludes_outside: bool,
    /// What is outside the region, with `tf_crop_and_resize`.
    outside: f32,
}

/// What one axis becomes.
struct Axis {
    from: usize,
    to: usize,
    scale: f64,
    /// The part of the axis that is meant, with `tf_crop_and_resize`.
    region: [f64; 2],
}

/// What a value of the new axis is made of; nothing, if it lies outside.
type Parts = Vec<(usize, f64)>;

impl Method<'_> {
    fn of(node: &Node) -> Outcome<Method<'_>> {
        let old = node.operator == "Upsample" || node.opset < 11;
        let method = Method {
            mode: node.text("mode", "nearest")?,
            transformation: if old {
                "asymmetric"
            } else {
                node.text("coordinate_transformation_mode", "half_pixel")?
            },
            rounding: if old { "floor" } else { node.text("nearest_mode", "round_prefer_floor")? },
            cubic: f64::from(node.float("cubic_coeff_a", CUBIC)),
            antialias: node.flag("antialias", false),
            excludes_outside: node.flag("exclude_outside", false),
            outside: node.float("extrapolation_value", 0.0),
        };
        match method.mode {
            "nearest" | "linear" | "bilinear" | "cubic" => Ok(method),
            other => refuse(format!("mode {other}")),
        }
    }

    /// Where in the old axis the value at `to` lies.
    fn origin(&self, axis: &Axis, to: usize) -> Outcome<f64> {
        let (to, from) = (to as f64, axis.from as f64);
        let length = axis.scale * from;
        let last = from - 1.0;
        let [start, end] = axis.region;
        Ok(match self.transformation {
            "half_pixel" => (to + 0.5) / axis.scale - 0.5,
            "half_pixel_symmetric" => {
                let beside = from / 2.0 * (1.0 - axis.to as f64 / length);
                beside + (to + 0.5) / axis.scale - 0.5
            }
            "pytorch_half_pixel" if axis.to == 1 => -0.5,
            "pytorch_half_pixel" => (to + 0.5) / axis.scale - 0.5,
            "asymmetric" => to / axis.scale,
            "align_corners" if length == 1.0 => 0.0,
            "align_corners" => to * last / (length - 1.0),
            "tf_crop_and_resize" if axis.to == 1 => start * last + (end - start) * last / 2.0,
            "tf_crop_and_resize" => start * last + to * (end - start) * last / (length - 1.0),
            other => return refuse(format!("coordinate_transformation_mode {other}")),
        })
    }

    /// What the value at `to` is made of.
    fn parts(&self, axis: &Axis, to: usize) -> Outcome<Parts> {
        let origin = self.origin(axis, to)?;
        let last = axis.from as f64 - 1.0;
        if !origin.is_finite() {
            return refuse("a place that is no number");
        }
        if self.transformation == "tf_crop_and_resize" && !(0.0..=last).contains(&origin) {
            return Ok(vec![]);
        }
        if self.mode == "nearest" {
            let place = match self.rounding {
                "round_prefer_floor" => (origin - 0.5).ceil(),
                "round_prefer_ceil" => (origin + 0.5).floor(),
                "floor" => origin.floor(),
                "ceil" => origin.ceil(),
                other => return refuse(format!("nearest_mode {other}")),
            };
            return Ok(vec![(place.clamp(0.0, last) as usize, 1.0)]);
        }
        // Shrinking with antialias widens the kernel, so that no value is passed over.
        let squeeze = if self.antialias { axis.scale.min(1.0) } else { 1.0 };
        let reach = if self.mode == "cubic" { 2.0 } else { 1.0 };
        let left = origin.ceil() - 1.0;
        let before = (-reach / squeeze).floor() + 1.0;
        let mut parts = vec![];
        for step in before as i64..=1 - before as i64 {
            let place = left + step as f64;
            let weight = self.kernel((place - origin) * squeeze);
            if !self.excludes_outside || (0.0..=last).contains(&place) {
                parts.push((place.clamp(0.0, last) as usize, weight));
            }
        }
        let sum: f64 = parts.iter().map(|(_, weight)| weight).sum();
        let sum = if sum == 0.0 { 1.0 } else { sum };
        Ok(parts.into_iter().map(|(place, weight)| (place, weight / sum)).collect())
    }

    /// The weight of a value at this distance.
    fn kernel(&self, distance: f64) -> f64 {
        let x = distance.abs();
        if self.mode != "cubic" {
            return (1.0 - x).max(0.0);
        }
        let a = self.cubic;
        if x <= 1.0 {
            ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
        } else if x < 2.0 {
            ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
        } else {
            0.0
        }
    }
}

/// `Resize`, and `Upsample` which it was before opset 10.
pub(super) fn resize(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let method = Method::of(node)?;
    let plan = plan(node, inputs)?;
    let mut x = inputs.filled(0)?;
    for (at, axis) in plan {
        let mut shape = x.shape().to_vec();
        shape[at] = axis.to;
        count(&shape)?;
        count(&[axis.to, axis.from])?;
        let whole = axis.scale == 1.0 && axis.from == axis.to && axis.region == [0.0, 1.0];
        if whole {
            continue;
        }
        let parts = (0..axis.to).map(|to| method.parts(&axis, to)).collect::<Outcome<Vec<_>>>()?;
        let single = |parts: &Parts| match parts[..] {
            [(place, 1.0)] => Some(place),
            _ => None,
        };
        x = match parts.iter().map(single).collect::<Option<Vec<usize>>>() {
            Some(places) => at_places(x, at, places)?,
            None => weighted(x, at, &parts, method.outside)?,
        };
    }
    Ok(vec![Value::Float(x)])
}

/// Weighted sums of values along an axis; `outside` for a sum of nothing.
fn weighted(x: Floats, at: usize, parts: &[Parts], outside: f32) -> Outcome<Floats> {
    let (from, to) = (x.shape()[at], parts.len());
    let mut matrix = vec![0.0; to * from];
    for (row, parts) in parts.iter().enumerate() {
        for (place, weight) in parts {
            matrix[row * from + place] += *weight as f32;
        }
    }
    let device = x.device();
    let matrix = Floats::new(matrix, vec![to, from], &device)?;
    let y = along_axis(x, at, matrix)?;
    if parts.iter().all(|parts| !parts.is_empty()) {
        return Ok(y);
    }
    let constant = parts.iter().map(|parts| if parts.is_empty() { outside } else { 0.0 });
    let mut shape = vec![1; y.rank() - at];
    shape[0] = to;
    let constant = Floats::new(constant.collect(), shape, &device)?;
    y.zip(constant, |y, constant| y + constant)
}

/// The axes that a node changes, and into what.
fn plan(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<(usize, Axis)>> {
    let shape = inputs.peek(0)?.shape().to_vec();
    if shape.contains(&0) {
        return refuse(format!("an empty tensor {shape:?}"));
    }
    let list = |inputs: &mut Inputs, index: usize| -> Outcome<Option<Vec<f32>>> {
        let floats = inputs.optional_floats(index)?;
        Ok(floats.map(|floats| floats.values()).filter(|values| !values.is_empty()))
    };
    let attribute = node.floats("scales").map(<[f32]>::to_vec);
    let (region, scales, sizes) = match (node.operator.as_str(), node.opset) {
        ("Upsample", ..9) => (None, attribute, None),
        ("Upsample", _) | (_, ..11) => (None, list(inputs, 1)?, None),
        _ => {
            let (region, scales) = (list(inputs, 1)?, list(inputs, 2)?);
            let sizes = inputs.optional_list(3)?.filter(|sizes| !sizes.is_empty());
            (region, scales, sizes)
        }
    };
    let which = match node.ints("axes") {
        Some(given) => {
            axes(given, shape.len())?;
            given.iter().map(|at| axis(*at, shape.len())).collect::<Outcome<_>>()?
        }
        None => (0..shape.len()).collect::<Vec<_>>(),
    };
    let number = which.len();
    let lengths = [
        region.as_ref().map_or(number, |region| region.len() / 2),
        scales.as_ref().map_or(number, Vec::len),
        sizes.as_ref().map_or(number, Vec::len),
    ];
    if lengths.iter().any(|length| *length != number) {
        return refuse(format!("scales or sizes of {lengths:?} axes, not {number}"));
    }
    let old = |at: usize| shape[which[at]] as f64;
    let found: Vec<(f64, f64)> = match (scales, sizes) {
        (Some(scales), _) => (0..number)
            // In single precision, in which the scale is given.
            .map(|at| (f64::from(scales[at]), f64::from((scales[at] * old(at) as f32).floor())))
            .collect(),
        (None, Some(sizes)) => {
            let each = (0..number).map(|at| sizes[at] as f64 / old(at));
            let common = match node.text("keep_aspect_ratio_policy", "stretch")? {
                "stretch" => None,
                "not_larger" => each.clone().reduce(f64::min),
                "not_smaller" => each.clone().reduce(f64::max),
                other => return refuse(format!("keep_aspect_ratio_policy {other}")),
            };
            each.enumerate()
                .map(|(at, scale)| match common {
                    Some(scale) => (scale, (scale * old(at) + 0.5).floor()),
                    None => (scale, sizes[at] as f64),
                })
                .collect()
        }
        (None, None) => return refuse("neither scales nor sizes"),
    };
    let axes = found.into_iter().enumerate().map(|(at, (scale, to))| {
        if !(scale.is_finite() && scale > 0.0 && (1.0..2e9).contains(&to)) {
            return refuse(format!("a scale of {scale}"));
        }
        let region = region
            .as_ref()
            .map_or([0.0, 1.0], |region| [f64::from(region[at]), f64::from(region[number + at])]);
        let (from, to) = (shape[which[at]], to as usize);
        Ok((which[at], Axis { from, to, scale, region }))
    });
    axes.collect()
}

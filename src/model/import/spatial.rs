//! Layers on images: convolution and pooling.

use tract_onnx::pb::NodeProto;

use super::layout::{ImageAxes, Layout};
use super::lower::{Lowering, param, transpose_planes};
use crate::error::Result;
use crate::model::cnn::Spatial;
use crate::onnx::attributes::{attribute, int, ints};
use crate::run::{Pads, Pooling, SpatialSpec};

/// A convolution's or pool's windows, as ONNX gives them.
struct Windows {
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    pads: Pads,
}

impl Windows {
    /// These windows on an image whose height and width are exchanged.
    fn swapped(self) -> Self {
        let swap = |[a, b]: [usize; 2]| [b, a];
        let [top, left, bottom, right] = self.pads;
        Self {
            kernel: swap(self.kernel),
            stride: swap(self.stride),
            dilation: swap(self.dilation),
            pads: [left, top, right, bottom],
        }
    }
}

impl Lowering<'_> {
    /// The order of height and width in the image that `node` is given.
    fn image(&self, node: &NodeProto) -> Result<ImageAxes> {
        match self.layout.as_image() {
            Some(axes) if self.dense.is_empty() => Ok(axes),
            _ => self.refuse(node, "its input is not an image [batch, channels, height, width]"),
        }
    }

    /// `[channels, height, width]` that the layer makes of the one it is given.
    fn output(&self, node: &NodeProto, spec: &SpatialSpec) -> Result<[usize; 3]> {
        // Whatever is wrong with the layer, it is this node that cannot be imported.
        spec.output(self.layout.sizes())
            .map_err(|error| self.graph.unsupported(node, error.to_string()))
    }

    pub(super) fn push_spatial(
        &mut self,
        node: &NodeProto,
        spec: SpatialSpec,
        layer: Spatial,
    ) -> Result<()> {
        let axes = self.image(node)?;
        let sizes = self.output(node, &spec)?;
        self.layout = Layout::image(sizes, axes, self.layout.batch());
        self.spatial.push((spec, layer));
        Ok(())
    }

    /// The windows of a node with this kernel, for an image in our own order of axes.
    fn windows(&self, node: &NodeProto, kernel: [usize; 2], axes: ImageAxes) -> Result<Windows> {
        let pair = |key: &str| -> Result<[usize; 2]> {
            let list = ints(node, key).filter(|list| !list.is_empty()).unwrap_or(&[1, 1]);
            match list.iter().map(|v| usize::try_from(*v)).collect::<Result<Vec<_>, _>>() {
                Ok(list) if list.len() == 2 && list.iter().all(|v| *v > 0) => {
                    Ok([list[0], list[1]])
                }
                _ => self.refuse(node, format!("{key} {list:?} (two positive numbers expected)")),
            }
        };
        let (stride, dilation) = (pair("strides")?, pair("dilations")?);
        let [_, height, width] = self.layout.sizes();
        let size = match axes {
            ImageAxes::HeightWidth => [height, width],
            ImageAxes::WidthHeight => [width, height],
        };
        let pads = self.pads(node, size, kernel, stride, dilation)?;
        let windows = Windows { kernel, stride, dilation, pads };
        Ok(match axes {
            ImageAxes::HeightWidth => windows,
            ImageAxes::WidthHeight => windows.swapped(),
        })
    }

    /// What is padded at each side, said by `pads` or by `auto_pad`.
    fn pads(
        &self,
        node: &NodeProto,
        size: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        dilation: [usize; 2],
    ) -> Result<Pads> {
        let auto = attribute(node, "auto_pad").map_or(&b"NOTSET"[..], |a| &a.s);
        let same = |axis: usize| {
            let outputs = size[axis].div_ceil(stride[axis]);
            let reach = dilation[axis] * (kernel[axis] - 1) + 1;
            let total = ((outputs - 1) * stride[axis] + reach).saturating_sub(size[axis]);
            // An odd pixel goes to the end for UPPER, to the start for LOWER.
            if auto == b"SAME_UPPER" {
                (total / 2, total - total / 2)
            } else {
                (total - total / 2, total / 2)
            }
        };
        match auto {
            b"VALID" => Ok([0; 4]),
            b"SAME_UPPER" | b"SAME_LOWER" => {
                let ((top, bottom), (left, right)) = (same(0), same(1));
                Ok([top, left, bottom, right])
            }
            b"NOTSET" | b"" => {
                let pads = ints(node, "pads").filter(|p| !p.is_empty()).unwrap_or(&[0; 4]);
                match pads.iter().map(|p| usize::try_from(*p)).collect::<Result<Vec<_>, _>>() {
                    Ok(pads) if pads.len() == 4 => Ok([pads[0], pads[1], pads[2], pads[3]]),
                    _ => self.refuse(node, format!("pads {pads:?} (four numbers expected)")),
                }
            }
            other => self.refuse(node, format!("auto_pad {}", String::from_utf8_lossy(other))),
        }
    }

    pub(super) fn conv(&mut self, node: &NodeProto) -> Result<()> {
        let axes = self.image(node)?;
        let (dims, weights) = self.graph.floats(node, 1)?;
        let &[out, per_group, height, width] = dims.as_slice() else {
            return self.refuse(node, format!("weights of shape {dims:?}; only 2-D convolution"));
        };
        let groups = usize::try_from(int(node, "group", 1)).unwrap_or(0);
        if groups == 0 || out % groups != 0 || [out, per_group, height, width].contains(&0) {
            return self.refuse(node, format!("group {groups} with weights of shape {dims:?}"));
        }
        let windows = self.windows(node, [height, width], axes)?;
        let weights = match axes {
            ImageAxes::HeightWidth => weights,
            ImageAxes::WidthHeight => transpose_planes(&weights, height, width),
        };
        let bias = self.optional_vector(node, 2, out)?;
        let spec = SpatialSpec::Conv {
            channels: [per_group * groups, out],
            kernel: windows.kernel,
            stride: windows.stride,
            dilation: windows.dilation,
            pads: windows.pads,
            groups,
            bias: bias.is_some(),
        };
        let Spatial::Conv(mut conv) = Spatial::init(&spec, self.device) else { unreachable!() };
        let [height, width] = windows.kernel;
        conv.weight = param(weights, [out, per_group, height, width], self.device);
        conv.bias = bias.map(|bias| param(bias, [out], self.device));
        self.push_spatial(node, spec, Spatial::Conv(conv))
    }

    pub(super) fn pool(&mut self, node: &NodeProto, kind: Pooling) -> Result<()> {
        let axes = self.image(node)?;
        let kernel = match ints(node, "kernel_shape") {
            Some(&[height, width]) if height > 0 && width > 0 => [height as usize, width as usize],
            other => return self.refuse(node, format!("kernel_shape {other:?}; only 2-D pooling")),
        };
        let windows = self.windows(node, kernel, axes)?;
        if windows.dilation != [1, 1] {
            return self.refuse(node, format!("dilations {:?}", windows.dilation));
        }
        let Windows { kernel, stride, pads, .. } = windows;
        let spec = SpatialSpec::Pool { kind, kernel, stride, pads };
        if int(node, "ceil_mode", 0) != 0 {
            let [_, height, width] = self.layout.sizes();
            let exact = |size: usize, axis: usize| {
                (size + pads[axis] + pads[axis + 2] - kernel[axis]).is_multiple_of(stride[axis])
            };
            self.output(node, &spec)?;
            if !(exact(height, 0) && exact(width, 1)) {
                return self.refuse(node, "ceil_mode with a window that hangs over the edge");
            }
        }
        let layer = Spatial::init(&spec, self.device);
        self.push_spatial(node, spec, layer)
    }

    pub(super) fn global_average_pool(&mut self, node: &NodeProto, keep_dims: bool) -> Result<()> {
        let spec = SpatialSpec::GlobalAveragePool;
        let layer = Spatial::init(&spec, self.device);
        self.push_spatial(node, spec, layer)?;
        if !keep_dims {
            self.layout = Layout::vector(self.layout.sizes()[0], self.layout.batch());
        }
        Ok(())
    }

    /// A mean over height and width is how some exporters write global average pooling.
    pub(super) fn reduce_mean(&mut self, node: &NodeProto) -> Result<()> {
        let rank = self.layout.rank();
        let axes = self.axes(node)?;
        let mut axes: Vec<usize> = axes
            .iter()
            .map(|axis| self.layout.axis(*axis, rank))
            .collect::<Result<_, _>>()
            .map_err(|error| self.graph.unsupported(node, error.to_string()))?;
        axes.sort_unstable();
        if axes == [2, 3] && rank == 4 {
            self.global_average_pool(node, int(node, "keepdims", 1) != 0)
        } else {
            self.refuse(node, format!("a mean over axes {axes:?}, not height and width"))
        }
    }
}

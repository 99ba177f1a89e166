//! Windows of convolutions and pools.

use super::super::fault::{Outcome, refuse};
use super::super::node::Node;

/// How a window moves along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    /// Padding before and after.
    pub pads: (usize, usize),
}

impl Window {
    /// How far a window reaches.
    pub fn reach(&self) -> usize {
        self.dilation * (self.kernel - 1) + 1
    }

    /// How many windows there are over `size` values, whole ones or, with `ceil`, also such as
    /// begin inside and hang over the end.
    pub fn count(&self, size: usize, ceil: bool) -> Outcome<usize> {
        let padded = size + self.pads.0 + self.pads.1;
        let Some(rest) = padded.checked_sub(self.reach()) else {
            return refuse(format!("a window of {} does not fit into {padded}", self.reach()));
        };
        if !ceil {
            return Ok(rest / self.stride + 1);
        }
        let count = rest.div_ceil(self.stride) + 1;
        // A window that would begin in the padding after the end is left out.
        Ok(count - usize::from((count - 1) * self.stride >= size + self.pads.0))
    }
}

/// The windows of a node with this kernel over axes of these sizes.
pub(super) fn windows(node: &Node, kernel: &[usize], sizes: &[usize]) -> Outcome<Vec<Window>> {
    let axes = sizes.len();
    if kernel.len() != axes || kernel.contains(&0) {
        return refuse(format!("a kernel of {kernel:?} over {axes} axes"));
    }
    let given = |key: &str| -> Outcome<Vec<usize>> {
        match node.sizes(key, 1)? {
            Some(list) if list.len() == axes => Ok(list),
            None => Ok(vec![1; axes]),
            Some(list) => refuse(format!("{key} {list:?} over {axes} axes")),
        }
    };
    let (strides, dilations) = (given("strides")?, given("dilations")?);
    let auto = node.text("auto_pad", "NOTSET")?;
    let pads = match node.sizes("pads", 0)? {
        Some(pads) if pads.len() == 2 * axes => pads,
        None => vec![0; 2 * axes],
        Some(pads) => return refuse(format!("pads {pads:?} over {axes} axes")),
    };
    (0..axes)
        .map(|axis| {
            let (kernel, stride, dilation) = (kernel[axis], strides[axis], dilations[axis]);
            let reach = dilation * (kernel - 1) + 1;
            let outputs = sizes[axis].div_ceil(stride);
            let total = (outputs.saturating_sub(1) * stride + reach).saturating_sub(sizes[axis]);
            let pads = match auto {
                "NOTSET" | "" => (pads[axis], pads[axis + axes]),
                "VALID" => (0, 0),
                // An odd value more goes to the end for UPPER, to the start for LOWER.
                "SAME_UPPER" => (total / 2, total - total / 2),
                "SAME_LOWER" => (total - total / 2, total / 2),
                other => return refuse(format!("auto_pad {other}")),
            };
            Ok(Window { kernel, stride, dilation, pads })
        })
        .collect()
}

//! Activations that become part of the convolution before them: one pass less over its maps.

use std::collections::HashMap;

use burn::tensor::Device;

use super::node::{Inputs, Node, Operator};
use super::operators::clip_bounds;
use super::value::Value;
use crate::model::layers::Bounds;

/// Nodes with each activation that only keeps values between known bounds made part of the
/// convolution that it follows, where nobody else, and no entry of `outputs`, asks for that one.
pub(super) fn fuse(
    nodes: Vec<(Node, Operator)>,
    constants: &HashMap<usize, Value>,
    outputs: &[usize],
    device: &Device,
) -> Vec<(Node, Operator)> {
    let mut asked: HashMap<usize, usize> = HashMap::new();
    let inputs = nodes.iter().flat_map(|(node, _)| node.inputs.iter().flatten());
    inputs.chain(outputs).for_each(|place| *asked.entry(*place).or_default() += 1);
    let mut convolutions: HashMap<usize, usize> = HashMap::new();
    let mut fused: Vec<(Node, Operator)> = Vec::with_capacity(nodes.len());
    for (node, operator) in nodes {
        let before = node.inputs.first().copied().flatten();
        let convolution = before.and_then(|place| convolutions.remove(&place));
        if let (Some(at), Some(bounds)) = (convolution, bounds(&node, constants, device)) {
            fused[at].0.bounds = bounds;
            fused[at].0.outputs = node.outputs;
            continue;
        }
        if let ("Conv", [Some(place)]) = (node.operator.as_str(), &node.outputs[..])
            && asked.get(place) == Some(&1)
        {
            convolutions.insert(*place, fused.len());
        }
        fused.push((node, operator));
    }
    fused
}

/// The bounds that an activation keeps values between, if it does nothing else.
fn bounds(node: &Node, constants: &HashMap<usize, Value>, device: &Device) -> Option<Bounds> {
    match node.operator.as_str() {
        "Relu" => Some(Bounds::RELU),
        "Clip" => {
            let mut given = vec![];
            for (index, place) in node.inputs.iter().enumerate() {
                let value = place.filter(|_| index > 0).map(|place| constants.get(&place));
                given.push(match value {
                    Some(Some(value)) => Some(value.clone()),
                    // A bound that is computed every time.
                    Some(None) => return None,
                    None => None,
                });
            }
            clip_bounds(node, &mut Inputs::new(given, device.clone(), false)).ok()
        }
        _ => None,
    }
}

//! Reading the attributes of a node.

use tract_onnx::pb::{AttributeProto, NodeProto};

/// The attribute of this name, if the node has it.
pub(crate) fn attribute<'a>(node: &'a NodeProto, key: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == key)
}

/// An integer, or what the operator takes without it.
pub(crate) fn int(node: &NodeProto, key: &str, default: i64) -> i64 {
    attribute(node, key).map_or(default, |a| a.i)
}

/// A float, or what the operator takes without it.
pub(crate) fn float(node: &NodeProto, key: &str, default: f32) -> f32 {
    attribute(node, key).map_or(default, |a| a.f)
}

//! The multiply-adds of operators, from the shapes of their tensors.

use std::collections::BTreeMap;

use tract_onnx::pb::NodeProto;

use super::walk::product;
use crate::onnx::attributes::{attribute, int};

/// The operators that are counted here; in others, additions and multiplications of single
/// values, there are few beside these.
const COUNTED: [&str; 17] = [
    "Conv",
    "ConvInteger",
    "QLinearConv",
    "FusedConv",
    "ConvTranspose",
    "Gemm",
    "FusedGemm",
    "MatMul",
    "MatMulInteger",
    "QLinearMatMul",
    "FusedMatMul",
    "Einsum",
    "GRU",
    "LSTM",
    "RNN",
    "Attention",
    "MultiHeadAttention",
];

/// Whether [`multiply_adds`] knows what `node` does.
pub(super) fn is_counted(node: &NodeProto) -> bool {
    COUNTED.contains(&node.op_type.as_str())
}

/// The multiplications that `node` adds up, `shape` being what is known of its tensors; none
/// where that does not tell. Operators that are not counted have zero.
pub(super) fn multiply_adds(
    node: &NodeProto,
    shape: impl Fn(&str) -> Option<Vec<u64>>,
) -> Option<u64> {
    let input = |place: usize| shape(node.input.get(place).filter(|name| !name.is_empty())?);
    let output = || shape(node.output.first()?);
    match node.op_type.as_str() {
        "Conv" | "ConvInteger" | "FusedConv" => convolution(&output()?, &input(1)?),
        "QLinearConv" => convolution(&output()?, &input(3)?),
        // Every value that goes in is multiplied with every weight of its channel.
        "ConvTranspose" => Some(product(&input(0)?).saturating_mul(product(input(1)?.get(1..)?))),
        "Gemm" | "FusedGemm" => {
            let inner = if int(node, "transA", 0) == 0 { 1 } else { 0 };
            Some(product(&output()?).saturating_mul(*input(0)?.get(inner)?))
        }
        "FusedMatMul" if int(node, "transA", 0) != 0 => {
            Some(product(&output()?).saturating_mul(*input(0)?.iter().rev().nth(1)?))
        }
        "MatMul" | "MatMulInteger" | "QLinearMatMul" | "FusedMatMul" => {
            Some(product(&output()?).saturating_mul(*input(0)?.last()?))
        }
        "Einsum" => einsum(node, &input),
        "GRU" | "LSTM" | "RNN" => {
            let (sequence, weights, recurrent) = (input(0)?, input(1)?, input(2)?);
            let steps = product(&sequence).checked_div(*sequence.last()?)?;
            Some(steps.saturating_mul(product(&weights).saturating_add(product(&recurrent))))
        }
        // With a domain of its own the operator has its projections inside and other inputs.
        "Attention" if !matches!(node.domain.as_str(), "" | "ai.onnx") => None,
        "Attention" | "MultiHeadAttention" => {
            // Each query meets each key, and each weight of those its value.
            let (queries, keys) = (input(0)?, input(1)?);
            let past = input(4).filter(|past| past.len() == 4);
            let past = past.and_then(|past| past.get(2).copied()).unwrap_or(0);
            let keys = keys.iter().rev().nth(1)?.saturating_add(past);
            Some(product(&queries).saturating_add(product(&output()?)).saturating_mul(keys))
        }
        _ => Some(0),
    }
}

/// Every output value is a sum over one filter, `weights` without its first axis.
fn convolution(output: &[u64], weights: &[u64]) -> Option<u64> {
    Some(product(output).saturating_mul(product(weights.get(1..)?)))
}

/// The product of the sizes of all letters; none for an ellipsis, whose axes have none.
fn einsum(node: &NodeProto, input: &impl Fn(usize) -> Option<Vec<u64>>) -> Option<u64> {
    let equation = attribute(node, "equation").and_then(|a| str::from_utf8(&a.s).ok())?;
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let terms = equation.split("->").next()?;
    let mut sizes = BTreeMap::new();
    for (place, letters) in terms.split(',').enumerate() {
        let shape = input(place)?;
        if letters.contains('.') || letters.chars().count() != shape.len() {
            return None;
        }
        sizes.extend(letters.chars().zip(shape));
    }
    let operands = terms.split(',').count();
    if operands != node.input.len() {
        return None;
    }
    Some(if operands < 2 { 0 } else { product(&sizes.into_values().collect::<Vec<_>>()) })
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::AttributeProto;

    use super::*;

    fn count(op: &str, inputs: &[&[u64]], output: &[u64], attributes: &[(&str, i64)]) -> u64 {
        let name = |place: usize| format!("{place}");
        let attribute = |(name, i): &(&str, i64)| AttributeProto {
            name: (*name).into(),
            i: *i,
            ..Default::default()
        };
        let node = NodeProto {
            op_type: op.into(),
            input: (0..inputs.len()).map(name).collect(),
            output: vec!["out".into()],
            attribute: attributes.iter().map(attribute).collect(),
            ..Default::default()
        };
        let shape = |name: &str| match name {
            "out" => Some(output.to_vec()),
            place => place.parse().ok().and_then(|place: usize| Some(inputs.get(place)?.to_vec())),
        };
        multiply_adds(&node, shape).unwrap()
    }

    #[test]
    fn products_are_counted_as_by_hand() {
        // YAMNet's first layer: 3 x 3 on one channel, 32 filters, 48 x 32 places.
        let first = count("Conv", &[&[1, 1, 96, 64], &[32, 1, 3, 3]], &[1, 32, 48, 32], &[]);
        assert_eq!(first, 48 * 32 * 32 * 9);
        // By channel: 32 filters of one channel each.
        let depthwise = count("Conv", &[&[1, 32, 48, 32], &[32, 1, 3, 3]], &[1, 32, 48, 32], &[]);
        assert_eq!(depthwise, 48 * 32 * 32 * 9);
        assert_eq!(count("ConvTranspose", &[&[1, 8, 5], &[8, 4, 2]], &[1, 4, 10], &[]), 40 * 8);
        assert_eq!(count("Gemm", &[&[1, 1024], &[521, 1024]], &[1, 521], &[]), 1024 * 521);
        assert_eq!(count("Gemm", &[&[7, 2], &[7, 3]], &[2, 3], &[("transA", 1)]), 7 * 6);
        assert_eq!(count("MatMul", &[&[2, 3, 5], &[5, 7]], &[2, 3, 7], &[]), 2 * 3 * 5 * 7);
        // 10 steps of 4 values, 8 units: three gates, each fed by input and state.
        let gru = count("GRU", &[&[10, 1, 4], &[1, 24, 4], &[1, 24, 8]], &[10, 1, 1, 8], &[]);
        assert_eq!(gru, 10 * (24 * 4 + 24 * 8));
        let heads: &[u64] = &[1, 4, 10, 16];
        assert_eq!(count("Attention", &[heads, heads, heads], heads, &[]), 2 * 4 * 10 * 10 * 16);
        assert_eq!(count("Relu", &[&[4]], &[4], &[]), 0);
        assert_eq!(count("MatMul", &[&[u64::MAX, 3], &[3, 5]], &[u64::MAX, 5], &[]), u64::MAX);
    }

    #[test]
    fn an_einsum_is_the_product_of_its_letters() {
        let node = |equation: &str| NodeProto {
            op_type: "Einsum".into(),
            input: vec!["a".into(), "b".into()],
            output: vec!["out".into()],
            attribute: vec![AttributeProto {
                name: "equation".into(),
                s: equation.into(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let shape = |_: &str| Some(vec![2, 3, 5]);
        assert_eq!(multiply_adds(&node("bij, bkj -> bik"), shape), Some(2 * 3 * 5 * 3));
        for odd in ["...ij,...jk->...ik", "bij", "bij,bk->b"] {
            assert_eq!(multiply_adds(&node(odd), shape), None, "{odd}");
        }
    }
}

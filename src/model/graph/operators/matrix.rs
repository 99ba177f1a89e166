//! Matrix products.

use burn::tensor::Tensor;

use super::super::fault::{Outcome, refuse};
use super::super::floats::{Floats, broadcast, count};
use super::super::node::{Inputs, Node};
use super::super::value::Value;
use crate::model::layers;

pub(super) fn mat_mul(_: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let (a, b) = (inputs.filled(0)?, inputs.filled(1)?);
    Ok(vec![Value::Float(product(a, b)?)])
}

/// The matrix product over the last two axes, the axes before broadcast.
pub(super) fn product(a: Floats, b: Floats) -> Outcome<Floats> {
    if a.rank() == 0 || b.rank() == 0 {
        return refuse("a matrix product of a number");
    }
    // A vector is a row on the left, a column on the right, and no axis of the result.
    let (row, column) = (a.rank() == 1, b.rank() == 1);
    let a = if row { with_axis(a, 0)? } else { a };
    let b = if column { with_axis(b, 1)? } else { b };
    let mut result = matrices(a, b)?;
    let mut shape = result.shape().to_vec();
    if column {
        shape.pop();
    }
    if row {
        shape.remove(shape.len() - if column { 1 } else { 2 });
    }
    if row || column {
        result = result.reshape(shape)?;
    }
    Ok(result)
}

fn with_axis(floats: Floats, at: usize) -> Outcome<Floats> {
    let mut shape = floats.shape().to_vec();
    shape.insert(at, 1);
    floats.reshape(shape)
}

fn matrices(a: Floats, b: Floats) -> Outcome<Floats> {
    let (a_shape, b_shape) = (a.shape().to_vec(), b.shape().to_vec());
    let ([a_batch @ .., rows, inner], [b_batch @ .., depth, columns]) =
        (&a_shape[..], &b_shape[..])
    else {
        return refuse(format!("{a_shape:?} times {b_shape:?}"));
    };
    if inner != depth {
        return refuse(format!("{a_shape:?} times {b_shape:?}"));
    }
    let batch = broadcast(a_batch, b_batch)?;
    let mut shape = batch.clone();
    shape.extend([*rows, *columns]);
    count(&shape)?;
    // One matrix on the right for all on the left: one large product.
    if b_batch.iter().product::<usize>() == 1 {
        let tall = a_batch.iter().product::<usize>() * rows;
        let result = layers::product(a.into_rank([tall, *inner]), b.into_rank([*inner, *columns]));
        return Ok(Floats::from_reshaped(result, shape));
    }
    let matrices = batch.iter().product();
    let whole = |floats: Floats, size: [usize; 2]| -> Outcome<_> {
        let mut wide = batch.clone();
        wide.extend(size);
        Ok(floats.expand(wide)?.into_rank([matrices, size[0], size[1]]))
    };
    let result = whole(a, [*rows, *inner])?.matmul(whole(b, [*inner, *columns])?);
    Ok(Floats::from_reshaped(result, shape))
}

/// Every row of values along an axis times a matrix `[to, from]`.
pub(super) fn along_axis(x: Floats, at: usize, matrix: Floats) -> Outcome<Floats> {
    let from = x.shape()[at];
    let &[to, columns] = matrix.shape() else { return refuse("no matrix") };
    if columns != from {
        return refuse(format!("{:?} times {:?}", matrix.shape(), x.shape()));
    }
    let mut shape = x.shape().to_vec();
    shape[at] = to;
    count(&shape)?;
    let matrix: Tensor<2> = matrix.into_rank([to, from]);
    x.along(at, |x| {
        let [before, _, after] = x.dims();
        // Rows of one value each would be as many products as there are rows.
        if after == 1 {
            x.reshape([before, from]).matmul(matrix.transpose()).reshape([before, to, 1])
        } else {
            matrix.reshape([1, to, from]).expand([before, to, from]).matmul(x)
        }
    })
}

/// `alpha * a * b + beta * c`, `a` and `b` transposed if asked.
pub(super) fn gemm(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let mut matrix = |index: usize, key: &str| -> Outcome<Floats> {
        let floats = inputs.filled(index)?;
        match floats.rank() {
            2 if node.flag(key, false) => floats.permute(&[1, 0]),
            2 => Ok(floats),
            _ => refuse(format!("{key}: {:?} is no matrix", floats.shape())),
        }
    };
    let (a, b) = (matrix(0, "transA")?, matrix(1, "transB")?);
    let scaled = |floats: Floats, factor: f32| {
        if factor == 1.0 { floats } else { floats.map(|x| x * factor) }
    };
    let product = scaled(matrices(a, b)?, node.float("alpha", 1.0));
    let beta = node.float("beta", 1.0);
    let Some(c) = inputs.optional_floats(2)?.filter(|_| beta != 0.0) else {
        return Ok(vec![Value::Float(product)]);
    };
    let shape = product.shape().to_vec();
    let sum = product.zip(scaled(c, beta), |product, c| product + c)?;
    if sum.shape() == shape {
        Ok(vec![Value::Float(sum)])
    } else {
        refuse(format!("a bias that makes {:?} of {shape:?}", sum.shape()))
    }
}

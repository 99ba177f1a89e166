//! Attention, and the turning of queries and keys by their places.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use ndarray::{ArrayD, IxDyn};

use super::super::fault::{Outcome, refuse};
use super::super::floats::{Floats, broadcast, count};
use super::super::node::{Inputs, Node};
use super::super::value::{Value, array};
use super::elementwise::zip_arrays;
use super::gathering::picked_floats;
use super::matrix::product;

/// Scores are not below this for the softmax: minus infinity in all of a row would be no number.
const LOWEST: f32 = -1e30;

/// `[batch, heads, length, size]` of what may be `[batch, length, heads * size]`.
fn by_heads(x: Floats, heads: i64) -> Outcome<Floats> {
    let number = usize::try_from(heads).unwrap_or(0);
    match *x.shape() {
        [_, _, _, _] => Ok(x),
        [batch, length, width] if number > 0 && width % number == 0 => {
            x.reshape(vec![batch, length, number, width / number])?.permute(&[0, 2, 1, 3])
        }
        _ => refuse(format!("{heads} heads of {:?}", x.shape())),
    }
}

/// `[batch, length, heads * size]` again.
fn joined_heads(x: Floats) -> Outcome<Floats> {
    let x = x.permute(&[0, 2, 1, 3])?;
    let &[batch, length, heads, size] = x.shape() else { return refuse("no heads") };
    x.reshape(vec![batch, length, heads * size])
}

/// What was before, with what is new behind it.
fn after_past(past: Option<Floats>, new: Floats) -> Outcome<Floats> {
    let Some(past) = past else { return Ok(new) };
    let (a, b) = (past.shape(), new.shape());
    if a.len() != 4 || [0, 1, 3].iter().any(|axis| a[*axis] != b[*axis]) {
        return refuse(format!("a past of {a:?} before {b:?}"));
    }
    count(&[a[0], a[1], a[2] + b[2], a[3]])?;
    if past.len() == 0 {
        return Ok(new);
    }
    Ok(Floats::from_tensor(Tensor::<4>::cat(vec![past.with_rank()?, new.with_rank()?], 2)))
}

/// Every head of keys or values as often as queries share it.
fn shared(x: Floats, heads: usize) -> Outcome<Floats> {
    let &[batch, own, length, size] = x.shape() else { return refuse("no heads") };
    if own == heads {
        return Ok(x);
    }
    if own == 0 || !heads.is_multiple_of(own) {
        return refuse(format!("{heads} heads of queries share {own} of keys"));
    }
    let wide = vec![batch, own, heads / own, length, size];
    x.reshape(vec![batch, own, 1, length, size])?
        .expand(wide)?
        .reshape(vec![batch, heads, length, size])
}

/// Which keys a query may look at, by its place.
struct Sight {
    queries: usize,
    keys: usize,
    causal: bool,
    /// How far to the left and to the right; none is unbounded.
    window: [Option<i64>; 2],
    /// How many keys are before the first query: the same for all, or one a batch.
    offsets: Vec<i64>,
    /// How many keys of each batch are more than padding.
    lengths: Option<Vec<i64>>,
}

impl Sight {
    /// `[batch or 1, 1, queries, keys]`; none if everything is seen.
    fn mask(&self) -> Outcome<Option<ArrayD<bool>>> {
        let [left, right] = self.window;
        if !self.causal && left.is_none() && right.is_none() && self.lengths.is_none() {
            return Ok(None);
        }
        let batches = self.lengths.as_ref().map_or(1, Vec::len).max(self.offsets.len());
        let shape = [batches, 1, self.queries, self.keys];
        count(&shape)?;
        Ok(Some(ArrayD::from_shape_fn(IxDyn(&shape), |at| {
            let (batch, query, key) = (at[0], at[2] as i64, at[3] as i64);
            let offset = self.offsets[batch.min(self.offsets.len() - 1)];
            let ahead = key.saturating_sub(query.saturating_add(offset));
            let inside = self.lengths.as_ref().is_none_or(|lengths| key < lengths[batch]);
            inside
                && (!self.causal || ahead <= 0)
                && left.is_none_or(|left| ahead >= -left)
                && right.is_none_or(|right| ahead <= right)
        })))
    }
}

/// A mask of the file's own with as many keys as there are: those behind its end are not seen.
fn whole_mask(mask: Value, keys: usize) -> Outcome<Value> {
    let mut shape = mask.shape().to_vec();
    let Some(last) = shape.last_mut() else { return Ok(mask) };
    let (given, rows) = (*last, mask.shape().iter().rev().skip(1).product::<usize>());
    if given >= keys || given == 1 {
        return Ok(mask);
    }
    *last = keys;
    count(&shape)?;
    Ok(match mask {
        Value::Float(mask) => {
            let mask: Tensor<2> = mask.into_rank([rows, given]);
            let rest = Tensor::full([rows, keys - given], f32::NEG_INFINITY, &mask.device());
            Value::Float(Floats::from_reshaped(Tensor::cat(vec![mask, rest], 1), shape))
        }
        Value::Bool(mask) => {
            let mask: Vec<bool> = mask.into_iter().collect();
            let seen = |at: usize| at % keys < given && mask[at / keys * given + at % keys];
            Value::Bool(array((0..rows * keys).map(seen).collect(), &shape)?)
        }
        Value::Int(_) => return refuse("a mask of integers"),
    })
}

/// What is added to the scores; minus infinity where nothing may be looked at.
fn bias(sight: &Sight, mask: Option<Value>, inputs: &Inputs) -> Outcome<Option<Floats>> {
    let (mut bools, mut floats) = (sight.mask()?, None);
    match mask.map(|mask| whole_mask(mask, sight.keys)).transpose()? {
        Some(Value::Bool(given)) => {
            bools = Some(match bools {
                Some(bools) => zip_arrays(&bools, &given, |a, b| *a && *b)?,
                None => given,
            });
        }
        Some(Value::Float(given)) => floats = Some(given),
        Some(Value::Int(_)) => return refuse("a mask of integers"),
        None => {}
    }
    let Some(bools) = bools else { return Ok(floats) };
    let shape = bools.shape().to_vec();
    let values = bools.into_iter().map(|seen| if seen { 0.0 } else { f32::NEG_INFINITY });
    let hidden = Floats::new(values.collect(), shape, &inputs.device)?;
    match floats {
        Some(floats) => hidden.zip(floats, |a, b| a + b).map(Some),
        None => Ok(Some(hidden)),
    }
}

/// One for each row of `bias` that sees a key, else zero; none if all do.
fn seeing(bias: &Floats, inputs: &Inputs) -> Outcome<Option<Floats>> {
    let mut shape = bias.shape().to_vec();
    let Some(last) = shape.last_mut().filter(|last| **last > 0) else { return Ok(None) };
    let keys = std::mem::replace(last, 1);
    let values = bias.values();
    let rows = values.chunks(keys).map(|row| row.iter().any(|value| *value > f32::NEG_INFINITY));
    let rows: Vec<f32> = rows.map(|sees| f32::from(u8::from(sees))).collect();
    if rows.iter().all(|row| *row == 1.0) {
        return Ok(None);
    }
    Floats::new(rows, shape, &inputs.device).map(Some)
}

/// `softmax(Q * K' * scale + mask) * V` for every head.
pub(super) fn attention(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let is_flat = inputs.peek(0)?.shape().len() == 3;
    let q = by_heads(inputs.filled(0)?, node.int("q_num_heads", 0))?;
    let key_heads = node.int("kv_num_heads", 0);
    let (k, v) = (by_heads(inputs.filled(1)?, key_heads)?, by_heads(inputs.filled(2)?, key_heads)?);
    let mask = if inputs.has(3) { Some(inputs.take(3)?) } else { None };
    let past = inputs.peek(4).map_or(0, |past| past.shape().get(2).copied().unwrap_or(0));
    let (k, v) =
        (after_past(inputs.optional_floats(4)?, k)?, after_past(inputs.optional_floats(5)?, v)?);
    let (present_k, present_v) = (k.clone(), v.clone());
    let (heads, size, queries) = (q.shape()[1], q.shape()[3], q.shape()[2]);
    let (k, v) = (shared(k, heads)?, shared(v, heads)?);
    let fits = k.shape()[0] == q.shape()[0]
        && k.shape()[..3] == v.shape()[..3]
        && k.shape()[3] == size
        && q.len() * k.len() * v.len() > 0;
    if !fits {
        let shapes = [q.shape(), k.shape(), v.shape()];
        return refuse(format!("queries, keys and values of shapes {shapes:?}"));
    }
    let lengths = inputs.optional_list(6)?;
    if lengths.as_ref().is_some_and(|lengths| lengths.len() != q.shape()[0]) {
        return refuse("nonpad_kv_seqlen is not one a batch");
    }
    let window = |key: &str| Some(node.int(key, -1)).filter(|size| *size >= 0);
    let sight = Sight {
        queries,
        keys: k.shape()[2],
        causal: node.flag("is_causal", false),
        window: [window("left_window_size"), window("right_window_size")],
        offsets: match &lengths {
            Some(lengths) => {
                lengths.iter().map(|length| length.saturating_sub(queries as i64)).collect()
            }
            None => vec![past as i64],
        },
        lengths,
    };
    let scale = node.float("scale", 1.0 / (size as f32).sqrt());
    let mut scores = product(q.map(|q| q * scale), k.permute(&[0, 1, 3, 2])?)?;
    let shape = scores.shape().to_vec();
    let softcap = node.float("softcap", 0.0);
    if softcap > 0.0 {
        scores = scores.map(|x| (x / softcap).tanh() * softcap);
    }
    let shown = node.int("qk_matmul_output_mode", 0);
    let mut seen = matches!(shown, 0 | 1).then(|| scores.clone());
    let mut alive = None;
    if let Some(bias) = bias(&sight, mask, inputs)? {
        if broadcast(bias.shape(), &shape)? != shape {
            return refuse(format!("a mask of shape {:?} for {shape:?}", bias.shape()));
        }
        alive = seeing(&bias, inputs)?;
        scores = scores.zip(bias, |scores, bias| scores + bias)?;
    }
    if shown == 2 {
        seen = Some(scores.clone());
    }
    let scores: Tensor<4> = scores.with_rank()?;
    let mut weights = Floats::from_tensor(softmax(scores.clamp_min(LOWEST), 3));
    if let Some(alive) = alive {
        weights = weights.zip(alive, |weights, alive| weights * alive)?;
    }
    let seen = seen.unwrap_or_else(|| weights.clone());
    let y = product(weights, v)?;
    let y = if is_flat { joined_heads(y)? } else { y };
    Ok([y, present_k, present_v, seen].map(Value::Float).to_vec())
}

/// Pairs of values turned by the angles of their places.
pub(super) fn rotary(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let x = inputs.filled(0)?;
    let is_flat = x.rank() == 3;
    let x = by_heads(x, node.int("num_heads", 0))?;
    let &[batch, heads, length, size] = x.shape() else { return refuse("no heads") };
    let turned = match usize::try_from(node.int("rotary_embedding_dim", 0)) {
        Ok(0) => size,
        Ok(turned) => turned,
        Err(_) => return refuse("rotary_embedding_dim is negative"),
    };
    if turned > size || turned % 2 == 1 || x.len() == 0 || turned == 0 {
        return refuse(format!("rotary_embedding_dim {turned} of {size}"));
    }
    let half = turned / 2;
    let places = if inputs.has(3) { Some(inputs.ints(3)?) } else { None };
    let angles = |floats: Floats| -> Outcome<Tensor<4>> {
        let floats = match &places {
            Some(places) => rows_at(floats, places)?,
            None => floats,
        };
        if floats.shape() != [batch, length, half] {
            return refuse(format!("angles of shape {:?}", floats.shape()));
        }
        Ok(floats.into_rank([batch, 1, length, half]))
    };
    let (cos, sin) = (angles(inputs.filled(1)?)?, angles(inputs.filled(2)?)?);
    let x: Tensor<4> = x.with_rank()?;
    let all = [0..batch, 0..heads, 0..length];
    let columns = |x: &Tensor<4>, from: usize, to: usize| {
        let [a, b, c] = all.clone();
        x.clone().slice([a, b, c, from..to])
    };
    // Pairs are neighbours, or one half beside the other.
    let interleaved = node.flag("interleaved", false);
    let five =
        if interleaved { [batch, heads, length, half, 2] } else { [batch, heads, length, 2, half] };
    let axis = if interleaved { 4 } else { 3 };
    let pairs: Tensor<5> = columns(&x, 0, turned).reshape(five);
    let part = |at: usize| -> Tensor<4> {
        pairs.clone().narrow(axis, at, 1).reshape([batch, heads, length, half])
    };
    let (a, b) = (part(0), part(1));
    let real = a.clone() * cos.clone() - b.clone() * sin.clone();
    let imaginary = a * sin + b * cos;
    let mut one_pair = five;
    one_pair[axis] = 1;
    let pairs = Tensor::cat(vec![real.reshape(one_pair), imaginary.reshape(one_pair)], axis);
    let pairs = pairs.reshape([batch, heads, length, turned]);
    let y =
        if turned == size { pairs } else { Tensor::cat(vec![pairs, columns(&x, turned, size)], 3) };
    let y = Floats::from_tensor(y);
    Ok(vec![Value::Float(if is_flat { joined_heads(y)? } else { y })])
}

/// Rows of a table `[rows, columns]`, in the arrangement of `places`.
fn rows_at(table: Floats, places: &ArrayD<i64>) -> Outcome<Floats> {
    let &[rows, columns] = table.shape() else {
        return refuse(format!("a table of shape {:?}", table.shape()));
    };
    let mut shape = places.shape().to_vec();
    shape.push(columns);
    count(&shape)?;
    let found = super::indexing::places(places, rows)?;
    let flat = found.iter().flat_map(|row| (0..columns).map(move |at| row * columns + at));
    picked_floats(table, &flat.collect::<Vec<_>>(), shape)
}

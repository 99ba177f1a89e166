//! Weights in the order that kernels want, kept as long as the weights themselves.
//!
//! A network that no longer learns is asked many times with the same weights; to bring them in
//! order takes longer than a small batch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use burn::tensor::Bytes;
use burn_flex::FlexTensor;

use crate::kernels::Dense;

/// Packed weights, and what they were made of. Memory that a weak pointer knows is not used for
/// anything else, nor changed: what is written there moves first.
struct Entry {
    weights: Weak<Bytes>,
    shape: Vec<usize>,
    bias: Vec<u32>,
    dense: Arc<Dense>,
}

static ENTRIES: Mutex<Vec<Entry>> = Mutex::new(vec![]);

/// All entries whose weights live.
fn entries() -> MutexGuard<'static, Vec<Entry>> {
    let mut entries = ENTRIES.lock().unwrap_or_else(PoisonError::into_inner);
    entries.retain(|entry| entry.weights.strong_count() > 0);
    entries
}

/// Forgets what was made of weights that are no more.
pub(super) fn forget_dead() {
    drop(entries());
}

/// What `pack` makes of `weights`, which lie in order, and `bias`: made once as long as they live,
/// and anew for another bias.
pub(super) fn packed(
    weights: &FlexTensor,
    bias: &[f32],
    pack: impl FnOnce() -> Dense,
) -> Arc<Dense> {
    let memory = Arc::downgrade(&weights.data_arc());
    let shape: Vec<usize> = weights.layout().shape().iter().copied().collect();
    // Bits: what is no number equals itself here.
    let bias: Vec<u32> = bias.iter().map(|value| value.to_bits()).collect();
    let is_of_it = |entry: &Entry| entry.weights.ptr_eq(&memory) && entry.shape == shape;
    let known = |entries: &[Entry]| {
        let found = entries.iter().find(|entry| is_of_it(entry) && entry.bias == bias);
        found.map(|entry| entry.dense.clone())
    };
    if let Some(dense) = known(&entries()) {
        return dense;
    }
    // Nobody waits meanwhile: threads that help here may come by again.
    let dense = Arc::new(pack());
    let mut entries = entries();
    if let Some(dense) = known(&entries) {
        return dense;
    }
    entries.retain(|entry| !is_of_it(entry));
    entries.push(Entry { weights: memory, shape, bias, dense: dense.clone() });
    dense
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::kernels::Vectors;

    fn tensor(values: Vec<f32>) -> FlexTensor {
        let length = values.len();
        FlexTensor::from_data(TensorData::new(values, [length]))
    }

    /// The answer to ones of one filter over two channels, packed or found.
    fn answer(weights: &FlexTensor, bias: f32, times: &mut usize) -> f32 {
        let values = weights.as_slice::<f32>().unwrap().to_vec();
        let dense = packed(weights, &[bias], || {
            *times += 1;
            Dense::new(Vectors::widest(), [1, 1], &values, [1, 2], &[bias])
        });
        let window = crate::kernels::Window {
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            padding: [(0, 0); 2],
        };
        let mut out = [f32::NAN];
        let ending = crate::kernels::Ending::NONE;
        dense.run(&window, (&[1.0, 1.0], [1, 1, 1, 2]), &ending, &mut out, &crate::kernels::Alone);
        out[0]
    }

    #[test]
    fn weights_are_packed_once_until_they_change() {
        let mut times = 0;
        let mut weights = tensor(vec![1.0, 2.0]);
        for _ in 0..3 {
            assert_eq!((answer(&weights, 0.5, &mut times), times), (3.5, 1));
        }
        // Another bias takes the place of the first.
        assert_eq!((answer(&weights, 1.0, &mut times), times), (4.0, 2));
        let mine = |weights: &FlexTensor| {
            let memory = Arc::downgrade(&weights.data_arc());
            entries().iter().filter(|entry| entry.weights.ptr_eq(&memory)).count()
        };
        assert_eq!(mine(&weights), 1);
        assert!(answer(&weights, f32::NAN, &mut times).is_nan() && times == 3);
        assert!(answer(&weights, f32::NAN, &mut times).is_nan() && times == 3);
        // As an optimizer does, in place.
        weights.storage_mut::<f32>()[0] = 10.0;
        assert_eq!((answer(&weights, 0.5, &mut times), times), (12.5, 4));
        // A copy that is changed has memory of its own.
        let mut copy = weights.clone();
        copy.storage_mut::<f32>()[1] = 0.0;
        assert_eq!(answer(&copy, 0.5, &mut times), 10.5);
        assert_eq!(answer(&weights, 0.5, &mut times), 12.5);
        let memory = Arc::downgrade(&weights.data_arc());
        drop(weights);
        assert!(entries().iter().all(|entry| !entry.weights.ptr_eq(&memory)));
    }
}

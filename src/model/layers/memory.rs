//! Memory of maps, used again.
//!
//! Maps and gradients of every layer come and go at each step of training. Asked anew of an
//! allocator, such blocks are given back to the system, which clears them page by page, and cleared
//! once more as new vectors of zeros; two threads wait for each other meanwhile. Here a map is
//! written where an earlier one was.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn_flex::FlexTensor;

/// Values from which on memory is kept; of fewer an allocator gives as fast.
const LEAST: usize = if cfg!(test) { 1 } else { 16 << 10 };

/// How often others are taken before one that nobody wants is freed: several steps of a network of
/// a hundred layers.
const PATIENCE: usize = 2048;

/// The most values that are kept, 1 GiB; the oldest go first.
const MOST: usize = 1 << 28;

/// What was given back, in that order, each with the number of takings till then.
struct Kept {
    vectors: Vec<(usize, Vec<f32>)>,
    takings: usize,
}

impl Kept {
    /// The smallest that is large enough, and not much larger.
    fn take(&mut self, length: usize) -> Option<Vec<f32>> {
        self.takings += 1;
        let oldest = self.takings.saturating_sub(PATIENCE);
        self.vectors.retain(|(time, _)| *time >= oldest);
        let fits = |capacity: usize| (length..=length + length / 2).contains(&capacity);
        let fitting = self.vectors.iter().enumerate().filter(|(_, (_, v))| fits(v.capacity()));
        let best = fitting.min_by_key(|(_, (_, vector))| vector.capacity()).map(|(at, _)| at);
        best.map(|at| self.vectors.remove(at).1)
    }

    fn keep(&mut self, vector: Vec<f32>) {
        if !(LEAST..MOST / 2).contains(&vector.capacity()) {
            return;
        }
        self.vectors.push((self.takings, vector));
        let mut values: usize = self.vectors.iter().map(|(_, vector)| vector.capacity()).sum();
        while values > MOST {
            values -= self.vectors.remove(0).1.capacity();
        }
    }
}

static KEPT: Mutex<Kept> = Mutex::new(Kept { vectors: vec![], takings: 0 });

fn kept() -> MutexGuard<'static, Kept> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `length` old values, all of which are to be written.
pub(super) fn unwritten(length: usize) -> Vec<f32> {
    let found = if length < LEAST { None } else { kept().take(length) };
    let mut vector = found.unwrap_or_default();
    vector.resize(length, 0.0);
    if cfg!(test) {
        vector.fill(f32::NAN);
    }
    vector
}

/// `length` zeros.
pub(super) fn zeros(length: usize) -> Vec<f32> {
    let mut vector = unwritten(length);
    vector.fill(0.0);
    vector
}

/// Takes the memory of a tensor that lies in order, if nobody else has it.
pub(crate) fn give_back(tensor: FlexTensor) {
    let bytes = tensor.layout().num_elements() * size_of::<f32>();
    if !tensor.is_unique() || !tensor.is_contiguous() || tensor.bytes().len() != bytes {
        return;
    }
    // What cannot become a vector as it is, is freed.
    let (bytes, ..) = tensor.into_data().into_parts();
    if let Ok(vector) = bytes.try_into_vec::<f32>() {
        keep(vector);
    }
}

/// Keeps the memory of values that nobody needs any more.
pub(super) fn keep(vector: Vec<f32>) {
    kept().keep(vector);
}

/// Frees all that is kept, behind a training.
pub(crate) fn free() {
    kept().vectors.clear();
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    #[test]
    fn memory_is_used_again_for_about_as_many_values() {
        let mut kept = Kept { vectors: vec![], takings: 0 };
        kept.keep(vec![1.0; 900]);
        kept.keep(vec![1.0; 700]);
        assert!(kept.take(901).is_none() && kept.take(400).is_none());
        assert_eq!(kept.take(650).map(|vector| vector.capacity()), Some(700));
        assert_eq!(kept.take(650).map(|vector| vector.capacity()), Some(900));
        assert!(kept.take(650).is_none());
        // What nobody wants is freed.
        kept.keep(vec![1.0; 900]);
        assert!((0..=PATIENCE).all(|_| kept.take(100).is_none()));
        assert!(kept.take(900).is_none());
    }

    #[test]
    fn only_what_nobody_else_has_is_taken_over() {
        let length = 7_654_321;
        let tensor = FlexTensor::from_data(TensorData::new(vec![2f32; length], [length]));
        let other = tensor.clone();
        give_back(tensor);
        assert!(kept().vectors.iter().all(|(_, vector)| vector.capacity() != length));
        assert!(other.as_slice::<f32>().unwrap().iter().all(|value| *value == 2.0));
        give_back(other);
        assert!(kept().vectors.iter().any(|(_, vector)| vector.capacity() == length));
        assert!(zeros(length).iter().all(|value| *value == 0.0));
    }
}

//! How a model wants its log-mel patches: `[N, frames, mels]` in one file,
//! `[N, 1, frames, mels]` or `[N, mels, frames]` in the next.

use super::Tensor;

/// The largest fixed batch believed: a file may claim any.
const MAX_BATCH: usize = 4096;

/// Whether the number of patches that a model always takes, if it fixes one, can be believed.
///
/// # Errors
/// A sentence for the user.
pub fn check_batch(batch: Option<usize>) -> Result<(), String> {
    match batch {
        None | Some(1..=MAX_BATCH) => Ok(()),
        Some(batch) => Err(format!(
            "the model takes {batch} patches at a time; from 1 to {MAX_BATCH} are possible"
        )),
    }
}

/// The arrangement of one model input for patches of frames by mels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchInput {
    /// Axes after the batch, ones included.
    pub shape: Vec<usize>,
    /// Whether mels come before frames.
    pub transposed: bool,
    /// The batch size where the file fixes it.
    pub batch: Option<usize>,
    frames: usize,
    mels: usize,
}

impl PatchInput {
    /// The arrangement of an input with axes `dims` (`None`: any size), batch first.
    ///
    /// # Errors
    /// A sentence for the user if the axes are not a batch of `frames` by `mels`.
    pub fn new(dims: &[Option<usize>], frames: usize, mels: usize) -> Result<Self, String> {
        let refuse = || {
            let size = |d: &Option<usize>| d.map_or("any".to_owned(), |d| d.to_string());
            let shown = dims.iter().map(size).collect::<Vec<_>>().join(", ");
            format!(
                "the model takes [{shown}], which is no batch of patches of {frames} frames by \
                 {mels} mel bands; choose the front end it was trained with (--front-end)"
            )
        };
        let (batch, rest) = dims.split_first().ok_or_else(refuse)?;
        check_batch(*batch)?;
        let ones = rest.iter().filter(|d| **d == Some(1)).count();
        let arranged = |order: [usize; 2]| {
            // Sizes of one can stand anywhere, so frames or mels of one are not told apart from them.
            let mut wanted = order.into_iter().filter(|size| *size != 1).peekable();
            let shape: Option<Vec<usize>> = rest
                .iter()
                .map(|dim| match dim {
                    Some(1) => Some(1),
                    Some(size) => wanted.next_if_eq(size),
                    None => wanted.next(),
                })
                .collect();
            shape.filter(|_| wanted.peek().is_none())
        };
        if rest.len() > ones + 2 {
            return Err(refuse());
        }
        let (shape, transposed) = match arranged([frames, mels]) {
            Some(shape) => (shape, false),
            None => (arranged([mels, frames]).ok_or_else(refuse)?, true),
        };
        Ok(Self { shape, transposed, batch: *batch, frames, mels })
    }

    /// `count` patches `[count, frames, mels]` as the tensor the model wants.
    pub fn arrange(&self, patches: &[f32], count: usize) -> Tensor {
        let (frames, mels) = (self.frames, self.mels);
        let data = if self.transposed {
            patches
                .chunks_exact(frames * mels)
                .flat_map(|patch| {
                    (0..mels).flat_map(move |mel| (0..frames).map(move |f| patch[f * mels + mel]))
                })
                .collect()
        } else {
            patches.to_vec()
        };
        let mut shape = vec![count];
        shape.extend(&self.shape);
        Tensor { shape, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_of_axes_is_recognized() {
        let of = |dims: &[Option<usize>]| PatchInput::new(dims, 96, 64);
        assert!(!of(&[None, Some(96), Some(64)]).unwrap().transposed);
        assert!(of(&[None, Some(64), Some(96)]).unwrap().transposed);
        assert_eq!(of(&[Some(1), Some(1), Some(96), Some(64)]).unwrap().batch, Some(1));
        assert_eq!(of(&[None, None, None, Some(1)]).unwrap().shape, [96, 64, 1]);
        for batch in [0, MAX_BATCH + 1] {
            let text = of(&[Some(batch), Some(96), Some(64)]).unwrap_err();
            assert!(text.contains(&format!("takes {batch} patches")), "{text}");
        }
        for wrong in [&[][..], &[None], &[None, Some(96)], &[None, Some(187), Some(96)]] {
            assert!(of(wrong).unwrap_err().contains("96 frames"));
        }
    }

    #[test]
    fn transposed_models_get_transposed_patches() {
        let input = PatchInput::new(&[None, Some(3), Some(2)], 2, 3).unwrap();
        let tensor = input.arrange(&[1., 2., 3., 4., 5., 6.], 1);
        assert_eq!(tensor.shape, [1, 3, 2]);
        assert_eq!(tensor.data, [1., 4., 2., 5., 3., 6.]);
    }
}

//! Vectors of the processor: which there are, and values between memory and them.

use pulp::{Arch, Simd, WithSimd};

/// The vectors to compute with.
#[derive(Clone, Copy, Debug)]
pub struct Vectors(Arch);

impl Vectors {
    /// The widest that this processor has.
    pub fn widest() -> Self {
        Self(Arch::new())
    }

    /// Those of eight values (AVX2 and FMA), where this is an x86-64 processor that has them.
    pub fn of_eight() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        return pulp::x86::V3::try_new().map(|simd| Self(Arch::V3(simd)));
        #[cfg(not(target_arch = "x86_64"))]
        None
    }

    /// Single values: no vectors at all.
    #[cfg(test)]
    pub fn of_one() -> Self {
        Self(Arch::Scalar)
    }

    /// Values in one.
    pub fn width(self) -> usize {
        self.dispatch(Width)
    }

    #[inline]
    pub(super) fn dispatch<W: WithSimd>(self, work: W) -> W::Output {
        self.0.dispatch(work)
    }
}

struct Width;

impl WithSimd for Width {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

/// The first values, which are as many as a vector has.
#[inline(always)]
pub(super) fn load<S: Simd>(values: &[f32]) -> S::f32s {
    S::as_simd_f32s(&values[..S::F32_LANES]).0[0]
}

/// The first values, or as many as there are and zeros.
#[inline(always)]
pub(super) fn load_some<S: Simd>(simd: S, values: &[f32]) -> S::f32s {
    match values.get(..S::F32_LANES) {
        Some(values) => S::as_simd_f32s(values).0[0],
        None => simd.partial_load_f32s(values),
    }
}

/// Puts a vector, or as many of its values as `out` has, there.
#[inline(always)]
pub(super) fn store<S: Simd>(simd: S, out: &mut [f32], values: S::f32s) {
    match out.get_mut(..S::F32_LANES) {
        Some(out) => S::as_mut_simd_f32s(out).0[0] = values,
        None => simd.partial_store_f32s(out, values),
    }
}

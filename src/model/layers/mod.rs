//! The layers that networks spend their training in, made fast on the CPU.
//!
//! burn's CPU backend (flex 0.22) takes the gradient of a convolution's weights by way of
//! a convolution whose kernel is as large as the map, and that of its input by a transposed
//! convolution, and makes batch normalization out of a dozen passes over the map. On flex
//! these layers have kernels of their own here, given to burn as an extension of its backends
//! (`backend`, `derivatives`); on every other device they are burn's (`ops`).
//!
//! A convolution works on maps that lie in memory channel by channel (`convolution`) or place by
//! place: `dense`, `pointwise` for kernels of one place, and `depthwise`, on the widest vectors of
//! the processor. The second is faster where there are such vectors; what runs forward there is
//! `kernels`, which tract computes with too. Normalization and pooling follow the order that a map
//! comes in. burn's tensors stay `[batch, channels, height, width]`, only their strides differ, so
//! that from layer to layer nothing is copied. Bias and an
//! activation that keeps values between two bounds are part of the convolution (`ending`). Maps
//! are written where earlier ones were (`memory`), and weights that do not learn are brought in order
//! once (`packed`).
//!
//! `cargo bench --bench layers` compares layers with burn's, forward and backward, on maps of a
//! batch of 16. On 27 November 2026, channel by channel, convolution was 2.1 to 7.5 times as fast as
//! burn's (the larger the map, the more), normalization with ReLU 2.5 to 6.7 times, and pooling 1.6
//! to 2.2 times. That was on two cores of a Xeon on which other programs ran, with 10 samples each:
//! rough factors.

mod backend;
mod convolution;
mod dense;
mod depthwise;
mod derivatives;
mod ending;
mod memory;
mod normalization;
mod normalization_by_place;
mod ops;
mod packed;
mod pointwise;
mod pooling;
mod product;

pub use crate::kernels::{Bounds, Window};
pub(crate) use backend::whole;
pub use convolution::{Geometry, How, Order};
pub(crate) use memory::{free, give_back};
pub use ops::{
    are_for, bounded, can_pool, convolve, correlate, correlate_normalized, fits_places, max_pool,
    max_pool_2x2, normalize, product,
};

//! One interface to inference runtimes: ONNX files in ONNX Runtime and in tract.
//!
//! A [`Session`] is a model opened in one of them. Whatever the runtime, the input is
//! checked against the model before the runtime sees it, and what goes wrong is an
//! [`Error::Runtime`](crate::error::Error::Runtime) that says what to do. Tensors are
//! [`ndarray`]'s: a view goes in, arrays in row-major order come out.

mod axes;
mod batch;
#[cfg(any(feature = "ort", feature = "tract"))]
mod failure;
#[cfg(feature = "ort")]
mod library;
#[cfg(feature = "tract")]
mod nhwc;
mod open;
#[cfg(feature = "ort")]
mod ort;
mod patch;
mod pool;
mod profile;
mod session;
#[cfg(feature = "tract")]
mod shapes;
#[cfg(feature = "tract")]
mod tract;

pub use crate::onnx::Port;
#[doc(hidden)]
pub use axes::feature_axis;
pub(crate) use batch::Batch;
pub(crate) use open::is_shared;
#[cfg(all(feature = "train", not(feature = "burn-cuda")))]
pub(crate) use open::missing_feature;
#[cfg(feature = "train")]
pub(crate) use open::{check, check_cuda};
pub use open::{open, preferred, profile};
#[cfg(feature = "tract")]
pub(crate) use patch::check_batch;
pub(crate) use patch::check_patches;
#[doc(hidden)]
pub use patch::{NoPatchInput, PatchInput};
#[doc(hidden)]
pub use pool::{Pool, pooled};
pub use profile::{OperatorTime, Profile};
pub use session::{Device, Options, Runtime, Session};
#[cfg(feature = "tract")]
pub(crate) use shapes::{Shapes, shapes};

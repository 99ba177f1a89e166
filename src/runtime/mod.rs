//! One interface to inference runtimes: ONNX files in ONNX Runtime and in tract.
//!
//! A [`Session`] is a model opened in one of them. Whatever the runtime, the input is
//! checked against the model before the runtime sees it, and what goes wrong is an
//! [`Error::Runtime`](crate::Error::Runtime) that says what to do. Tensors are
//! [`ndarray`]'s: a view goes in, arrays in row-major order come out.

mod open;
#[cfg(feature = "ort")]
mod ort;
mod patch;
mod port;
mod session;
#[cfg(feature = "tract")]
mod tract;

#[cfg(all(feature = "train", not(feature = "burn-cuda")))]
pub(crate) use open::missing_feature;
pub use open::{RUN_MODEL, model_file, open, preferred};
#[cfg(feature = "train")]
pub(crate) use open::{check, check_cuda};
pub use patch::{Batch, PatchInput, check_batch};
pub use port::Port;
#[cfg(feature = "train")]
pub(crate) use session::row_major;
pub use session::{Device, Options, Runtime, Session};

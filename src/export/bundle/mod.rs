//! A model's folder: the file with everything that goes with it, for other programs and for
//! whoever publishes it.
//!
//! | file | what |
//! |---|---|
//! | `model.onnx` | the model; its weights in `model.onnx.data` if they are more than 2 GB |
//! | `preprocessor.json`, `labels.txt`, `metrics.json` | as in the run's folder |
//! | `README.md` | a model card in the form of the Hugging Face Hub |
//! | `config.pbtxt`, `1/model.onnx` | what NVIDIA Triton's model repository wants besides |
//! | `SHA256SUMS` | digests of all others, for `sha256sum -c` |

mod card;
mod folder;
mod triton;

pub use folder::{Bundle, bundle, bundle_within};

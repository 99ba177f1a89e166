//! The burn module that burn-onnx generated from `vggish_narrow.onnx`.

#[allow(missing_docs, clippy::all)]
pub mod generated {
    include!(concat!(env!("OUT_DIR"), "/model/vggish_narrow.rs"));
}

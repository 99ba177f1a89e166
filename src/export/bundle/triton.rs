//! What NVIDIA Triton wants to know of a model: `config.pbtxt`.
//!
//! <https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md>

use std::path::Path;

use crate::error::Result;
use crate::onnx;
use crate::onnx::names::PROBABILITIES;
use crate::runtime::Port;

/// The most patches that Triton may gather from several requests.
const LARGEST_BATCH: usize = 64;

/// The configuration of the model at `path`: batches of any size, gathered from requests as
/// they come, where its batch is free.
pub(super) fn config(path: &Path) -> Result<String> {
    let model = onnx::read(path)?;
    let (input, outputs) = (onnx::input(&model, path)?, onnx::outputs(&model, path)?);
    let batched =
        std::iter::once(&input).chain(&outputs).all(|port| port.dims.first() == Some(&None));
    let inputs = tensor(&input, batched, "");
    let outputs: Vec<String> = (outputs.iter())
        .map(|port| {
            let labelled = port.name == PROBABILITIES;
            tensor(port, batched, if labelled { ", label_filename: \"labels.txt\"" } else { "" })
        })
        .collect();
    let (size, batching) =
        if batched { (LARGEST_BATCH, "dynamic_batching { }\n") } else { (0, "") };
    Ok(format!(
        "# This folder can stand in a model repository as it is; its name is the model's.\n\
         platform: \"onnxruntime_onnx\"\n\
         max_batch_size: {size}\n\
         input [\n{inputs}\n]\n\
         output [\n{}\n]\n\
         {batching}",
        outputs.join(",\n")
    ))
}

/// A port, without the batch where that is Triton's own affair.
fn tensor(port: &Port, batched: bool, more: &str) -> String {
    let sizes = port.dims.iter().skip(usize::from(batched));
    let sizes: Vec<String> =
        sizes.map(|size| size.map_or("-1".to_owned(), |size| size.to_string())).collect();
    format!(
        "  {{ name: \"{}\", data_type: TYPE_FP32, dims: [ {} ]{more} }}",
        port.name,
        sizes.join(", ")
    )
}

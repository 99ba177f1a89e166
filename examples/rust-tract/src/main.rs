//! Prints the genres of a wav: `cargo run --release -- MODEL.onnx CLIP.wav`

use anyhow::{Context, Result, ensure};
use tract_onnx::prelude::*;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (model, clip) = args.next().zip(args.next()).context("usage: MODEL.onnx CLIP.wav")?;

    let onnx = tract_onnx::onnx();
    let file = onnx.proto_model_for_path(model)?;
    let metadata = |key| file.metadata_props.iter().find(|entry| entry.key == key);
    let labels = metadata("labels").context("no labels in the model")?;
    let labels: Vec<String> = serde_json::from_str(&labels.value)?;
    let rate = metadata("sample_rate").context("no sample_rate in the model")?;
    let rate: u32 = rate.value.parse()?;

    let mut wav = hound::WavReader::open(&clip)?;
    let spec = wav.spec();
    let fits = (spec.channels, spec.bits_per_sample, spec.sample_rate) == (1, 16, rate);
    ensure!(fits, "{clip}: must be mono, 16 bit and {rate} Hz");
    let samples = wav.samples::<i16>().map(|sample| Ok(f32::from(sample?) / 32768.0));
    let samples = samples.collect::<Result<Vec<f32>>>()?;

    // tract plans for inputs of one shape; a program with many clips feeds them in equal parts.
    let shape = [1, samples.len()];
    let model = onnx.model_for_proto_model(&file)?.with_outputs_by_name(["probabilities"])?;
    let model = model.with_input_fact(0, f32::fact(shape).into())?.into_optimized()?;
    let waveform = Tensor::from_shape(&shape, &samples)?;
    let outputs = model.into_runnable()?.run(tvec!(waveform.into()))?;
    let probabilities = outputs[0].try_as_plain_ram()?.as_slice::<f32>()?;
    for (label, probability) in labels.iter().zip(probabilities) {
        println!("{label}\t{probability:.6}");
    }
    Ok(())
}

//! Prints the genres of a wav: `cargo run --release -- MODEL.onnx CLIP.wav`; tests itself by the
//! model's probes: `cargo run --release -- --verify MODEL.onnx`

mod probes;

use anyhow::{Context, Result, ensure};
use tract_onnx::prelude::*;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: MODEL.onnx CLIP.wav, or --verify MODEL.onnx";
    let (first, second) = args.next().zip(args.next()).context(usage)?;
    let verifies = first == "--verify";
    let model = if verifies { &second } else { &first };

    let onnx = tract_onnx::onnx();
    let file = onnx.proto_model_for_path(model)?;
    let metadata = |key| file.metadata_props.iter().find(|entry| entry.key == key);
    let labels = metadata("labels").context("no labels in the model")?;
    let labels: Vec<String> = serde_json::from_str(&labels.value)?;
    let wanted = metadata("sample_rate").context("no sample_rate in the model")?;
    let wanted: u32 = wanted.value.parse()?;

    let classify = |pcm: &[i16], channels: u16, rate: u32| {
        ensure!((channels, rate) == (1, wanted), "must be mono, 16 bit and {wanted} Hz");
        let samples: Vec<f32> = pcm.iter().map(|sample| f32::from(*sample) / 32768.0).collect();
        // tract plans for inputs of one shape; a program with many clips feeds them in equal parts.
        let shape = [1, samples.len()];
        let model = onnx.model_for_proto_model(&file)?.with_outputs_by_name(["probabilities"])?;
        let model = model.with_input_fact(0, f32::fact(shape).into())?.into_optimized()?;
        let waveform = Tensor::from_shape(&shape, &samples)?;
        let outputs = model.into_runnable()?.run(tvec!(waveform.into()))?;
        let probabilities = outputs[0].try_as_plain_ram()?.as_slice::<f32>()?;
        ensure!(labels.len() == probabilities.len(), "not as many labels as the model has genres");
        Ok(probabilities.to_vec())
    };
    if verifies {
        let probes = metadata("probes").context("no probes in the model")?;
        return probes::verify(&probes.value, classify);
    }
    let (pcm, channels, rate) = read(&second)?;
    let probabilities = classify(&pcm, channels, rate).context(second)?;
    for (label, probability) in labels.iter().zip(probabilities) {
        println!("{label}\t{probability:.6}");
    }
    Ok(())
}

/// The samples of a 16-bit wav, its channels and rate.
fn read(clip: &str) -> Result<(Vec<i16>, u16, u32)> {
    let mut wav = hound::WavReader::open(clip)?;
    let spec = wav.spec();
    ensure!(spec.bits_per_sample == 16, "{clip}: must be of 16 bits");
    let pcm = wav.samples::<i16>().collect::<Result<_, _>>()?;
    Ok((pcm, spec.channels, spec.sample_rate))
}

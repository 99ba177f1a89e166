//! Prints the genres of a wav: `cargo run --release -- MODEL.onnx CLIP.wav`; tests itself by the
//! model's probes: `cargo run --release -- --verify MODEL.onnx`

mod probes;

use anyhow::{Context, Result, ensure};
use ort::session::Session;
use ort::value::TensorRef;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: MODEL.onnx CLIP.wav, or --verify MODEL.onnx";
    let (first, second) = args.next().zip(args.next()).context(usage)?;
    let verifies = first == "--verify";
    let model = if verifies { &second } else { &first };

    let environment = ort::init().build()?;
    let mut session = Session::builder(&environment)?.commit_from_file(model)?;
    let metadata = session.metadata()?;
    let labels = metadata.custom("labels").context("no labels in the model")?;
    let labels: Vec<String> = serde_json::from_str(&labels)?;
    let wanted: u32 =
        metadata.custom("sample_rate").context("no sample_rate in the model")?.parse()?;
    let probes = metadata.custom("probes");
    drop(metadata);

    let classify = |pcm: &[i16], channels: u16, rate: u32| {
        ensure!((channels, rate) == (1, wanted), "must be mono, 16 bit and {wanted} Hz");
        let samples: Vec<f32> = pcm.iter().map(|sample| f32::from(*sample) / 32768.0).collect();
        let waveform = TensorRef::from_array_view(([1, samples.len()], &samples[..]))?;
        let outputs = session.run(ort::inputs!["waveform" => waveform])?;
        let (_, probabilities) = outputs["probabilities"].try_extract_tensor::<f32>()?;
        ensure!(labels.len() == probabilities.len(), "not as many labels as the model has genres");
        Ok(probabilities.to_vec())
    };
    if verifies {
        return probes::verify(&probes.context("no probes in the model")?, classify);
    }
    let (pcm, channels, rate) = read(&second)?;
    let mut classify = classify;
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

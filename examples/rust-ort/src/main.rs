//! Prints the genres of a wav: `cargo run --release -- MODEL.onnx CLIP.wav`

use anyhow::{Context, Result, ensure};
use ort::session::Session;
use ort::value::TensorRef;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (model, clip) = args.next().zip(args.next()).context("usage: MODEL.onnx CLIP.wav")?;

    let environment = ort::init().build()?;
    let mut session = Session::builder(&environment)?.commit_from_file(model)?;
    let metadata = session.metadata()?;
    let labels = metadata.custom("labels").context("no labels in the model")?;
    let labels: Vec<String> = serde_json::from_str(&labels)?;
    let rate: u32 =
        metadata.custom("sample_rate").context("no sample_rate in the model")?.parse()?;
    drop(metadata);

    let mut wav = hound::WavReader::open(&clip)?;
    let spec = wav.spec();
    let fits = (spec.channels, spec.bits_per_sample, spec.sample_rate) == (1, 16, rate);
    ensure!(fits, "{clip}: must be mono, 16 bit and {rate} Hz");
    let samples = wav.samples::<i16>().map(|sample| Ok(f32::from(sample?) / 32768.0));
    let samples = samples.collect::<Result<Vec<f32>>>()?;

    let waveform = TensorRef::from_array_view(([1, samples.len()], &samples[..]))?;
    let outputs = session.run(ort::inputs!["waveform" => waveform])?;
    let (_, probabilities) = outputs["probabilities"].try_extract_tensor::<f32>()?;
    for (label, probability) in labels.iter().zip(probabilities) {
        println!("{label}\t{probability:.6}");
    }
    Ok(())
}

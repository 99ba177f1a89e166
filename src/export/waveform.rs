//! A model that takes one patch of samples: its front end before the graph that takes log-mels.

use std::path::Path;

use tract_onnx::pb::ModelProto;

use crate::error::{Error, Result};
use crate::features::FrontEnd;
use crate::onnx;
use crate::onnx::front_end;
use crate::onnx::names::{LOG_MEL, WAVEFORM};
use crate::onnx::nodes::port;
use crate::onnx::opset;
use crate::onnx::piece::Builder;

/// Makes `model`, which takes log-mels, take the samples of patches.
pub(super) fn prepend_front_end(
    model: &mut ModelProto,
    front_end: &FrontEnd,
    path: &Path,
) -> Result<()> {
    let batch = onnx::input(model, path)?.dims.first().copied().flatten();
    let mut builder = Builder::new("front_end", opset::of(model));
    let FrontEnd { patch_frames, mels, .. } = *front_end;
    let framed = front_end::frames_of_patches(&mut builder, front_end, WAVEFORM);
    let frames = front_end::log_mel(&mut builder, front_end, &framed);
    let shape = builder.integers("patch", &[3], &[-1, patch_frames as i64, mels as i64]);
    builder.output("Reshape", &[&frames, &shape], LOG_MEL, vec![]);
    let graph = model.graph.as_mut().ok_or_else(|| Error::onnx(path, "no graph"))?;
    builder.prepend_to(graph);
    graph.input = vec![port(WAVEFORM, batch, &[front_end.waveform_samples()])];
    graph.value_info.clear();
    Ok(())
}

/// Makes `model`, which takes patches as trainings keep them, `[batch, samples, 1]`, take
/// `waveform` `[batch, samples]`.
pub(super) fn take_samples(model: &mut ModelProto, samples: usize, path: &Path) -> Result<()> {
    let batch = onnx::input(model, path)?.dims.first().copied().flatten();
    let mut builder = Builder::new("front_end", opset::of(model));
    let shape = builder.integers("patch", &[3], &[-1, samples as i64, 1]);
    builder.output("Reshape", &[WAVEFORM, &shape], LOG_MEL, vec![]);
    let graph = model.graph.as_mut().ok_or_else(|| Error::onnx(path, "no graph"))?;
    builder.prepend_to(graph);
    graph.input = vec![port(WAVEFORM, batch, &[samples])];
    graph.value_info.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array, Array1, ArrayD, Axis, Dimension};
    use proptest::prelude::*;
    use prost::Message;
    use tract_onnx::pb::{GraphProto, ModelProto, OperatorSetIdProto};

    use super::super::clip;
    use super::*;
    use crate::features::{Extractor, Filterbank, Preprocessor, Spectrum};
    use crate::onnx::names::{OUTPUTS, PATCH_PROBABILITIES};
    use crate::onnx::nodes::{int, node};
    use crate::runtime::{self, Options, Runtime};

    type Prepend = fn(&mut ModelProto, &FrontEnd, &Path) -> Result<()>;

    fn for_clips(model: &mut ModelProto, front_end: &FrontEnd, path: &Path) -> Result<()> {
        clip::prepend_front_end(model, &Preprocessor::Audio(front_end.clone()), None, path)
    }

    /// The outputs, by name, of a model that shows its log-mels, made to take samples.
    fn run(
        prepend: Prepend,
        front_end: &FrontEnd,
        input: ArrayD<f32>,
    ) -> Vec<(String, ArrayD<f32>)> {
        let size = front_end.patch_frames * front_end.mels;
        let flat = |output| node("Flatten", &[LOG_MEL], output, vec![int("axis", 1)]);
        let graph = GraphProto {
            name: "shown".into(),
            node: OUTPUTS.map(flat).to_vec(),
            input: vec![port(LOG_MEL, None, &[front_end.patch_frames, front_end.mels])],
            output: OUTPUTS.map(|output| port(output, None, &[size])).to_vec(),
            ..Default::default()
        };
        let set = OperatorSetIdProto { domain: String::new(), version: 17 };
        let mut model = ModelProto {
            ir_version: 8,
            opset_import: vec![set],
            graph: Some(graph),
            ..Default::default()
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        prepend(&mut model, front_end, file.path()).unwrap();
        opset::lower(&mut model);
        assert_eq!(opset::of(&model), 9);
        std::fs::write(file.path(), model.encode_to_vec()).unwrap();
        let options = Options { threads: 1, ..Options::default() };
        let mut session = runtime::open(Runtime::Tract, file.path(), &options).unwrap();
        let outputs = session.run(input.view()).unwrap();
        session.outputs().iter().cloned().zip(outputs).collect()
    }

    fn noise(length: usize) -> Vec<f32> {
        let value = |i: u32| (i.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5;
        (0..length as u32).map(value).collect()
    }

    #[track_caller]
    fn assert_close<D: Dimension, E: Dimension>(
        given: &Array<f32, D>,
        wanted: &Array<f32, E>,
        what: &str,
    ) {
        assert_eq!(given.len(), wanted.len(), "{what}");
        for (a, b) in given.iter().zip(wanted) {
            // Written so that NaN fails.
            assert!((a - b).abs() <= 1e-4, "{what}: {a} is not {b}");
        }
    }

    /// Patches and a whole recording of `length` samples, against the extractor.
    #[track_caller]
    fn check(front_end: &FrontEnd, length: usize) {
        let samples = noise(length);
        let wanted = Extractor::new(front_end).unwrap().patches(&samples).values;
        let what = format!("{length} samples, {front_end:?}");

        let waveforms = front_end.waveforms(&samples).into_dyn();
        let outputs = run(prepend_front_end, front_end, waveforms);
        assert_close(&outputs[0].1, &wanted, &what);

        let clip = Array1::from(samples).insert_axis(Axis(0)).into_dyn();
        let outputs = run(for_clips, front_end, clip);
        let names: Vec<&str> = outputs.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, [OUTPUTS[0], PATCH_PROBABILITIES, OUTPUTS[1]]);
        assert_close(&outputs[1].1, &wanted, &what);
        assert_close(&outputs[2].1, &wanted, &what);
        let (count, frames, mels) = wanted.dim();
        assert_eq!(outputs[0].1.shape(), [1, frames * mels]);
        assert_eq!(outputs[1].1.shape(), [count, frames * mels]);
        assert_close(&outputs[0].1, &(wanted.sum_axis(Axis(0)) / count as f32), &what);
    }

    #[test]
    fn every_preset_hears_as_the_extractor_does() {
        for name in FrontEnd::PRESETS {
            let front_end = FrontEnd::preset(name).unwrap();
            let (patch, hop) = (front_end.patch_samples(), front_end.patch_hop_samples());
            for length in [1, patch - 1, patch + hop - 1, patch + hop] {
                check(&front_end, length);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_front_end_hears_as_the_extractor_does(
            window in 2usize..60,
            hop in 1usize..70,
            more in 0usize..40,
            centred: bool,
            power: bool,
            filterbank in prop_oneof![
                Just(Filterbank::HtkLinearInMel), Just(Filterbank::Htk), Just(Filterbank::Slaney)
            ],
            patch_frames in 1usize..7,
            patch_hop in 1usize..9,
            length in 1usize..1_200,
        ) {
            let front_end = FrontEnd {
                window,
                hop,
                fft: (window + more).next_multiple_of(2),
                centred,
                spectrum: if power { Spectrum::Power } else { Spectrum::Magnitude },
                mels: 5,
                filterbank,
                patch_frames,
                patch_hop,
                ..if power { FrontEnd::musicnn() } else { FrontEnd::yamnet() }
            };
            prop_assume!(front_end.validate().is_ok());
            check(&front_end, length);
        }
    }
}

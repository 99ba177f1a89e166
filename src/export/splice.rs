//! A head appended to a backbone's own ONNX graph: its operators, names and opset stay.

use std::collections::HashSet;
use std::path::Path;

use tract_onnx::pb::ModelProto;

use super::carry;
use crate::dataset::Task;
use crate::error::Result;
use crate::features::PatchKind;
use crate::model::{Ends, Feed, Head};
use crate::onnx;
use crate::onnx::names::{LOG_MEL, OUTPUTS};
use crate::onnx::nodes::{int, port};
use crate::onnx::opset;
use crate::onnx::piece::Builder;
use crate::onnx::prune::{inline, keep_what_leads_to};

/// The graph at `path`, fed as `feed` says from `log_mel`, patches of this kind as trainings keep
/// them, up to its embeddings and followed by `head`.
///
/// # Errors
/// [`Error::Onnx`] if its opset is none that we write in, it has no such output, nobody knows the
/// axes of an output that is to be pooled, or its weights are not where it says.
pub(super) fn append_head(
    path: &Path,
    feed: &Feed,
    head: &Head,
    kind: PatchKind,
) -> Result<ModelProto> {
    let mut model = onnx::read(path)?;
    let opset = opset::check(path, &model)?;
    model.ir_version = model.ir_version.max(opset::OLDEST_FORMAT);
    let Feed { input, output, .. } = feed;
    let ends = Ends::of(path, &model, feed)?;
    let source = onnx::input(&model, path)?.name;
    let [source, output] = carry::make_room(&mut model, [source, output.clone()]);
    carry::keep_notes(&mut model);

    let graph = onnx::graph_mut(path, &mut model)?;
    keep_what_leads_to(graph, HashSet::from([output.clone()]));
    inline(path, graph)?;
    let mut before = Builder::new("feed", opset);
    ends.arrange(&mut before, LOG_MEL, &source);
    before.prepend_to(graph);
    let mut after = Builder::new("head", opset);
    ends.embeddings(&mut after, &output, OUTPUTS[1]);
    probabilities(&mut after, head);
    after.append_to(graph);
    graph.input = vec![port(LOG_MEL, input.batch, &kind.shape())];
    graph.output = vec![
        port(OUTPUTS[0], input.batch, &[head.classes()]),
        port(OUTPUTS[1], input.batch, &[head.features()]),
    ];
    graph.value_info.clear();
    Ok(model)
}

/// From embeddings to probabilities.
fn probabilities(builder: &mut Builder, head: &Head) {
    let mut last = OUTPUTS[1].to_owned();
    for (index, (shape, weights, bias)) in head.layers().into_iter().enumerate() {
        let weight = builder.weights(&format!("{index}.weight"), &shape, &weights);
        let bias = builder.weights(&format!("{index}.bias"), &shape[1..], &bias);
        if index > 0 {
            last = builder.node("Relu", &[&last], &format!("{index}.relu"), vec![]);
        }
        last = builder.node("Gemm", &[&last, &weight, &bias], &index.to_string(), vec![]);
    }
    match head.task() {
        Task::SingleLabel => {
            builder.output("Softmax", &[&last], OUTPUTS[0], vec![int("axis", 1)]);
        }
        Task::MultiLabel => builder.output("Sigmoid", &[&last], OUTPUTS[0], vec![]),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use burn::tensor::{Device, Tensor, TensorData, activation};
    use ndarray::{Array1, Array3, ArrayD, Axis};
    use tempfile::TempDir;
    use tract_onnx::pb::{GraphProto, OperatorSetIdProto, StringStringEntryProto, type_proto};

    use super::super::{clip, fuse, waveform};
    use super::*;
    use crate::features::{Extractor, FrontEnd, Preprocessor};
    use crate::onnx::names::WAVEFORM;
    use crate::onnx::nodes::{float_tensor, ints, node};
    use crate::onnx::write::{Part, sign};
    use crate::run::HeadSpec;
    use crate::runtime::{self, Options, Pool, Runtime};

    const CLASSES: usize = 3;
    const FEATURES: usize = 4;

    /// Patches of 8 frames by 6 bands, from a few frames of the preset.
    fn small(preset: &str) -> FrontEnd {
        let front_end = FrontEnd::preset(preset).unwrap();
        FrontEnd { mels: 6, patch_frames: 8, patch_hop: 4, ..front_end }
    }

    /// Numbers that look random.
    fn noise(count: usize, seed: usize) -> Vec<f32> {
        let value = |i: usize| ((i + seed) as u32).wrapping_mul(2_654_435_761) >> 16;
        (0..count).map(|i| value(i) as f32 / 65_536.0 - 0.5).collect()
    }

    fn weight(name: &str, shape: &[usize]) -> tract_onnx::pb::TensorProto {
        float_tensor(name, shape, &noise(shape.iter().product(), name.len()))
    }

    /// A convolution with its normalization, a pooling and a dense layer, in a form that all
    /// opsets from 7 on know; PyTorch's names.
    fn backbone(opset: i64) -> ModelProto {
        let kernel = || ints("kernel_shape", &[3, 3]);
        let norm = ["c", "bn.weight", "bn.bias", "bn.mean", "bn.variance"];
        let graph = GraphProto {
            name: "main_graph".to_owned(),
            node: vec![
                node("Conv", &["input", "conv.weight"], "c", vec![kernel()]),
                node("BatchNormalization", &norm, "bn", vec![]),
                node("Relu", &["bn"], "r", vec![]),
                node("GlobalAveragePool", &["r"], "p", vec![]),
                node("Flatten", &["p"], "f", vec![int("axis", 1)]),
                node("Gemm", &["f", "fc.weight", "fc.bias"], "embedding", vec![int("transB", 1)]),
            ],
            initializer: vec![
                weight("conv.weight", &[5, 1, 3, 3]),
                weight("bn.weight", &[5]),
                weight("bn.bias", &[5]),
                weight("bn.mean", &[5]),
                float_tensor("bn.variance", &[5], &[0.5, 1.0, 1.5, 2.0, 0.25]),
                weight("fc.weight", &[FEATURES, 5]),
                weight("fc.bias", &[FEATURES]),
            ],
            input: vec![port("input", None, &[1, 8, 6])],
            output: vec![port("embedding", None, &[FEATURES])],
            ..Default::default()
        };
        let set = OperatorSetIdProto { domain: String::new(), version: opset };
        let note = StringStringEntryProto { key: "author".into(), value: "somebody".into() };
        ModelProto {
            ir_version: if opset < 9 { 3 } else { 8 },
            opset_import: vec![set],
            producer_name: "pytorch".to_owned(),
            doc_string: "for tests".to_owned(),
            graph: Some(graph),
            metadata_props: vec![note],
            ..Default::default()
        }
    }

    fn head() -> Head {
        let (features, classes, task) = (FEATURES, CLASSES, Task::SingleLabel);
        HeadSpec { features, hidden: Some(5), classes, task }.init(3, &Device::flex())
    }

    fn written(mut model: ModelProto, path: &Path) {
        let part = Part::beside(path).unwrap();
        part.write(&mut model).unwrap();
        part.publish().unwrap();
    }

    type Prepend = fn(&mut ModelProto, &FrontEnd, &Path) -> Result<()>;

    const NOTHING: Prepend = |_, _, _| Ok(());

    fn for_clips(model: &mut ModelProto, front_end: &FrontEnd, path: &Path) -> Result<()> {
        clip::prepend_front_end(model, &Preprocessor::Audio(front_end.clone()), None, path)
    }

    /// The head behind the file at `path`.
    fn appended(path: &Path, patch: [usize; 2]) -> Result<ModelProto> {
        let feed = Feed::of(path, &onnx::read(path)?, patch, None)?;
        append_head(path, &feed, &head(), patch.into())
    }

    /// The backbone of this opset with a head and what goes before it, written into `folder`.
    fn exported(folder: &Path, opset: i64, front_end: &FrontEnd, prepend: Prepend) -> PathBuf {
        let path = folder.join(format!("backbone-{opset}.onnx"));
        let mut original = backbone(opset);
        if original.ir_version < opset::OLDEST_FORMAT {
            // Then every weight is an input as well.
            let graph = original.graph.as_mut().unwrap();
            let shape = |t: &tract_onnx::pb::TensorProto| -> Vec<usize> {
                t.dims.iter().map(|size| *size as usize).collect()
            };
            let port =
                |t: &tract_onnx::pb::TensorProto| port(&t.name, Some(shape(t)[0]), &shape(t)[1..]);
            graph.input.extend(graph.initializer.iter().map(port).collect::<Vec<_>>());
        }
        written(original, &path);
        let patch = [front_end.patch_frames, front_end.mels];
        let mut model = appended(&path, patch).unwrap();
        assert_eq!(fuse::fold_batch_norms(&path, &mut model).unwrap(), 1);
        prepend(&mut model, front_end, &path).unwrap();
        sign(&mut model, [("labels", "[]".to_owned())].into());
        assert_eq!(opset::of(&model), opset);
        let number = std::fs::read_dir(folder).unwrap().count();
        let path = folder.join(format!("model-{opset}-{number}.onnx"));
        written(model, &path);
        path
    }

    /// Probabilities and embeddings of patches, by the backbone alone and the head in burn.
    fn native(folder: &Path, patches: &Array3<f32>) -> [Vec<f32>; 2] {
        let path = folder.join("native.onnx");
        written(backbone(13), &path);
        let mut session = runtime::open(Runtime::Tract, &path, &Options::default()).unwrap();
        let embeddings = session.run(patches.view().insert_axis(Axis(1)).into_dyn()).unwrap();
        let embeddings: Vec<f32> = embeddings[0].iter().copied().collect();
        let shape = [patches.len_of(Axis(0)), FEATURES];
        let rows = TensorData::new(embeddings.clone(), shape);
        let logits = head().forward(Tensor::from_data(rows, &Device::flex()));
        let probabilities = activation::softmax(logits, 1).into_data();
        [probabilities.iter::<f32>().collect(), embeddings]
    }

    fn runtimes() -> Vec<Runtime> {
        let found = Runtime::Ort.version().is_some();
        assert!(found || std::env::var_os("GENRE_TRANSFER_REQUIRE_ORT").is_none());
        if found { vec![Runtime::Tract, Runtime::Ort] } else { vec![Runtime::Tract] }
    }

    #[track_caller]
    fn assert_close(given: &ArrayD<f32>, wanted: &[f32], what: &str) {
        assert_eq!(given.len(), wanted.len(), "{what}");
        for (a, b) in given.iter().zip(wanted) {
            // Written so that NaN fails.
            assert!((a - b).abs() <= 1e-5, "{what}: {a} is not {b}");
        }
    }

    fn by_name(runtime: Runtime, path: &Path, input: &ArrayD<f32>) -> Vec<(String, ArrayD<f32>)> {
        let options = Options { threads: 1, ..Options::default() };
        let mut session = runtime::open(runtime, path, &options)
            .unwrap_or_else(|error| panic!("{runtime}: {error}"));
        let outputs = session.run(input.view());
        let outputs = outputs.unwrap_or_else(|error| panic!("{runtime}, {path:?}: {error}"));
        session.outputs().iter().cloned().zip(outputs).collect()
    }

    /// A file of this opset for each input, asked for a recording of some patches and a rest.
    fn check(folder: &Path, opset: i64, preset: &str) {
        let front_end = small(preset);
        let samples = noise(front_end.patch_samples() + 5 * front_end.patch_hop_samples() / 2, 7);
        let patches = Extractor::new(&front_end).unwrap().patches(&samples).values;
        let count = patches.len_of(Axis(0));
        let [probabilities, embeddings] = native(folder, &patches);
        let mean = |class| {
            let values = probabilities.iter().skip(class).step_by(CLASSES);
            values.sum::<f32>() / count as f32
        };
        let means: Vec<f32> = (0..CLASSES).map(mean).collect();
        let waveforms = front_end.waveforms(&samples).into_dyn();
        let recording = Array1::from(samples).insert_axis(Axis(0)).into_dyn();
        let inputs: [(&str, Prepend, ArrayD<f32>); 3] = [
            ("log_mel", NOTHING, patches.into_dyn()),
            ("waveform", waveform::prepend_front_end, waveforms),
            ("clip", for_clips, recording),
        ];
        for (kind, prepend, input) in inputs {
            let path = exported(folder, opset, &front_end, prepend);
            for runtime in runtimes() {
                let what = format!("{kind} of opset {opset} in {runtime}, {preset}");
                for (name, given) in by_name(runtime, &path, &input) {
                    let wanted = match (name.as_str(), kind) {
                        ("embeddings", _) => &embeddings,
                        ("probabilities", "clip") => &means,
                        _ => &probabilities,
                    };
                    assert_close(&given, wanted, &format!("{name}, {what}"));
                }
            }
        }
    }

    /// What onnx itself says of files: each legal in its opset, and written as onnx writes it.
    fn check_with_onnx(folder: &Path) {
        let Some(python) = std::env::var_os("GENRE_TRANSFER_PYTHON") else {
            eprintln!(
                "skipped: GENRE_TRANSFER_PYTHON is not set to a Python with the package onnx"
            );
            return;
        };
        let program = "import onnx, pathlib, sys\n\
                       for path in pathlib.Path(sys.argv[1]).glob('model-*.onnx'):\n    \
                       onnx.checker.check_model(str(path), full_check=True)\n    \
                       assert onnx.load(path).SerializeToString() == path.read_bytes(), path";
        let output = Command::new(python).args(["-c", program]).arg(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn every_opset_answers_as_the_native_way_does() {
        let folder = TempDir::new().unwrap();
        for opset in 7..=23 {
            check(folder.path(), opset, "yamnet");
        }
        // Frames around the ends.
        for opset in [7, 13, 23] {
            check(folder.path(), opset, "musicnn");
        }
        check_with_onnx(folder.path());
    }

    #[test]
    fn an_output_of_no_declared_shape_is_pooled_as_it_was_seen() {
        const PATCH: [usize; 2] = [8, 6];
        let folder = TempDir::new().unwrap();
        let patches = Array3::from_shape_vec((2, 8, 6), noise(2 * 8 * 6, 5)).unwrap();
        // Axes of a reduction are an attribute, then an input.
        for opset in [13, 18] {
            let path = folder.path().join(format!("maps-{opset}.onnx"));
            let mut model = backbone(opset);
            let graph = model.graph.as_mut().unwrap();
            // The maps of the convolution.
            graph.node.truncate(3);
            graph.initializer.truncate(5);
            graph.output = vec![port("r", None, &[])];
            let kind = graph.output[0].r#type.as_mut().and_then(|kind| kind.value.as_mut());
            let Some(type_proto::Value::TensorType(tensor)) = kind else { panic!("no tensor") };
            tensor.shape = None;
            written(model, &path);
            for pool in [Pool::Mean, Pool::Max, Pool::First] {
                let runtime = Some(Runtime::Tract);
                let feed = Feed::probe(&path, PATCH, None, Some(pool), runtime).unwrap();
                assert_eq!((feed.rank, feed.features, feed.pool), (Some(4), Some(5), Some(pool)));
                let options = Options::default();
                let mut session = runtime::open(Runtime::Tract, &path, &options).unwrap();
                let wanted = feed.embed(&mut *session, patches.view(), false).unwrap();
                let wanted: Vec<f32> = wanted.iter().copied().collect();

                let spec = HeadSpec {
                    features: 5,
                    hidden: None,
                    classes: CLASSES,
                    task: Task::SingleLabel,
                };
                let head = spec.init(3, &Device::flex());
                let model = append_head(&path, &feed, &head, PATCH.into()).unwrap();
                let exported = folder.path().join(format!("model-{opset}-{pool}.onnx"));
                written(model, &exported);
                for runtime in runtimes() {
                    let answers = by_name(runtime, &exported, &patches.clone().into_dyn());
                    let (_, given) = answers.iter().find(|(name, _)| name == OUTPUTS[1]).unwrap();
                    assert_close(given, &wanted, &format!("{pool}, opset {opset}, {runtime}"));
                }
                // As a run of an older version has it.
                let feed = Feed { rank: None, ..feed };
                let error = append_head(&path, &feed, &head, PATCH.into()).unwrap_err();
                assert!(error.to_string().contains("does not declare the shape"), "{error}");
            }
        }
        check_with_onnx(folder.path());
    }

    #[test]
    fn other_opsets_are_refused_by_number() {
        let folder = TempDir::new().unwrap();
        for opset in [6, 24] {
            let path = folder.path().join("backbone.onnx");
            written(backbone(opset), &path);
            let error = appended(&path, [8, 6]).unwrap_err().to_string();
            assert!(error.contains(&format!("opset {opset},")), "{error}");
            assert!(error.contains("7 to 23"), "{error}");
        }
    }

    #[test]
    fn names_notes_and_texts_of_the_backbone_stay() {
        let folder = TempDir::new().unwrap();
        let path = exported(folder.path(), 17, &small("yamnet"), NOTHING);
        let model = onnx::read(&path).unwrap();
        let metadata = onnx::metadata(&model);
        assert_eq!(metadata["author"], "somebody");
        assert_eq!(metadata["backbone.producer"], "pytorch");
        assert_eq!((&*model.doc_string, &*model.producer_name), ("for tests", "genre-transfer"));
        let graph = model.graph.unwrap();
        assert_eq!(graph.name, "main_graph");
        let weights: Vec<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
        assert!(weights.contains(&"fc.weight") && weights.contains(&"head.1.bias"), "{weights:?}");
    }

    /// As `classify` refuses it, in every runtime; a single sample is a short recording.
    #[test]
    fn a_recording_without_samples_is_an_error_and_a_short_one_is_filled_up_with_silence() {
        let folder = TempDir::new().unwrap();
        for preset in ["yamnet", "musicnn"] {
            let front_end = small(preset);
            let path = exported(folder.path(), 11, &front_end, for_clips);
            for length in [1, front_end.patch_samples() - 1] {
                let samples = noise(length, 1);
                let patches = Extractor::new(&front_end).unwrap().patches(&samples);
                assert!(patches.padded);
                let [wanted, _] = native(folder.path(), &patches.values);
                let recording = Array1::from(samples).insert_axis(Axis(0)).into_dyn();
                for runtime in runtimes() {
                    let outputs = by_name(runtime, &path, &recording);
                    assert_close(&outputs[0].1, &wanted, &format!("{preset}, {length}, {runtime}"));
                }
            }
            refused_without_samples(&path);
        }
    }

    /// Our own sessions do not even ask a runtime for no samples. Therefore a graph around the
    /// file's that leaves out the first one, and is given no more.
    fn refused_without_samples(path: &Path) {
        let empty = ArrayD::<f32>::zeros(vec![1, 0]);
        let mut model = onnx::read(path).unwrap();
        let mut rest = Builder::new("rest", opset::of(&model));
        let [from, to] =
            [("from", 1), ("to", i64::MAX)].map(|(n, at)| rest.integers(n, &[1], &[at]));
        rest.output("Slice", &["given", &from, &to, &from], WAVEFORM, vec![]);
        let graph = model.graph.as_mut().unwrap();
        rest.prepend_to(graph);
        graph.input[0].name = "given".to_owned();
        let shortened = path.with_file_name("shortened.onnx");
        written(model, &shortened);
        for runtime in runtimes() {
            let open = |path| runtime::open(runtime, path, &Options::default()).unwrap();
            assert!(open(path).run(empty.view()).is_err());
            let mut session = open(&shortened);
            assert!(session.run(ArrayD::zeros(vec![1, 2]).view()).is_ok());
            let error = session.run(ArrayD::zeros(vec![1, 1]).view()).unwrap_err().to_string();
            assert!(error.contains("recording_without_samples"), "{error}");
        }
    }
}

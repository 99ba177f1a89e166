//! Both runtimes on tiny models, on the real backbones, and on files that lie.

#![cfg(feature = "tract")]

mod common;

use std::fs;
use std::path::Path;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use common::data::{npz, test_data};
use genre_transfer::features::FrontEnd;
use genre_transfer::runtime::{self, Device, Options, Runtime};
use genre_transfer::{Error, onnx};
use ndarray::{ArrayD, ArrayView, Axis, ShapeBuilder, s};
use rayon::prelude::*;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, StringStringEntryProto, TensorProto};

const CPU: Options = Options { device: Device::Cpu, threads: 1 };

/// The runtimes that can be tested here. ONNX Runtime is left out where its library is not
/// installed, unless the environment insists on it, as CI does.
fn runtimes() -> Vec<Runtime> {
    let mut runtimes = vec![Runtime::Tract];
    if runtime::preferred() == Runtime::Ort {
        runtimes.push(Runtime::Ort);
    } else if cfg!(feature = "ort") && std::env::var_os("GENRE_TRANSFER_REQUIRE_ORT").is_some() {
        panic!("GENRE_TRANSFER_REQUIRE_ORT is set but libonnxruntime is not found");
    } else {
        println!("skipped: ort (no libonnxruntime; run scripts/setup.sh)");
    }
    runtimes
}

fn batch(rows: usize) -> ArrayD<f32> {
    let size = common::FRAMES * common::MELS;
    let data = (0..rows * size).map(|i| ((i * 13 % 29) as f32 - 14.0) / 14.0).collect();
    ArrayD::from_shape_vec(vec![rows, common::FRAMES, common::MELS], data).unwrap()
}

/// The logits of the tiny model, by arithmetic, one row after another.
fn tiny_logits(input: &ArrayD<f32>) -> Vec<f32> {
    input.as_slice().unwrap().chunks(24).flat_map(common::tiny_logits).collect()
}

fn assert_close<'a>(
    a: impl IntoIterator<Item = &'a f32, IntoIter: ExactSizeIterator>,
    b: impl IntoIterator<Item = &'a f32, IntoIter: ExactSizeIterator>,
    tolerance: f32,
    what: &str,
) {
    let (a, b) = (a.into_iter(), b.into_iter());
    assert_eq!(a.len(), b.len(), "{what}");
    let worst = a.zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= tolerance, "{what}: differs by {worst}");
}

fn error<T>(result: Result<T, Error>) -> String {
    result.err().expect("must fail").to_string()
}

#[test]
fn tiny_model_gives_what_arithmetic_gives_at_any_batch_and_threads() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::write(&common::tiny(), folder.path(), "tiny.onnx");
    for runtime in runtimes() {
        for threads in [1, 2, 3] {
            let mut session = runtime::open(runtime, &model, &Options { threads, ..CPU }).unwrap();
            assert_eq!(session.outputs(), ["logits", "probabilities"]);
            assert_eq!(session.input().dims, [None, Some(4), Some(6)]);
            for rows in [1, 2, 5, 64, 3, 7, 1] {
                let input = batch(rows);
                let outputs = session.run(input.view()).unwrap();
                let expected = tiny_logits(&input);
                let what = format!("{runtime}, {threads} threads, batch {rows}");
                assert_eq!(outputs[0].shape(), [rows, 3], "{what}");
                assert_close(&outputs[0], &expected, 1e-5, &what);
                let sums = outputs[1].sum_axis(Axis(1));
                assert_close(&sums, &vec![1.0; rows], 1e-5, &what);
                assert!(outputs.iter().all(|output| output.is_standard_layout()), "{what}");
            }
        }
    }
}

/// Threads of a pool that share one session, as those of `finetune` and `classify` do where the
/// model is large: while tract's own threads run it, the one that waits must not take up a job
/// that wants the session it is holding.
#[test]
fn workers_that_share_a_session_do_not_wait_for_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::write(&common::tiny(), folder.path(), "tiny.onnx");
    for runtime in runtimes() {
        let session = runtime::open(runtime, &model, &Options { threads: 2, ..CPU }).unwrap();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let session = Mutex::new(session);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
            let run = |rows| session.lock().unwrap().run(batch(rows).view()).unwrap()[0].shape()[0];
            let sum: usize = pool.install(|| (1..=400usize).into_par_iter().map(run).sum());
            sender.send(sum).unwrap();
        });
        let sum = receiver.recv_timeout(Duration::from_secs(120)).expect("a deadlock");
        assert_eq!(sum, 400 * 401 / 2, "{runtime}");
    }
}

/// The mean over the batch axis cannot be computed from parts of the batch.
#[test]
fn a_model_that_mixes_rows_is_not_run_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    for (keepdims, declared) in [(0, vec![Some(3)]), (1, vec![Some(1), Some(3)]), (0, vec![None])] {
        let mut model = common::tiny();
        let attributes =
            vec![common::integer("keepdims", keepdims), common::integers("axes", &[0])];
        let graph = common::graph(&mut model);
        graph.node.push(common::node("ReduceMean", &["logits"], "mean", attributes));
        graph.output = vec![common::value("mean", &declared)];
        let model = common::write(&model, folder.path(), "mean.onnx");
        for runtime in runtimes() {
            for (threads, rows) in [(1, 6), (2, 6), (2, 1)] {
                let input = batch(rows);
                let mut session =
                    runtime::open(runtime, &model, &Options { threads, ..CPU }).unwrap();
                let logits = tiny_logits(&input);
                let mean = |c: usize| logits.iter().skip(c).step_by(3).sum::<f32>() / rows as f32;
                let expected: Vec<f32> = (0..3).map(mean).collect();
                let what = format!("{runtime}, keepdims {keepdims}, {threads} threads");
                assert_close(&session.run(input.view()).unwrap()[0], &expected, 1e-5, &what);
            }
        }
    }
}

#[test]
fn wrong_input_is_refused_with_both_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::write(&common::tiny(), folder.path(), "tiny.onnx");
    for runtime in runtimes() {
        let mut session = runtime::open(runtime, &model, &CPU).unwrap();
        for shape in [vec![1, 6, 4], vec![1, 24], vec![1, 4, 6, 1], vec![0, 4, 6]] {
            let message = error(session.run(ArrayD::zeros(shape.clone()).view()));
            let given = format!("{shape:?}");
            assert!(
                message.contains("\"patches\" [N, 4, 6]") && message.contains(&given),
                "{message}"
            );
        }
        session.run(batch(1).view()).expect("a refused input leaves the session usable");
    }
}

/// Axes swapped, rows in reverse order, windows that overlap: the answer is that for a copy.
#[test]
fn views_of_any_strides_are_answered_as_their_values_are() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::write(&common::tiny(), folder.path(), "tiny.onnx");
    let batch = batch(6);
    let turned = batch.view().permuted_axes(vec![0, 2, 1]).as_standard_layout().into_owned();
    let frames = batch.flatten().to_owned();
    let windows = ArrayView::from_shape((5, 4, 6).strides((12, 6, 1)), frames.as_slice().unwrap());
    let views = [
        turned.view().permuted_axes(vec![0, 2, 1]),
        batch.slice(s![..;-1, .., ..]).into_dyn(),
        windows.unwrap().into_dyn(),
    ];
    for runtime in runtimes() {
        for threads in [1, 3] {
            let mut session = runtime::open(runtime, &model, &Options { threads, ..CPU }).unwrap();
            for view in &views {
                let copy = view.as_standard_layout();
                let wanted = session.run(copy.view()).unwrap();
                assert!(!view.is_standard_layout());
                assert_eq!(session.run(view.clone()).unwrap(), wanted, "{runtime}");
            }
        }
    }
}

#[test]
fn files_that_are_not_models_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    // Metadata come last in the file, and a file cut off among them is still a whole model.
    let model = ModelProto { metadata_props: vec![], ..common::tiny() };
    let whole = fs::read(common::write(&model, folder.path(), "tiny.onnx")).unwrap();
    let path = folder.path().join("bad.onnx");
    let mut bad: Vec<Vec<u8>> =
        vec![b"this is a text file, not a model\n".to_vec(), vec![], vec![0; 64]];
    // Truncated anywhere: also where the bytes end between two fields.
    bad.extend((1..whole.len() - 8).step_by(17).map(|end| whole[..end].to_vec()));
    for bytes in bad {
        fs::write(&path, &bytes).unwrap();
        let message = error(onnx::read(&path));
        assert!(message.contains("bad.onnx"), "{message}");
        for runtime in runtimes() {
            error(runtime::open(runtime, &path, &CPU));
        }
    }
    assert!(error(onnx::read(folder.path())).contains("not a file"));
    assert!(error(onnx::read(&folder.path().join("none.onnx"))).contains("none.onnx"));
}

/// Replaces the weights of the tiny model, writes it and returns the refusal.
fn refusal(folder: &Path, weights: TensorProto) -> String {
    let mut model = common::tiny();
    common::graph(&mut model).initializer[0] = weights;
    let path = common::write(&model, folder, "bad.onnx");
    for runtime in runtimes() {
        error(runtime::open(runtime, &path, &CPU));
    }
    error(onnx::read(&path))
}

#[test]
fn tensors_that_claim_more_than_they_hold_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for dims in
        [vec![1 << 40], vec![1 << 20, 1 << 20], vec![1 << 40, 1 << 40], vec![-1, 3], vec![24, 4]]
    {
        let mut weights = common::floats("weights", &[], &[0.0; 72]);
        weights.dims = dims.clone();
        let message = refusal(folder.path(), weights);
        assert!(
            message.contains("\"weights\"") && message.contains(&format!("{dims:?}")),
            "{message}"
        );
    }
    let mut typed = common::floats("weights", &[1 << 40], &[]);
    typed.float_data = vec![0.0; 72];
    assert!(refusal(folder.path(), typed).contains("values of data but has 72"));
    let unknown = TensorProto { data_type: 99, ..common::floats("weights", &[24, 3], &[0.0; 72]) };
    assert!(refusal(folder.path(), unknown).contains("type 99"));
}

/// tract 0.23 answers with other numbers than ONNX Runtime and burn, and says nothing.
#[test]
fn operators_that_tract_computes_wrongly_are_refused_in_it() {
    let folder = tempfile::tempdir().unwrap();
    for (operator, attributes, nested) in [
        ("GlobalLpPool", vec![common::integer("p", 1)], false),
        ("ConvTranspose", vec![common::integers("output_shape", &[34, 26])], false),
        ("GlobalLpPool", vec![], true),
    ] {
        let mut model = common::tiny();
        let graph = common::graph(&mut model);
        let input = graph.input[0].name.clone();
        let mut node = common::node(operator, &[&input, &input], "other", attributes);
        if nested {
            let branch = GraphProto { node: vec![node], ..Default::default() };
            let branch = AttributeProto {
                name: "then_branch".into(),
                g: Some(branch),
                r#type: AttributeType::Graph as i32,
                ..Default::default()
            };
            node = common::node("If", &[&input], "other", vec![branch]);
        }
        graph.node.push(node);
        graph.output.push(common::value("other", &[None, None, None]));
        let path = common::write(&model, folder.path(), "other.onnx");
        let said = error(runtime::open(Runtime::Tract, &path, &CPU));
        assert!(said.contains(operator) && said.contains("other.onnx"), "{said}");
    }
}

/// tract 0.23 reads outside its memory for the first value of an exponent that has none.
#[test]
fn an_operand_without_values_is_refused_in_tract() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = common::tiny();
    let graph = common::graph(&mut model);
    let axes = vec![common::integers("axes", &[1])];
    graph.node.push(common::node("ReduceMean", &["logits"], "mean", axes));
    graph.node.push(common::node("Pow", &["mean", "nothing"], "other", vec![]));
    graph.initializer.push(common::floats("nothing", &[0], &[]));
    graph.output.push(common::value("other", &[None, None]));
    let path = common::write(&model, folder.path(), "other.onnx");
    let mut session = runtime::open(Runtime::Tract, &path, &CPU).unwrap();
    let said = error(session.run(batch(2).view()));
    assert!(said.contains("Pow_other") && said.contains("operand without values"), "{said}");
}

#[test]
fn an_output_from_nowhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = common::tiny();
    common::graph(&mut model).output.push(common::value("ghost", &[None]));
    let path = common::write(&model, folder.path(), "ghost.onnx");
    assert!(error(onnx::read(&path)).contains("\"ghost\""));
}

fn external(entries: &[(&str, &str)]) -> TensorProto {
    let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
        key: key.to_string(),
        value: value.to_string(),
    };
    TensorProto {
        raw_data: vec![],
        data_location: Some(DataLocation::External as i32),
        external_data: entries.iter().map(entry).collect(),
        ..common::floats("weights", &[24, 3], &[])
    }
}

#[test]
fn external_data_must_stay_in_the_models_folder() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("model");
    fs::create_dir(&folder).unwrap();
    let secret = outer.path().join("secret.bin");
    fs::write(&secret, [0; 288]).unwrap();
    fs::write(folder.join("short.bin"), [0; 100]).unwrap();
    let absolute = secret.to_str().unwrap();
    let mut locations =
        vec!["../secret.bin", absolute, "sub/../../secret.bin", "missing.bin", "short.bin", "."];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&secret, folder.join("link.bin")).unwrap();
        locations.push("link.bin");
    }
    for location in locations {
        let message = refusal(&folder, external(&[("location", location)]));
        assert!(message.contains("\"weights\""), "{message}");
        assert!(message.contains(location) || location == "short.bin", "{message}");
    }
    assert!(refusal(&folder, external(&[])).contains("without a location"));
    let past = [("location", "short.bin"), ("offset", "18446744073709551615"), ("length", "288")];
    assert!(refusal(&folder, external(&past)).contains("too few"));
    assert!(
        refusal(&folder, external(&[("location", "short.bin"), ("offset", "x")]))
            .contains("offset")
    );
}

#[test]
fn external_data_inside_the_folder_loads() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = common::tiny();
    let graph = common::graph(&mut model);
    let mut bytes = vec![0xff; 4096];
    bytes.extend(&graph.initializer[0].raw_data);
    fs::create_dir(folder.path().join("data")).unwrap();
    fs::write(folder.path().join("data/weights.bin"), bytes).unwrap();
    graph.initializer[0] =
        external(&[("location", "data/weights.bin"), ("offset", "4096"), ("length", "288")]);
    let path = common::write(&model, folder.path(), "external.onnx");
    for runtime in runtimes() {
        let input = batch(2);
        let outputs = runtime::open(runtime, &path, &CPU).unwrap().run(input.view()).unwrap();
        assert_close(&outputs[0], &tiny_logits(&input), 1e-5, runtime.name());
    }
}

#[test]
fn metadata_is_read() {
    let metadata = onnx::metadata(&common::tiny());
    let front_end: FrontEnd = serde_json::from_str(&metadata["front_end"]).unwrap();
    assert_eq!(front_end.windows().hop_seconds(), 0.5);
}

#[test]
fn what_is_not_there_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let model = common::write(&common::tiny(), folder.path(), "tiny.onnx");
    if !cfg!(feature = "cuda") {
        let cuda = Options { device: Device::Cuda, threads: 1 };
        let message = error(runtime::open(Runtime::Tract, &model, &cuda));
        assert_eq!(message, "tract: cuda: built without the cargo feature \"cuda\"");
    }
    if !cfg!(feature = "train") {
        let message = error(runtime::open(Runtime::Burn, &model, &CPU));
        assert_eq!(message, "burn: built without the cargo feature \"train\"");
    }
    assert!(error("onnx".parse::<Runtime>()).contains("choose burn, ort or tract"));
    assert!(
        error(runtime::open(Runtime::Tract, &model, &Options { threads: 0, ..CPU })).contains("1")
    );
}

fn array(file: &Path, key: &str) -> ArrayD<f32> {
    let (shape, data) = npz(file, key);
    ArrayD::from_shape_vec(shape, data).unwrap()
}

#[test]
fn backbones_answer_as_recorded() {
    let Some(folder) = test_data() else { return };
    let fixtures = folder.join("frontend_fixtures");
    let (inputs, answers) = (fixtures.join("log_mel.npz"), fixtures.join("backbone_outputs.npz"));
    for (file, front_end) in [("yamnet.onnx", "yamnet"), ("musicnn_msd_vgg.onnx", "musicnn")] {
        for runtime in runtimes() {
            for threads in [1, 2] {
                let model = folder.join("backbones").join(file);
                let mut session =
                    runtime::open(runtime, &model, &Options { threads, ..CPU }).unwrap();
                for name in ["blues", "metal"] {
                    let mut input = array(&inputs, &format!("{name}_{front_end}"));
                    if front_end == "musicnn" {
                        input =
                            input.slice(s![..187, ..]).insert_axis(Axis(0)).to_owned().into_dyn();
                    }
                    let outputs = session.run(input.view()).unwrap();
                    for (output, tensor) in session.outputs().iter().zip(&outputs) {
                        let key = format!("{name}_{front_end}_{output}");
                        let expected = array(&answers, &key);
                        assert_eq!(tensor.shape(), expected.shape(), "{key}");
                        let what = format!("{runtime}, {threads} threads, {key}");
                        assert_close(tensor, &expected, 1e-3, &what);
                    }
                }
            }
        }
    }
}

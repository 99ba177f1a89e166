//! What a stranger's file takes and gives: embeddings of networks of every kind, in both
//! runtimes, and files that are not what they say.
#![cfg(feature = "train")]

mod common;

use std::path::{Path, PathBuf};

use common::data::{npz, test_data};
use genre_transfer::features::{Layout, PatchKind};
use genre_transfer::model::Feed;
use genre_transfer::runtime::{self, Options, Pool, Runtime};
use genre_transfer::{Error, Result};
use ndarray::{Array2, Array3, Array4, ArrayD, Axis, s};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{AttributeProto, ModelProto, type_proto};

/// ONNX Runtime and tract; the first is left out where its library is not installed, unless the
/// environment insists on it, as CI does.
fn runtimes() -> Vec<Runtime> {
    let insists = std::env::var_os("GENRE_TRANSFER_REQUIRE_ORT").is_some();
    if runtime::preferred() == Runtime::Ort {
        return vec![Runtime::Ort, Runtime::Tract];
    }
    assert!(!insists, "GENRE_TRANSFER_REQUIRE_ORT is set but libonnxruntime is not found");
    println!("skipped: ort (no libonnxruntime; run scripts/setup.sh)");
    vec![Runtime::Tract]
}

const LOG_MEL: PatchKind = PatchKind::LogMel { frames: 96, mels: 64, layout: None };

/// Embeddings of `patches`, and how the file was found to be fed.
fn embed(
    path: &Path,
    kind: PatchKind,
    output: Option<&str>,
    pool: Option<Pool>,
    runtime: Runtime,
    patches: &Array3<f32>,
) -> Result<(Feed, Array2<f32>)> {
    let feed = Feed::probe(path, kind, output, pool, Some(runtime))?;
    let mut session = runtime::open(runtime, path, &Options::default())?;
    let rows = feed.embed(&mut *session, patches.view(), runtime == Runtime::Tract)?;
    assert_eq!(rows.dim(), (patches.len_of(Axis(0)), feed.features.unwrap()));
    Ok((feed, rows))
}

/// Patches that are all different.
fn noise(shape: [usize; 3]) -> Array3<f32> {
    let mut state = 7u32;
    Array3::from_shape_simple_fn(shape, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
}

/// The largest difference relative to the largest wanted value.
fn difference(given: &Array2<f32>, wanted: &Array2<f32>) -> f32 {
    assert_eq!(given.dim(), wanted.dim());
    let largest = wanted.iter().fold(0f32, |m, v| m.max(v.abs()));
    given.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest
}

/// A file's recorded input as our patches, and the embeddings of ONNX Runtime.
fn recorded(archive: &Path) -> (PatchKind, Array3<f32>, Array2<f32>) {
    let (shape, input) = npz::<f32>(archive, "input");
    let (wanted_shape, wanted) = npz::<f32>(archive, "embedding");
    let wanted = Array2::from_shape_vec((wanted_shape[0], wanted_shape[1]), wanted).unwrap();
    let (kind, patches) = match shape[..] {
        [count, samples] => {
            let patches = Array3::from_shape_vec((count, samples, 1), input).unwrap();
            (PatchKind::Samples(samples), patches)
        }
        [count, 1, frames, mels] => {
            let patches = Array3::from_shape_vec((count, frames, mels), input).unwrap();
            ([frames, mels].into(), patches)
        }
        [count, channels, rows, columns] => {
            let picture = Array4::from_shape_vec((count, channels, rows, columns), input).unwrap();
            let turned = picture.permuted_axes([0, 3, 2, 1]).as_standard_layout().into_owned();
            let shape = (count, columns, rows * channels);
            let patches = turned.into_shape_with_order(shape).unwrap();
            (PatchKind::Picture { columns, rows, channels }, patches)
        }
        _ => panic!("{shape:?}"),
    };
    (kind, patches, wanted)
}

/// In ONNX Runtime all of them, in tract all whose operators it has.
#[test]
fn every_network_of_the_zoo_gives_its_recorded_embeddings() {
    let Some(folder) = test_data().map(|data| data.join("onnx_zoo")) else { return };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "onnx"));
    files.sort();
    assert_eq!(files.len(), 17);
    let mut lacking = vec![];
    for path in &files {
        let (kind, patches, wanted) = recorded(&path.with_extension("npz"));
        let name = path.file_stem().unwrap().to_str().unwrap();
        // Its numbers are rounded by the range of the whole batch, so one at a time, which it is
        // given for that, they are rounded otherwise; and half floats have eleven bits.
        let tolerance = match name {
            "mobilenetv3_int8dynamic_script17" => 1e-2,
            "resnet_fp16_script17" => 2e-3,
            _ => 1e-4,
        };
        for runtime in runtimes() {
            let (feed, rows) = match embed(path, kind, None, None, runtime, &patches) {
                Ok(found) => found,
                Err(error @ Error::Runtime { .. }) if runtime == Runtime::Tract => {
                    println!("{name}: {error}");
                    lacking.push(name);
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            let found = difference(&rows, &wanted);
            println!("{name} in {runtime}: {found:e}, batch {:?}", feed.input.batch);
            assert!(found < tolerance, "{name} in {runtime}: {found:e}");
            assert_eq!(feed.pool, None);
        }
    }
    assert_eq!(lacking, ["ast_dynamo23"], "it has no operator Attention");
}

fn case(name: &str) -> Option<PathBuf> {
    Some(test_data()?.join("cases/onnx").join(name))
}

/// Whatever the others are, a patch is embedded as it is alone.
fn assert_independent(path: &Path, kind: PatchKind, runtime: Runtime) -> Feed {
    let [frames, features] = kind.shape();
    let patches = noise([5, frames, features]);
    let (feed, all) = embed(path, kind, None, None, runtime, &patches).unwrap();
    for at in 0..5 {
        let one = patches.slice(s![at..=at, .., ..]).to_owned();
        let mut session = runtime::open(runtime, path, &Options::default()).unwrap();
        let alone = feed.embed(&mut *session, one.view(), false).unwrap();
        let found = difference(&all.slice(s![at..=at, ..]).to_owned(), &alone);
        assert!(found < 1e-5, "{} in {runtime}: {found:e}", path.display());
    }
    feed
}

#[test]
fn files_that_are_not_what_they_say_are_run_one_patch_at_a_time() {
    for (name, batch) in [
        ("merged-one-row.onnx", Some(1)),
        ("inner-one.onnx", Some(1)),
        ("fixed64-inner.onnx", Some(64)),
        ("max11-SAME_UPPER.onnx", None),
        ("avg19-SAME_UPPER-cip0.onnx", None),
        ("argmax.onnx", None),
        ("half.onnx", None),
    ] {
        let Some(path) = case(name) else { return };
        for runtime in runtimes() {
            let feed = assert_independent(&path, LOG_MEL, runtime);
            assert_eq!(feed.input.batch, batch, "{name} in {runtime}");
            assert_eq!((feed.output, feed.features), ("embeddings".to_owned(), Some(16)));
        }
    }
}

#[test]
fn outputs_of_other_types_are_ignored_and_answered_with_those_that_would_do() {
    let (Some(argmax), Some(half)) = (case("argmax.onnx"), case("half.onnx")) else { return };
    for runtime in runtimes() {
        let session = runtime::open(runtime, &argmax, &Options::default()).unwrap();
        assert_eq!(session.outputs(), ["embeddings"]);
        let text = Feed::probe(&argmax, LOG_MEL, Some("label"), None, Some(runtime)).unwrap_err();
        let text = text.to_string();
        assert!(text.contains("INT64") && text.ends_with("would do: embeddings"), "{text}");
        // The same numbers, rounded.
        let patches = noise([2, 96, 64]);
        let rows = |output| embed(&half, LOG_MEL, output, None, runtime, &patches).unwrap().1;
        let found = difference(&rows(Some("embeddings_half")), &rows(None));
        assert!(found > 0.0 && found < 1e-3, "{runtime}: {found:e}");
    }
}

#[test]
fn samples_with_or_without_a_batch_are_pooled_over_their_moments() {
    for name in ["raw1.onnx", "raw2.onnx"] {
        let Some(path) = case(name) else { return };
        for runtime in runtimes() {
            let kind = PatchKind::Samples(32_000);
            let feed = assert_independent(&path, kind, runtime);
            assert_eq!((feed.pool, feed.features), (Some(Pool::Mean), Some(16)), "{name}");
            // What the file answers to one patch, by hand.
            let patches = noise([1, 32_000, 1]);
            let mut session = runtime::open(runtime, &path, &Options::default()).unwrap();
            let samples =
                ArrayD::from_shape_vec(feed.input.axes(1), patches.iter().copied().collect());
            let outputs = session.run(samples.unwrap().view()).unwrap();
            assert_eq!(session.outputs()[1], "embeddings");
            let moments = &outputs[1];
            assert!(moments.len_of(Axis(0)) > 1);
            for (pool, wanted) in [
                (Pool::Mean, moments.mean_axis(Axis(0)).unwrap()),
                (Pool::First, moments.index_axis(Axis(0), 0).to_owned()),
            ] {
                let wanted = Array2::from_shape_vec((1, 16), wanted.into_iter().collect()).unwrap();
                let (_, rows) = embed(&path, kind, None, Some(pool), runtime, &patches).unwrap();
                assert!(difference(&rows, &wanted) < 1e-6, "{name}: {pool}");
            }
            let (_, scores) = embed(&path, kind, Some("log_mel"), None, runtime, &patches).unwrap();
            assert_eq!(scores.ncols(), 64);
        }
    }
}

#[test]
fn square_patches_lie_as_their_axes_are_called_or_as_the_layout_says() {
    let (Some(plain), Some(named)) = (case("mels-first.onnx"), case("mels-first-named.onnx"))
    else {
        return;
    };
    let patches = noise([2, 64, 64]);
    // The file averages over the first of both axes.
    let [of_frames, of_mels] = [1, 2].map(|axis| patches.mean_axis(Axis(axis)).unwrap());
    let kind = |layout| PatchKind::LogMel { frames: 64, mels: 64, layout };
    for runtime in runtimes() {
        for (path, layout, wanted, assumed) in [
            (&plain, None, &of_frames, true),
            (&plain, Some(Layout::FramesFirst), &of_frames, false),
            (&plain, Some(Layout::MelsFirst), &of_mels, false),
            (&named, None, &of_mels, false),
            (&named, Some(Layout::FramesFirst), &of_mels, false),
        ] {
            let (feed, rows) = embed(path, kind(layout), None, None, runtime, &patches).unwrap();
            assert!(difference(&rows, wanted) < 1e-5, "{} {layout:?}", path.display());
            assert_eq!(feed.input.assumed, assumed, "{} {layout:?}", path.display());
        }
    }
}

#[test]
fn a_public_network_for_samples_gives_a_row_a_patch() {
    let Some(data) = test_data() else { return };
    let path = data.join("onnx_zoo/real/basic_pitch_nmp.onnx");
    let patches = noise([3, 43_844, 1]);
    for runtime in runtimes() {
        let found = embed(&path, PatchKind::Samples(43_844), None, None, runtime, &patches);
        let (feed, rows) = match found {
            Err(error @ Error::Runtime { .. }) if runtime == Runtime::Tract => {
                println!("{error}");
                continue;
            }
            found => found.unwrap(),
        };
        // [N, 172, 264]: moments by bins.
        assert_eq!((feed.axis, feed.pool, rows.ncols()), (2, Some(Pool::Mean), 264));
        let text = Feed::probe(&path, PatchKind::Samples(43_843), None, None, Some(runtime));
        let text = text.unwrap_err().to_string();
        assert!(text.contains("43844, 1]") && text.contains("43843 samples"), "{text}");
    }
}

/// `patches` [N, 4, 6] → what `change` makes of the tiny network's graph.
fn changed(folder: &Path, change: impl FnOnce(&mut ModelProto)) -> PathBuf {
    let mut model = common::tiny();
    change(&mut model);
    common::write(&model, folder, "changed.onnx")
}

/// With a node between the logits and the one output, `embeddings`.
fn ending_in(
    folder: &Path,
    operator: &str,
    attributes: Vec<AttributeProto>,
    dims: &[Option<usize>],
) -> PathBuf {
    changed(folder, |model| {
        let graph = common::graph(model);
        graph.node.push(common::node(operator, &["logits"], "embeddings", attributes));
        graph.output = vec![common::value("embeddings", dims)];
    })
}

const TINY: PatchKind =
    PatchKind::LogMel { frames: common::FRAMES, mels: common::MELS, layout: None };

#[test]
fn rows_that_leak_into_each_other_are_run_alone_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let over_batch = || vec![common::integer("axis", 0)];
    for runtime in runtimes() {
        let free = ending_in(folder.path(), "Softmax", over_batch(), &[None, Some(3)]);
        let feed = assert_independent(&free, TINY, runtime);
        assert!(feed.is_single(), "{runtime}");
        let fixed = changed(folder.path(), |model| {
            let graph = common::graph(model);
            graph.node.push(common::node("Softmax", &["logits"], "embeddings", over_batch()));
            graph.input = vec![common::value("patches", &[Some(2), Some(4), Some(6)])];
            graph.output = vec![common::value("embeddings", &[Some(2), Some(3)])];
        });
        let text = Feed::probe(&fixed, TINY, None, None, Some(runtime)).unwrap_err().to_string();
        assert!(text.contains("2 patches at a time") && text.contains("depends"), "{text}");
        // One row for all of a batch that cannot be smaller.
        let merged = changed(folder.path(), |model| {
            let attributes = vec![common::integer("keepdims", 1), common::integers("axes", &[0])];
            let graph = common::graph(model);
            graph.node.push(common::node("ReduceMean", &["logits"], "embeddings", attributes));
            graph.input = vec![common::value("patches", &[Some(2), Some(4), Some(6)])];
            graph.output = vec![common::value("embeddings", &[Some(1), Some(3)])];
        });
        let text = Feed::probe(&merged, TINY, None, None, Some(runtime)).unwrap_err().to_string();
        assert!(text.contains("[1, 3] for 2 patches"), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }
}

#[test]
fn what_is_no_number_is_refused_before_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    for runtime in runtimes() {
        let path = ending_in(folder.path(), "Log", vec![], &[None, Some(3)]);
        let text = Feed::probe(&path, TINY, None, None, Some(runtime)).unwrap_err().to_string();
        assert!(text.contains("changed.onnx") && text.contains("not finite"), "{text}");
    }
}

#[test]
fn operators_that_no_runtime_has_are_named_by_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = ending_in(folder.path(), "NoSuch", vec![], &[None, Some(3)]);
    let text = Feed::probe(&path, TINY, None, None, None).unwrap_err().to_string();
    assert!(text.contains("tract") && text.contains("ort: ") && text.contains("NoSuch"), "{text}");
}

/// Names what the axes of a port are called.
fn name_axes(port: &mut tract_onnx::pb::ValueInfoProto, names: &[&str]) {
    let kind = port.r#type.as_mut().unwrap().value.as_mut().unwrap();
    let type_proto::Value::TensorType(tensor) = kind;
    let dim = |name: &&str| Dimension {
        value: Some(match name.parse() {
            Ok(size) => dimension::Value::DimValue(size),
            Err(_) => dimension::Value::DimParam((*name).to_owned()),
        }),
        ..Default::default()
    };
    tensor.shape.as_mut().unwrap().dim = names.iter().map(dim).collect();
}

/// Halves or doubles in and out, beside a text that nobody wants.
#[test]
fn floats_of_other_sizes_are_converted_at_the_border() {
    let folder = tempfile::tempdir().unwrap();
    let patches = noise([3, common::FRAMES, common::MELS]);
    let wanted: Vec<f32> =
        patches.outer_iter().flat_map(|p| common::tiny_logits(p.as_slice().unwrap())).collect();
    let wanted = Array2::from_shape_vec((3, 3), wanted).unwrap();
    for (kind, tolerance) in [(DataType::Float16, 2e-3), (DataType::Double, 1e-6)] {
        let path = changed(folder.path(), |model| {
            let cast = |from: &str, to: &str, kind: DataType| {
                common::node("Cast", &[from], to, vec![common::integer("to", kind as i64)])
            };
            let graph = common::graph(model);
            graph.node[0].input[0] = "single".to_owned();
            graph.node.insert(0, cast("patches", "single", DataType::Float));
            graph.node.push(cast("logits", "embeddings", kind));
            graph.node.push(cast("logits", "whole", DataType::Int64));
            let outputs = ["whole", "embeddings"];
            graph.output = outputs.map(|name| common::value(name, &[None, Some(3)])).to_vec();
            let ports = [(&mut graph.input[0], kind)].into_iter();
            let [whole, embeddings] = &mut graph.output[..] else { panic!() };
            for (port, kind) in ports.chain([(whole, DataType::Int64), (embeddings, kind)]) {
                let kind_of = port.r#type.as_mut().unwrap().value.as_mut().unwrap();
                let type_proto::Value::TensorType(tensor) = kind_of;
                tensor.elem_type = kind as i32;
            }
        });
        for runtime in runtimes() {
            let (feed, rows) = embed(&path, TINY, None, None, runtime, &patches).unwrap();
            let found = difference(&rows, &wanted);
            assert!(found < tolerance, "{kind:?} in {runtime}: {found:e}");
            assert_eq!((feed.input.batch, feed.output.as_str()), (None, "embeddings"));
        }
    }
}

/// The same network behind every arrangement of its input gives the same.
#[test]
fn patches_reach_the_network_in_every_arrangement() {
    let folder = tempfile::tempdir().unwrap();
    let patches = noise([3, common::FRAMES, common::MELS]);
    let wanted: Vec<f32> =
        patches.outer_iter().flat_map(|p| common::tiny_logits(p.as_slice().unwrap())).collect();
    let wanted = Array2::from_shape_vec((3, 3), wanted).unwrap();
    // The input's axes, and those among them that are batch, frames and mels.
    for (axes, order) in [
        (&["batch", "4", "6"][..], [0i64, 1, 2]),
        (&["batch", "6", "4"], [0, 2, 1]),
        (&["batch", "n_mels", "n_frames"], [0, 2, 1]),
        (&["frames", "batch", "mels"], [1, 0, 2]),
        (&["4", "N", "6"], [1, 0, 2]),
        (&["6", "4", "B"], [2, 1, 0]),
    ] {
        let path = changed(folder.path(), |model| {
            let graph = common::graph(model);
            let perm = common::integers("perm", &order);
            graph.node[0].input[0] = "turned".to_owned();
            graph.node.insert(0, common::node("Transpose", &["patches"], "turned", vec![perm]));
            name_axes(&mut graph.input[0], axes);
        });
        for runtime in runtimes() {
            let (feed, rows) = embed(&path, TINY, Some("logits"), None, runtime, &patches).unwrap();
            assert!(difference(&rows, &wanted) < 1e-5, "{axes:?} in {runtime}");
            assert_eq!(feed.input.batch, None, "{axes:?} in {runtime}");
        }
    }
}

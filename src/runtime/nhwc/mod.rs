//! tract's networks computed with kernels of our own, on x86-64.
//!
//! tract 0.23 has kernels for maps that lie place by place (NHWC) for arm64 and WebAssembly, not for
//! x86-64, where it walks depthwise convolutions in scalar code. Here convolutions and pooling
//! become operators of ours (`operators`) before tract simplifies the network (`adopt`); tract then
//! moves axes only where such layers begin and end. Activations, batch normalization, and columns
//! that a pooling would skip, become part of the convolutions after that (`fuse`).
//!
//! What is not known to be one of these layers stays tract's: other element types, groups,
//! weights that are computed, shapes that are not known. The tests hold the answers to tract's own
//! within a hundred thousandth of the largest.

mod adopt;
mod fuse;
mod operators;

pub(super) use adopt::{Kernels, adopt};
pub(super) use fuse::fuse;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ndarray::{Axis, Slice};
    use proptest::prelude::*;
    use tract_onnx::prelude::*;
    use tract_onnx::tract_core::internal::{tensor1, tensor4};
    use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PaddingSpec, PoolSpec};
    use tract_onnx::tract_core::ops::math::{add, max, min, mul};
    use tract_onnx::tract_core::ops::nn::DataFormat;

    use super::*;
    use crate::audio::Audio;
    use crate::features::{Extractor, FrontEnd, patches};

    /// What tract's own layers and ours answer, and how many of the nodes are ours.
    fn both(model: TypedModel, input: Tensor) -> TractResult<(Vec<TValue>, Vec<TValue>, usize)> {
        let mut ours = model.clone();
        adopt(&mut ours, &mut Kernels::new())?;
        ours = ours.into_decluttered()?;
        fuse(&mut ours)?;
        let ours = ours.into_optimized()?;
        let is_ours = |node: &&TypedNode| node.op.name().starts_with("Nhwc");
        let count = ours.nodes().iter().filter(is_ours).count();
        let run = |model: TypedModel| -> TractResult<Vec<TValue>> {
            let plan = TypedSimplePlan::new(model)?;
            Ok(Arc::new(plan).run(tvec!(input.clone().into()))?.to_vec())
        };
        Ok((run(model.into_decluttered()?.into_optimized()?)?, run(ours)?, count))
    }

    /// The largest difference of two answers, as a share of the largest value.
    fn difference(theirs: &TValue, ours: &TValue) -> TractResult<f32> {
        assert_eq!(theirs.shape(), ours.shape());
        let [theirs, ours] = [theirs, ours].map(|answer| answer.try_as_plain_ram());
        let (theirs, ours) = (theirs?, ours?);
        let (theirs, ours) = (theirs.as_slice::<f32>()?, ours.as_slice::<f32>()?);
        let largest = theirs.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
        // What is no number is as far off as can be.
        let off = |(theirs, ours): (&f32, &f32)| {
            if theirs.to_bits() == ours.to_bits() { 0.0 } else { (theirs - ours).abs() / largest }
        };
        let all = theirs.iter().zip(ours).map(off);
        Ok(all.fold(0.0, |most, off| if off > most || off.is_nan() { off } else { most }))
    }

    /// A convolution, bounds, a scale and a shift of each channel, and a pooling.
    #[derive(Clone, Debug)]
    struct Layers {
        spec: PoolSpec,
        group: usize,
        maps: [usize; 4],
        bounds: [Option<f32>; 2],
        normalized: bool,
        pooling: Option<([usize; 2], [usize; 2])>,
    }

    fn numbers(shape: &[usize], seed: usize) -> Arc<Tensor> {
        let count: usize = shape.iter().product();
        // Quarters, as in the kernels' tests: sums of their products are exact in any order.
        let number = |at: usize| ((at * 11 + seed * 17) % 29) as f32 / 4.0 - 3.5;
        let numbers: Vec<f32> = (0..count).map(number).collect();
        Tensor::from_shape(shape, &numbers).unwrap().into_arc_tensor()
    }

    fn of_two(numbers: [usize; 2]) -> TVec<usize> {
        TVec::from(&numbers[..])
    }

    impl Layers {
        fn model(&self) -> TractResult<TypedModel> {
            let mut model = TypedModel::default();
            let (filters, channels) = (self.spec.output_channels, self.spec.input_channels);
            let kernel = [&[filters, channels / self.group][..], &self.spec.kernel_shape].concat();
            let maps = model.add_source("maps", f32::fact(self.maps))?;
            let weights = model.add_const("weights", numbers(&kernel, 1))?;
            let bias = model.add_const("bias", numbers(&[filters], 2))?;
            let op = Conv::new(self.spec.clone(), KernelFormat::OIHW, self.group, None);
            let mut wire = model.wire_node("conv", op, &[maps, weights, bias])?[0];
            for (at, bound) in self.bounds.into_iter().enumerate() {
                let Some(bound) = bound else { continue };
                let value = model.add_const(format!("bound{at}"), tensor4(&[[[[bound]]]]))?;
                let op = if at == 0 { max() } else { min() };
                wire = model.wire_node(format!("bounded{at}"), op, &[wire, value])?[0];
            }
            if self.normalized {
                for (at, op) in [mul(), add()].into_iter().enumerate() {
                    let values = numbers(&[1, filters, 1, 1], 3 + at);
                    let values = model.add_const(format!("values{at}"), values)?;
                    wire = model.wire_node(format!("normalized{at}"), op, &[wire, values])?[0];
                }
            }
            if let Some((kernel, strides)) = self.pooling {
                let spec = PoolSpec {
                    kernel_shape: of_two(kernel),
                    strides: Some(of_two(strides)),
                    padding: PaddingSpec::Valid,
                    dilations: None,
                    input_channels: filters,
                    output_channels: filters,
                    ..self.spec.clone()
                };
                wire = model.wire_node("pool", MaxPool::new(spec, None), &[wire])?[0];
            }
            model.select_output_outlets(&[wire])?;
            Ok(model)
        }
    }

    fn layers() -> impl Strategy<Value = Layers> {
        let two = |range: std::ops::Range<usize>| prop::array::uniform2(range);
        let bound = |range: std::ops::Range<f32>| prop::option::of(range);
        (
            (two(1..4), two(1..3), two(1..3), two(0..2), two(0..2)),
            (1usize..3, two(8..20), 1usize..40, 1usize..40, 0usize..3),
            (bound(-1.0..0.5), bound(0.5..6.0), any::<bool>()),
            prop::option::of((two(1..3), two(1..3))),
        )
            .prop_map(|(window, maps, (low, high, normalized), pooling)| {
                let (kernel, strides, dilations, before, after) = window;
                let (batch, [height, width], channels, filters, kind) = maps;
                // Dense, depthwise, and groups that stay tract's.
                let (group, channels, filters) = match kind {
                    0 => (1, channels, filters),
                    1 => (channels, channels, channels),
                    _ => (2, 2 * channels, 2 * filters),
                };
                let spec = PoolSpec {
                    data_format: DataFormat::NCHW,
                    kernel_shape: of_two(kernel),
                    padding: PaddingSpec::Explicit(of_two(before), of_two(after)),
                    dilations: Some(of_two(dilations)),
                    strides: Some(of_two(strides)),
                    input_channels: channels,
                    output_channels: filters,
                };
                let (maps, bounds) = ([batch, channels, height, width], [low, high]);
                Layers { spec, group, maps, bounds, normalized, pooling }
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(128)
        })]

        #[test]
        fn layers_answer_as_tract_s_own(layers in layers()) {
            let input = numbers(&layers.maps, 9).into_tensor();
            let (theirs, ours, count) = both(layers.model().unwrap(), input).unwrap();
            let off = difference(&theirs[0], &ours[0]).unwrap();
            prop_assert!(off <= 1e-5, "off by {off} of the largest");
            // What follows a convolution is in it; only the pooling is a node of its own.
            let wanted = usize::from(layers.group != 2) + usize::from(layers.pooling.is_some());
            if Kernels::new().vectors.is_some() && layers.group != 2 {
                prop_assert_eq!(count, wanted);
            }
        }
    }

    /// A file may compute its weights from the shape of its input, and plans for several shapes share
    /// weights by the names of their nodes.
    #[test]
    fn other_weights_of_the_same_name_are_not_taken_for_them() {
        let answer = |kernels: &mut Kernels, weight: f32| {
            let mut model = TypedModel::default();
            let maps = model.add_source("maps", f32::fact([1, 1, 4, 4])).unwrap();
            let weights = model.add_const("weights", tensor4(&[[[[weight]]]])).unwrap();
            let bias = model.add_const("bias", tensor1(&[0f32])).unwrap();
            let spec = PoolSpec {
                data_format: DataFormat::NCHW,
                kernel_shape: of_two([1, 1]),
                padding: PaddingSpec::Valid,
                dilations: None,
                strides: None,
                input_channels: 1,
                output_channels: 1,
            };
            let op = Conv::new(spec, KernelFormat::OIHW, 1, None);
            let wire = model.wire_node("conv", op, &[maps, weights, bias]).unwrap();
            model.select_output_outlets(&wire).unwrap();
            adopt(&mut model, kernels).unwrap();
            let plan = TypedSimplePlan::new(model).unwrap();
            let maps = Tensor::from_shape(&[1, 1, 4, 4], &[1f32; 16]).unwrap();
            let answer = Arc::new(plan).run(tvec!(maps.into())).unwrap();
            *answer[0].try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().first().unwrap()
        };
        let mut kernels = Kernels::new();
        assert_eq!(answer(&mut kernels, 2.0), 2.0);
        assert_eq!(answer(&mut kernels, 3.0), 3.0);
    }

    /// The networks of the repository on the first patch of a recording.
    #[test]
    fn networks_answer_as_in_tract_alone_on_a_recording() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let networks =
            [("yamnet", FrontEnd::yamnet(), 27), ("musicnn_msd_vgg", FrontEnd::musicnn(), 10)];
        for (name, front_end, layers) in networks {
            let clip = root.join("examples/clips/a.wav");
            let audio = Audio::open(&clip).unwrap().resampled(front_end.sample_rate).unwrap();
            let extractor = Extractor::new(&front_end).unwrap();
            let log_mel = extractor.log_mel(&audio.samples);
            let patches = patches(&log_mel, front_end.patch_frames, front_end.patch_hop);
            let patch = patches.slice_axis(Axis(0), Slice::from(0..1));
            let values: Vec<f32> = patch.iter().copied().collect();
            let input = Tensor::from_shape(patch.shape(), &values).unwrap();
            let model = tract_onnx::onnx()
                .with_ignore_value_info(true)
                .model_for_path(root.join(format!("models/{name}.onnx")))
                .and_then(|model| model.with_input_fact(0, f32::fact(patch.shape()).into()))
                .and_then(|model| model.into_typed())
                .unwrap();
            let (theirs, ours, count) = both(model, input).unwrap();
            for (theirs, ours) in theirs.iter().zip(&ours) {
                let off = difference(theirs, ours).unwrap();
                assert!(off <= 1e-5, "{name} is off by {off} of the largest");
            }
            // On a processor with AVX2, that is: others keep tract's layers.
            if Kernels::new().vectors.is_some() {
                assert_eq!(count, layers, "layers of {name} that are ours");
            }
        }
    }
}

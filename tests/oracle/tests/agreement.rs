//! Two importers that share no code must agree on the same file.

use std::path::Path;

use burn::tensor::{Device, Distribution, Tensor};
use genre_transfer::model::graph::import;
use import_oracle::generated::Model;

#[test]
fn run_time_import_and_generated_code_agree() {
    let device = Device::flex();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vggish_narrow.onnx");
    let imported = import(&path, [96, 64], None, &device).unwrap();
    device.seed(0);
    let patches = Tensor::<4>::random([3, 1, 96, 64], Distribution::Uniform(-4.0, 3.0), &device);
    let generated = Model::default().forward(patches.clone());
    let ours = imported.graph.forward(patches.reshape([3, 96, 64])).unwrap();
    assert_eq!(ours.dims(), [3, 128]);
    let largest = generated.clone().abs().max().into_scalar::<f32>();
    let difference = (ours - generated).abs().max().into_scalar::<f32>();
    println!("largest value {largest}, largest difference {difference:e}");
    assert!(largest > 0.1, "the fixture must not be dead: {largest}");
    assert!(difference <= 1e-5 * largest, "{difference} of {largest}");
}

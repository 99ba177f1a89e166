//! Generates burn code from the ONNX fixture.

fn main() {
    burn_onnx::ModelGen::new().input("vggish_narrow.onnx").out_dir("model/").run_from_script();
}

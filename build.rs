//! The versions of the runtimes that are linked in, for reports: read where Cargo.toml pins them.

use std::{env, fs, path::Path};

fn main() {
    let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let manifest =
        fs::read_to_string(Path::new(&folder).join("Cargo.toml")).expect("cargo read it");
    for (name, variable) in [("burn", "BURN_VERSION"), ("tract-onnx", "TRACT_VERSION")] {
        let version = manifest
            .lines()
            .find_map(|line| {
                line.strip_prefix(&format!("{name} = {{ version = \"="))?.split('"').next()
            })
            .unwrap_or_else(|| {
                panic!("Cargo.toml does not pin {name} to one version (\"=1.2.3\")")
            });
        println!("cargo::rustc-env={variable}={version}");
    }
    println!("cargo::rerun-if-changed=Cargo.toml");
    println!("cargo::rerun-if-changed=build.rs");
}

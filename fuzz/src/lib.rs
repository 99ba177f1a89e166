//! Fuzz targets for everything that genre-transfer reads.
//!
//! A target is a function of bytes. [`run`] calls the one that the environment names, under the
//! limits of [`limits`]: no panic, no more memory than 64 MB and 32 times the input, no more than
//! a second for each MB, no file opened outside the target's own folder.

mod audio;
mod build;
mod coverage;
mod graph;
mod limits;
mod onnx;
mod opens;
mod pictures;
mod runs;
mod scratch;
mod seeds;
mod small_run;
mod tables;
mod text;

use std::sync::OnceLock;

/// The environment variable that names the target; `?` lists them.
pub const VARIABLE: &str = "GENRE_TRANSFER_FUZZ";

/// The environment variable that names a folder: inputs to begin with are written there, and
/// nothing is run.
pub const SEEDS: &str = "GENRE_TRANSFER_FUZZ_SEEDS";

/// What a target does with an input.
type Body = fn(&[u8]);

/// All targets by name.
pub const TARGETS: &[(&str, Body)] = &[
    ("audio", audio::read),
    ("audio-sealed", audio::read_sealed),
    ("tags", audio::tags),
    ("picture", pictures::read),
    ("front-end", text::front_end),
    ("split", text::split),
    ("config", text::config),
    ("features", text::features),
    ("labels", text::labels),
    ("playlist", text::playlist),
    ("journal", tables::journal),
    ("parquet", tables::parquet),
    ("run", runs::read),
    ("onnx", onnx::read),
    ("graph", graph::read),
    ("export", graph::export),
];

/// Prepares the process: panics are counted by those who let them through, and no other program
/// is found. Files for a moment lie in the scratch folder too.
///
/// # Panics
/// If the environment names no target.
pub fn begin() {
    // Safety: nothing else runs yet.
    unsafe {
        std::env::set_var("PATH", "");
        // Errors of crates below would look for their place in the program.
        std::env::set_var("RUST_BACKTRACE", "0");
        std::env::set_var("TMPDIR", scratch::folder());
    }
    limits::quiet_panics();
    if std::env::var(VARIABLE).is_ok_and(|name| name == "?") {
        TARGETS.iter().for_each(|(name, _)| println!("{name}"));
        std::process::exit(0);
    }
    let _ = target();
    coverage::begin();
    if let Some(folder) = std::env::var_os(SEEDS) {
        let name = std::env::var(VARIABLE).unwrap_or_default();
        seeds::write(&name, folder.as_ref());
        std::process::exit(0);
    }
}

/// Runs the target on `data`, and ends the process if it breaks a limit.
pub fn run(data: &[u8]) {
    limits::held(data.len(), || target()(data));
    coverage::add();
}

/// The target that the environment names.
fn target() -> Body {
    static TARGET: OnceLock<Body> = OnceLock::new();
    *TARGET.get_or_init(|| {
        let name = std::env::var(VARIABLE).unwrap_or_default();
        let found = TARGETS.iter().find(|(known, _)| *known == name);
        let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        found.unwrap_or_else(|| panic!("{VARIABLE}={name}: set it to one of {names:?}")).1
    })
}

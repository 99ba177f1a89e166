//! The optional folder of real data, and arrays written by numpy.

#![allow(dead_code)] // each test binary uses its part

use std::path::{Path, PathBuf};

use npyz::npz::NpzArchive;

/// The folder of optional test data (`gtzan/`, `backbones/`, `vggish_fixtures/`,
/// `frontend_fixtures/`), from `GENRE_TRANSFER_TEST_DATA`; says so when it is not set.
pub fn test_data() -> Option<PathBuf> {
    let folder = std::env::var_os("GENRE_TRANSFER_TEST_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: GENRE_TRANSFER_TEST_DATA is not set");
    }
    folder
}

/// Shape and values of an array of an `.npz` whose element type is `T`, row-major.
pub fn npz<T: npyz::Deserialize + Copy>(path: &Path, name: &str) -> (Vec<usize>, Vec<T>) {
    let mut archive = NpzArchive::open(path).unwrap();
    let array = archive.by_name(name).unwrap().unwrap_or_else(|| panic!("{name} in {path:?}"));
    let shape: Vec<usize> = array.shape().iter().map(|d| *d as usize).collect();
    let order = array.order();
    let values: Vec<T> = array.into_vec().unwrap();
    match (order, shape.as_slice()) {
        (npyz::Order::C, _) => (shape, values),
        // numpy keeps a transposed array transposed in the file.
        (npyz::Order::Fortran, &[rows, columns]) => {
            let at = |i: usize| values[i % columns * rows + i / columns];
            let values = (0..rows * columns).map(at).collect();
            (shape, values)
        }
        _ => panic!("{name}: Fortran order of rank {}", shape.len()),
    }
}

//! In the place of [`sqlite`](super::sqlite) in a program built without it.

use std::path::Path;

use super::cell::{Cell, Field};
use crate::error::{Error, Result};

pub(super) fn check(path: &Path, _: &[Field]) -> Result<()> {
    Err(left_out(path))
}

pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    Err(left_out(path))
}

pub(super) fn read(path: &Path, _: &[Field], _: impl FnMut(Vec<Cell>) -> Result<()>) -> Result<()> {
    Err(left_out(path))
}

pub(super) fn write(
    _: &Path,
    path: &Path,
    _: &[Field],
    _: impl Iterator<Item = Result<Vec<Cell>>>,
) -> Result<()> {
    Err(left_out(path))
}

fn left_out(path: &Path) -> Error {
    let reason = "this program was built without SQLite (the cargo feature `sqlite`); name a \
        .parquet, .csv or .jsonl file";
    Error::unsupported(path, reason)
}

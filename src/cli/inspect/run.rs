//! A file inspected and shown.

use anyhow::Result;
use serde::Serialize;

use super::arguments::Arguments;
use super::commands::{Use, uses};
use super::text;
use crate::cli::program::{print, println};
use crate::inspect::{Inspection, inspect};

/// All that `inspect-onnx` prints as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    found: &'a Inspection,
    /// What can be done with it.
    uses: &'a [Use],
}

/// Inspects the file and prints what was found.
///
/// # Errors
/// Those of [`inspect`](fn@inspect), and of standard output.
pub fn run(arguments: &Arguments) -> Result<()> {
    let found = inspect(&arguments.file, &arguments.options()?)?;
    let uses = uses(&found, arguments);
    if arguments.json {
        println(serde_json::to_string_pretty(&Shown { found: &found, uses: &uses })?)
    } else {
        print(text::text(&found, &uses))
    }
}

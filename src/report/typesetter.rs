//! The typst that is at hand where it is not built in: the program, or Python's module that
//! `scripts/setup.sh` fetches.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::document::Document;
use super::sheet::SHEET;
use crate::error::{Cause, Error, Result};

/// Where the module lies: above `target/release`, or in the source tree that the program was built
/// from.
const MODULE: &str = ".typst";

/// Sets the file that is its second argument with the module in the folder that is its first.
const BY_MODULE: &str = "\
import sys
sys.path.insert(0, sys.argv[1])
import typst
typst.compile(sys.argv[2], output=sys.argv[3])";

impl Document {
    /// The document as a PDF, set by the typst that is at hand; none if there is none, or it cannot,
    /// which is said.
    ///
    /// # Errors
    /// Those of [`Document::write_sheet`] in a folder of its own.
    pub(super) fn pdf_from_outside(&self) -> Result<Option<Vec<u8>>> {
        for (name, mut command) in typesetters() {
            let here = env::temp_dir();
            let folder = tempfile::tempdir().map_err(Error::io(&here))?;
            self.write_sheet(folder.path())?;
            tracing::info!("{name} sets the report ...");
            match set(&mut command, folder.path()) {
                Ok(pdf) => return Ok(Some(pdf)),
                Err(reason) => tracing::warn!("{name} did not set the report: {reason}"),
            }
        }
        Ok(None)
    }
}

/// The typesetters at hand and how they are called, but for the files.
fn typesetters() -> Vec<(&'static str, Command)> {
    let mut found = vec![];
    if is_there("typst") {
        let mut command = Command::new("typst");
        command.arg("compile");
        found.push(("typst", command));
    }
    if let Some(module) = module() {
        let mut command = Command::new("python3");
        // Isolated: without the folder that somebody is in among those that it imports from.
        command.args(["-I", "-c", BY_MODULE]).arg(module);
        found.push(("Python's typst", command));
    }
    found
}

/// Whether a program of this name is on the PATH.
fn is_there(program: &str) -> bool {
    let folders = env::var_os("PATH");
    folders.iter().flat_map(env::split_paths).any(|folder| folder.join(program).is_file())
}

fn module() -> Option<PathBuf> {
    // Never in the folder that somebody happens to be in, nor far above the program: it is run.
    let program = env::current_exe().ok();
    let above_target = program.as_deref().and_then(|program| program.ancestors().nth(3));
    let folders = [above_target, Some(Path::new(env!("CARGO_MANIFEST_DIR")))];
    let mut modules = folders.into_iter().flatten().map(|folder| folder.join(MODULE));
    modules.find(|module| module.join("typst/__init__.py").is_file())
}

fn set(command: &mut Command, folder: &Path) -> Result<Vec<u8>, Cause> {
    let pdf = folder.join("report.pdf");
    let done = command.arg(folder.join(SHEET)).arg(&pdf).stdin(Stdio::null()).output()?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
        return Err(last.unwrap_or("it says nothing").to_owned().into());
    }
    let bytes = fs::read(&pdf)?;
    if bytes.starts_with(b"%PDF-") { Ok(bytes) } else { Err("it wrote no PDF".into()) }
}

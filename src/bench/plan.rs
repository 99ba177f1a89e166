//! What to compare with what.

use std::path::{Path, PathBuf};

use super::case::{Case, Opened, Spec};
use super::records::Row;
use crate::error::{Cause, Error, Result};
use crate::files;
use crate::run::model_file;
use crate::runtime::{Device, Runtime};

/// What to compare. Every combination is a case.
#[derive(Clone, Debug)]
pub struct Plan {
    /// ONNX files, or folders that hold a `model.onnx`: runs, which burn needs, and bundles.
    pub models: Vec<PathBuf>,
    /// The first that runs is what the others are compared with.
    pub runtimes: Vec<Runtime>,
    /// Where to run.
    pub devices: Vec<Device>,
    /// Patches per run.
    pub batches: Vec<usize>,
    /// Threads per run.
    pub threads: Vec<usize>,
    /// The most time spent on the timed runs of one case, in seconds.
    pub seconds: f64,
    /// Seed of the random patches.
    pub seed: u64,
    /// The program that is started for each case with the one argument `--case`, and
    /// then calls [`serve`](super::case::serve).
    pub program: PathBuf,
}

/// Patches or threads beyond which a case would only exhaust the machine.
const LARGEST_COUNT: usize = 1 << 16;

impl Plan {
    /// Whether there is something to do in every respect.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] and [`Error::OutOfRange`].
    pub(super) fn check(&self) -> Result<()> {
        let lists = [
            ("model", self.models.is_empty()),
            ("runtime", self.runtimes.is_empty()),
            ("device", self.devices.is_empty()),
            ("batch size", self.batches.is_empty()),
            ("number of threads", self.threads.is_empty()),
        ];
        if let Some((what, _)) = lists.iter().find(|(_, empty)| *empty) {
            return Err(Error::InvalidInput(format!("at least one {what} is needed")));
        }
        for (option, counts) in [("batch", &self.batches), ("threads", &self.threads)] {
            if let Some(count) = counts.iter().find(|count| !(1..=LARGEST_COUNT).contains(*count)) {
                let expected = format!("give 1 to {LARGEST_COUNT}");
                return Err(Error::out_of_range(option, count, expected));
            }
        }
        if !(self.seconds > 0.0 && self.seconds < 1e6) {
            let expected = "give more than 0 and less than a million";
            return Err(Error::out_of_range("seconds", self.seconds, expected));
        }
        // The report names them.
        files::check_unicode(None, self.models.iter().map(PathBuf::as_path))
    }

    /// The cases to compare with each other: those that differ in the runtime only.
    pub(super) fn groups<'a>(&'a self, model: &'a Path) -> impl Iterator<Item = Vec<Row>> + 'a {
        let devices = self.devices.iter();
        let settings = devices.flat_map(move |&device| {
            let threads = self.threads.iter();
            threads
                .flat_map(move |&threads| self.batches.iter().map(move |&b| (device, threads, b)))
        });
        settings.map(move |(device, threads, batch)| {
            let row = |&runtime| Row::new(model, runtime, device, threads, batch);
            self.runtimes.iter().map(row).collect()
        })
    }

    /// Starts the child for a row.
    pub(super) fn open(&self, row: &Row) -> Result<(Case, Opened), Cause> {
        let spec = Spec {
            model: target(&row.model, row.runtime),
            runtime: row.runtime,
            device: row.device,
            threads: row.threads,
            batch: row.batch,
            seed: self.seed,
        };
        Case::open(&self.program, &spec)
    }
}

/// What `runtime` opens for `model`: burn a run's folder, the others the ONNX file inside.
pub(super) fn target(model: &Path, runtime: Runtime) -> PathBuf {
    match runtime {
        Runtime::Burn => model.to_path_buf(),
        Runtime::Ort | Runtime::Tract => model_file(model),
    }
}

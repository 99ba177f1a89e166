//! Baselines as runs: [`crate::run`] describes the folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::config::Config;
use super::evaluation::Tested;
use super::problem::Problem;
use super::run_folders::{Existing, Target};
use super::search::Found;
use super::{evaluation, export, trust};
use crate::dataset::FeatureTable;
use crate::error::{Error, Result};
use crate::files;
use crate::onnx::write::name_destination;
use crate::run::{BaselineMetrics, Exported, Kind, Program, Run, TrainingData};

/// A finished run.
#[derive(Clone, Debug)]
pub struct BaselineRun {
    /// Its folder.
    pub folder: PathBuf,
    /// Its results.
    pub metrics: BaselineMetrics,
}

impl BaselineRun {
    /// The baseline run in `folder`; none if it is no folder, or holds another kind of run.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`] if its results cannot be read.
    pub fn find(folder: &Path) -> Result<Option<Self>> {
        let run = Run::at(folder);
        if !run.is_complete() || run.kind()? != Kind::Baseline {
            return Ok(None);
        }
        Ok(Some(Self { folder: folder.to_owned(), metrics: run.baseline_metrics()? }))
    }

    /// The run's ONNX file, copied to `destination` unless that is the file itself: it was
    /// exported and proved when the model was fitted.
    ///
    /// # Errors
    /// [`Error::Format`] if the file is not the one that was proved; errors of both files.
    pub fn export(&self, destination: &Path) -> Result<Exported> {
        let model = Run::at(&self.folder).onnx_path();
        let sha256 = files::sha256(&model)?;
        let proved = self.metrics.export.as_ref().filter(|proved| proved.sha256 == sha256);
        let Some(proved) = proved else {
            let reason = "not the file that the run proved; train the baseline again";
            return Err(Error::format(&model, reason));
        };
        let same = |other: PathBuf| model.canonicalize().is_ok_and(|model| model == other);
        if !destination.canonicalize().is_ok_and(same) {
            let bytes = fs::read(&model).map_err(Error::io(&model))?;
            files::write(destination, &bytes)?;
        }
        Ok(Exported { path: destination.to_owned(), ..proved.clone() })
    }

    /// The run's table and split.
    ///
    /// # Errors
    /// Errors of the run's files and of the table.
    pub(crate) fn problem(&self) -> Result<Problem> {
        let run = Run::at(&self.folder);
        let config: Config = run.options_of(Program::Baseline)?;
        let split = run.split()?;
        let table = FeatureTable::read(&config.table()?, Some(&split.genres))?;
        Problem::new(table, split, &config)
    }
}

/// Tests and exports what was found; the run's folder appears when it is complete.
pub(super) fn write(
    config: &Config,
    problem: &Problem,
    found: &Found,
    seconds: f64,
    Target { folder, existing }: &Target,
) -> Result<BaselineRun> {
    let kind = found.kind;
    let trust = trust::cross_trust(problem, &found.settings, config.seed)?;
    let Tested { metrics: test, calibration, predictions } =
        evaluation::test(&*found.model, problem, trust.as_ref(), config.seed)?;
    let name = problem.table.path.file_name().unwrap_or_default();
    let mut metrics = BaselineMetrics {
        kind: Kind::Baseline,
        model: kind,
        features: config.features_name(),
        windows: problem.table.windows,
        leaky: problem.is_leaky(),
        hyper_parameters: Some(found.settings),
        search: found.candidates.clone(),
        folds: problem.folds.len(),
        data: TrainingData {
            name: name.to_string_lossy().into_owned(),
            fingerprint: problem.units.fingerprint(),
            tracks: problem.table.songs().tracks.len(),
            ..TrainingData::default()
        },
        train_rows: problem.train.labels.len(),
        skipped_rows: problem.skipped_rows,
        parameters: found.model.parameters(),
        test,
        calibration,
        seconds,
        export: None,
    };
    if let Some(parent) = folder.parent() {
        files::create_dir(parent)?;
    }
    let part = files::folder_beside(folder)?;
    let run = Run::at(part.path());
    let (model, shown) = (run.onnx_path(), Run::at(folder).onnx_path());
    let mut exported = export::export(&*found.model, problem, (&metrics, trust.as_ref()), &model)
        .map_err(|error| name_destination(error, &model, &shown))?;
    exported.path = shown;
    metrics.export = Some(exported);
    let config = Config { model: vec![kind.name().to_owned()], ..config.absolute() };
    run.save_options(&config)
        .and_then(|()| run.save_split(&problem.split))
        .and_then(|()| trust.iter().try_for_each(|trust| run.save_trust(trust)))
        .and_then(|()| run.save_results(&metrics, &predictions))
        .map_err(|error| files::name_folder(error, part.path(), folder))?;
    if *existing == Existing::Replace {
        files::replace_folder(part.path(), folder)?;
    } else {
        fs::rename(part.path(), folder).map_err(Error::io(folder))?;
    }
    Ok(BaselineRun { folder: folder.clone(), metrics })
}

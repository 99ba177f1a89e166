//! Opening, reading and writing a run's folder.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::baseline::BaselineMetrics;
use super::leaderboard::Leaderboard;
use super::names;
use super::options::{Program, RunOptions};
use super::records::{Kind, Prediction, TagPrediction};
use super::results::Metrics;
use super::spec::{SavedModel, Spec};
use super::trust::Trust;
use crate::dataset::Split;
use crate::error::{Error, Result};
use crate::features::Preprocessor;
use crate::files;
use crate::metrics::Epoch;

/// The ONNX file that `path` stands for: itself, or [`names::MODEL`] in a folder, be it a run or
/// a bundle. Whether it is there is seen when it is opened.
#[must_use]
pub(crate) fn model_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(names::MODEL) } else { path.to_owned() }
}

/// A run's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    folder: PathBuf,
}

/// Opening and making.
impl Run {
    /// The run in `folder`, of whatever kind and however far it has come; what is missing is
    /// seen when it is read.
    #[must_use]
    #[doc(hidden)]
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// An existing run of a network, fine-tuned or trained from scratch, whose training is
    /// complete.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the folder is missing, is no run or is not complete;
    /// [`Error::Unsupported`] if it holds a baseline; [`Error::Format`] if its results cannot be
    /// read.
    pub fn open(folder: &Path) -> Result<Self> {
        let run = Self::at(folder);
        let missing = |advice: &str| Err(Error::not_found(folder, advice));
        if !folder.is_dir() {
            return missing("no such run; finetune prints the folder it writes");
        }
        if !run.is_run() {
            return missing("no run: it has no config.json");
        }
        if !run.is_complete() {
            return missing("training is not complete; go on with ‹resume›");
        }
        if run.kind()? == Kind::Baseline {
            let reason = "a baseline's run; this takes fine-tuned models and CNNs, not baselines";
            return Err(Error::unsupported(folder, reason));
        }
        Ok(run)
    }

    /// The run to be resumed, complete or not.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the folder is no run.
    pub(crate) fn resume(folder: &Path) -> Result<Self> {
        let run = Self::at(folder);
        if run.is_run() { Ok(run) } else { Err(Error::not_found(folder, "no run to resume")) }
    }

    /// A new run in `folder`.
    ///
    /// # Errors
    /// [`Error::Occupied`] if there is something already.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        // An empty folder is what a kill left of a run that had not begun.
        let is_free = match fs::read_dir(folder) {
            Ok(mut entries) => entries.next().is_none(),
            Err(_) => !folder.exists(),
        };
        if !is_free {
            let advice =
                "already there; choose another ‹name›, ‹resume› it, or ‹force› to replace it";
            return Err(Error::occupied(folder, advice));
        }
        files::create_dir(folder)?;
        Ok(Self::at(folder))
    }

    /// A new run in `folder`, in place of the run that may be there. That one waits under
    /// another name until [`Run::remove_replaced`] or `give_up`.
    ///
    /// # Errors
    /// [`Error::Occupied`] if there is something that is no run.
    #[doc(hidden)]
    pub fn replace(folder: &Path) -> Result<Self> {
        let run = Self::at(folder);
        if run.is_run() {
            let replaced = Self::replaced(folder);
            // A run that was killed while it was to replace a finished one is worth less.
            if replaced.exists() && !run.is_complete() {
                fs::remove_dir_all(folder).map_err(Error::io(folder))?;
            } else {
                run.remove_replaced()?;
                fs::rename(folder, replaced).map_err(Error::io(folder))?;
            }
        }
        Self::create(folder)
    }

    /// The first of `runs/stem`, `runs/stem-2`, ... that does not exist.
    #[must_use]
    pub(crate) fn free_folder(runs: &Path, stem: &str) -> PathBuf {
        let candidates = (2..).map(|n| runs.join(format!("{stem}-{n}")));
        let mut all = std::iter::once(runs.join(stem)).chain(candidates);
        // The iterator is endless.
        all.find(|folder| !folder.exists()).unwrap_or_default()
    }

    /// Where the run that this one replaces waits until this one is complete.
    fn replaced(folder: &Path) -> PathBuf {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        folder.with_file_name(format!(".{name}.replaced"))
    }

    /// Removes what a failed run has written, unless there is a checkpoint or a search to go
    /// on from, and puts back the run it was to replace.
    ///
    /// The failure itself is what the user must read, so nothing is said if this fails too.
    pub(crate) fn give_up(&self) {
        let replaced = Self::replaced(&self.folder);
        let resumable = [names::CHECKPOINT, names::SEARCH].iter().any(|n| self.path(n).exists());
        if !resumable && fs::remove_dir_all(&self.folder).is_ok() {
            let _ = fs::rename(replaced, &self.folder);
        }
    }

    /// Removes the run that this one has replaced.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be removed.
    #[doc(hidden)]
    pub fn remove_replaced(&self) -> Result<()> {
        let replaced = Self::replaced(&self.folder);
        if replaced.exists() {
            fs::remove_dir_all(&replaced).map_err(Error::io(&replaced))
        } else {
            Ok(())
        }
    }
}

/// What there is.
impl Run {
    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the file of this name (one of [`names`]) stands.
    #[must_use]
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where the exported model stands.
    #[must_use]
    pub fn onnx_path(&self) -> PathBuf {
        self.path(names::MODEL)
    }

    /// Whether the folder is a run's.
    #[must_use]
    pub(crate) fn is_run(&self) -> bool {
        self.path(names::CONFIG).is_file()
    }

    /// Whether training is complete.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.path(names::METRICS).is_file()
    }

    /// The files that belong to the run in `folder`, of whatever program, and none of its
    /// exports.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be listed.
    #[doc(hidden)]
    pub fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
        let io = || Error::io(folder);
        let paths = fs::read_dir(folder).map_err(io())?.map(|entry| Ok(entry?.path()));
        let mut paths = paths.collect::<std::io::Result<Vec<_>>>().map_err(io())?;
        paths.retain(|path| {
            path.ends_with(names::BACKBONE) || !files::has_extension(path, &["onnx"])
        });
        Ok(paths)
    }
}

/// Reading.
impl Run {
    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        files::read_json(&self.path(name))
    }

    /// The contents of a file that not every run has.
    fn read_optional<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        if self.path(name).is_file() { self.read(name).map(Some) } else { Ok(None) }
    }

    /// What kind of model was trained, as the results say.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`] if they cannot be read.
    pub fn kind(&self) -> Result<Kind> {
        #[derive(Deserialize)]
        struct Clues {
            kind: Option<String>,
            cnn: Option<serde::de::IgnoredAny>,
        }
        // Networks do not name their kind: no version of theirs ever had to.
        let Clues { kind, cnn } = self.read(names::METRICS)?;
        Ok(match (kind.as_deref(), cnn) {
            (Some("baseline"), _) => Kind::Baseline,
            (_, Some(_)) => Kind::Cnn,
            (_, None) => Kind::FineTuned,
        })
    }

    /// What all programs' options share; nothing where the run has none.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    #[doc(hidden)]
    pub fn options(&self) -> Result<RunOptions> {
        Ok(self.read_optional(names::CONFIG)?.unwrap_or_default())
    }

    /// The options of `program`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`]; [`Error::Unsupported`] if the run is another program's.
    pub(crate) fn options_of<T: DeserializeOwned>(&self, program: Program) -> Result<T> {
        let options: RunOptions = self.read(names::CONFIG)?;
        let reason = match options.program() {
            Some(found) if found == program => return self.read(names::CONFIG),
            Some(Program::Baseline) => format!("no run of {program}: baseline has made it"),
            Some(other) => format!("no run of {program}; go on with it in {other}"),
            None => format!("no run of {program}"),
        };
        Err(Error::unsupported(&self.folder, reason))
    }

    /// The split.
    ///
    /// # Errors
    /// Those of [`Split::load`].
    pub fn split(&self) -> Result<Split> {
        Split::load(&self.path(names::SPLIT))
    }

    /// The genres in the order of the model's outputs.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Format`] if it has been changed.
    pub fn labels(&self) -> Result<Vec<String>> {
        let path = self.path(names::LABELS);
        let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
        let genres = self.split()?.genres;
        if text.lines().eq(genres.iter().map(String::as_str)) {
            Ok(genres)
        } else {
            let reason = "damaged or changed: a line for each genre of split.json was there";
            Err(Error::format(&path, reason))
        }
    }

    /// How far the model can be trusted; none of several labels a track, of runs of older versions,
    /// and where there were too few tracks to tell.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    pub fn trust(&self) -> Result<Option<Trust>> {
        let path = self.path(names::TRUST);
        if path.is_file() { files::read_json(&path).map(Some) } else { Ok(None) }
    }

    /// Writes it.
    pub(crate) fn save_trust(&self, trust: &Trust) -> Result<()> {
        self.write(names::TRUST, trust)
    }

    /// How the model's input is made.
    ///
    /// # Errors
    /// Those of [`Preprocessor::load`].
    pub fn preprocessor(&self) -> Result<Preprocessor> {
        Preprocessor::load(&self.path(names::PREPROCESSOR))
    }

    /// Results of a network.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    pub fn metrics(&self) -> Result<Metrics> {
        self.read(names::METRICS)
    }

    /// Results of a baseline.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    #[doc(hidden)]
    pub fn baseline_metrics(&self) -> Result<BaselineMetrics> {
        self.read(names::METRICS)
    }

    /// Every test track.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    pub fn predictions(&self) -> Result<Vec<Prediction>> {
        self.read(names::PREDICTIONS)
    }

    /// Every test track, several labels a track.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    pub fn tag_predictions(&self) -> Result<Vec<TagPrediction>> {
        self.read(names::PREDICTIONS)
    }

    /// Epochs; none of models that know none.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    #[doc(hidden)]
    pub fn history(&self) -> Result<Vec<Epoch>> {
        Ok(self.read_optional(names::HISTORY)?.unwrap_or_default())
    }

    /// The search that found the architecture, where there was one.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    pub(crate) fn leaderboard(&self) -> Result<Option<Leaderboard>> {
        self.read_optional(names::SEARCH)
    }

    /// The shape of the network, and digests of its files.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    pub(crate) fn saved_model(&self) -> Result<SavedModel> {
        self.read(names::MODEL_SPEC)
    }

    /// The shape of the network.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    #[doc(hidden)]
    pub fn model_spec(&self) -> Result<Spec> {
        Ok(self.saved_model()?.spec)
    }
}

/// Writing: each file whole or not at all.
impl Run {
    fn write(&self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<()> {
        files::write_json(&self.path(name), &value)
    }

    /// Writes what is known before a network is trained, in one step, for a folder with a part of it
    /// could be neither resumed nor replaced; if that cannot be done, nothing of the run stays.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written.
    pub(crate) fn save_start(
        &self,
        config: &impl Serialize,
        split: &Split,
        preprocessor: &impl Serialize,
        folds: Option<&[Vec<impl Serialize>]>,
    ) -> Result<()> {
        let saved = files::folder_beside(&self.folder).and_then(|whole| {
            let start = Self::at(whole.path());
            start
                .save_split(split)
                .and_then(|()| start.write(names::PREPROCESSOR, preprocessor))
                .and_then(|()| start.save_options(config))
                .and_then(|()| folds.map_or(Ok(()), |folds| start.save_folds(folds)))
                .map_err(|error| files::name_folder(error, whole.path(), &self.folder))?;
            files::replace_folder(whole.path(), &self.folder)
        });
        saved.inspect_err(|_| self.give_up())
    }

    /// Writes the options, which make the folder a run's.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub(crate) fn save_options(&self, config: &impl Serialize) -> Result<()> {
        self.write(names::CONFIG, config)
    }

    /// Writes the split, and its genres as labels.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written.
    pub(crate) fn save_split(&self, split: &Split) -> Result<()> {
        split.save(&self.path(names::SPLIT))?;
        let labels: String = split.genres.iter().map(|genre| format!("{genre}\n")).collect();
        files::write(&self.path(names::LABELS), labels.as_bytes())
    }

    /// Writes the epochs so far.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub(crate) fn save_history(&self, history: &[Epoch]) -> Result<()> {
        self.write(names::HISTORY, history)
    }

    /// Writes the folds: the tracks of each while they are not tested yet, then their
    /// predictions.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub(crate) fn save_folds(&self, folds: &[Vec<impl Serialize>]) -> Result<()> {
        self.write(names::FOLDS, folds)
    }

    /// Writes how far the search for an architecture has come.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub(crate) fn save_leaderboard(&self, board: &Leaderboard) -> Result<()> {
        self.write(names::SEARCH, board)
    }

    /// Writes the shape of the network with the digests of `written`, the files that hold its
    /// weights.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read or written.
    pub(crate) fn save_model_spec(&self, spec: Spec, written: &[&str]) -> Result<()> {
        let digest = |file: &&str| Ok(((*file).to_owned(), files::sha256(&self.path(file))?));
        let sha256 = written.iter().map(digest).collect::<Result<_>>()?;
        self.write(names::MODEL_SPEC, &SavedModel { spec, sha256 })
    }

    /// Writes the results: [`Metrics`] or [`BaselineMetrics`]. Then the run is complete.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written.
    pub(crate) fn save_results(
        &self,
        metrics: &impl Serialize,
        predictions: &impl Serialize,
    ) -> Result<()> {
        self.write(names::PREDICTIONS, predictions)?;
        self.write(names::METRICS, metrics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_can_tell_why_a_run_cannot_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let refused = |words: &str| {
            let error = Run::open(&path).unwrap_err();
            assert!(error.to_string().ends_with(words), "{error}");
            error
        };
        let is_missing = |error: &Error| matches!(error, Error::NotFound { .. });
        assert!(is_missing(&refused("no such run; finetune prints the folder it writes")));
        assert!(is_missing(&Run::resume(&path).unwrap_err()));
        let run = Run::create(&path).unwrap();
        // What a kill has left before the run had begun is in nobody's way.
        Run::create(&path).and_then(|_| Run::replace(&path)).unwrap();
        fs::write(path.join("notes"), "mine").unwrap();
        assert!(matches!(Run::create(&path), Err(Error::Occupied { .. })));
        assert!(matches!(Run::replace(&path), Err(Error::Occupied { .. })), "it is no run");
        assert!(is_missing(&refused("no run: it has no config.json")));
        fs::write(run.path(names::CONFIG), r#"{"features": "30"}"#).unwrap();
        assert!(is_missing(&refused("training is not complete; go on with ‹resume›")));
        fs::write(run.path(names::METRICS), r#"{"kind": "baseline"}"#).unwrap();
        let baseline = refused("not baselines");
        assert!(matches!(baseline, Error::Unsupported { .. }));
        let other = run.options_of::<RunOptions>(Program::Finetune).unwrap_err();
        assert!(matches!(other, Error::Unsupported { .. }));
        assert!(other.to_string().ends_with("no run of finetune: baseline has made it"));
        run.options_of::<RunOptions>(Program::Baseline).unwrap();
    }

    #[test]
    fn a_run_that_is_replaced_comes_back_if_the_new_one_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let old = Run::create(&path).unwrap();
        fs::write(old.path(names::CONFIG), "{}").unwrap();
        let new = Run::replace(&path).unwrap();
        assert!(!new.is_run(), "the new one is empty");
        new.give_up();
        assert!(old.is_run());
        Run::replace(&path).unwrap().remove_replaced().unwrap();
        assert!(!old.is_run());
    }
}

//! Opening, reading and writing a run's folder.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::baseline::BaselineMetrics;
use super::leaderboard::Leaderboard;
use super::names;
use super::options::Options;
use super::records::{Kind, Prediction};
use super::results::Metrics;
use super::spec::{SavedModel, Spec};
use crate::dataset::Split;
use crate::error::{Error, Result};
use crate::features::Preprocessor;
use crate::files;
use crate::metrics::Epoch;

/// The ONNX file that `path` stands for: itself, or [`names::MODEL`] in a folder, be it a run or
/// a bundle. Whether it is there is seen when it is opened.
#[must_use]
pub fn model_file(path: &Path) -> PathBuf {
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
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// An existing run of a network, fine-tuned or trained from scratch, whose training is
    /// complete.
    ///
    /// # Errors
    /// [`Error::Config`] if the folder is missing, is no run, is not complete, or holds a
    /// baseline; [`Error::Format`] if its results cannot be read.
    pub fn open(folder: &Path) -> Result<Self> {
        let run = Self::at(folder);
        let refuse = |what: &str| Err(Error::Config(format!("{}: {what}", folder.display())));
        match (run.is_run(), run.is_complete()) {
            (true, true) if run.kind()? == Kind::Baseline => {
                refuse("a baseline's run; this takes fine-tuned models and CNNs, not baselines")
            }
            (true, true) => Ok(run),
            (true, false) => refuse("training is not complete; go on with --resume"),
            (false, _) if folder.is_dir() => refuse("no run: it has no config.json"),
            (false, _) => refuse("no such run; finetune prints the folder it writes"),
        }
    }

    /// The run to be resumed, complete or not.
    ///
    /// # Errors
    /// [`Error::Config`] if the folder is no run.
    pub fn resume(folder: &Path) -> Result<Self> {
        let run = Self::at(folder);
        if run.is_run() {
            Ok(run)
        } else {
            Err(Error::Config(format!("{}: no run to resume", folder.display())))
        }
    }

    /// A new run in `folder`.
    ///
    /// # Errors
    /// [`Error::Config`] if it is taken, unless `force` says to replace what is there.
    pub fn create(folder: &Path, force: bool) -> Result<Self> {
        let run = Self::at(folder);
        if run.is_run() && force {
            let replaced = Self::replaced(folder);
            // A run that was killed while it was to replace a finished one is worth less.
            if replaced.exists() && !run.is_complete() {
                fs::remove_dir_all(folder).map_err(Error::io(folder))?;
            } else {
                run.forget_replaced()?;
                fs::rename(folder, replaced).map_err(Error::io(folder))?;
            }
        } else if folder.exists() {
            return Err(Error::Config(format!(
                "{}: already there; choose another --name, --resume it, or --force to replace it",
                folder.display()
            )));
        }
        files::create_dir(folder)?;
        Ok(run)
    }

    /// The first of `runs/stem`, `runs/stem-2`, ... that does not exist.
    #[must_use]
    pub fn free_folder(runs: &Path, stem: &str) -> PathBuf {
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
    pub fn give_up(&self) {
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
    pub fn forget_replaced(&self) -> Result<()> {
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
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where the exported model stands.
    #[must_use]
    pub fn onnx_path(&self) -> PathBuf {
        self.path(names::MODEL)
    }

    /// Whether the folder is a run's.
    #[must_use]
    pub fn is_run(&self) -> bool {
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
    pub fn options(&self) -> Result<Options> {
        Ok(self.read_optional(names::CONFIG)?.unwrap_or_default())
    }

    /// The options of `program`, which alone has the option `named`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`]; [`Error::Config`] if they are another program's.
    pub fn options_of<T: DeserializeOwned>(&self, program: &str, named: &str) -> Result<T> {
        let options: Options = self.read(names::CONFIG)?;
        if options.has(named) {
            self.read(names::CONFIG)
        } else {
            Err(Error::Config(format!(
                "{}: no run of {program}; its own program goes on with it",
                self.folder.display()
            )))
        }
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

    /// Epochs; none of models that know none.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    pub fn history(&self) -> Result<Vec<Epoch>> {
        Ok(self.read_optional(names::HISTORY)?.unwrap_or_default())
    }

    /// The search that found the architecture, where there was one.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    pub fn leaderboard(&self) -> Result<Option<Leaderboard>> {
        self.read_optional(names::SEARCH)
    }

    /// The shape of the network, and digests of its files.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    pub fn saved_model(&self) -> Result<SavedModel> {
        self.read(names::MODEL_SPEC)
    }

    /// The shape of the network.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`].
    pub fn model_spec(&self) -> Result<Spec> {
        Ok(self.saved_model()?.spec)
    }
}

/// Writing: each file whole or not at all.
impl Run {
    fn write(&self, name: &str, value: &(impl Serialize + ?Sized)) -> Result<()> {
        files::write_json(&self.path(name), &value)
    }

    /// Writes what is known before a network is trained; if that cannot be done, nothing of the
    /// run stays.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written.
    pub fn save_start(
        &self,
        config: &impl Serialize,
        split: &Split,
        preprocessor: &impl Serialize,
    ) -> Result<()> {
        let saved = self
            .save_split(split)
            .and_then(|()| self.write(names::PREPROCESSOR, preprocessor))
            .and_then(|()| self.save_options(config));
        saved.inspect_err(|_| self.give_up())
    }

    /// Writes the options, which make the folder a run's.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn save_options(&self, config: &impl Serialize) -> Result<()> {
        self.write(names::CONFIG, config)
    }

    /// Writes the split, and its genres as labels.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written.
    pub fn save_split(&self, split: &Split) -> Result<()> {
        split.save(&self.path(names::SPLIT))?;
        let labels: String = split.genres.iter().map(|genre| format!("{genre}\n")).collect();
        files::write(&self.path(names::LABELS), labels.as_bytes())
    }

    /// Writes the epochs so far.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn save_history(&self, history: &[Epoch]) -> Result<()> {
        self.write(names::HISTORY, history)
    }

    /// Writes the folds: the tracks of each while they are not tested yet, then their
    /// predictions.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn save_folds(&self, folds: &[Vec<impl Serialize>]) -> Result<()> {
        self.write(names::FOLDS, folds)
    }

    /// Writes how far the search for an architecture has come.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written.
    pub fn save_leaderboard(&self, board: &Leaderboard) -> Result<()> {
        self.write(names::SEARCH, board)
    }

    /// Writes the shape of the network with the digests of `written`, the files that hold its
    /// weights.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read or written.
    pub fn save_model_spec(&self, spec: Spec, written: &[&str]) -> Result<()> {
        let digest = |file: &&str| Ok(((*file).to_owned(), files::sha256(&self.path(file))?));
        let sha256 = written.iter().map(digest).collect::<Result<_>>()?;
        self.write(names::MODEL_SPEC, &SavedModel { spec, sha256 })
    }

    /// Writes the results: [`Metrics`] or [`BaselineMetrics`]. Then the run is complete.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written.
    pub fn save_results(&self, metrics: &impl Serialize, predictions: &[Prediction]) -> Result<()> {
        self.write(names::PREDICTIONS, predictions)?;
        self.write(names::METRICS, metrics)
    }
}

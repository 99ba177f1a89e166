//! The one error type of the library.
//!
//! Every variant that a file can cause names the file, the value at fault and what to do about
//! it, because these texts are what a user reads. A text is one line and complete: it names its
//! cause, which [`std::error::Error::source`] gives as a value besides.
//!
//! An option that a text speaks of stands between angle quotes: `‹max-drop› 200: give 0 to 100`.
//! What options look like is the caller's affair; [`Error::naming_options`] writes them so. The
//! quotes are such that no other library's text and hardly a file's name has them.

use std::error::Error as StdError;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// The result of anything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A cause: another library's error, or a text.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// What can go wrong, in the words shown to the user.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write a path.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A recording that cannot be used.
    #[error("{}: {reason}", .path.display())]
    Audio {
        /// The recording.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        reason: Cause,
    },
    /// A JSON, text, table or tensor file whose contents are not what they should be.
    #[error("{}: {reason}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        reason: Cause,
    },
    /// An ONNX file that is damaged, unsafe or not of the expected form.
    #[error("{}: {reason}", .path.display())]
    Onnx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        reason: Cause,
    },
    /// An ONNX operator that the importer does not turn into burn layers.
    #[error(
        "{}: operator {operator} (node \"{node}\") cannot be imported into burn: {reason}; \
         the file still works as a frozen backbone (leave out ‹unfreeze›)",
        .path.display()
    )]
    UnsupportedOperator {
        /// The ONNX file.
        path: PathBuf,
        /// The operator's ONNX name.
        operator: String,
        /// The node's name, or its first output's where it has none.
        node: String,
        /// Why.
        reason: String,
    },
    /// A whole file, run or model that cannot do what is asked of it.
    #[error("{}: {reason}", .path.display())]
    Unsupported {
        /// The file or folder.
        path: PathBuf,
        /// What it is, and what would do.
        reason: String,
    },
    /// A file, folder or run that is named and not there, or not complete.
    #[error("{}: {reason}", .path.display())]
    NotFound {
        /// What was looked for.
        path: PathBuf,
        /// What to do.
        reason: String,
    },
    /// Something that is there already, or in use, and would be replaced.
    #[error("{}: {reason}", .path.display())]
    Occupied {
        /// The file or folder.
        path: PathBuf,
        /// What is there, and what to do.
        reason: String,
    },
    /// An option whose value is out of its range.
    #[error("‹{option}› {value}: {expected}")]
    OutOfRange {
        /// The option, in kebab case.
        option: &'static str,
        /// What was given.
        value: String,
        /// What to give.
        expected: String,
    },
    /// A name that is none of those known.
    #[error("unknown {what} \"{name}\"; choose {choices}")]
    Unknown {
        /// What is named.
        what: &'static str,
        /// What was given.
        name: String,
        /// The names there are.
        choices: String,
    },
    /// Options or arguments that cannot be worked with, or contradict each other.
    #[error("{0}")]
    InvalidInput(String),
    /// Too few tracks, songs or folds of a genre or in all.
    #[error("{0}")]
    TooFew(String),
    /// Collection, split, folds, labels or model that do not belong together.
    #[error("{0}")]
    Mismatch(String),
    /// A training whose loss stopped being a finite number.
    #[error("the loss became {loss} at step {step}; use a smaller {options} than {rate}")]
    Diverged {
        /// The step, counted from the first of this training, which is 0.
        step: usize,
        /// The loss: infinite or not a number.
        loss: f64,
        /// The options that say how fast is learned, each in angle quotes.
        options: &'static str,
        /// The learning rate, of several the last one's.
        rate: f64,
    },
    /// A search all of whose trainings diverged.
    #[error("every architecture diverged; use a smaller ‹lr› or ‹weight-decay›")]
    AllDiverged,
    /// A classical model that cannot be fitted to its rows.
    #[error("the model cannot be fitted: {0}")]
    Fit(#[source] Cause),
    /// The test part of a split that has been looked at already.
    #[error(
        "the test part of this split was already used for the search {run}; a second look would \
         make the figure too good; use another ‹seed› or ‹split›, or ‹again› to look once more \
         and have it counted"
    )]
    TestPartUsed {
        /// The run of that search.
        run: String,
    },
    /// A picture, page or document that cannot be drawn.
    #[error("{what}: {reason}")]
    Drawing {
        /// What was to be drawn.
        what: String,
        /// What is wrong.
        #[source]
        reason: Cause,
    },
    /// An inference runtime that is missing or failed.
    #[error("{runtime}: {reason}")]
    Runtime {
        /// `ort`, `tract` or `burn`.
        runtime: &'static str,
        /// What it said, and what to do.
        #[source]
        reason: Cause,
    },
    /// Somebody asked to stop (Ctrl-C).
    #[error("interrupted; {0}")]
    Interrupted(String),
}

impl Error {
    /// An [`Error::Io`] for `path`; made for `map_err(Error::io(path))`.
    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, source }
    }

    /// An [`Error::Format`] for `path`.
    pub(crate) fn format(path: impl AsRef<Path>, reason: impl Into<Cause>) -> Self {
        Self::Format { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// An [`Error::Audio`] for `path`.
    pub(crate) fn audio(path: impl AsRef<Path>, reason: impl Into<Cause>) -> Self {
        Self::Audio { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// An [`Error::Onnx`] for `path`.
    pub(crate) fn onnx(path: impl AsRef<Path>, reason: impl Into<Cause>) -> Self {
        Self::Onnx { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// What went wrong, without `path`, for a message that names the file itself.
    pub(crate) fn reason_at(&self, path: &Path) -> String {
        let text = self.to_string();
        text.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&text).to_owned()
    }

    /// An [`Error::Runtime`] of `runtime`.
    pub(crate) fn runtime(runtime: &'static str, reason: impl Into<Cause>) -> Self {
        Self::Runtime { runtime, reason: reason.into() }
    }

    /// An [`Error::Unsupported`] for `path`.
    pub(crate) fn unsupported(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Unsupported { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// An [`Error::NotFound`] for `path`.
    pub(crate) fn not_found(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::NotFound { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// An [`Error::Occupied`] for `path`.
    pub(crate) fn occupied(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Occupied { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    /// An [`Error::OutOfRange`] of `option`.
    pub(crate) fn out_of_range(
        option: &'static str,
        value: impl Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::OutOfRange { option, value: value.to_string(), expected: expected.into() }
    }

    /// An [`Error::Drawing`] of `what`.
    pub(crate) fn drawing(what: impl Into<String>, reason: impl Into<Cause>) -> Self {
        Self::Drawing { what: what.into(), reason: reason.into() }
    }

    /// Whether the error is about an input file that is damaged or cannot be read: a job on
    /// many files may leave such a one out, and must say so.
    pub(crate) fn is_about_input_file(&self) -> bool {
        matches!(self, Self::Audio { .. } | Self::Io { .. } | Self::Format { .. })
    }

    /// The text with every option as `name` writes it: with `|option| format!("--{option}")`
    /// as a program's flags.
    pub fn naming_options(&self, name: impl Fn(&str) -> String) -> String {
        name_options(&self.to_string(), name)
    }
}

/// `text` with every `‹option›` in it replaced by what `name` makes of it.
pub(crate) fn name_options(text: &str, name: impl Fn(&str) -> String) -> String {
    let is_option = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let mut named = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('‹') {
        named += before;
        match after.split_once('›') {
            Some((word, after)) if is_option(word) => {
                named += &name(word);
                rest = after;
            }
            _ => {
                named.push('‹');
                rest = after;
            }
        }
    }
    named + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_names_its_flags_and_nothing_else_changes() {
        let error = Error::out_of_range("max-drop", 200, "give 0 to 100 points");
        let flag = |option: &str| format!("--{option}");
        assert_eq!(error.to_string(), "‹max-drop› 200: give 0 to 100 points");
        assert_eq!(error.naming_options(flag), "--max-drop 200: give 0 to 100 points");
        for text in
            ["missing field `seed`", "‹Song›.mp3", "one ‹ alone", "‹›", "‹two words› ‹Ünder›"]
        {
            assert_eq!(name_options(text, flag), text);
        }
        assert_eq!(name_options("a ` b ‹seed›", flag), "a ` b --seed");
    }

    #[test]
    fn a_cause_is_kept_as_a_value() {
        let cause = serde_json::from_str::<u8>("x").unwrap_err();
        let error = Error::format("a.json", cause);
        let source = StdError::source(&error).unwrap();
        assert!(source.is::<serde_json::Error>() && error.to_string().contains("a.json: expected"));
    }
}

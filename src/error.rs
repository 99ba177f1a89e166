//! The one error type of the library.
//!
//! Every variant that a file can cause names the file, the value at fault and
//! what to do about it, because these texts are what a user reads.

use std::io;
use std::path::{Path, PathBuf};

/// The result of anything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

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
        reason: String,
    },
    /// A JSON, text or tensor file whose contents are not what they should be.
    #[error("{}: {reason}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An ONNX file that is damaged, unsafe or not of the expected form.
    #[error("{}: {reason}", .path.display())]
    Onnx {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An ONNX operator that the importer does not turn into burn layers.
    #[error(
        "{}: operator {operator} (node \"{node}\") cannot be imported into burn: {reason}; \
         the file still works as a frozen backbone (leave out --unfreeze)",
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
    /// A collection or split that cannot be trained on.
    #[error("{0}")]
    Data(String),
    /// An option or configuration value out of range.
    #[error("{0}")]
    Config(String),
    /// An inference runtime that is missing or failed.
    #[error("{runtime}: {reason}")]
    Runtime {
        /// `ort`, `tract` or `burn`.
        runtime: &'static str,
        /// What it said, and what to do.
        reason: String,
    },
    /// The user asked the program to stop (Ctrl-C).
    #[error("interrupted; {0}")]
    Interrupted(String),
}

impl Error {
    /// An [`Error::Io`] for `path`; made for `map_err(Error::io(path))`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, source }
    }

    /// An [`Error::Format`] for `path`.
    pub fn format(path: impl AsRef<Path>, reason: impl ToString) -> Self {
        Self::Format { path: path.as_ref().to_path_buf(), reason: reason.to_string() }
    }

    /// An [`Error::Audio`] for `path`.
    pub fn audio(path: impl AsRef<Path>, reason: impl ToString) -> Self {
        Self::Audio { path: path.as_ref().to_path_buf(), reason: reason.to_string() }
    }

    /// An [`Error::Onnx`] for `path`.
    pub fn onnx(path: impl AsRef<Path>, reason: impl ToString) -> Self {
        Self::Onnx { path: path.as_ref().to_path_buf(), reason: reason.to_string() }
    }

    /// Whether it is about one input file, which is missing or damaged: what reads many of them
    /// leaves this one out, says so and goes on.
    pub fn is_about_input_file(&self) -> bool {
        matches!(self, Self::Audio { .. } | Self::Io { .. } | Self::Format { .. })
    }

    /// What went wrong, without `path`, for a message that names the file itself.
    pub fn reason_at(&self, path: &Path) -> String {
        let text = self.to_string();
        text.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&text).to_owned()
    }

    /// An [`Error::Runtime`] of `runtime`.
    pub fn runtime(runtime: &'static str, reason: impl ToString) -> Self {
        Self::Runtime { runtime, reason: reason.to_string() }
    }
}

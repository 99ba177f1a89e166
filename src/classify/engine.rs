//! A model with its sessions and threads: pieces of recordings in, probabilities out.

use std::path::Path;

use ndarray::Array3;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::cutter::Piece;
use super::model::{self, Model, Scored};
use super::options::Options;
use super::ready_made::ReadyMade;
use super::sessions::Sessions;
use crate::error::{Error, Result};
use crate::runtime::Runtime;

/// What the clones of a classifier share.
pub(super) struct Engine {
    pub model: Model,
    pub threads: usize,
    pub strict: bool,
    /// What tells its own classes, where nobody has trained here.
    pub ready_made: Option<ReadyMade>,
    sessions: Sessions,
    /// Where the pieces of one recording run side by side; `None` with one thread.
    pool: Option<ThreadPool>,
}

impl Engine {
    /// Opens the model at `path`: a file, the folder of a run or a bundle, or the name of a
    /// ready-made one.
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        if let Some(ready_made) = ReadyMade::meant_by(path) {
            return Self::ready_made(ready_made, options);
        }
        // A name, and no path.
        if path.components().count() == 1 && path.extension().is_none() && !path.exists() {
            let names = ReadyMade::ALL.map(ReadyMade::name).join(", ");
            let reason = format!("no such file or folder; pretrained networks are called {names}");
            return Err(Error::not_found(path, reason));
        }
        Self::of(&model::find(path)?, None, options)
    }

    /// Opens a pretrained network as it is.
    pub fn ready_made(ready_made: ReadyMade, options: &Options) -> Result<Self> {
        Self::of(&ready_made.file()?, Some(ready_made), options)
    }

    fn of(path: &Path, ready_made: Option<ReadyMade>, options: &Options) -> Result<Self> {
        let threads = options.threads;
        if threads == 0 {
            return Err(Error::out_of_range("threads", 0, "must be at least 1"));
        }
        if options.runtime == Runtime::Burn {
            let reason = "burn runs no ONNX files; choose ort or tract";
            return Err(Error::InvalidInput(reason.to_owned()));
        }
        let sessions = Sessions::open(path, ready_made, options)?;
        let model = sessions.with(|session| Model::new(path, &*session, options))?;
        let pool = (threads > 1)
            .then(|| ThreadPoolBuilder::new().num_threads(threads).build())
            .transpose()
            .map_err(|e| Error::out_of_range("threads", threads, e.to_string()))?;
        Ok(Self { model, threads, strict: options.strict, ready_made, sessions, pool })
    }

    /// What the file's metadata say under `key`.
    pub fn metadata(&self, key: &str) -> Option<String> {
        self.sessions.with(|session| Ok(session.metadata(key))).ok().flatten()
    }

    /// What the model says of a piece's patches.
    pub fn score(&self, piece: &Piece) -> Result<Scored> {
        self.sessions.with(|session| self.model.score(session, piece))
    }

    /// What the model says of a picture's patches `[patches, columns, features]`.
    pub fn look(&self, patches: &Array3<f32>) -> Result<Scored> {
        self.sessions.with(|session| self.model.score_picture(session, patches))
    }

    /// What the model says of every piece's patches; more than one piece is run at the same time
    /// if `width` is above 1.
    pub fn score_all(&self, pieces: &[Piece], width: usize) -> Result<Vec<Scored>> {
        match &self.pool {
            Some(pool) if width > 1 && pieces.len() > 1 => {
                pool.install(|| pieces.par_iter().map(|piece| self.score(piece)).collect())
            }
            _ => pieces.iter().map(|piece| self.score(piece)).collect(),
        }
    }
}

//! The sessions that threads share.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::options::Options;
use super::ready_made::ReadyMade;
use crate::error::{Error, Result};
use crate::runtime::{self, Device, Runtime, Session};

/// Sessions of one model: lent to one thread at a time, and opened when all are lent.
pub(super) struct Sessions {
    model: Opener,
    limit: usize,
    state: Mutex<State>,
    freed: Condvar,
}

/// How a session is opened.
struct Opener {
    runtime: Runtime,
    path: PathBuf,
    ready_made: Option<ReadyMade>,
    options: runtime::Options,
}

impl Opener {
    fn open(&self) -> Result<Box<dyn Session>> {
        let session = runtime::open(self.runtime, &self.path, &self.options)?;
        match self.ready_made {
            Some(ready_made) => ready_made.telling(&self.path, session),
            None => Ok(session),
        }
    }
}

#[derive(Default)]
struct State {
    idle: Vec<Box<dyn Session>>,
    open: usize,
}

impl Sessions {
    /// Opens the first session of the model at `path`, which is perhaps a ready-made one's.
    ///
    /// A small model runs on one thread at a time, in as many sessions as there are threads:
    /// that is faster than sharing each run out, and its answers do not depend on how many
    /// there are.
    pub fn open(path: &Path, ready_made: Option<ReadyMade>, options: &Options) -> Result<Self> {
        // In this order, for the last one reads the file.
        let alone =
            options.threads == 1 || options.device == Device::Cuda || runtime::is_shared(path)?;
        let limit = if alone { 1 } else { options.threads };
        let threads = options.threads / limit;
        let model = Opener {
            runtime: options.runtime,
            path: path.to_owned(),
            ready_made,
            options: runtime::Options { device: options.device, threads },
        };
        let first = model.open()?;
        Ok(Self {
            model,
            limit,
            state: Mutex::new(State { idle: vec![first], open: 1 }),
            freed: Condvar::new(),
        })
    }

    /// Calls `work` with a session that no other thread has meanwhile.
    pub fn with<T>(&self, work: impl FnOnce(&mut dyn Session) -> Result<T>) -> Result<T> {
        let mut lease = Lease { sessions: self, session: Some(self.take()?) };
        match &mut lease.session {
            Some(session) => work(session.as_mut()),
            None => Err(Error::runtime(self.model.runtime.name(), "no session")),
        }
    }

    fn take(&self) -> Result<Box<dyn Session>> {
        let mut state = self.state();
        loop {
            if let Some(session) = state.idle.pop() {
                return Ok(session);
            }
            if state.open < self.limit {
                // Counted first, opened without the lock: others need not wait for it.
                state.open += 1;
                drop(state);
                let opened = self.model.open();
                if opened.is_err() {
                    self.state().open -= 1;
                }
                return opened;
            }
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session in use, given back even if its user panics.
struct Lease<'a> {
    sessions: &'a Sessions,
    session: Option<Box<dyn Session>>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.sessions.state().idle.extend(self.session.take());
        self.sessions.freed.notify_one();
    }
}

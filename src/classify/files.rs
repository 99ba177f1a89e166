//! Many files on all threads.

use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use super::{Classification, Classifier};
use crate::error::{Error, Result};

/// Classifies `paths` and tells `done` of each as it is ready: see
/// [`Classifier::classify_files`].
///
/// A thread takes the next file when it is free, so that results come nearly in order; only
/// where there are fewer files than threads are the pieces of one file shared out.
pub(super) fn classify(
    classifier: &Classifier,
    paths: &[PathBuf],
    mut done: impl FnMut(usize, Result<Classification>) -> Result<()>,
) -> Result<()> {
    let threads = classifier.shared.threads;
    let workers = threads.min(paths.len());
    let width = threads.checked_div(workers).unwrap_or(1);
    let (next, stop) = (&AtomicUsize::new(0), &AtomicBool::new(false));
    thread::scope(|scope| {
        let (sender, results) = mpsc::sync_channel(threads);
        for _ in 0..workers {
            let sender = sender.clone();
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(path) = paths.get(place) else { break };
                    if sender.send((place, guarded(classifier, path, width))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let told = results.iter().try_for_each(|(place, result)| done(place, result));
        stop.store(told.is_err(), Ordering::Relaxed);
        told
        // The channel's end is dropped here, which frees a thread that waits to be heard.
    })
}

/// Classifies one file; what panics over it, a decoder perhaps, must not end the others.
fn guarded(classifier: &Classifier, path: &Path, width: usize) -> Result<Classification> {
    let work = AssertUnwindSafe(|| classifier.classify_wide(path, width));
    panic::catch_unwind(work).unwrap_or_else(|_| {
        let reason = "the program panicked over it; if others go well, convert or remove it";
        Err(Error::audio(path, reason))
    })
}

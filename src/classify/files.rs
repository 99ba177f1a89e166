//! Many files on all threads.

use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::error::{Error, Result};

/// Calls `work` with every file of `paths` on `threads` threads, and `done` with its result as
/// it is ready. `work` is also told how many threads it may use itself.
///
/// A thread takes the next file when it is free, so that results come nearly in order; only
/// where there are fewer files than threads may one file use several.
pub(super) fn on_threads<T: Send>(
    threads: usize,
    paths: &[PathBuf],
    work: impl Fn(&Path, usize) -> Result<T> + Sync,
    mut done: impl FnMut(usize, Result<T>) -> Result<()>,
) -> Result<()> {
    let workers = threads.min(paths.len());
    let width = threads.checked_div(workers).unwrap_or(1);
    let (next, stop, work) = (&AtomicUsize::new(0), &AtomicBool::new(false), &work);
    thread::scope(|scope| {
        let (sender, results) = mpsc::sync_channel(threads);
        for _ in 0..workers {
            let sender = sender.clone();
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(path) = paths.get(place) else { break };
                    if sender.send((place, guarded(path, || work(path, width)))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let finished = results.iter().try_for_each(|(place, result)| done(place, result));
        stop.store(finished.is_err(), Ordering::Relaxed);
        finished
        // `results` is dropped here: a thread that waits to send then stops waiting.
    })
}

/// Runs the work on one file; what panics over it, a decoder perhaps, must not end the others.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let reason = "the program panicked over it; if others go well, convert or remove it";
        Err(Error::audio(path, reason))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_over_one_file_does_not_end_the_others() {
        let paths = ["a", "bad", "c"].map(PathBuf::from);
        let work = |path: &Path, _: usize| {
            assert!(path != Path::new("bad"), "a broken decoder");
            Ok(path.to_owned())
        };
        let mut found = [None, None, None];
        on_threads(2, &paths, work, |place, result| {
            found[place] = Some(result.map_err(|error| error.to_string()));
            Ok(())
        })
        .unwrap();
        assert_eq!((&found[0], &found[2]), (&Some(Ok("a".into())), &Some(Ok("c".into()))));
        let text = found[1].clone().unwrap().unwrap_err();
        assert!(text.starts_with("bad: the program panicked"), "{text}");
    }

    #[test]
    fn one_file_alone_may_use_all_threads() {
        for (count, wanted) in [(1, 4), (2, 2), (9, 1)] {
            let paths = vec![PathBuf::from("a"); count];
            let width = |_: &Path, width: usize| Ok(width);
            on_threads(4, &paths, width, |_, width| {
                assert_eq!(width.unwrap(), wanted);
                Ok(())
            })
            .unwrap();
        }
    }
}

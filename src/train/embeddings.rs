//! Embeddings of every track, computed once and kept on disk.
//!
//! A frozen backbone answers the same thing for the same patch for ever, so its
//! answers are cached under the digest of the audio, the backbone and the front
//! end. A run that is killed resumes where it was, since each entry is written
//! whole; an entry that fails its checksum is computed again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::dataset::{Dataset, Skipped, Track};
use crate::error::{Error, Result};
use crate::features::{Patches, Reader};
use crate::files;
use crate::interrupt;
use crate::model::{Backbone, Feed, FeedProbe, in_first};
use crate::onnx;
use crate::progress;
use crate::runtime::{self, Pool, Runtime, Session};

/// Changed whenever decoding, resampling or the file's form changes.
const CACHE_VERSION: u32 = 3;
/// The same for pictures: raised when they are cut in another way.
const PICTURES_VERSION: &str = "\npictures 2";

/// The embeddings of one track's patches, `[patches, features]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// Row-major values.
    pub data: Vec<f32>,
    /// Values in a row.
    pub features: usize,
    /// Whether the track was shorter than one patch and padded with silence, or a picture narrower
    /// than one and stretched.
    pub padded: bool,
}

impl Embeddings {
    /// One row a patch.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> + Clone {
        self.data.chunks_exact(self.features)
    }
}

/// What of a backbone is wanted, and where; nothing that is not said here need be known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// The output.
    pub output: Option<&'a str>,
    /// How several values of a feature become one.
    pub pool: Option<Pool>,
    /// The runtime; else ONNX Runtime if it is there, and where one cannot run the file the
    /// other.
    pub runtime: Option<Runtime>,
    /// Whether a recording of which part is missing is left out.
    pub strict: bool,
}

/// What [`embed`] found.
#[derive(Debug)]
pub struct Embedded {
    /// How the backbone's file was fed.
    pub feed: Feed,
    /// One entry a track, in the dataset's order; none for the skipped.
    pub tracks: Vec<Option<Embeddings>>,
    /// Files that could not be decoded.
    pub skipped: Vec<Skipped>,
    /// Tracks shorter than one patch, padded or stretched to one.
    pub padded: usize,
}

/// The embeddings of all tracks of `dataset`, in parallel over files.
///
/// # Errors
/// Errors of the backbone or the cache folder; a file that cannot be decoded is no
/// error but an entry in [`Embedded::skipped`]. [`Error::Interrupted`] on Ctrl-C.
pub fn embed(
    dataset: &Dataset,
    backbone: &Backbone,
    wanted: Wanted,
    cache: &Path,
) -> Result<Embedded> {
    let embedder = Embedder::new(backbone, wanted, cache)?;
    let bar = progress::begin(dataset.tracks.len(), "embedding", "tracks");
    let one = |track: &Track| {
        interrupt::check("the embeddings computed so far are kept; run it again to go on")?;
        let result = embedder.track(track);
        bar.advance(1);
        match result {
            Ok(found) => Ok(Ok(found)),
            Err(error) if error.is_about_input_file() => {
                let reason = error.reason_at(&track.path);
                Ok(Err(Skipped { path: track.path.clone(), reason }))
            }
            Err(error) => Err(error),
        }
    };
    let results: Vec<_> = dataset.tracks.par_iter().map(one).collect::<Result<_>>()?;
    drop(bar);
    embedder.reader.recognized().report();
    let feed = embedder.feed;
    let mut embedded = Embedded { feed, tracks: vec![], skipped: vec![], padded: 0 };
    for result in results {
        match result {
            Ok(found) => {
                embedded.padded += usize::from(found.padded);
                embedded.tracks.push(Some(found));
            }
            Err(skipped) => {
                embedded.tracks.push(None);
                embedded.skipped.push(skipped);
            }
        }
    }
    Ok(embedded)
}

/// A backbone ready to embed tracks from several threads.
struct Embedder {
    reader: Reader,
    feed: Feed,
    sessions: Vec<Mutex<Box<dyn Session>>>,
    /// Whether batches must have one of few sizes (tract plans anew for each).
    few_sizes: bool,
    folder: PathBuf,
    warned: AtomicBool,
}

impl Embedder {
    /// Tries the file before anything else is done with it.
    fn new(backbone: &Backbone, wanted: Wanted, cache: &Path) -> Result<Self> {
        let path = &backbone.path;
        let patch = backbone.front_end.patch_kind();
        let model = onnx::read(path)?;
        let probe = FeedProbe::of(path, &model, patch, wanted.output, wanted.pool)?;
        let outside = onnx::external_files(&model, path)?;
        // Each session holds its own copy of the weights.
        drop(model);
        let shared = runtime::is_shared(path)?;
        let mut runtimes = vec![wanted.runtime.unwrap_or_else(runtime::preferred)];
        if wanted.runtime.is_none() {
            let others = [Runtime::Ort, Runtime::Tract].into_iter();
            runtimes.extend(others.filter(|other| *other != runtimes[0]).collect::<Vec<_>>());
        }
        let (runtime, sessions, feed) = in_first(&runtimes, |runtime| {
            let mut sessions = open(runtime, path, shared)?;
            let feed = probe.run(&mut *sessions[0])?;
            Ok((runtime, sessions, feed))
        })?;
        let folder = cache.join(key(backbone, &outside, &feed)?);
        // Without it every entry fails to be written, which is said and no more.
        let _ = files::create_dir(&folder);
        Ok(Self {
            reader: backbone.front_end.reader()?.first(wanted.strict),
            feed,
            few_sizes: runtime == Runtime::Tract,
            sessions: sessions.into_iter().map(Mutex::new).collect(),
            folder,
            warned: AtomicBool::new(false),
        })
    }

    fn track(&self, track: &Track) -> Result<Embeddings> {
        let entry = self.folder.join(&track.sha256);
        if let Some(found) = read_entry(&entry) {
            return Ok(found);
        }
        let Patches { values, padded, noted } = self.reader.patches(&track.path)?;
        let embed =
            |session: &mut dyn Session| self.feed.embed(session, values.view(), self.few_sizes);
        let rows = embed(&mut **self.session()).map_err(|error| match error {
            Error::Runtime { runtime, reason } => Error::Runtime {
                runtime,
                reason: format!("{}: {reason}", track.path.display()).into(),
            },
            other => other,
        })?;
        let features = rows.ncols();
        let embeddings = Embeddings { data: rows.into_iter().collect(), features, padded };
        // What is odd about a recording is said every time, and so it is read every time.
        if noted {
            return Ok(embeddings);
        }
        // A full disk must not stop a run that can do without its cache.
        if let Err(error) = files::write(&entry, &entry_bytes(&embeddings))
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("embeddings are not cached: {error}");
        }
        Ok(embeddings)
    }

    /// A session that no other thread is using, if there are as many as threads.
    fn session(&self) -> MutexGuard<'_, Box<dyn Session>> {
        let thread = rayon::current_thread_index().unwrap_or(0);
        let session = &self.sessions[thread % self.sessions.len()];
        session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As many sessions of the file at `path` as there are threads, or one that they share.
fn open(runtime: Runtime, path: &Path, shared: bool) -> Result<Vec<Box<dyn Session>>> {
    let cores = rayon::current_num_threads();
    let count = if shared { 1 } else { cores };
    let options = runtime::Options { threads: cores / count, ..Default::default() };
    (0..count).map(|_| runtime::open(runtime, path, &options)).collect()
}

/// The cache folder's name for a backbone, with weights in files besides it, its front end and
/// the way it is fed.
fn key(backbone: &Backbone, outside: &BTreeSet<PathBuf>, feed: &Feed) -> Result<String> {
    let wrong = |e: serde_json::Error| Error::format(&backbone.path, format!("its front end: {e}"));
    let front_end = serde_json::to_string(&backbone.front_end).map_err(wrong)?;
    let Feed { input, output, pool, .. } = feed;
    let mut text = format!("{CACHE_VERSION}\n{}\n{output}\n{front_end}", backbone.source.sha256);
    // What was always done so is not named, so that older entries stay good.
    if pool.is_some() || input.is_turned() || feed.is_single() {
        text += &format!("\n{pool:?} {} {:?}", feed.axis, input.order);
    }
    for file in outside {
        text += &format!("\n{}", files::sha256(file)?);
    }
    if backbone.front_end.is_of_pictures() {
        text += PICTURES_VERSION;
    }
    let digest = files::hex(&Sha256::digest(text.as_bytes()));
    Ok(format!("{}-{}", backbone.source.name, &digest[..16]))
}

// An entry: SHA-256 of the rest, features as a little-endian u64, one byte that is 1 for
// a padded track, then the values. scripts/compare-scikit-learn.py reads them, too.

fn entry_bytes(embeddings: &Embeddings) -> Vec<u8> {
    let mut body = (embeddings.features as u64).to_le_bytes().to_vec();
    body.push(embeddings.padded.into());
    body.extend(embeddings.data.iter().flat_map(|value| value.to_le_bytes()));
    let mut bytes = Sha256::digest(&body).to_vec();
    bytes.append(&mut body);
    bytes
}

fn read_entry(path: &Path) -> Option<Embeddings> {
    let bytes = fs::read(path).ok()?;
    let (digest, body) = bytes.split_at_checked(32)?;
    if Sha256::digest(body).as_slice() != digest {
        return None;
    }
    let (features, values) = body.split_first_chunk::<8>()?;
    let features = usize::try_from(u64::from_le_bytes(*features)).ok()?;
    let (padded, values) = values.split_first()?;
    let data: Vec<f32> = values.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    (features > 0 && !data.is_empty() && data.len().is_multiple_of(features))
        .then_some(Embeddings { data, features, padded: *padded == 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_entry_is_no_entry() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("entry");
        assert_eq!(read_entry(&path), None);
        let embeddings = Embeddings { data: vec![1.0, -2.0, 3.5, 0.0], features: 2, padded: true };
        let whole = entry_bytes(&embeddings);
        fs::write(&path, &whole).unwrap();
        assert_eq!(read_entry(&path), Some(embeddings));
        for damage in [0, 31, 32, 40, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[damage] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(read_entry(&path), None, "byte {damage}");
            fs::write(&path, &whole[..damage]).unwrap();
            assert_eq!(read_entry(&path), None, "cut at {damage}");
        }
    }
}

//! The collection that a command works on when none is named.

use std::path::Path;

use super::collection::Dataset;
use super::demo;
use super::task::Task;
use crate::audio::EXTENSIONS;
use crate::error::Result;

impl Dataset {
    /// The collection to work on: `data` if given, else `data/gtzan` in the working
    /// directory if it is there, else the synthetic demo set in `data/demo`, which
    /// is made first if need be.
    ///
    /// # Errors
    /// Those of [`Dataset::scan`]; [`Error::Io`](crate::Error::Io) if the demo set cannot be
    /// written.
    pub fn resolve(data: Option<&Path>) -> Result<Self> {
        Self::resolve_for(data, None)
    }

    /// As [`Dataset::resolve`], for a task; see [`Dataset::scan_for`].
    ///
    /// # Errors
    /// Those of [`Dataset::resolve`] and [`Dataset::scan_for`].
    pub fn resolve_for(data: Option<&Path>, task: Option<Task>) -> Result<Self> {
        match data {
            Some(root) => Self::scan_for(root, EXTENSIONS, task),
            None => Self::resolve_in(Path::new("data"), task),
        }
    }

    fn resolve_in(folder: &Path, task: Option<Task>) -> Result<Self> {
        let (gtzan, demo) = (folder.join("gtzan"), folder.join("demo"));
        if gtzan.exists() {
            return Self::scan_for(&gtzan, EXTENSIONS, task);
        }
        if !demo.exists() {
            let made = demo::synthesize(&demo, demo::SEED);
            // Another process may have put the same set there in the meantime: that will do.
            if made.is_err() && !demo.exists() {
                made?;
            }
        }
        Self::scan_for(&demo, EXTENSIONS, task)
    }
}

#[cfg(test)]
mod tests {
    use super::super::collection::Origin;
    use super::*;

    #[test]
    fn without_a_collection_the_demo_set_is_made_once_and_gtzan_goes_first() {
        let data = tempfile::tempdir().unwrap();
        let demo = Dataset::resolve_in(data.path(), None).unwrap();
        assert_eq!((demo.origin, demo.genres.len(), demo.tracks.len()), (Origin::Demo, 10, 120));
        demo.check().unwrap();
        let track = &demo.tracks[0];
        std::fs::write(&track.path, b"touched").unwrap();
        let again = Dataset::resolve_in(data.path(), None).unwrap();
        assert_ne!(again.tracks[0].sha256, track.sha256, "it must not be made anew");
        std::fs::create_dir_all(data.path().join("gtzan/genres_original/blues")).unwrap();
        let gtzan = Dataset::resolve_in(data.path(), None).unwrap();
        assert_eq!((gtzan.origin, gtzan.genres), (Origin::Folder, vec!["blues".to_string()]));
    }
}

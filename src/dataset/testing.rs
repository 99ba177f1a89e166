//! Collections without files, for the tests of this folder.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::collection::{Dataset, Origin, Track};
use super::task::Task;

/// A collection in memory: `(id, digest)` pairs, genres taken from the ids.
pub fn dataset<S: Into<String>>(tracks: impl IntoIterator<Item = (S, S)>) -> Dataset {
    let tracks: Vec<(String, String)> =
        tracks.into_iter().map(|(id, sha)| (id.into(), sha.into())).collect();
    let genre = |id: &str| id.split('/').next().unwrap_or_default().to_string();
    let mut genres: Vec<_> = tracks.iter().map(|(id, _)| genre(id)).collect();
    genres.sort();
    genres.dedup();
    let tracks = tracks
        .into_iter()
        .map(|(id, sha256)| {
            let label = genres.iter().position(|g| *g == genre(&id)).unwrap();
            let path = Path::new("/music").join(&id);
            Track::new(id, path, label, sha256)
        })
        .collect();
    Dataset {
        root: "/music".into(),
        origin: Origin::Folder,
        task: Task::SingleLabel,
        genres,
        tracks,
        skipped: vec![],
        others: BTreeMap::new(),
        about: String::new(),
    }
}

/// `genres` folders of `tracks` different recordings each.
pub fn plain(genres: usize, tracks: usize) -> Dataset {
    dataset((0..genres).flat_map(|g| {
        (0..tracks).map(move |t| (format!("g{g:02}/{t:03}.wav"), format!("{g}-{t}")))
    }))
}

/// Any sizes, with some bytes repeated within and across genres, two clean tracks each.
pub fn any_dataset() -> impl Strategy<Value = Dataset> {
    let genre = prop::collection::vec(0u32..40, 0..40);
    prop::collection::vec(genre, 2..6).prop_map(|genres| {
        dataset(genres.into_iter().enumerate().flat_map(|(g, digests)| {
            let clean = (0..2).map(move |t| format!("{g}:{t}"));
            clean
                .chain(digests.into_iter().map(|d| d.to_string()))
                .enumerate()
                .map(move |(t, digest)| (format!("g{g}/{t:02}.wav"), digest))
        }))
    })
}

//! The published split of GTZAN that leaves out its faults.

use std::fs;
use std::path::Path;

use super::collection::Dataset;
use super::split::{Method, Split, genre_of};
use crate::error::{Error, Result};

impl Split {
    /// The published split of GTZAN without repeated, mislabelled and distorted clips
    /// (443 / 197 / 290 tracks; see [`Method::FaultFiltered`]), read from
    /// `train_filtered.txt`, `valid_filtered.txt` and `test_filtered.txt` in the folder
    /// `lists`: one id a line, such as `blues/blues.00029.wav`.
    ///
    /// The split holds all listed ids of the collection's genres, also of files that are not
    /// there; [`Split::assign`] counts those as [`missing`](super::Parts::missing).
    ///
    /// # Errors
    /// [`Error::NotFound`] if a list is missing, saying where it belongs;
    /// [`Error::Format`] if a list holds something else than ids, or an id twice.
    pub fn fault_filtered(dataset: &Dataset, lists: &Path) -> Result<Self> {
        let read = |name: &str| read_list(dataset, lists, name);
        let train = read("train_filtered.txt")?;
        let validation = read("valid_filtered.txt")?;
        let test = read("test_filtered.txt")?;
        let split = Self::of_parts(Method::FaultFiltered, 0, dataset, [train, validation, test]);
        split.validate().map_err(|wrong| Error::format(lists, wrong))?;
        Ok(split)
    }
}

/// The ids in one of the published lists, as far as they are of the collection's genres.
fn read_list(dataset: &Dataset, lists: &Path, name: &str) -> Result<Vec<String>> {
    let path = lists.join(name);
    if !path.is_file() {
        return Err(Error::not_found(
            &path,
            "no such file; the fault-filtered split of GTZAN needs the lists train_filtered.txt, \
             valid_filtered.txt and test_filtered.txt of Kereliuk, Sturm & Larsen (2015), one \
             \"blues/blues.00029.wav\" a line, in the folder \"splits\" beside the genres",
        ));
    }
    let text = fs::read(&path).map_err(Error::io(&path))?;
    let text = String::from_utf8(text).map_err(|e| Error::format(&path, e))?;
    let mut ids = vec![];
    for (number, line) in text.lines().enumerate() {
        let id = line.trim();
        if id.is_empty() {
            continue;
        }
        let genre = genre_of(id).ok_or_else(|| {
            let reason = format!("line {}: \"{id}\" is not of the form genre/file", number + 1);
            Error::format(&path, reason)
        })?;
        if dataset.genres.iter().any(|g| g == genre) {
            ids.push(id.to_string());
        }
    }
    ids.sort();
    Ok(ids)
}

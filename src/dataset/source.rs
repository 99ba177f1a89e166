//! Collections that exist as pictures of spectrograms, as recordings, or as both.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::collection::Dataset;
use super::listing::list;
use super::task::Task;
use crate::audio::EXTENSIONS;
use crate::error::{Error, Result};
use crate::features::{PICTURE_EXTENSIONS, Preprocessor};

/// Where spectrograms come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// GTZAN's pictures (`images_original`), or any folder of such.
    Pictures,
    /// Recordings.
    Audio,
}

impl Source {
    /// What a model with this preprocessor takes.
    pub fn of(preprocessor: &Preprocessor) -> Self {
        if preprocessor.is_of_pictures() { Self::Pictures } else { Self::Audio }
    }
}

/// The collection for a model with this preprocessor and, where it is known, this task: that in
/// `data`, else that in `data/gtzan`, else, for recordings, the synthesized one.
///
/// # Errors
/// Those of [`Dataset::resolve`]; [`Error::Unsupported`] if there are pictures where recordings
/// are needed, or the other way round; [`Error::InvalidInput`] if there are no pictures at all.
pub fn resolve_for(
    data: Option<&Path>,
    preprocessor: &Preprocessor,
    task: Option<Task>,
) -> Result<Dataset> {
    if !preprocessor.is_of_pictures() {
        let dataset = Dataset::resolve_for(data, task)?;
        if dataset.tracks.is_empty() && holds(&pictures_in(&dataset.root), PICTURE_EXTENSIONS) {
            let reason = format!(
                "it holds pictures, and front end \"{}\" hears recordings; give recordings, or a \
                 vision network with ‹front-end› imagenet",
                preprocessor.name()
            );
            return Err(Error::unsupported(&dataset.root, reason));
        }
        return Ok(dataset);
    }
    let gtzan = Path::new("data/gtzan");
    let root = data.or_else(|| gtzan.exists().then_some(gtzan)).ok_or_else(|| {
        let name = preprocessor.name();
        Error::InvalidInput(format!(
            "front end \"{name}\" looks at pictures; say with ‹data› where they are"
        ))
    })?;
    let mut dataset = Dataset::scan_for(&pictures_in(root), PICTURE_EXTENSIONS, task)?;
    if dataset.tracks.is_empty() && holds(root, EXTENSIONS) {
        let reason = format!(
            "it holds recordings, and front end \"{}\" looks at pictures ({}); give pictures, or \
             the front end of a network that hears",
            preprocessor.name(),
            PICTURE_EXTENSIONS.join(", ")
        );
        return Err(Error::unsupported(root, reason));
    }
    name_as_recordings(&mut dataset);
    Ok(dataset)
}

/// Whether there are such files in folders of genres.
fn holds(root: &Path, extensions: &[&str]) -> bool {
    list(root, extensions, None).is_ok_and(|found| !found.files.is_empty())
}

/// The collection of plots or recordings in `data`, and which of the two it is; the
/// tracks of pictures are named as their recordings, so that all commands share a split.
///
/// # Errors
/// Those of [`Dataset::resolve`]; [`Error::OutOfRange`] if there are no pictures where they
/// were asked for.
pub fn resolve(
    data: Option<&Path>,
    source: Option<Source>,
    task: Option<Task>,
) -> Result<(Dataset, Source)> {
    let gtzan = Path::new("data/gtzan");
    let root = data.or_else(|| gtzan.exists().then_some(gtzan));
    let pictures = root.map(pictures_in).filter(|_| source != Some(Source::Audio));
    // A list or an archive is one of recordings unless it is said to be another.
    let can_be_pictures =
        |place: &PathBuf| place.is_dir() || place.exists() && source == Some(Source::Pictures);
    if let (Some(folder), None) = (pictures.as_ref().filter(|_| covers_lie_beside(root)), source) {
        tracing::info!(
            "note: {} holds recordings and pictures; the recordings are read, for pictures say \
             ‹source› pictures",
            folder.display()
        );
    } else if let Some(folder) = pictures.filter(can_be_pictures) {
        let mut dataset = Dataset::scan_for(&folder, PICTURE_EXTENSIONS, task)?;
        if !dataset.tracks.is_empty() || source == Some(Source::Pictures) {
            name_as_recordings(&mut dataset);
            return Ok((dataset, Source::Pictures));
        }
    } else if source == Some(Source::Pictures) {
        let advice = "no folder of pictures; give it with ‹data›";
        return Err(Error::out_of_range("source", "pictures", advice));
    }
    let dataset = match root {
        Some(root) => Dataset::scan_for(root, EXTENSIONS, task)?,
        None => Dataset::resolve_for(None, task)?,
    };
    Ok((dataset, Source::Audio))
}

/// Whether the pictures in a folder lie among recordings: covers, most likely.
fn covers_lie_beside(root: Option<&Path>) -> bool {
    root.is_some_and(|root| {
        root.is_dir()
            && pictures_in(root) == root
            && holds(root, PICTURE_EXTENSIONS)
            && holds(root, EXTENSIONS)
    })
}

fn pictures_in(root: &Path) -> PathBuf {
    let kaggle = root.join("images_original");
    if kaggle.is_dir() { kaggle } else { root.to_owned() }
}

/// GTZAN's `blues/blues00000.png` is the picture of `blues/blues.00000.wav`.
fn name_as_recordings(dataset: &mut Dataset) {
    for track in &mut dataset.tracks {
        if let Some(id) = recording_of(&track.id) {
            track.id = id;
        }
    }
    // The ids' order is part of what a seed means.
    dataset.tracks.sort_by(|a, b| a.id.cmp(&b.id));
}

fn recording_of(picture: &str) -> Option<String> {
    let (genre, file) = picture.split_once('/')?;
    let stem = [".png", ".jpg", ".jpeg"].iter().find_map(|end| file.strip_suffix(end))?;
    let number = stem.strip_prefix(genre)?;
    let is_number = number.len() == 5 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| format!("{genre}/{genre}.{number}.wav"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_named_as_their_recordings() {
        assert_eq!(recording_of("blues/blues00007.png").unwrap(), "blues/blues.00007.wav");
        for other in ["blues/jazz00007.png", "blues/blues0007.png", "blues/bluesabcde.png", "a.png"]
        {
            assert_eq!(recording_of(other), None, "{other}");
        }
    }
}

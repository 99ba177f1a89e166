//! This program as a host of its own.

use std::fs;
use std::path::Path;

use super::host::{Answer, Answers};
use super::probes::Probes;
use super::recipe::Recipe;
use crate::classify::{Classification, Classifier};
use crate::error::{Error, Result};
use crate::files;
use crate::onnx::names::key;

/// The probes in the metadata of a classifier's file.
///
/// # Errors
/// [`Error::Onnx`] if there are none, or they are damaged or of other labels.
pub fn probes_in(classifier: &Classifier) -> Result<Probes> {
    let refuse = |reason: String| Error::onnx(classifier.model(), reason);
    let Some(json) = classifier.metadata(key::PROBES) else {
        let reason = if classifier.looks_at_pictures() {
            "it looks at pictures, and only models that hear recordings have probes"
        } else {
            "it has no probes, so there is nothing to verify a host by: it was exported by an \
             older version; export its run again with export-onnx"
        };
        return Err(refuse(reason.to_owned()));
    };
    let labels = classifier.metadata(key::LABELS).unwrap_or_default();
    Probes::parse(&json, &labels, classifier.labels().len())
        .map_err(|reason| refuse(format!("{} in its metadata: {reason}", key::PROBES)))
}

/// What this program answers to the probes.
///
/// # Errors
/// Those of [`Classifier::classify_file`].
pub fn answers(classifier: &Classifier, probes: &Probes) -> Result<Answers> {
    let answers = probes.probes.iter().map(|probe| {
        let answer = classified(classifier, &probe.recipe)?.averaged;
        let named = classifier.labels().iter().cloned().zip(answer.into_iter().map(f64::from));
        Ok((probe.name.clone(), Some(Answer::ByLabel(named.collect()))))
    });
    Ok(Answers(answers.collect::<Result<_>>()?))
}

/// Writes the probes as `long.wav`, `short.wav` and `stereo.wav` into a folder, for hosts that read
/// recordings, and as `probes.json` for hosts that cannot read a model's metadata.
///
/// # Errors
/// [`Error::Io`], [`Error::Audio`].
pub fn write_recordings(probes: &Probes, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let json = serde_json::to_string(probes).map_err(|error| Error::format(folder, error))?;
    let path = folder.join("probes.json");
    files::write(&path, json.as_bytes())?;
    let write = |(name, recipe): (&str, &Recipe)| recipe.write(&folder.join(format!("{name}.wav")));
    probes.probes.iter().map(|probe| (&*probe.name, &probe.recipe)).try_for_each(write)
}

/// The answer to a probe that goes the whole way of a recording, beginning with its file.
pub(super) fn classified(classifier: &Classifier, recipe: &Recipe) -> Result<Classification> {
    let folder = tempfile::tempdir().map_err(Error::io("temporary folder"))?;
    let path = folder.path().join("probe.wav");
    recipe.write(&path)?;
    classifier.classify_file(&path)
}

//! `classify --verify`: whether a host feeds a model rightly.

use std::path::Path;

use anyhow::{Result, bail};

use super::super::program::{print, println};
use super::arguments::Arguments;
use crate::classify::Classifier;
use crate::files::shown;
use crate::verify::{self, Answers, Verdict};

/// Judges what a host has answered to the model's probes, or this program itself.
///
/// # Errors
/// A wrong answer, with the mistake; a file without probes.
pub(super) fn verify(arguments: &Arguments, model: &Path) -> Result<()> {
    let classifier = Classifier::open(model, &arguments.options())?;
    let probes = verify::probes_in(&classifier)?;
    if let Some(folder) = &arguments.probes {
        verify::write_recordings(&probes, folder)?;
        let names: Vec<String> = probes.probes.iter().map(|p| format!("{}.wav", p.name)).collect();
        crate::note!("written to {}: {}, probes.json", shown(folder), names.join(", "));
        if arguments.answers.is_none() {
            return Ok(());
        }
    }
    let (who, answers) = match &arguments.answers {
        Some(path) => ("the host", Answers::read(path)?),
        None => ("this program", verify::answers(&classifier, &probes)?),
    };
    let verdict = Verdict::of(&probes, classifier.labels(), &answers)?;
    if arguments.json {
        println(serde_json::to_string(&verdict)?)?;
    } else {
        print(&verdict)?;
    }
    let names: Vec<&str> = verdict.mistakes.iter().map(|mistake| &*mistake.name).collect();
    match (verdict.right, &names[..]) {
        (true, _) => Ok(()),
        (false, []) => bail!("{who} does not feed the model rightly, in a way that is not known"),
        (false, names) => bail!("{who} does not feed the model rightly: {}", names.join(" or ")),
    }
}

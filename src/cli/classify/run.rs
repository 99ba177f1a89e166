//! From the arguments to the last line.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;

use super::super::program::println;
use super::arguments::{Arguments, is_stdout};
use super::input::StandardInput;
use super::output::Output;
use super::verify::verify;
use crate::classify::{self, ByEnding, Classifier, Collection, ReadyMade};
use crate::files::{check_output, shown};
use crate::text::counted;

/// What is said where there is a default for want of a model.
const NO_MODEL: &str = "note: no model given: YAMNet's own 49 genres of AudioSet are told; for \
    genres of your own train one with `finetune --data FOLDER` (a folder of recordings a genre), \
    and give its run with --model runs/NAME";

/// Does what the arguments ask for.
///
/// # Errors
/// What is wrong with the arguments or the model; after all else is done, that some recordings
/// could not be classified.
pub fn run(arguments: &Arguments) -> Result<()> {
    if let Some(model) = &arguments.verify {
        return verify(arguments, model);
    }
    let alone = !arguments.takes_stdout() || !arguments.json && !arguments.timeline;
    ensure!(alone, "standard output takes one thing: --json or --timeline, or what was given -");
    arguments.picture.as_deref().map(classify::is_png).transpose()?;
    let classifier = match &arguments.model {
        Some(model) => Classifier::open(model, &arguments.options())?,
        None => {
            tracing::info!("{NO_MODEL}");
            Classifier::ready_made(ReadyMade::YamnetGenres, &arguments.options())?
        }
    };
    let input = StandardInput::read(&arguments.paths, arguments.catalogue())?;
    let found = classify::find(&input.replaced(&arguments.paths), classifier.looks_at_pictures());
    let Collection { files, missing, loops, .. } = &found;
    for skipped in loops {
        crate::say!("not followed: {}: {}", shown(&skipped.path), skipped.reason);
    }
    for missing in missing {
        crate::say!("{}: {}", shown(&missing.path), missing.reason);
    }
    // Before what an earlier run has written is replaced.
    check(arguments, &classifier, files)?;

    let started = Instant::now();
    let mut output = Output::new(arguments, &classifier, files, &input)?;
    let rest = output.resume()?;
    let paths: Vec<PathBuf> = rest.iter().map(|&place| files[place].clone()).collect();
    classifier.classify_files(&paths, |number, result| output.add(rest[number], result))?;
    let done = output.finish()?;
    let took = started.elapsed().as_secs_f64();
    let (failed, total) = (done.failed + missing.len(), files.len() + missing.len());
    let what = what(&found);
    if done.unchanged && done.classified == 0 {
        crate::note!("nothing new in {took:.1} s: the catalogue stays as it is");
    } else if found.pictures {
        crate::note!("{} of {total} {what} in {took:.1} s", total - failed);
    } else {
        crate::note!(
            "{} of {total} {what}, {:.0} s of audio in {took:.1} s ({:.0}x real time)",
            total - failed,
            done.seconds,
            done.seconds / took
        );
    }
    let unread = tell_others(arguments, &found, &done.by_ending)?;
    ensure!(failed == 0, "{failed} of {total} {what} could not be classified");
    ensure!(unread == 0, "{} in folders could not be read", counted(unread, "file"));
    Ok(())
}

/// What is classified.
fn what(found: &Collection) -> &'static str {
    if found.pictures { "pictures" } else { "recordings" }
}

/// Says what else is in the folders, and what of them could not be read, by ending; returns how
/// many files are of no known kind.
fn tell_others(arguments: &Arguments, found: &Collection, failed: &ByEnding) -> Result<usize> {
    let mut unread = found.unread.clone();
    for (ending, count) in failed {
        *unread.entry(ending.clone()).or_default() += count;
    }
    if !found.folders || unread.is_empty() && found.passed.is_empty() {
        return Ok(0);
    }
    let passed = format!("passed over, as no {}", what(found));
    for (what, counts) in [(&*passed, &found.passed), ("not read", &unread)] {
        if !counts.is_empty() {
            crate::say!("{what}: {}", by_ending(counts));
        }
    }
    if arguments.json && arguments.output.is_none() {
        let summary = json!({"unread": unread, "passed_over": found.passed});
        println(json!({"file": null, "summary": summary}))?;
    }
    Ok(found.unread.values().sum())
}

/// `3 .jpg, 1 .txt`.
fn by_ending(counts: &ByEnding) -> String {
    let one = |(ending, count): (&String, &usize)| match ending.as_str() {
        "" => format!("{count} without an ending"),
        ending => format!("{count} .{ending}"),
    };
    counts.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Refuses what can be seen to be wrong before anything is written.
fn check(arguments: &Arguments, classifier: &Classifier, files: &[PathBuf]) -> Result<()> {
    let Arguments { csv, picture, output, .. } = arguments;
    let one = picture.is_none() || files.len() <= 1;
    ensure!(one, "--picture shows one recording, but {} were named", files.len());
    ensure!(!files.is_empty(), "nothing to classify");
    let over_time = arguments.timeline || picture.is_some();
    ensure!(
        !over_time || !classifier.looks_at_pictures(),
        "--timeline and --picture show seconds, which a picture of a spectrogram does not say; \
         leave them out, or take a model that hears recordings"
    );
    let read = files.iter().map(PathBuf::as_path).chain([classifier.model()]);
    let written = [csv, picture, output].into_iter().flatten().filter(|path| !is_stdout(path));
    for written in written {
        check_output(written, read.clone())?;
    }
    Ok(())
}

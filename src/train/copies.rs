//! Tracks that no split may part: copies of one recording, and what the options ask for.

use std::collections::HashSet;
use std::path::Path;

use super::config::SplitOptions;
use crate::dataset::{Dataset, Near, Origin, Parts};
use crate::error::Result;
use crate::text::counted;

/// Where fingerprints are kept.
const CACHE: &str = "data/cache/fingerprints";
/// Pairs that are named while a program runs; the metrics have all.
const NAMED: usize = 3;

/// Pairs of tracks that are one recording, as indices of the dataset.
#[derive(Debug, Default)]
pub(super) struct Copies {
    pairs: Vec<[usize; 2]>,
    /// Whether they may be on both sides of the split.
    pub allowed: bool,
}

impl Copies {
    /// Finds copies and groups of `dataset` and puts them together for every split drawn from now
    /// on. Copies are tracks of which a model is given the same `values`, and recordings, if they
    /// are that, which sound alike.
    ///
    /// # Errors
    /// Those of [`Dataset::group_by`]; Ctrl-C.
    pub fn put_together<'a, V: IntoIterator<Item = &'a f32>>(
        options: &SplitOptions,
        dataset: &mut Dataset,
        values: impl Iterator<Item = V>,
        are_recordings: bool,
    ) -> Result<Self> {
        dataset.find_copies(values);
        let mut pairs = say_equal(dataset, options);
        // Synthesized pieces of one style share their drums.
        if are_recordings && dataset.origin != Origin::Demo {
            let near = dataset.find_near_copies(Path::new(CACHE))?;
            say_near(dataset, &near, options);
            pairs.extend(near.pairs);
        }
        pairs.sort_unstable();
        if options.allow_copies {
            dataset.forget_copies();
        }
        group(options, dataset)?;
        Ok(Self { pairs, allowed: options.allow_copies })
    }

    /// The pairs, by the names of their tracks.
    pub fn ids(&self, dataset: &Dataset) -> Vec<[String; 2]> {
        self.pairs.iter().map(|pair| pair.map(|at| dataset.tracks[at].id.clone())).collect()
    }

    /// Says how many tested tracks have a copy that is learned from, as a split that was not drawn
    /// here may have it.
    pub fn report_leaks(&self, parts: &Parts) {
        let leaks = self.leaks(parts);
        if leaks > 0 {
            tracing::warn!(
                "the split has copies on both sides, {} in the test part: do not trust the figures",
                counted(leaks, "track")
            );
        }
    }

    /// How many tested tracks have a copy that was learned from.
    pub fn leaks(&self, parts: &Parts) -> usize {
        let set = |tracks: &[usize]| tracks.iter().copied().collect::<HashSet<usize>>();
        let (learned, tested) =
            (set(&[&parts.train[..], &parts.validation].concat()), set(&parts.test));
        let leaky = |[a, b]: &[usize; 2]| {
            [(*a, *b), (*b, *a)]
                .into_iter()
                .find(|(one, other)| tested.contains(one) && learned.contains(other))
                .map(|(one, _)| one)
        };
        self.pairs.iter().filter_map(leaky).collect::<HashSet<_>>().len()
    }
}

/// What becomes of copies.
fn kept(options: &SplitOptions) -> &'static str {
    if options.allow_copies {
        "each in any part of the split"
    } else {
        "kept in one part of a split that is drawn"
    }
}

/// Says which tracks are equal to others under other tags or genres; the pairs.
fn say_equal(dataset: &Dataset, options: &SplitOptions) -> Vec<[usize; 2]> {
    let copies = dataset.copies();
    if let Some([original, copy]) = copies.first() {
        tracing::warn!(
            "copies of a recording under other tags or genres, {}: {} ({} is {}, for one)",
            kept(options),
            counted(copies.len(), "track"),
            dataset.tracks[*copy].id,
            dataset.tracks[*original].id
        );
    }
    say_contradictions(dataset, &copies);
    copies
}

/// Says which recordings sound alike, and which could not be compared.
fn say_near(dataset: &Dataset, near: &Near, options: &SplitOptions) {
    if near.not_compared > 0 {
        tracing::info!(
            "note: not compared with the others, being shorter than 7 s or the same throughout: {}",
            counted(near.not_compared, "track")
        );
    }
    if near.pairs.is_empty() {
        return;
    }
    let name =
        |[a, b]: &[usize; 2]| format!("{} and {}", dataset.tracks[*a].id, dataset.tracks[*b].id);
    let named: Vec<String> = near.pairs.iter().take(NAMED).map(name).collect();
    let more = near.pairs.len() - named.len();
    tracing::warn!(
        "near copies, {}: {} of tracks that sound alike ({}{})",
        kept(options),
        counted(near.pairs.len(), "pair"),
        named.join("; "),
        if more > 0 { format!("; {more} more in the run's metrics.json") } else { String::new() }
    );
    say_contradictions(dataset, &near.pairs);
}

/// Says which copies are of two genres.
fn say_contradictions(dataset: &Dataset, pairs: &[[usize; 2]]) {
    let tracks = |[a, b]: &[usize; 2]| (&dataset.tracks[*a], &dataset.tracks[*b]);
    let contradictions = pairs.iter().map(tracks).filter(|(a, b)| a.labels != b.labels);
    let contradictions: Vec<_> = contradictions.collect();
    if let Some((original, copy)) = contradictions.first() {
        tracing::warn!(
            "the same recording under two {}: {} ({} and {}, for one); remove one of each",
            if dataset.task.is_single() { "genres" } else { "sets of labels" },
            counted(contradictions.len(), "time"),
            copy.id,
            original.id
        );
    }
}

/// Puts together what the options ask for.
fn group(options: &SplitOptions, dataset: &mut Dataset) -> Result<()> {
    let Some(fact) = &options.group_by else { return Ok(()) };
    let fact = &fact.to_lowercase();
    if !dataset.tracks.iter().any(|track| track.facts.contains_key(fact)) {
        let tagged = dataset.read_tags(fact);
        if tagged > 0 {
            tracing::info!(
                "note: {fact} is read from the tags of {}",
                counted(tagged, "recording")
            );
        }
    }
    dataset.group_by(fact)?;
    let alone = dataset.tracks.iter().filter(|track| track.group.is_none()).count();
    let groups = dataset.tracks.iter().filter_map(|track| track.group.as_deref());
    let groups = groups.collect::<HashSet<&str>>().len();
    tracing::info!(
        "grouped by {fact}: {}{}",
        counted(groups, "group"),
        if alone > 0 { format!("; tracks without one: {alone}") } else { String::new() }
    );
    Ok(())
}

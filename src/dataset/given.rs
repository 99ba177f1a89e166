//! Splits that collections bring along.

use super::collection::{Dataset, Part, Track};
use super::draw::check_fraction;
use super::groups::{by_genre, ids, shuffled, take};
use super::iterative;
use super::split::{Method, Split};
use super::task::Task;
use crate::error::{Error, Result};

impl Split {
    /// The split that the collection brings along. Where it has no test part, its validation part
    /// is that; where there is then no validation part, `validation_fraction` of the training part
    /// is drawn for it as in [`Split::stratified`].
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the fraction is not between 0 and 1, [`Error::TooFew`] if the
    /// collection does not pass [`Dataset::check`], [`Error::Mismatch`] if a track is in no part
    /// or there is nothing to train or test on.
    pub fn given(dataset: &Dataset, seed: u64, validation_fraction: f64) -> Result<Self> {
        check_fraction("validation", validation_fraction)?;
        dataset.check()?;
        let [mut train, mut validation, mut test] = listed(dataset)?;
        if test.is_empty() {
            test = std::mem::take(&mut validation);
        }
        for (part, tracks) in [("training", &train), ("test", &test)] {
            if tracks.is_empty() {
                let reason = format!(
                    "the collection's own split has no {part} part; draw one with ‹split› shuffled"
                );
                return Err(Error::Mismatch(reason));
            }
        }
        if validation.is_empty() {
            (train, validation) = hold_out(dataset, seed, validation_fraction);
        }
        Ok(Self::of_parts(Method::Given, seed, dataset, [train, validation, test]))
    }
}

/// The ids of the training, validation and test part, sorted.
fn listed(dataset: &Dataset) -> Result<[Vec<String>; 3]> {
    if let Some(track) = dataset.tracks.iter().find(|track| track.part.is_none()) {
        let reason = format!("the collection's own split does not say where {} is", track.id);
        return Err(Error::Mismatch(reason));
    }
    let of = |part: Part| {
        ids(vec![dataset.tracks.iter().filter(|track| track.part == Some(part)).collect()])
    };
    Ok([Part::Train, Part::Validation, Part::Test].map(of))
}

/// The training part in two, `fraction` of it in the second.
fn hold_out(dataset: &Dataset, seed: u64, fraction: f64) -> (Vec<String>, Vec<String>) {
    let learned = |track: &&Track| track.part == Some(Part::Train);
    let tracks = dataset.tracks.iter().filter(learned).cloned().collect();
    let inner = Dataset { tracks, ..dataset.clone() };
    if inner.task == Task::MultiLabel {
        let shares = [fraction, 1.0 - fraction];
        let [validation, train] = iterative::divide(&inner, shares, seed, "validation");
        return (ids(train), ids(validation));
    }
    let (mut train, mut validation) = (vec![], vec![]);
    for groups in by_genre(&inner) {
        let (taken, rest) = take(shuffled(groups, seed, "validation"), fraction, 1);
        validation.extend(taken);
        train.extend(rest);
    }
    (ids(train), ids(validation))
}

#[cfg(test)]
mod tests {
    use super::super::testing::plain;
    use super::*;

    #[test]
    fn a_split_that_comes_along_is_used_and_a_part_that_it_lacks_is_drawn() {
        let with = |parts: &dyn Fn(usize) -> Part| {
            let mut set = plain(2, 10);
            for (at, track) in set.tracks.iter_mut().enumerate() {
                track.part = Some(parts(at % 10));
            }
            set
        };
        let of = |set: &Dataset| Split::given(set, 0, 0.25).unwrap();
        let sizes = |split: &Split| [&split.train, &split.validation, &split.test].map(Vec::len);
        let two = with(&|at| if at < 2 { Part::Test } else { Part::Train });
        let split = of(&two);
        assert_eq!((split.method, sizes(&split)), (Method::Given, [12, 4, 4]));
        assert!(split.test.iter().all(|id| id.ends_with("000.wav") || id.ends_with("001.wav")));
        split.assign(&two).unwrap();
        let three = with(&|at| [Part::Test, Part::Validation, Part::Train][at.min(2)]);
        assert_eq!(sizes(&of(&three)), [16, 2, 2]);
        let no_test = with(&|at| if at < 3 { Part::Validation } else { Part::Train });
        let split = of(&no_test);
        assert_eq!(split.test.len(), 6);
        let mut one_out = two;
        one_out.tracks[3].part = None;
        let error = Split::given(&one_out, 0, 0.25).unwrap_err().to_string();
        assert!(error.contains("does not say where g00/003.wav is"), "{error}");
    }
}

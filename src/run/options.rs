//! The options of a run, whichever program's they are.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

/// What can differ between runs that were made the same way: chance, and where things are.
const CHANCE: [&str; 7] = ["seed", "split", "data", "output", "runtime", "device", "strict"];

/// A program that leaves runs behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `finetune`.
    Finetune,
    /// `train-cnn`.
    TrainCnn,
    /// `baseline`.
    Baseline,
}

impl Program {
    const ALL: [Self; 3] = [Self::Finetune, Self::TrainCnn, Self::Baseline];

    /// An option that every run of this program has, and no run of another.
    fn own_option(self) -> &'static str {
        match self {
            Self::Finetune => "backbone",
            Self::TrainCnn => "preset",
            Self::Baseline => "features",
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Finetune => "finetune",
            Self::TrainCnn => "train-cnn",
            Self::Baseline => "baseline",
        })
    }
}

/// `config.json`. Every program writes options of its own; this is what all of them share.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct RunOptions(Value);

impl RunOptions {
    /// The collection that the run learned from; none for the default one.
    #[must_use]
    pub(crate) fn data(&self) -> Option<PathBuf> {
        self.0["data"].as_str().map(PathBuf::from)
    }

    /// The seed; 0 if the run names none.
    #[must_use]
    pub(crate) fn seed(&self) -> u64 {
        self.0["seed"].as_u64().unwrap_or(0)
    }

    /// The program whose options they are; none if no program has such.
    #[must_use]
    pub fn program(&self) -> Option<Program> {
        Program::ALL.into_iter().find(|program| self.0.get(program.own_option()).is_some())
    }

    /// All options but those of chance and of place: equal for runs that differ in these only.
    #[must_use]
    pub(crate) fn recipe(&self) -> String {
        let mut options = self.0.clone();
        if let Some(options) = options.as_object_mut() {
            CHANCE.iter().for_each(|name| drop(options.remove(*name)));
        }
        options.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_recipe_leaves_out_what_is_chance() {
        let of = |seed: u64, rate: f64| {
            RunOptions(json!({"seed": seed, "split": "a", "data": "b", "rate": rate})).recipe()
        };
        assert_eq!(of(1, 0.5), of(2, 0.5));
        assert_ne!(of(1, 0.5), of(1, 0.6));
    }

    #[test]
    fn options_of_any_program_tell_data_seed_and_program() {
        let options = RunOptions(json!({"data": "music", "seed": 3, "backbone": "yamnet"}));
        assert_eq!((options.data().as_deref(), options.seed()), (Some(Path::new("music")), 3));
        assert_eq!(options.program(), Some(Program::Finetune));
        let none = RunOptions::default();
        assert_eq!((none.data(), none.seed(), none.program()), (None, 0, None));
    }
}

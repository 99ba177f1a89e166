//! How often the test part of a split was looked at.
//!
//! A figure on the test part is honest the first time. Whoever tries until it is high
//! has trained on it, so every look is written down beside the runs.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::names;
use crate::dataset::Split;
use crate::error::{Error, Result};
use crate::files;

/// One look at a test part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Digest of the test part's track ids.
    pub test_part: String,
    /// The run that looked.
    pub run: String,
    /// Whether the run is the winner of a search.
    pub search: bool,
}

/// `test-uses.json` in the folder of runs.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: PathBuf,
    looks: Vec<Look>,
}

impl Ledger {
    /// The ledger of the folder `runs`; empty if there is none yet.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`] if it cannot be read.
    pub fn open(runs: &Path) -> Result<Self> {
        let path = runs.join(names::TEST_USES);
        let looks = if path.exists() { files::read_json(&path)? } else { vec![] };
        Ok(Self { path, looks })
    }

    /// How often the test part of `split` was looked at.
    pub fn count(&self, split: &Split) -> usize {
        let part = digest(split);
        self.looks.iter().filter(|look| look.test_part == part).count()
    }

    /// Refuses a search whose split another search was already tested on, unless `again`.
    ///
    /// # Errors
    /// [`Error::Config`] naming that search's run.
    pub fn check_search(&self, split: &Split, again: bool) -> Result<()> {
        let part = digest(split);
        match self.looks.iter().find(|look| look.search && look.test_part == part) {
            Some(look) if !again => Err(Error::Config(format!(
                "the test part of this split was already used for the search {}; a second look \
                 would make the figure too good; use another --seed or --split, or --again to \
                 look once more and have it counted",
                look.run
            ))),
            _ => Ok(()),
        }
    }

    /// Writes down that `run` looks at the test part of `split`; how often that has happened.
    ///
    /// A run that looks twice because it was `resumed` counts once.
    ///
    /// # Errors
    /// [`Error::Io`] if the ledger cannot be written.
    pub fn record(
        &mut self,
        split: &Split,
        run: &Path,
        search: bool,
        resumed: bool,
    ) -> Result<usize> {
        let run = run.file_name().unwrap_or(run.as_os_str()).to_string_lossy().into_owned();
        let look = Look { test_part: digest(split), run, search };
        if !resumed || !self.looks.contains(&look) {
            self.looks.push(look);
            files::write_json(&self.path, &self.looks)?;
        }
        Ok(self.count(split))
    }
}

fn digest(split: &Split) -> String {
    let mut hash = Sha256::new();
    split.test.iter().for_each(|id| hash.update(format!("{id}\n")));
    files::hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Method;

    fn split(test: &[&str]) -> Split {
        Split {
            method: Method::Stratified,
            seed: 0,
            test_fraction: 0.2,
            validation_fraction: 0.2,
            fold: None,
            genres: vec!["a".into(), "b".into()],
            train: vec![],
            validation: vec![],
            test: test.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    #[test]
    fn a_second_search_on_the_same_test_part_is_refused_unless_told_otherwise() {
        let runs = tempfile::tempdir().unwrap();
        let (one, other) = (split(&["a/1", "b/1"]), split(&["a/2", "b/1"]));
        let mut ledger = Ledger::open(runs.path()).unwrap();
        ledger.check_search(&one, false).unwrap();
        assert_eq!(ledger.record(&one, Path::new("runs/first"), true, false).unwrap(), 1);
        let mut ledger = Ledger::open(runs.path()).unwrap();
        let error = ledger.check_search(&one, false).unwrap_err().to_string();
        assert!(error.contains("first") && error.contains("--again"), "{error}");
        ledger.check_search(&one, true).unwrap();
        ledger.check_search(&other, false).unwrap();
        let mut second = |resumed| ledger.record(&one, Path::new("runs/second"), true, resumed);
        assert_eq!([second(false).unwrap(), second(true).unwrap()], [2, 2]);
        assert_eq!(second(false).unwrap(), 3, "--force trained another of that name");
        assert_eq!((ledger.count(&one), ledger.count(&other)), (3, 0));
    }
}

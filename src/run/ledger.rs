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

/// A look of one run at the test part of its split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Digest of the test part's track ids.
    pub test_part: String,
    /// The run that looked.
    pub run: String,
    /// Whether the run is the winner of a search.
    pub search: bool,
}

impl Look {
    /// That of the run in the folder `run`, which `search` says has won a search.
    pub fn new(split: &Split, run: &Path, search: bool) -> Self {
        let run = run.file_name().unwrap_or(run.as_os_str()).to_string_lossy().into_owned();
        Self { test_part: digest(split), run, search }
    }
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
    pub(crate) fn open(runs: &Path) -> Result<Self> {
        let path = runs.join(names::TEST_USES);
        let looks = if path.exists() { files::read_json(&path)? } else { vec![] };
        Ok(Self { path, looks })
    }

    /// Refuses a search whose split another search was already tested on, unless `again`.
    ///
    /// # Errors
    /// [`Error::TestPartUsed`] naming that search's run.
    pub(crate) fn check_search(&self, split: &Split, again: bool) -> Result<()> {
        let part = digest(split);
        match self.looks.iter().find(|look| look.search && look.test_part == part) {
            Some(look) if !again => Err(Error::TestPartUsed { run: look.run.clone() }),
            _ => Ok(()),
        }
    }

    /// Writes the look down; how often its test part has been looked at, this time included.
    ///
    /// # Errors
    /// [`Error::Io`] if the ledger cannot be written.
    pub(crate) fn record(&mut self, look: Look) -> Result<usize> {
        let part = look.test_part.clone();
        self.looks.push(look);
        files::write_json(&self.path, &self.looks)?;
        Ok(self.count_part(&part))
    }

    /// Writes the look down unless it is there already: a run that is resumed may look a second
    /// time, and that counts once. How often its test part has been looked at.
    ///
    /// # Errors
    /// [`Error::Io`] if the ledger cannot be written.
    pub fn record_once(&mut self, look: Look) -> Result<usize> {
        if self.looks.contains(&look) {
            Ok(self.count_part(&look.test_part))
        } else {
            self.record(look)
        }
    }

    fn count_part(&self, part: &str) -> usize {
        self.looks.iter().filter(|look| look.test_part == part).count()
    }
}

/// Digest of the track ids of the test part.
fn digest(split: &Split) -> String {
    let mut hash = Sha256::new();
    split.test.iter().for_each(|id| hash.update(format!("{id}\n")));
    files::hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Method, Task};

    fn split(test: &[&str]) -> Split {
        Split {
            method: Method::Stratified,
            seed: 0,
            test_fraction: 0.2,
            validation_fraction: 0.2,
            fold: None,
            task: Task::default(),
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
        let look = |run: &str| Look::new(&one, Path::new(run), true);
        assert_eq!(ledger.record(look("runs/first")).unwrap(), 1);
        let mut ledger = Ledger::open(runs.path()).unwrap();
        let error = ledger.check_search(&one, false).unwrap_err().to_string();
        assert!(error.contains("first") && error.contains("‹again›"), "{error}");
        ledger.check_search(&one, true).unwrap();
        ledger.check_search(&other, false).unwrap();
        assert_eq!(ledger.record(look("runs/second")).unwrap(), 2);
        assert_eq!(ledger.record_once(look("runs/second")).unwrap(), 2, "it was resumed");
        let again = ledger.record(look("runs/second")).unwrap();
        assert_eq!(again, 3, "--force trained another of that name");
        assert_eq!((ledger.count_part(&digest(&one)), ledger.count_part(&digest(&other))), (3, 0));
    }
}

//! Checks of options, by which every program refuses a value with the same words.

use crate::dataset::Task;
use crate::error::{Error, Result};

/// Refuses a share that is not between 0 and 1.
pub(super) fn share_within(option: &'static str, share: f64) -> Result<()> {
    if share > 0.0 && share < 1.0 {
        Ok(())
    } else {
        Err(Error::out_of_range(option, share, "give a share between 0 and 1"))
    }
}

/// Refuses what is not from 0 to below 1.
pub(super) fn below_one(option: &'static str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        Ok(())
    } else {
        Err(Error::out_of_range(option, value, "give a number from 0 to below 1"))
    }
}

/// Refuses a rate of 0, and one that no training survives; `what` the option is: a `rate`.
pub(super) fn positive(option: &'static str, value: f64, what: &str) -> Result<()> {
    if value > 0.0 && value < 1e3 {
        Ok(())
    } else {
        Err(Error::out_of_range(option, value, format!("give a positive {what} below 1000")))
    }
}

/// As [`positive`], for an option that 0 turns off.
pub(super) fn not_negative(option: &'static str, value: f64, what: &str) -> Result<()> {
    if (0.0..1e3).contains(&value) {
        Ok(())
    } else {
        let expected = format!("give a {what} from 0 to below 1000");
        Err(Error::out_of_range(option, value, expected))
    }
}

/// Refuses a factor that is not above 0 and at most 1.
pub(super) fn factor(option: &'static str, value: f64) -> Result<()> {
    if value > 0.0 && value <= 1.0 {
        Ok(())
    } else {
        Err(Error::out_of_range(option, value, "give a factor above 0 and at most 1"))
    }
}

/// Refuses a count of 0.
pub(super) fn at_least_one(option: &'static str, count: usize) -> Result<()> {
    if count > 0 { Ok(()) } else { Err(Error::out_of_range(option, count, "give at least 1")) }
}

/// Refuses an option that is there for one label a track, where it `is_given` for several.
pub(super) fn single(task: Task, option: &'static str, is_given: bool) -> Result<()> {
    if task.is_single() || !is_given {
        return Ok(());
    }
    let reason =
        format!("‹{option}› is there for one label a track, and these have several; leave it out");
    Err(Error::InvalidInput(reason))
}

/// Refuses a number of folds that leaves nothing to learn from.
pub(super) fn folds(count: usize) -> Result<()> {
    if count > 1 { Ok(()) } else { Err(Error::out_of_range("folds", count, "give at least 2")) }
}

//! Panics of crates below us, as errors: some of them answer a damaged file so.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

/// The message of a panic that was caught.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Panicked(pub String);

/// Runs `work` of another crate over a file.
///
/// # Errors
/// Its panic; what it was working on is not to be used again then.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let caught = panic::catch_unwind(AssertUnwindSafe(work));
    caught.map_err(|panic| Panicked(message(panic.as_ref()).to_owned()))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or(panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_panic_is_kept() {
        assert_eq!(caught(|| 3).unwrap(), 3);
        let place = [3].len();
        let text = caught(|| assert_eq!(place, 2, "at {place}")).unwrap_err().to_string();
        assert!(text.contains("at 1"), "{text}");
        assert_eq!(caught(|| panic!("plain")).unwrap_err().to_string(), "plain");
    }
}

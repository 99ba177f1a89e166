//! Progress of long work: told by the library, shown by the program that runs it, or by nobody.

use std::sync::OnceLock;

/// Shows how far long work has come.
pub trait Progress: Send + Sync {
    /// Work of `length` steps begins. It is headed by `message`, and its steps are counted in
    /// `unit` (`"files"`, `"epochs"`). The work is over when the [`Task`] is dropped.
    fn begin(&self, message: &str, length: u64, unit: &str) -> Box<dyn Task>;
}

/// One piece of long work. Its methods are called from any thread.
pub trait Task: Send + Sync {
    /// So many more steps are done.
    fn advance(&self, steps: u64);

    /// So many steps are done in all, for work that goes on where it was.
    fn set_position(&self, steps: u64);

    /// Something to show beside the count, such as the loss of the last epoch.
    fn note(&self, text: &str);
}

static SHOWN_BY: OnceLock<Box<dyn Progress>> = OnceLock::new();

/// From now on, `progress` shows all long work of this process. Only the first call counts.
pub fn show_with(progress: impl Progress + 'static) {
    let _ = SHOWN_BY.set(Box::new(progress));
}

/// Work that is under way, shown where somebody shows it.
pub(crate) struct Bar(Option<Box<dyn Task>>);

impl Bar {
    /// Work that nobody is to see.
    #[cfg(feature = "train")]
    pub fn hidden() -> Self {
        Self(None)
    }

    /// So many more steps are done.
    pub fn advance(&self, steps: u64) {
        self.task(|task| task.advance(steps));
    }

    /// So many steps are done in all.
    #[cfg(feature = "train")]
    pub fn set_position(&self, steps: u64) {
        self.task(|task| task.set_position(steps));
    }

    /// Something to show beside the count.
    pub fn note(&self, text: &str) {
        self.task(|task| task.note(text));
    }

    fn task(&self, tell: impl FnOnce(&dyn Task)) {
        if let Some(task) = &self.0 {
            tell(&**task);
        }
    }
}

/// Begins work of `length` steps headed by `message`, counted in `unit`.
pub(crate) fn begin(length: usize, message: &str, unit: &str) -> Bar {
    Bar(SHOWN_BY.get().map(|shown| shown.begin(message, length as u64, unit)))
}

//! Progress on the terminal.

use std::borrow::Cow;

use indicatif::{ProgressBar, ProgressStyle};

use crate::progress::{Progress, Task};

/// A bar of `length` steps headed by `message`, counted in `unit`, with rate and time left.
///
/// indicatif hides it by itself when standard error is not a terminal.
pub fn bar(length: u64, message: impl Into<Cow<'static, str>>, unit: &str) -> ProgressBar {
    let template = format!(
        "{{msg:18}} [{{bar:30}}] {{pos}}/{{len}} {unit}, {{per_sec}}, {{eta}} left {{prefix}}"
    );
    let style = ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    ProgressBar::new(length).with_style(style).with_message(message)
}

/// Shows the library's long work as bars.
pub(super) struct Bars;

impl Progress for Bars {
    fn begin(&self, message: &str, length: u64, unit: &str) -> Box<dyn Task> {
        Box::new(Shown(bar(length, message.to_owned(), unit)))
    }
}

/// A bar that goes when its work is over.
struct Shown(ProgressBar);

impl Task for Shown {
    fn advance(&self, steps: u64) {
        self.0.inc(steps);
    }

    fn set_position(&self, steps: u64) {
        self.0.set_position(steps);
    }

    fn note(&self, text: &str) {
        self.0.set_prefix(text.to_owned());
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

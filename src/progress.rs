//! Progress bars with rate and time left; silent when standard error is not a terminal.

use std::borrow::Cow;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `length` steps headed by `message`, counted in `unit` (`"files"`, `"epochs"`).
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

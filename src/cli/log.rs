//! What the library notes, printed on standard error.

use std::fmt;
use std::io;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{self as layer, FmtContext};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::bar::is_quiet;
use super::flag::flag;
use crate::error::name_options;

/// Prints every note of this crate from now on, a line each; those of other crates are left
/// out. What cannot be written is lost in silence: nobody reads a closed standard error.
pub(super) fn print_notes() {
    let lines = layer::layer()
        .event_format(Line)
        .with_ansi(false)
        .with_writer(io::stderr)
        .log_internal_errors(false);
    let ours = Targets::new().with_target("genre_transfer", Level::INFO);
    // Only a second call in one process fails.
    let _ = tracing_subscriber::registry().with(ours).with(lines).try_init();
}

/// `warning: text` for warnings, the bare text for all else.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let is_warning = *event.metadata().level() == Level::WARN;
        if is_quiet() && !is_warning {
            return Ok(());
        }
        if is_warning {
            writer.write_str("warning: ")?;
        }
        let mut text = String::new();
        context.field_format().format_fields(Writer::new(&mut text), event)?;
        writeln!(writer, "{}", name_options(&text, flag))
    }
}

//! What every binary does the same way: arguments, errors on standard error, exit codes.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use super::bar::Bars;
use super::flag::flag;
use super::log;
use crate::error::Error;
use crate::progress;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, Command, Parser};

/// The program's arguments, as [`Parser::parse`] has them, except that a negative number
/// is the value of the option before it: the option's own check then says what is wrong.
pub fn parse<T: Parser>() -> T {
    T::from_arg_matches(&command::<T>().get_matches()).unwrap_or_else(|error| error.exit())
}

/// The same for a program whose `--resume` goes on with a run's own options: besides it only
/// those in `beside` can be given.
pub fn parse_resumable<T: Parser>(beside: &[&str]) -> T {
    let mut command = command::<T>();
    let matches = command.get_matches_mut();
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let other = command.get_arguments().find(|argument| {
        let id = argument.get_id().as_str();
        id != "resume" && !beside.contains(&id) && given(id)
    });
    if let (true, Some(name)) = (given("resume"), other.and_then(Arg::get_long)) {
        let text = format!("--{name} cannot be given with --resume, which takes the run's own");
        command.error(ErrorKind::ArgumentConflict, text).exit();
    }
    T::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn command<T: Parser>() -> Command {
    T::command().mut_args(|arg| {
        if arg.get_action().takes_values() { arg.allow_negative_numbers(true) } else { arg }
    })
}

/// Runs a program's body, with the library's notes and progress on standard error. Exit code 0 on success, 1 on failure with one line
/// `name: error` on standard error, 130 when interrupted; clap itself exits with 2
/// on wrong usage.
pub fn main(name: &str, body: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    log::print_notes();
    progress::show_with(Bars);
    match body() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Our own errors already name their cause; `{:#}` would say it twice.
            let ours = error.downcast_ref::<Error>();
            match ours {
                Some(ours) => crate::say!("{name}: {}", ours.naming_options(flag)),
                None => crate::say!("{name}: {error:#}"),
            }
            match ours {
                Some(Error::Interrupted(_)) => ExitCode::from(130),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// A line of a program on standard error. `eprintln!` would panic where nobody reads that.
#[doc(hidden)]
#[macro_export]
macro_rules! say {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($what)*);
    }};
}

/// Writes a result to standard output. `println!` would panic where the reader has gone.
pub fn print(text: impl Display) -> anyhow::Result<()> {
    Ok(write!(io::stdout().lock(), "{text}")?)
}

/// Writes a result and a newline to standard output.
pub fn println(text: impl Display) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

/// A reader such as `head` that has seen enough is no failure of ours.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
    })
}

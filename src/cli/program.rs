//! What every binary does the same way: arguments, errors on standard error, exit codes.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Parser};

use super::bar::{self, Everywhere};
use super::flag::flag;
use super::log;
use crate::error::Error;
use crate::progress;

/// The program's arguments, as [`Parser::parse`] has them, except that a negative number
/// is the value of the option before it: the option's own check then says what is wrong.
pub fn parse<T: Parser>() -> T {
    read(&command::<T>().get_matches())
}

/// The arguments that were given, of which `--quiet` is every program's.
fn read<T: Parser>(matches: &ArgMatches) -> T {
    if matches.get_flag(QUIET) {
        bar::be_quiet();
    }
    T::from_arg_matches(matches).unwrap_or_else(|error| error.exit())
}

/// The arguments, as [`parse`] has them, of a program whose `--resume` goes on with a run's own
/// options: besides it only those in `beside` can be given.
pub fn parse_resumable<T: Parser>(beside: &[&str]) -> T {
    let mut command = command::<T>();
    let matches = command.get_matches_mut();
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let other = command.get_arguments().find(|argument| {
        let id = argument.get_id().as_str();
        !["resume", QUIET].contains(&id) && !beside.contains(&id) && given(id)
    });
    if given("resume")
        && let Some(name) = other.and_then(Arg::get_long)
    {
        let text = format!("--{name} cannot be given with --resume, which takes the run's own");
        command.error(ErrorKind::ArgumentConflict, text).exit();
    }
    read(&matches)
}

const QUIET: &str = "quiet";

fn command<T: Parser>() -> Command {
    let quiet = Arg::new(QUIET).long(QUIET).action(ArgAction::SetTrue);
    let command = T::command().mut_args(|arg| {
        if arg.get_action().takes_values() { arg.allow_negative_numbers(true) } else { arg }
    });
    command.arg(quiet.help("No progress and no notes on standard error; warnings and errors stay"))
}

/// Runs a program's body, with the library's notes and progress on standard error.
///
/// Exit code 0 on success, 1 on failure with one line `name: error` on standard error, 130 when
/// interrupted; clap itself exits with 2 on wrong usage.
pub fn main(name: &str, body: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    log::print_notes();
    progress::show_with(Everywhere);
    match body() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let Some(ours) = error.downcast_ref::<Error>() else {
                crate::say!("{name}: {error:#}");
                return ExitCode::FAILURE;
            };
            // Our own errors already name their cause; `{:#}` would say it twice.
            crate::say!("{name}: {}", ours.naming_options(flag));
            let interrupted = matches!(ours, Error::Interrupted(_));
            if interrupted { ExitCode::from(130) } else { ExitCode::FAILURE }
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

/// A line of a program on standard error, unless it is to be quiet.
#[doc(hidden)]
#[macro_export]
macro_rules! note {
    ($($what:tt)*) => {{
        if !$crate::cli::is_quiet() {
            $crate::say!($($what)*);
        }
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

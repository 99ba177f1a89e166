//! Progress: bars on a terminal, lines now and then in a log.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::progress::{Progress, Task};

/// How long a log may say nothing of work that goes on.
const SILENCE: Duration = Duration::from_secs(30);

/// Whether nobody wants to see progress and notes.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on neither progress nor notes are shown.
pub(super) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether neither progress nor notes are shown.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Shows the library's long work.
pub(super) struct Everywhere;

impl Progress for Everywhere {
    fn begin(&self, message: &str, length: u64, unit: &str) -> Box<dyn Task> {
        Box::new(LongWork::begin(length, message, unit))
    }
}

/// Long work: a bar where standard error is a terminal, else lines, or nothing where it is to be
/// quiet.
pub(super) enum LongWork {
    Bar(Bar),
    Lines(Lines),
    Nowhere,
}

impl LongWork {
    /// Work of `length` steps headed by `message`, counted in `unit`.
    pub fn begin(length: u64, message: &str, unit: &str) -> Self {
        if is_quiet() {
            Self::Nowhere
        } else if io::stderr().is_terminal() {
            Self::Bar(Bar::new(length, message, unit))
        } else {
            let say = |line: &str| crate::say!("{line}");
            Self::Lines(Lines::begin(length, message, unit, SILENCE, say))
        }
    }

    /// From here on is counted how fast it goes.
    pub fn restart(&self) {
        match self {
            Self::Bar(Bar(bar)) => {
                bar.reset_elapsed();
                bar.reset_eta();
            }
            Self::Lines(lines) => lines.change(Work::restart),
            Self::Nowhere => {}
        }
    }

    /// Does what prints something, with no bar in its way.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        match self {
            Self::Bar(Bar(bar)) => bar.suspend(print),
            Self::Lines(_) | Self::Nowhere => print(),
        }
    }
}

impl Task for LongWork {
    fn advance(&self, steps: u64) {
        match self {
            Self::Bar(Bar(bar)) => bar.inc(steps),
            Self::Lines(lines) => lines.change(|work| work.position += steps),
            Self::Nowhere => {}
        }
    }

    fn set_position(&self, steps: u64) {
        match self {
            Self::Bar(Bar(bar)) => bar.set_position(steps),
            Self::Lines(lines) => lines.change(|work| {
                let is_first = work.position == 0;
                work.position = steps;
                if is_first {
                    work.restart();
                }
            }),
            Self::Nowhere => {}
        }
    }

    fn note(&self, text: &str) {
        match self {
            Self::Bar(Bar(bar)) => bar.set_prefix(text.to_owned()),
            Self::Lines(lines) => lines.change(|work| text.clone_into(&mut work.note)),
            Self::Nowhere => {}
        }
    }
}

/// A bar with rate and time left, that goes when its work is over.
pub(super) struct Bar(ProgressBar);

impl Bar {
    fn new(length: u64, message: &str, unit: &str) -> Self {
        let template = format!(
            "{{msg:18}} [{{bar:30}}] {{pos}}/{{len}} {unit}, {{per_sec}}, {{eta}} left {{prefix}}"
        );
        let style = ProgressStyle::with_template(&template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        Self(ProgressBar::new(length).with_style(style).with_message(message.to_owned()))
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Work of which a thread tells a line whenever a while has passed; nothing of what is over before.
pub(super) struct Lines {
    work: Arc<(Mutex<Work>, Condvar)>,
    teller: Option<thread::JoinHandle<()>>,
}

/// How far the work has come.
struct Work {
    message: String,
    unit: String,
    length: u64,
    position: u64,
    note: String,
    /// Since when, and from which position on: work may go on where it was.
    begun: Instant,
    first: u64,
    over: bool,
}

impl Lines {
    fn begin(
        length: u64,
        message: &str,
        unit: &str,
        silence: Duration,
        say: impl Fn(&str) + Send + 'static,
    ) -> Self {
        let work = Work {
            message: message.to_owned(),
            unit: unit.to_owned(),
            length,
            position: 0,
            note: String::new(),
            begun: Instant::now(),
            first: 0,
            over: false,
        };
        let work = Arc::new((Mutex::new(work), Condvar::new()));
        let shared = Arc::clone(&work);
        let tell = move || {
            let (work, changed) = &*shared;
            let mut guard = locked(work);
            while !guard.over {
                let waited = changed.wait_timeout_while(guard, silence, |work| !work.over);
                guard = waited.unwrap_or_else(PoisonError::into_inner).0;
                let line = (!guard.over).then(|| guard.line());
                // Nobody waits for whoever reads the log.
                drop(guard);
                line.iter().for_each(|line| say(line));
                guard = locked(work);
            }
        };
        // Without a thread there are no lines, and the work goes on.
        let teller = thread::Builder::new().name("progress".to_owned()).spawn(tell).ok();
        Self { work, teller }
    }

    fn change(&self, change: impl FnOnce(&mut Work)) {
        change(&mut locked(&self.work.0));
    }
}

fn locked(work: &Mutex<Work>) -> MutexGuard<'_, Work> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Work {
    /// What was done before says nothing of how fast it goes from now on.
    fn restart(&mut self) {
        (self.first, self.begun) = (self.position, Instant::now());
    }

    /// What, how far, how fast, and how long it may still take.
    fn line(&self) -> String {
        let Self { message, unit, length, position, note, .. } = self;
        // Nobody knows how many files an archive holds before it is unpacked.
        let mut line = match length {
            0 => format!("{message}: {position} {unit}"),
            _ => format!("{message}: {position} of {length} {unit}"),
        };
        let done = position.saturating_sub(self.first) as f64;
        let seconds = self.begun.elapsed().as_secs_f64();
        if done > 0.0 && seconds > 0.0 && *length > 0 {
            let rate = done / seconds;
            let left = length.saturating_sub(*position) as f64 / rate;
            line += &format!(", {} left", span(left));
            line += &if rate >= 1.0 {
                format!(" at {rate:.1} a second")
            } else {
                format!(" at {:.1} s each", 1.0 / rate)
            };
        }
        if !note.is_empty() {
            line += &format!(" ({note})");
        }
        line
    }
}

/// A time as a person says it: `40 s`, `12 min`, `3.5 h`.
fn span(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.change(|work| work.over = true);
        self.work.1.notify_all();
        if let Some(teller) = self.teller.take() {
            // A teller that panicked has nothing more to say.
            let _ = teller.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_hears_of_work_that_goes_on_and_not_of_what_is_over_soon() {
        let said = Arc::new(Mutex::new(vec![]));
        let lines = |silence: u64| {
            let said = Arc::clone(&said);
            let say = move |line: &str| said.lock().unwrap().push(line.to_owned());
            Lines::begin(8, "training", "epochs", Duration::from_millis(silence), say)
        };
        drop(lines(60_000));
        assert!(said.lock().unwrap().is_empty());
        let work = lines(5);
        work.change(|work| (work.position, work.note) = (2, "loss 0.5".to_owned()));
        let begun = Instant::now();
        let is_heard = || said.lock().unwrap().iter().any(|line: &String| line.contains("2 of 8"));
        while !is_heard() && begun.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_millis(1));
        }
        drop(work);
        let said = said.lock().unwrap();
        let last = said.last().unwrap();
        assert!(
            last.starts_with("training: 2 of 8 epochs, ") && last.ends_with("(loss 0.5)"),
            "{last}"
        );
    }

    #[test]
    fn what_is_left_counts_from_where_the_work_went_on() {
        let work = |position, first| Work {
            message: "folds".into(),
            unit: "epochs".into(),
            length: 100,
            position,
            note: String::new(),
            begun: Instant::now() - Duration::from_secs(40),
            first,
            over: false,
        };
        assert_eq!(work(60, 50).line(), "folds: 60 of 100 epochs, 3 min left at 4.0 s each");
        assert_eq!(work(90, 10).line(), "folds: 90 of 100 epochs, 5 s left at 2.0 a second");
        assert_eq!(work(50, 50).line(), "folds: 50 of 100 epochs");
        assert_eq!([span(89.0), span(5000.0), span(9000.0)], ["89 s", "83 min", "2.5 h"]);
    }
}

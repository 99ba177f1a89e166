//! Which branches of the readers all inputs of a run have taken, for `scripts/fuzz-coverage.py`.

use std::fmt::Write;
use std::sync::Mutex;

/// The environment variable that names the file to write them to.
const VARIABLE: &str = "GENRE_TRANSFER_FUZZ_COVERAGE";

unsafe extern "C" {
    // From the linker: where the program begins, a counter for each branch, and beside it the
    // branch's address and whether it is a function's first.
    static __executable_start: u8;
    static __start___sancov_cntrs: u8;
    static __stop___sancov_cntrs: u8;
    static __start___sancov_pcs: [usize; 2];
}

/// Whether each branch was taken so far.
static TAKEN: Mutex<Vec<bool>> = Mutex::new(vec![]);

/// Writes them when the program ends, if that is asked for.
pub fn begin() {
    if std::env::var_os(VARIABLE).is_some() {
        // Safety: it only registers a function.
        unsafe { libc::atexit(write) };
    }
}

/// Adds what the last input has taken.
pub fn add() {
    if std::env::var_os(VARIABLE).is_none() {
        return;
    }
    let mut taken = TAKEN.lock().expect("no panic holds it");
    taken.resize(count(), false);
    for (at, taken) in taken.iter_mut().enumerate() {
        // Safety: `at` is below the number of counters. They are counted up meanwhile, elsewhere.
        *taken |= unsafe { (&raw const __start___sancov_cntrs).add(at).read_volatile() } != 0;
    }
}

/// The number of branches.
fn count() -> usize {
    (&raw const __stop___sancov_cntrs).addr() - (&raw const __start___sancov_cntrs).addr()
}

/// A line a branch: its address in the program's file, and 1 if it was taken.
extern "C" fn write() {
    let (Some(path), Ok(taken)) = (std::env::var_os(VARIABLE), TAKEN.lock()) else { return };
    let mut text = String::new();
    for (at, taken) in taken.iter().enumerate() {
        // Safety: there is an entry for each counter.
        let [place, _] = unsafe { (&raw const __start___sancov_pcs).add(at).read() };
        let start = (&raw const __executable_start).addr();
        let _ = writeln!(text, "{:x} {}", place - start, u8::from(*taken));
    }
    let _ = std::fs::write(path, text);
}

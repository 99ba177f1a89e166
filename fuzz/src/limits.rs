//! What an input may cost: memory, time and no panic.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering::Relaxed};

use crate::scratch;

/// The environment variable that makes every failure show where it comes from.
const TRACE: &str = "GENRE_TRANSFER_FUZZ_TRACE";

/// Bytes that any input may take.
const MEMORY: isize = 64 << 20;
/// And for each of its own bytes.
const MEMORY_A_BYTE: isize = 32;
/// Seconds of processor time for each MB that is begun.
const SECONDS: f64 = 1.0;

/// Bytes that are allocated now.
static LIVE: AtomicIsize = AtomicIsize::new(0);
/// What they may come to.
static MOST: AtomicIsize = AtomicIsize::new(isize::MAX);
/// Whether an input is being read.
static READING: AtomicBool = AtomicBool::new(false);
/// Seconds that this input may take besides, in milliseconds.
static MORE_TIME: AtomicIsize = AtomicIsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The system's allocator, which ends the process where an input asks for too much.
struct Counting;

impl Counting {
    fn add(bytes: usize) {
        let bytes = isize::try_from(bytes).unwrap_or(isize::MAX / 2);
        let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
        if live > MOST.load(Relaxed) && READING.swap(false, Relaxed) {
            MOST.store(isize::MAX, Relaxed);
            fail(&format!("this input takes {bytes} bytes at once, {live} in all"));
        }
    }

    fn remove(bytes: usize) {
        LIVE.fetch_sub(isize::try_from(bytes).unwrap_or(isize::MAX / 2), Relaxed);
    }
}

// Safety: it is the system's own; only sizes are counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::add(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::add(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::remove(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::add(size);
        Self::remove(layout.size());
        unsafe { System.realloc(pointer, layout, size) }
    }
}

thread_local! {
    /// Where this thread panicked last.
    static PANICKED: Cell<String> = const { Cell::new(String::new()) };
}

/// Takes the place of libFuzzer's hook, which ends the process at every panic: those that the
/// library catches, because a crate below it panics over bad input, are no fault.
pub fn quiet_panics() {
    panic::set_hook(Box::new(|info| {
        PANICKED.set(format!("{info}\n{}", trace()));
    }));
}

/// Allows the input that is being read `bytes` more, for a reason that its target gives.
pub fn allow_memory(bytes: usize) {
    MOST.fetch_add(isize::try_from(bytes).unwrap_or(0), Relaxed);
}

/// Allows the input that is being read more seconds, for a reason that its target gives.
pub fn allow_seconds(seconds: f64) {
    MORE_TIME.fetch_add((seconds * 1000.0) as isize, Relaxed);
}

/// Whether an input is being read.
pub fn is_reading() -> bool {
    READING.load(Relaxed)
}

/// Runs `work` on an input of this length within the limits.
pub fn held(length: usize, work: impl FnOnce()) {
    let allowed = MEMORY + MEMORY_A_BYTE * length as isize;
    MORE_TIME.store(0, Relaxed);
    let before = processor_seconds();
    MOST.store(LIVE.load(Relaxed) + allowed, Relaxed);
    READING.store(true, Relaxed);
    let ended = panic::catch_unwind(AssertUnwindSafe(work));
    READING.store(false, Relaxed);
    MOST.store(isize::MAX, Relaxed);
    if ended.is_err() {
        fail(&format!("this input makes it panic: {}", PANICKED.take()));
    }
    let seconds = processor_seconds() - before;
    let more = MORE_TIME.load(Relaxed) as f64 / 1000.0;
    let most = SECONDS * (1.0 + (length >> 20) as f64) + more;
    if seconds > most {
        fail(&format!("this input takes {seconds:.2} s, and {most:.2} s are allowed"));
    }
}

/// Seconds that all threads of this process have computed: what else the machine does is not
/// counted.
fn processor_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // Safety: it fills the structure it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Ends the process: libFuzzer keeps the input then.
pub fn fail(what: &str) -> ! {
    READING.store(false, Relaxed);
    eprintln!("limit: {what}");
    eprintln!("{}", trace());
    scratch::remove();
    process::abort()
}

/// Where the program is, if [`TRACE`] is set: it takes long and opens the program's own file.
fn trace() -> String {
    if std::env::var_os(TRACE).is_none() {
        return String::new();
    }
    let reading = READING.swap(false, Relaxed);
    let trace = std::backtrace::Backtrace::force_capture().to_string();
    READING.store(reading, Relaxed);
    trace
}

//! What a header claims must cost nothing: every field of every kind of file, set to a large
//! number, with all memory counted.

#![allow(unsafe_code)] // an allocator is

#[path = "common/data.rs"]
mod data;

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use data::test_data;
use genre_transfer::audio::Decoder;

/// Bytes that a recording of a few seconds may take.
const MOST: usize = 100 << 20;

/// Bytes of a file in which headers stand.
const HEADERS: usize = 400;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: all is left to the system's allocator; what is counted besides changes no pointer.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most memory that decoding `bytes` takes at a time.
fn cost(bytes: &[u8]) -> usize {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    if let Ok(mut decoder) = Decoder::of_bytes(bytes, Path::new("x")) {
        let mut block = vec![];
        while decoder.read(&mut block).unwrap_or(false) {
            block.clear();
        }
    }
    PEAK.load(Ordering::Relaxed) - before
}

fn files() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let names = ["mp3", "flac", "ogg", "m4a", "aac", "aiff"].map(|end| format!("sine1k.{end}"));
    let mut files: Vec<PathBuf> = names.iter().map(|name| fixtures.join(name)).collect();
    files.extend(["sine1k_mulaw.wav", "sine1k_opus.ogg"].map(|name| fixtures.join(name)));
    for folder in test_data()
        .into_iter()
        .flat_map(|data| ["audio", "fuzz"].map(|f| data.join("cases").join(f)))
    {
        files.extend(std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    files
}

#[test]
fn no_field_of_a_header_allocates() {
    let mut faults = vec![];
    for path in files() {
        let mut bytes = std::fs::read(&path).unwrap();
        let plain = cost(&bytes);
        if plain > MOST {
            faults.push(format!("{}: {plain} as it is", path.display()));
        }
        // Enough of it to get beyond the headers.
        bytes.truncate(6_000);
        for at in 0..bytes.len().saturating_sub(8).min(HEADERS) {
            for value in [0x7fff_ffffu32.to_be_bytes(), 0x7fff_ffffu32.to_le_bytes()] {
                let kept: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
                bytes[at..at + 4].copy_from_slice(&value);
                let cost = cost(&bytes);
                if cost > MOST {
                    faults.push(format!("{}: {cost} with {value:x?} at {at}", path.display()));
                }
                bytes[at..at + 4].copy_from_slice(&kept);
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

//! No file is opened outside a target's own folder.

use std::ffi::{CStr, c_char, c_int};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::limits;
use crate::scratch;

/// Whether a target lets inputs name files elsewhere: a playlist and a list of recordings may.
static ANYWHERE: AtomicBool = AtomicBool::new(false);

/// What the system says of itself; the standard library asks how many cores there are.
const SYSTEM: [&[u8]; 3] = [b"/proc/", b"/sys/", b"/dev/null"];

/// Lets this target's inputs name files anywhere.
pub fn allow_anywhere() {
    ANYWHERE.store(true, Relaxed);
}

/// In place of libc's, which the standard library calls for every file: it ends the process where
/// an input leads outside.
///
/// # Safety
/// As libc's: `path` ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: libc::mode_t) -> c_int {
    if limits::is_reading() && !ANYWHERE.load(Relaxed) {
        // Safety: the caller's promise.
        let name = unsafe { CStr::from_ptr(path) }.to_bytes();
        let is_ours = SYSTEM.iter().any(|start| name.starts_with(start)) || is_runtime(name);
        if !is_inside(name) && !is_ours {
            limits::fail(&format!("this input opens {}", name.escape_ascii()));
        }
    }
    // Safety: as the caller's.
    let opened = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags, mode) };
    opened as c_int
}

/// Whether it is ONNX Runtime, whose headers are read before it is loaded, or the file that names its
/// version; no input names them.
fn is_runtime(name: &[u8]) -> bool {
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    file.starts_with(b"libonnxruntime.") || name.ends_with(b"/.onnxruntime/VERSION")
}

/// Whether `name` lies in the folder, or is a relative name that stays there.
fn is_inside(name: &[u8]) -> bool {
    let text = String::from_utf8_lossy(name);
    let path = Path::new(text.as_ref());
    let leaves = path.components().any(|part| part == std::path::Component::ParentDir);
    !leaves && (path.is_relative() || path.starts_with(scratch::folder()))
}

//! The folder that a target writes its input to: most readers are given a path.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The folder of this process, in memory where there is such a place. It is the working folder
/// too, so that caches lie in it.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let above = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let folder = above.join(format!("genre-transfer-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder to work in");
        std::env::set_current_dir(&folder).expect("a folder to work in");
        // Safety: it only registers a function.
        unsafe { libc::atexit(remove) };
        folder
    })
}

/// Removes it; nothing is to be read after that.
pub extern "C" fn remove() {
    let _ = fs::remove_dir_all(folder());
}

/// Writes `data` as the file `name` of the folder.
pub fn file(name: &str, data: &[u8]) -> PathBuf {
    let path = folder().join(name);
    if let Some(above) = path.parent() {
        fs::create_dir_all(above).expect("a folder to work in");
    }
    fs::write(&path, data).expect("a file to read");
    path
}

/// Removes the folder `name` in it and all that is inside.
pub fn clear(name: &str) {
    let _ = fs::remove_dir_all(folder().join(name));
}

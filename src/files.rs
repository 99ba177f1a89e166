//! Files that are either whole or absent: written beside their place, then renamed.

use std::borrow::Cow;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempDir};

use crate::error::{Error, Result};

/// Writes `bytes` to `path` through a temporary file in the same folder, so that
/// a reader, a crash or a full disk never sees half a file.
///
/// # Errors
/// [`Error::Io`] naming `path`; what stood there before stays as it was.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = part_beside(path, "")?;
    file.write_all(bytes).map_err(Error::io(path))?;
    file.as_file().sync_all().map_err(Error::io(path))?;
    file.persist(path).map_err(|e| Error::io(path)(e.error))?;
    Ok(())
}

/// A temporary file in the folder of `path`, so that renaming it there is one step;
/// it is removed unless persisted.
///
/// # Errors
/// [`Error::Io`] naming `path` if the folder cannot be written to.
pub(crate) fn part_beside(path: &Path, suffix: &str) -> Result<NamedTempFile> {
    let folder = folder_of(path);
    check_folder(folder, path)?;
    let mut builder = tempfile::Builder::new();
    // The crate's default is 0600; what we publish should follow the umask as any file does.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.prefix(".part-").suffix(suffix).tempfile_in(folder).map_err(plain(path))
}

/// Refuses an output that is one of the inputs and would replace it.
///
/// # Errors
/// [`Error::Occupied`] naming the file.
pub fn check_output<'a>(output: &Path, inputs: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    let Ok(there) = output.canonicalize() else { return Ok(()) };
    if inputs.into_iter().any(|input| input.canonicalize().is_ok_and(|input| input == there)) {
        let advice = "this file is read and would be replaced; name another to write";
        Err(Error::occupied(output, advice))
    } else {
        Ok(())
    }
}

/// Refuses `paths` that no text, such as a JSON file, can name. They are given by `option`, or by
/// none.
///
/// # Errors
/// Naming the first that is not Unicode: [`Error::OutOfRange`] with an option,
/// [`Error::Unsupported`] without.
pub(crate) fn check_unicode<'a>(
    option: Option<&'static str>,
    paths: impl IntoIterator<Item = &'a Path>,
) -> Result<()> {
    let Some(path) = paths.into_iter().find(|path| path.to_str().is_none()) else {
        return Ok(());
    };
    let advice = "the name is not valid Unicode; rename it";
    Err(match option {
        Some(option) => Error::out_of_range(option, path.display(), advice),
        None => Error::unsupported(path, advice),
    })
}

/// Whether the name begins with a dot.
#[must_use]
pub(crate) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// What the name has behind its last dot, in lower case; nothing if there is none.
#[must_use]
pub(crate) fn ending(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// Whether the name ends with a dot and one of `extensions`, in whatever case.
#[must_use]
pub(crate) fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    extensions.iter().any(|e| e.eq_ignore_ascii_case(extension))
}

/// The path as text that no other path has: what is no Unicode becomes `\xNN` for each byte, and
/// in a name that holds such, or looks as if it did, a backslash becomes `\x5c`.
#[must_use]
pub(crate) fn shown(path: &Path) -> Cow<'_, str> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let is_escape =
        |window: &[u8]| window.starts_with(b"\\x") && window[2..].iter().all(u8::is_ascii_hexdigit);
    match path.to_str() {
        Some(text) if !bytes.windows(4).any(is_escape) => Cow::Borrowed(text),
        _ => {
            let mut text = String::new();
            for chunk in bytes.utf8_chunks() {
                text += &chunk.valid().replace('\\', "\\x5c");
                chunk.invalid().iter().for_each(|byte| text += &format!("\\x{byte:02x}"));
            }
            Cow::Owned(text)
        }
    }
}

/// The bytes of the file at `path` without a mark in front; UTF-16, known by its mark, as UTF-8.
///
/// # Errors
/// [`Error::Format`] if it begins like UTF-16 and is none.
pub(crate) fn as_utf8(path: &Path, bytes: Vec<u8>) -> Result<Vec<u8>> {
    let units = |rest: &[u8], unit: fn([u8; 2]) -> u16| -> Result<Vec<u8>> {
        let pairs = rest.chunks_exact(2);
        let whole = pairs.remainder().is_empty();
        let units = pairs.map(|pair| unit([pair[0], pair[1]]));
        match char::decode_utf16(units).collect::<std::result::Result<String, _>>() {
            Ok(text) if whole => Ok(text.into_bytes()),
            _ => Err(Error::format(path, "it begins like UTF-16 text, but is none")),
        }
    };
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => units(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => Ok(rest.to_vec()),
        _ => Ok(bytes),
    }
}

/// A temporary folder beside `folder`, so that renaming it to that is one step; it is removed
/// with all that is in it unless renamed.
///
/// # Errors
/// [`Error::Io`] naming `folder` if its parent cannot be written to.
pub(crate) fn folder_beside(folder: &Path) -> Result<TempDir> {
    let parent = folder_of(folder);
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    check_folder(parent, folder)?;
    builder.prefix(".part-").tempdir_in(parent).map_err(plain(folder))
}

/// Makes `folder` by `fill`, whole or not at all, unless it is there: what is in it depends on its
/// name alone, and another process may make it in the meantime.
///
/// # Errors
/// [`Error::Io`] if it cannot be made, and those of `fill`.
pub(crate) fn folder_once(folder: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    create_dir(folder_of(folder))?;
    let whole = folder_beside(folder)?;
    fill(whole.path())?;
    sync_folder(whole.path())?;
    match fs::rename(whole.path(), folder) {
        Err(_) if folder.is_dir() => Ok(()),
        renamed => renamed.map_err(Error::io(folder)),
    }
}

/// Brings all that is in `folder` to the disk, so that a power cut after it is renamed leaves no empty
/// files in it.
///
/// # Errors
/// [`Error::Io`] naming the file.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.map_err(|error| Error::io(folder)(error.into()))?;
        if entry.file_type().is_file() {
            let file = fs::File::open(entry.path());
            file.and_then(|file| file.sync_all()).map_err(Error::io(entry.path()))?;
        }
    }
    Ok(())
}

/// Puts the folder `whole`, which stands beside it, in the place of `folder` and of all that is in
/// that. Where the file system can swap two names, a kill at any moment leaves the one or the other.
///
/// # Errors
/// [`Error::Io`]; what stood there before is there again.
pub(crate) fn replace_folder(whole: &Path, folder: &Path) -> Result<()> {
    if !folder.exists() {
        return fs::rename(whole, folder).map_err(Error::io(folder));
    }
    if swap(whole, folder).is_ok() {
        // What is called `whole` now is the old one, a temporary folder's.
        return Ok(());
    }
    let beside = folder_beside(folder)?;
    let old = beside.path().join("replaced");
    fs::rename(folder, &old).map_err(Error::io(folder))?;
    fs::rename(whole, folder).map_err(|error| {
        let undone = fs::rename(&old, folder);
        Error::io(folder)(undone.err().unwrap_or(error))
    })
}

/// An error about something in the temporary folder `whole` as one about `folder`, which it will be.
pub(crate) fn name_folder(error: Error, whole: &Path, folder: &Path) -> Error {
    match error {
        Error::Io { path, source } => match path.strip_prefix(whole) {
            Ok(inside) => Error::Io { path: folder.join(inside), source },
            Err(_) => Error::Io { path, source },
        },
        other => other,
    }
}

/// Swaps two names in one step.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn swap(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn swap(_: &Path, _: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// The folder that `path` is in: the working directory for a bare name.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Refuses a `path` whose `folder` does not exist.
fn check_folder(folder: &Path, path: &Path) -> Result<()> {
    let missing = || format!("there is no folder {}", folder.display());
    if folder.is_dir() {
        Ok(())
    } else {
        Err(Error::io(path)(io::Error::new(ErrorKind::NotFound, missing())))
    }
}

/// An error about `path` without the name of the temporary file, which the user never gave.
fn plain(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::io(path)(error.kind().into())
}

/// Writes `value` as indented JSON with a closing newline, whole or not at all.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).map_err(|e| Error::format(path, e))?;
    text.push('\n');
    write(path, text.as_bytes())
}

/// Reads a JSON file into `T`.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::Format`] with line and column if
/// it is not what `T` needs.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    // Some editors begin a file with a byte order mark.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    serde_json::from_slice(text).map_err(|e| Error::format(path, e))
}

/// The SHA-256 of the file at `path`, in lower-case hexadecimal.
///
/// # Errors
/// [`Error::Io`] if it cannot be read.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path).map_err(Error::io(path))?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 16];
    loop {
        match file.read(&mut block).map_err(Error::io(path))? {
            0 => return Ok(hex(&hasher.finalize())),
            count => hasher.update(&block[..count]),
        }
    }
}

/// Bytes in lower-case hexadecimal.
#[must_use]
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Creates `folder` and its parents.
///
/// # Errors
/// [`Error::Io`] naming the folder.
pub(crate) fn create_dir(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::io(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_takes_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a");
        for text in ["one", "two"] {
            let whole = folder_beside(&place).unwrap();
            fs::write(whole.path().join(text), text).unwrap();
            replace_folder(whole.path(), &place).unwrap();
            drop(whole);
            let names = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name());
            assert_eq!(names.collect::<Vec<_>>(), [text]);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_scraps() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write(&path, b"old").unwrap();
        let blocked = dir.path().join("missing/a.json");
        assert!(matches!(write(&blocked, b"new"), Err(Error::Io { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn json_errors_say_where() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write(&path, b"{\n  \"x\": tru\n}").unwrap();
        let error = read_json::<serde_json::Value>(&path).unwrap_err().to_string();
        assert!(error.contains("a.json") && error.contains("line"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn no_two_names_look_alike() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        for (name, text) in [
            (&b"a\\b/\xc3\xa4.wav"[..], r"a\b/ä.wav"),
            (b"\xe4.wav", r"\xe4.wav"),
            (b"\xf6.wav", r"\xf6.wav"),
            (br"\xe4.wav", r"\x5cxe4.wav"),
            (b"\\\xe4", r"\x5c\xe4"),
        ] {
            assert_eq!(shown(Path::new(OsStr::from_bytes(name))), text);
        }
    }

    #[cfg(unix)]
    #[test]
    fn names_that_text_cannot_hold_are_refused_with_their_option() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(OsStr::from_bytes(b"\xff.wav"));
        let text = |option| check_unicode(option, [Path::new("a"), path]).unwrap_err().to_string();
        assert_eq!(
            text(Some("data")),
            "‹data› \u{fffd}.wav: the name is not valid Unicode; rename it"
        );
        assert_eq!(text(None), "\u{fffd}.wav: the name is not valid Unicode; rename it");
        check_unicode(None, [Path::new("ä")]).unwrap();
    }
}

//! Playlists: M3U, PLS and XSPF.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files::{self, has_extension};

/// Endings of playlists, in lower case.
pub(super) const EXTENSIONS: &[&str] = &["m3u8", "m3u", "pls", "xspf"];

/// What a playlist names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A file.
    File(PathBuf),
    /// Something on the network.
    Address(String),
}

/// The entries of the playlist at `path`, in their order; relative ones lie beside it.
///
/// # Errors
/// [`Error::Io`] if it cannot be read; [`Error::Format`] if it is cut off or no text.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    let text = &files::as_utf8(path, bytes)?[..];
    let places = match () {
        () if has_extension(path, &["xspf"]) => {
            if !text.windows(11).any(|end| end == b"</playlist>") {
                return Err(Error::format(path, "its end is missing; save the playlist again"));
            }
            locations(text)
        }
        () if has_extension(path, &["pls"]) => lines(text).filter_map(pls).collect(),
        () => lines(text).filter(|line| !line.starts_with(b"#")).map(<[u8]>::to_vec).collect(),
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let places = places.into_iter().filter(|place| !place.is_empty());
    Ok(places.map(|place| entry(folder, place)).collect())
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii)
}

/// The place in a line such as `File1=song.mp3`.
fn pls(line: &[u8]) -> Option<Vec<u8>> {
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&line[..equals], &line[equals + 1..]);
    let number = key.get(4..)?;
    let is_file = key[..4].eq_ignore_ascii_case(b"file") && number.iter().all(u8::is_ascii_digit);
    is_file.then(|| value.trim_ascii().to_vec())
}

/// What stands in the elements `location` of the tracks.
fn locations(text: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(text);
    let tracks = text.split_once("<trackList").map_or("", |(_, tracks)| tracks);
    let inside = |part: &str| {
        let place = part.split_once('>')?.1.split_once("</")?.0.trim();
        let place = place.strip_prefix("<![CDATA[").map_or(place, |p| p.trim_end_matches("]]>"));
        let plain =
            [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
        let place = plain.iter().fold(place.to_owned(), |p, (code, sign)| p.replace(code, sign));
        // What is a file's address is unescaped as one, below.
        let is_address = place.contains("://");
        Some(if is_address { place.into_bytes() } else { unescaped(place.as_bytes()) })
    };
    tracks.split("<location").skip(1).filter_map(inside).collect()
}

/// Bytes with `%20` and the like replaced.
fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let (mut plain, mut at) = (vec![], 0);
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                plain.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    plain
}

/// The file or address that a playlist in `folder` means by `place`.
fn entry(folder: &Path, place: Vec<u8>) -> Entry {
    let scheme = place.windows(3).position(|window| window == b"://");
    let place = match scheme {
        Some(4) if place[..4].eq_ignore_ascii_case(b"file") => {
            let path = unescaped(&place[7..]);
            path.strip_prefix(b"localhost").unwrap_or(&path).to_vec()
        }
        Some(length) if place[..length].iter().all(u8::is_ascii_alphanumeric) => {
            return Entry::Address(String::from_utf8_lossy(&place).into_owned());
        }
        _ => place,
    };
    let slashes =
        |place: &[u8]| place.iter().map(|b| if *b == b'\\' { b'/' } else { *b }).collect();
    let latin: String = place.iter().map(|byte| char::from(*byte)).collect();
    // As it stands; as Windows writes it; as older players encode it.
    let readings =
        [place.clone(), slashes(&place), latin.clone().into_bytes(), slashes(latin.as_bytes())];
    let paths = readings.map(|reading| folder.join(path(reading)));
    let there = paths.iter().find(|path| path.exists()).unwrap_or(&paths[0]);
    Entry::File(there.clone())
}

#[cfg(unix)]
fn path(bytes: Vec<u8>) -> PathBuf {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn path(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries of a playlist beside `a b.mp3` and `sub/ä.mp3`, by name.
    fn entries(name: &str, text: &[u8]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        fs::write(folder.path().join("a b.mp3"), "").unwrap();
        fs::write(folder.path().join("sub/ä.mp3"), "").unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let shown = |entry| match entry {
            Entry::File(path) => {
                path.strip_prefix(folder.path()).unwrap_or(&path).display().to_string()
            }
            Entry::Address(address) => format!("<{address}>"),
        };
        read(&path).unwrap().into_iter().map(shown).collect()
    }

    #[test]
    fn every_form_of_playlist_names_the_same_files() {
        let both = ["a b.mp3", "sub/ä.mp3"];
        let m3u = "\u{feff}#EXTM3U\r\n#EXTINF:1,A\r\na b.mp3\r\n\r\nsub/ä.mp3\r\n";
        assert_eq!(entries("l.m3u8", m3u.as_bytes()), both);
        assert_eq!(entries("l.m3u", b"a b.mp3\nsub\\\xe4.mp3\n"), both);
        let pls = "[playlist]\nFile1=a b.mp3\nTitle1=A\nfile2=sub/ä.mp3\nNumberOfEntries=2\n";
        assert_eq!(entries("l.pls", pls.as_bytes()), both);
        let xspf = "<playlist><location>x</location><trackList><track><location>a%20b.mp3</location>\
            <title>A</title></track><track><location>sub/%C3%A4.mp3</location></track></trackList></playlist>";
        assert_eq!(entries("l.xspf", xspf.as_bytes()), both);
        let utf16 = m3u.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        assert_eq!(entries("l.m3u", &utf16), both);
    }

    #[test]
    fn a_playlist_that_is_cut_off_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.xspf");
        fs::write(&path, "<playlist><trackList><track><location>a.mp3</location>").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("l.xspf: its end is missing"), "{error}");
    }

    #[test]
    fn what_lies_elsewhere_is_told_apart() {
        let given =
            entries("l.m3u", b"http://example.com/x.mp3\nfile:///music/a%20b.mp3\nno.mp3\n/b.mp3");
        assert_eq!(given, ["<http://example.com/x.mp3>", "/music/a b.mp3", "no.mp3", "/b.mp3"]);
    }
}

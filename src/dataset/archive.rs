//! Collections in an archive, as they are downloaded: unpacked once into the cache.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::error::{Error, Result};
use crate::files;
use crate::interrupt;
use crate::progress;

/// Where archives are unpacked.
const CACHE: &str = "data/cache/archives";

/// The most that an archive may hold: one that says more is damaged, or made to fill a disk.
const MOST_BYTES: u64 = 1 << 38;

/// The most entries that an archive may have.
const MOST_ENTRIES: usize = 10_000_000;

/// What an archive is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tar,
    TarGz,
    Zip,
}

impl Kind {
    fn of(path: &Path) -> Result<Option<Self>> {
        let mut head = vec![];
        let file = File::open(path).map_err(Error::io(path))?;
        file.take(512).read_to_end(&mut head).map_err(Error::io(path))?;
        Ok(match head.as_slice() {
            [0x1f, 0x8b, ..] => Some(Self::TarGz),
            [b'P', b'K', 3, 4, ..] => Some(Self::Zip),
            _ if head.get(257..262) == Some(b"ustar") => Some(Self::Tar),
            _ => None,
        })
    }
}

/// The folder with what the archive at `path` holds; none if it is no archive. It is unpacked
/// into the cache unless it was before: the same bytes are the same folder.
///
/// # Errors
/// [`Error::Io`] if it cannot be read or unpacked; [`Error::Format`] if it is damaged, or names
/// places outside itself.
pub(super) fn unpacked(path: &Path) -> Result<Option<PathBuf>> {
    unpacked_in(Path::new(CACHE), path)
}

fn unpacked_in(cache: &Path, path: &Path) -> Result<Option<PathBuf>> {
    let Some(kind) = Kind::of(path)? else { return Ok(None) };
    let folder = cache.join(files::sha256(path)?);
    files::folder_once(&folder, |whole| {
        tracing::info!("unpacking {} into {}", path.display(), cache.display());
        let mut file = BufReader::new(File::open(path).map_err(Error::io(path))?);
        if kind == Kind::Tar {
            check_end(path, &mut file)?;
        }
        match kind {
            Kind::Tar => tar(path, file, whole),
            Kind::TarGz => tar(path, MultiGzDecoder::new(file), whole),
            Kind::Zip => zip(path, file, whole),
        }
    })?;
    Ok(Some(folder))
}

fn damaged(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::format(
        path,
        format!("the archive cannot be unpacked: {error}; get it again, or give a folder"),
    )
}

/// Refuses a tar without its last block of zeros: one that was cut between two files would pass for
/// a whole one. (A gzip stream has a sum of its own.)
fn check_end(path: &Path, file: &mut (impl Read + Seek)) -> Result<()> {
    let mut last = vec![];
    let found = file.seek(SeekFrom::End(-512)).and_then(|_| file.read_to_end(&mut last));
    if found.is_err() || last.iter().any(|byte| *byte != 0) {
        return Err(damaged(path, "its end is missing"));
    }
    file.rewind().map_err(Error::io(path))
}

/// What an archive has given so far.
#[derive(Default)]
struct Given {
    bytes: u64,
    entries: usize,
}

impl Given {
    fn add(&mut self, path: &Path, bytes: u64) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries += 1;
        if self.bytes > MOST_BYTES || self.entries > MOST_ENTRIES {
            return Err(damaged(path, "it says to hold more than a disk does"));
        }
        Ok(())
    }
}

fn tar(path: &Path, reader: impl Read, folder: &Path) -> Result<()> {
    let mut archive = tar::Archive::new(reader);
    let bar = progress::begin(0, "Unpacking", "files");
    let mut given = Given::default();
    for entry in archive.entries().map_err(|error| damaged(path, error))? {
        let mut entry = entry.map_err(|error| damaged(path, error))?;
        given.add(path, entry.size())?;
        interrupt::check("nothing was kept of the archive")?;
        let kind = entry.header().entry_type();
        if kind.is_symlink() {
            let name = entry.path().map(|name| name.display().to_string()).unwrap_or_default();
            tracing::warn!("{}: the link \"{name}\" is left out", path.display());
        } else if kind.is_dir() {
            // Made with the files in them: a folder of its own mode may not be written to.
        } else if kind.is_file()
            || kind.is_contiguous()
            || kind.is_gnu_sparse()
            || kind.is_hard_link()
        {
            let name = entry.path().map(|name| name.display().to_string()).unwrap_or_default();
            // It refuses to write outside the folder.
            match entry.unpack_in(folder) {
                Ok(true) => bar.advance(1),
                Ok(false) => {
                    return Err(damaged(path, format!("\"{name}\" lies outside of it")));
                }
                Err(error) => return Err(damaged(path, error)),
            }
        } else {
            tracing::warn!(
                "{}: an entry that is neither file nor folder is left out",
                path.display()
            );
        }
    }
    Ok(())
}

fn zip(path: &Path, reader: impl Read + Seek, folder: &Path) -> Result<()> {
    let mut archive = zip::ZipArchive::new(reader).map_err(|error| damaged(path, error))?;
    let bar = progress::begin(archive.len(), "Unpacking", "files");
    let mut given = Given::default();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| damaged(path, error))?;
        given.add(path, entry.size())?;
        interrupt::check("nothing was kept of the archive")?;
        let stated = entry.size();
        let Some(name) = entry.enclosed_name() else {
            let name = entry.name().unwrap_or_default();
            return Err(damaged(path, format!("\"{name}\" lies outside of it")));
        };
        let place = folder.join(name);
        if entry.is_dir() {
            std::fs::create_dir_all(&place).map_err(Error::io(&place))?;
        } else if entry.is_file() {
            let above = place.parent().unwrap_or(folder);
            std::fs::create_dir_all(above).map_err(Error::io(above))?;
            let mut file = File::create(&place).map_err(Error::io(&place))?;
            let mut inside = entry.take(stated.saturating_add(1));
            let copied = std::io::copy(&mut inside, &mut file);
            if copied.map_err(|error| damaged(path, error))? > stated {
                return Err(damaged(path, "a file in it is longer than it says"));
            }
        } else {
            tracing::warn!("{}: the link {} is left out", path.display(), place.display());
        }
        bar.advance(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const FILES: [(&str, &str); 2] =
        [("genres/jazz/a.wav", "first"), ("genres/rock/b.wav", "second")];

    fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(vec![]);
        for (name, text) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            // Not by the header's own function, which refuses what a bad archive may hold.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, text.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(vec![], Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zip_of(files: &[(&str, &str)]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
        for (name, text) in files {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// What comes of an archive with these bytes.
    fn unpack(bytes: &[u8]) -> (tempfile::TempDir, Result<Option<PathBuf>>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("genres.archive");
        std::fs::write(&path, bytes).unwrap();
        let found = unpacked_in(&folder.path().join("cache"), &path);
        (folder, found)
    }

    #[test]
    fn archives_of_every_kind_are_unpacked_once() {
        let tar = tar_of(&FILES);
        for bytes in [tar.clone(), gz(&tar), zip_of(&FILES)] {
            let (folder, found) = unpack(&bytes);
            let found = found.unwrap().unwrap();
            for (name, text) in FILES {
                assert_eq!(std::fs::read_to_string(found.join(name)).unwrap(), text);
            }
            std::fs::write(found.join("mark"), "").unwrap();
            let cache = folder.path().join("cache");
            let again = unpacked_in(&cache, &folder.path().join("genres.archive"));
            assert!(again.unwrap().unwrap().join("mark").exists());
            assert_eq!(std::fs::read_dir(cache).unwrap().count(), 1);
        }
        assert!(unpack(b"no archive").1.unwrap().is_none());
    }

    #[test]
    fn damaged_and_hostile_archives_leave_nothing_behind() {
        let tar = gz(&tar_of(&FILES));
        let zip = zip_of(&FILES);
        let outside = [("../evil.wav", "x")];
        for bytes in [
            tar_of(&FILES)[..1024].to_vec(),
            tar[..tar.len() / 2].to_vec(),
            zip[..zip.len() - 30].to_vec(),
            tar_of(&outside),
            zip_of(&outside),
            gz(b"text"),
        ] {
            let (folder, found) = unpack(&bytes);
            let error = found.unwrap_err().to_string();
            assert!(error.contains("genres.archive: the archive cannot be unpacked"), "{error}");
            assert_eq!(std::fs::read_dir(folder.path().join("cache")).unwrap().count(), 0);
            assert!(!folder.path().join("evil.wav").exists());
        }
    }
}

//! What the tags of recordings say of them.

use std::path::Path;

use lofty::config::ParseOptions;
use lofty::file::TaggedFileExt;
use lofty::probe::Probe;
use lofty::tag::ItemKey;
use rayon::prelude::*;

use super::collection::Dataset;
use crate::panics::caught;
use crate::text::composed;

/// What can be read from tags.
fn item(fact: &str) -> Option<ItemKey> {
    Some(match fact {
        "artist" => ItemKey::TrackArtist,
        "album" => ItemKey::AlbumTitle,
        _ => return None,
    })
}

impl Dataset {
    /// Reads `artist` or `album` from the tags of those recordings that have such; how many.
    #[doc(hidden)]
    pub fn read_tags(&mut self, fact: &str) -> usize {
        let Some(key) = item(fact) else { return 0 };
        let read = |track: &mut super::collection::Track| {
            let found = tag(&track.path, key);
            let is_there = found.is_some();
            track.facts.extend(found.map(|value| (fact.to_owned(), value)));
            usize::from(is_there)
        };
        self.tracks.par_iter_mut().map(read).sum()
    }
}

/// What the tags of the file at `path` say under `key`; none of one that cannot be read.
fn tag(path: &Path, key: ItemKey) -> Option<String> {
    // Over a damaged file it may panic; the recording then is one without tags.
    caught(|| read_tag(path, key)).ok()?
}

fn read_tag(path: &Path, key: ItemKey) -> Option<String> {
    let options = ParseOptions::new().read_properties(false).read_cover_art(false);
    let probe = Probe::open(path).ok()?.options(options).guess_file_type().ok()?;
    let file = probe.read().ok()?;
    let found = file.tags().iter().find_map(|tag| tag.get_string(key))?;
    let found = composed(found.trim());
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lofty::config::WriteOptions;
    use lofty::tag::{Tag, TagExt, TagType};

    use super::*;

    #[test]
    fn tags_of_every_kind_group_recordings() {
        let folder = tempfile::tempdir().unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let kinds = [
            ("mp3", TagType::Id3v2),
            ("flac", TagType::VorbisComments),
            ("ogg", TagType::VorbisComments),
            ("m4a", TagType::Mp4Ilst),
        ];
        for genre in ["a", "b"] {
            fs::create_dir(folder.path().join(genre)).unwrap();
            for (ending, kind) in kinds {
                let path = folder.path().join(genre).join(format!("{genre}.{ending}"));
                fs::copy(fixtures.join(format!("sine1k.{ending}")), &path).unwrap();
                let mut tag = Tag::new(kind);
                tag.insert_text(ItemKey::TrackArtist, format!(" Bjo\u{308}rk {genre} "));
                tag.save_to_path(&path, WriteOptions::default()).unwrap();
            }
            let untagged = folder.path().join(genre).join("z.wav");
            fs::write(untagged, "no recording").unwrap();
        }
        let mut set = Dataset::scan(folder.path(), &["mp3", "flac", "ogg", "m4a", "wav"]).unwrap();
        assert_eq!(set.read_tags("bpm"), 0);
        assert_eq!(set.read_tags("artist"), 8);
        set.group_by("Artist").unwrap();
        let groups: Vec<Option<&str>> = set.tracks.iter().map(|t| t.group.as_deref()).collect();
        let (a, b) = (Some("Bj\u{f6}rk a"), Some("Bj\u{f6}rk b"));
        assert_eq!(groups, [a, a, a, a, None, b, b, b, b, None]);
    }
}

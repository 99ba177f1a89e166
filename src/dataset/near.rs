//! Recordings that sound alike: one song in two formats, at two levels, cut by a second.

use std::fs;
use std::path::Path;

use rayon::prelude::*;

use super::collection::{Dataset, Track};
use super::fingerprint::Fingerprint;
use super::groups::Together;
use crate::error::Result;
use crate::{files, interrupt, progress};

/// Changed whenever fingerprints do.
const CACHE_VERSION: &str = "1";

/// Recordings of a collection that sound alike.
#[derive(Debug, Default)]
pub struct Near {
    /// Pairs of indices, ascending; copies that are known to be equal are in none.
    pub pairs: Vec<[usize; 2]>,
    /// Recordings that could not be compared: too short, or the same throughout.
    pub not_compared: usize,
}

impl Dataset {
    /// Listens to all recordings and marks those that sound alike, so that every split drawn from
    /// now on has them on one side. Fingerprints are kept in the folder `cache`.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::error::Error::Interrupted) on Ctrl-C; a recording that cannot
    /// be read is one that cannot be compared.
    pub(crate) fn find_near_copies(&mut self, cache: &Path) -> Result<Near> {
        let folder = cache.join(CACHE_VERSION);
        // Without it every entry fails to be written, and is made again.
        let _ = files::create_dir(&folder);
        let bar = progress::begin(self.tracks.len(), "looking for copies", "tracks");
        let listen = |track: &Track| {
            interrupt::check("run it again to go on")?;
            let found = fingerprint(track, &folder);
            bar.advance(1);
            Ok(found)
        };
        let prints: Vec<_> = self.tracks.par_iter().map(listen).collect::<Result<_>>()?;
        drop(bar);
        let pairs = self.pairs(&prints);
        self.mark(&pairs);
        let not_compared = prints.iter().filter(|print| print.is_none()).count();
        Ok(Near { pairs, not_compared })
    }

    /// The pairs that sound alike and are not known to be equal.
    fn pairs(&self, prints: &[Option<Fingerprint>]) -> Vec<[usize; 2]> {
        let with = |later: usize| {
            let print = prints[later].as_ref()?;
            let alike = |earlier: &usize| {
                let equal = self.tracks[*earlier].content == self.tracks[later].content;
                !equal && prints[*earlier].as_ref().is_some_and(|other| print.is_near(other))
            };
            Some((0..later).filter(alike).map(|earlier| [earlier, later]).collect::<Vec<_>>())
        };
        let mut pairs: Vec<[usize; 2]> =
            (0..prints.len()).into_par_iter().filter_map(with).flatten().collect();
        pairs.sort_unstable();
        pairs
    }

    /// Gives the tracks of each pair, and of pairs that share one, one mark: the id of the first.
    fn mark(&mut self, pairs: &[[usize; 2]]) {
        let mut together = Together::alone(self.tracks.len());
        pairs.iter().for_each(|[a, b]| together.join(*a, *b));
        for at in pairs.iter().flatten() {
            let first = together.first(*at);
            self.tracks[*at].alike = Some(self.tracks[first].id.clone());
        }
    }
}

/// That of a track, from the cache or made and put there.
fn fingerprint(track: &Track, folder: &Path) -> Option<Fingerprint> {
    let entry = folder.join(&track.sha256);
    if let Ok(bytes) = fs::read(&entry) {
        let (numbers, rest) = bytes.as_chunks::<4>();
        if rest.is_empty() {
            return Fingerprint::from_items(
                numbers.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect(),
            );
        }
    }
    let found = Fingerprint::of(&track.path).ok()?;
    let items = found.as_ref().map(Fingerprint::items).unwrap_or_default();
    let bytes: Vec<u8> = items.iter().flat_map(|item| item.to_le_bytes()).collect();
    let _ = files::write(&entry, &bytes);
    found
}

#[cfg(test)]
mod tests {
    use super::super::demo;
    use super::super::testing::plain;
    use super::*;
    use crate::audio::Audio;

    fn write(path: &Path, audio: &Audio) {
        let bits = 16;
        let (channels, sample_format) = (1, hound::SampleFormat::Int);
        let spec = hound::WavSpec {
            channels,
            sample_rate: audio.rate,
            bits_per_sample: bits,
            sample_format,
        };
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        for sample in &audio.samples {
            writer.write_sample((sample.clamp(-1.0, 1.0) * 32_767.0) as i16).unwrap();
        }
        writer.finalize().unwrap();
    }

    #[test]
    fn copies_at_another_level_cut_resampled_and_noisy_are_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let genre = |name: &str| {
            let path = folder.path().join("music").join(name);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let (a, b) = (genre("a"), genre("b"));
        let clip = demo::clip(0);
        let changed = |change: &dyn Fn(usize, f32) -> f32| {
            let samples = clip.samples.iter().enumerate().map(|(at, x)| change(at, *x)).collect();
            Audio { samples, rate: clip.rate }
        };
        write(&a.join("0.wav"), &clip);
        write(&b.join("0-quiet.wav"), &changed(&|_, x| x * 0.7));
        let noise = |at: usize| (at as u32).wrapping_mul(2_654_435_761) as f32 / u32::MAX as f32;
        write(&a.join("0-noisy.wav"), &changed(&|at, x| x + 0.02 * (noise(at) - 0.5)));
        let later = clip.samples[clip.rate as usize * 6 / 10..].to_vec();
        write(&b.join("0-cut.wav"), &Audio { samples: later, rate: clip.rate });
        write(&a.join("0-low.wav"), &clip.clone().resampled(16_000).unwrap());
        for other in 1..6 {
            write(&b.join(format!("{other}.wav")), &demo::clip(other));
        }
        let tone = |at: usize| (at as f32 * 0.1).sin() * 0.5;
        for name in ["tone", "same"] {
            write(&a.join(format!("{name}.wav")), &changed(&|at, _| tone(at)));
        }
        let mut set = Dataset::scan(&folder.path().join("music"), &["wav"]).unwrap();
        let cache = folder.path().join("cache");
        let near = set.find_near_copies(&cache).unwrap();
        let of_first = |at: &usize| set.tracks[*at].id[2..].starts_with('0');
        assert!(near.pairs.iter().flatten().all(of_first), "{:?}", near.pairs);
        assert_eq!((near.pairs.len(), near.not_compared), (5 * 4 / 2, 2));
        let again = set.find_near_copies(&cache).unwrap();
        assert_eq!(again.pairs, near.pairs);
    }

    #[test]
    fn pairs_that_share_a_track_are_one_group() {
        let mut set = plain(2, 5);
        set.mark(&[[0, 3], [1, 2], [3, 7], [2, 7], [4, 9]]);
        let marks: Vec<Option<&str>> =
            set.tracks.iter().map(|track| track.alike.as_deref()).collect();
        let (first, other) = (Some("g00/000.wav"), Some("g00/004.wav"));
        assert_eq!(marks, [first, first, first, first, other, None, None, first, None, other]);
    }
}

//! One of the collection's pictures as it is, and the intensities that are read from it.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use super::entry::Entry;
use super::spectrogram;
use crate::features::{PictureFrontEnd, Seen, Wanted};

/// A picture before and after its colour map was undone.
#[derive(Clone, Debug)]
pub(super) struct Example {
    /// The picture's path inside the collection.
    pub(super) name: String,
    /// The file as it is, a PNG.
    pub(super) before: Vec<u8>,
    /// Its width and height in pixels.
    pub(super) size: (u32, u32),
    /// The intensities inside the frame, a PNG of one channel.
    pub(super) after: Vec<u8>,
    /// Their columns and rows.
    pub(super) plot: (usize, usize),
    /// What it was recognized as.
    pub(super) seen: Seen,
}

/// The first picture, in one of `folders`, of a track that a run learned about from pictures;
/// none where there is no such run, or no picture that can be read.
pub(super) fn example(entries: &[Entry], folders: &[PathBuf]) -> Option<Example> {
    let runs = entries.iter().filter(|entry| entry.is_of_pictures);
    let mut tracks = runs.flat_map(|entry| &entry.predictions);
    tracks.find_map(|p| folders.iter().find_map(|folder| read(&p.track, folder)))
}

fn read(id: &str, folder: &Path) -> Option<Example> {
    let path = spectrogram::picture_path(id, folder)?;
    let before = fs::read(&path).ok()?;
    let size = png::Decoder::new(Cursor::new(&before)).read_info().ok()?.info().size();
    let like = PictureFrontEnd::like(&path, Wanted::Exactly(1), Wanted::Exactly(1), None).ok()?;
    let plot = (like.frames, like.rows);
    let (whole, seen) = PictureFrontEnd { mels: like.rows, ..like }.look(&path).ok()?;
    // The lowest band is the last row.
    let bands = whole.columns().into_iter().rev();
    let pixels: Vec<u8> = bands.flatten().map(|value| (value * 255.0).round() as u8).collect();
    let after = spectrogram::encode(&pixels, plot, png::ColorType::Grayscale).ok()?;
    let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
    Some(Example { name, before, size, after, plot, seen })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::magma;
    use crate::report::fixtures::{entry, given};
    use crate::run::Kind;

    /// Three columns and rows inside a frame and a margin.
    #[test]
    fn intensities_are_those_of_the_picture_without_margin_and_frame() {
        let folder = tempfile::tempdir().unwrap();
        let intensities = [[9, 80, 81], [0, 255, 254], [30, 128, 1]];
        let mut pixels = vec![255u8; 7 * 7 * 3];
        for y in 1..6 {
            for x in 1..6 {
                let inside = (2..5).contains(&y) && (2..5).contains(&x);
                let colour = if inside { magma(intensities[y - 2][x - 2]) } else { [20; 3] };
                pixels[(y * 7 + x) * 3..][..3].copy_from_slice(&colour);
            }
        }
        let picture = spectrogram::encode(&pixels, (7, 7), png::ColorType::Rgb).unwrap();
        fs::create_dir_all(folder.path().join("images_original/dub")).unwrap();
        fs::write(folder.path().join("images_original/dub/00.png"), &picture).unwrap();
        let mut entries = [entry("a", Kind::Cnn, &given(30, 0))];
        let folders = [folder.path().to_owned()];
        assert!(example(&entries, &folders).is_none(), "the run has learned from audio");
        entries[0].is_of_pictures = true;
        let example = example(&entries, &folders).unwrap();
        assert_eq!((example.size, example.plot), ((7, 7), (3, 3)));
        assert_eq!(example.seen.to_string(), "plot, colour map magma (residual 0.0 of 255)");
        assert_eq!((&*example.name, example.before), ("images_original/dub/00.png", picture));
        let mut reader = png::Decoder::new(Cursor::new(example.after)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, intensities.concat());
    }
}

//! What tracks look like, where the collection is at hand.

use std::fs;
use std::path::{Path, PathBuf};

use super::entry::Entry;
use crate::error::{Error, Result};
use crate::features::{FrontEnd, LogMel, PictureFrontEnd, Preprocessor, Wanted, magma};

/// Height of a picture in pixels, and its largest width.
const HEIGHT: usize = 96;
const WIDTH: usize = 480;

/// The log-mel picture of the track `id` as PNG, from its recording or its picture in one
/// of `folders`; none where there is neither, or it cannot be read.
pub(super) fn picture(id: &str, folders: &[PathBuf]) -> Option<Vec<u8>> {
    let log_mel = folders.iter().find_map(|folder| log_mel(id, folder).ok().flatten())?;
    png(&log_mel).ok()
}

fn log_mel(id: &str, folder: &Path) -> Result<Option<LogMel>> {
    let recording = ["genres_original", ""].map(|inside| folder.join(inside).join(id));
    if let Some(path) = recording.iter().find(|path| is_plain(id) && path.is_file()) {
        return Preprocessor::Audio(FrontEnd::spectrogram()).reader()?.read(path).map(Some);
    }
    match picture_path(id, folder) {
        Some(path) => PictureFrontEnd::like(&path, Wanted::Exactly(1), Wanted::Exactly(1), None)
            .and_then(|like| PictureFrontEnd { mels: like.rows.min(HEIGHT), ..like }.read(&path))
            .map(Some),
        None => Ok(None),
    }
}

/// The picture of the track `id` in `folder`, if there is one.
pub(super) fn picture_path(id: &str, folder: &Path) -> Option<PathBuf> {
    let pictures = ["images_original", ""].map(|inside| folder.join(inside).join(png_name(id)));
    pictures.into_iter().find(|path| is_plain(id) && path.is_file())
}

/// Whether an id leads nowhere but into the collection.
fn is_plain(id: &str) -> bool {
    !Path::new(id).is_absolute() && !id.split('/').any(|part| part == "..")
}

/// GTZAN's picture of `blues/blues.00000.wav` is `blues/blues00000.png`.
fn png_name(id: &str) -> String {
    let stem = id.rsplit_once('.').map_or(id, |(stem, _)| stem);
    let (folder, file) = stem.rsplit_once('/').unwrap_or(("", stem));
    format!("{folder}/{}.png", file.replacen('.', "", 1))
}

/// Time from left to right, low tones at the bottom, in the colour map magma from the
/// weakest to the strongest value.
fn png(log_mel: &LogMel) -> Result<Vec<u8>> {
    let (frames, mels) = log_mel.dim();
    let (width, height) = (frames.min(WIDTH), mels.min(HEIGHT));
    let finite = || log_mel.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (finite().fold(f32::MAX, f32::min), finite().fold(f32::MIN, f32::max));
    let scale = 255.0 / (high - low).max(f32::MIN_POSITIVE);
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in (0..height).rev() {
        let bands = y * mels / height..((y + 1) * mels / height).max(y * mels / height + 1);
        for x in 0..width {
            let columns =
                x * frames / width..((x + 1) * frames / width).max(x * frames / width + 1);
            let inside = columns.flat_map(|frame| bands.clone().map(move |mel| [frame, mel]));
            let (sum, count) =
                inside.fold((0.0, 0), |(sum, count), at| (sum + log_mel[at], count + 1));
            let intensity = (sum / count.max(1) as f32 - low) * scale;
            pixels.extend(magma(intensity.clamp(0.0, 255.0) as u8));
        }
    }
    encode(&pixels, (width, height), png::ColorType::Rgb)
}

/// Pixels of eight bits a channel, row by row from the top, as PNG.
pub(super) fn encode(
    pixels: &[u8],
    (width, height): (usize, usize),
    colours: png::ColorType,
) -> Result<Vec<u8>> {
    let wrong = |e: png::EncodingError| Error::drawing("log-mel picture", e);
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(colours);
    let mut writer = encoder.write_header().map_err(wrong)?;
    writer.write_image_data(pixels).map_err(wrong)?;
    writer.finish().map_err(wrong)?;
    Ok(bytes)
}

/// Where the clips of `entries` may be: the folder that was given, else those that the runs
/// name, as far as they exist.
pub(super) fn folders(given: Option<&Path>, entries: &[Entry]) -> Vec<PathBuf> {
    let named = entries.iter().filter_map(|entry| entry.data_folder.clone());
    let mut folders: Vec<PathBuf> = match given {
        Some(folder) => vec![folder.to_owned()],
        None => named.filter(|folder| fs::metadata(folder).is_ok_and(|m| m.is_dir())).collect(),
    };
    folders.sort_unstable();
    folders.dedup();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_keep_the_lowest_band_at_the_bottom() {
        let log_mel = ndarray::array![[0.0, 1.0], [0.0, 1.0]];
        let bytes = png(&log_mel).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let [top, bottom] = [magma(255), magma(0)];
        assert_eq!(pixels, [top, top, bottom, bottom].concat());
    }

    #[test]
    fn constant_and_long_spectrograms_can_be_drawn() {
        for (frames, mels) in [(1, 1), (3000, 128), (700, 300)] {
            let log_mel = LogMel::from_elem((frames, mels), -4.0);
            assert!(!png(&log_mel).unwrap().is_empty());
        }
    }

    #[test]
    fn ids_do_not_lead_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(folder.path().join("a.png"), "no picture").unwrap();
        assert_eq!(log_mel("../a.wav", &data).unwrap().map(|m| m.nrows()), None);
        assert_eq!(png_name("blues/blues.00007.wav"), "blues/blues00007.png");
    }
}

//! Audio files decoded block by block, so that memory does not grow with their length.

use std::collections::VecDeque;
use std::fs::{File, FileType};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::block::{Block, Blocks, ByteSource, Open};
use super::failure::Failure;
use super::mix::Mixer;
use super::note::Note;
use super::open;
use super::rate;
use super::resample::Resampler;
use crate::error::{Error, Result};

/// An audio file on its way to mono samples, block by block.
///
/// What comes out is what [`Audio::open`](super::Audio::open) gives, and what that refuses is
/// refused here; but some of what is wrong with a file shows only at its end.
///
/// ```no_run
/// use genre_transfer::audio::Decoder;
///
/// let mut decoder = Decoder::open("song.mp3".as_ref())?;
/// println!("{} Hz", decoder.rate());
/// let mut block = vec![];
/// while decoder.read(&mut block)? {
///     println!("{} more samples", block.len());
///     block.clear();
/// }
/// for note in decoder.notes() {
///     println!("{note}");
/// }
/// # Ok::<(), genre_transfer::Error>(())
/// ```
pub struct Decoder<'a> {
    path: PathBuf,
    rate: u32,
    /// None behind the last block.
    blocks: Option<Box<dyn Blocks + 'a>>,
    /// The first blocks, which were read to know the rate and whether the file decodes at all.
    first: VecDeque<Block>,
    /// The form of the part that is being read: rate and channels.
    form: (u32, usize),
    mixer: Mixer,
    /// From the rate of the part that is being read, where it is another than the first's.
    resampler: Option<Resampler>,
    mono: Vec<f32>,
    ended: bool,
    notes: Vec<Note>,
    strict: bool,
    /// Samples given out.
    found: u64,
}

/// Whether it may never end.
#[cfg(unix)]
fn is_device(kind: FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    kind.is_char_device() || kind.is_block_device()
}

#[cfg(not(unix))]
fn is_device(_: FileType) -> bool {
    false
}

impl<'a> Decoder<'a> {
    /// Opens the file at `path` and decodes its first block.
    ///
    /// # Errors
    /// As [`Audio::open`](super::Audio::open), of what shows at the beginning of the file.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io(path))?;
        let kind = file.metadata().map_err(Error::io(path))?.file_type();
        if is_device(kind) {
            return Err(Error::unsupported(path, "a device; give a file or a pipe"));
        }
        if kind.is_file() {
            let open = || -> io::Result<ByteSource> { Ok(Box::new(File::open(path)?)) };
            return Self::new(&open, path, Some(path));
        }
        // A pipe can be read only once, so all of it is kept.
        let mut bytes = vec![];
        file.read_to_end(&mut bytes).map_err(Error::io(path))?;
        let bytes: Arc<[u8]> = bytes.into();
        Self::new(&move || Ok(Box::new(Cursor::new(Arc::clone(&bytes)))), path, None)
    }

    /// The decoder of a file's contents; `path` appears in errors only.
    ///
    /// # Errors
    /// As [`Audio::decode`](super::Audio::decode), of what shows at the beginning.
    pub fn of_bytes(bytes: &'a [u8], path: &Path) -> Result<Self> {
        Self::new(&|| Ok(Box::new(Cursor::new(bytes))), path, None)
    }

    /// Of the file at `place`, if it is one.
    fn new(open: Open<'a, '_>, path: &Path, place: Option<&Path>) -> Result<Self> {
        Self::begun(open, path, place).map_err(|reason| Error::audio(path, reason))
    }

    fn begun(open: Open<'a, '_>, path: &Path, place: Option<&Path>) -> Result<Self, Failure> {
        let mut notes = vec![];
        let open::Opened { blocks, first } = open::blocks(open, place, &mut notes)?;
        let mut decoder = Self {
            path: path.to_owned(),
            rate: first.rate,
            blocks: Some(blocks),
            first: VecDeque::new(),
            form: (0, 0),
            mixer: Mixer::default(),
            resampler: None,
            mono: vec![],
            ended: false,
            notes,
            strict: false,
            found: 0,
        };
        let is_short = first.frames() < first.rate as usize / 2;
        decoder.first.push_back(first);
        // HE-AAC may show its full rate only after some frames.
        let mut second = Block::default();
        if is_short && decoder.next_block(&mut second)? {
            if second.rate == 2 * decoder.rate {
                decoder.rate = second.rate;
            }
            decoder.first.push_back(second);
        }
        rate::check(decoder.rate)?;
        Ok(decoder)
    }

    /// Reads the next block; false behind the last.
    fn next_block(&mut self, block: &mut Block) -> Result<bool, Failure> {
        let Some(blocks) = &mut self.blocks else { return Ok(false) };
        let more = blocks.read(block, &mut self.notes)?;
        if !more {
            self.blocks = None;
        }
        Ok(more)
    }

    /// Makes damage an error, which is a note otherwise: whatever [`Note::is_damage`] says.
    #[must_use]
    pub fn strict(self, strict: bool) -> Self {
        Self { strict, ..self }
    }

    /// Samples per second, in Hz.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// What is odd about the recording, as far as it has been read.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Appends the next samples, the mean of the channels, nominally in [-1, 1] and never
    /// above 1e10; returns false when there are no more. A part at another rate than the
    /// beginning's is resampled to that.
    ///
    /// # Errors
    /// As [`Audio::open`](super::Audio::open): [`Error::Audio`] if the file is damaged here.
    pub fn read(&mut self, samples: &mut Vec<f32>) -> Result<bool> {
        let before = samples.len();
        while samples.len() == before && !self.ended {
            self.step(samples).map_err(|reason| Error::audio(&self.path, reason))?;
        }
        let new = &samples[before..];
        if let Some(i) = new.iter().position(|x| x.is_nan() || x.abs() > LARGEST) {
            let at = self.found + i as u64;
            let seconds = at as f64 / f64::from(self.rate);
            let wild = Failure::WildSample { at, seconds, value: new[i] };
            return Err(Error::audio(&self.path, wild));
        }
        self.found += new.len() as u64;
        Ok(samples.len() > before)
    }

    /// The error of a recording that holds nothing but what is left out.
    pub(super) fn empty(&self) -> Error {
        Error::audio(&self.path, Failure::NoSamples)
    }

    /// Takes a block, or ends the recording.
    fn step(&mut self, samples: &mut Vec<f32>) -> Result<(), Failure> {
        let mut block = self.first.pop_front().unwrap_or_default();
        let more = !block.samples.is_empty() || self.next_block(&mut block)?;
        if self.strict
            && let Some(note) = self.notes.iter().find(|note| note.is_damage())
        {
            return Err(Failure::Damaged(note.clone()));
        }
        if !more {
            self.end_part(samples)?;
            self.ended = true;
            self.notes.extend(self.mixer.note());
            return Ok(());
        }
        let form = (block.rate, block.channels);
        if form != self.form {
            self.end_part(samples)?;
            rate::check(block.rate)?;
            let other = block.rate != self.rate;
            let resampler = other.then(|| Resampler::new(block.rate, self.rate)).transpose();
            (self.form, self.resampler) = (form, resampler.map_err(resampling)?);
        }
        let Some(resampler) = &mut self.resampler else {
            self.mixer.push(&mut block, samples);
            return Ok(());
        };
        self.mono.clear();
        self.mixer.push(&mut block, &mut self.mono);
        resampler.push(&self.mono, samples).map_err(resampling)
    }

    /// Ends a part of one form.
    fn end_part(&mut self, samples: &mut Vec<f32>) -> Result<(), Failure> {
        let Some(mut resampler) = self.resampler.take() else {
            self.mixer.finish(samples);
            return Ok(());
        };
        self.mono.clear();
        self.mixer.finish(&mut self.mono);
        resampler.push(&self.mono, samples).map_err(resampling)?;
        resampler.finish(samples).map_err(resampling)
    }
}

fn resampling(error: Error) -> Failure {
    Failure::Resampling(Box::new(error))
}

/// No recording is louder, and no spectrum's power overflows below it; full scale is 1, and
/// 32768 in files whose writer has forgotten to scale.
const LARGEST: f32 = 1e10;

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use symphonia::core::errors::Error as Symphonia;

    use super::*;

    #[test]
    fn the_cause_of_a_refusal_is_kept() {
        let error = Decoder::of_bytes(b"fLaC\0\0\0\x22", Path::new("a.flac")).err().unwrap();
        assert!(error.to_string().contains("a.flac: this FLAC file"), "{error}");
        let cause = error.source().and_then(|failure| failure.source()).unwrap();
        assert!(cause.is::<Symphonia>(), "{cause:?}");
    }
}

//! Streams of frames without a container: MPEG audio and AAC in ADTS.
//!
//! Every frame says in its header how long it is, and nothing else is believed: not the tag of
//! the first frame that counts them, no estimate, and not that all have one form. Between
//! frames there may be tags, zeros and junk; a second file may be joined to the first.

use std::collections::VecDeque;
use std::io;

use super::block::{Block, ByteSource};
use super::codec::{Codec, Undecoded};
use super::failure::Failure;
use super::gather::{Health, Packets};
use super::mpeg::{self, Form, Frame, Tag};
use super::note::Note;
use super::window::Window;

/// Bytes in which the first frame must begin, but for tags and zeros.
const SEARCHED: usize = 1 << 18;

/// Frames that follow each other where a stream is taken for found: at the place where it should
/// begin, and behind junk, in which three may be chance.
const CHAIN: [usize; 2] = [3, 8];

/// Bytes of a header, or of the header of a tag.
const HEADER: usize = 32;

/// Bytes that are no frame, tag or zeros, and are worth a word.
const JUNK: u64 = 2048;

/// How frames are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// MPEG audio, layers I to III.
    Mpeg,
    /// AAC.
    Adts,
}

impl Framing {
    /// The frame whose header `head` begins with, if it is one.
    fn frame(self, head: &[u8]) -> Option<Frame> {
        match self {
            Self::Mpeg => mpeg::frame(head),
            Self::Adts => mpeg::adts(head),
        }
    }

    /// The name shown to people.
    fn name(self) -> &'static str {
        match self {
            Self::Mpeg => "MP3",
            Self::Adts => "ADTS",
        }
    }
}

/// Which frames, of MPEG audio or of AAC, are in `source` from `start` on, and where they begin.
///
/// # Errors
/// Those of reading.
pub(super) fn find(source: ByteSource, start: u64) -> io::Result<Option<(Framing, u64)>> {
    let mut window = Window::new(source, start, None)?;
    loop {
        let head = window.peek(HEADER)?;
        let zeros = head.iter().take_while(|byte| **byte == 0).count() as u64;
        // What is no frame yet may be a tag that looks like one.
        let step = mpeg::player_tag(head).unwrap_or(zeros);
        if step == 0 || window.skip(step)? < step {
            break;
        }
    }
    let before = start + window.position();
    let bytes = window.peek(SEARCHED)?;
    let begins = |at: &usize| bytes[*at] == 0xff;
    let is_here = |at: usize, framing: &Framing| is_chain(&bytes[at..], *framing, at == 0);
    let framing = |at: usize| {
        let mut either = [Framing::Mpeg, Framing::Adts].into_iter();
        Some((either.find(|framing| is_here(at, framing))?, before + at as u64))
    };
    Ok((0..bytes.len()).filter(begins).find_map(framing))
}

/// Whether frames of one kind follow each other in `bytes`, or where a stream should begin fill
/// them.
fn is_chain(bytes: &[u8], framing: Framing, begins: bool) -> bool {
    let (mut at, mut layer) = (0, None);
    for _ in 0..CHAIN[usize::from(!begins)] {
        match bytes.get(at..).and_then(|bytes| framing.frame(bytes)) {
            Some(frame) if layer.is_none_or(|layer| layer == frame.form.layer) => {
                at += frame.length;
                layer = Some(frame.form.layer);
            }
            _ => return begins && at >= bytes.len(),
        }
    }
    true
}

/// A stream of frames, being decoded.
pub(super) struct Elementary<'a> {
    window: Window<'a>,
    framing: Framing,
    decoder: Option<(Form, Codec)>,
    health: Health,
    part: Part,
    /// Decoded frames of this part that are held back, because their first samples may be delay
    /// and their last ones padding.
    held: VecDeque<Block>,
    /// Decoded frames of the part before.
    ready: VecDeque<Block>,
    /// Whether the last frame is not whole.
    cut: bool,
    ended: bool,
    /// Seconds given out.
    found: f64,
}

/// What an encoder wrote as one file; more may be joined to it.
#[derive(Default)]
struct Part {
    tag: Tag,
    frames: u64,
    /// The form of its last frame.
    last: Option<Frame>,
    /// Samples of the encoder's delay that are still to come.
    delay: usize,
    /// Whether it begins without a tag, and nobody knows its delay yet.
    unknown: bool,
}

/// The delay of the usual encoder and of the decoder together, in samples.
const DELAY: usize = 576 + 529;

/// The power of a delay, against that of as much behind it, at most (-17 dB): it holds nothing but
/// the echo of what comes.
const ECHO: f64 = 0.02;

impl<'a> Elementary<'a> {
    /// A stream in `source` from `start` to `end`, or to its end.
    pub fn new(
        framing: Framing,
        source: ByteSource<'a>,
        start: u64,
        end: Option<u64>,
    ) -> io::Result<Self> {
        Ok(Self {
            window: Window::new(source, start, end)?,
            framing,
            decoder: None,
            health: Health::default(),
            part: Part::default(),
            held: VecDeque::new(),
            ready: VecDeque::new(),
            cut: false,
            ended: false,
            found: 0.0,
        })
    }

    /// The next frame's bytes; none behind the last.
    fn frame(&mut self, notes: &mut Vec<Note>) -> io::Result<Option<(Frame, Vec<u8>)>> {
        let mut junk = 0;
        let found = loop {
            let (mut head, found) = ([0; HEADER], self.window.peek(HEADER)?);
            if found.is_empty() {
                break None;
            }
            head[..found.len()].copy_from_slice(found);
            let tag = mpeg::player_tag(&head);
            match self.framing.frame(&head) {
                Some(frame) if self.is_frame(&frame, junk == 0)? => {
                    let data = self.window.peek(frame.length)?.to_vec();
                    self.window.skip(frame.length as u64)?;
                    if data.len() == frame.length {
                        break Some((frame, data));
                    }
                    self.cut = true;
                    break None;
                }
                _ if let Some(length) = tag => {
                    self.window.skip(length)?;
                }
                _ => {
                    junk += u64::from(head[0] != 0);
                    self.window.skip(1)?;
                }
            }
        };
        if junk >= JUNK && self.part.last.is_some() {
            notes.push(Note::Junk { bytes: junk, at: self.found });
        }
        Ok(found)
    }

    /// Whether what looks like a frame is one: behind another it is, elsewhere another must
    /// follow.
    fn is_frame(&mut self, frame: &Frame, follows: bool) -> io::Result<bool> {
        if follows && self.part.last.is_some_and(|last| last.form.layer == frame.form.layer) {
            return Ok(true);
        }
        let bytes = self.window.peek(frame.length + HEADER)?;
        let next = bytes.get(frame.length..).unwrap_or_default();
        let alike = |next: Frame| next.form.layer == frame.form.layer;
        Ok(next.is_empty()
            || mpeg::player_tag(next).is_some()
            || self.framing.frame(next).is_some_and(alike))
    }

    /// Decodes a frame; what is malformed becomes silence.
    fn decode(&mut self, frame: &Frame, data: &[u8]) -> Result<Block, Failure> {
        let mut block = Block::default();
        let decoder = match &mut self.decoder {
            Some((form, decoder)) if *form == frame.form => decoder,
            other => {
                let codec = Codec::of_form(frame.form)
                    .map_err(|reason| Failure::Codec { kind: self.framing.name(), reason })?;
                &mut other.insert((frame.form, codec)).1
            }
        };
        let decoded = decoder.decode_frame(data, &mut block);
        self.health.count(decoded.is_ok());
        match decoded {
            Ok(()) => {}
            Err(Undecoded::Unsupported(reason)) => {
                return Err(Failure::Codec { kind: self.framing.name(), reason });
            }
            Err(Undecoded::Panicked(source)) => {
                return Err(Failure::Panicked { kind: self.framing.name(), source });
            }
            Err(Undecoded::Malformed) => {
                block.begin(frame.form.rate, frame.form.channels);
                block.samples.resize(frame.samples * block.channels, 0.0);
            }
        }
        let delay = self.part.delay.min(block.frames());
        self.part.delay -= delay;
        block.samples.drain(..delay * block.channels);
        Ok(block)
    }

    /// Ends a part: cuts its padding off where its tag has counted its frames well, and notes
    /// those that are missing.
    fn end_part(&mut self, notes: &mut Vec<Note>) {
        let Part { tag, frames, last, .. } = std::mem::take(&mut self.part);
        let Some(last) = last else { return };
        let seconds =
            |frames: u64| (frames * last.samples as u64) as f64 / f64::from(last.form.rate);
        let promised = tag.frames.unwrap_or(frames);
        // Some encoders count the frame that holds the tag.
        if self.cut || promised > frames + 2 {
            let lost = (promised > frames).then(|| seconds(promised - frames));
            notes.push(Note::CutShort { found: self.found, lost });
        } else if frames <= promised + 1 {
            let mut padding = tag.padding;
            for block in self.held.iter_mut().rev() {
                let cut = padding.min(block.frames());
                padding -= cut;
                block.samples.truncate((block.frames() - cut) * block.channels);
            }
        }
        self.ready.append(&mut self.held);
    }

    /// Cuts the delay of a part that says nothing of it, where there is one to be heard: nothing
    /// but an echo in front of the first sound.
    fn cut_delay(&mut self) {
        self.part.unknown = false;
        let channels = self.held.front().map_or(1, |block| block.channels);
        let mut samples = self.held.iter().flat_map(|block| &block.samples);
        let mut power = || {
            let some = samples.by_ref().take(DELAY * channels);
            some.map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>()
        };
        let (first, second) = (power(), power());
        let mut delay = if first < ECHO * second { DELAY } else { 0 };
        for block in &mut self.held {
            let cut = delay.min(block.frames());
            delay -= cut;
            block.samples.drain(..cut * block.channels);
        }
    }

    /// Reads a frame into what is held back; the beginning of another part ends this one.
    fn advance(&mut self, notes: &mut Vec<Note>) -> Result<(), Failure> {
        let Some((frame, data)) = self.frame(notes)? else {
            self.end_part(notes);
            self.ended = true;
            return self.health.check(notes);
        };
        if let Some(tag) = mpeg::tag(&data, &frame) {
            self.end_part(notes);
            self.decoder = None;
            self.part = Part { tag, delay: tag.delay, last: Some(frame), ..Part::default() };
            return Ok(());
        }
        // A tag counts the frames of its whole file, whatever their forms.
        let changes = self.part.last.is_none_or(|last| last.form != frame.form);
        if changes && self.part.tag == Tag::default() {
            self.end_part(notes);
            self.part.unknown = frame.form.layer == 3;
        }
        let block = self.decode(&frame, &data)?;
        self.part.last = Some(frame);
        self.part.frames += 1;
        self.found += block.frames() as f64 / f64::from(block.rate.max(1));
        self.held.push_back(block);
        Ok(())
    }
}

impl Packets for Elementary<'_> {
    fn next(&mut self, packet: &mut Block, notes: &mut Vec<Note>) -> Result<bool, Failure> {
        loop {
            if let Some(first) = self.ready.pop_front() {
                *packet = first;
                return Ok(true);
            }
            if self.ended {
                return Ok(false);
            }
            let held: usize = self.held.iter().skip(1).map(Block::frames).sum();
            if self.part.unknown && held >= 2 * DELAY {
                self.cut_delay();
            } else if !self.part.unknown && held >= self.part.tag.padding {
                self.ready.extend(self.held.pop_front());
            }
            self.advance(notes)?;
        }
    }
}

//! Which reader takes a file.

use std::path::Path;

use super::block::{Block, Blocks, Open, bytes_at};
use super::container::{Container, foreign, sniff};
use super::elementary::{self, Elementary, Framing};
use super::failure::Failure;
use super::ffmpeg::Ffmpeg;
use super::gather::Gather;
use super::headers::{self, Lead};
use super::library::{Ends, Library};
use super::matroska;
use super::mp4::{self, Edits};
use super::mpeg;
use super::note::Note;
use super::ogg;
use super::pcm::{Pcm, at_samples};

/// Bytes that tell what a file is, and enough to show the user.
const HEAD: u64 = 64;

/// Bytes of a file of no known kind that the error shows.
const SHOWN: usize = 12;

/// A reader, and the first block it has read.
pub(super) struct Opened<'a> {
    pub blocks: Box<dyn Blocks + 'a>,
    pub first: Block,
}

/// Opens the reader of a file and reads its first block; `path` is where `ffmpeg` finds it.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn blocks<'a>(
    open: Open<'a, '_>,
    path: Option<&Path>,
    notes: &mut Vec<Note>,
) -> Result<Opened<'a>, Failure> {
    let opened = reader(open).and_then(|blocks| begun(blocks, notes));
    match opened {
        Err(failure) if failure.is_foreign() => match Ffmpeg::open(path, open()?)? {
            Some(ffmpeg) => {
                // What another reader found odd is not so to this one.
                notes.clear();
                begun(Box::new(ffmpeg), notes)
            }
            None => Err(failure),
        },
        opened => opened,
    }
}

fn begun<'a>(
    mut blocks: Box<dyn Blocks + 'a>,
    notes: &mut Vec<Note>,
) -> Result<Opened<'a>, Failure> {
    let mut first = Block::default();
    if blocks.read(&mut first, notes)? {
        Ok(Opened { blocks, first })
    } else {
        Err(Failure::NoSamples)
    }
}

fn reader<'a>(open: Open<'a, '_>) -> Result<Box<dyn Blocks + 'a>, Failure> {
    let head = bytes_at(open()?.as_mut(), 0, HEAD)?;
    if head.is_empty() {
        return Err(Failure::Empty);
    }
    if let Some(kind) = foreign(&head) {
        return Err(Failure::Foreign { kind });
    }
    // Where the tags in front of the file end.
    let mut start = 0;
    let mut inner = head.clone();
    while inner.starts_with(b"ID3")
        && let Some(length) = mpeg::player_tag(&inner)
    {
        start += length;
        inner = bytes_at(open()?.as_mut(), start, HEAD)?;
    }
    match sniff(&inner) {
        Some(Container::Mp3 | Container::Adts) | None => frames(open, &head, start),
        Some(container) => contained(open, container, start),
    }
}

/// A stream of frames, wherever the first one is.
fn frames<'a>(
    open: Open<'a, '_>,
    head: &[u8],
    start: u64,
) -> Result<Box<dyn Blocks + 'a>, Failure> {
    match page(head) {
        Some(what) => Err(Failure::Page { what }),
        None => match elementary::find(open()?, start)? {
            Some((framing, start)) => stream(open, framing, start, None),
            None => Err(Failure::NotAudio { head: head[..head.len().min(SHOWN)].to_vec() }),
        },
    }
}

fn stream<'a>(
    open: Open<'a, '_>,
    framing: Framing,
    start: u64,
    end: Option<u64>,
) -> Result<Box<dyn Blocks + 'a>, Failure> {
    Ok(Box::new(Gather::new(Elementary::new(framing, open()?, start, end)?)))
}

/// What a download may bring instead of a recording.
fn page(head: &[u8]) -> Option<&'static str> {
    let text =
        String::from_utf8_lossy(head).trim_start_matches('\u{feff}').trim_start().to_lowercase();
    let begins = |starts: &[&str]| starts.iter().any(|start| text.starts_with(start));
    match () {
        () if begins(&["<!doctype html", "<html", "<head", "<body"]) => Some("a web page (HTML)"),
        () if begins(&["<?xml", "<error"]) => Some("an XML document"),
        () if begins(&["{\"", "[{"]) => Some("a JSON document"),
        () => None,
    }
}

fn library<'a>(open: Open<'a, '_>, container: Container) -> Result<Library<'a>, Failure> {
    let (mut headers, mut padding, mut whole, mut source) = (vec![], 0.0, true, open()?);
    match container {
        Container::Mp4 => headers = mp4::headers(open()?.as_mut())?,
        Container::Ogg => whole = ogg::is_whole(open()?.as_mut())?,
        Container::Matroska => match matroska::shortened(source)? {
            Ok(shortened) => (source, whole) = (shortened, false),
            Err(same) => {
                source = same;
                padding = matroska::end_padding(open()?.as_mut())?;
            }
        },
        _ => {}
    }
    Library::new(source, container, Ends { padding, whole }, |track| Edits::of(&headers, track))
}

fn contained<'a>(
    open: Open<'a, '_>,
    container: Container,
    start: u64,
) -> Result<Box<dyn Blocks + 'a>, Failure> {
    let lead = if start == 0 { headers::read(container, open()?.as_mut())? } else { Lead::Other };
    match lead {
        Lead::Samples(layout) => {
            super::rate::check(layout.rate)?;
            Ok(Box::new(Pcm::new(at_samples(open()?, layout)?, layout)?))
        }
        Lead::Mpeg(start, end) => stream(open, Framing::Mpeg, start, end),
        Lead::Other if matches!(container, Container::Au | Container::W64 | Container::Aiff) => {
            let reason = "an encoding that is not plain samples".to_owned();
            Err(Failure::Codec { kind: container.name(), reason })
        }
        Lead::Other => Ok(Box::new(Gather::new(library(open, container)?))),
    }
}

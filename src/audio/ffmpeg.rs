//! What nothing here decodes, through the program `ffmpeg` where there is one.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Cursor, ErrorKind, Read, Seek};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::NamedTempFile;

use super::block::{Block, Blocks, ByteSource};
use super::container::Container;
use super::failure::Failure;
use super::headers::{self, Lead};
use super::note::Note;
use super::pcm::Pcm;

/// Bytes in which a header must end.
const HEADER: u64 = 4096;

/// What it writes: the first bytes, which were read for their header, and the rest.
type Answer = io::Chain<Cursor<Vec<u8>>, ChildStdout>;

/// The program as it runs; it ends with this, and is waited for.
struct Running {
    child: Child,
    /// What it says: in a file, so that however much it is, it never waits to be read.
    said: File,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// The last line that it wrote, once it has ended; none if it said nothing.
    fn said(&mut self) -> Option<String> {
        let mut text = vec![];
        self.said.rewind().ok()?;
        self.said.read_to_end(&mut text).ok()?;
        let text = String::from_utf8_lossy(&text);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        last.map(|line| line.trim().to_owned())
    }

    /// Why it gave nothing.
    fn failure(&mut self) -> Failure {
        // Its last words come before its end.
        let _ = self.child.kill();
        let _ = self.child.wait();
        Failure::Ffmpeg { said: self.said().unwrap_or_else(|| "it gave no samples".to_owned()) }
    }
}

/// A recording that `ffmpeg` decodes.
pub(super) struct Ffmpeg {
    running: Running,
    pcm: Pcm<Answer>,
    /// Seconds that were decoded.
    found: f64,
    /// A copy of what has no place in the file system.
    _copy: Option<NamedTempFile>,
}

impl Ffmpeg {
    /// Lets `ffmpeg` decode the file at `path`, or a copy of `source` where there is none; none if
    /// there is no `ffmpeg`.
    ///
    /// # Errors
    /// [`Failure::Ffmpeg`] with what it says; those of reading and writing.
    pub fn open(path: Option<&Path>, source: ByteSource) -> Result<Option<Self>, Failure> {
        let path = path.filter(|path| path.is_file());
        let copy = if path.is_some() { None } else { Some(copied(source)?) };
        // As a file, whatever it is called: a name with a colon would be a protocol.
        let mut input = OsString::from("file:");
        input.push(path.or(copy.as_ref().map(NamedTempFile::path)).unwrap_or(Path::new("")));
        let said = tempfile::tempfile()?;
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe", "-i"]);
        command.arg(input).args(["-map", "0:a:0", "-map_metadata", "-1", "-bitexact"]);
        command.args(["-c:a", "pcm_f32le", "-f", "wav", "-"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(said.try_clone()?);
        let child = match command.spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            child => child?,
        };
        let mut running = Running { child, said };
        let Some(mut stdout) = running.child.stdout.take() else { return Ok(None) };
        let mut head = vec![];
        stdout.by_ref().take(HEADER).read_to_end(&mut head)?;
        match samples(head, stdout)? {
            Some(pcm) => Ok(Some(Self { running, pcm, found: 0.0, _copy: copy })),
            None => Err(running.failure()),
        }
    }
}

fn copied(mut source: ByteSource) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    io::copy(&mut source, &mut file)?;
    Ok(file)
}

/// The samples of a WAV that begins with `head`.
fn samples(head: Vec<u8>, rest: ChildStdout) -> Result<Option<Pcm<Answer>>, Failure> {
    let lead = headers::read(Container::Wav, &mut Cursor::new(&head[..]));
    let Ok(Lead::Samples(mut layout)) = lead else { return Ok(None) };
    // Its header was written before the length was known.
    layout.bytes = None;
    let mut head = Cursor::new(head);
    head.set_position(layout.start);
    Pcm::new(head.chain(rest), layout).map(Some)
}

impl Blocks for Ffmpeg {
    fn read(&mut self, block: &mut Block, notes: &mut Vec<Note>) -> Result<bool, Failure> {
        if self.pcm.read(block, notes)? {
            self.found += block.frames() as f64 / f64::from(block.rate.max(1));
            return Ok(true);
        }
        if !self.running.child.wait()?.success() {
            return Err(self.running.failure());
        }
        // It ends well even where it could not decode all.
        if let Some(reason) = self.running.said() {
            notes.push(Note::Faulty { found: self.found, reason });
        }
        Ok(false)
    }
}

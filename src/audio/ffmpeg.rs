//! What nothing here decodes, through the program `ffmpeg` where there is one.

use std::io::{self, Cursor, ErrorKind, Read};
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

/// A recording that `ffmpeg` decodes.
pub(super) struct Ffmpeg {
    child: Child,
    pcm: Pcm<Answer>,
    /// A copy of what has no place in the file system.
    _copy: Option<NamedTempFile>,
}

impl Ffmpeg {
    /// Lets `ffmpeg` decode the file at `path`, or a copy of `source` where there is no such
    /// file; none if there is no `ffmpeg`.
    ///
    /// # Errors
    /// [`Failure::Ffmpeg`] with what it says; those of reading and writing.
    pub fn open(path: &Path, source: ByteSource) -> Result<Option<Self>, Failure> {
        let copy = if path.is_file() { None } else { Some(copied(source)?) };
        let input = copy.as_ref().map_or(path, NamedTempFile::path);
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-i"]).arg(input);
        command.args(["-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "wav", "-"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            child => child?,
        };
        let Some(mut stdout) = child.stdout.take() else { return Ok(None) };
        let mut head = vec![];
        stdout.by_ref().take(HEADER).read_to_end(&mut head)?;
        match samples(head, stdout)? {
            Some(pcm) => Ok(Some(Self { child, pcm, _copy: copy })),
            None => Err(Failure::Ffmpeg { said: said(&mut child) }),
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

/// The last line that it wrote, once it has ended.
fn said(child: &mut Child) -> String {
    let mut text = String::new();
    let read = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut text));
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    match (last, read) {
        (Some(line), _) => line.trim().to_owned(),
        _ => "it gave no samples".to_owned(),
    }
}

impl Blocks for Ffmpeg {
    fn read(&mut self, block: &mut Block, notes: &mut Vec<Note>) -> Result<bool, Failure> {
        if self.pcm.read(block, notes)? {
            return Ok(true);
        }
        if self.child.wait()?.success() {
            return Ok(false);
        }
        Err(Failure::Ffmpeg { said: said(&mut self.child) })
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        // Both fail where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

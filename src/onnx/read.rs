//! Reading ONNX files, a stranger's as well as our own.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use prost::bytes::Buf;
use prost::{DecodeError, Message};
use tract_onnx::pb::ModelProto;

use super::check::Checker;
use crate::error::{Error, Result};

/// Reads and checks the ONNX file at `path`.
///
/// The file is decoded as it is read, so that it is never in memory twice. External
/// data stays where it is; only that it is safe and large enough is checked.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read; [`Error::Onnx`] if it is empty, truncated
/// or not ONNX, has no graph, has a tensor whose dimensions do not match its data, or
/// refers to external data that is missing, too short or outside the model's folder.
pub fn read(path: &Path) -> Result<ModelProto> {
    let file = File::open(path).map_err(Error::io(path))?;
    let metadata = file.metadata().map_err(Error::io(path))?;
    if !metadata.is_file() {
        return Err(Error::onnx(path, "not a file; give the .onnx file itself"));
    }
    if metadata.len() == 0 {
        return Err(Error::onnx(path, "the file is empty"));
    }
    let mut source = FileBuf::new(file, metadata.len());
    let decoded = ModelProto::decode(&mut source);
    if let Some(error) = source.failure {
        return Err(Error::io(path)(error));
    }
    let model = decoded.map_err(|error| Error::onnx(path, Undecodable(error)))?;
    Checker { path }.model(&model)?;
    Ok(model)
}

/// Bytes that are no ONNX model.
#[derive(Debug, thiserror::Error)]
#[error("not an ONNX model, or a truncated or damaged one ({0})")]
struct Undecodable(#[source] DecodeError);

/// A file as protobuf input, read in pieces as the decoder asks for them.
///
/// A read that fails cannot be reported through [`Buf`]: the rest then reads as zeros,
/// and the failure waits in `failure` for whoever called the decoder.
struct FileBuf {
    file: File,
    remaining: usize,
    block: Vec<u8>,
    start: usize,
    end: usize,
    failure: Option<io::Error>,
}

impl FileBuf {
    const BLOCK: usize = 1 << 18;

    fn new(file: File, length: u64) -> Self {
        let remaining = usize::try_from(length).unwrap_or(usize::MAX);
        let block = vec![0; Self::BLOCK];
        let mut buf = Self { file, remaining, block, start: 0, end: 0, failure: None };
        buf.refill();
        buf
    }

    fn refill(&mut self) {
        (self.start, self.end) = (0, self.remaining.min(Self::BLOCK));
        let wanted = &mut self.block[..self.end];
        if self.failure.is_some() {
            wanted.fill(0);
        } else if let Err(error) = self.file.read_exact(wanted) {
            wanted.fill(0);
            self.failure = Some(error);
        }
    }
}

impl Buf for FileBuf {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.remaining, "advanced past the end of the file");
        while count > 0 {
            let step = count.min(self.end - self.start);
            self.start += step;
            self.remaining -= step;
            count -= step;
            if self.start == self.end {
                self.refill();
            }
        }
    }
}

//! Results on standard output.

use std::io::{self, ErrorKind, Write};

use crate::error::{Error, Result};

/// Lines on standard output, while somebody reads them.
pub(super) struct Lines {
    /// Whether the results go to a file too, which is wanted when nobody reads the lines.
    also_in_file: bool,
    stdout_closed: bool,
}

impl Lines {
    pub fn new(also_in_file: bool) -> Self {
        Self { also_in_file, stdout_closed: false }
    }

    /// Writes a line. Once its reader has gone, as `head` does, the rest is left out.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written; a reader that has gone is such an error where
    /// there is no other use of the results, so that the program ends.
    pub fn write(&mut self, line: &str) -> Result<()> {
        if self.stdout_closed {
            return Ok(());
        }
        match writeln!(io::stdout(), "{line}") {
            Err(error) if error.kind() == ErrorKind::BrokenPipe && self.also_in_file => {
                self.stdout_closed = true;
                Ok(())
            }
            written => written.map_err(Error::io("standard output")),
        }
    }
}

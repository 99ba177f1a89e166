//! What a Parquet file says of its pages, compared with the bytes that are there: the crate that
//! reads them believes it, and panics or takes gigabytes for a file that is damaged.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use polars_parquet_format::PageHeader;
use polars_parquet_format::thrift::protocol::TCompactInputProtocol;

/// The largest header of a page, with the smallest and the largest value in it.
const HEADER: u64 = 1 << 20;

/// Bytes that the largest pages of all columns may hold together, whatever the file's size.
const PAGES: u64 = 16 << 20;

/// And for each byte of the file.
const RATIO: u64 = 8;

/// Why a file is not to be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("column {column} should begin at {start} and have {length} bytes, of {size} in all")]
    Outside { column: String, start: i64, length: i64, size: u64 },
    #[error("a page of column {column} has no header that can be read ({reason})")]
    Header { column: String, reason: String },
    #[error("a page of column {column} says that {packed} bytes of it hold {unpacked}")]
    Size { column: String, packed: i32, unpacked: i32 },
    #[error("its pages are to hold {wanted} bytes, many times what it has")]
    Large { wanted: u64 },
}

/// Checks the places and sizes of all pages of the file at `path`.
///
/// # Errors
/// What contradicts what.
pub(super) fn check(path: &Path, about: &ParquetMetaData) -> Result<(), Damage> {
    let mut file = BufReader::new(File::open(path)?);
    let size = file.get_ref().metadata()?.len();
    let most = PAGES.saturating_add(size.saturating_mul(RATIO));
    for group in about.row_groups() {
        let mut wanted = 0u64;
        for column in group.columns() {
            wanted = wanted.saturating_add(largest_page(&mut file, column, size)?);
        }
        if wanted > most {
            return Err(Damage::Large { wanted });
        }
    }
    Ok(())
}

/// Bytes that the largest page of a column holds, unpacked.
fn largest_page(
    file: &mut BufReader<File>,
    column: &ColumnChunkMetaData,
    size: u64,
) -> Result<u64, Damage> {
    let name = || column.column_path().string();
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let length = column.compressed_size();
    let outside = || Damage::Outside { column: name(), start, length, size };
    let begins = u64::try_from(start).map_err(|_| outside())?;
    let ends = u64::try_from(length).ok().and_then(|length| begins.checked_add(length));
    let ends = ends.filter(|end| *end <= size).ok_or_else(outside)?;
    let (mut at, mut largest) = (begins, 0);
    while at < ends {
        file.seek(SeekFrom::Start(at))?;
        let mut counted = Counted { source: file.by_ref().take(HEADER.min(ends - at)), count: 0 };
        let mut protocol = TCompactInputProtocol::new(&mut counted, HEADER as usize);
        let header = PageHeader::read_from_in_protocol(&mut protocol)
            .map_err(|error| Damage::Header { column: name(), reason: error.to_string() })?;
        let (packed, unpacked) = (header.compressed_page_size, header.uncompressed_page_size);
        let wrong = || Damage::Size { column: name(), packed, unpacked };
        let bytes = u64::try_from(unpacked).map_err(|_| wrong())?;
        largest = largest.max(bytes);
        at += counted.count + u64::try_from(packed).map_err(|_| wrong())?;
        if at > ends {
            return Err(wrong());
        }
    }
    Ok(largest)
}

/// A source that counts what was read of it.
struct Counted<R> {
    source: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(bytes)?;
        self.count += read as u64;
        Ok(read)
    }
}

//! Reads what [`parquet`](super::parquet) has written, and nothing else: no other program's pages,
//! which may be compressed or packed in ways of their own.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use polars_parquet_format::thrift::protocol::TCompactInputProtocol;
use polars_parquet_format::{ColumnChunk, CompressionCodec, Encoding, FileMetaData, PageHeader};

use super::cell::{Cell, Field, Kind};
use super::parquet::{MAGIC, WRITER, physical};
use crate::error::{Error, Result};

/// Why something cannot be read.
type Decoded<T> = std::result::Result<T, String>;

/// The columns of the file at `path`.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    let footer = open(path)?.1;
    Ok(footer.schema.into_iter().skip(1).map(|column| column.name).collect())
}

/// Gives every row of the file at `path` to `each`.
pub(super) fn read(
    path: &Path,
    fields: &[Field],
    mut each: impl FnMut(Vec<Cell>) -> Result<()>,
) -> Result<()> {
    let (mut file, footer) = open(path)?;
    for group in &footer.row_groups {
        let rows = usize::try_from(group.num_rows).unwrap_or(0);
        let mut columns = vec![];
        for (field, chunk) in fields.iter().zip(&group.columns) {
            let bytes = bytes_of(&mut file, path, chunk)?;
            let wrong = |reason| Error::format(path, format!("column {}: {reason}", field.name));
            let cells = check(field, chunk).and_then(|()| cells(&bytes, field.kind, rows));
            columns.push(cells.map_err(wrong)?.into_iter());
        }
        for _ in 0..rows {
            each(columns.iter_mut().map(|column| column.next().unwrap_or(Cell::None)).collect())?;
        }
    }
    Ok(())
}

/// The file and its footer.
fn open(path: &Path) -> Result<(File, FileMetaData)> {
    let io = || Error::io(path);
    let mut file = File::open(path).map_err(io())?;
    let length = file.metadata().map_err(io())?.len();
    let none = || Error::format(path, "not a whole Parquet file");
    let mut end = [0; 8];
    let from = length.checked_sub(8).ok_or_else(none)?;
    file.seek(SeekFrom::Start(from)).and_then(|_| file.read_exact(&mut end)).map_err(io())?;
    let (size, magic) = end.split_at(4);
    let size = size.iter().rev().fold(0, |size, byte| size << 8 | u64::from(*byte));
    let start = from.checked_sub(size).filter(|_| magic == MAGIC).ok_or_else(none)?;
    let bytes = part(&mut file, start, size).map_err(io())?;
    let footer = from_thrift(&mut &bytes[..], FileMetaData::read_from_in_protocol)
        .map_err(|e| Error::format(path, e))?;
    match footer.created_by.as_deref() {
        Some(writer) if writer.starts_with(WRITER) => Ok((file, footer)),
        other => {
            let reason = format!("written by {}", other.unwrap_or("an unknown program"));
            Err(Error::format(path, reason))
        }
    }
}

fn part(file: &mut File, start: u64, size: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![];
    file.seek(SeekFrom::Start(start))?;
    file.by_ref().take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn from_thrift<'b, 'a: 'b, T>(
    bytes: &'b mut &'a [u8],
    read: impl FnOnce(
        &mut TCompactInputProtocol<&'b mut &'a [u8]>,
    ) -> polars_parquet_format::thrift::Result<T>,
) -> Decoded<T> {
    let most = bytes.len().saturating_mul(64);
    read(&mut TCompactInputProtocol::new(bytes, most)).map_err(|e| e.to_string())
}

/// The bytes of a column's pages.
fn bytes_of(file: &mut File, path: &Path, chunk: &ColumnChunk) -> Result<Vec<u8>> {
    let place = chunk.meta_data.as_ref().and_then(|data| {
        let start = data.dictionary_page_offset.unwrap_or(data.data_page_offset);
        Some((u64::try_from(start).ok()?, u64::try_from(data.total_compressed_size).ok()?))
    });
    let (start, size) = place.ok_or_else(|| Error::format(path, "a column without a place"))?;
    part(file, start, size).map_err(Error::io(path))
}

fn check(field: &Field, chunk: &ColumnChunk) -> Decoded<()> {
    let ours = chunk.meta_data.as_ref().is_some_and(|data| {
        data.type_ == physical(field.kind) && data.codec == CompressionCodec::UNCOMPRESSED
    });
    if ours { Ok(()) } else { Err("its type is another than classify writes".into()) }
}

/// The values in a column's pages.
fn cells(mut bytes: &[u8], kind: Kind, rows: usize) -> Decoded<Vec<Cell>> {
    let mut kinds = vec![];
    loop {
        let header = from_thrift(&mut bytes, PageHeader::read_from_in_protocol)?;
        let mut page = take(&mut bytes, usize::try_from(header.compressed_page_size).unwrap_or(0))?;
        if let Some(dictionary) = header.dictionary_page_header {
            let count = usize::try_from(dictionary.num_values).unwrap_or(0);
            kinds = (0..count).map(|_| value(&mut page, kind)).collect::<Decoded<_>>()?;
            continue;
        }
        let header = header.data_page_header.ok_or("a page of another kind")?;
        let size = u32::from_le_bytes(array(&mut page)?);
        let mut levels = take(&mut page, size as usize)?;
        let present = runs(&mut levels, 1, rows)?;
        let count = present.iter().filter(|level| **level == 1).count();
        let values = if header.encoding == Encoding::RLE_DICTIONARY {
            let [bits] = array(&mut page)?;
            let place = |place: u32| kinds.get(place as usize).cloned().ok_or("no such text");
            runs(&mut page, bits.into(), count)?
                .into_iter()
                .map(place)
                .collect::<std::result::Result<Vec<_>, _>>()?
        } else if kind == Kind::Bool {
            let bit =
                |at: usize| page.get(at / 8).map(|byte| Cell::Bool(byte >> (at % 8) & 1 == 1));
            (0..count).map(bit).collect::<Option<_>>().ok_or("cut short")?
        } else {
            (0..count).map(|_| value(&mut page, kind)).collect::<Decoded<_>>()?
        };
        let mut values = values.into_iter();
        let cell = |level| if level == 1 { values.next() } else { Some(Cell::None) };
        return Ok(present.into_iter().filter_map(cell).collect());
    }
}

fn value(bytes: &mut &[u8], kind: Kind) -> Decoded<Cell> {
    Ok(match kind {
        Kind::Text => {
            let size = u32::from_le_bytes(array(bytes)?) as usize;
            let text = std::str::from_utf8(take(bytes, size)?).map_err(|e| e.to_string())?;
            Cell::text(text)
        }
        Kind::Integer => Cell::Integer(i64::from_le_bytes(array(bytes)?)),
        Kind::Double => Cell::double(f64::from_le_bytes(array(bytes)?)),
        Kind::Float => Cell::float(f32::from_le_bytes(array(bytes)?)),
        Kind::Bool => return Err("truth values have no dictionary".into()),
    })
}

/// `count` values out of runs of equal ones.
fn runs(bytes: &mut &[u8], bits: usize, count: usize) -> Decoded<Vec<u32>> {
    let mut values = vec![];
    while values.len() < count {
        let mut length = 0u64;
        for shift in (0..).step_by(7) {
            let [byte] = array(bytes)?;
            length |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                break;
            }
        }
        let run = usize::try_from(length >> 1).unwrap_or(usize::MAX);
        if length & 1 == 1 || run == 0 || run > count - values.len() || bits > 32 {
            return Err("a run of another kind".into());
        }
        let bytes = take(bytes, bits.div_ceil(8))?;
        let value = bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
        values.resize(values.len() + run, value);
    }
    Ok(values)
}

fn array<const N: usize>(bytes: &mut &[u8]) -> Decoded<[u8; N]> {
    take(bytes, N)?.try_into().map_err(|_| "cut short".into())
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Decoded<&'a [u8]> {
    bytes.split_off(..count).ok_or_else(|| "cut short".into())
}

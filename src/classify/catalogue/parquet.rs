//! Tables as Parquet files: one page a column in a group of rows, not compressed.
//!
//! The Thrift structures are those of the crate that polars uses; what is left is bytes one after
//! the other. Format: <https://parquet.apache.org/docs/file-format/>.
//!
//! Why not a whole writer (measured on 2026-11-27, rustc 1.95): `parquet` 60.1 without features
//! brings six crates, 47 s of compiling, and switches on `runtime-rng` of ahash, on which all
//! crates of burn rest. As a feature that can be left out, it would have burn built once with it
//! and once without; always on, the first command would wait for it. `polars-parquet` 0.55 brings
//! 39 crates and changes features of bytemuck, hashbrown and uuid below burn. This way it is one
//! crate without dependencies.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use polars_parquet_format as format;
use polars_parquet_format::thrift::protocol::TCompactOutputProtocol;
use polars_parquet_format::{
    ColumnChunk, ColumnMetaData, CompressionCodec, ConvertedType, DataPageHeader,
    DictionaryPageHeader, Encoding, FieldRepetitionType, FileMetaData, KeyValue, LogicalType,
    PageHeader, PageType, RowGroup, SchemaElement, Type,
};
use serde::Serialize;

use super::cell::{Cell, Field, Kind};
use super::columns::Teller;
use crate::error::{Error, Result};

/// Rows of a group.
const GROUP: usize = 20_000;

/// What writes such files.
pub(super) const WRITER: &str = concat!(env!("CARGO_PKG_NAME"), " version ");

pub(super) const MAGIC: &[u8] = b"PAR1";

/// Writes rows, and whose they are.
pub(super) fn write(
    output: impl Write,
    path: &Path,
    teller: &Teller,
    fields: &[Field],
    mut rows: impl Iterator<Item = Result<Vec<Cell>>>,
) -> Result<()> {
    let io = |error| Error::io(path)(error);
    let mut pairs =
        vec![("model_sha256", teller.sha256.clone()), ("labels", json(path, &teller.labels)?)];
    if let Some(thresholds) = &teller.thresholds {
        pairs.push(("thresholds", json(path, thresholds)?));
    }
    let mut writer = Writer::new(output, fields.to_vec()).map_err(io)?;
    loop {
        let group = rows.by_ref().take(GROUP).collect::<Result<Vec<_>>>()?;
        if group.is_empty() {
            break;
        }
        writer.group(&group).map_err(io)?;
    }
    writer.finish(&pairs).and_then(|mut output| output.flush()).map_err(io)
}

fn json(path: &Path, value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::format(path, e))
}

/// A Parquet file being written.
struct Writer<W> {
    output: W,
    at: u64,
    fields: Vec<Field>,
    groups: Vec<RowGroup>,
    rows: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a file with these columns; in all of them a value may be missing.
    fn new(output: W, fields: Vec<Field>) -> io::Result<Self> {
        let mut writer = Self { output, at: 0, fields, groups: vec![], rows: 0 };
        writer.put(MAGIC)?;
        Ok(writer)
    }

    /// Writes a group of rows, whose values are in the order of the fields.
    fn group(&mut self, rows: &[Vec<Cell>]) -> io::Result<()> {
        let start = self.at;
        let fields = self.fields.clone();
        let columns = fields.iter().enumerate().map(|(place, field)| {
            let cells: Vec<&Cell> = rows.iter().filter_map(|row| row.get(place)).collect();
            self.chunk(field, &cells)
        });
        let columns = columns.collect::<io::Result<Vec<_>>>()?;
        let size = (self.at - start) as i64;
        self.groups.push(RowGroup {
            columns,
            total_byte_size: size,
            num_rows: rows.len() as i64,
            sorting_columns: None,
            file_offset: Some(start as i64),
            total_compressed_size: Some(size),
            ordinal: None,
        });
        self.rows += rows.len() as u64;
        Ok(())
    }

    /// Writes the footer with these pairs of key and value, and gives the output back.
    fn finish(mut self, pairs: &[(&str, String)]) -> io::Result<W> {
        let pair = |(key, value): &(&str, String)| KeyValue {
            key: (*key).to_owned(),
            value: Some(value.clone()),
        };
        let root = SchemaElement {
            repetition_type: None,
            num_children: Some(self.fields.len() as i32),
            ..element("schema", None)
        };
        let fields = self.fields.iter().map(|field| element(&field.name, Some(field.kind)));
        let footer = FileMetaData {
            version: 1,
            schema: std::iter::once(root).chain(fields).collect(),
            num_rows: self.rows as i64,
            row_groups: std::mem::take(&mut self.groups),
            key_value_metadata: Some(pairs.iter().map(pair).collect()),
            created_by: Some(format!("{WRITER}{}", env!("CARGO_PKG_VERSION"))),
            column_orders: None,
            encryption_algorithm: None,
            footer_signing_key_metadata: None,
        };
        let mut bytes = vec![];
        footer
            .write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut bytes))
            .map_err(io::Error::other)?;
        self.put(&bytes)?;
        self.put(&(bytes.len() as u32).to_le_bytes())?;
        self.put(MAGIC)?;
        Ok(self.output)
    }

    fn chunk(&mut self, field: &Field, cells: &[&Cell]) -> io::Result<ColumnChunk> {
        let start = self.at;
        let mut encodings = vec![Encoding::PLAIN, Encoding::RLE];
        let mut dictionary = None;
        let choice = choice(cells);
        if let Some((kinds, _)) = &choice {
            dictionary = Some(start as i64);
            encodings.push(Encoding::RLE_DICTIONARY);
            let header = DictionaryPageHeader {
                num_values: kinds.len() as i32,
                encoding: Encoding::PLAIN,
                is_sorted: None,
            };
            self.page(&kinds.iter().flat_map(|kind| text(kind)).collect::<Vec<u8>>(), |page| {
                page.type_ = PageType::DICTIONARY_PAGE;
                page.dictionary_page_header = Some(header);
            })?;
        }
        let data = self.at;
        let header = DataPageHeader {
            num_values: cells.len() as i32,
            encoding: if dictionary.is_some() { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN },
            definition_level_encoding: Encoding::RLE,
            repetition_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let values = match choice {
            Some((kinds, places)) => runs(kinds.len(), &places),
            None => plain(cells),
        };
        let data_page = [levels(cells), values].concat();
        self.page(&data_page, |page| page.data_page_header = Some(header))?;
        let size = (self.at - start) as i64;
        let meta_data = ColumnMetaData {
            type_: physical(field.kind),
            encodings,
            path_in_schema: vec![field.name.clone()],
            codec: CompressionCodec::UNCOMPRESSED,
            num_values: cells.len() as i64,
            total_uncompressed_size: size,
            total_compressed_size: size,
            key_value_metadata: None,
            data_page_offset: data as i64,
            index_page_offset: None,
            dictionary_page_offset: dictionary,
            statistics: None,
            encoding_stats: None,
            bloom_filter_offset: None,
            bloom_filter_length: None,
            size_statistics: None,
        };
        Ok(ColumnChunk {
            file_path: None,
            file_offset: start as i64,
            meta_data: Some(meta_data),
            offset_index_offset: None,
            offset_index_length: None,
            column_index_offset: None,
            column_index_length: None,
            crypto_metadata: None,
            encrypted_column_metadata: None,
        })
    }

    fn page(&mut self, data: &[u8], describe: impl FnOnce(&mut PageHeader)) -> io::Result<()> {
        let size = i32::try_from(data.len()).map_err(io::Error::other)?;
        let mut header = PageHeader {
            type_: PageType::DATA_PAGE,
            uncompressed_page_size: size,
            compressed_page_size: size,
            crc: None,
            data_page_header: None,
            index_page_header: None,
            dictionary_page_header: None,
            data_page_header_v2: None,
        };
        describe(&mut header);
        let mut bytes = vec![];
        header
            .write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut bytes))
            .map_err(io::Error::other)?;
        self.put(&bytes)?;
        self.put(data)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.output.write_all(bytes)
    }
}

pub(super) fn physical(kind: Kind) -> Type {
    match kind {
        Kind::Text => Type::BYTE_ARRAY,
        Kind::Integer => Type::INT64,
        Kind::Float => Type::FLOAT,
        Kind::Double => Type::DOUBLE,
        Kind::Bool => Type::BOOLEAN,
    }
}

fn element(name: &str, kind: Option<Kind>) -> SchemaElement {
    let is_text = kind == Some(Kind::Text);
    SchemaElement {
        type_: kind.map(physical),
        type_length: None,
        repetition_type: Some(FieldRepetitionType::OPTIONAL),
        name: name.to_owned(),
        num_children: None,
        converted_type: is_text.then_some(ConvertedType::UTF8),
        scale: None,
        precision: None,
        field_id: None,
        logical_type: is_text.then_some(LogicalType::STRING(format::StringType {})),
    }
}

/// A text behind its length.
fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u32).to_le_bytes()[..], value.as_bytes()].concat()
}

/// Which rows have a value, behind the length of that.
fn levels(cells: &[&Cell]) -> Vec<u8> {
    let present: Vec<u32> = cells.iter().map(|cell| (**cell != Cell::None).into()).collect();
    let levels = runs(2, &present).split_off(1);
    [&(levels.len() as u32).to_le_bytes()[..], &levels].concat()
}

/// Where the values are texts of few kinds: the kinds, and each value's place among them.
fn choice<'a>(cells: &[&'a Cell]) -> Option<(Vec<&'a str>, Vec<u32>)> {
    let (mut kinds, mut known) = (vec![], HashMap::new());
    let texts = cells.iter().filter_map(|cell| cell.as_text());
    let place = |text: &'a str| {
        *known.entry(text).or_insert_with(|| {
            kinds.push(text);
            kinds.len() as u32 - 1
        })
    };
    let places: Vec<u32> = texts.map(place).collect();
    (!kinds.is_empty() && kinds.len() <= places.len().div_ceil(2)).then_some((kinds, places))
}

/// The values there are, one after the other.
fn plain(cells: &[&Cell]) -> Vec<u8> {
    let mut bits: Vec<bool> = vec![];
    let mut bytes = vec![];
    for cell in cells {
        match cell {
            Cell::None => {}
            Cell::Text(value) => bytes.extend(text(value)),
            Cell::Integer(value) => bytes.extend(value.to_le_bytes()),
            Cell::Double(value) => bytes.extend(value.to_le_bytes()),
            Cell::Float(value) => bytes.extend(value.to_le_bytes()),
            Cell::Bool(value) => bits.push(*value),
        }
    }
    let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bytes.extend(bits.chunks(8).map(byte));
    bytes
}

/// Places among `count` kinds as runs of equal ones, each behind its length.
fn runs(count: usize, places: &[u32]) -> Vec<u8> {
    let bits = (usize::BITS - count.saturating_sub(1).leading_zeros()).max(1);
    let mut bytes = vec![bits as u8];
    for run in places.chunk_by(|a, b| a == b) {
        let mut length = (run.len() as u64) << 1;
        while length > 0x7f {
            bytes.push(length as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend_from_slice(&run[0].to_le_bytes()[..bits.div_ceil(8) as usize]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_lengths_and_places() {
        assert_eq!(runs(1, &[0, 0, 0]), [1, 6, 0]);
        assert_eq!(runs(10, &[9, 9, 3]), [4, 4, 9, 2, 3]);
        assert_eq!(runs(300, &[256; 100]), [9, 0xc8, 1, 0, 1]);
    }

    #[test]
    fn what_is_missing_takes_a_level_and_no_place() {
        let cells =
            [Cell::text("a"), Cell::text("b"), Cell::None, Cell::text("b"), Cell::text("a")];
        let cells: Vec<&Cell> = cells.iter().collect();
        assert_eq!(levels(&cells), [6, 0, 0, 0, 4, 1, 2, 0, 4, 1]);
        assert_eq!(choice(&cells), Some((vec!["a", "b"], vec![0, 1, 1, 0])));
        assert_eq!(choice(&cells[..3]), None);
    }

    #[test]
    fn bits_are_packed_from_the_lowest() {
        let nine = [true, false, true, false, false, false, false, false, true].map(Cell::Bool);
        assert_eq!(plain(&nine.iter().collect::<Vec<_>>()), [0b101, 1]);
    }

    #[test]
    fn the_footer_says_what_is_where() {
        let field = |name: &str, kind| Field { name: name.to_owned(), kind };
        let fields = vec![field("name", Kind::Text), field("value", Kind::Float)];
        let mut writer = Writer::new(vec![], fields).unwrap();
        let row = |name, value| vec![Cell::text(name), Cell::float(value)];
        writer.group(&[row("a", 1.0), row("bc", 2.0)]).unwrap();
        let bytes = writer.finish(&[("model", "x".into())]).unwrap();
        assert!(bytes.starts_with(MAGIC) && bytes.ends_with(MAGIC));
        let (footer, length) = bytes[..bytes.len() - 4].split_last_chunk::<4>().unwrap();
        let footer = &footer[footer.len() - u32::from_le_bytes(*length) as usize..];
        let mut protocol =
            format::thrift::protocol::TCompactInputProtocol::new(footer, footer.len() * 64);
        let footer = FileMetaData::read_from_in_protocol(&mut protocol).unwrap();
        assert_eq!((footer.num_rows, footer.schema.len()), (2, 3));
        let column = footer.row_groups[0].columns[1].meta_data.as_ref().unwrap();
        let end = (column.data_page_offset + column.total_compressed_size) as usize;
        assert_eq!(bytes[end - 8..end], [1.0f32.to_le_bytes(), 2.0f32.to_le_bytes()].concat());
    }
}

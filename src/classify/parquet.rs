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

use std::io::{self, Write};

use polars_parquet_format as format;
use polars_parquet_format::thrift::protocol::TCompactOutputProtocol;
use polars_parquet_format::{
    ColumnChunk, ColumnMetaData, CompressionCodec, ConvertedType, DataPageHeader,
    DictionaryPageHeader, Encoding, FieldRepetitionType, FileMetaData, KeyValue, LogicalType,
    PageHeader, PageType, RowGroup, SchemaElement, Type,
};

const MAGIC: &[u8] = b"PAR1";

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnType {
    Text,
    /// Text that may be missing.
    OptionalText,
    Float,
    Double,
    Bool,
}

/// Values of a column, one for each row of a group.
pub(super) enum Column {
    Text(Vec<String>),
    /// Text of few kinds: the kinds, and each row's place among them.
    Choice(Vec<String>, Vec<u32>),
    /// The same where it may be missing.
    OptionalChoice(Vec<String>, Vec<Option<u32>>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bool(Vec<bool>),
}

/// A Parquet file being written.
pub(super) struct Writer<W> {
    output: W,
    at: u64,
    fields: Vec<(String, ColumnType)>,
    groups: Vec<RowGroup>,
    rows: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a file with columns of these names and types; only of optional ones a value may be
    /// missing.
    pub fn new(output: W, fields: Vec<(String, ColumnType)>) -> io::Result<Self> {
        let mut writer = Self { output, at: 0, fields, groups: vec![], rows: 0 };
        writer.put(MAGIC)?;
        Ok(writer)
    }

    /// Writes a group of `rows` rows: the columns in the order of the fields.
    pub fn group(&mut self, rows: usize, columns: &[Column]) -> io::Result<()> {
        let start = self.at;
        let fields = self.fields.clone();
        let chunks = fields.iter().zip(columns);
        let columns = chunks
            .map(|((name, kind), column)| self.chunk(name, *kind, rows, column))
            .collect::<io::Result<Vec<_>>>()?;
        let size = (self.at - start) as i64;
        self.groups.push(RowGroup {
            columns,
            total_byte_size: size,
            num_rows: rows as i64,
            sorting_columns: None,
            file_offset: Some(start as i64),
            total_compressed_size: Some(size),
            ordinal: None,
        });
        self.rows += rows as u64;
        Ok(())
    }

    /// Writes the footer with these pairs of key and value, and gives the output back.
    pub fn finish(mut self, pairs: &[(&str, String)]) -> io::Result<W> {
        let pair = |(key, value): &(&str, String)| KeyValue {
            key: (*key).to_owned(),
            value: Some(value.clone()),
        };
        let root = SchemaElement {
            repetition_type: None,
            num_children: Some(self.fields.len() as i32),
            ..element("schema", None)
        };
        let fields = self.fields.iter().map(|(name, kind)| element(name, Some(*kind)));
        let footer = FileMetaData {
            version: 1,
            schema: std::iter::once(root).chain(fields).collect(),
            num_rows: self.rows as i64,
            row_groups: std::mem::take(&mut self.groups),
            key_value_metadata: Some(pairs.iter().map(pair).collect()),
            created_by: Some(
                concat!(env!("CARGO_PKG_NAME"), " version ", env!("CARGO_PKG_VERSION")).to_owned(),
            ),
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

    fn chunk(
        &mut self,
        name: &str,
        kind: ColumnType,
        rows: usize,
        column: &Column,
    ) -> io::Result<ColumnChunk> {
        let start = self.at;
        let mut encodings = vec![Encoding::PLAIN, Encoding::RLE];
        let mut dictionary = None;
        if let Column::Choice(kinds, _) | Column::OptionalChoice(kinds, _) = column {
            dictionary = Some(start as i64);
            encodings.push(Encoding::RLE_DICTIONARY);
            let header = DictionaryPageHeader {
                num_values: kinds.len() as i32,
                encoding: Encoding::PLAIN,
                is_sorted: None,
            };
            self.page(&text(kinds), |page| {
                page.type_ = PageType::DICTIONARY_PAGE;
                page.dictionary_page_header = Some(header);
            })?;
        }
        let data = self.at;
        let header = DataPageHeader {
            num_values: rows as i32,
            encoding: if dictionary.is_some() { Encoding::RLE_DICTIONARY } else { Encoding::PLAIN },
            definition_level_encoding: Encoding::RLE,
            repetition_level_encoding: Encoding::RLE,
            statistics: None,
        };
        self.page(&values(column), |page| page.data_page_header = Some(header))?;
        let size = (self.at - start) as i64;
        let meta_data = ColumnMetaData {
            type_: physical(kind),
            encodings,
            path_in_schema: vec![name.to_owned()],
            codec: CompressionCodec::UNCOMPRESSED,
            num_values: rows as i64,
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

fn physical(kind: ColumnType) -> Type {
    match kind {
        ColumnType::Text | ColumnType::OptionalText => Type::BYTE_ARRAY,
        ColumnType::Float => Type::FLOAT,
        ColumnType::Double => Type::DOUBLE,
        ColumnType::Bool => Type::BOOLEAN,
    }
}

fn element(name: &str, kind: Option<ColumnType>) -> SchemaElement {
    let is_text = matches!(kind, Some(ColumnType::Text | ColumnType::OptionalText));
    let is_optional = kind == Some(ColumnType::OptionalText);
    let repetition =
        if is_optional { FieldRepetitionType::OPTIONAL } else { FieldRepetitionType::REQUIRED };
    SchemaElement {
        type_: kind.map(physical),
        type_length: None,
        repetition_type: Some(repetition),
        name: name.to_owned(),
        num_children: None,
        converted_type: is_text.then_some(ConvertedType::UTF8),
        scale: None,
        precision: None,
        field_id: None,
        logical_type: is_text.then_some(LogicalType::STRING(format::StringType {})),
    }
}

/// Each text behind its length.
fn text(values: &[String]) -> Vec<u8> {
    let one = |value: &String| {
        (value.len() as u32).to_le_bytes().into_iter().chain(value.bytes()).collect::<Vec<u8>>()
    };
    values.iter().flat_map(one).collect()
}

fn values(column: &Column) -> Vec<u8> {
    match column {
        Column::Text(values) => text(values),
        Column::Choice(kinds, places) => runs(kinds.len(), places),
        Column::OptionalChoice(kinds, places) => {
            // Which rows have a value, behind the length of that, and then the values there are.
            let present: Vec<u32> = places.iter().map(|place| place.is_some().into()).collect();
            let levels = runs(2, &present).split_off(1);
            let there: Vec<u32> = places.iter().copied().flatten().collect();
            [&(levels.len() as u32).to_le_bytes()[..], &levels, &runs(kinds.len(), &there)].concat()
        }
        Column::Float(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Column::Double(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Column::Bool(values) => values
            .chunks(8)
            .map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit)))
            .collect(),
    }
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
        let kinds = ["a", "b"].map(str::to_owned).to_vec();
        let column = Column::OptionalChoice(kinds, vec![Some(1), None, None]);
        assert_eq!(values(&column), [4, 0, 0, 0, 2, 1, 4, 0, 1, 2, 1]);
    }

    #[test]
    fn bits_are_packed_from_the_lowest() {
        let nine = [true, false, true, false, false, false, false, false, true];
        assert_eq!(values(&Column::Bool(nine.to_vec())), [0b101, 1]);
    }

    #[test]
    fn the_footer_says_what_is_where() {
        let fields =
            vec![("name".to_owned(), ColumnType::Text), ("value".to_owned(), ColumnType::Float)];
        let mut writer = Writer::new(vec![], fields).unwrap();
        let names = Column::Text(vec!["a".into(), "bc".into()]);
        writer.group(2, &[names, Column::Float(vec![1.0, 2.0])]).unwrap();
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

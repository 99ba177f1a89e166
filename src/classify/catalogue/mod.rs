//! The results of a collection as a table that is kept up: given again, a collection costs what is
//! new in it.
//!
//! [`columns`] says what a row has, for all formats at once. While a run goes on, its rows stand
//! in a [`journal`] beside the table, so that a kill loses none; [`keeper`] knows what is to be done
//! and what may be replaced.

mod cell;
mod columns;
mod csv;
mod format;
mod journal;
mod json_lines;
mod keeper;
mod parquet;
mod parquet_reader;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(not(feature = "sqlite"))]
#[path = "sqlite_left_out.rs"]
mod sqlite;

pub use columns::Teller;
pub use keeper::{Catalogue, Need, row};

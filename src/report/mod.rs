//! One page, one PDF and one Markdown file that compare runs of every kind.
//!
//! [`Report::read`] reads runs, whatever program made them; [`Report::document`] says which may
//! stand in one table and what the figures show; [`Document::write`] renders that three times,
//! so that page, PDF and Markdown say the same.

mod charts;
mod colour_map;
mod compose;
mod consistency;
mod discussion;
mod document;
mod entry;
#[cfg(test)]
mod fixtures;
mod gather;
mod group;
mod leaks;
#[cfg(feature = "pdf")]
mod pdf;
mod render;
mod sheet;
mod significance;
mod spectrogram;
mod summary;
mod tagged;
mod text;
mod title_page;
mod titles;
#[cfg(not(feature = "pdf"))]
mod typesetter;

pub use document::Document;
pub use gather::Report;
pub use render::Written;
pub use summary::{Summary, TableSummary};
pub use title_page::TitlePage;

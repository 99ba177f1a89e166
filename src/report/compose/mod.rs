//! From runs to the document: which tables and charts there are, and in what order.
//!
//! Every section is a file that adds itself to the document; what all of them need is the
//! context.

mod calibration;
mod context;
mod curves;
mod data;
mod discussion;
mod figures;
mod group;
mod leaks;
mod methods;
mod mistakes;
mod repeated;

mod searches;
mod sections;
mod shared;
mod summary;
mod tables;
mod tags;

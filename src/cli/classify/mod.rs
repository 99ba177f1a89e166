//! The program `classify`: recordings and a model in; lines, tables and pictures out.
//!
//! Results come in whatever order recordings are finished, and are shown in the order the
//! recordings were named. What [`Arguments`] ask for is done by [`run`](fn@run).

mod arguments;
mod in_order;
mod input;
mod lines;
mod output;
mod run;
mod verify;

pub use arguments::Arguments;
pub use run::run;

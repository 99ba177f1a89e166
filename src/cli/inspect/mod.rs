//! The program `inspect-onnx`: a file in; what it is and the commands to use it out.

mod arguments;
mod commands;
mod run;
mod text;

pub use arguments::Arguments;
pub use run::run;

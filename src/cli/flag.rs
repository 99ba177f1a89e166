//! Options as flags.

/// An option as a program's flag.
pub fn flag(option: &str) -> String {
    format!("--{option}")
}

//! REMOVE

/// A line on standard error. `eprintln!` would panic where nobody reads that.
#[macro_export]
macro_rules! say {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($what)*);
    }};
}
pub use crate::text::{counted, thousands};

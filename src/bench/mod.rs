//! Compares runtimes on the same models, on the same machine, in the same minutes.
//!
//! Every case (model, runtime, device, threads, batch) runs in a process of its own, and
//! the cases that are to be compared take turns, so that whatever else the machine does
//! meets them all alike. A case that cannot run keeps its row, with the reason.

#[cfg(feature = "train")]
mod baseline_set;
mod case;
mod chart;
#[cfg(feature = "tract")]
mod evaluation;
mod facts;
mod judge;
mod machine;
mod measure;
mod operators;
mod output;
mod outputs;
mod plan;
mod records;
mod run;
mod set;
mod table;
mod variants;

pub use case::serve;
pub use machine::Machine;
pub use operators::{OperatorReport, OperatorRow, OperatorTable, operators};
pub use output::prepare_output;
pub use plan::Plan;
pub use records::{Latency, Report, Row};
pub use run::run;
pub use set::EvaluationSet;

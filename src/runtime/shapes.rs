//! The shape of every tensor of a file, as tract infers it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tract_onnx::prelude::*;

use super::failure::Failure;
use super::session::Runtime;
use super::tract::{guarded, loader, unknown};
use crate::error::{Error, Result};
use crate::onnx;

/// What tract knows of a graph without running it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shapes {
    /// The shape of each tensor that has one, by name.
    pub sizes: BTreeMap<String, Vec<usize>>,
    /// Operators that tract does not have; nothing is inferred behind them.
    pub unknown_operators: BTreeSet<String>,
}

/// The shapes of the tensors of the file at `path` when its inputs have the shapes that `given`
/// names. What `noted` says of the outputs of an operator that tract lacks is believed, so that
/// the rest of the graph can be inferred from it.
///
/// The work is tract's: it may take long, and much memory, on a file that is made to.
///
/// # Errors
/// [`Error::Runtime`] if tract cannot read the file at all; a graph of which it understands a
/// part is none.
pub(crate) fn shapes(
    path: &Path,
    given: &BTreeMap<String, Vec<usize>>,
    noted: &BTreeMap<String, Vec<usize>>,
) -> Result<Shapes> {
    let proto = onnx::read(path)?;
    let folder = path.parent().and_then(Path::to_str);
    let infer = || {
        let mut model = loader().parse(&proto, folder)?.model;
        for outlet in model.input_outlets()?.to_vec() {
            if let Some(shape) = given.get(&model.node(outlet.node).name) {
                let fact = model.outlet_fact(outlet)?.clone().with_shape(&shape[..]);
                model.set_outlet_fact(outlet, fact)?;
            }
        }
        let unknown_operators = believe(&mut model, noted)?;
        // What cannot be inferred stays unknown; the rest is what is asked for.
        let _ = model.analyse(true);
        Ok(Shapes { sizes: sizes(&model), unknown_operators })
    };
    guarded(infer)
        .map_err(|fault| Error::runtime(Runtime::Tract.name(), Failure::new(path.display(), fault)))
}

/// The operators that tract does not know, whose outputs are given the shapes of `noted`.
fn believe(
    model: &mut InferenceModel,
    noted: &BTreeMap<String, Vec<usize>>,
) -> TractResult<BTreeSet<String>> {
    let mut operators = BTreeSet::new();
    let mut outlets = vec![];
    for node in model.nodes() {
        if let Some(operator) = unknown(&node.op.name()) {
            operators.insert(operator);
            outlets.extend((0..node.outputs.len()).map(|slot| OutletId::new(node.id, slot)));
        }
    }
    for outlet in outlets {
        let shape = model.outlet_label(outlet).and_then(|label| noted.get(label));
        if let Some(shape) = shape {
            let fact = InferenceFact::dt_shape(f32::datum_type(), &shape[..]);
            model.set_outlet_fact(outlet, fact)?;
        }
    }
    Ok(operators)
}

/// The shapes that are wholly known, by the names that the file has for the tensors.
fn sizes(model: &InferenceModel) -> BTreeMap<String, Vec<usize>> {
    let mut sizes = BTreeMap::new();
    for node in model.nodes() {
        for (slot, output) in node.outputs.iter().enumerate() {
            if let Ok(Some(shape)) = output.fact.shape.as_concrete_finite() {
                let label = model.outlet_label(OutletId::new(node.id, slot));
                sizes.insert(label.unwrap_or(&node.name).to_owned(), shape.to_vec());
            }
        }
    }
    sizes
}

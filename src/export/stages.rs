//! A run's way to its ONNX file: graph, fold, quantize, prepend the front end, opset, sign,
//! write, prove, publish.

use std::path::Path;

use burn::tensor::Device;
use tract_onnx::pb::ModelProto;

use super::input::Input;
use super::metadata::metadata;
use super::options::Options;
use super::precision::Trial;
use super::proof::{self, Probe};
use super::{burn_graph, clip, fuse, splice, waveform};
use crate::error::Result;
use crate::features::Preprocessor;
use crate::onnx::opset;
use crate::onnx::write::{Part, sign};
use crate::run::{Agreement, Exported, Precision, Run, Validation};
use crate::train::{OnBackbone, Trained};

/// Exports `run` to `destination`: written beside it, checked in tract, and in ort
/// where that is installed, and only then renamed into place.
///
/// # Errors
/// [`Error::Unsupported`](crate::error::Error::Unsupported) if the model was trained on pictures and is to
/// take samples; [`Error::Onnx`](crate::error::Error::Onnx) if a runtime differs by more than
/// [`TOLERANCE`](super::TOLERANCE) or [`RELATIVE_TOLERANCE`](super::RELATIVE_TOLERANCE), or a
/// smaller variant is worse than allowed; [`Error::NotFound`](crate::error::Error::NotFound) if the
/// collection that a variant is tried on is not there; errors of the run's files and of
/// `destination`'s folder. Nothing is left behind then.
pub fn export(run: &Run, destination: &Path, options: &Options) -> Result<Exported> {
    options.check()?;
    let preprocessor = run.preprocessor()?;
    options.input.check(&preprocessor, run.folder())?;
    let part = Part::beside(destination)?;
    let job = Job { run, preprocessor, destination, options };
    match options.precision {
        Precision::Fp32 => job.full(part),
        _ => job.smaller(part),
    }
}

/// What is exported, where to and how.
struct Job<'a> {
    run: &'a Run,
    preprocessor: Preprocessor,
    destination: &'a Path,
    options: &'a Options,
}

impl Job<'_> {
    /// In 32-bit floats: the file answers as the trained model does.
    fn full(&self, part: Part) -> Result<Exported> {
        let trained = self.run.model(&Device::flex())?;
        let probes = self.probes(&trained, self.options.input)?;
        let model = self.graph(&trained)?;
        let opset = self.write(&part, model, &trained)?;
        let agreement = part.prove(|path| proof::verify(path, &probes))?;
        self.publish(part, opset, agreement, None)
    }

    /// With smaller numbers: the graph in floats answers as the trained model does, and the
    /// file is tried on the validation part.
    fn smaller(&self, part: Part) -> Result<Exported> {
        let fp32 = Part::beside(self.destination)?;
        let data = self.options.data.as_deref();
        let trial = Trial::open(self.run, &self.preprocessor, data, fp32.path())?;
        let trained = self.run.model(&Device::flex())?;
        let probes = self.probes(&trained, Input::LogMel)?;
        let mut model = self.graph(&trained)?;
        fp32.write(&model)?;
        let agreement = fp32.prove(|path| proof::verify(path, &probes))?;
        self.options.precision.apply(self.destination, &mut model, &trial)?;
        let opset = self.write(&part, model, &trained)?;
        let Options { input, max_drop, .. } = *self.options;
        let validation = part.prove(|path| trial.judge(path, input, max_drop))?;
        self.publish(part, opset, agreement, Some(validation))
    }

    /// What to ask of the file. Made before the export, which moves a batch normalization's
    /// statistics, shared between clones of a module, to a device that cannot compute.
    fn probes(&self, trained: &Trained, input: Input) -> Result<Vec<Probe>> {
        Probe::all(trained, self.run, &self.preprocessor, input)
    }

    /// The graph from log-mels to the outputs, in 32-bit floats, batch normalizations folded.
    fn graph(&self, trained: &Trained) -> Result<ModelProto> {
        let patch = self.preprocessor.patch();
        let mut model = match trained {
            Trained::Chain(model) => burn_graph::of(&**model, patch, self.destination)?,
            Trained::Custom(model) => burn_graph::of(model, patch, self.destination)?,
            Trained::Backbone(OnBackbone { path, head, .. }) => {
                let output = self.run.config()?.output;
                splice::append_head(path, output.as_deref(), head, patch)?
            }
        };
        fuse::fold_batch_norms(self.destination, &mut model)?;
        Ok(model)
    }

    /// Front end, opset, signature, file; the opset.
    fn write(&self, part: &Part, mut model: ModelProto, trained: &Trained) -> Result<i64> {
        self.prepend_front_end(&mut model)?;
        // A spliced graph is its backbone's author's.
        if !matches!(trained, Trained::Backbone(..)) {
            opset::lower(&mut model);
        }
        sign(&mut model, metadata(self.run, self.options)?);
        let opset = opset::of(&model);
        opset::check(opset, self.destination)?;
        part.write(&model)?;
        Ok(opset)
    }

    /// Makes `model`, which takes log-mels, take what it is to take.
    fn prepend_front_end(&self, model: &mut ModelProto) -> Result<()> {
        match (self.options.input, &self.preprocessor) {
            (Input::Waveform, Preprocessor::Audio(front_end)) => {
                waveform::prepend_front_end(model, front_end, self.destination)
            }
            (Input::Clip, Preprocessor::Audio(front_end)) => {
                clip::prepend_front_end(model, front_end, self.destination)
            }
            _ => Ok(()),
        }
    }

    fn publish(
        &self,
        part: Part,
        opset: i64,
        agreement: Vec<Agreement>,
        validation: Option<Validation>,
    ) -> Result<Exported> {
        let (bytes, sha256) = part.publish()?;
        let (path, precision) = (self.destination.to_owned(), self.options.precision);
        Ok(Exported { path, bytes, sha256, opset, precision, agreement, validation })
    }
}

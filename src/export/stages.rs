//! A run's way to its ONNX file: graph, fold, quantize, prepend the front end, opset, sign,
//! write, prove, probe, publish.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use tract_onnx::pb::ModelProto;

use super::input::Input;
use super::metadata::metadata;
use super::options::Options;
use super::precision::Trial;
use super::proof::Proof;
use super::trust::Source;
use super::{burn_graph, carry, clip, fuse, image, splice, trust, waveform};
use crate::error::{Error, Result};
use crate::features::Preprocessor;
use crate::onnx;
use crate::onnx::external::LIMIT;
use crate::onnx::names::key;
use crate::onnx::opset;
use crate::onnx::prune::make_constants_weights;
use crate::onnx::write::{Part, Published, sign};
use crate::run::{Agreement, COVERAGE, Exported, Precision, Run, Trust, Validation};
use crate::train::{OnBackbone, Trained};
use crate::verify;

/// Exports `run` to `destination`: written beside it, checked in tract, and in ort
/// where that is installed, and only then renamed into place.
///
/// # Errors
/// [`Error::Unsupported`](crate::error::Error::Unsupported) if the model was trained on something else
/// than it is to take; [`Error::Onnx`](crate::error::Error::Onnx) if a runtime differs by more than
/// [`TOLERANCE`](super::TOLERANCE) or [`RELATIVE_TOLERANCE`](super::RELATIVE_TOLERANCE), or a
/// smaller variant is worse than allowed; [`Error::NotFound`](crate::error::Error::NotFound) if the
/// collection that a variant is tried on is not there; errors of the run's files and of
/// `destination`'s folder. Nothing is left behind then.
pub fn export(run: &Run, destination: &Path, options: &Options) -> Result<Exported> {
    export_within(run, destination, options, LIMIT)
}

/// As [`export`]: weights go into a second file, `NAME.onnx.data`, where a single one would have
/// more than `limit` bytes.
///
/// # Errors
/// As [`export`].
#[doc(hidden)]
pub fn export_within(
    run: &Run,
    destination: &Path,
    options: &Options,
    limit: usize,
) -> Result<Exported> {
    options.check()?;
    if options.precision != Precision::Fp32 && !run.split()?.task.is_single() {
        let reason = "a smaller variant is tried by how many tracks it gives their one label, and \
                      these tracks have several; choose ‹precision› fp32";
        return Err(Error::unsupported(run.folder(), reason));
    }
    let preprocessor = run.preprocessor()?;
    options.input.check(&preprocessor, run.folder())?;
    let part = Part::within(destination, limit)?;
    let trust = run.trust()?;
    if trust.is_none() && options.coverage != COVERAGE {
        let reason = "the run knows of no sets of genres: its tracks have several labels or were too \
                      few, or an older version trained it; leave it out";
        return Err(Error::out_of_range("coverage", options.coverage, reason));
    }
    let job = Job { run, preprocessor, trust, destination, options, limit };
    match options.precision {
        Precision::Fp32 => job.full(part),
        _ => job.smaller(part),
    }
}

/// Writes into the file what it answers to probes, if it hears recordings: another program that
/// runs it can test itself by that.
fn add_probes(part: &Part, fp32: Option<&Path>) -> Result<()> {
    let Some(probes) = part.prove(|path| verify::probes_of(path, fp32))? else { return Ok(()) };
    let json = probes.to_json().map_err(|error| Error::format(part.path(), error))?;
    // Read again, for while it was run it was not to be in memory twice.
    let mut model = onnx::read(part.path())?;
    sign(&mut model, BTreeMap::from([(key::PROBES, json)]));
    part.write(&mut model)
}

/// What is exported, where to and how.
struct Job<'a> {
    run: &'a Run,
    preprocessor: Preprocessor,
    /// How far it can be trusted, as far as that is known.
    trust: Option<Trust>,
    destination: &'a Path,
    options: &'a Options,
    /// The most bytes of a model in one file.
    limit: usize,
}

impl Job<'_> {
    /// In 32-bit floats: the file answers as the trained model does.
    fn full(&self, part: Part) -> Result<Exported> {
        let trained = self.run.model(&Device::flex())?;
        let proof = self.proof(&trained, self.options.input, Some(self.options.coverage))?;
        let model = self.graph(&trained)?;
        let opset = self.write(&part, model, trained)?;
        let agreement = part.prove(|path| proof.verify(path))?;
        add_probes(&part, None)?;
        self.publish(part, opset, agreement, None)
    }

    /// With smaller numbers: the graph in floats answers as the trained model does, and the
    /// file is tried on the validation part.
    fn smaller(&self, part: Part) -> Result<Exported> {
        let fp32 = Part::within(self.destination, self.limit)?;
        let data = self.options.data.as_deref();
        let trial = Trial::open(self.run, &self.preprocessor, data, fp32.path())?;
        let trained = self.run.model(&Device::flex())?;
        // The graph has no more than the two outputs yet.
        let proof = self.proof(&trained, Input::LogMel, None)?;
        let mut model = self.graph(&trained)?;
        sign(&mut model, self.hearing()?);
        fp32.write(&mut model)?;
        let agreement = fp32.prove(|path| proof.verify(path))?;
        make_constants_weights(onnx::graph_mut(self.destination, &mut model)?);
        // Where a full export keeps the backbone's operators, there are fewer to make smaller.
        fuse::fold_batch_norms(self.destination, &mut model)?;
        self.options.precision.apply(self.destination, &mut model, &trial)?;
        let opset = self.write(&part, model, trained)?;
        let Options { input, max_drop, .. } = *self.options;
        let validation = part.prove(|path| trial.judge(path, input, max_drop))?;
        // What takes the samples of patches has no ports yet that say so.
        let heard = matches!(self.preprocessor, Preprocessor::Audio(_)).then(|| fp32.path());
        add_probes(&part, heard)?;
        self.publish(part, opset, agreement, Some(validation))
    }

    /// The metadata by which a file that takes log-mels can be given recordings.
    fn hearing(&self) -> Result<BTreeMap<&'static str, String>> {
        let mut entries = metadata(self.run, &Options::new(Input::LogMel))?;
        entries.retain(|key, _| [key::LABELS, key::FRONT_END, key::INPUT].contains(key));
        Ok(entries)
    }

    /// What to ask of the file. Made before the export, which moves a batch normalization's
    /// statistics, shared between clones of a module, to a device that cannot compute.
    fn proof(&self, trained: &Trained, input: Input, coverage: Option<f64>) -> Result<Proof> {
        let asked = (input, coverage);
        Proof::of(trained, self.run, &self.preprocessor, asked, self.trust.as_ref())
    }

    /// The graph from log-mels to the outputs, in 32-bit floats: a backbone's with its own
    /// operators, one of ours with batch normalizations folded.
    fn graph(&self, trained: &Trained) -> Result<ModelProto> {
        let (patch, kind) = (self.preprocessor.patch(), self.preprocessor.patch_kind());
        let mut model = match trained {
            Trained::Backbone(OnBackbone { path, head, .. }) => {
                return splice::append_head(path, &self.run.feed(path)?, head, kind);
            }
            Trained::Chain(model) => burn_graph::of(&**model, patch, self.destination)?,
            Trained::Custom(model) => burn_graph::of(model, patch, self.destination)?,
        };
        fuse::fold_batch_norms(self.destination, &mut model)?;
        Ok(model)
    }

    /// Front end, opset, signature, file; the opset.
    fn write(&self, part: &Part, mut model: ModelProto, trained: Trained) -> Result<i64> {
        self.prepend_front_end(&mut model)?;
        // A spliced graph is its backbone's author's.
        if !matches!(trained, Trained::Backbone(..)) {
            opset::lower(&mut model);
        }
        // In the forms of the opset that the rest has.
        if let Some(found) = &self.trust {
            let Options { coverage, input, .. } = *self.options;
            let source = Source::of(input);
            trust::append(self.destination, &mut model, found, coverage, source)?;
        }
        // Its weights are in the graph, and being encoded they are in memory once more.
        drop(trained);
        let mut entries = metadata(self.run, self.options)?;
        // Whoever trained need not have known what the file says itself.
        if let (Some(license), Some(theirs)) =
            (entries.get_mut(key::LICENSE), carry::license(&model))
            && license.starts_with("unknown")
        {
            *license = theirs;
        }
        sign(&mut model, entries);
        let opset = opset::check(self.destination, &model)?;
        part.write(&mut model)?;
        Ok(opset)
    }

    /// Makes `model`, which takes log-mels, take what it is to take.
    fn prepend_front_end(&self, model: &mut ModelProto) -> Result<()> {
        let (path, preprocessor) = (self.destination, &self.preprocessor);
        match (self.options.input, preprocessor) {
            (Input::Waveform, Preprocessor::Audio(front_end)) => {
                waveform::prepend_front_end(model, front_end, path)
            }
            (Input::Waveform, Preprocessor::Samples(front_end)) => {
                waveform::take_samples(model, front_end.patch_samples, path)
            }
            (Input::Clip, _) => {
                clip::prepend_front_end(model, preprocessor, self.trust.as_ref(), path)
            }
            (Input::Image, Preprocessor::Image(front_end)) => {
                image::take_images(model, front_end, path)
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
        let Published { bytes, sha256, data } = part.publish()?;
        let (path, precision) = (self.destination.to_owned(), self.options.precision);
        Ok(Exported { path, data, bytes, sha256, opset, precision, agreement, validation })
    }
}

//! Trained runs and ONNX files in burn itself; runs have the ports of the files that are exported
//! from them.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use ndarray::{ArrayD, ArrayViewD};

use super::input::Input;
use crate::error::{Cause, Error, Result};
use crate::features::Preprocessor;
use crate::model::burn_device;
use crate::model::graph::Whole;
use crate::onnx;
use crate::onnx::Port;
use crate::onnx::names::OUTPUTS;
use crate::run::{Kind, Run};
use crate::runtime::{self, Options, Runtime, Session};
use crate::train::{OnBackbone, Trained};

/// Opens `model` in `runtime`: an ONNX file, or for [`Runtime::Burn`] also the folder of a run,
/// whose model answers there as its exported file does elsewhere.
///
/// burn's CPU backend takes its threads from rayon's global pool, which can be
/// sized once in a process: asking for another number later is an error.
///
/// # Errors
/// Those of [`runtime::open`], and those of the run; [`Error::Runtime`] for one whose backbone
/// stays an ONNX file, and for a baseline's.
pub fn open(runtime: Runtime, model: &Path, options: &Options) -> Result<Box<dyn Session>> {
    match runtime {
        Runtime::Burn => {
            runtime::check(runtime, model, options)?;
            if model.is_dir() {
                Ok(Box::new(Native::open(model, options)?))
            } else {
                Ok(Box::new(NativeFile::open(model, options)?))
            }
        }
        Runtime::Ort | Runtime::Tract => runtime::open(runtime, model, options),
    }
}

fn error(reason: impl Into<Cause>) -> Error {
    Error::runtime(Runtime::Burn.name(), reason)
}

/// A run's model in burn.
struct Native {
    model: Trained,
    device: burn::tensor::Device,
    preprocessor: Preprocessor,
    input: Port,
    outputs: Vec<String>,
}

impl Native {
    fn open(folder: &Path, options: &Options) -> Result<Self> {
        let run = Run::at(folder);
        if run.is_complete() && run.kind()? == Kind::Baseline {
            return Err(error("it runs fine-tuned models, not baselines"));
        }
        set_threads(options.threads)?;
        let device = burn_device(options.device)?;
        let run = Run::open(folder)?;
        let model = run.model(&device)?;
        if let Trained::Backbone(OnBackbone { graph: None, .. }) = model {
            return Err(error("this run's backbone could not be imported and stays an ONNX file"));
        }
        let preprocessor = run.preprocessor()?;
        let sizes = preprocessor.natural_axes().into_iter().map(Some);
        Ok(Self {
            model,
            device,
            input: Port {
                name: Input::native_to(&preprocessor).name().to_owned(),
                dims: std::iter::once(None).chain(sizes).collect(),
                ..Port::default()
            },
            preprocessor,
            outputs: OUTPUTS.map(str::to_owned).to_vec(),
        })
    }
}

fn set_threads(threads: usize) -> Result<()> {
    if rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().is_ok()
        || rayon::current_num_threads() == threads
    {
        return Ok(());
    }
    let given = rayon::current_num_threads();
    Err(error(format!("this process already works with {given} threads, not {threads}")))
}

impl Session for Native {
    fn input(&self) -> &Port {
        &self.input
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn metadata(&self, _: &str) -> Option<String> {
        None
    }

    fn run(&mut self, input: ArrayViewD<'_, f32>) -> Result<Vec<ArrayD<f32>>> {
        self.input.check(input.shape()).map_err(error)?;
        let patches = self.preprocessor.kept(&input);
        let patches = patches.ok_or_else(|| error("the input is not one of patches"))?;
        let (batch, frames, features) = patches.dim();
        let data = TensorData::new(patches.into_raw_vec_and_offset().0, [batch, frames, features]);
        let answers = self.model.forward(Tensor::from_data(data, &self.device))?;
        let Some((probabilities, embeddings)) = answers else {
            return Err(error("the backbone is an ONNX file"));
        };
        Ok(vec![array(probabilities)?, array(embeddings)?])
    }
}

/// An ONNX file in burn.
struct NativeFile {
    whole: Whole,
    input: Port,
    /// Outputs of floats.
    outputs: Vec<String>,
    metadata: BTreeMap<String, String>,
}

impl NativeFile {
    fn open(path: &Path, options: &Options) -> Result<Self> {
        set_threads(options.threads)?;
        let model = onnx::read(path)?;
        let outputs: Vec<String> =
            onnx::outputs(&model, path)?.into_iter().map(|port| port.name).collect();
        Ok(Self {
            input: onnx::input(&model, path)?,
            metadata: onnx::metadata(&model),
            whole: Whole::of(path, &model, Some(&outputs), &burn_device(options.device)?)?,
            outputs,
        })
    }
}

impl Session for NativeFile {
    fn input(&self) -> &Port {
        &self.input
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn metadata(&self, key: &str) -> Option<String> {
        self.metadata.get(key).cloned()
    }

    fn run(&mut self, input: ArrayViewD<'_, f32>) -> Result<Vec<ArrayD<f32>>> {
        self.input.check(input.shape()).map_err(error)?;
        Ok(self.whole.floats(input)?.into_iter().flatten().collect())
    }
}

fn array(tensor: Tensor<2>) -> Result<ArrayD<f32>> {
    let shape = tensor.dims().to_vec();
    ArrayD::from_shape_vec(shape, tensor.into_data().iter::<f32>().collect()).map_err(error)
}

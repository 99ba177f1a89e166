//! Trained runs in burn itself.

use std::path::Path;

use burn::tensor::{Tensor as BurnTensor, TensorData};

use super::{Device, Options, Port, Runtime, Session, Tensor};
use crate::error::{Error, Result};
use crate::run::Run;
use crate::train::Trained;

pub(super) const VERSION: &str = "0.22.1";

/// A run's model in burn, with the ports of the exported file.
pub(super) struct Burn {
    model: Trained,
    device: burn::tensor::Device,
    input: Port,
    outputs: Vec<String>,
}

impl Burn {
    /// Opens the run in `folder`.
    ///
    /// burn's CPU backend takes its threads from rayon's global pool, which can be
    /// sized once in a process: asking for another number later is an error.
    pub fn open(folder: &Path, options: &Options) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::runtime("burn", "it runs run folders, not ONNX files"));
        }
        if crate::baseline::BaselineRun::find(folder)?.is_some() {
            return Err(Error::runtime("burn", "it runs fine-tuned models, not baselines"));
        }
        set_threads(options.threads)?;
        let device = match options.device {
            Device::Cpu => burn::tensor::Device::flex(),
            Device::Cuda => cuda()?,
        };
        let run = Run::open(folder)?;
        let model = run.model(&device)?;
        if let Trained::OnnxBackbone(..) = model {
            let reason = "this run's backbone could not be imported and stays an ONNX file";
            return Err(Error::runtime("burn", reason));
        }
        let [patch_frames, mels] = run.preprocessor()?.patch();
        Ok(Self {
            model,
            device,
            input: Port {
                name: crate::onnx::names::LOG_MEL.to_owned(),
                dims: vec![None, Some(patch_frames), Some(mels)],
            },
            outputs: crate::onnx::names::OUTPUTS.map(str::to_owned).to_vec(),
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
    let reason = format!("this process already works with {given} threads, not {threads}");
    Err(Error::runtime("burn", reason))
}

impl Session for Burn {
    fn input(&self) -> &Port {
        &self.input
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn metadata(&self, _: &str) -> Option<String> {
        None
    }

    fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>> {
        self.input.check(Runtime::Burn, input)?;
        let &[batch, frames, mels] = input.shape.as_slice() else {
            return Err(Error::runtime("burn", "the input must have three axes"));
        };
        let data = TensorData::new(input.data.clone(), [batch, frames, mels]);
        let answers = self.model.forward(BurnTensor::from_data(data, &self.device));
        let Some((probabilities, embeddings)) = answers else {
            return Err(Error::runtime("burn", "the backbone is an ONNX file"));
        };
        let values = |tensor: BurnTensor<2>| Tensor {
            shape: tensor.dims().to_vec(),
            data: tensor.into_data().iter::<f32>().collect(),
        };
        Ok(vec![values(probabilities), values(embeddings)])
    }
}

/// The first CUDA device.
///
/// # Errors
/// [`Error::Runtime`] if there is no driver or the cargo feature is off.
pub fn cuda() -> Result<burn::tensor::Device> {
    super::check_cuda(Runtime::Burn)?;
    #[cfg(feature = "burn-cuda")]
    return Ok(burn::tensor::Device::cuda(0));
    #[cfg(not(feature = "burn-cuda"))]
    Err(super::missing_feature(Runtime::Burn, "burn-cuda"))
}

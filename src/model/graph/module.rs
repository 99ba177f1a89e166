//! The graph as a burn module.

use std::path::PathBuf;
use std::sync::Arc;

use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Tensor, TensorData};

use super::floats::Floats;
use super::layers::Layer;
use super::plan::{Job, Plan, Stored};
use super::value::Value;
use crate::error::{Error, Result};
use crate::model::feed::Feed;
use crate::runtime::Pool;

/// A backbone's graph: log-mel patches `[batch, frames, mels]` to embeddings
/// `[batch, features]`. Parameters are kept flat, whatever shape the graph gives them.
#[derive(Module, Debug)]
pub struct OnnxGraph {
    parameters: Vec<Param<Tensor<1>>>,
    statistics: Vec<RunningState<Tensor<1>>>,
    #[module(skip)]
    plan: Arc<Plan>,
    #[module(skip)]
    feed: Feed,
    #[module(skip)]
    path: Arc<PathBuf>,
    #[module(skip)]
    learns_statistics: bool,
    /// The first layer that learns.
    #[module(skip)]
    first_learning: usize,
}

impl OnnxGraph {
    pub(super) fn new(
        plan: Plan,
        [parameters, statistics]: [Vec<Vec<f32>>; 2],
        feed: Feed,
        path: PathBuf,
        device: &Device,
    ) -> Self {
        let flat = |values: Vec<f32>| {
            let length = values.len();
            TensorData::new(values, [length])
        };
        let parameter = |values| Param::from_data(flat(values), device);
        let statistic = |values| RunningState::new(Tensor::from_data(flat(values), device));
        Self {
            parameters: parameters.into_iter().map(parameter).collect(),
            statistics: statistics.into_iter().map(statistic).collect(),
            plan: Arc::new(plan),
            feed,
            path: Arc::new(path),
            learns_statistics: false,
            first_learning: usize::MAX,
        }
    }

    /// Embeddings `[batch, features]` of patches `[batch, frames, mels]`, as many at a time as the
    /// file takes.
    ///
    /// # Errors
    /// [`Error::UnsupportedOperator`] if a node cannot compute a batch of this size, which the
    /// import's proof has shown for others; [`Error::Onnx`] if the answer to so many is not one
    /// embedding each.
    pub fn forward(&self, patches: Tensor<3>) -> Result<Tensor<2>> {
        let [count, frames, features] = patches.dims();
        let size = self.feed.input.batch.unwrap_or(count);
        if size == count {
            return self.embed(patches);
        }
        let starts = (0..count).step_by(size.max(1));
        let some = starts.map(|start| {
            let rows = size.min(count - start);
            let part = patches.clone().narrow(0, start, rows);
            if rows == size {
                return self.embed(part);
            }
            // Silence fills up the rest.
            let silence = Tensor::zeros([size - rows, frames, features], &part.device());
            Ok(self.embed(Tensor::cat(vec![part, silence], 0))?.narrow(0, 0, rows))
        });
        Ok(Tensor::cat(some.collect::<Result<_>>()?, 0))
    }

    /// Embeddings of as many patches as the file takes at a time.
    fn embed(&self, patches: Tensor<3>) -> Result<Tensor<2>> {
        let (device, count) = (patches.device(), patches.dims()[0]);
        let given = vec![Value::Float(self.arranged(patches))];
        let outputs = self.compute(given, &device)?;
        let Some(Value::Float(floats)) = outputs.into_iter().next() else {
            return Err(Error::onnx(&*self.path, "its output holds no floats"));
        };
        let shape = floats.shape().to_vec();
        let rows = self.rows(floats)?;
        // A graph may treat the batch as it likes, and sizes that nobody has proved otherwise.
        if self.feed.is_right(rows.dims(), count) {
            return Ok(rows);
        }
        Err(Error::onnx(&*self.path, self.feed.no_embeddings(shape, count).to_string()))
    }

    /// Patches with the axes that the file wants.
    fn arranged(&self, patches: Tensor<3>) -> Floats {
        let input = &self.feed.input;
        let count = patches.dims()[0];
        let [frames, rows, channels] = input.parts;
        let patches: Tensor<4> = patches.reshape([count, frames, rows, channels]);
        let patches = if input.is_turned() {
            patches.permute(input.order.map(|axis| axis as isize))
        } else {
            patches
        };
        Floats::from_reshaped(patches, input.axes(count))
    }

    /// One row a patch.
    fn rows(&self, floats: Floats) -> Result<Tensor<2>> {
        let &Feed { axis, pool, .. } = &self.feed;
        let first = usize::from(!self.feed.is_single());
        let shape = floats.shape().to_vec();
        if shape.len() < first {
            return Err(Error::onnx(&*self.path, "its output has no batch axis"));
        }
        let count: usize = shape[..first].iter().product();
        let Some(pool) = pool.filter(|_| (first..shape.len()).contains(&axis)) else {
            return Ok(floats.into_rank([count, shape[first..].iter().product()]));
        };
        let before: usize = shape[first..axis].iter().product();
        let behind: usize = shape[axis + 1..].iter().product();
        let values: Tensor<4> = floats.into_rank([count, before, shape[axis], behind]);
        let pooled = match pool {
            Pool::Mean => values.mean_dim(1).mean_dim(3),
            Pool::Max => values.max_dim(1).max_dim(3),
            Pool::First => values.narrow(1, 0, 1).narrow(3, 0, 1),
        };
        Ok(pooled.reshape([count, shape[axis]]))
    }

    fn compute(&self, given: Vec<Value>, device: &Device) -> Result<Vec<Value>> {
        let shaped = |(stored, data): (&Stored, Tensor<1>)| {
            Floats::from_flat(data, stored.shape.clone())
                .map_err(|fault| Error::onnx(&*self.path, fault))
        };
        let parameters = self.parameters.iter().map(Param::val);
        let statistics = self.statistics.iter().map(|state| state.value());
        let learns = self.learns_statistics && device.is_autodiff();
        let learned_statistics = if learns {
            self.plan.statistic_layers.iter().map(|layer| *layer >= self.first_learning).collect()
        } else {
            vec![]
        };
        let job = Job {
            given,
            parameters: self
                .plan
                .parameters
                .iter()
                .zip(parameters)
                .map(shaped)
                .collect::<Result<_>>()?,
            statistics: self
                .plan
                .statistics
                .iter()
                .zip(statistics)
                .map(shaped)
                .collect::<Result<_>>()?,
            device,
            learned_statistics,
        };
        let answer = self.plan.run(job).map_err(|failure| failure.at(&self.path))?;
        for (at, moved) in answer.statistics {
            self.statistics[at].update(moved.flat());
            // An update waits until the value is asked for; a checkpoint must not miss it.
            self.statistics[at].value_sync();
        }
        Ok(answer.outputs)
    }

    /// How it is fed.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Its layers with weights, from the input on.
    pub fn layers(&self) -> &[Layer] {
        &self.plan.layers
    }

    /// The number of layers with weights.
    pub fn depth(&self) -> usize {
        self.plan.layers.len()
    }

    /// Lets the last `layers` layers with weights learn and freezes all before them. A
    /// normalization learns its scale and shift with the layer it follows.
    pub fn unfreeze_last(mut self, layers: usize) -> Self {
        let first = self.depth().saturating_sub(layers);
        self.first_learning = first;
        let learning: Vec<bool> = (0..self.parameters.len())
            .map(|at| self.plan.layers[first..].iter().any(|layer| layer.places.contains(&at)))
            .collect();
        let parameters = std::mem::take(&mut self.parameters).into_iter().zip(learning);
        self.parameters =
            parameters.map(|(parameter, learns)| parameter.set_require_grad(learns)).collect();
        self
    }

    /// Lets batch normalizations of layers that learn use, and move, the statistics of the batches
    /// they see in training.
    pub fn learn_statistics(mut self, learns: bool) -> Self {
        self.learns_statistics = learns;
        self
    }

    /// Every parameter's layer counted from the output, which is 0, and its identity.
    pub(crate) fn depths(&self) -> Vec<(usize, burn::module::ParamId)> {
        let depth = self.depth();
        let layer = |at: usize| {
            let last = self.plan.layers.iter().rposition(|layer| layer.places.contains(&at));
            depth.saturating_sub(1 + last.unwrap_or(0))
        };
        self.parameters.iter().enumerate().map(|(at, found)| (layer(at), found.id)).collect()
    }

    /// Names of the file's tensors that a training may have changed, and their values now.
    pub(super) fn trained(&self) -> impl Iterator<Item = (&str, Vec<f32>)> {
        let values = |data: Tensor<1>| data.into_data().iter::<f32>().collect();
        let names = self.plan.parameters.iter().chain(&self.plan.statistics);
        let parameters = self.parameters.iter().map(Param::val);
        let all = parameters.chain(self.statistics.iter().map(|state| state.value()));
        names.zip(all).map(move |(stored, data)| (stored.name.as_str(), values(data)))
    }
}

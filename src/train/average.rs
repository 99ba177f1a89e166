//! Weights between those of two networks of one shape.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

/// `module` with the mean of its weights and running statistics and `other`'s, in which its own
/// have this share.
pub(super) fn mean<M: Module>(module: M, own: f32, other: &M) -> M {
    average(module, own, other, false)
}

/// The same of the weights that learn only; the others stay where they are.
pub(super) fn mean_of_learning<M: Module>(module: M, own: f32, other: &M) -> M {
    average(module, own, other, true)
}

fn average<M: Module>(module: M, own: f32, other: &M, only_learning: bool) -> M {
    let mut weights = Weights::default();
    other.visit(&mut weights);
    module.map(&mut Averager { weights: weights.0.into_iter(), own, only_learning })
}

/// Collects a module's weights and running statistics, one after another.
#[derive(Default)]
struct Weights(Vec<TensorData>);

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().into_data());
    }
}

/// Averages a module of the same shape with collected weights.
struct Averager {
    weights: std::vec::IntoIter<TensorData>,
    own: f32,
    only_learning: bool,
}

impl ModuleMapper for Averager {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(weights) = self.weights.next() else { return param };
        let (own, learns) = (self.own, param.is_require_grad());
        if self.only_learning && !learns {
            return param;
        }
        let mixed = param.map(|tensor| {
            let (shape, device) = (tensor.dims(), tensor.device());
            let old = tensor.into_data();
            let pairs = old.iter::<f32>().zip(weights.iter::<f32>());
            // What is alike stays as it is, without the rounding.
            let mixed = pairs.map(|(a, b)| if a == b { a } else { own * a + (1.0 - own) * b });
            Tensor::from_data(TensorData::new(mixed.collect::<Vec<f32>>(), shape), &device)
        });
        mixed.set_require_grad(learns)
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn what_does_not_learn_stays() {
        let device = Device::flex().autodiff();
        let of = |value: f32| {
            let mut layer = LinearConfig::new(1, 1).init(&device);
            layer.weight = Param::from_data(TensorData::new(vec![value], [1, 1]), &device);
            let bias = Param::from_data(TensorData::new(vec![value], [1]), &device);
            layer.bias = Some(bias.set_require_grad(false));
            layer
        };
        let found = mean_of_learning(of(4.0), 0.75, &of(8.0));
        let weight = &found.weight;
        assert_eq!(weight.val().into_data().iter::<f32>().collect::<Vec<_>>(), [5.0]);
        assert!(weight.is_require_grad());
        let bias = found.bias.unwrap();
        assert_eq!(bias.val().into_data().iter::<f32>().collect::<Vec<_>>(), [4.0]);
    }

    #[test]
    fn weights_are_averaged() {
        let device = Device::flex();
        let of = |weight: [f32; 2]| {
            let mut layer = LinearConfig::new(2, 1).init(&device);
            layer.weight = Param::from_data(TensorData::new(weight.to_vec(), [2, 1]), &device);
            layer
        };
        let [from, to] = [of([0.0, 8.0]), of([4.0, -8.0])];
        for (own, wanted) in [(1.0, [0.0, 8.0]), (0.75, [1.0, 4.0]), (0.0, [4.0, -8.0])] {
            let found = mean(from.clone(), own, &to).weight.val().into_data();
            assert_eq!(found.iter::<f32>().collect::<Vec<_>>(), wanted);
        }
    }
}

//! Float tensors whose number of axes is known at run time only.

use burn::tensor::{Device, Shape, Tensor, TensorData};

use super::fault::{Outcome, refuse};

/// The most values that a tensor may have (1 GiB of them): a file may ask for any number.
const MOST_VALUES: usize = 1 << 28;

/// The most axes that a tensor may have.
pub(super) const MOST_AXES: usize = 8;

/// A float tensor of any shape.
///
/// burn's type says how many axes a tensor has, its representation does not depend on it. Here
/// the tensor inside always says one, which operations that work value by value do not care
/// about; for all others [`Floats::into_rank`] gives the type its right number.
#[derive(Clone, Debug)]
pub struct Floats {
    shape: Vec<usize>,
    data: Tensor<1>,
    /// The value of a constant that has only one: arithmetic with a number is cheaper.
    single: Option<f32>,
    /// Whether the values of these maps `[batch, channels, height, width]` lie in memory place by
    /// place; what works value by value leaves them so.
    by_place: bool,
}

/// `function` of maps in the order in which their values lie if they do so place by place.
fn in_order<const N: usize>(
    maps: [Tensor<1>; N],
    function: impl FnOnce([Tensor<1>; N]) -> Tensor<1>,
) -> Tensor<1> {
    let last = maps.map(|map| relabelled(relabelled::<1, 4>(map).permute([0, 2, 3, 1])));
    relabelled(relabelled::<1, 4>(function(last)).permute([0, 3, 1, 2]))
}

/// The same tensor, said to have `TO` axes.
fn relabelled<const FROM: usize, const TO: usize>(tensor: Tensor<FROM>) -> Tensor<TO> {
    Tensor::from_bridge(tensor.into_bridge())
}

/// The number of values of `shape`.
///
/// # Errors
/// A fault if they are more than can be meant.
pub(super) fn count(shape: &[usize]) -> Outcome<usize> {
    let count = shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size));
    match count.filter(|count| *count <= MOST_VALUES && shape.len() <= MOST_AXES) {
        Some(count) => Ok(count),
        None => refuse(format!("a tensor of shape {shape:?} is too large")),
    }
}

impl Floats {
    /// `values` in row-major order.
    pub(super) fn new(values: Vec<f32>, shape: Vec<usize>, device: &Device) -> Outcome<Self> {
        if count(&shape)? != values.len() {
            return refuse(format!("{} values for the shape {shape:?}", values.len()));
        }
        let single = if let [value] = values[..] { Some(value) } else { None };
        let length = values.len();
        let data = Tensor::<1>::from_data(TensorData::new(values, [length]), device);
        Ok(Self { single, ..Self::from_flat(data, shape)? })
    }

    /// The values of a tensor with one axis, arranged as `shape`.
    pub(super) fn from_flat(data: Tensor<1>, shape: Vec<usize>) -> Outcome<Self> {
        if count(&shape)? != data.shape().num_elements() {
            return refuse(format!("{} values for {shape:?}", data.shape().num_elements()));
        }
        Ok(Self::of(arrange(data, &shape), shape))
    }

    /// A tensor of this shape.
    fn of(data: Tensor<1>, shape: Vec<usize>) -> Self {
        Self { shape, data, single: None, by_place: false }
    }

    /// A tensor as it is.
    pub(super) fn from_tensor<const D: usize>(tensor: Tensor<D>) -> Self {
        let shape = tensor.shape().as_slice().to_vec();
        Self::of(relabelled(tensor), shape)
    }

    /// Maps whose values lie in memory place by place.
    pub(super) fn by_place(tensor: Tensor<4>) -> Self {
        Self { by_place: true, ..Self::from_tensor(tensor) }
    }

    /// Whether these are maps whose values lie in memory place by place.
    pub(super) fn is_by_place(&self) -> bool {
        self.by_place
    }

    /// A tensor as it is, said to have another number of ones among its axes.
    pub(super) fn from_reshaped<const D: usize>(tensor: Tensor<D>, shape: Vec<usize>) -> Self {
        Self::of(arrange(relabelled(tensor), &shape), shape)
    }

    /// The size of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of axes.
    pub(super) fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The number of values.
    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The value of a constant that has only one.
    pub(super) fn single(&self) -> Option<f32> {
        self.single
    }

    /// Where it is.
    pub(super) fn device(&self) -> Device {
        self.data.device()
    }

    /// The values in row-major order, copied to the processor.
    pub fn values(&self) -> Vec<f32> {
        match self.single {
            Some(value) => vec![value],
            None if self.len() == 0 => vec![],
            None => self.data.clone().into_data().iter::<f32>().collect(),
        }
    }

    /// `function` of every value on its own.
    pub(super) fn map(self, function: impl FnOnce(Tensor<1>) -> Tensor<1>) -> Self {
        let data = if self.by_place {
            in_order([self.data], |[data]| function(data))
        } else {
            function(self.data)
        };
        Self { data, shape: self.shape, single: None, by_place: self.by_place }
    }

    /// With all axes in one.
    pub(super) fn flat(self) -> Tensor<1> {
        let length = self.len();
        arrange(self.data, &[length])
    }

    /// As a tensor of exactly these sizes, of which there are as many values.
    pub(super) fn into_rank<const D: usize>(self, sizes: [usize; D]) -> Tensor<D> {
        if self.shape == sizes && D > 0 {
            relabelled(self.data)
        } else {
            relabelled(arrange(self.data, &sizes))
        }
    }

    /// As a tensor of `D` axes, if it has so many.
    pub(super) fn with_rank<const D: usize>(self) -> Outcome<Tensor<D>> {
        match <[usize; D]>::try_from(self.shape.as_slice()) {
            Ok(sizes) => Ok(self.into_rank(sizes)),
            Err(_) => refuse(format!("{D} axes are needed, given {:?}", self.shape)),
        }
    }

    /// The same values in row-major order under other axes.
    pub(super) fn reshape(self, shape: Vec<usize>) -> Outcome<Self> {
        if count(&shape)? != self.len() {
            return refuse(format!("{:?} cannot become {shape:?}", self.shape));
        }
        Ok(Self { single: self.single, ..Self::of(arrange(self.data, &shape), shape) })
    }

    /// `[before, axis, after]`: the sizes before an axis, of it and after it multiplied.
    pub(super) fn around(&self, axis: usize) -> [usize; 3] {
        let product = |sizes: &[usize]| sizes.iter().product();
        [product(&self.shape[..axis]), self.shape[axis], product(&self.shape[axis + 1..])]
    }

    /// `function` of the tensor as `[before, axis, after]`, which may change the size of the
    /// axis.
    pub(super) fn along(
        self,
        axis: usize,
        function: impl FnOnce(Tensor<3>) -> Tensor<3>,
    ) -> Outcome<Self> {
        let (sizes, mut shape) = (self.around(axis), self.shape.clone());
        let result = function(self.into_rank(sizes));
        shape[axis] = result.dims()[1];
        count(&shape)?;
        Ok(Self::from_reshaped(result, shape))
    }

    /// With the axes in another order.
    pub(super) fn permute(self, order: &[usize]) -> Outcome<Self> {
        /// As many axes as there are.
        fn turned<const D: usize>(tensor: Tensor<1>, order: &[usize]) -> Tensor<1> {
            let mut axes = [0isize; D];
            axes.iter_mut().zip(order).for_each(|(axis, from)| *axis = *from as isize);
            relabelled(relabelled::<1, D>(tensor).permute(axes))
        }
        let shape: Vec<usize> = order.iter().map(|axis| self.shape[*axis]).collect();
        if order.iter().enumerate().all(|(to, from)| to == *from) {
            return Ok(self);
        }
        let turned = match order.len() {
            2 => turned::<2>,
            3 => turned::<3>,
            4 => turned::<4>,
            5 => turned::<5>,
            6 => turned::<6>,
            7 => turned::<7>,
            8 => turned::<8>,
            rank => return refuse(format!("{rank} axes")),
        };
        Ok(Self::of(turned(self.data, order), shape))
    }

    /// Repeated along axes of one until it has this shape, to which it can be broadcast.
    pub(super) fn expand(self, shape: Vec<usize>) -> Outcome<Self> {
        if self.shape == shape {
            return Ok(self);
        }
        count(&shape)?;
        let aligned = self.aligned(shape.len());
        if shape.is_empty() {
            return Ok(Self::of(aligned, shape));
        }
        let data = aligned.expand::<1, _>(Shape::from(shape.clone()));
        Ok(Self::of(data, shape))
    }

    /// The tensor inside with ones before its axes until there are `rank` of them.
    fn aligned(self, rank: usize) -> Tensor<1> {
        if self.shape.len() == rank {
            return self.data;
        }
        let mut shape = vec![1; rank - self.shape.len()];
        shape.extend(&self.shape);
        arrange(self.data, &shape)
    }

    /// `function` of two tensors value by value, broadcast against each other.
    pub(super) fn zip(
        self,
        other: Self,
        function: impl FnOnce(Tensor<1>, Tensor<1>) -> Tensor<1>,
    ) -> Outcome<Self> {
        let shape = broadcast(&self.shape, &other.shape)?;
        count(&shape)?;
        // Maps beside one value a channel, or beside others that lie like them.
        let lies = |floats: &Self| floats.by_place || floats.shape != shape;
        let by_place =
            shape.len() == 4 && (self.by_place || other.by_place) && lies(&self) && lies(&other);
        let parts = [self.aligned(shape.len()), other.aligned(shape.len())];
        let data = if by_place {
            in_order(parts, |[a, b]| function(a, b))
        } else {
            let [a, b] = parts;
            function(a, b)
        };
        Ok(Self { by_place, ..Self::of(data, shape) })
    }
}

/// The tensor under other axes; one without axes keeps one of size one.
fn arrange(tensor: Tensor<1>, shape: &[usize]) -> Tensor<1> {
    let shape = if shape.is_empty() { &[1] } else { shape };
    if tensor.shape().as_slice() == shape {
        return tensor;
    }
    // To burn a zero means the size that was there before.
    if shape.contains(&0) {
        return nothing(shape, &tensor.device());
    }
    tensor.reshape::<1, _>(Shape::from(shape.to_vec()))
}

/// A tensor without values.
fn nothing(shape: &[usize], device: &Device) -> Tensor<1> {
    fn made<const D: usize>(shape: &[usize], device: &Device) -> Tensor<1> {
        relabelled(Tensor::<D>::zeros(Shape::from(shape.to_vec()), device))
    }
    let made = match shape.len() {
        2 => made::<2>,
        3 => made::<3>,
        4 => made::<4>,
        5 => made::<5>,
        6 => made::<6>,
        7 => made::<7>,
        8 => made::<8>,
        _ => made::<1>,
    };
    made(shape, device)
}

/// The shape of two tensors broadcast against each other.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Outcome<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| match (axis + shape.len()).checked_sub(rank) {
        Some(axis) => shape[axis],
        None => 1,
    };
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (a, b) if a == b => Ok(a),
            (1, other) | (other, 1) => Ok(other),
            _ => refuse(format!("{a:?} and {b:?} do not fit together")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(shape: &[usize]) -> Floats {
        let values = (0..shape.iter().product::<usize>()).map(|n| n as f32).collect();
        Floats::new(values, shape.to_vec(), &Device::flex()).unwrap()
    }

    #[test]
    fn axes_are_what_they_say() {
        let turned = numbers(&[2, 3]).permute(&[1, 0]).unwrap();
        assert_eq!(turned.shape(), [3, 2]);
        assert_eq!(turned.values(), [0., 3., 1., 4., 2., 5.]);
        assert_eq!(turned.clone().reshape(vec![6]).unwrap().values(), turned.values());
        assert!(turned.reshape(vec![4]).is_err());
        assert_eq!(numbers(&[]).values(), [0.]);
        assert!(numbers(&[2, 0]).values().is_empty());
    }

    #[test]
    fn shapes_are_broadcast_from_the_right() {
        assert_eq!(broadcast(&[2, 1, 4], &[3, 1]).unwrap(), [2, 3, 4]);
        assert_eq!(broadcast(&[], &[5]).unwrap(), [5]);
        assert!(broadcast(&[2], &[3]).is_err());
        let sum = numbers(&[2, 1]).zip(numbers(&[3]), |a, b| a + b).unwrap();
        assert_eq!((sum.shape(), sum.values()), (&[2, 3][..], vec![0., 1., 2., 1., 2., 3.]));
        assert_eq!(numbers(&[2, 1]).expand(vec![2, 2]).unwrap().values(), [0., 0., 1., 1.]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert!(count(&[1 << 20, 1 << 20]).is_err());
        assert!(count(&[usize::MAX, 2]).is_err());
        assert!(count(&[1; 9]).is_err());
    }

    /// What works value by value leaves the order in memory alone, and nobody else sees it.
    #[test]
    fn maps_place_by_place_answer_like_others() {
        let plain = numbers(&[2, 3, 2, 2]);
        let by_place = || {
            let last = plain.clone().permute(&[0, 2, 3, 1]).unwrap();
            let last = Floats::new(last.values(), vec![2, 2, 2, 3], &Device::flex()).unwrap();
            let maps = last.with_rank::<4>().unwrap().permute([0, 3, 1, 2]);
            Floats::by_place(maps)
        };
        assert_eq!(by_place().values(), plain.values());
        let twice = by_place().map(|x| x * 2.0);
        assert!(twice.is_by_place());
        assert_eq!(twice.values(), plain.clone().map(|x| x * 2.0).values());
        let a_channel = numbers(&[3, 1, 1]);
        for (other, stays) in [(by_place(), true), (a_channel, true), (plain.clone(), false)] {
            let sum = by_place().zip(other.clone(), |a, b| a + b).unwrap();
            assert_eq!(sum.is_by_place(), stays);
            let wanted = plain.clone().zip(other, |a, b| a + b).unwrap();
            assert_eq!(sum.values(), wanted.values());
        }
        assert!(!by_place().reshape(vec![2, 12]).unwrap().is_by_place());
    }
}

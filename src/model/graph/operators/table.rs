//! Which function computes which operator.

use super::super::node::Operator;
use super::attention;
use super::compare;
use super::convolution;
use super::einsum;
use super::elementwise;
use super::gathering;
use super::indexing;
use super::matrix;
use super::normalization;
use super::pooling;
use super::recurrent;
use super::reduction;
use super::resize;
use super::shape;
use super::signals;

/// What computes the operator called `name`.
pub(in super::super) fn operator(name: &str) -> Option<Operator> {
    Some(match name {
        "Abs" | "Acos" | "Acosh" | "Asin" | "Asinh" | "Atan" | "Atanh" | "Ceil" | "Cos"
        | "Cosh" | "Erf" | "Exp" | "Floor" | "Log" | "Mish" | "Neg" | "Reciprocal" | "Relu"
        | "Round" | "Sigmoid" | "Sign" | "Sin" | "Sinh" | "Softplus" | "Softsign" | "Sqrt"
        | "Tan" | "Tanh" => elementwise::unary,
        "Identity" => elementwise::identity,
        "Dropout" => elementwise::dropout,
        "LeakyRelu" => elementwise::leaky,
        "Elu" => elementwise::exponential_linear,
        "Celu" => elementwise::celu,
        "Selu" => elementwise::selu,
        "HardSigmoid" => elementwise::hard_sigmoid,
        "HardSwish" => elementwise::hard_swish,
        "Swish" => elementwise::swish,
        "Gelu" => elementwise::gaussian_linear,
        "ThresholdedRelu" => elementwise::thresholded,
        "Shrink" => elementwise::shrink,
        "PRelu" => elementwise::parametric,
        "Clip" => elementwise::clip,
        "Add" | "Sub" | "Mul" | "Div" | "Pow" => elementwise::binary,
        "Mod" => elementwise::modulo,
        "Max" | "Min" | "Sum" | "Mean" => elementwise::variadic,
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => compare::compare,
        "And" | "Or" | "Xor" => compare::logic,
        "Not" => compare::not,
        "IsNaN" => compare::is_nan,
        "IsInf" => compare::is_infinite,
        "Where" => compare::choose,
        "Conv" => convolution::conv,
        "ConvTranspose" => convolution::conv_transpose,
        "MaxPool" => pooling::max_pool,
        "AveragePool" => pooling::average_pool,
        "GlobalAveragePool" => pooling::global_average_pool,
        "GlobalMaxPool" => pooling::global_max_pool,
        "GlobalLpPool" => pooling::global_lp_pool,
        "BatchNormalization" => normalization::batch,
        "LayerNormalization" => normalization::layer,
        "RMSNormalization" => normalization::root_mean_square,
        "InstanceNormalization" => normalization::instance,
        "GroupNormalization" => normalization::group,
        "LpNormalization" => normalization::by_norm,
        "LRN" => normalization::local_response,
        "MatMul" => matrix::mat_mul,
        "Gemm" => matrix::gemm,
        "Einsum" => einsum::einsum,
        "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL1"
        | "ReduceL2" | "ReduceSumSquare" | "ReduceLogSum" | "ReduceLogSumExp" => reduction::reduce,
        "Softmax" | "LogSoftmax" => reduction::soft_max,
        "ArgMax" | "ArgMin" => reduction::arg,
        "CumSum" => reduction::running_sum,
        "Constant" => shape::constant,
        "ConstantOfShape" => shape::constant_of_shape,
        "Shape" => shape::shape,
        "Size" => shape::size,
        "Reshape" => shape::reshape,
        "Flatten" => shape::flatten,
        "Squeeze" => shape::squeeze,
        "Unsqueeze" => shape::unsqueeze,
        "Transpose" => shape::transpose,
        "Expand" => shape::expand,
        "Range" => shape::range,
        "Cast" => shape::cast,
        "CastLike" => shape::cast_like,
        "Slice" => indexing::slice,
        "Split" => indexing::split,
        "Concat" => indexing::concat,
        "Gather" => indexing::gather,
        "Tile" => indexing::tile,
        "Pad" => indexing::pad,
        "DepthToSpace" => indexing::depth_to_space,
        "SpaceToDepth" => indexing::space_to_depth,
        "Trilu" => indexing::triangle,
        "GatherElements" => gathering::gather_elements,
        "GatherND" => gathering::gather_tuples,
        "ScatterElements" | "Scatter" => gathering::scatter_elements,
        "ScatterND" => gathering::scatter_tuples,
        "ReverseSequence" => gathering::reverse_sequence,
        "TopK" => gathering::top,
        "NonZero" => gathering::non_zero,
        "Resize" | "Upsample" => resize::resize,
        "RNN" | "GRU" | "LSTM" => recurrent::recurrent,
        "Attention" => attention::attention,
        "CenterCropPad" => indexing::center_crop_pad,
        "Compress" => indexing::compress,
        "Hardmax" => compare::hard_max,
        "OneHot" => compare::one_hot,
        "DequantizeLinear" => shape::dequantize,
        "EyeLike" => shape::eye_like,
        "HannWindow" | "HammingWindow" | "BlackmanWindow" => signals::window,
        "MelWeightMatrix" => signals::mel_weights,
        "DFT" => signals::fourier,
        "STFT" => signals::short_time_fourier,
        "MeanVarianceNormalization" => normalization::mean_variance,
        "LpPool" => pooling::lp_pool,
        "RotaryEmbedding" => attention::rotary,
        _ => return None,
    })
}

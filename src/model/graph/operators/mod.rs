//! What each operator computes.
//!
//! Every function takes a node and its inputs. Broadcasting, negative axes and what an operator
//! meant in older operator sets are dealt with here.

mod attention;
mod compare;
mod convolution;
mod einsum;
mod elementwise;
mod gathering;
mod indexing;
mod matrix;
mod normalization;
mod pooling;
mod recurrent;
mod reduction;
mod resize;
mod shape;
mod signals;
mod table;
mod windows;

pub(super) use elementwise::clip_bounds;
pub(super) use table::operator;

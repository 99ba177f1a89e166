//! The architecture of a CNN of our own: what there is to choose, and what it costs.
//!
//! One [`CnnConfig`] describes the whole family: plain blocks in the manner of VGG
//! (Simonyan & Zisserman 2015), residual ones (He et al. 2016), squeeze-and-excitation
//! (Hu et al. 2018), and how the map of features becomes one embedding.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How a block's map is halved in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockPooling {
    /// The largest of four values.
    Max,
    /// Their mean.
    Average,
}

/// How the last map becomes a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GlobalPooling {
    /// The mean over time and frequency.
    Average,
    /// The largest value.
    Max,
    /// Both, one after the other: twice the features.
    AverageMax,
}

/// The architecture of a CNN, saved with the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CnnConfig {
    /// Filters of each block; their number is the number of blocks.
    pub filters: Vec<usize>,
    /// Convolutions in each block.
    pub convolutions: usize,
    /// Height and width of every kernel; odd.
    pub kernel: usize,
    /// Stride of a convolution in front of the blocks, with as many filters as the first
    /// block; none for no such convolution.
    pub stem_stride: Option<usize>,
    /// Batch normalization after every convolution.
    pub batch_norm: bool,
    /// Adds a block's input to its output.
    pub residual: bool,
    /// Squeeze-and-excitation at the end of every block.
    pub squeeze_excitation: bool,
    /// How a block's output is halved.
    pub pooling: BlockPooling,
    /// How the last map becomes a vector.
    pub global_pooling: GlobalPooling,
    /// Pools over time only, so that every band of the last map keeps features of its own:
    /// `input` decides how many.
    pub keep_bands: bool,
    /// Units of a hidden layer before the output; none for a linear output.
    pub head: Option<usize>,
    /// Share of the embedding's features dropped while training.
    pub dropout: f64,
}

/// A named [`CnnConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Two convolutions: the smallest network, to compare others with.
    Simple,
    /// Plain blocks of two convolutions.
    Vgg,
    /// Residual blocks with squeeze-and-excitation.
    Resnet,
    /// The best on the validation part of GTZAN's pictures (seed 0): of a search's 27
    /// architectures, and of what that search's best led to.
    Searched,
}

impl Default for CnnConfig {
    fn default() -> Self {
        Preset::Simple.config()
    }
}

impl Preset {
    /// The architecture.
    pub(crate) fn config(self) -> CnnConfig {
        let simple = CnnConfig {
            filters: vec![16, 32],
            convolutions: 1,
            kernel: 3,
            stem_stride: None,
            batch_norm: true,
            residual: false,
            squeeze_excitation: false,
            pooling: BlockPooling::Max,
            global_pooling: GlobalPooling::AverageMax,
            keep_bands: false,
            head: None,
            dropout: 0.2,
        };
        match self {
            Self::Simple => simple,
            Self::Vgg => CnnConfig {
                filters: vec![16, 32, 64, 128],
                convolutions: 2,
                stem_stride: Some(2),
                dropout: 0.4,
                ..simple
            },
            Self::Resnet => CnnConfig {
                residual: true,
                squeeze_excitation: true,
                keep_bands: true,
                ..Self::Vgg.config()
            },
            Self::Searched => CnnConfig {
                filters: vec![16, 32, 64, 128],
                stem_stride: Some(2),
                keep_bands: true,
                dropout: 0.4,
                ..simple
            },
        }
    }
}

/// Largest number of filters and units that a configuration may ask for.
const WIDEST: usize = 4096;

impl CnnConfig {
    /// Checks the values, and that patches of `[frames, mels]` survive all pooling;
    /// the size of the embedding.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming the field or the layer.
    pub(crate) fn check(&self, input: [usize; 2]) -> Result<usize> {
        self.check_fields()?;
        self.check_pooling(input)?;
        Ok(self.features(input))
    }

    fn check_fields(&self) -> Result<()> {
        if self.filters.is_empty() {
            return wrong("filters is empty; give the filters of each block".to_owned());
        }
        for (block, filters) in self.filters.iter().enumerate() {
            if !(1..=WIDEST).contains(filters) {
                return wrong(format!(
                    "filters of block {} is {filters}; give 1 to {WIDEST}",
                    block + 1
                ));
            }
        }
        if !(1..=8).contains(&self.convolutions) {
            return wrong(format!("convolutions is {}; give 1 to 8", self.convolutions));
        }
        if self.kernel.is_multiple_of(2) || self.kernel > 15 {
            return wrong(format!("kernel is {}; give an odd size up to 15", self.kernel));
        }
        if let Some(stride @ (0 | 5..)) = self.stem_stride {
            return wrong(format!("stem_stride is {stride}; give 1 to 4"));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return wrong(format!("dropout is {}; give a share from 0 to below 1", self.dropout));
        }
        if let Some(units) = self.head.filter(|units| !(1..=WIDEST).contains(units)) {
            return wrong(format!("head is {units}; give 1 to {WIDEST} units"));
        }
        Ok(())
    }

    /// Checks that every block has a map to halve.
    fn check_pooling(&self, input: [usize; 2]) -> Result<()> {
        let mut map = self.stem_output(input);
        for block in 1..=self.filters.len() {
            let [height, width] = map;
            if height < 2 || width < 2 {
                return wrong(format!(
                    "the pooling of block {block} has only {height} x {width} values left of \
                     patches of {} x {}; use fewer blocks or a smaller stem_stride",
                    input[0], input[1]
                ));
            }
            map = [height / 2, width / 2];
        }
        Ok(())
    }

    /// Multiplications with a weight that a patch of `[frames, mels]` takes.
    pub(crate) fn multiply_adds(&self, input: [usize; 2]) -> usize {
        let (mut channels, mut total) = (1, 0);
        let [mut height, mut width] = input.map(|s| s.div_ceil(self.stem_stride.unwrap_or(1)));
        let area = self.kernel * self.kernel;
        if self.stem_stride.is_some() {
            channels = self.filters.first().copied().unwrap_or(0);
            total += area * channels * height * width;
        }
        for filters in &self.filters {
            let later = (self.convolutions - 1) * filters * filters * area;
            let shortcut =
                if self.residual && channels != *filters { channels * filters } else { 0 };
            total += (channels * filters * area + later + shortcut) * height * width;
            (channels, height, width) = (*filters, height / 2, width / 2);
        }
        total
    }

    fn stem_output(&self, input: [usize; 2]) -> [usize; 2] {
        input.map(|size| size.div_ceil(self.stem_stride.unwrap_or(1)))
    }

    /// Size of the embedding for patches of `[frames, mels]`.
    #[doc(hidden)]
    pub fn features(&self, input: [usize; 2]) -> usize {
        let last = self.filters.last().copied().unwrap_or(0);
        let bands =
            if self.keep_bands { self.stem_output(input)[1] >> self.filters.len() } else { 1 };
        match self.global_pooling {
            GlobalPooling::AverageMax => 2 * last * bands,
            _ => last * bands,
        }
    }
}

fn wrong(what: String) -> Result<()> {
    Err(Error::InvalidInput(format!("CNN configuration: {what}")))
}

impl fmt::Display for CnnConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filters: Vec<String> = self.filters.iter().map(ToString::to_string).collect();
        write!(
            f,
            "{} x {} conv {}x{}",
            filters.join("-"),
            self.convolutions,
            self.kernel,
            self.kernel
        )?;
        if let Some(stride) = self.stem_stride {
            write!(f, ", stem /{stride}")?;
        }
        for (is, name) in [
            (self.residual, "residual"),
            (self.squeeze_excitation, "squeeze-excitation"),
            (!self.batch_norm, "no batch norm"),
            (self.pooling == BlockPooling::Average, "average pooling"),
        ] {
            if is {
                write!(f, ", {name}")?;
            }
        }
        let global = match self.global_pooling {
            GlobalPooling::Average => "average",
            GlobalPooling::Max => "max",
            GlobalPooling::AverageMax => "average+max",
        };
        write!(f, ", global {global}")?;
        if self.keep_bands {
            write!(f, " by band")?;
        }
        if let Some(units) = self.head {
            write!(f, ", head {units}")?;
        }
        write!(f, ", dropout {}", self.dropout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: [usize; 2] = [128, 128];

    #[test]
    fn impossible_networks_are_refused_by_name() {
        let simple = Preset::Simple.config();
        for (cnn, named) in [
            (CnnConfig { filters: vec![], ..simple.clone() }, "filters"),
            (CnnConfig { filters: vec![16, 0], ..simple.clone() }, "block 2"),
            (CnnConfig { filters: vec![16; 8], ..simple.clone() }, "pooling of block 8"),
            (CnnConfig { kernel: 4, ..simple.clone() }, "kernel is 4"),
            (CnnConfig { convolutions: 0, ..simple.clone() }, "convolutions is 0"),
            (CnnConfig { stem_stride: Some(0), ..simple.clone() }, "stem_stride is 0"),
            (CnnConfig { dropout: 1.0, ..simple.clone() }, "dropout is 1"),
            (CnnConfig { head: Some(0), ..simple.clone() }, "head is 0"),
        ] {
            let error = cnn.check(PATCH).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn multiplications_are_counted_layer_by_layer() {
        let simple = Preset::Simple.config();
        // 9 * 1 * 16 at 128 x 128, then 9 * 16 * 32 at 64 x 64.
        assert_eq!(simple.multiply_adds(PATCH), 144 * 16_384 + 4_608 * 4_096);
        let stem = CnnConfig { stem_stride: Some(2), ..simple };
        let blocks = 9 * 16 * 16 * 4_096 + 4_608 * 1_024;
        assert_eq!(stem.multiply_adds(PATCH), 144 * 4_096 + blocks);
    }
}

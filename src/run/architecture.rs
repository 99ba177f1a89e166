//! The architecture of a CNN of our own: what there is to choose, and what it costs.
//!
//! One [`CnnConfig`] describes the whole family: plain blocks in the manner of VGG
//! (Simonyan & Zisserman 2015), residual ones (He et al. 2016), squeeze-and-excitation
//! (Hu et al. 2018), and how the map of features becomes one embedding.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How a block's map is made smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockPooling {
    /// The largest value of each window.
    Max,
    /// The mean of each window.
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
    /// Every value of the map, for a dense layer to choose from.
    Flatten,
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
    /// How a block's output is made smaller.
    pub pooling: BlockPooling,
    /// Height and width of a block's pooling windows, which do not overlap: 2 or 4.
    pub pool_size: usize,
    /// How the last map becomes a vector.
    pub global_pooling: GlobalPooling,
    /// Pools over time only, so that every band of the last map keeps features of its own:
    /// `input` decides how many.
    pub keep_bands: bool,
    /// Units of a dense layer with ReLU after the pooling, whose output is the embedding then;
    /// none for the pooled values themselves. A map that is flattened must have one.
    pub dense: Option<usize>,
    /// Units of a hidden layer between the embedding and the output; none for a linear output.
    pub head: Option<usize>,
    /// Share of the pooled values dropped while training.
    pub dropout: f64,
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Simple => "simple",
            Self::Vgg => "vgg",
            Self::Resnet => "resnet",
            Self::Searched => "searched",
        })
    }
}

/// A named [`CnnConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Two convolutions and a dense layer, as in a first notebook: a network to compare others
    /// with.
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
    /// What a configuration has where it says nothing else: two plain blocks.
    fn default() -> Self {
        Self {
            filters: vec![16, 32],
            convolutions: 1,
            kernel: 3,
            stem_stride: None,
            batch_norm: true,
            residual: false,
            squeeze_excitation: false,
            pooling: BlockPooling::Max,
            pool_size: 2,
            global_pooling: GlobalPooling::AverageMax,
            keep_bands: false,
            dense: None,
            head: None,
            dropout: 0.2,
        }
    }
}

impl Preset {
    /// The architecture.
    pub(crate) fn config(self) -> CnnConfig {
        let plain = CnnConfig::default();
        match self {
            Self::Simple => CnnConfig {
                filters: vec![32, 64],
                batch_norm: false,
                pool_size: 4,
                global_pooling: GlobalPooling::Flatten,
                dense: Some(64),
                dropout: 0.5,
                ..plain
            },
            Self::Vgg => CnnConfig {
                filters: vec![16, 32, 64, 128],
                convolutions: 2,
                stem_stride: Some(2),
                dropout: 0.4,
                ..plain
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
                ..plain
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
        if !matches!(self.pool_size, 2 | 4) {
            return wrong(format!("pool_size is {}; give 2 or 4", self.pool_size));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return wrong(format!("dropout is {}; give a share from 0 to below 1", self.dropout));
        }
        for (layer, units) in [("dense", self.dense), ("head", self.head)] {
            if let Some(units) = units.filter(|units| !(1..=WIDEST).contains(units)) {
                return wrong(format!("{layer} is {units}; give 1 to {WIDEST} units"));
            }
        }
        self.check_flattened()
    }

    fn check_flattened(&self) -> Result<()> {
        if self.global_pooling != GlobalPooling::Flatten {
            return Ok(());
        }
        if self.keep_bands {
            return wrong("a flattened map keeps its bands; leave keep_bands out".to_owned());
        }
        if self.dense.is_none() {
            let advice = "give the units of its dense layer, as in dense = 64";
            return wrong(format!("a flattened map is too wide an embedding; {advice}"));
        }
        Ok(())
    }

    /// Checks that every block has a map to pool.
    fn check_pooling(&self, input: [usize; 2]) -> Result<()> {
        let (mut map, size) = (self.stem_output(input), self.pool_size);
        for block in 1..=self.filters.len() {
            let [height, width] = map;
            if height < size || width < size {
                return wrong(format!(
                    "the pooling of block {block} has only {height} x {width} values left of \
                     patches of {} x {}; use fewer blocks, a smaller pool_size or a smaller \
                     stem_stride",
                    input[0], input[1]
                ));
            }
            map = [height / size, width / size];
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
            (channels, height, width) = (*filters, height / self.pool_size, width / self.pool_size);
        }
        let layers = [self.dense, self.head];
        let fold = |(from, sum): (usize, usize), units: &usize| (*units, sum + from * units);
        let (_, dense) = layers.iter().flatten().fold((self.pooled(input), 0), fold);
        total + dense
    }

    /// Layers with weights on the way from a patch to the output: convolutions, but for those of
    /// shortcuts and of squeeze-and-excitation, and dense layers, the output's included.
    #[must_use]
    pub(crate) fn layers(&self) -> usize {
        let stem = usize::from(self.stem_stride.is_some());
        let dense = [self.dense, self.head].iter().flatten().count();
        // A stranger's leaderboard may say anything.
        self.filters.len().saturating_mul(self.convolutions).saturating_add(stem + dense + 1)
    }

    /// Filters of all those convolutions together.
    #[must_use]
    pub(crate) fn total_filters(&self) -> usize {
        let stem = self.stem_stride.and(self.filters.first()).copied().unwrap_or(0);
        let filters = self.filters.iter().fold(0usize, |sum, filters| sum.saturating_add(*filters));
        filters.saturating_mul(self.convolutions).saturating_add(stem)
    }

    fn stem_output(&self, input: [usize; 2]) -> [usize; 2] {
        input.map(|size| size.div_ceil(self.stem_stride.unwrap_or(1)))
    }

    /// Size of the embedding for patches of `[frames, mels]`.
    #[doc(hidden)]
    pub fn features(&self, input: [usize; 2]) -> usize {
        self.dense.unwrap_or_else(|| self.pooled(input))
    }

    /// Values that the last map is pooled to.
    pub(crate) fn pooled(&self, input: [usize; 2]) -> usize {
        let last = self.filters.last().copied().unwrap_or(0);
        let shrunk = |size: usize| self.filters.iter().fold(size, |size, _| size / self.pool_size);
        let [height, width] = self.stem_output(input).map(shrunk);
        let bands = if self.keep_bands { width } else { 1 };
        match self.global_pooling {
            GlobalPooling::AverageMax => 2 * last * bands,
            GlobalPooling::Average | GlobalPooling::Max => last * bands,
            GlobalPooling::Flatten => last * height * width,
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
        if self.pool_size != 2 {
            write!(f, ", pool {}", self.pool_size)?;
        }
        let global = match self.global_pooling {
            GlobalPooling::Average => "global average",
            GlobalPooling::Max => "global max",
            GlobalPooling::AverageMax => "global average+max",
            GlobalPooling::Flatten => "flatten",
        };
        write!(f, ", {global}")?;
        if self.keep_bands {
            write!(f, " by band")?;
        }
        for (name, units) in [("dense", self.dense), ("head", self.head)] {
            if let Some(units) = units {
                write!(f, ", {name} {units}")?;
            }
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
        let plain = CnnConfig::default();
        let flat = CnnConfig { global_pooling: GlobalPooling::Flatten, ..plain.clone() };
        for (cnn, named) in [
            (CnnConfig { filters: vec![], ..plain.clone() }, "filters"),
            (CnnConfig { filters: vec![16, 0], ..plain.clone() }, "block 2"),
            (CnnConfig { filters: vec![16; 8], ..plain.clone() }, "pooling of block 8"),
            (CnnConfig { kernel: 4, ..plain.clone() }, "kernel is 4"),
            (CnnConfig { convolutions: 0, ..plain.clone() }, "convolutions is 0"),
            (CnnConfig { stem_stride: Some(0), ..plain.clone() }, "stem_stride is 0"),
            (CnnConfig { pool_size: 3, ..plain.clone() }, "pool_size is 3"),
            (CnnConfig { pool_size: 4, filters: vec![8; 4], ..plain.clone() }, "of block 4"),
            (CnnConfig { dropout: 1.0, ..plain.clone() }, "dropout is 1"),
            (CnnConfig { dense: Some(0), ..plain.clone() }, "dense is 0"),
            (CnnConfig { head: Some(0), ..plain.clone() }, "head is 0"),
            (flat.clone(), "dense = 64"),
            (CnnConfig { keep_bands: true, dense: Some(8), ..flat }, "keep_bands"),
        ] {
            let error = cnn.check(PATCH).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn multiplications_are_counted_layer_by_layer() {
        let plain = CnnConfig::default();
        // 9 * 1 * 16 at 128 x 128, then 9 * 16 * 32 at 64 x 64.
        assert_eq!(plain.multiply_adds(PATCH), 144 * 16_384 + 4_608 * 4_096);
        let stem = CnnConfig { stem_stride: Some(2), ..plain };
        let blocks = 9 * 16 * 16 * 4_096 + 4_608 * 1_024;
        assert_eq!(stem.multiply_adds(PATCH), 144 * 4_096 + blocks);
        assert_eq!((stem.layers(), stem.total_filters()), (4, 64));
    }

    #[test]
    fn simple_is_the_network_of_a_notebook() {
        let simple = Preset::Simple.config();
        let patch = [96, 128];
        assert_eq!(simple.pooled(patch), 64 * 6 * 8);
        assert_eq!((simple.features(patch), simple.layers(), simple.total_filters()), (64, 4, 96));
        let convolutions = 9 * 32 * 96 * 128 + 9 * 32 * 64 * 24 * 32;
        assert_eq!(simple.multiply_adds(patch), convolutions + 64 * 6 * 8 * 64);
        let text = "32-64 x 1 conv 3x3, no batch norm, pool 4, flatten, dense 64, dropout 0.5";
        assert_eq!(simple.to_string(), text);
    }

    /// What is saved with runs of older versions means what it meant.
    #[test]
    fn fields_that_older_runs_do_not_have_are_as_they_were() {
        let old = r#"{"filters": [16, 32], "convolutions": 1, "kernel": 3, "stem_stride": null,
            "batch_norm": true, "residual": false, "squeeze_excitation": false, "pooling": "max",
            "global_pooling": "average-max", "keep_bands": false, "head": null, "dropout": 0.2}"#;
        assert_eq!(serde_json::from_str::<CnnConfig>(old).unwrap(), CnnConfig::default());
    }
}

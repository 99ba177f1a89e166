//! Samples and pictures to patches, or to hand-made descriptors.
//!
//! A [`FrontEnd`] is data: the numbers that define a log-mel spectrogram and how
//! it is cut into patches, saved as JSON beside every model. An [`Extractor`] is
//! a front end made ready: window, planned FFT and sparse filterbank. A [`Preprocessor`]
//! is a front end of any kind: log-mels, raw samples ([`SamplesFrontEnd`]), pictures
//! ([`ImageFrontEnd`], [`PictureFrontEnd`]). [`descriptors`] are the hand-made features of
//! the classical baselines.

mod colour_maps;
pub mod descriptors;
mod extractor;
mod filterbank;
mod front_end;
mod image;
mod invalid;
mod magma;
mod patch_kind;
mod picture;
mod pixels;
mod plot;
mod plot_area;
mod preprocessor;
mod reader;
mod recognized;
mod rgb;
mod samples;
mod windows;

#[cfg(feature = "train")]
pub(crate) use extractor::hann;
pub use extractor::{Extractor, LogMel, Patches, patches};
#[cfg(feature = "train")]
pub(crate) use filterbank::mel_rows;
pub use front_end::{Filterbank, FrontEnd, Log, LogKind, Spectrum};
pub use image::{ImageFrontEnd, ImageKind};
pub use invalid::InvalidFrontEnd;
#[doc(hidden)]
pub use magma::magma;
pub use patch_kind::Layout;
#[doc(hidden)]
pub use patch_kind::PatchKind;
pub(crate) use picture::Wanted;
pub use picture::{PictureFrontEnd, PictureKind};
pub(crate) use pixels::PICTURE_EXTENSIONS;
pub use plot::Seen;
pub(crate) use plot::UPSIDE_DOWN_TEXT;
pub use preprocessor::Preprocessor;
#[doc(hidden)]
pub use reader::Reader;
pub use recognized::Recognized;
pub(crate) use rgb::is_picture;
pub use samples::{SamplesFrontEnd, SamplesKind};
#[doc(hidden)]
pub use windows::Windows;

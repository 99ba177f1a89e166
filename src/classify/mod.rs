//! Audio in, genres out: what an application does with an exported model.
//!
//! A [`Classifier`] takes samples, files of any length and live audio. Recordings are decoded,
//! resampled, cut into patches and given to the model in pieces of bounded size, so memory does
//! not grow with their length, and the answer depends neither on the number of threads nor on
//! what else is classified.
//!
//! ```no_run
//! use genre_transfer::Classifier;
//! use genre_transfer::classify::Options;
//!
//! let classifier = Classifier::open("genres.onnx".as_ref(), &Options::default())?;
//! let song = classifier.classify_file("song.mp3".as_ref())?;
//! println!("{}: {:.2}", classifier.labels()[song.best()], song.probabilities[song.best()]);
//!
//! // Live audio, as it comes from a microphone.
//! let mut stream = classifier.stream(48_000)?;
//! for patch in stream.push(&[0.0; 96_000])? {
//!     println!("{:.2} s: {:?}", patch.start, patch.probabilities);
//! }
//! # Ok::<(), genre_transfer::Error>(())
//! ```

mod answer;
mod canvas;
mod catalogue;
mod classifier;
mod collection;
mod cutter;
mod engine;
mod files;
mod judge;
mod metadata;
mod model;
mod options;
mod pattern;
mod picture;
mod playlist;
mod ready_made;
mod recording;
mod render;
mod sessions;
mod stream;
mod timeline_csv;

pub use answer::{Classification, Patch, Timeline};
pub use classifier::Classifier;
pub use options::Options;
pub use ready_made::ReadyMade;
pub use stream::Stream;

// For the program `classify`.
#[doc(hidden)]
pub use catalogue::{Catalogue, Need, Teller, row};
#[doc(hidden)]
pub use collection::{ByEnding, Collection, count, find};
#[doc(hidden)]
pub use picture::{is_png, picture};
#[doc(hidden)]
pub use render::View;
#[doc(hidden)]
pub use timeline_csv::TimelineCsv;

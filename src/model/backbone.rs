//! Which pretrained network to start from, and the front end it was trained with.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::features::{FrontEnd, Preprocessor};
use crate::files;
use crate::onnx;
use crate::run::{BackboneSource, pretrained};

/// A pretrained network: an ONNX file and the front end that feeds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Backbone {
    /// The ONNX file.
    pub path: PathBuf,
    /// The front end it was trained with.
    pub front_end: Preprocessor,
    /// Where it comes from and what may be done with it.
    pub source: BackboneSource,
}

/// Backbones known by name, with their file under `models/` and their licence.
const KNOWN: [(&str, &str, &str); 3] = [
    ("yamnet", "yamnet.onnx", "Apache-2.0"),
    ("musicnn", "musicnn_msd_vgg.onnx", "ISC"),
    ("vggish", "vggish.onnx", "CC-BY-NC-SA-4.0"),
];

impl Backbone {
    /// The names [`Backbone::resolve`] knows.
    pub const NAMES: [&'static str; 3] = [KNOWN[0].0, KNOWN[1].0, KNOWN[2].0];

    /// The backbone called `name`, or the ONNX file at that path.
    ///
    /// `front_end` is a preset's name or a JSON file; a path needs one, a known
    /// name brings its own.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a path without a front end, [`Error::NotFound`] for a missing
    /// file or a name that is neither; what [`Preprocessor::resolve`] says of the front end, and
    /// [`Error::Onnx`] of the file it is to go with.
    pub fn resolve(name: &str, front_end: Option<&str>) -> Result<Self> {
        let known = KNOWN.iter().find(|(known, ..)| *known == name);
        let (path, license) = match known {
            Some((_, file, license)) => (pretrained(file), *license),
            None => (PathBuf::from(name), "unknown (see the file's own source)"),
        };
        if !path.is_file() {
            return Err(missing(name, &path));
        }
        let axes = || Ok(onnx::input(&onnx::read(&path)?, &path)?.dims);
        let front_end = match (front_end, known) {
            (Some(given), _) => Preprocessor::resolve(given, axes)?,
            (None, Some((preset, ..))) => Preprocessor::Audio(FrontEnd::resolve(preset)?),
            (None, None) => {
                return Err(Error::InvalidInput(format!(
                    "{name}: an ONNX file needs the front end it was trained with; add \
                     ‹front-end› vggish|yamnet|musicnn, for pictures imagenet, or a JSON file"
                )));
            }
        };
        let name = match known {
            Some((name, ..)) => (*name).to_owned(),
            None => path.file_stem().map_or(String::new(), |s| s.to_string_lossy().into_owned()),
        };
        let source =
            BackboneSource { name, license: license.to_owned(), sha256: files::sha256(&path)? };
        Ok(Self { path, front_end, source })
    }

    /// Frames and features of one patch.
    pub fn patch(&self) -> [usize; 2] {
        self.front_end.patch()
    }
}

/// The error that the backbone called `name`, or its file, is not there.
fn missing(name: &str, path: &Path) -> Error {
    let known = Backbone::NAMES.join(", ");
    Error::not_found(
        path,
        match name {
            "vggish" => "not there yet; scripts/fetch-vggish.sh downloads it (288 MB, CC BY-NC-SA \
                         4.0)"
                .to_owned(),
            _ => format!("no such backbone; use {known}, or the path of an ONNX file"),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_to_do() {
        let text = |name, front_end| Backbone::resolve(name, front_end).unwrap_err().to_string();
        assert!(text("resnet", None).contains("yamnet, musicnn, vggish"));
        assert!(text("Cargo.toml", None).contains("‹front-end›"));
        let missing = Backbone::resolve("resnet", None).unwrap_err();
        assert!(matches!(missing, Error::NotFound { .. }));
    }

    #[test]
    fn committed_backbones_bring_front_end_and_licence() {
        let yamnet = Backbone::resolve("yamnet", None).unwrap();
        assert_eq!(yamnet.patch(), [96, 64]);
        assert_eq!(yamnet.source.license, "Apache-2.0");
        assert_eq!(Backbone::resolve("musicnn", None).unwrap().patch(), [187, 96]);
    }
}

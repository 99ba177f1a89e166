//! Pretrained networks as they are: they tell what they were trained to tell, without a training
//! here.

use std::path::{Path, PathBuf};

use ndarray::{ArrayD, ArrayViewD, Axis};
use sha2::{Digest, Sha256};

use crate::dataset::Task;
use crate::error::{Error, Result};
use crate::features::FrontEnd;
use crate::files;
use crate::onnx::names::{LOG_MEL, PROBABILITIES, key};
use crate::run::pretrained;
use crate::runtime::{Port, Session};

/// A pretrained network with some of its own classes, any number of which a recording may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyMade {
    /// YAMNet's classes of AudioSet that are genres of music: those from *Pop music* to
    /// *Independent music*, but for *Beatboxing*.
    YamnetGenres,
    /// All 521 classes of YAMNet.
    Yamnet,
    /// The 50 tags of musicnn, of the Million Song Dataset.
    Musicnn,
}

const YAMNET_CLASSES: &str = include_str!("../../models/yamnet-classes.txt");
const MUSICNN_TAGS: &str = include_str!("../../models/musicnn-tags.txt");

/// SHA-256 of the files, as `models/README.md` has them.
const YAMNET: &str = "e487b9cbb8027e7c4381114f756116f29b23cf48fa727354e8d9ce6be19167e5";
const MUSICNN: &str = "606b84b40e49cf485170ed7886d556889b40729c72c2afa34f6879865fcef08a";

/// The first and the last of YAMNet's classes that are genres, and one between them that is none.
const GENRES: [&str; 3] = ["Pop music", "Independent music", "Beatboxing"];

impl ReadyMade {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::YamnetGenres, Self::Yamnet, Self::Musicnn];

    /// What it is called where a model is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::YamnetGenres => "yamnet-genres",
            Self::Yamnet => "yamnet",
            Self::Musicnn => "musicnn",
        }
    }

    /// The one that `path` means, which is no file or folder then.
    pub(super) fn meant_by(path: &Path) -> Option<Self> {
        let named = Self::ALL.into_iter().find(|one| Path::new(one.name()) == path)?;
        if path.exists() {
            tracing::info!(
                "note: {} is here and is taken, not the pretrained network of that name",
                path.display()
            );
            return None;
        }
        Some(named)
    }

    /// What tells its answers from another's, its file having this SHA-256: what it tells of the
    /// network's answers is decided here, not there.
    pub(super) fn digest(self, file: &str) -> String {
        let what = format!("{file}\n{}\n{}", self.name(), self.threshold());
        files::hex(&Sha256::digest(what.as_bytes()))
    }

    /// Its file.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not there; [`Error::Onnx`] if it is another one.
    pub(super) fn file(self) -> Result<PathBuf> {
        let (name, digest) = match self {
            Self::YamnetGenres | Self::Yamnet => ("yamnet.onnx", YAMNET),
            Self::Musicnn => ("musicnn_msd_vgg.onnx", MUSICNN),
        };
        let file = pretrained(name);
        if file.is_file() {
            // Another network's answers must not be told under the names of these classes.
            if files::sha256(&file)? == digest {
                return Ok(file);
            }
            let reason = format!(
                "it is not the network that this program knows (its SHA-256 is not {digest}); put \
                 that one there, or give a model of your own"
            );
            return Err(Error::onnx(&file, reason));
        }
        let reason = format!(
            "{} is not there; put it beside this program or into models/, or give a model of your \
             own",
            self.name()
        );
        Err(Error::not_found(&file, reason))
    }

    /// All classes of its network, a line each.
    fn all_classes(self) -> &'static str {
        match self {
            Self::YamnetGenres | Self::Yamnet => YAMNET_CLASSES,
            Self::Musicnn => MUSICNN_TAGS,
        }
    }

    /// What it tells, and at which places of its output.
    fn classes(self) -> Vec<(usize, &'static str)> {
        let all = self.all_classes().lines().enumerate();
        if self != Self::YamnetGenres {
            return all.collect();
        }
        let [first, last, other] = GENRES;
        let mut after_last = false;
        all.skip_while(|(_, name)| *name != first)
            .take_while(|(_, name)| !std::mem::replace(&mut after_last, *name == last))
            .filter(|(_, name)| *name != other)
            .collect()
    }

    /// From which mean over a recording's patches on it is said to have a class. Of genres YAMNet is
    /// never sure, for most of its classes are sounds: on GTZAN's genres the F1 score is best here.
    fn threshold(self) -> f32 {
        match self {
            Self::YamnetGenres => 0.02,
            Self::Yamnet | Self::Musicnn => 0.1,
        }
    }

    /// The output that holds them.
    fn output(self) -> &'static str {
        match self {
            Self::YamnetGenres | Self::Yamnet => "scores",
            Self::Musicnn => "tags",
        }
    }

    fn front_end(self) -> FrontEnd {
        match self {
            Self::YamnetGenres | Self::Yamnet => FrontEnd::yamnet(),
            Self::Musicnn => FrontEnd::musicnn(),
        }
    }

    /// The network opened as `session`, telling its classes as an exported file would.
    ///
    /// # Errors
    /// [`Error::Onnx`] if the file at `path` is another network.
    pub(super) fn telling(
        self,
        path: &Path,
        session: Box<dyn Session>,
    ) -> Result<Box<dyn Session>> {
        let output = session.outputs().iter().position(|name| name == self.output());
        let Some(output) = output else {
            let reason =
                format!("it has no output \"{}\"; it is not {}", self.output(), self.name());
            return Err(Error::onnx(path, reason));
        };
        let (places, labels) = self.classes().into_iter().unzip();
        let width = self.all_classes().lines().count();
        let front_end = serde_json::to_string(&self.front_end());
        let front_end = front_end.map_err(|error| Error::format(path, error))?;
        let outputs = vec![PROBABILITIES.to_owned()];
        let threshold = self.threshold();
        let path = path.to_owned();
        Ok(Box::new(Telling {
            session,
            path,
            output,
            outputs,
            width,
            places,
            labels,
            threshold,
            front_end,
        }))
    }
}

/// A session of a pretrained network that says of itself what an exported file does.
struct Telling {
    session: Box<dyn Session>,
    path: PathBuf,
    /// Which of the network's outputs has the classes.
    output: usize,
    outputs: Vec<String>,
    /// Classes of the network.
    width: usize,
    /// Which of them are told.
    places: Vec<usize>,
    labels: Vec<&'static str>,
    threshold: f32,
    front_end: String,
}

impl Session for Telling {
    fn input(&self) -> &Port {
        self.session.input()
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn metadata(&self, name: &str) -> Option<String> {
        match name {
            key::LABELS => serde_json::to_string(&self.labels).ok(),
            key::TASK => Some(Task::MultiLabel.name().to_owned()),
            key::THRESHOLDS => serde_json::to_string(&vec![self.threshold; self.labels.len()]).ok(),
            key::FRONT_END => Some(self.front_end.clone()),
            key::INPUT => Some(LOG_MEL.to_owned()),
            _ => None,
        }
    }

    fn run(&mut self, input: ArrayViewD<'_, f32>) -> Result<Vec<ArrayD<f32>>> {
        let mut answers = self.session.run(input)?;
        let all = answers.swap_remove(self.output);
        if all.ndim() != 2 || all.shape()[1] != self.width {
            let (found, width) = (all.shape(), self.width);
            let reason =
                format!("it answers {found:?}, not {width} classes a patch: another network");
            return Err(Error::onnx(&self.path, reason));
        }
        // Row by row, whatever order the choice of columns has left.
        Ok(vec![all.select(Axis(1), &self.places).as_standard_layout().into_owned()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genres_are_those_of_the_list() {
        let genres = ReadyMade::YamnetGenres.classes();
        assert_eq!(
            (genres.len(), genres[0], genres[48]),
            (49, (211, "Pop music"), (260, "Independent music"))
        );
        let has = |wanted: &str| genres.iter().any(|(_, name)| *name == wanted);
        assert!(has("Jazz") && has("Heavy metal") && !has("Beatboxing") && !has("Song"));
        assert_eq!(ReadyMade::Yamnet.classes().len(), 521);
        assert_eq!(ReadyMade::Musicnn.classes().len(), 50);
    }

    #[test]
    fn the_files_are_those_that_are_known() {
        for one in ReadyMade::ALL {
            one.file().unwrap();
        }
    }

    #[test]
    fn a_file_of_that_name_comes_first() {
        assert_eq!(ReadyMade::meant_by(Path::new("yamnet")), Some(ReadyMade::Yamnet));
        assert_eq!(ReadyMade::meant_by(Path::new("src")), None);
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ReadyMade::meant_by(&folder.path().join("yamnet")), None);
    }
}

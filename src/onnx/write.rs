//! The last steps of every export: signed, written beside its place, proved there, renamed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tract_onnx::pb::{ModelProto, StringStringEntryProto};

use super::check::external_files;
use super::external::{self, LIMIT};
use super::read::read;
use super::{prune, wire};
use crate::error::{Error, Result};
use crate::files;

/// Writes into `model` who made it, and its metadata. What it has under other keys stays.
pub(crate) fn sign(model: &mut ModelProto, metadata: BTreeMap<&'static str, String>) {
    model.producer_name = env!("CARGO_PKG_NAME").to_owned();
    model.producer_version = env!("CARGO_PKG_VERSION").to_owned();
    let mut theirs = std::mem::take(&mut model.metadata_props);
    theirs.retain(|entry| !metadata.contains_key(&*entry.key));
    let entry =
        |(key, value): (&str, String)| StringStringEntryProto { key: key.to_owned(), value };
    model.metadata_props = metadata.into_iter().map(entry).chain(theirs).collect();
}

/// A file that is not yet in its place: it lies in a folder beside it, so that only what was
/// proved appears. Dropped, it leaves nothing behind.
///
/// A model of more than 2 GB, which protobuf cannot hold, has its weights in a second file,
/// `NAME.onnx.data`, that goes the same way.
pub(crate) struct Part<'a> {
    folder: TempDir,
    path: PathBuf,
    destination: &'a Path,
    /// The most bytes of a model in one file.
    limit: usize,
}

/// What was written.
pub(crate) struct Published {
    /// Size of the model, its weights' file included.
    pub bytes: u64,
    /// SHA-256 of the model's file.
    pub sha256: String,
    /// The file with its weights, if they are in one.
    pub data: Option<PathBuf>,
}

impl<'a> Part<'a> {
    /// An empty one; opened before the work, so that a folder that cannot be written to is
    /// known at once.
    ///
    /// # Errors
    /// [`Error::Io`] naming `destination`.
    pub fn beside(destination: &'a Path) -> Result<Self> {
        Self::within(destination, LIMIT)
    }

    /// One whose weights are in a second file if it is larger than this.
    ///
    /// # Errors
    /// [`Error::Io`] naming `destination`.
    pub fn within(destination: &'a Path, limit: usize) -> Result<Self> {
        let folder = files::folder_beside(destination)?;
        let Some(name) = destination.file_name() else {
            let reason = "is a folder; name the file to write";
            return Err(Error::unsupported(destination, reason));
        };
        let path = folder.path().join(name);
        Ok(Self { folder, path, destination, limit })
    }

    /// Where the file lies meanwhile, under the name that it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills the file. The model is as before afterwards.
    ///
    /// # Errors
    /// [`Error::Io`] naming the destination; [`Error::Onnx`] if the model is too large even
    /// without its weights.
    pub fn write(&self, model: &mut ModelProto) -> Result<()> {
        let io = || Error::io(self.destination);
        let mut file = BufWriter::new(fs::File::create(&self.path).map_err(io())?);
        let mut written = |model: &ModelProto| {
            let bytes = wire::write(model, &mut file).map_err(io())?;
            file.flush().map_err(io())?;
            Ok(bytes)
        };
        let data = external::beside(&self.path);
        // Weights that lie in the second file already stay there: it is not to be emptied.
        let has_second = model.graph.as_ref().is_some_and(external::is_outside);
        let bytes = if !has_second && external::is_large(model, self.limit) {
            external::without_weights(model, &data, self.destination, &mut written)?
        } else {
            written(model)?
        };
        if bytes <= self.limit {
            return Ok(());
        }
        let reason = format!("{bytes} bytes without its weights, too many for an ONNX file");
        Err(Error::onnx(self.destination, reason))
    }

    /// What `check` says of the file; its errors name the destination.
    ///
    /// # Errors
    /// Those of `check`.
    pub fn prove<T>(&self, check: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        check(self.path()).map_err(|error| name_destination(error, self.path(), self.destination))
    }

    /// Renames the file into its place, its weights' file before it. Weights of the model that
    /// stood there before go with it.
    ///
    /// # Errors
    /// [`Error::Io`] naming the destination; what stood there is there again.
    pub fn publish(self) -> Result<Published> {
        let io = || Error::io(self.destination);
        let size = |path: &Path| fs::metadata(path).map(|metadata| metadata.len()).map_err(io());
        let sha256 = files::sha256(&self.path)?;
        let mut bytes = size(&self.path)?;
        sync(&self.path).map_err(io())?;
        let data = external::beside(&self.path);
        if !data.exists() {
            let old = self.replaced_weights();
            fs::rename(&self.path, self.destination).map_err(io())?;
            if let Some(Err(error)) = old.as_ref().map(fs::remove_file) {
                let reason = "the weights of the model that was here before could not be removed";
                tracing::warn!("{}.data: {reason}: {error}", self.destination.display());
            }
            return Ok(Published { bytes, sha256, data: None });
        }
        bytes += size(&data)?;
        sync(&data).map_err(io())?;
        let place = external::beside(self.destination);
        let replaced = self.folder.path().join("replaced");
        if place.exists() {
            fs::rename(&place, &replaced).map_err(io())?;
        }
        let both =
            fs::rename(&data, &place).and_then(|()| fs::rename(&self.path, self.destination));
        if let Err(error) = both {
            // Without the new model, its weights are of no use; the old one's are.
            let undone = if replaced.exists() {
                fs::rename(&replaced, &place)
            } else {
                fs::remove_file(&place)
            };
            return Err(io()(undone.err().unwrap_or(error)));
        }
        Ok(Published { bytes, sha256, data: Some(place) })
    }

    /// The file with the weights of the model that this one replaces; none where that model does
    /// not name it, for then it is somebody else's.
    fn replaced_weights(&self) -> Option<PathBuf> {
        let data = external::beside(self.destination);
        // First, because the model need not be read where there is none.
        let file = data.canonicalize().ok()?;
        let old = read(self.destination).ok()?;
        let named = external_files(&old, self.destination).ok()?;
        named.contains(&file).then_some(data)
    }
}

fn sync(path: &Path) -> std::io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// Writes `model`, read from `path`, to `destination` with all that it has in other files: as
/// one file, if it fits.
///
/// # Errors
/// [`Error::Io`], and [`Error::Onnx`] if the external data is damaged.
pub(crate) fn write_whole(path: &Path, mut model: ModelProto, destination: &Path) -> Result<()> {
    if let Some(graph) = &mut model.graph {
        prune::inline(path, graph)?;
    }
    let part = Part::beside(destination)?;
    part.write(&mut model)?;
    part.publish().map(|_| ())
}

/// Copies the model at `from` to `to`: the same to the byte if it is one file, else as
/// [`write_whole`] does.
///
/// # Errors
/// [`Error::Onnx`] if the model is not as it should be; [`Error::Io`].
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let model = read(from)?;
    if model.graph.as_ref().is_some_and(external::is_outside) {
        return write_whole(from, model, to);
    }
    fs::copy(from, to).map(|_| ()).map_err(Error::io(to))
}

/// Errors about the temporary file `part` are about `destination`, for the user.
pub(crate) fn name_destination(error: Error, part: &Path, destination: &Path) -> Error {
    match error {
        Error::Onnx { path, reason } if path == part => Error::onnx(destination, reason),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use ndarray::ArrayD;
    use tract_onnx::pb::{GraphProto, OperatorSetIdProto, TensorProto};

    use super::*;
    use crate::onnx::nodes::{float_tensor, node, port};
    use crate::runtime::{self, Options, Runtime};

    const ROWS: usize = 40;

    /// `y = Relu(x · w) + b`; the weight's values in a list of their own if `typed`.
    fn model(typed: bool) -> ModelProto {
        let values: Vec<f32> = (0..ROWS * 20).map(|i| (i % 17) as f32 - 8.0).collect();
        let mut weight = float_tensor("w", &[ROWS, 20], &values);
        if typed {
            weight = TensorProto { raw_data: vec![], float_data: values, ..weight };
        }
        let graph = GraphProto {
            name: "g".into(),
            node: vec![
                node("MatMul", &["x", "w"], "p", vec![]),
                node("Relu", &["p"], "r", vec![]),
                node("MatMul", &["r", "v"], "q", vec![]),
                node("Add", &["q", "b"], "y", vec![]),
            ],
            initializer: vec![
                weight,
                float_tensor("v", &[20, 20], &[0.5; 400]),
                float_tensor("b", &[20], &[0.25; 20]),
            ],
            input: vec![port("x", None, &[ROWS])],
            output: vec![port("y", None, &[20])],
            ..Default::default()
        };
        let set = OperatorSetIdProto { domain: String::new(), version: 13 };
        let opset_import = vec![set];
        ModelProto { ir_version: 8, opset_import, graph: Some(graph), ..Default::default() }
    }

    fn answers(path: &Path) -> Vec<ArrayD<f32>> {
        let input = ArrayD::from_shape_fn(vec![2, ROWS], |at| (at[0] * 3 + at[1]) as f32 / 10.0);
        let there = [Runtime::Tract, Runtime::Ort].into_iter().filter(|r| r.version().is_some());
        let run = |runtime| {
            let mut session = runtime::open(runtime, path, &Options::default()).unwrap();
            session.run(input.view()).unwrap().remove(0)
        };
        there.map(run).collect()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn weights_beyond_the_limit_lie_in_a_second_file() {
        let folder = tempfile::tempdir().unwrap();
        let [whole, apart] = ["whole.onnx", "apart.onnx"].map(|name| folder.path().join(name));
        for typed in [false, true] {
            let part = Part::beside(&whole).unwrap();
            part.write(&mut model(typed)).unwrap();
            assert!(part.publish().unwrap().data.is_none());

            let part = Part::within(&apart, 1_000).unwrap();
            let mut given = model(typed);
            part.write(&mut given).unwrap();
            let wanted = model(false);
            if !typed {
                assert_eq!(given, wanted, "the model in memory must be as before");
            }
            // The proof sees both files before they are in their place.
            let wanted_answers = answers(&whole);
            part.prove(|path| {
                assert_eq!(answers(path), wanted_answers);
                Ok(())
            })
            .unwrap();
            let Published { bytes, data, .. } = part.publish().unwrap();
            let data = data.unwrap();
            assert_eq!(data, folder.path().join("apart.onnx.data"));
            let sizes = [&apart, &data].map(|path| fs::metadata(path).unwrap().len());
            assert!(sizes[0] < 1_000 && sizes[1] == 4096 + 1600, "{sizes:?}");
            assert_eq!(bytes, sizes[0] + sizes[1]);
            assert_eq!(answers(&apart), wanted_answers);

            // Written again as it was read, it keeps that file, or is refused: it does not empty it.
            for (limit, fits) in [(1_000, true), (100, false)] {
                let part = Part::within(&apart, limit).unwrap();
                fs::copy(&data, part.path().with_file_name("apart.onnx.data")).unwrap();
                assert_eq!(part.write(&mut read(&apart).unwrap()).is_ok(), fits);
                if fits {
                    part.publish().unwrap();
                }
                assert_eq!(answers(&apart), wanted_answers);
            }

            // And a copy is one file again.
            let copied = folder.path().join("copied.onnx");
            copy(&apart, &copied).unwrap();
            assert_eq!(read(&copied).unwrap(), wanted);
        }
        copy(&whole, &folder.path().join("same.onnx")).unwrap();
        let read = |name| fs::read(folder.path().join(name)).unwrap();
        assert!(read("whole.onnx") == read("same.onnx"));
        assert_eq!(
            names(folder.path()),
            ["apart.onnx", "apart.onnx.data", "copied.onnx", "same.onnx", "whole.onnx"]
        );
    }

    #[test]
    fn a_failure_leaves_what_was_there_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let destination = folder.path().join("m.onnx");
        // A folder cannot be replaced by a file.
        fs::create_dir(&destination).unwrap();
        let publish = || {
            let part = Part::within(&destination, 1_000).unwrap();
            part.write(&mut model(false)).unwrap();
            part.publish().err().expect("published over a folder")
        };
        assert!(matches!(publish(), Error::Io { path, .. } if path == destination));
        assert_eq!(names(folder.path()), ["m.onnx"]);
        let data = folder.path().join("m.onnx.data");
        fs::write(&data, "old").unwrap();
        publish();
        assert_eq!(fs::read(&data).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["m.onnx", "m.onnx.data"]);
        // One that is too large without its weights.
        let part = Part::within(&destination, 100).unwrap();
        let error = part.write(&mut model(false)).unwrap_err();
        assert!(error.to_string().contains("too many for an ONNX file"), "{error}");
        drop(part);
        assert_eq!(names(folder.path()), ["m.onnx", "m.onnx.data"]);
    }

    #[test]
    fn a_small_model_leaves_no_weights_of_the_large_one_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let [path, data] = ["m.onnx", "m.onnx.data"].map(|name| folder.path().join(name));
        let publish = |limit| {
            let part = Part::within(&path, limit).unwrap();
            part.write(&mut model(false)).unwrap();
            part.publish().unwrap().data
        };
        assert_eq!(publish(1_000), Some(data.clone()));
        assert_eq!(publish(LIMIT), None);
        assert_eq!(names(folder.path()), ["m.onnx"]);
        // What the old model does not name stays.
        fs::write(&data, "another's").unwrap();
        assert_eq!(publish(LIMIT), None);
        assert_eq!(names(folder.path()), ["m.onnx", "m.onnx.data"]);
    }

    #[test]
    fn our_metadata_count_and_theirs_stay() {
        let entry = |key: &str, value: &str| StringStringEntryProto {
            key: key.into(),
            value: value.into(),
        };
        let mut model = model(false);
        model.metadata_props = vec![entry("labels", "theirs"), entry("author", "A")];
        sign(&mut model, BTreeMap::from([("labels", "ours".to_owned())]));
        assert_eq!(model.metadata_props, [entry("labels", "ours"), entry("author", "A")]);
    }
}

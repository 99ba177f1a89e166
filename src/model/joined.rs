//! Several backbones side by side as one: an ONNX file that hears samples, in which each has its
//! own front end before it, and whose embeddings are theirs one after the other.
//!
//! The one with the longest patch says how long a patch is. A shorter one hears as many of its own
//! patches as lie within, and their mean counts: YAMNet five of a second beside one of musicnn's
//! three seconds.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tract_onnx::pb::{GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto};

use super::backbone::Backbone;
use super::feed::Feed;
use super::feed_graph::Ends;
use crate::error::{Error, Result};
use crate::features::{Preprocessor, SamplesFrontEnd, SamplesKind, Windows};
use crate::files;
use crate::onnx;
use crate::onnx::front_end;
use crate::onnx::names::{EMBEDDINGS, WAVEFORM};
use crate::onnx::nodes::{int, port};
use crate::onnx::opset;
use crate::onnx::piece::Builder;
use crate::onnx::prune::{inline, keep_what_leads_to, names_of, rename};
use crate::onnx::write::Part;
use crate::run::BackboneSource;

/// Where the files are kept: they are made again where they are gone.
const FOLDER: &str = "data/cache/backbones";
/// Changed whenever backbones are joined in another way.
const VERSION: u32 = 1;

/// One of the backbones, and where its patches lie in a patch of them all.
struct Ear<'a> {
    backbone: &'a Backbone,
    /// What the names in its part of the graph begin with.
    name: String,
    feed: Feed,
    windows: Windows,
    /// Its own patches within one of all.
    count: usize,
}

impl Backbone {
    /// As [`Backbone::resolve`], of a list as well, `yamnet,musicnn`: all of them as one. For each a
    /// front end may be given, `,raw.json`; none where it brings its own.
    ///
    /// # Errors
    /// Those of [`Backbone::resolve`] for each; [`Error::InvalidInput`] if they cannot be joined;
    /// errors of the folder in which they are.
    pub fn resolve_all(names: &str, front_ends: Option<&str>) -> Result<Self> {
        let Some(names) = Self::listed(names) else { return Self::resolve(names, front_ends) };
        let given: Vec<&str> = front_ends.map_or(vec![], |given| given.split(',').collect());
        if !given.is_empty() && given.len() != names.len() {
            return Err(Error::InvalidInput(format!(
                "‹front-end› names {} for {} backbones; give one for each, nothing between the \
                 commas for those known by name",
                given.len(),
                names.len()
            )));
        }
        let own = |at: usize| given.get(at).copied().filter(|given| !given.is_empty());
        let each = names.iter().enumerate().map(|(at, name)| Self::resolve(name, own(at)));
        join(&each.collect::<Result<Vec<_>>>()?)
    }

    /// The names in a list of backbones; none if it is one backbone's.
    pub(crate) fn listed(names: &str) -> Option<Vec<&str>> {
        let is_list = names.contains(',') && !Path::new(names).exists();
        is_list.then(|| names.split(',').map(str::trim).collect())
    }
}

/// `backbones` as one, whose file is made unless it is there.
///
/// # Errors
/// [`Error::InvalidInput`] if they do not hear, or do not hear alike; [`Error::Onnx`] if a file
/// takes only so many patches at a time or cannot be brought to the latest of their opsets; errors
/// of the files.
fn join(backbones: &[Backbone]) -> Result<Backbone> {
    let windows = backbones.iter().map(windows).collect::<Result<Vec<_>>>()?;
    let name = backbones.iter().map(|b| &*b.source.name).collect::<Vec<_>>().join("+");
    let front_end = front_end_of(&name, backbones, &windows)?;
    let ears = ears(backbones, &windows, front_end.patch_samples)?;
    let models = backbones.iter().map(|backbone| onnx::read(&backbone.path));
    let models = models.collect::<Result<Vec<_>>>()?;
    let path = place(&name, &ears, &models)?;
    if !path.is_file() {
        tracing::info!("joining {name} into {}", path.display());
        let folder = path.parent().unwrap_or(Path::new("."));
        files::create_dir(folder)?;
        let part = Part::beside(&path)?;
        part.write(&mut model(&ears, models, &front_end)?)?;
        part.publish()?;
    }
    let license = |b: &Backbone| format!("{} ({})", b.source.license, b.source.name);
    let license = backbones.iter().map(license).collect::<Vec<_>>().join(", ");
    let source = BackboneSource { name, license, sha256: files::sha256(&path)? };
    Ok(Backbone { path, front_end: Preprocessor::Samples(front_end), source })
}

/// Where the patches of one that hears lie.
fn windows(backbone: &Backbone) -> Result<Windows> {
    backbone.front_end.windows().ok_or_else(|| {
        let name = &backbone.source.name;
        Error::InvalidInput(format!(
            "{name} looks at pictures; only backbones that hear are joined"
        ))
    })
}

/// Patches as long, and as far apart, as those of the backbone that has the longest.
fn front_end_of(
    name: &str,
    backbones: &[Backbone],
    windows: &[Windows],
) -> Result<SamplesFrontEnd> {
    let rates = backbones.iter().zip(windows);
    if windows.iter().any(|of| of.sample_rate != windows[0].sample_rate) {
        let rates = rates.map(|(b, of)| format!("{} {} Hz", b.source.name, of.sample_rate));
        return Err(Error::InvalidInput(format!(
            "backbones side by side must hear the same sample rate; these hear {}",
            rates.collect::<Vec<_>>().join(", ")
        )));
    }
    let longest = windows.iter().map(|of| of.size).max().unwrap_or_default();
    let hop = windows.iter().filter(|of| of.size == longest).map(|of| of.hop).min();
    Ok(SamplesFrontEnd {
        kind: SamplesKind::Samples,
        name: name.to_owned(),
        sample_rate: windows[0].sample_rate,
        patch_samples: longest,
        patch_hop_samples: hop.unwrap_or(longest),
    })
}

fn ears<'a>(
    backbones: &'a [Backbone],
    windows: &[Windows],
    samples: usize,
) -> Result<Vec<Ear<'a>>> {
    let mut taken = HashSet::new();
    let mut ears: Vec<Ear<'a>> = vec![];
    for (backbone, windows) in backbones.iter().zip(windows) {
        let same = |ear: &Ear<'_>| {
            let other = ear.backbone;
            other.source.sha256 == backbone.source.sha256 && other.front_end == backbone.front_end
        };
        if ears.iter().any(same) {
            let name = &backbone.source.name;
            return Err(Error::InvalidInput(format!(
                "{name} stands twice in the list of backbones"
            )));
        }
        let feed = Feed::probe(&backbone.path, backbone.front_end.patch_kind(), None, None, None)?;
        if let Some(batch) = feed.input.batch {
            let reason = format!(
                "it takes {batch} patches at a time; to be joined with others it \
                                  must take any number"
            );
            return Err(Error::onnx(&backbone.path, reason));
        }
        let mut name = backbone.source.name.clone();
        while !taken.insert(name.clone()) {
            name.push('_');
        }
        let count = 1 + (samples - windows.size) / windows.hop;
        ears.push(Ear { backbone, name, feed, windows: *windows, count });
    }
    Ok(ears)
}

/// The file's path, which says all that it depends on.
fn place(name: &str, ears: &[Ear<'_>], models: &[ModelProto]) -> Result<PathBuf> {
    let mut text = VERSION.to_string();
    for (Ear { backbone, feed, .. }, model) in ears.iter().zip(models) {
        let json = |error| Error::format(&backbone.path, error);
        let front_end = serde_json::to_string(&backbone.front_end).map_err(json)?;
        let feed = serde_json::to_string(feed).map_err(json)?;
        text += &format!("\n{}\n{front_end}\n{feed}", backbone.source.sha256);
        for file in onnx::external_files(model, &backbone.path)? {
            text += &format!("\n{}", files::sha256(&file)?);
        }
    }
    let digest = files::hex(&Sha256::digest(text.as_bytes()));
    Ok(Path::new(FOLDER).join(format!("{name}-{}.onnx", &digest[..16])))
}

/// `waveform` `[batch, samples]` to `embeddings` `[batch, features]`, from the `models` of the ears.
fn model(
    ears: &[Ear<'_>],
    models: Vec<ModelProto>,
    front_end: &SamplesFrontEnd,
) -> Result<ModelProto> {
    let samples = front_end.patch_samples;
    let mut whole = GraphProto { name: front_end.name.clone(), ..GraphProto::default() };
    let opset = models.iter().map(opset::of).max().unwrap_or_default();
    let (mut format, mut sets, mut notes) = (0, BTreeMap::new(), vec![]);
    let mut embeddings = vec![];
    let mut features = 0;
    for (ear, mut model) in ears.iter().zip(models) {
        let path = &ear.backbone.path;
        opset::check(path, &model)?;
        opset::raise(path, &mut model, opset)?;
        if !model.functions.is_empty() {
            let reason = "it has functions of its own, which are not joined with another's; inline \
                          them first (onnx.inliner)";
            return Err(Error::onnx(path, reason));
        }
        format = format.max(model.ir_version);
        let note = |note: &StringStringEntryProto| StringStringEntryProto {
            key: format!("{}.{}", ear.name, note.key),
            value: note.value.clone(),
        };
        notes.extend(model.metadata_props.iter().map(note));
        for set in &model.opset_import {
            let version = *sets.entry(set.domain.clone()).or_insert(set.version);
            if version != set.version {
                let OperatorSetIdProto { domain, version: own } = set;
                let reason =
                    format!("its operators of {domain} are of version {own}, another's {version}");
                return Err(Error::onnx(path, reason));
            }
        }
        embeddings.push(ear.add(&mut model, samples, opset, &mut whole)?);
        features += ear.feed.features.unwrap_or_default();
    }
    let mut last = Builder::new("joined", opset);
    let names: Vec<&str> = embeddings.iter().map(String::as_str).collect();
    last.output("Concat", &names, EMBEDDINGS, vec![int("axis", 1)]);
    last.append_to(&mut whole);
    whole.input = vec![port(WAVEFORM, None, &[samples])];
    whole.output = vec![port(EMBEDDINGS, None, &[features])];
    let set = |(domain, version)| OperatorSetIdProto { domain, version };
    Ok(ModelProto {
        ir_version: format.max(opset::OLDEST_FORMAT),
        opset_import: sets.into_iter().map(set).collect(),
        producer_name: env!("CARGO_PKG_NAME").to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(whole),
        metadata_props: notes,
        ..ModelProto::default()
    })
}

impl Ear<'_> {
    /// Adds its front end and its graph to the `whole`, which hears patches of so many samples; the
    /// name of its embeddings, `[batch, features]`.
    fn add(
        &self,
        model: &mut ModelProto,
        samples: usize,
        opset: i64,
        whole: &mut GraphProto,
    ) -> Result<String> {
        let path = &self.backbone.path;
        let ends = Ends::of(path, model, &self.feed)?;
        let input = onnx::input(model, path)?.name;
        let graph = onnx::graph_mut(path, model)?;
        keep_what_leads_to(graph, HashSet::from([self.feed.output.clone()]));
        inline(path, graph)?;
        let named = |name: &str| format!("{}/{name}", self.name);
        // Without a name an optional input is left out.
        let names = names_of(graph).into_iter().filter(|name| !name.is_empty());
        let names: BTreeMap<String, String> = names.map(|n| (n.clone(), named(&n))).collect();
        rename(model, &names);
        let graph = onnx::graph_mut(path, model)?;
        for node in graph.node.iter_mut().filter(|node| !node.name.is_empty()) {
            node.name = named(&node.name);
        }
        let mut before = Builder::new(&*self.name, opset);
        let patches = self.patches(&mut before, samples);
        ends.arrange(&mut before, &patches, &names[&input]);
        before.append_to(whole);
        whole.node.append(&mut graph.node);
        whole.initializer.append(&mut graph.initializer);
        whole.sparse_initializer.append(&mut graph.sparse_initializer);
        whole.quantization_annotation.append(&mut graph.quantization_annotation);
        let mut after = Builder::new(format!("{}.after", self.name), opset);
        let each = format!("{}.embeddings", self.name);
        ends.embeddings(&mut after, &names[&self.feed.output], &each);
        let mean = self.mean(&mut after, each);
        after.append_to(whole);
        Ok(mean)
    }

    /// Its own patches, as trainings keep them, of those of so many samples.
    fn patches(&self, builder: &mut Builder, samples: usize) -> String {
        let Windows { size, hop, .. } = self.windows;
        let common = front_end::greatest_common_divisor;
        let block = common(common(hop, size), samples);
        let blocks = [-1, (samples / block) as i64, block as i64];
        let blocks = builder.reshape(WAVEFORM, "windows.blocks", &blocks);
        let runs = [hop / block, size / block];
        let runs = builder.runs(&blocks, "windows.runs", 1, self.count, runs);
        let waveforms = builder.reshape(&runs, "windows", &[-1, size as i64]);
        match &self.backbone.front_end {
            Preprocessor::Audio(front_end) => {
                let framed = front_end::frames_of_patches(builder, front_end, &waveforms);
                let frames = front_end::log_mel(builder, front_end, &framed);
                let [frames_each, mels] = self.backbone.patch().map(|size| size as i64);
                builder.reshape(&frames, "patches", &[-1, frames_each, mels])
            }
            _ => builder.reshape(&waveforms, "patches", &[-1, size as i64, 1]),
        }
    }

    /// The mean over its patches within one of all.
    fn mean(&self, builder: &mut Builder, each: String) -> String {
        if self.count == 1 {
            return each;
        }
        let features = self.feed.features.map_or(-1, |features| features as i64);
        let grouped = builder.reshape(&each, "grouped", &[-1, self.count as i64, features]);
        builder.reduced("ReduceMean", &grouped, "mean", &[1])
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, ArrayD, Axis};

    use super::*;
    use crate::features::{Extractor, FrontEnd};
    use crate::runtime::{self, Options, Runtime, Session};

    fn noise(count: usize) -> Vec<f32> {
        let value = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 16;
        (0..count).map(|i| value(i) as f32 / 65_536.0 - 0.5).collect()
    }

    fn backbone(name: &str) -> Backbone {
        Backbone::resolve(name, None).unwrap()
    }

    fn joined(backbones: &[Backbone]) -> (ModelProto, SamplesFrontEnd) {
        let windows: Vec<Windows> = backbones.iter().map(|b| windows(b).unwrap()).collect();
        let front_end = front_end_of("both", backbones, &windows).unwrap();
        let ears = ears(backbones, &windows, front_end.patch_samples).unwrap();
        let models = backbones.iter().map(|b| onnx::read(&b.path).unwrap()).collect();
        (model(&ears, models, &front_end).unwrap(), front_end)
    }

    fn opened(runtime: Runtime, path: &Path) -> Box<dyn Session> {
        runtime::open(runtime, path, &Options::default()).unwrap()
    }

    /// Embeddings of a backbone's own patches of samples.
    fn alone(name: &str, samples: &[f32]) -> Array2<f32> {
        let backbone = backbone(name);
        let feed =
            Feed::probe(&backbone.path, backbone.front_end.patch_kind(), None, None, None).unwrap();
        let patches = Extractor::new(&FrontEnd::preset(name).unwrap()).unwrap().patches(samples);
        let mut session = opened(Runtime::Tract, &backbone.path);
        feed.embed(&mut *session, patches.values.view(), false).unwrap()
    }

    /// What each hears of a patch is what it hears alone, in the middle of a recording too.
    #[test]
    fn each_answers_as_alone() {
        let (mut model, front_end) = joined(&[backbone("yamnet"), backbone("musicnn")]);
        let (size, hop) = (front_end.patch_samples, front_end.patch_hop_samples);
        assert_eq!((size, hop), (48_128, 47_872));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("both.onnx");
        let part = Part::beside(&path).unwrap();
        part.write(&mut model).unwrap();
        part.publish().unwrap();
        let recording = noise(2 * hop + size);
        // musicnn's patches begin half a window early.
        let lead = FrontEnd::musicnn().lead_samples();
        let musicnn = alone("musicnn", &recording);
        for runtime in [Runtime::Tract, Runtime::Ort] {
            if runtime.version().is_none() {
                continue;
            }
            for patch in [1, 2] {
                let begin = patch * hop - lead;
                let samples = &recording[begin..][..size];
                let input = ArrayD::from_shape_vec(vec![1, size], samples.to_vec()).unwrap();
                let found = opened(runtime, &path).run(input.view()).unwrap().remove(0);
                assert_eq!(found.shape(), [1, 1024 + 256]);
                let yamnet = alone("yamnet", samples);
                assert_eq!(yamnet.nrows(), 5);
                let wanted = yamnet.mean_axis(Axis(0)).unwrap();
                let wanted = wanted.iter().chain(musicnn.row(patch));
                for (found, wanted) in found.iter().zip(wanted) {
                    assert!((found - wanted).abs() < 1e-4, "{runtime}: {found} {wanted}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_stand_side_by_side_is_refused() {
        let text = |names, ends| Backbone::resolve_all(names, ends).unwrap_err().to_string();
        assert!(text("yamnet,yamnet", None).contains("yamnet stands twice"));
        assert!(text("yamnet,resnet", None).contains("no such backbone"));
        assert!(text("yamnet,", None).contains("no such backbone"), "{}", text("yamnet,", None));
        assert!(text("yamnet,musicnn", Some("yamnet")).contains("1 for 2 backbones"));
        let axes = || Ok(vec![None, Some(3), Some(224), Some(224)]);
        let front_end = Preprocessor::resolve("imagenet", axes).unwrap();
        let sees = Backbone { front_end, ..backbone("musicnn") };
        let found = join(&[backbone("yamnet"), sees]).unwrap_err().to_string();
        assert!(found.contains("musicnn looks at pictures"), "{found}");
        let slow = tempfile::NamedTempFile::new().unwrap();
        let front_end = FrontEnd { sample_rate: 22_050, ..FrontEnd::musicnn() };
        serde_json::to_writer(&slow, &front_end).unwrap();
        let given = format!(",{}", slow.path().display());
        let found = text("yamnet,musicnn", Some(&given));
        assert!(found.contains("yamnet 16000 Hz, musicnn 22050 Hz"), "{found}");
    }

    #[test]
    fn one_domain_has_one_version() {
        let both = [backbone("yamnet"), backbone("musicnn")];
        let windows: Vec<Windows> = both.iter().map(|b| windows(b).unwrap()).collect();
        let front_end = front_end_of("both", &both, &windows).unwrap();
        let ears = ears(&both, &windows, front_end.patch_samples).unwrap();
        let with = |(backbone, version): (&Backbone, i64)| {
            let mut model = onnx::read(&backbone.path).unwrap();
            model.opset_import.push(OperatorSetIdProto { domain: "own".to_owned(), version });
            model
        };
        let made = |versions: [i64; 2]| {
            model(&ears, both.iter().zip(versions).map(with).collect(), &front_end)
        };
        made([2, 2]).unwrap();
        let error = made([1, 2]).unwrap_err().to_string();
        assert!(error.contains("its operators of own are of version 2, another's 1"), "{error}");
    }

    #[test]
    fn a_list_is_none_where_a_file_has_that_name() {
        assert_eq!(Backbone::listed("yamnet, musicnn"), Some(vec!["yamnet", "musicnn"]));
        assert_eq!(Backbone::listed("yamnet"), None);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a,b.onnx");
        std::fs::write(&path, "").unwrap();
        assert_eq!(Backbone::listed(path.to_str().unwrap()), None);
    }
}

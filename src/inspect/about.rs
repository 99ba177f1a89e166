//! What a file says of itself: its metadata, its licence, and what our own exports carry.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use tract_onnx::pb::ModelProto;

use crate::features::Preprocessor;
use crate::onnx;
use crate::onnx::names::{LOG_MEL, key};

/// The longest text that is taken over, in characters.
const LONGEST: usize = 300;

/// What the metadata of a file say that this program exported.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Own {
    /// `log_mel`, `waveform`, `clip`; `features` for a classical baseline.
    pub input: String,
    /// `fp32`, `fp16` and so on.
    pub precision: String,
    /// The genres, in the order of the probabilities.
    pub genres: Vec<String>,
    /// What the front end is called; none where there is none or it cannot be read.
    pub front_end: Option<String>,
    /// Whether it looks at pictures of spectrograms.
    pub pictures: bool,
    /// Samples a second.
    pub sample_rate: Option<u32>,
    /// The collection it learned from.
    pub training_data: Option<String>,
    /// Share of the test part's tracks it gave the right genre.
    pub test_accuracy: Option<f64>,
    /// The macro average precision on the test part's tracks, several labels a track.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_average_precision: Option<f64>,
    /// The network it was fine-tuned from.
    pub backbone: Option<String>,
    /// The program that wrote it.
    pub software: Option<String>,
    /// The front end itself.
    #[serde(skip)]
    pub(super) preprocessor: Option<Preprocessor>,
}

impl Own {
    /// What `metadata` say, if they are those of an export of ours: of a genre model it knows
    /// the genres and what its input is made of.
    pub(super) fn of(metadata: &BTreeMap<String, String>) -> Option<Self> {
        let text = |key: &str| metadata.get(key).cloned();
        let json = |key: &str| serde_json::from_str::<Value>(metadata.get(key)?).ok();
        let genres: Vec<String> = serde_json::from_str(metadata.get(key::LABELS)?).ok()?;
        let front_end = text(key::FRONT_END);
        if front_end.is_none() && !metadata.contains_key(key::FEATURES) {
            return None;
        }
        let preprocessor = front_end.and_then(|json| Preprocessor::parse(&json).ok());
        let otherwise = if preprocessor.is_some() { LOG_MEL } else { key::FEATURES };
        let audio = match &preprocessor {
            Some(Preprocessor::Audio(front_end)) => Some(front_end),
            _ => None,
        };
        let name = |value: Value| Some(value.get("name")?.as_str()?.to_owned());
        Some(Self {
            input: text(key::INPUT).unwrap_or_else(|| otherwise.to_owned()),
            precision: text(key::PRECISION).unwrap_or_else(|| "fp32".to_owned()),
            genres,
            front_end: audio.map(|front_end| front_end.name.clone()),
            pictures: preprocessor.is_some() && audio.is_none(),
            sample_rate: audio.map(|front_end| front_end.sample_rate),
            training_data: json(key::TRAINING_DATA).and_then(name),
            test_accuracy: json(key::METRICS)
                .and_then(|metrics| metrics.get("test_track_accuracy")?.as_f64()),
            test_average_precision: json(key::METRICS)
                .and_then(|metrics| metrics.get("test_macro_average_precision")?.as_f64()),
            backbone: json(key::BACKBONE).and_then(name),
            software: text(key::SOFTWARE),
            preprocessor,
        })
    }
}

/// What the file says of a licence: an entry of its metadata that is called so, else the first
/// line of its documentation that speaks of one.
pub(super) fn licence(model: &ModelProto) -> Option<String> {
    let speaks = |text: &str| {
        let text = text.to_ascii_lowercase();
        ["license", "licence", "copyright"].iter().any(|word| text.contains(word))
    };
    let entries = onnx::metadata(model);
    let entry = entries.iter().find(|(key, value)| speaks(key) && !value.trim().is_empty());
    let documentation = [Some(&model.doc_string), model.graph.as_ref().map(|g| &g.doc_string)];
    let line =
        || documentation.into_iter().flatten().flat_map(|text| text.lines()).find(|l| speaks(l));
    entry.map(|(_, value)| value.as_str()).or_else(line).map(shortened)
}

/// What the file says of itself in prose.
pub(super) fn documentation(model: &ModelProto) -> Option<String> {
    let texts = [Some(&model.doc_string), model.graph.as_ref().map(|graph| &graph.doc_string)];
    texts.into_iter().flatten().find(|text| !text.trim().is_empty()).map(|text| shortened(text))
}

/// A text on one line, cut where it is too long.
pub(super) fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().take(LONGEST).collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::StringStringEntryProto;

    use super::*;

    #[test]
    fn a_licence_is_found_in_metadata_or_prose() {
        let mut model = ModelProto {
            doc_string: "A network.\n(c) x, MIT licence.".into(),
            ..Default::default()
        };
        assert_eq!(licence(&model).as_deref(), Some("(c) x, MIT licence."));
        let entry = StringStringEntryProto { key: "License".into(), value: "ISC".into() };
        model.metadata_props.push(entry);
        assert_eq!(licence(&model).as_deref(), Some("ISC"));
        assert_eq!(licence(&ModelProto::default()), None);
    }

    #[test]
    fn exports_of_ours_are_known_by_genres_and_front_end() {
        let mut metadata = BTreeMap::from([("labels".to_owned(), r#"["a","b"]"#.to_owned())]);
        assert_eq!(Own::of(&metadata), None);
        metadata.insert("features".to_owned(), "[]".to_owned());
        let own = Own::of(&metadata).unwrap();
        assert_eq!((own.input.as_str(), own.genres.len()), ("features", 2));
        metadata.insert("labels".to_owned(), "{".to_owned());
        assert_eq!(Own::of(&metadata), None);
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "ö".repeat(LONGEST + 1);
        assert_eq!(shortened(&long).chars().count(), LONGEST + 1);
        assert_eq!(shortened(" a\n b "), "a b");
    }
}

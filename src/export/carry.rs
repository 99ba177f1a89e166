//! What of a backbone's file stays in a file of ours: names, where they are free, and notes.

use std::collections::BTreeMap;

use tract_onnx::pb::{GraphProto, ModelProto, StringStringEntryProto};

use crate::onnx::names::{LOG_MEL, OUTPUTS, PATCH_PROBABILITIES, WAVEFORM, key};
use crate::onnx::prune::{names_of, rename};

/// Names that we give.
const OURS: [&str; 5] = [LOG_MEL, WAVEFORM, OUTPUTS[0], OUTPUTS[1], PATCH_PROBABILITIES];
/// What the names begin with of the layers that we add.
const PREFIXES: [&str; 4] = ["feed.", "head.", "front_end.", "clip."];
/// What names and keys of the backbone's begin with that had to make room.
const THEIRS: &str = "backbone.";

/// Renames what has a name of ours, and the backbone's input and output to `backbone.input` and
/// `backbone.output`; the names that those two have then.
pub(super) fn make_room(model: &mut ModelProto, [input, output]: [String; 2]) -> [String; 2] {
    let Some(graph) = &mut model.graph else { return [input, output] };
    let mut taken = names_of(graph);
    let mut names = BTreeMap::new();
    let mut give = |old: &str, new: &str, names: &mut BTreeMap<String, String>| {
        let mut new = format!("{THEIRS}{new}");
        while taken.contains(&new) {
            new.push('_');
        }
        taken.insert(new.clone());
        names.entry(old.to_owned()).or_insert(new).clone()
    };
    let ends = [give(&input, "input", &mut names), give(&output, "output", &mut names)];
    for name in taken_by_ours(graph) {
        give(&name, &name, &mut names);
    }
    for node in graph.node.iter_mut().filter(|node| is_ours(&node.name)) {
        if let Some(new) = names.get(&node.name) {
            node.name.clone_from(new);
        }
    }
    rename(model, &names);
    ends
}

/// Whether a tensor or a node of ours may be called so; a node is called after its output.
fn is_ours(name: &str) -> bool {
    let name = name.strip_suffix(".node").unwrap_or(name);
    OURS.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The names in a graph that are ours to give, sorted.
fn taken_by_ours(graph: &GraphProto) -> Vec<String> {
    let mut taken: Vec<String> = names_of(graph).into_iter().filter(|name| is_ours(name)).collect();
    taken.sort();
    taken
}

/// Keeps what the file says of itself: its metadata, under keys of its own where ours have
/// another meaning, and which program made it.
pub(super) fn keep_notes(model: &mut ModelProto) {
    let mut notes: BTreeMap<String, String> = BTreeMap::new();
    for StringStringEntryProto { key, value } in std::mem::take(&mut model.metadata_props) {
        let key = if key::ALL.contains(&&*key) { format!("{THEIRS}{key}") } else { key };
        notes.entry(key).or_insert(value);
    }
    let producer = format!("{} {}", model.producer_name, model.producer_version);
    if !producer.trim().is_empty() {
        notes.insert(format!("{THEIRS}producer"), producer.trim().to_owned());
    }
    let entry = |(key, value)| StringStringEntryProto { key, value };
    model.metadata_props = notes.into_iter().map(entry).collect();
}

/// The licence that the backbone's file itself names, after [`keep_notes`].
pub(super) fn license(model: &ModelProto) -> Option<String> {
    let key = format!("{THEIRS}{}", key::LICENSE);
    let entry = model.metadata_props.iter().find(|entry| entry.key == key)?;
    Some(entry.value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::nodes::{float_tensor, node, port};

    fn model() -> ModelProto {
        let graph = GraphProto {
            node: vec![
                node("Relu", &["log_mel"], "backbone.input", vec![]),
                node("Gemm", &["backbone.input", "head.0.weight"], "embeddings", vec![]),
                node("Relu", &["embeddings"], "plain", vec![]),
            ],
            initializer: vec![float_tensor("head.0.weight", &[1, 1], &[1.0])],
            input: vec![port("log_mel", None, &[1])],
            output: vec![port("plain", None, &[1]), port("embeddings", None, &[1])],
            ..Default::default()
        };
        let entry = |(key, value): (&str, &str)| StringStringEntryProto {
            key: key.into(),
            value: value.into(),
        };
        ModelProto {
            graph: Some(graph),
            producer_name: "pytorch".into(),
            producer_version: "2.15".into(),
            metadata_props: [("license", "MIT"), ("author", "A"), ("author", "B")]
                .map(entry)
                .into(),
            ..Default::default()
        }
    }

    /// A file of our own as backbone has every name that we give.
    #[test]
    fn every_name_that_we_give_is_free_then() {
        let mut model = model();
        let ends = make_room(&mut model, ["log_mel".to_owned(), "embeddings".to_owned()]);
        assert_eq!(ends, ["backbone.input_", "backbone.output"]);
        let graph = model.graph.unwrap();
        assert_eq!(taken_by_ours(&graph), [""; 0]);
        assert_eq!(graph.node[0].input, ["backbone.input_"]);
        assert_eq!(graph.node[1].input, ["backbone.input", "backbone.head.0.weight"]);
        assert_eq!(graph.node[1].name, "backbone.embeddings.node");
        assert_eq!(
            (&graph.node[2].name[..], &graph.node[2].output[0][..]),
            ("plain.node", "plain")
        );
        assert_eq!(graph.input[0].name, "backbone.input_");
        assert_eq!(graph.output[1].name, "backbone.output");
    }

    #[test]
    fn one_tensor_may_be_input_and_output() {
        let ends = make_room(&mut model(), ["log_mel".to_owned(), "log_mel".to_owned()]);
        assert_eq!(ends[0], ends[1]);
    }

    #[test]
    fn notes_keep_a_key_that_cannot_be_taken_for_ours() {
        let mut model = model();
        keep_notes(&mut model);
        let notes: Vec<(&str, &str)> =
            model.metadata_props.iter().map(|e| (&*e.key, &*e.value)).collect();
        let producer = ("backbone.producer", "pytorch 2.15");
        assert_eq!(notes, [("author", "A"), ("backbone.license", "MIT"), producer]);
        assert_eq!(license(&model).as_deref(), Some("MIT"));
    }
}

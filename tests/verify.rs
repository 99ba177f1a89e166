//! Exported models test their hosts: right ones pass, and mistakes are called by their names.
#![cfg(feature = "train")]

mod common;
#[path = "fixtures/runs.rs"]
mod runs;

use std::collections::BTreeMap;
use std::fs;

use common::write;
use genre_transfer::onnx;
use genre_transfer::runtime::Runtime;
use runs::{Desk, Ran, bytes};
use serde_json::{Value, json};

/// A desk with a run, and `clip.onnx` that was exported from it.
fn exported() -> Desk {
    let desk = Desk::new();
    desk.train("a", &[]);
    export(&desk, "clip", "clip.onnx");
    desk
}

fn export(desk: &Desk, input: &str, name: &str) {
    desk.export(&["runs/a", "--input", input, "-o", name]).succeeded();
}

fn verify(desk: &Desk, arguments: &[&str]) -> Ran {
    let arguments = [&["--verify"], arguments].concat();
    Ran::from(desk.command(env!("CARGO_BIN_EXE_classify"), &arguments).output().unwrap())
}

/// The probes of `clip.onnx`.
fn probes(desk: &Desk) -> Value {
    verify(desk, &["clip.onnx", "--probes", "probes"]).succeeded();
    desk.json("probes/probes.json")
}

/// What `classify` says of answers: whether they are right, and the mistakes' names.
fn judged(desk: &Desk, answers: &Value) -> (bool, Vec<String>) {
    fs::write(desk.path("answers.json"), answers.to_string()).unwrap();
    let ran = verify(desk, &["clip.onnx", "--answers", "answers.json", "--json"]);
    let verdict: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:#?}"));
    let right = verdict["right"].as_bool().unwrap();
    assert_eq!(ran.code, Some(i32::from(!right)), "{ran:#?}");
    let name = |mistake: &Value| mistake["name"].as_str().unwrap().to_owned();
    (right, verdict["mistakes"].as_array().unwrap().iter().map(name).collect())
}

/// Right answers, each probability changed.
fn right(probes: &Value, change: impl Fn(&[f64], usize) -> f64) -> Value {
    let one = |probe: &Value| {
        let all: Vec<f64> = serde_json::from_value(probe["probabilities"].clone()).unwrap();
        let changed: Vec<f64> = (0..all.len()).map(|at| change(&all, at)).collect();
        (probe["name"].as_str().unwrap().to_owned(), json!(changed))
    };
    probes["probes"].as_array().unwrap().iter().map(one).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn every_kind_of_file_verifies_this_program_in_every_runtime() {
    let desk = exported();
    for (input, name) in [("waveform", "waveform.onnx"), ("log-mel", "log-mel.onnx")] {
        export(&desk, input, name);
    }
    let small = ["runs/a", "--precision", "int8", "--max-drop", "100", "-o", "int8.onnx"];
    desk.export(&small).succeeded();
    for runtime in [Runtime::Ort, Runtime::Tract] {
        if runtime.version().is_none() {
            println!("skipped: {runtime}");
            continue;
        }
        for model in ["clip.onnx", "waveform.onnx", "log-mel.onnx", "int8.onnx", "runs/a"] {
            let ran = verify(&desk, &[model, "--runtime", runtime.name()]).succeeded();
            for probe in ["long", "short", "stereo"] {
                // Runtimes differ with bytes, by less than their tolerance.
                let off = if model == "int8.onnx" { "" } else { " off by 0.000" };
                assert!(ran.out.contains(&format!("{probe}: right,{off}")), "{ran:#?}");
            }
        }
    }
    for model in ["clip.onnx", "log-mel.onnx"] {
        let path = desk.path(model);
        let probes = onnx::metadata(&onnx::read(&path).unwrap())["probes"].clone();
        assert!(probes.len() < 64_000, "{}", probes.len());
        let before = bytes(&path);
        export(&desk, if model == "clip.onnx" { "clip" } else { "log-mel" }, model);
        assert!(bytes(&path) == before, "{model}: other bytes the second time");
    }
}

#[test]
fn a_host_is_told_its_mistake() {
    let desk = exported();
    let probes = probes(&desk);
    let mut hosts = 0;
    for mistake in probes["mistakes"].as_array().unwrap() {
        let mut answers = right(&probes, |all, at| all[at]);
        for (probe, wrong) in
            probes["probes"].as_array().unwrap().iter().zip(mistake["answers"].as_array().unwrap())
        {
            if !wrong.is_null() {
                answers[probe["name"].as_str().unwrap()] = wrong.clone();
            }
        }
        let (right, names) = judged(&desk, &answers);
        let name = mistake["name"].as_str().unwrap().to_owned();
        assert!(!right && names.contains(&name), "{name}: {names:?}");
        hosts += 1;
    }
    assert!(hosts >= 15, "{hosts} mistakes show");

    let said = |answers: Value| judged(&desk, &answers);
    let named = |answers: Value| said(answers).1;
    assert_eq!(said(right(&probes, |all, at| all[at])), (true, vec![]));
    assert_eq!(said(right(&probes, |all, at| all[at] + 5e-4)), (true, vec![]));
    assert_eq!(named(right(&probes, |all, at| all[all.len() - 1 - at])), ["labels"]);
    assert_eq!(named(right(&probes, |all, at| 100.0 * all[at])), ["percent"]);
    assert_eq!(named(right(&probes, |all, at| all[at].max(1e-9).ln())), ["logits"]);
    let one_hot = |all: &[f64], at: usize| {
        let best = all.iter().copied().fold(0.0, f64::max);
        f64::from(u8::from(all[at] == best))
    };
    assert_eq!(named(right(&probes, one_hot)), ["one-label"]);
    assert_eq!(named(right(&probes, |_, at| 0.2 + 0.1 * at as f64)), ["constant"]);
    assert_eq!(named(right(&probes, |all, _| all[0] * 0.0 + 1.0 / 3.0)), ["constant"]);
    // Nothing that is known.
    let (right_one, names) = said(right(&probes, |all, at| (all[at] * 977.0).fract()));
    assert!(!right_one && names.is_empty(), "{names:?}");
}

#[test]
fn answers_are_read_by_label_and_refused_with_others() {
    let desk = exported();
    let probes = probes(&desk);
    let answers = right(&probes, |all, at| all[at]);
    let by_label = |labels: [&str; 3]| -> Value {
        let one = |(name, list): (&String, &Value)| {
            let list = list.as_array().unwrap().iter().cloned();
            let named: BTreeMap<&str, Value> = labels.into_iter().zip(list).collect();
            (name.clone(), json!(named))
        };
        answers.as_object().unwrap().iter().map(one).collect::<serde_json::Map<_, _>>().into()
    };
    assert_eq!(judged(&desk, &by_label(["high", "low", "mixed"])), (true, vec![]));
    let named = |labels| judged(&desk, &by_label(labels)).1;
    assert_eq!(named(["low", "high", "mixed"]), ["labels"]);
    assert_eq!(named(["rock", "pop", "jazz"]), ["other-labels"]);
    assert_eq!(named(["high\r", "low\r", "mixed\r"]), ["other-labels"]);
    // What the host does not take is untested, and said.
    let mut some = answers.clone();
    some["stereo"] = Value::Null;
    assert_eq!(judged(&desk, &some), (true, vec![]));
    let ran = verify(&desk, &["clip.onnx", "--answers", "answers.json"]).succeeded();
    assert!(ran.out.contains("stereo: not answered"), "{ran:#?}");
    some["short"] = json!([0.5, 0.5]);
    assert_eq!(judged(&desk, &some).1, ["label-count"]);

    let refused = |text: &str, words: &[&str]| {
        fs::write(desk.path("answers.json"), text).unwrap();
        verify(&desk, &["clip.onnx", "--answers", "answers.json"]).refused(1, words);
    };
    refused("{}", &["answered no probe"]);
    refused("{\"long\": null}", &["answered no probe"]);
    refused("{\"loud\": [1, 0, 0]}", &["no probe \"loud\"", "long, short, stereo"]);
    refused("[1, 2]", &["answers.json", "expected an object of probes"]);
    refused("{\"long\": [NaN, 0, 0]}", &["answers.json"]);
    verify(&desk, &["clip.onnx", "--answers", "none.json"]).refused(1, &["none.json"]);
    verify(&desk, &["clip.onnx", "music"]).refused(2, &["cannot be used with"]);
}

#[test]
fn files_without_probes_or_with_those_of_another_say_so() {
    let desk = exported();
    let mut model = onnx::read(&desk.path("clip.onnx")).unwrap();
    let place = model.metadata_props.iter().position(|entry| entry.key == "probes").unwrap();
    let labels = model.metadata_props.iter().position(|entry| entry.key == "labels").unwrap();
    let mut other = model.clone();
    other.metadata_props[labels].value = "[\"low\",\"high\",\"mixed\"]".to_owned();
    write(&other, &desk.path(""), "other.onnx");
    verify(&desk, &["other.onnx"]).refused(1, &["other.onnx", "of other labels", "export"]);
    let right = model.metadata_props[place].value.clone();
    for (old, new, words) in [
        ("\"version\":1", "\"version\":7", "version 7"),
        ("\"frames\":", "\"frames\":1", "promises"),
        ("\"note\":", "\"note\":-", "probes in its metadata"),
        ("\"channels\":2", "\"channels\":3", "channels must be 1 or 2"),
        ("\"noise\":13", "\"noise\":99", "noise must be"),
        ("\"steps\":[", "\"steps\":[],\"x\":[", "steps must not be empty"),
    ] {
        model.metadata_props[place].value = right.replacen(old, new, 1);
        write(&model, &desk.path(""), "bad.onnx");
        verify(&desk, &["bad.onnx"]).refused(1, &["bad.onnx", words]);
    }
    model.metadata_props.remove(place);
    write(&model, &desk.path(""), "old.onnx");
    verify(&desk, &["old.onnx"]).refused(1, &["old.onnx", "no probes", "export-onnx"]);
}

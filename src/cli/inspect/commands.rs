//! The commands to use a file with.

use std::path::Path;

use serde::Serialize;

use super::arguments::Arguments;
use crate::inspect::{Fed, Inspection, Own};
use crate::onnx::names;

/// Something that can be done with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Use {
    /// What it does, or why there is no command.
    pub what: String,
    /// The command; none where the file cannot be used so.
    pub command: Option<String>,
}

impl Use {
    fn new(what: impl Into<String>, command: String) -> Self {
        Self { what: what.into(), command: Some(command) }
    }

    fn no(what: impl Into<String>) -> Self {
        Self { what: what.into(), command: None }
    }
}

/// What can be done with a file, the likeliest first.
pub(super) fn uses(found: &Inspection, arguments: &Arguments) -> Vec<Use> {
    match &found.exported {
        Some(own) => exported(found, own),
        None => backbone(found, arguments),
    }
}

fn exported(found: &Inspection, own: &Own) -> Vec<Use> {
    let file = quoted(&found.path);
    if own.input == names::FEATURES {
        let what = "it judges hand-made features, not sound: compute them with extract-features, \
                    and give the file rows of them in its metadata's order, in ort or tract";
        return vec![Use::no(what)];
    }
    let bench = format!("cargo run --release --bin bench-runtimes -- {file}");
    if own.pictures {
        let what = "it looks at pictures of spectrograms, so classify cannot take it; compare \
                    runtimes";
        return vec![Use::new(what, bench)];
    }
    if found.classifies == Some(false) {
        let reason = found.classify_reason.as_deref().unwrap_or("unknown");
        return vec![Use::no(format!("classify does not take it: {reason}"))];
    }
    let classify = format!("cargo run --release --bin classify -- song.mp3 --model {file}");
    let mut uses = vec![Use::new("tell the genre of recordings (tried: it takes sound)", classify)];
    if own.input != names::CLIP {
        uses.push(Use::new("compare runtimes", bench));
    }
    uses
}

fn backbone(found: &Inspection, arguments: &Arguments) -> Vec<Use> {
    let [_] = &found.inputs[..] else {
        return vec![Use::no("finetune feeds one input, and it has others beside")];
    };
    let mut uses: Vec<Use> = vec![];
    let mut presets = 0;
    for fit in found.fits.iter().filter(|fit| fit.runs != Some(false)) {
        let (what, front_end) = match &fit.fed {
            Fed::FrontEnd { name, .. } => {
                presets += 1;
                let given = arguments.front_end.clone().unwrap_or_else(|| name.clone());
                (format!("fine-tune it, if it was trained with the front end of {name}"), given)
            }
            Fed::Spectrogram { first, second } => (
                format!(
                    "fine-tune it, with a JSON file that says how its log-mels are made \
                     (patch_frames and mels are {first} and {second}, or the other way round; \
                     docs/backbones.md)"
                ),
                "FRONT_END.json".to_owned(),
            ),
            Fed::Picture { channels: 3, .. } => (
                "fine-tune it on pictures of spectrograms, if it was trained with ImageNet's mean \
                 and deviation (else a JSON file, docs/backbones.md)"
                    .to_owned(),
                "imagenet".to_owned(),
            ),
            Fed::Picture { .. } => (
                "fine-tune it on grey pictures, with a JSON file that says how they are scaled \
                 (docs/backbones.md)"
                    .to_owned(),
                "FRONT_END.json".to_owned(),
            ),
            Fed::Samples { .. } => (
                "fine-tune it on samples, with a JSON file that says their rate \
                 (docs/backbones.md)"
                    .to_owned(),
                "FRONT_END.json".to_owned(),
            ),
            Fed::Values => continue,
        };
        uses.push(Use::new(what, finetune(found, arguments, &fit.fed, &front_end)));
    }
    if presets > 1 {
        let what = "its shape does not tell which of these front ends it was trained with, and \
                    the wrong one costs accuracy: look at its source";
        uses.insert(0, Use::no(what));
    }
    if uses.is_empty() {
        uses.push(Use::no("nothing that finetune could feed fits its input"));
    }
    uses
}

fn finetune(found: &Inspection, arguments: &Arguments, fed: &Fed, front_end: &str) -> String {
    let data = match fed {
        Fed::Picture { .. } => "images_original",
        _ => "data/gtzan",
    };
    let file = quoted(&found.path);
    let mut command = format!(
        "cargo run --release --bin finetune -- --data {data} --backbone {file} --front-end {}",
        quoted(Path::new(front_end))
    );
    if let Some(output) = &arguments.output {
        command += &format!(" --output {}", quoted(Path::new(output)));
    }
    command
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_are_quoted_for_a_shell() {
        assert_eq!(quoted(Path::new("models/a.onnx")), "models/a.onnx");
        assert_eq!(quoted(Path::new("my model's.onnx")), r"'my model'\''s.onnx'");
        assert_eq!(quoted(Path::new("$(x)")), "'$(x)'");
    }
}

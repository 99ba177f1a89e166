//! The pages: every link leads somewhere, and every option that a command in them has is one that the
//! program knows.
#![cfg(feature = "train")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAMS: [(&str, &str); 9] = [
    ("baseline", env!("CARGO_BIN_EXE_baseline")),
    ("bench-runtimes", env!("CARGO_BIN_EXE_bench-runtimes")),
    ("classify", env!("CARGO_BIN_EXE_classify")),
    ("export-onnx", env!("CARGO_BIN_EXE_export-onnx")),
    ("extract-features", env!("CARGO_BIN_EXE_extract-features")),
    ("finetune", env!("CARGO_BIN_EXE_finetune")),
    ("inspect-onnx", env!("CARGO_BIN_EXE_inspect-onnx")),
    ("report", env!("CARGO_BIN_EXE_report")),
    ("train-cnn", env!("CARGO_BIN_EXE_train-cnn")),
];

/// All pages of the repository but for those of what was measured long ago.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["", "docs", "data", "models", "examples", "fuzz", "tests/fixtures"];
    let files = folders.iter().flat_map(|folder| fs::read_dir(root.join(folder)).unwrap());
    let files = files.map(|entry| entry.unwrap().path());
    let pages = files.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let pages: Vec<_> =
        pages.map(|page| (page.clone(), fs::read_to_string(page).unwrap())).collect();
    assert!(pages.len() > 20, "{} pages", pages.len());
    pages
}

/// What headings of a page are called in links, as GitHub makes it of them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut in_code = false;
    let headings = text.lines().filter(|line| {
        in_code ^= line.trim_start().starts_with("```");
        !in_code && line.starts_with('#')
    });
    let anchor = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// The targets of `[text](target)` outside of code.
fn links(text: &str) -> Vec<String> {
    let mut in_code = false;
    let prose = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    });
    let prose: Vec<&str> = prose.collect();
    let prose = prose.join("\n");
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    for (page, text) in pages() {
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") || link.contains(' ') {
                continue;
            }
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target =
                if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            if !anchor.is_empty() {
                let found = anchors(&fs::read_to_string(&target).unwrap());
                assert!(found.contains(anchor), "{}: no heading {link}: {found:?}", page.display());
            }
        }
    }
    assert!(count > 60, "{count} links");
}

/// The options that programs know, by program.
fn options() -> BTreeMap<&'static str, BTreeSet<String>> {
    let known = |(name, program): (&'static str, &str)| {
        let help = Command::new(program).arg("--help").output().unwrap();
        // An option's own line begins with it, or with its one letter.
        let help = String::from_utf8(help.stdout).unwrap();
        let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        let own =
            lines.filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
        (name, own.flat_map(flags).collect())
    };
    PROGRAMS.into_iter().map(known).collect()
}

/// What looks like `--option`.
fn flags(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let words = text.split(|c: char| !is_name(c));
    words.filter(|word| word.starts_with("--") && word.len() > 3).map(str::to_owned).collect()
}

/// Commands in a text: lines of code blocks, and `code` within a line.
fn commands(text: &str) -> Vec<String> {
    let mut commands = vec![];
    // A command goes on behind a backslash.
    let text = text.replace("\\\n", " ");
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if in_code {
            let line = line.trim().trim_start_matches("$ ");
            let alternatives = line.split(" && ").flat_map(|part| part.split(" | "));
            // What stands behind # is a remark.
            commands.extend(alternatives.map(|part| part.split(" # ").next().unwrap().to_owned()));
        } else {
            commands.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    commands
}

#[test]
fn every_option_of_a_command_is_one_that_the_program_knows() {
    let options = options();
    let (mut checked, mut scripts) = (0, 0);
    for (page, text) in pages() {
        for command in commands(&text) {
            let words: Vec<&str> = command.split_whitespace().collect();
            for script in words.iter().filter(|word| word.starts_with("scripts/")) {
                let script = script.trim_end_matches([',', ':', ')', ';']);
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
                assert!(path.is_file(), "{}: there is no {script}", page.display());
                scripts += 1;
            }
            if words.starts_with(&["cargo", "build"]) {
                continue;
            }
            // `NAME=value cargo run --release --bin PROGRAM -- …`, or the program's name alone.
            let after = words.iter().position(|word| *word == "--bin").map(|at| at + 1);
            let first = words.iter().position(|word| !word.contains('='));
            let Some(at) = after.or(first) else { continue };
            let Some(known) = words.get(at).and_then(|word| options.get(word)) else { continue };
            let given = flags(&words[at + 1..].join(" "));
            let unknown: Vec<&String> = given.difference(known).collect();
            assert!(
                unknown.is_empty(),
                "{}: {} does not know {unknown:?}: {command}",
                page.display(),
                words[at]
            );
            checked += 1;
        }
    }
    assert!(checked > 100 && scripts > 20, "{checked} commands, {scripts} scripts");
}

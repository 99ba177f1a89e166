//! The floors of the house: a module of `src` imports only what stands to its left, no file
//! imports through the face of its own folder, and no two files need each other.
//! `docs/architecture.md` draws them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const FLOORS: [&str; 25] = [
    "error",
    "text",
    "panics",
    "interrupt",
    "progress",
    "files",
    "metrics",
    "charts",
    "audio",
    "features",
    "dataset",
    "onnx",
    "kernels",
    "runtime",
    "run",
    "classify",
    "verify",
    "model",
    "train",
    "export",
    "baseline",
    "inspect",
    "bench",
    "report",
    "cli",
];

/// A module's path from the crate's root on: `train`, `cnn`, `fit`.
type Module = Vec<String>;

/// The modules of `src` but for programs, with their code: no comments, no tests.
fn modules() -> BTreeMap<Module, String> {
    let mut modules = BTreeMap::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &vec![], &mut modules);
    modules.retain(|module, _| module[0] != "lib" && module[0] != "bin");
    modules
}

fn collect(folder: &Path, module: &Module, modules: &mut BTreeMap<Module, String>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let child = [&module[..], std::slice::from_ref(&name)].concat();
        if path.is_dir() {
            collect(&path, &child, modules);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.replace("#[cfg(test)]\npub(super) mod ", "#[cfg(test)]\nmod ");
            // How far something is seen is no import.
            let text = text.replace("pub(in super::super)", "pub");
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap().lines();
            let code: Vec<&str> = code.map(|line| line.split("//").next().unwrap()).collect();
            let module = if name == "mod" { module.clone() } else { child };
            modules.insert(module, code.join("\n"));
        }
    }
}

/// What `module` names of this crate, wherever in its code: `crate::files::write`, and both of
/// `super::{fit, batches::Sample}`.
fn named(module: &Module, code: &str) -> Vec<Module> {
    let mut found = vec![];
    for (at, start) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        // Not inside a longer path, such as the second of `super::super::`.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:$".contains(c))
            || code[..at].ends_with("pub(in ")
        {
            continue;
        }
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let path = code[at..].split(|c| !is_name(c)).next().unwrap();
        let ups = path.split("::").take_while(|name| *name == "super").count();
        let kept = if start == "crate::" { 0 } else { module.len().saturating_sub(ups) };
        let names = path.split("::").skip(ups.max(1)).filter(|name| !name.is_empty());
        let base: Module = module[..kept].iter().cloned().chain(names.map(str::to_owned)).collect();
        match code[at + path.len()..].strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap();
                let heads = list.split(',').map(|item| item.trim().split("::").next().unwrap());
                found.extend(heads.map(|head| [&base[..], &[head.to_owned()]].concat()));
            }
            None => found.push(base),
        }
    }
    found
}

/// The longest beginning of `path` that is a module.
fn module_of(path: &Module, modules: &BTreeMap<Module, String>) -> Option<Module> {
    (1..=path.len()).rev().map(|n| path[..n].to_vec()).find(|start| modules.contains_key(start))
}

/// Whether `path` leads from `from` back to `to`.
fn leads(
    from: &Module,
    to: &Module,
    needs: &BTreeMap<Module, BTreeSet<Module>>,
    seen: &mut BTreeSet<Module>,
) -> bool {
    seen.insert(from.clone())
        && needs[from].iter().any(|next| next == to || leads(next, to, needs, seen))
}

#[test]
fn data_flows_one_way() {
    let modules = modules();
    let floor = |module: &Module| FLOORS.iter().position(|name| *name == module[0]);
    let mut faults = vec![];
    let mut needs: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for (module, code) in &modules {
        let own = floor(module).unwrap_or_else(|| panic!("no floor for {module:?}"));
        let needed = needs.entry(module.clone()).or_default();
        for path in named(module, code) {
            let (name, import) = (module.join("/"), path.join("::"));
            let Some(other) = module_of(&path, &modules) else {
                // What stands at the root for users, the macro of programs among it.
                if path.len() == 1 && module[0] != "cli" {
                    faults.push(format!("{name} imports {import} through the crate's root"));
                }
                continue;
            };
            let above = floor(&other).is_none_or(|other| other > own);
            if above {
                faults.push(format!("{name} imports {import}, which stands above it"));
            }
            // A face re-exports its children, so it needs them all.
            if module.len() > other.len() && module.starts_with(&other) {
                faults.push(format!("{name} imports {import} through its own folder's face"));
            } else if other != *module {
                needed.insert(other);
            }
        }
    }
    for (module, needed) in &needs {
        for other in needed.iter().filter(|other| !other.starts_with(module)) {
            if leads(other, module, &needs, &mut BTreeSet::new()) {
                faults.push(format!(
                    "{} and {} need each other",
                    module.join("/"),
                    other.join("/")
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn faces_hold_nothing_but_doors() {
    let items = ["fn ", "struct ", "enum ", "trait ", "impl ", "impl<", "const ", "static "];
    let begins = |line: &&str| {
        let bare = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        items.iter().any(|item| bare.starts_with(item))
    };
    let mut faults = vec![];
    for (module, code) in modules() {
        let folder: PathBuf = ["src".to_owned()].iter().chain(&module).collect();
        let is_face = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).is_dir();
        if let Some(line) = code.lines().find(begins).filter(|_| is_face) {
            faults.push(format!("{}: {line}", module.join("/")));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_library_names_no_flag() {
    let mut faults = vec![];
    for (module, code) in modules().into_iter().filter(|(module, _)| module[0] != "cli") {
        for (at, _) in code.match_indices("--") {
            // An argument to a child of our own is no advice to anybody.
            let named = code[at + 2..].starts_with(|c: char| c.is_ascii_lowercase())
                && !code[..at].ends_with(".arg(\"");
            if named && code[..at].ends_with([' ', '"', '(', '{']) {
                let line = code[at..].lines().next().unwrap();
                faults.push(format!("{}: {line}", module.join("/")));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

//! Patterns of file names.

use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern, PatternError};

use crate::files::is_hidden;

/// A part of a pattern between two separators.
enum Part {
    /// A name, or a pattern of one.
    Name(Pattern),
    /// `**`: folders at any depth, and this one.
    Depth,
    /// `..` and the like.
    Plain(PathBuf),
}

/// As in a shell, what begins with a dot is not meant by `*`.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The paths that `pattern` stands for, by name; its longest leading part that exists is no
/// pattern, so that brackets in the name of a folder are themselves. Names need not be Unicode.
///
/// # Errors
/// What is wrong with the pattern.
pub(super) fn expand(pattern: &Path) -> Result<Vec<PathBuf>, PatternError> {
    let mut base = PathBuf::new();
    let mut rest = pattern.components().peekable();
    while let Some(component) = rest.peek() {
        let longer = base.join(component);
        if longer.symlink_metadata().is_err() {
            break;
        }
        base = longer;
        rest.next();
    }
    let parts = rest.map(part).collect::<Result<Vec<_>, _>>()?;
    let mut found = vec![];
    add(&base, &parts, &mut found);
    Ok(found)
}

fn part(component: Component) -> Result<Part, PatternError> {
    let text = component.as_os_str();
    Ok(match component {
        Component::Normal(_) if text == "**" => Part::Depth,
        Component::Normal(_) => Part::Name(Pattern::new(&text.to_string_lossy())?),
        _ => Part::Plain(PathBuf::from(text)),
    })
}

fn add(base: &Path, parts: &[Part], found: &mut Vec<PathBuf>) {
    match parts {
        [] => found.push(base.to_owned()),
        [Part::Plain(name), rest @ ..] => add(&base.join(name), rest, found),
        [Part::Name(pattern), rest @ ..] => {
            let fits = |name: &OsStr| pattern.matches_with(&name.to_string_lossy(), OPTIONS);
            for path in entries(base) {
                if path.file_name().is_some_and(fits) && (rest.is_empty() || path.is_dir()) {
                    add(&path, rest, found);
                }
            }
        }
        [Part::Depth, rest @ ..] => {
            add(base, rest, found);
            let below = entries(base).into_iter().filter(|path| is_below(path));
            below.for_each(|folder| add(&folder, parts, found));
        }
    }
}

/// Whether `**` goes into it: not in circles, and not where nothing is shown.
fn is_below(path: &Path) -> bool {
    path.is_dir() && !path.is_symlink() && !is_hidden(path)
}

/// What is in a folder, by name; nothing where it cannot be listed.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let here = folder.as_os_str().is_empty();
    let listed = fs::read_dir(if here { Path::new(".") } else { folder });
    let names = listed.into_iter().flatten().flatten().map(|entry| folder.join(entry.file_name()));
    let mut paths: Vec<PathBuf> = names.collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn found(root: &Path, pattern: &str) -> Vec<String> {
        let paths = expand(&root.join(pattern)).unwrap();
        let name = |path: PathBuf| path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        paths.into_iter().map(name).collect()
    }

    #[test]
    fn brackets_of_a_folder_that_exists_are_itself() {
        let music = folder(&["Best Of [2003]/b.mp3", "Best Of [2003]/a.mp3", "Best Of 2/c.mp3"]);
        let both = ["Best Of [2003]/a.mp3", "Best Of [2003]/b.mp3"];
        assert_eq!(found(music.path(), "Best Of [2003]/*.mp3"), both);
        assert_eq!(found(music.path(), "Best Of [23]/*.mp3"), ["Best Of 2/c.mp3"]);
        assert_eq!(found(music.path(), "*/[ab].mp3"), both);
    }

    #[test]
    fn depth_and_dots_are_as_in_a_shell() {
        let music = folder(&["a.wav", "x/b.wav", "x/y/c.wav", ".d.wav", "x/.e/f.wav"]);
        assert_eq!(found(music.path(), "**/*.wav"), ["a.wav", "x/b.wav", "x/y/c.wav"]);
        assert_eq!(found(music.path(), "x/*/*.wav"), ["x/y/c.wav"]);
        assert_eq!(found(music.path(), ".*.wav"), [".d.wav"]);
        assert_eq!(found(music.path(), "*.ogg"), Vec::<String>::new());
        assert!(expand(&music.path().join("[")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn names_need_not_be_unicode() {
        use std::os::unix::ffi::OsStrExt;
        let music = folder(&[]);
        for name in [&b"\xe4.wav"[..], b"\xf6.wav"] {
            fs::write(music.path().join(OsStr::from_bytes(name)), "").unwrap();
        }
        assert_eq!(expand(&music.path().join("*.wav")).unwrap().len(), 2);
    }
}

//! A table of results that is kept up.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::super::answer::Classification;
use super::cell::Field;
use super::columns::{Answered, Known, Teller, known, recognized};
use super::format::Format;
use super::journal::Journal;
use super::json_lines;
use crate::error::{Error, Result};
use crate::files;

/// What a catalogue knows of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Its answer.
    Nothing,
    /// That it could not be classified.
    Failed,
    /// The answer of a file that has changed since, or that was odd where nothing may be.
    Changed,
    /// An answer that was called unknown, or not, by another least confidence.
    OtherConfidence,
    /// Another model's answer.
    OtherModel,
    /// Nothing.
    New,
}

/// A table of results: `FILE` as the last whole run left it, and `FILE.part` with the rows of the
/// run that goes on.
pub struct Catalogue {
    output: PathBuf,
    format: Format,
    teller: Teller,
    fields: Vec<Field>,
    journal: Journal,
    strict: bool,
    /// Whether the journal says something that the table does not.
    fresh: bool,
    /// What the catalogue calls files that it may also know under other names, by their real paths.
    aliases: Option<HashMap<PathBuf, String>>,
    /// The states of the files before they are read, by their names.
    states: HashMap<String, State>,
}

/// Size and time of change of a file, in nanoseconds since 1970; none if it is not there.
type State = Option<(u64, u64)>;

impl Catalogue {
    /// Opens the catalogue at `output`, or begins one, for the answers of `teller` about `recordings`.
    /// Where `strict`, an answer about a recording that was odd does not count as one.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an unknown ending; [`Error::Occupied`] if `output` is not a
    /// catalogue, a folder, or in use by another process, or if it has rows of a model with other
    /// labels that this run would not replace; [`Error::Mismatch`] if what an earlier run left
    /// unfinished is another model's; [`Error::Format`] if that is damaged; [`Error::Io`].
    pub fn open(
        output: &Path,
        teller: Teller,
        recordings: &[PathBuf],
        strict: bool,
    ) -> Result<Self> {
        if output.is_dir() {
            return Err(Error::occupied(output, "a folder; name a file"));
        }
        let format = Format::of(output)?;
        // Of a symbolic link it is the file that is kept up.
        let output = if output.is_symlink() {
            output.canonicalize().map_err(Error::io(output))?
        } else {
            output.to_owned()
        };
        let fields = teller.fields();
        format.check(&output, &fields)?;
        let there = columns_of(&output, format)?;
        let journal = Journal::open(&output, &teller.sha256, &fields)?;
        let (fresh, aliases, states) = (false, None, HashMap::new());
        let mut catalogue =
            Self { output, format, teller, fields, journal, strict, fresh, aliases, states };
        let begun = catalogue.journal.len() > 0;
        match catalogue.load(there.as_deref(), recordings) {
            Err(error) if !begun => catalogue.journal.remove().and(Err(error)),
            loaded => loaded.map(|()| catalogue),
        }
    }

    /// What there is to do about the recording at `path`.
    pub fn need(&mut self, path: &Path) -> Need {
        let (name, now) = (self.name(path), state(path));
        // A file that changes while it is read is then found to have changed.
        self.states.insert(name.clone(), now);
        let Some(known) = self.journal.get(&name) else { return Need::New };
        match known {
            known if known.model != self.teller.sha256 => Need::OtherModel,
            Known { failed: true, .. } => Need::Failed,
            known if known.min_confidence != self.teller.min_confidence => Need::OtherConfidence,
            known if self.strict && known.odd => Need::Changed,
            known if now.is_some() && known.state == signed(now) => Need::Nothing,
            _ => Need::Changed,
        }
    }

    /// The row of the recording at `path` as a line of JSON, if there is one.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] if it cannot be read.
    pub fn line(&mut self, path: &Path) -> Result<Option<String>> {
        let name = self.name(path);
        let line = self.journal.line(&name)?;
        Ok(line.map(|line| String::from_utf8_lossy(&line).trim_end().to_owned()))
    }

    /// Keeps what came of the recording at `path`: its answer, or why there is none.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn add(&mut self, path: &Path, result: Result<&Classification, &str>) -> Result<()> {
        let name = self.name(path);
        let state = self.states.get(&name).copied().unwrap_or_else(|| state(path));
        let row = self.teller.row(&Answered { path: &name, state, result });
        self.fresh |= self.journal.put(&row)?;
        Ok(())
    }

    /// The recordings in it that are not among `recordings` and are no longer where they were.
    pub fn gone(&mut self, recordings: &[PathBuf]) -> Vec<String> {
        let named: HashSet<String> = recordings.iter().map(|path| self.name(path)).collect();
        let names = self.journal.names().into_iter();
        let is_gone = |name: &&str| !named.contains(*name) && !Path::new(name).exists();
        names.filter(is_gone).map(str::to_owned).collect()
    }

    /// Writes the table, whole or not at all, the rows of `recordings` first, and removes the journal;
    /// whether there was something to write. If not, the table stays as it is.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written; the journal stays then.
    pub fn finish(mut self, recordings: &[PathBuf]) -> Result<bool> {
        if self.fresh {
            let mut names: Vec<String> = recordings.iter().map(|path| self.name(path)).collect();
            let first: HashSet<String> = names.iter().cloned().collect();
            let others = self.journal.names().into_iter().filter(|name| !first.contains(*name));
            names.extend(others.map(str::to_owned).collect::<Vec<_>>());
            let rows = names.iter().filter_map(|name| self.journal.row(name).transpose());
            self.format.write(&self.output, &self.teller, &self.fields, rows)?;
        }
        self.journal.remove().map(|()| self.fresh)
    }

    /// Takes over the rows of the table, whose columns are `there`, that the journal has nothing
    /// newer about.
    fn load(&mut self, there: Option<&[Field]>, recordings: &[PathBuf]) -> Result<()> {
        let Some(there) = there else {
            self.fresh = self.journal.len() > 0;
            return Ok(());
        };
        let Self { output, format, fields, journal, fresh, .. } = self;
        if there != fields {
            *fresh = journal.len() > 0;
            return self.check_all_replaced(there, recordings);
        }
        let mut rows = 0;
        let read = format.read(output, fields, |row| {
            rows += 1;
            match journal.get(&known(there, &row).path) {
                None => journal.put(&row).map(|_| ()),
                Some(known) => {
                    *fresh |= journal.row(&known.path)?.as_ref() != Some(&row);
                    Ok(())
                }
            }
        });
        read.map_err(|error| not_ours(output, &error))?;
        // The journal of a killed run may know more recordings.
        *fresh |= journal.len() != rows;
        Ok(())
    }

    /// Refuses rows of other labels, which have no place in the new table, unless their recordings are
    /// classified anew.
    fn check_all_replaced(&self, there: &[Field], recordings: &[PathBuf]) -> Result<()> {
        let named: HashSet<String> =
            recordings.iter().map(|path| files::shown(path).into_owned()).collect();
        let real: HashSet<PathBuf> =
            recordings.iter().filter_map(|path| path.canonicalize().ok()).collect();
        let mut others = vec![];
        let read = self.format.read(&self.output, there, |row| {
            let name = known(there, &row).path;
            let is_named = named.contains(&name)
                || Path::new(&name).canonicalize().is_ok_and(|path| real.contains(&path));
            if !is_named {
                others.push(name);
            }
            Ok(())
        });
        read.map_err(|error| not_ours(&self.output, &error))?;
        let Some(first) = others.first() else { return Ok(()) };
        let reason = format!(
            "by a model with other labels, and {} of its recordings are not classified now, such as \
             {first}; name another file",
            others.len()
        );
        Err(Error::occupied(&self.output, reason))
    }

    /// What the catalogue calls the recording at `path`: the name under which it knows it already, or
    /// one that no other file has.
    fn name(&mut self, path: &Path) -> String {
        let name = files::shown(path).into_owned();
        if self.journal.get(&name).is_some() {
            return name;
        }
        let names = || self.journal.names().into_iter();
        let real = |name: &str| Some((Path::new(name).canonicalize().ok()?, name.to_owned()));
        let aliases = self.aliases.get_or_insert_with(|| names().filter_map(real).collect());
        let known = path.canonicalize().ok().and_then(|path| aliases.get(&path).cloned());
        known.unwrap_or(name)
    }
}

/// The columns of the catalogue at `output`; none if nothing is there.
fn columns_of(output: &Path, format: Format) -> Result<Option<Vec<Field>>> {
    match fs::metadata(output) {
        Ok(there) if there.len() > 0 => {
            let names = format.names(output).map_err(|error| not_ours(output, &error))?;
            let fields = recognized(&names).ok_or_else(|| {
                let error = Error::format(output, "its columns are others");
                not_ours(output, &error)
            })?;
            Ok(Some(fields))
        }
        _ => Ok(None),
    }
}

/// The error about an output that is not to be replaced.
fn not_ours(output: &Path, error: &Error) -> Error {
    if matches!(error, Error::Io { .. } | Error::Unsupported { .. }) {
        let reason = error.reason_at(output);
        return Error::unsupported(output, reason);
    }
    let reason = format!(
        "it is there and no catalogue of this version of classify ({}); name another file",
        error.reason_at(output)
    );
    Error::occupied(output, reason)
}

fn state(path: &Path) -> State {
    let metadata = fs::metadata(path).ok()?;
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((metadata.len(), modified.as_nanos() as u64))
}

fn signed(state: State) -> Option<(i64, i64)> {
    state.and_then(|(bytes, modified)| Some((bytes.try_into().ok()?, modified.try_into().ok()?)))
}

/// A row of a catalogue that is not kept, as a line of JSON.
///
/// # Errors
/// [`Error::Format`] if it cannot be written as JSON.
pub fn row(
    teller: &Teller,
    path: &Path,
    name: &str,
    result: Result<&Classification, &str>,
) -> Result<String> {
    let row = teller.row(&Answered { path: name, state: state(path), result });
    json_lines::line(&teller.fields(), &row).map(|line| line.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::super::answer::Timeline;
    use super::*;

    const NAMES: &[&str] = if cfg!(feature = "sqlite") {
        &["t.parquet", "t.csv", "t.jsonl", "t.sqlite"]
    } else {
        &["t.parquet", "t.csv", "t.jsonl"]
    };

    fn answer(p: f32) -> Classification {
        Classification {
            seconds: 30.1,
            padded: false,
            silent: false,
            notes: vec![],
            probabilities: vec![p, 1.0 - p],
            timeline: Timeline::of(1.0, 1.0, 1, &[]),
            picture: None,
            ..Classification::default()
        }
    }

    fn teller(sha256: &str, labels: [&str; 2]) -> Teller {
        let labels = labels.map(str::to_owned).to_vec();
        Teller { sha256: sha256.to_owned(), labels, thresholds: None, min_confidence: None }
    }

    /// A folder with two recordings, whose contents nobody reads here.
    fn setting() -> (tempfile::TempDir, [PathBuf; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let songs = ["a.wav", "b.wav"].map(|name| folder.path().join(name));
        songs.iter().for_each(|song| fs::write(song, "x").unwrap());
        (folder, songs)
    }

    fn open(output: &Path, songs: &[PathBuf]) -> Result<Catalogue> {
        Catalogue::open(output, teller("sha", ["jazz", "rock"]), songs, false)
    }

    #[test]
    fn a_killed_run_loses_no_whole_line() {
        let (folder, songs) = setting();
        for name in NAMES {
            let output = folder.path().join(name);
            let part = folder.path().join(format!("{name}.part"));
            let mut catalogue = open(&output, &songs).unwrap();
            catalogue.add(&songs[0], Ok(&answer(0.1))).unwrap();
            drop(catalogue);
            let whole = fs::read(&part).unwrap();
            fs::write(&part, [&whole[..], b"{\"path\":\"half"].concat()).unwrap();

            let mut catalogue = open(&output, &songs).unwrap();
            let needs: Vec<Need> = songs.iter().map(|song| catalogue.need(song)).collect();
            assert_eq!(needs, [Need::Nothing, Need::New]);
            catalogue.add(&songs[1], Err("broken")).unwrap();
            assert!(catalogue.finish(&songs).unwrap());
            assert!(!part.exists());
            let bytes = fs::read(&output).unwrap();

            // As it was, though it is said again what failed.
            let mut catalogue = open(&output, &songs).unwrap();
            let needs: Vec<Need> = songs.iter().map(|song| catalogue.need(song)).collect();
            assert_eq!(needs, [Need::Nothing, Need::Failed]);
            catalogue.add(&songs[1], Err("broken")).unwrap();
            assert!(!catalogue.finish(&songs).unwrap(), "{name}");
            assert!(fs::read(&output).unwrap() == bytes);
            assert!(!part.exists());
        }
    }

    #[test]
    fn changed_files_and_other_models_are_classified_again() {
        let (folder, songs) = setting();
        for name in NAMES {
            let output = folder.path().join(name);
            fs::write(&songs[0], "x").unwrap();
            let mut catalogue = open(&output, &songs).unwrap();
            for song in &songs {
                catalogue.add(song, Ok(&answer(0.1))).unwrap();
            }
            catalogue.finish(&songs).unwrap();
            fs::write(&songs[0], "longer").unwrap();
            let mut catalogue = open(&output, &songs).unwrap();
            let needs: Vec<Need> = songs.iter().map(|song| catalogue.need(song)).collect();
            assert_eq!(needs, [Need::Changed, Need::Nothing]);
            drop(catalogue);
            fs::remove_file(folder.path().join(format!("{name}.part"))).unwrap();

            let other = teller("other", ["jazz", "rock"]);
            let mut catalogue = Catalogue::open(&output, other, &songs[..1], false).unwrap();
            assert_eq!(catalogue.need(&songs[0]), Need::OtherModel);
            catalogue.add(&songs[0], Ok(&answer(0.3))).unwrap();
            // The other row stays, with its own model.
            catalogue.finish(&songs[..1]).unwrap();
            assert_eq!(open(&output, &songs).unwrap().need(&songs[1]), Need::Nothing);

            // Other labels have other columns: nothing of the old rows may be left over.
            fs::remove_file(folder.path().join(format!("{name}.part"))).unwrap();
            let before = fs::read(&output).unwrap();
            let pop = || teller("pop", ["jazz", "pop"]);
            let refused = Catalogue::open(&output, pop(), &songs[..1], false).err().unwrap();
            let text = refused.to_string();
            assert!(text.contains("one") || text.contains("1 of its recordings"), "{text}");
            assert!(fs::read(&output).unwrap() == before);
            let mut catalogue = Catalogue::open(&output, pop(), &songs, false).unwrap();
            for song in &songs {
                assert_eq!(catalogue.need(song), Need::New);
                catalogue.add(song, Ok(&answer(0.4))).unwrap();
            }
            catalogue.finish(&songs).unwrap();
            assert!(Catalogue::open(&output, pop(), &songs, false).is_ok());
        }
    }

    #[test]
    fn an_answer_by_another_least_confidence_is_none() {
        let (folder, songs) = setting();
        for name in NAMES {
            let output = folder.path().join(name);
            for (least, before, written) in [
                (Some(0.1), Need::New, true),
                (Some(0.1), Need::Nothing, false),
                (None, Need::OtherConfidence, true),
                (None, Need::Nothing, false),
                (Some(0.3), Need::OtherConfidence, true),
            ] {
                let teller = Teller { min_confidence: least, ..teller("sha", ["jazz", "rock"]) };
                let mut catalogue = Catalogue::open(&output, teller, &songs, false).unwrap();
                assert_eq!(catalogue.need(&songs[0]), before, "{name}");
                if written {
                    catalogue.add(&songs[0], Ok(&answer(0.4))).unwrap();
                }
                assert_eq!(catalogue.finish(&songs).unwrap(), written, "{name}");
            }
        }
    }

    /// The other names of a file that is known are not new ones.
    #[cfg(unix)]
    #[test]
    fn a_file_with_several_names_has_one_row() {
        let (folder, songs) = setting();
        let output = folder.path().join("t.csv");
        let mut catalogue = open(&output, &songs).unwrap();
        catalogue.add(&songs[0], Ok(&answer(0.1))).unwrap();
        catalogue.finish(&songs).unwrap();
        let link = folder.path().join("link.wav");
        std::os::unix::fs::symlink(&songs[0], &link).unwrap();
        let detour = folder.path().join(".").join("..").join(folder.path()).join("./a.wav");
        for other in [link, detour] {
            let mut catalogue = open(&output, &[]).unwrap();
            assert_eq!(catalogue.need(&other), Need::Nothing);
        }
    }

    #[test]
    fn two_at_once_and_unfinished_rows_of_others_are_refused() {
        let (folder, songs) = setting();
        let output = folder.path().join("t.csv");
        let part = folder.path().join("t.csv.part");
        let failed = |sha: &str| {
            let teller = teller(sha, ["jazz", "rock"]);
            Catalogue::open(&output, teller, &songs, false).err().unwrap().to_string()
        };
        let mut catalogue = open(&output, &songs).unwrap();
        assert!(failed("sha").contains("another classify is writing it"));
        catalogue.add(&songs[0], Ok(&answer(0.1))).unwrap();
        drop(catalogue);
        assert!(failed("two").contains("results of another model (SHA-256 sha)"));
        for (text, part_of) in [("notes\n", "remove it"), ("a download", "not written by classify")]
        {
            fs::write(&part, text).unwrap();
            assert!(failed("sha").contains("line 1") && failed("sha").contains(part_of));
            assert_eq!(fs::read_to_string(&part).unwrap(), text);
        }
        // Its own first line, cut short.
        fs::write(&part, "{\"model_sha256\":\"sh").unwrap();
        open(&output, &songs).unwrap();
        let text = open(folder.path(), &songs).err().unwrap().to_string();
        assert!(text.contains("a folder"), "{text}");
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn what_else_is_in_a_database_stays() {
        let (folder, songs) = setting();
        let output = folder.path().join("t.sqlite");
        let mut catalogue = open(&output, &songs).unwrap();
        catalogue.add(&songs[0], Ok(&answer(0.1))).unwrap();
        catalogue.finish(&songs).unwrap();
        let base = rusqlite::Connection::open(&output).unwrap();
        base.execute_batch("CREATE TABLE mine (x); INSERT INTO mine VALUES (7); CREATE INDEX i ON recordings (genre)").unwrap();
        base.close().unwrap();
        let mut catalogue = open(&output, &songs).unwrap();
        catalogue.add(&songs[1], Ok(&answer(0.9))).unwrap();
        assert!(catalogue.finish(&songs).unwrap());
        let base = rusqlite::Connection::open(&output).unwrap();
        let one = |sql: &str| base.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(one("SELECT x FROM mine"), 7);
        assert_eq!(one("SELECT count(*) FROM recordings WHERE genre = 'jazz'"), 1);
        assert_eq!(one("SELECT count(*) FROM sqlite_master WHERE name = 'i'"), 1);
        base.close().unwrap();
        let pop = teller("pop", ["jazz", "pop"]);
        let mut catalogue = Catalogue::open(&output, pop, &songs, false).unwrap();
        catalogue.add(&songs[0], Ok(&answer(0.1))).unwrap();
        let text = catalogue.finish(&songs).unwrap_err().to_string();
        assert!(text.contains("indices"), "{text}");
        // Columns that differ in case only are one in SQLite.
        let twins = teller("twins", ["Rock", "rock"]);
        let text = Catalogue::open(&folder.path().join("u.sqlite"), twins, &songs, false);
        assert!(text.err().unwrap().to_string().contains("a column for each label"));
    }
}

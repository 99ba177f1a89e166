//! Rows as the table `recordings` of an SQLite database. What else is in the database stays.

use std::fs;
use std::io::Read;
use std::path::Path;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OpenFlags, params_from_iter};

use super::cell::{Cell, Field, Kind};
use crate::error::{Error, Result};

/// Refuses columns that SQLite cannot have, before anything is computed.
pub(super) fn check(path: &Path, fields: &[Field]) -> Result<()> {
    let made = Connection::open_in_memory().and_then(|base| base.execute(&create(fields), []));
    made.map(|_| ()).map_err(|error| {
        let reason = format!("SQLite cannot have a column for each label ({error})");
        Error::unsupported(path, reason + "; name a .parquet, .csv or .jsonl file")
    })
}

/// The columns of the table in the database at `path`.
pub(super) fn names(path: &Path) -> Result<Vec<String>> {
    let failed = |e| failed(path, e);
    check_length(path)?;
    let base = open(path)?;
    let found: String =
        base.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if found != "ok" {
        return Err(Error::format(path, format!("the database is damaged: {found}")));
    }
    let select = base.prepare("SELECT * FROM recordings").map_err(failed)?;
    Ok(select.column_names().map(str::to_owned).collect())
}

/// Gives every row of the table to `each`, in the order they were written.
pub(super) fn read(
    path: &Path,
    fields: &[Field],
    mut each: impl FnMut(Vec<Cell>) -> Result<()>,
) -> Result<()> {
    let failed = |e| failed(path, e);
    let base = open(path)?;
    let mut select = base.prepare("SELECT * FROM recordings ORDER BY rowid").map_err(failed)?;
    let mut rows = select.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let cell = |(place, field): (usize, &Field)| {
            let value = row.get_ref(place).map_err(failed)?;
            let wrong = || format!("\"{}\" is {:?} somewhere", field.name, value.data_type());
            cell(field.kind, value).ok_or_else(|| Error::format(path, wrong()))
        };
        each(fields.iter().enumerate().map(cell).collect::<Result<_>>()?)?;
    }
    Ok(())
}

/// Makes a database at `part`, with all that is in the one at `path`, if there is one, but for
/// the rows, which are these.
pub(super) fn write(
    part: &Path,
    path: &Path,
    fields: &[Field],
    rows: impl Iterator<Item = Result<Vec<Cell>>>,
) -> Result<()> {
    let failed = |e| failed(path, e);
    if fs::metadata(path).is_ok_and(|there| there.len() > 0) {
        check_idle(path)?;
        fs::copy(path, part).map_err(Error::io(path))?;
    }
    let mut base = Connection::open(part).map_err(failed)?;
    // A kill leaves `path` as it is: nothing has to be undone in the copy.
    base.pragma_update(None, "journal_mode", "OFF").map_err(failed)?;
    base.pragma_update(None, "synchronous", "OFF").map_err(failed)?;
    let write = base.transaction().map_err(failed)?;
    empty(&write, path, fields)?;
    let places = vec!["?"; fields.len()].join(",");
    let insert = format!("INSERT INTO recordings VALUES ({places})");
    let mut insert = write.prepare(&insert).map_err(failed)?;
    for row in rows {
        insert.execute(params_from_iter(row?.into_iter().map(value))).map_err(failed)?;
    }
    drop(insert);
    write.commit().map_err(failed)?;
    base.close().map_err(|(_, e)| failed(e))
}

/// Makes the table, without rows.
fn empty(base: &Connection, path: &Path, fields: &[Field]) -> Result<()> {
    let failed = |e| failed(path, e);
    let same = base.prepare("SELECT * FROM recordings").is_ok_and(|select| {
        fields.iter().map(|field| field.name.as_str()).eq(select.column_names())
    });
    if same {
        return base.execute("DELETE FROM recordings", []).map(|_| ()).map_err(failed);
    }
    let others = "SELECT count(*) FROM sqlite_master \
        WHERE tbl_name = 'recordings' AND type <> 'table' AND sql IS NOT NULL";
    let others: i64 = base.query_row(others, [], |row| row.get(0)).map_err(failed)?;
    if others > 0 {
        let reason = "the model has other labels than the table recordings has columns, and \
            making it anew would drop its indices and triggers; name another file";
        return Err(Error::occupied(path, reason));
    }
    base.execute("DROP TABLE IF EXISTS recordings", []).map_err(failed)?;
    base.execute(&create(fields), []).map(|_| ()).map_err(failed)
}

fn create(fields: &[Field]) -> String {
    let column = |field: &Field| {
        let kind = match field.kind {
            Kind::Text => "TEXT",
            Kind::Integer | Kind::Bool => "INTEGER",
            Kind::Double | Kind::Float => "REAL",
        };
        format!("\"{}\" {kind}", field.name.replace('"', "\"\""))
    };
    let columns: Vec<String> = fields.iter().map(column).collect();
    format!("CREATE TABLE recordings ({})", columns.join(", "))
}

fn value(cell: Cell) -> Value {
    match cell {
        Cell::None => Value::Null,
        Cell::Text(text) => Value::Text(text),
        Cell::Integer(value) => Value::Integer(value),
        Cell::Double(value) => Value::Real(value),
        Cell::Float(value) => Value::Real(value.into()),
        Cell::Bool(value) => Value::Integer(value.into()),
    }
}

fn cell(kind: Kind, value: ValueRef) -> Option<Cell> {
    match (kind, value) {
        (_, ValueRef::Null) => Some(Cell::None),
        (Kind::Text, ValueRef::Text(text)) => std::str::from_utf8(text).ok().map(Cell::text),
        (Kind::Integer, ValueRef::Integer(value)) => Some(Cell::Integer(value)),
        (Kind::Bool, ValueRef::Integer(value @ (0 | 1))) => Some(Cell::Bool(value == 1)),
        (Kind::Double, ValueRef::Real(value)) => Some(Cell::double(value)),
        (Kind::Float, ValueRef::Real(value)) => Some(Cell::float(value as f32)),
        _ => None,
    }
}

/// What another program has not brought into the file yet would be lost.
fn check_idle(path: &Path) -> Result<()> {
    for ending in ["-wal", "-journal"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(ending);
        if fs::metadata(Path::new(&beside)).is_ok_and(|there| there.len() > 0) {
            let reason = "another program is writing this database; close it there";
            return Err(Error::occupied(path, reason));
        }
    }
    Ok(())
}

/// Refuses a database that is shorter than it says: SQLite itself reads one that was cut within a
/// page as if zeros stood there.
fn check_length(path: &Path) -> Result<()> {
    let mut head = [0; 32];
    let mut file = fs::File::open(path).map_err(Error::io(path))?;
    if file.read_exact(&mut head).is_err() {
        return Ok(()); // which SQLite will not take for a database
    }
    // At 16 the size of a page, where 1 is 65,536, and at 28 how many there are.
    let page = match u16::from_be_bytes([head[16], head[17]]) {
        1 => 65536,
        size => u64::from(size),
    };
    let pages = u32::from_be_bytes([head[28], head[29], head[30], head[31]]);
    let (wanted, there) =
        (page * u64::from(pages), file.metadata().map_err(Error::io(path))?.len());
    if head.starts_with(b"SQLite format 3\0") && there < wanted {
        let reason = format!("the database was cut: {there} bytes of {wanted} are there");
        return Err(Error::format(path, reason));
    }
    Ok(())
}

/// For writing too: a writer that was killed may have left something to be undone.
fn open(path: &Path) -> Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(|e| failed(path, e))
}

fn failed(path: &Path, error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::{CannotOpen, DiskFull, OutOfMemory, SystemIoFailure};
    match error.sqlite_error_code() {
        Some(CannotOpen | DiskFull | OutOfMemory | SystemIoFailure) => {
            Error::io(path)(std::io::Error::other(error))
        }
        _ => Error::format(path, error),
    }
}

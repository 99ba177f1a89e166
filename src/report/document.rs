//! What a report says, before it is a page: one model for HTML, PDF and Markdown.

use serde::Serialize;

use super::text::UNKNOWN;

/// What a report says: [`write`](Self::write) makes a page, a PDF and Markdown of it.
#[derive(Clone, Debug, Serialize)]
pub struct Document {
    /// The title.
    pub(super) title: String,
    /// What stands right below it, a line each.
    pub(super) byline: Vec<String>,
    /// The rest, from top to bottom.
    pub(super) blocks: Vec<Block>,
}

/// A piece of a report.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Block {
    /// A heading.
    Heading {
        /// 2 for a section, 3 for a part of one.
        level: u8,
        /// What it says.
        text: String,
    },
    /// A paragraph.
    Paragraph {
        /// What it says.
        text: String,
    },
    /// A list of paragraphs.
    List {
        /// The paragraphs.
        items: Vec<String>,
    },
    /// A table.
    Table(Table),
    /// Figures beside each other, as many as there is room for.
    Figures {
        /// The figures.
        figures: Vec<Figure>,
        /// How many fit side by side on a sheet of paper.
        columns: usize,
    },
}

/// A table; the first cell of a row names it.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Table {
    /// What it shows.
    pub(super) caption: String,
    /// The columns.
    pub(super) columns: Vec<Column>,
    /// Rows of as many cells as there are columns.
    pub(super) rows: Vec<Vec<String>>,
    /// What must be known to read it; may be empty.
    pub(super) note: String,
}

/// A column of a [`Table`].
#[derive(Clone, Debug, Serialize)]
pub(super) struct Column {
    /// Its heading.
    pub(super) name: String,
    /// Whether its cells are numbers, which stand right.
    pub(super) numeric: bool,
}

/// A picture with its caption.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figure {
    /// Its file: a name that ends in `.svg` or `.png`; empty where there is no picture.
    pub(super) file: String,
    /// What it shows, below it.
    pub(super) caption: String,
    /// What it shows, for those who cannot see it.
    pub(super) alt: String,
    /// The file's contents.
    #[serde(skip)]
    pub(super) image: Vec<u8>,
}

impl Document {
    /// A report with nothing but a title.
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), byline: vec![], blocks: vec![] }
    }

    /// Adds a heading.
    pub(super) fn heading(&mut self, level: u8, text: impl Into<String>) {
        self.blocks.push(Block::Heading { level, text: text.into() });
    }

    /// Adds a paragraph, unless it is empty.
    pub(super) fn paragraph(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.blocks.push(Block::Paragraph { text });
        }
    }

    /// Adds a list, unless it is empty.
    pub(super) fn list(&mut self, items: Vec<String>) {
        if !items.is_empty() {
            self.blocks.push(Block::List { items });
        }
    }

    /// Adds a table, unless it has no rows.
    pub(super) fn table(&mut self, table: Table) {
        if !table.rows.is_empty() {
            self.blocks.push(Block::Table(table));
        }
    }

    /// Adds figures, `columns` side by side on paper, unless there are none.
    pub(super) fn figures(&mut self, columns: usize, figures: Vec<Figure>) {
        if !figures.is_empty() {
            self.blocks.push(Block::Figures { figures, columns });
        }
    }

    /// All figures that have a picture.
    pub(super) fn pictures(&self) -> impl Iterator<Item = &Figure> {
        let figures = self.blocks.iter().filter_map(|block| match block {
            Block::Figures { figures, .. } => Some(figures),
            _ => None,
        });
        figures.flatten().filter(|figure| !figure.file.is_empty())
    }
}

impl Table {
    /// A table with these columns, of which those that end in `>` hold numbers.
    pub(super) fn new(caption: impl Into<String>, columns: &[&str]) -> Self {
        // One sign: a genre may end in another.
        let column = |name: &&str| match name.strip_suffix('>') {
            Some(name) => Column { name: name.to_owned(), numeric: true },
            None => Column { name: (*name).to_owned(), numeric: false },
        };
        let columns = columns.iter().map(column).collect();
        Self { caption: caption.into(), columns, ..Self::default() }
    }

    /// Adds a row.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.columns.len(), "a cell for every column");
        self.rows.push(cells.into());
    }

    /// Leaves out columns, but for the first, that say nothing in any row.
    pub(super) fn without_empty_columns(mut self) -> Self {
        let says =
            |column: &usize| *column == 0 || self.rows.iter().any(|row| row[*column] != UNKNOWN);
        let kept: Vec<usize> = (0..self.columns.len()).filter(says).collect();
        let pick = |row: &Vec<String>| kept.iter().map(|column| row[*column].clone()).collect();
        self.rows = self.rows.iter().map(pick).collect();
        self.columns = kept.iter().map(|column| self.columns[*column].clone()).collect();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_ends_in_the_sign_of_numbers_keeps_it() {
        let table = Table::new("", &["Model", "Recall %>", "#1 <hits>>"]);
        let columns: Vec<(&str, bool)> =
            table.columns.iter().map(|column| (&*column.name, column.numeric)).collect();
        assert_eq!(columns, [("Model", false), ("Recall %", true), ("#1 <hits>", true)]);
    }
}

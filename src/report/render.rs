//! The document as a page, as Markdown and as a PDF, and all of them as files.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::{AutoEscape, Environment, Value};
use serde::Serialize;

use super::document::{Document, Figure};
use super::sheet;
use crate::error::{Error, Result};
use crate::files;

/// Folder of the Markdown file's charts, beside it.
const FIGURES: &str = "figures";

/// Files that [`Document::write`] has written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// The page.
    pub html: PathBuf,
    /// The PDF; none where there is no typst.
    pub pdf: Option<PathBuf>,
    /// What typst makes the PDF of.
    pub typst: PathBuf,
    /// The Markdown file.
    pub markdown: PathBuf,
}

impl Document {
    /// One page that needs no other file.
    ///
    /// # Errors
    /// [`Error::Drawing`] if the page's template is at fault.
    pub(super) fn html(&self) -> Result<String> {
        let inline = |figure: &Figure| (figure.file.clone(), inline(figure));
        let pictures = self.pictures().map(inline).collect();
        render(self, "page.html", include_str!("templates/page.html"), pictures)
    }

    /// Markdown that refers to charts in the folder `figures`; pictures of the data are left
    /// out, since they are other people's music and Markdown is made for repositories.
    ///
    /// # Errors
    /// [`Error::Drawing`] if the template is at fault.
    pub(super) fn markdown(&self) -> Result<String> {
        let refer = |figure: &Figure| {
            let path = format!("{FIGURES}/{}", figure.file);
            (figure.file.clone(), Value::from(path))
        };
        let pictures = self.charts().map(refer).collect();
        render(self, "page.md", include_str!("templates/page.md"), pictures)
    }

    fn charts(&self) -> impl Iterator<Item = &Figure> {
        self.pictures().filter(|figure| figure.file.ends_with(".svg"))
    }

    /// Writes `report.html`, `report.pdf`, `results.md` with its `figures/` and `typst/` into
    /// `folder`, each file whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file that could not be written; [`Error::Drawing`] if the
    /// document cannot be rendered, before anything is written but for the PDF, which comes last.
    pub fn write(&self, folder: &Path) -> Result<Written> {
        let (html, markdown) = (self.html()?, self.markdown()?);
        let figures = folder.join(FIGURES);
        files::create_dir(&figures)?;
        for chart in self.charts() {
            files::write(&figures.join(&chart.file), &chart.image)?;
        }
        let mut written = Written {
            html: folder.join("report.html"),
            pdf: None,
            markdown: folder.join("results.md"),
            typst: folder.join(sheet::FOLDER),
        };
        files::write(&written.html, html.as_bytes())?;
        files::write(&written.markdown, markdown.as_bytes())?;
        self.write_sheet(&written.typst)?;
        let path = folder.join("report.pdf");
        match self.pdf_if_possible()? {
            Some(pdf) => {
                files::write(&path, &pdf)?;
                written.pdf = Some(path);
            }
            // One of earlier runs must not pass for this one's.
            None if path.is_file() => fs::remove_file(&path).map_err(Error::io(&path))?,
            None => {}
        }
        Ok(written)
    }

    fn pdf_if_possible(&self) -> Result<Option<Vec<u8>>> {
        #[cfg(feature = "pdf")]
        return self.pdf().map(Some);
        #[cfg(not(feature = "pdf"))]
        self.pdf_from_outside()
    }
}

/// The template with the document; its filter `picture` gives what `pictures` has for a file.
fn render(
    document: &Document,
    name: &'static str,
    template: &'static str,
    pictures: HashMap<String, Value>,
) -> Result<String> {
    let wrong = |e: minijinja::Error| Error::drawing(name, format!("{e:#}"));
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_auto_escape_callback(|name| {
        if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
    });
    let picture = move |file: &str| pictures.get(file).cloned().unwrap_or_default();
    environment.add_filter("picture", picture);
    environment.add_filter("escaped", escaped);
    environment.add_template(name, template).map_err(wrong)?;
    environment.get_template(name).and_then(|page| page.render(document)).map_err(wrong)
}

/// Markup for a page: SVG as it is, PNG within the address of an image.
fn inline(figure: &Figure) -> Value {
    if figure.file.ends_with(".svg") {
        Value::from_safe_string(String::from_utf8_lossy(&figure.image).into_owned())
    } else {
        // Base64 has nothing to escape; the slash is no markup.
        let data = STANDARD.encode(&figure.image);
        Value::from_safe_string(format!("data:image/png;base64,{data}"))
    }
}

/// Text that Markdown takes for nothing else.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '\\' | '*' | '|' | '`' | '[' | ']' => escaped.extend(['\\', letter]),
            '\n' => escaped.push(' '),
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::document::Table;

    fn document() -> Document {
        let mut document = Document::new("A <b> & | *c*");
        document.heading(2, "Models");
        document.paragraph("p < 0.05 & more");
        document.list(vec!["one".into(), "two | three".into()]);
        let mut table = Table::new("Numbers", &["Name", "Value>"]);
        table.row(["<script>".into(), "1".into()]);
        table.note = "A note.".into();
        document.table(table);
        let figure = |file: &str, image: &str| Figure {
            file: file.into(),
            caption: "What it shows".into(),
            alt: "In \"words\"".into(),
            image: image.into(),
        };
        let svg = r#"<svg xmlns="http://www.w3.org/2000/svg" width="2" height="1"/>"#;
        document.figures(2, vec![figure("a.svg", svg), figure("b.png", "x"), figure("", "")]);
        document.figures(1, vec![figure("c.png", "y")]);
        document
    }

    #[test]
    fn nothing_in_a_name_becomes_markup() {
        let html = document().html().unwrap();
        assert!(!html.contains("<script>") && html.contains("&lt;script&gt;"), "{html}");
        assert!(html.contains("<svg xmlns") && html.contains("data:image/png;base64,eA=="));
        let markdown = document().markdown().unwrap();
        assert!(markdown.contains("| &lt;script> | 1 |"), "{markdown}");
        assert!(markdown.contains("(figures/a.svg)") && !markdown.contains("b.png"), "{markdown}");
        assert!(markdown.contains("- What it shows\n\nThese pictures are in"), "{markdown}");
    }

    #[test]
    fn charts_and_no_clips_lie_beside_the_markdown() {
        let folder = tempfile::tempdir().unwrap();
        let written = document().write(folder.path()).unwrap();
        assert!(written.html.is_file() && written.markdown.is_file());
        assert!(folder.path().join("figures/a.svg").is_file());
        assert!(!folder.path().join("figures/b.png").exists());
    }
}

//! What stands above a report that is handed in.

use super::document::Document;

/// Title, authors, a link and a date; what is empty is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TitlePage {
    /// The title, instead of the usual one.
    pub title: Option<String>,
    /// Who hands it in.
    pub authors: Vec<String>,
    /// Where the program or the data are.
    pub link: Option<String>,
    /// The date, as it is to be written.
    pub date: Option<String>,
}

impl Document {
    /// With `page` above all else.
    #[must_use]
    pub fn titled(mut self, page: &TitlePage) -> Self {
        if let Some(title) = &page.title {
            self.title.clone_from(title);
        }
        let authors = (!page.authors.is_empty()).then(|| page.authors.join(", "));
        let lines = [authors, page.link.clone(), page.date.clone()];
        self.byline = lines.into_iter().flatten().collect();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_stands_first() {
        let document = || {
            let mut document = Document::new("Usual");
            document.paragraph("body");
            document
        };
        let page = TitlePage {
            title: Some("Lab 2".into()),
            authors: vec!["Ada".into(), "Grace".into()],
            link: None,
            date: Some("2026-11-29".into()),
        };
        let titled = document().titled(&page);
        assert_eq!(titled.title, "Lab 2");
        assert_eq!(titled.byline, ["Ada, Grace", "2026-11-29"]);
        let plain = document().titled(&TitlePage::default());
        assert_eq!((plain.title.as_str(), plain.byline.len()), ("Usual", 0));
    }
}

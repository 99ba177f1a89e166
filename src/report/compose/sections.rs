//! The order of the sections.

use std::path::Path;

use super::context::Context;
use super::{calibration, curves, data, discussion, group, leaks, methods};
use super::{repeated, searches, shared, summary, tags};
use crate::error::Result;
use crate::report::document::Document;
use crate::report::gather::Report;

impl Report {
    /// What the report says; clips of the most confident mistakes are looked for in `data`,
    /// else where the runs say the collection is.
    ///
    /// # Errors
    /// [`Error::Drawing`](crate::error::Error::Drawing) if a chart cannot be drawn.
    pub fn document(&self, data: Option<&Path>) -> Result<Document> {
        let context = Context::new(self, data);
        let mut document = Document::new("Music genres: models compared");
        if context.entries.is_empty() {
            tags::add(&mut document, &self.tagged)?;
            add_machines(&mut document, &self.machines);
            return Ok(document);
        }
        summary::add(&mut document, &context);
        data::add(&mut document, &context);
        for (number, group) in context.groups.iter().enumerate() {
            group::add(&mut document, &context, group, number + 1)?;
        }
        tags::add(&mut document, &self.tagged)?;
        for (number, shared) in context.shared.iter().enumerate() {
            shared::add(&mut document, &context, shared, number + 1)?;
        }
        calibration::add(&mut document, &context)?;
        leaks::add(&mut document, &context);
        repeated::add_seeds(&mut document, &context);
        repeated::add_cross_validations(&mut document, &context);
        repeated::add_tunings(&mut document, &context);
        searches::add(&mut document, &context)?;
        curves::add(&mut document, &context)?;
        methods::add(&mut document, &context);
        discussion::add(&mut document, &context);
        add_machines(&mut document, &self.machines);
        Ok(document)
    }
}

fn add_machines(document: &mut Document, machines: &[String]) {
    if !machines.is_empty() {
        document.heading(2, "Where latencies were measured");
        document.list(machines.to_vec());
    }
}

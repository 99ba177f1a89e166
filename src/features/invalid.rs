//! Why the description of a front end is refused.

/// What is wrong with the description of a front end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFrontEnd {
    /// It is not JSON, or not that of a front end; says line and column.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// One field has a value that is not possible.
    #[error("{field} is {value}; {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be possible.
        expected: String,
    },
    /// Values that are possible alone do not go together.
    #[error("{0}")]
    Combination(String),
    /// What is wrong with the front end of this name.
    #[error("front end \"{name}\": {source}")]
    Named {
        /// Its name.
        name: String,
        /// What is wrong with it.
        source: Box<InvalidFrontEnd>,
    },
}

impl InvalidFrontEnd {
    /// An [`InvalidFrontEnd::Field`].
    pub(super) fn field(
        field: &'static str,
        value: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Self::Field { field, value: value.to_string(), expected: expected.into() }
    }

    /// A front end for a backbone that takes something else: `axes` (`None`: any size), not
    /// what is `wanted`.
    pub(super) fn axes(axes: &[Option<usize>], wanted: &str) -> Self {
        let sizes = axes.iter().map(|size| size.map_or("any".to_owned(), |size| size.to_string()));
        let sizes = sizes.collect::<Vec<_>>().join(", ");
        Self::Combination(format!("the backbone's file takes [{sizes}], not {wanted}"))
    }
}

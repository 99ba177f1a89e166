//! What a table says of a searched architecture.

use crate::run::CnnConfig;

/// The architecture in the few words that fit a table.
#[must_use]
pub fn blocks(cnn: &CnnConfig) -> String {
    let filters: Vec<String> = cnn.filters.iter().map(ToString::to_string).collect();
    let kernel = cnn.kernel;
    let mut text =
        format!("{}, {} of {kernel} × {kernel} each", filters.join("-"), cnn.convolutions);
    for (has, name) in [(cnn.residual, ", residual"), (cnn.squeeze_excitation, ", SE")] {
        if has {
            text += name;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_named_by_what_they_add() {
        let cnn = CnnConfig {
            filters: vec![8, 16],
            convolutions: 2,
            residual: true,
            ..CnnConfig::default()
        };
        assert_eq!(blocks(&cnn), "8-16, 2 of 3 × 3 each, residual");
    }
}

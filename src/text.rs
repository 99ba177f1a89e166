//! Names, numbers and counts as the user reads them.

use unicode_normalization::UnicodeNormalization;

/// The composed form (NFC) of a name: "\u{e9}" is one letter, whether a system wrote one or, as
/// macOS does, an "e" and an accent.
#[must_use]
pub fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// A number with its thousands apart: `3,205,706`.
#[must_use]
pub fn thousands(value: usize) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A figure with three decimals, or that it is not known.
#[must_use]
pub fn known(figure: Option<f64>) -> String {
    figure.map_or("not known".to_owned(), |figure| format!("{figure:.3}"))
}

/// `one track`, `7 tracks`.
#[must_use]
pub fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("one {what}"),
        _ => format!("{} {what}s", thousands(count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_has_one_form() {
        assert_eq!(composed("Mu\u{301}sica"), "M\u{fa}sica");
        assert_eq!(composed("blues"), "blues");
    }

    #[test]
    fn numbers_and_what_they_count() {
        assert_eq!([7, 1000, 3_205_706].map(thousands), ["7", "1,000", "3,205,706"]);
        assert_eq!(counted(1, "track") + &counted(2, "track"), "one track2 tracks");
    }
}

//! Numbers as the report writes them: the same in tables, captions and sentences.

pub(super) use crate::text::{counted, thousands};

/// What stands for a figure that is not known.
pub(super) const UNKNOWN: &str = "–";

/// A share as `76.5 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", percent_number(share))
}

/// A share as `76.5`, for columns that say %.
pub(super) fn percent_number(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

/// An interval of shares as `70.5 to 82.0`; [`UNKNOWN`] for one of no width, as there is of no
/// tracks at all, which says nothing.
pub(super) fn interval([low, high]: [f64; 2]) -> String {
    if low == high {
        UNKNOWN.to_owned()
    } else {
        format!("{} to {}", percent_number(low), percent_number(high))
    }
}

/// An [`interval`] as part of a sentence: `95 % interval 70.5 to 82.0 %`.
pub(super) fn certainty(bounds: [f64; 2]) -> String {
    if bounds[0] == bounds[1] {
        "there is no interval for it".to_owned()
    } else {
        format!("95 % interval {} %", interval(bounds))
    }
}

/// A difference of shares as `3.5 points`.
pub(super) fn points(difference: f64) -> String {
    format!("{} points", percent_number(difference.abs()))
}

/// A p-value to two significant digits, and no more than it is worth.
pub(super) fn p_value(p: f64) -> String {
    match p {
        p if p < 0.0001 => "< 0.0001".to_owned(),
        p if p < 0.001 => format!("{p:.4}"),
        p if p < 0.1 => format!("{p:.3}"),
        p => format!("{p:.2}"),
    }
}

/// A [`p_value`] as part of a sentence: `p = 0.031`.
pub(super) fn p_equals(p: f64) -> String {
    let value = p_value(p);
    if value.starts_with('<') { format!("p {value}") } else { format!("p = {value}") }
}

/// Three significant digits, without an exponent.
pub(super) fn three_digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.0005 => "< 0.001".to_owned(),
        size if size < 0.0995 => format!("{value:.3}"),
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Bytes in megabytes (10^6), three significant digits.
pub(super) fn megabytes(bytes: u64) -> String {
    three_digits(bytes as f64 / 1e6)
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A share as `76.5 %`, but never as certainty where it is less.
pub(super) fn probability(share: f64) -> String {
    if share > 0.9995 { "more than 99.9 %".to_owned() } else { percent(share) }
}

/// With a capital letter, unless the first word has one of its own, as `k-NN` has.
pub(super) fn capital(text: &str) -> String {
    let first_word = text.split([' ', ',']).next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if !first_word.contains(char::is_uppercase) => {
            first.to_uppercase().collect::<String>() + letters.as_str()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_exact_enough() {
        assert_eq!(percent(0.765), "76.5 %");
        assert_eq!(interval([0.7, 0.8249]), "70.0 to 82.5");
        assert_eq!(interval([1.0, 1.0]), UNKNOWN);
        assert_eq!(
            [0.5, 0.04999, 0.0312, 0.00099, 1e-9].map(p_value),
            ["0.50", "0.050", "0.031", "0.0010", "< 0.0001"]
        );
        assert_eq!(p_equals(1e-9), "p < 0.0001");
        assert_eq!(
            [0.0, 0.0586, 0.5, 12.34, 1234.5].map(three_digits),
            ["0", "0.059", "0.50", "12.3", "1234"]
        );
        assert_eq!(capital("k-NN, 30s") + &capital("yamnet"), "k-NN, 30sYamnet");
        assert_eq!(listed(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}

//! Ranges, ticks and labels of axes.

use std::ops::Range;

/// A share between 0 and 1 as a label of an axis: `83 %`.
pub(crate) fn as_percent(share: &f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Ticks of a logarithmic axis: 1, 2, 5, 10, 20, 50 and so on within the range; only powers
/// of ten where its ends are more than `dense` times apart.
pub(crate) fn log_ticks(range: &Range<f64>, dense: f64) -> Vec<f64> {
    let decades = range.start.log10().floor() as i32..=range.end.log10().ceil() as i32;
    let steps: &[i32] = if range.end / range.start > dense { &[1] } else { &[1, 2, 5] };
    let values = decades.flat_map(|decade| {
        // Parsed, because 10^-3 times 2 is not what 0.002 reads as.
        steps.iter().filter_map(move |step| format!("{step}e{decade}").parse::<f64>().ok())
    });
    values.filter(|value| range.contains(value)).collect()
}

/// A tick of [`log_ticks`] as a label: round, so that no digit is lost.
pub(crate) fn tick_label(value: &f64) -> String {
    match *value {
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1e3 => format!("{} k", value / 1e3),
        value => value.to_string(),
    }
}

/// A range of shares around `values` with some air, on tenths, within 0 and 1.
pub(crate) fn share_range(values: impl Iterator<Item = f64> + Clone) -> Range<f64> {
    let low = values.clone().fold(1.0, f64::min);
    let high = values.fold(0.0, f64::max);
    let low = ((low - 0.02) * 10.0).floor().clamp(0.0, 9.0) / 10.0;
    let high = ((high + 0.02) * 10.0).ceil().clamp(low * 10.0 + 1.0, 10.0) / 10.0;
    low..high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(log_ticks(&(0.0015..0.03), 300.0), [0.002, 0.005, 0.01, 0.02]);
        assert_eq!(log_ticks(&(0.5..6_000.0), 300.0), [1.0, 10.0, 100.0, 1000.0]);
        let wide = log_ticks(&(0.0015..0.3), 1e4);
        assert_eq!(wide, [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2]);
        assert_eq!(log_ticks(&(0.5..60_000.0), 1e4), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
    }

    #[test]
    fn ranges_are_round() {
        assert_eq!(share_range([0.71, 0.83].into_iter()), 0.6..0.9);
        assert_eq!(share_range([0.0, 1.0].into_iter()), 0.0..1.0);
        assert_eq!(share_range([1.0].into_iter()), 0.9..1.0);
    }
}

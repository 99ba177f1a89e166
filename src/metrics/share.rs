//! How well a few tries tell a share.

use statrs::distribution::{Beta, ContinuousCDF};

/// Clopper and Pearson's (1934) 95 % interval of the share of which `held` of `count` tries are an
/// example.
#[must_use]
pub fn share_interval(held: usize, count: usize) -> [f64; 2] {
    let (held, rest) = (held as f64, count.saturating_sub(held) as f64);
    let bound = |a: f64, b: f64, q: f64| Beta::new(a, b).map(|beta| beta.inverse_cdf(q)).ok();
    [bound(held, rest + 1.0, 0.025).unwrap_or(0.0), bound(held + 1.0, rest, 0.975).unwrap_or(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R's `binom.test`.
    #[test]
    fn intervals_are_the_exact_ones() {
        let cases = [
            (19, 19, [0.8235, 1.0]),
            (0, 10, [0.0, 0.3085]),
            (3, 20, [0.0321, 0.3789]),
            (18, 20, [0.6830, 0.9877]),
            (0, 0, [0.0, 1.0]),
        ];
        for (held, count, wanted) in cases {
            let found = share_interval(held, count);
            for (found, wanted) in found.iter().zip(wanted) {
                assert!((found - wanted).abs() < 5e-4, "{held} of {count}: {found}");
            }
        }
    }
}

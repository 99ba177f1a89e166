//! Medians of a list, and of every stretch of one.

/// The median; the mean of the two in the middle of an even number, none of no values.
pub(super) fn median(values: &[f32]) -> Option<f64> {
    let mut sorted = values.to_vec();
    let middle = sorted.len() / 2;
    if sorted.is_empty() {
        return None;
    }
    let even = sorted.len().is_multiple_of(2);
    let (below, &mut upper, _) = sorted.select_nth_unstable_by(middle, f32::total_cmp);
    let lower = below.iter().copied().max_by(f32::total_cmp).filter(|_| even);
    Some((f64::from(lower.unwrap_or(upper)) + f64::from(upper)) / 2.0)
}

/// Calls `put` with the median of every `WIDTH` consecutive values, an odd number.
pub(super) fn sliding<const WIDTH: usize>(values: &[f32], mut put: impl FnMut(usize, f32)) {
    if values.len() < WIDTH {
        return;
    }
    let mut sorted = [0f32; WIDTH];
    sorted.copy_from_slice(&values[..WIDTH]);
    sorted.sort_unstable_by(f32::total_cmp);
    put(0, sorted[WIDTH / 2]);
    for (place, (&old, &new)) in values.iter().zip(&values[WIDTH..]).enumerate() {
        replace(&mut sorted, old, new);
        put(place + 1, sorted[WIDTH / 2]);
    }
}

/// Takes `old` out of sorted values and puts `new` in, moving only what lies between.
fn replace(sorted: &mut [f32], old: f32, new: f32) {
    let from = sorted.partition_point(|&value| value < old);
    let to = sorted.partition_point(|&value| value < new);
    if from < to {
        sorted.copy_within(from + 1..to, from);
        sorted[to - 1] = new;
    } else {
        sorted.copy_within(to..from, to + 1);
        sorted[to] = new;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_sliding_median_is_each_stretchs_own(values in prop::collection::vec(0u8..20, 0..60)) {
            let values: Vec<f32> = values.into_iter().map(f32::from).collect();
            let mut found = vec![];
            sliding::<5>(&values, |_, median| found.push(f64::from(median)));
            let wanted: Vec<f64> = values.windows(5).filter_map(median).collect();
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn of_an_even_number_it_is_between_the_two_in_the_middle() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0, 9.0]), Some(4.0));
        assert_eq!(median(&[]), None);
    }
}

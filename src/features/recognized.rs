//! What the pictures of a collection were recognized as.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::plot::Seen;

/// Pictures of one form and one colour map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recognized {
    /// What was cut off around the spectrogram: [`Seen::form`].
    pub form: String,
    /// The colour map, by matplotlib's name; none for colours that are in no known one.
    pub colour_map: Option<String>,
    /// How many pictures.
    pub pictures: usize,
    /// The mean distance of their colours from the map's, in levels of 255.
    pub residual: Option<f32>,
}

/// Counts pictures as they are read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    kinds: BTreeMap<(String, Option<String>), (usize, f64)>,
    pictures: usize,
    resized: usize,
    upside_down: usize,
}

impl Tally {
    pub(super) fn add(&mut self, seen: &Seen) {
        let kind = (seen.form.clone(), seen.colour_map.clone());
        let (count, sum) = self.kinds.entry(kind).or_default();
        *count += 1;
        *sum += f64::from(seen.residual.unwrap_or_default());
        self.pictures += 1;
        self.resized += usize::from(seen.resized_from.is_some());
        self.upside_down += usize::from(seen.is_upside_down());
    }

    /// The kinds, those of most pictures first.
    pub(crate) fn kinds(&self) -> Vec<Recognized> {
        let one =
            |((form, colour_map), (pictures, sum)): (&(String, Option<String>), &(usize, f64))| {
                Recognized {
                    form: form.clone(),
                    colour_map: colour_map.clone(),
                    pictures: *pictures,
                    residual: colour_map.as_ref().map(|_| (*sum / *pictures as f64) as f32),
                }
            };
        let mut kinds: Vec<Recognized> = self.kinds.iter().map(one).collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.pictures));
        kinds
    }

    /// Says what the pictures are, and what is odd about them as a collection.
    pub(crate) fn report(&self) {
        let kinds = self.kinds();
        if kinds.is_empty() {
            return;
        }
        let texts: Vec<String> = kinds.iter().map(text).collect();
        tracing::info!("pictures: {}", texts.join("; "));
        if kinds.len() > 1 {
            tracing::warn!(
                "the pictures are of {} kinds; a model may learn which genre comes in which: draw \
                 all of them alike if you can",
                kinds.len()
            );
        }
        if self.resized > 0 {
            tracing::info!(
                "note: {} of {} pictures are of another size than the first and were resized to it",
                self.resized,
                self.pictures
            );
        }
        if self.upside_down > 0 {
            tracing::warn!(
                "in {} of {} pictures high tones are stronger than low ones, which music hardly has: \
                 either they are upside down (the lowest tone belongs at the bottom), or their \
                 colours go from strong to weak, which ‹colour-map› NAME_r says",
                self.upside_down,
                self.pictures
            );
        }
    }
}

fn text(kind: &Recognized) -> String {
    let Recognized { form, colour_map, pictures, residual } = kind;
    match (colour_map, residual) {
        (Some(map), Some(residual)) => {
            format!("{pictures} x {form}, colour map {map} (residual {residual:.1} of 255)")
        }
        _ => format!("{pictures} x {form}, in no known colour map"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_counted_by_form_and_map() {
        let seen = |form: &str, map: &str, residual| Seen {
            form: form.into(),
            colour_map: Some(map.into()),
            residual: Some(residual),
            resized_from: None,
            lean: Some(0.2),
        };
        let mut tally = Tally::default();
        tally.add(&seen("plot", "magma", 1.0));
        tally.add(&seen("plot with axes", "viridis", 0.0));
        tally.add(&seen("plot", "magma", 2.0));
        let kinds = tally.kinds();
        assert_eq!((kinds.len(), kinds[0].pictures, kinds[0].residual), (2, 2, Some(1.5)));
        assert_eq!(text(&kinds[1]), "1 x plot with axes, colour map viridis (residual 0.0 of 255)");
    }
}

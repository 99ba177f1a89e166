//! Where labels of points find room.

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) from: (i32, i32),
    pub(super) to: (i32, i32),
}

impl Place {
    pub(super) fn around((x, y): (i32, i32), (width, height): (i32, i32)) -> Self {
        let (w, h) = (width / 2, height / 2);
        Self { from: (x - w, y - h), to: (x + w, y + h) }
    }

    pub(super) fn middle(&self) -> (i32, i32) {
        ((self.from.0 + self.to.0) / 2, (self.from.1 + self.to.1) / 2)
    }

    fn overlap(&self, other: &Self) -> i32 {
        let side = |a: fn(&(i32, i32)) -> i32| {
            a(&self.to).min(a(&other.to)) - a(&self.from).max(a(&other.from))
        };
        side(|at| at.0).max(0) * side(|at| at.1).max(0)
    }

    fn area(&self) -> i32 {
        (self.to.0 - self.from.0) * (self.to.1 - self.from.1)
    }
}

/// The place around a mark where a label covers least of what is there.
pub(super) fn free_place((x, y): (i32, i32), label: &str, taken: &[Place], sheet: &Place) -> Place {
    let size = (label.chars().count() as i32 * 8 + 4, 14);
    let places = [14, 22, 30].into_iter().flat_map(|radius| {
        (0..8).map(move |turn| {
            let angle = std::f64::consts::TAU * f64::from(turn) / 8.0 - 0.785;
            let reach = f64::from(radius) + f64::from(size.0) / 3.0;
            let dx = (angle.cos() * reach).round() as i32;
            let dy = (angle.sin() * f64::from(radius)).round() as i32;
            Place::around((x + dx, y + dy), size)
        })
    });
    let covered = |place: &Place| {
        let outside = place.area() - place.overlap(sheet);
        taken.iter().map(|other| place.overlap(other)).sum::<i32>() + outside
    };
    places.min_by_key(covered).unwrap_or(Place::around((x, y), size))
}

//! Which axis of a model's tensor is which: by their sizes, their names and their places.

use crate::features::{Layout, PatchKind};
use crate::onnx::Port;

/// An axis of patches in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// The patches.
    Batch,
    /// Frames, columns of a picture or samples.
    Frames,
    /// Mel bands or rows of a picture.
    Rows,
    /// Channels of a picture.
    Channels,
}

impl Axis {
    /// In the order in which a patch lies in memory.
    pub const ALL: [Self; 4] = [Self::Batch, Self::Frames, Self::Rows, Self::Channels];

    /// Its place in memory.
    pub fn place(self) -> usize {
        self as usize
    }
}

/// Axes are told by trying every way to read them; a model with more of them takes no patches.
const MOST_AXES: usize = 6;

/// A way to read the axes of a model's input: what each is, or nothing if its size is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub axes: Vec<Option<Axis>>,
    /// Whether another one was as good until frames were taken to come first, or channels.
    pub assumed: bool,
}

impl Reading {
    /// The best way to read `port` as patches of this `kind`; none if there is no way.
    ///
    /// Names of axes are believed first, then that the batch stands first, then the `layout`.
    pub fn of(port: &Port, kind: PatchKind) -> Option<Self> {
        let mut ways = Ways { port, kind, found: vec![] };
        if port.dims.len() <= MOST_AXES {
            ways.collect(&mut vec![]);
        }
        let best = ways.found.iter().min_by_key(|way| ways.cost(way))?;
        let [named, placed, order, _] = ways.cost(best);
        let rival = |way: &Vec<_>| {
            let [others_named, others_placed, others_order, _] = ways.cost(way);
            [others_named, others_placed] == [named, placed]
                && others_order > order
                && others_order <= ways.least_convincing_order()
        };
        Some(Self { axes: best.clone(), assumed: ways.found.iter().any(rival) })
    }
}

/// All ways to read a model's input.
struct Ways<'a> {
    port: &'a Port,
    kind: PatchKind,
    found: Vec<Vec<Option<Axis>>>,
}

impl Ways<'_> {
    /// The size of an axis of the patches.
    fn size(&self, axis: Axis) -> Option<usize> {
        let [frames, rows, channels] = self.kind.parts();
        match axis {
            Axis::Batch => None,
            Axis::Frames => Some(frames),
            Axis::Rows => Some(rows),
            Axis::Channels => Some(channels),
        }
    }

    /// Adds all ways that begin with `begun`.
    fn collect(&mut self, begun: &mut Vec<Option<Axis>>) {
        let Some(dim) = self.port.dims.get(begun.len()).copied() else {
            if self.is_possible(begun) {
                self.found.push(begun.clone());
            }
            return;
        };
        let ones = (dim.is_none() || dim == Some(1)).then_some(None);
        // Sizes of one can stand anywhere: whether they are frames or nothing is the same.
        let fits = |axis: &Axis| match (self.size(*axis), dim) {
            (Some(1), _) => false,
            (Some(size), Some(dim)) => size == dim,
            (None, _) | (_, None) => true,
        };
        let some = Axis::ALL.into_iter().filter(|axis| !begun.contains(&Some(*axis)));
        let choices: Vec<_> = ones.into_iter().chain(some.filter(fits).map(Some)).collect();
        for choice in choices {
            begun.push(choice);
            self.collect(begun);
            begun.pop();
        }
    }

    /// Whether all of a patch is there, and a batch that is not in its usual place stands
    /// between axes that are known for sure.
    fn is_possible(&self, way: &[Option<Axis>]) -> bool {
        let inside = [Axis::Frames, Axis::Rows, Axis::Channels].into_iter();
        let mut wanted = inside.filter(|axis| self.size(*axis) != Some(1));
        let is_sure = |(place, axis): (usize, &Option<Axis>)| match axis {
            None | Some(Axis::Batch) => true,
            Some(_) => self.port.dims[place].is_some() || self.role(place) == *axis,
        };
        let batch_is_possible = match self.kind {
            // Two axes of sizes beside each other are no batch of samples.
            PatchKind::Samples(_) => !way.contains(&Some(Axis::Batch)),
            _ => way.iter().enumerate().all(is_sure),
        };
        wanted.all(|axis| way.contains(&Some(axis)))
            && (way.first() == Some(&Some(Axis::Batch)) || batch_is_possible)
    }

    /// What makes a way unlikely, the weightiest first: names that say otherwise, a batch or
    /// ones in unusual places, an unusual order, ones that are not in front.
    fn cost(&self, way: &[Option<Axis>]) -> [usize; 4] {
        let places = || way.iter().enumerate();
        let contradicts = |(place, axis): &(usize, &Option<Axis>)| match self.role(*place) {
            None => false,
            Some(Axis::Channels) => !matches!(axis, None | Some(Axis::Channels)),
            role => role != **axis,
        };
        let is_free = |axis: Option<Axis>| {
            way.iter().zip(&self.port.dims).any(|(a, d)| *a == axis && d.is_none())
        };
        let batch = match way.iter().position(|axis| *axis == Some(Axis::Batch)) {
            // A file that is open about anything is so about the batch.
            Some(0)
                if self.port.dims[0].is_some_and(|size| size > 1)
                    && [Axis::Frames, Axis::Rows].into_iter().any(|axis| is_free(Some(axis))) =>
            {
                3
            }
            Some(0) => 0,
            None if is_free(None) => 4,
            None => 1,
            Some(_) => 2,
        };
        let free_ones =
            || places().filter(|(place, axis)| axis.is_none() && self.port.dims[*place].is_none());
        [
            places().filter(contradicts).count(),
            batch * MOST_AXES + free_ones().count(),
            self.order(way),
            free_ones().map(|(place, _)| place).sum(),
        ]
    }

    /// How unusual the order of the axes is.
    fn order(&self, way: &[Option<Axis>]) -> usize {
        let place = |axis| way.iter().position(|found| *found == Some(axis));
        // An axis that is not there comes before and after nothing.
        let before = |one, other| match (place(one), place(other)) {
            (Some(one), Some(other)) => usize::from(one < other),
            _ => 0,
        };
        match self.kind {
            PatchKind::LogMel { layout: Some(Layout::MelsFirst), .. } => {
                before(Axis::Frames, Axis::Rows)
            }
            PatchKind::LogMel { .. } => before(Axis::Rows, Axis::Frames),
            PatchKind::Picture { .. } => {
                before(Axis::Rows, Axis::Channels) + 2 * before(Axis::Frames, Axis::Rows)
            }
            PatchKind::Samples(_) => 0,
        }
    }

    /// The most unusual order that is worth a word where it would be as good: for pictures that
    /// channels come last, but not that columns come before rows, which nobody writes.
    fn least_convincing_order(&self) -> usize {
        match self.kind {
            PatchKind::LogMel { layout: Some(_), .. } => 0,
            _ => 1,
        }
    }

    /// What the name of an axis says that it is.
    fn role(&self, place: usize) -> Option<Axis> {
        let words = words(self.port.axis_name(place)?);
        let names = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        if names(BATCH) {
            return Some(Axis::Batch);
        }
        let (frames, rows, also_frames) = match self.kind {
            PatchKind::LogMel { .. } => (TIME, BANDS, LENGTH),
            PatchKind::Picture { .. } => (WIDTH, HEIGHT, &[][..]),
            PatchKind::Samples(_) => (SAMPLES, &[][..], TIME),
        };
        match () {
            () if names(frames) => Some(Axis::Frames),
            () if names(rows) => Some(Axis::Rows),
            () if names(also_frames) => Some(Axis::Frames),
            () if names(CHANNELS) => Some(Axis::Channels),
            () => None,
        }
    }
}

const BATCH: &[&str] = &["batch", "batchsize", "b", "bs"];
const TIME: &[&str] = &["frame", "frames", "time", "times", "timestep", "timesteps", "t"];
const LENGTH: &[&str] = &["step", "steps", "seq", "sequence", "length", "len"];
const BANDS: &[&str] = &[
    "mel",
    "mels",
    "nmel",
    "nmels",
    "melbins",
    "band",
    "bands",
    "bin",
    "bins",
    "freq",
    "freqs",
    "frequency",
    "frequencies",
];
const CHANNELS: &[&str] = &["channel", "channels", "chan", "ch", "c"];
const WIDTH: &[&str] = &["width", "w", "column", "columns", "cols"];
const HEIGHT: &[&str] = &["height", "h", "row", "rows"];
const SAMPLES: &[&str] = &["sample", "samples", "wave", "waveform", "audio", "signal", "length"];
const FEATURES: &[&str] =
    &["feature", "features", "feat", "feats", "embedding", "embeddings", "emb", "hidden", "units"];
const TOKENS: &[&str] = &["token", "tokens", "patch", "patches"];

/// Whether the first axis of a model's input is that of a batch of any size, rather than the
/// samples or moments of one recording.
#[cfg(feature = "tract")]
pub(super) fn is_batch(port: &Port) -> bool {
    let words = port.axis_name(0).map(words).unwrap_or_default();
    let others = [TIME, LENGTH, BANDS, SAMPLES];
    let is_other = words.iter().any(|word| others.iter().any(|list| list.contains(&word.as_str())));
    port.dims.len() > 1 && port.dims.first() == Some(&None) && !is_other
}

/// The words that a name is made of, in lower case: those of `n_mels`, `numFrames`, `batch-1`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in name.chars() {
        if !letter.is_alphabetic() || (was_lower && letter.is_uppercase()) {
            words.push(String::new());
        }
        was_lower = letter.is_lowercase();
        if let (true, Some(word)) = (letter.is_alphabetic(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The axis of a model's output that holds the features of an embedding, and whether there are
/// others to be pooled. This is the one place that says so.
///
/// `shape` is the output's, where each size is known; axis 0 is the patches' unless `single`,
/// where one patch was given and may have been answered by several rows. Axes of one are
/// nobody's. Of the others the axis called so holds the features, or the only one that is not
/// called something else; or the only one whose size the file fixes; or the second of four and
/// more (`[N, C, H, W]`), the last of fewer (`[N, T, D]`).
#[must_use]
pub fn feature_axis(port: &Port, shape: &[Option<usize>], single: bool) -> (usize, bool) {
    let is_place = |axis: &usize| (single || *axis > 0) && shape[*axis] != Some(1);
    let places: Vec<usize> = (0..shape.len()).filter(is_place).collect();
    let (&[.., last], true) = (&places[..], places.len() > 1) else {
        let only = places.first().copied();
        return (only.unwrap_or(shape.len().saturating_sub(1)), false);
    };
    // What the file declares is about these axes only if there are as many.
    let declared = |axis: usize| port.dims.get(axis).filter(|_| port.dims.len() == shape.len());
    let called = |axis: &usize, lists: &[&[&str]]| {
        let words = port.axis_name(*axis).map(words).unwrap_or_default();
        declared(*axis).is_some()
            && words.iter().any(|word| lists.iter().any(|list| list.contains(&word.as_str())))
    };
    let others = [TIME, LENGTH, BANDS, WIDTH, HEIGHT, TOKENS, SAMPLES];
    let named = |axis: &usize| called(axis, &[FEATURES, CHANNELS]);
    let unnamed = |axis: &usize| !called(axis, &others);
    let fixed = |axis: &usize| declared(*axis).is_some_and(Option::is_some);
    let only = |is: &dyn Fn(&usize) -> bool| {
        let mut found = places.iter().copied().filter(is);
        found.next().filter(|_| found.next().is_none())
    };
    let second = places.contains(&1).then_some(1).filter(|_| shape.len() >= 4);
    let axis = only(&named).or(only(&unnamed)).or(only(&fixed)).or(second);
    (axis.unwrap_or(last), true)
}

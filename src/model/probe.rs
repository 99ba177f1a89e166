//! What a backbone's file does with patches, whatever it says of itself: it is run on several
//! at once and on one at a time, and the answers must be the same.

use std::path::Path;

use ndarray::{Array2, Array3, ArrayD, ArrayView3, Axis, Slice};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::pb::ModelProto;

use crate::error::{Error, Result};
use crate::features::PatchKind;
use crate::onnx;
use crate::onnx::Port;
use crate::run::Feed;
use crate::runtime::{self, Pool, Runtime, Session};

/// Patches that are tried: an odd number, which no fixed size divides.
const PROBES: usize = 3;

/// The largest difference of a row among others from the same row alone, relative to the
/// largest value of all, that comes from the order of sums and not from the others.
const LEAK: f32 = 1e-3;

impl Feed {
    /// How the file at `path` is fed, as [`Feed::of`] reads it and as a trial shows: a file in
    /// which a row depends on the others of its batch, or which works for one patch only, is
    /// given one at a time, which is said. `pool` says how several values of a feature become
    /// one (else their mean, which is said as well). It is tried in `runtime`, or else in tract
    /// and, where that cannot run it, in ONNX Runtime.
    ///
    /// # Errors
    /// Those of [`Feed::of`]; [`Error::Onnx`] for a file that gives no embedding a patch in
    /// either way, or none of finite numbers; [`Error::Runtime`] if no runtime can run it.
    pub fn probe(
        path: &Path,
        patch: impl Into<PatchKind>,
        output: Option<&str>,
        pool: Option<Pool>,
        runtime: Option<Runtime>,
    ) -> Result<Self> {
        let model = onnx::read(path)?;
        let probe = FeedProbe::of(path, &model, patch.into(), output, pool)?;
        // A runtime holds its own copy of the weights.
        drop(model);
        let runtimes = runtime.map_or(vec![Runtime::Tract, Runtime::Ort], |runtime| vec![runtime]);
        in_first(&runtimes, |runtime| {
            let mut session = runtime::open(runtime, path, &runtime::Options::default())?;
            probe.run(&mut *session)
        })
    }
}

/// What `work` does in the first of `runtimes` that can; that others cannot is said.
///
/// # Errors
/// [`Error::Runtime`] with what each of them says; what else goes wrong does so in all.
pub(crate) fn in_first<T>(runtimes: &[Runtime], work: impl Fn(Runtime) -> Result<T>) -> Result<T> {
    let mut failures: Vec<(&'static str, String)> = vec![];
    for runtime in runtimes {
        match work(*runtime) {
            Err(Error::Runtime { runtime, reason }) => failures.push((runtime, reason.to_string())),
            done => {
                for (failed, reason) in failures {
                    tracing::info!("note: {failed}: {reason}; {runtime} is used");
                }
                return done;
            }
        }
    }
    let (first, mut text) = failures.first().cloned().unwrap_or(("runtime", "none".to_owned()));
    for (runtime, reason) in failures.iter().skip(1) {
        text += &format!("; {runtime}: {reason}");
    }
    Err(Error::runtime(first, text))
}

/// A file that is to be tried: what [`Feed::probe`] does, for whoever opens the file himself.
pub(crate) struct FeedProbe<'a> {
    path: &'a Path,
    patch: PatchKind,
    /// What the file says of itself.
    feed: Feed,
    input: Port,
    output: Port,
    pool: Option<Pool>,
}

impl<'a> FeedProbe<'a> {
    /// What the file at `path`, read as `model`, says of itself.
    ///
    /// # Errors
    /// Those of [`Feed::of`].
    pub fn of(
        path: &'a Path,
        model: &ModelProto,
        patch: PatchKind,
        output: Option<&str>,
        pool: Option<Pool>,
    ) -> Result<Self> {
        Ok(Self {
            path,
            patch,
            feed: Feed::of(path, model, patch, output)?,
            input: onnx::input(model, path)?,
            output: onnx::output(model, path, output)?,
            pool,
        })
    }

    /// How the file, opened as `session`, is fed in truth.
    ///
    /// # Errors
    /// Those of [`Feed::probe`].
    pub fn run(&self, session: &mut dyn Session) -> Result<Feed> {
        let feed = match self.feed.input.batch {
            Some(size) if size > 1 => self.filled(session, size)?,
            _ => self.any(session)?,
        };
        self.tell(&feed);
        Ok(feed)
    }

    /// For a file that says it takes any number of patches, or one.
    fn any(&self, session: &mut dyn Session) -> Result<Feed> {
        let patches = probes(self.patch, PROBES);
        let alone = (0..PROBES).map(|at| self.answer(session, part(&patches, at..at + 1), false));
        let alone = alone.collect::<Result<Vec<_>>>()?;
        if self.feed.input.batch.is_none() {
            match self.together(session, &patches, &alone) {
                Ok(feed) => return Ok(feed),
                Err(reason) => tracing::info!(
                    "note: {}: {reason}; it is run one patch at a time",
                    self.path.display()
                ),
            }
        }
        let mut feed = self.feed.clone();
        feed.input.batch = Some(1);
        let feed = self.read(feed, &alone[0]);
        for output in alone {
            self.embeddings(&feed, output, 1)?;
        }
        Ok(feed)
    }

    /// For a file that keeps its word: several patches at once are answered as each `alone`.
    fn together(
        &self,
        session: &mut dyn Session,
        patches: &Array3<f32>,
        alone: &[ArrayD<f32>],
    ) -> Result<Feed, String> {
        let fails = |error: Error| {
            format!(
                "it says that it takes any number of patches and fails on several ({})",
                first_line(&error)
            )
        };
        let output = self.answer(session, patches.view(), true).map_err(fails)?;
        let shape = output.shape().to_vec();
        if shape.first() != Some(&PROBES) {
            return Err(format!(
                "it says that it takes any number of patches and answers {shape:?} to {PROBES}"
            ));
        }
        let feed = self.read(self.feed.clone(), &output);
        let embeddings = |output: &ArrayD<f32>, count| {
            self.embeddings(&feed, output.clone(), count).map_err(|e| e.reason_at(self.path))
        };
        let rows = embeddings(&output, PROBES)?;
        for (at, output) in alone.iter().enumerate() {
            let wanted = embeddings(output, 1)?;
            compare(&rows, &wanted, at)?;
        }
        Ok(feed)
    }

    /// For a file that takes `size` patches at a time: what fills them up must not matter.
    fn filled(&self, session: &mut dyn Session, size: usize) -> Result<Feed> {
        let patches = probes(self.patch, size);
        let output = self.answer(session, patches.view(), true)?;
        let feed = self.read(self.feed.clone(), &output);
        let rows = self.embeddings(&feed, output, size)?;
        for at in 0..PROBES.min(size) {
            let mut lonely = Array3::zeros(patches.raw_dim());
            lonely.index_axis_mut(Axis(0), 0).assign(&patches.index_axis(Axis(0), at));
            let output = self.answer(session, lonely.view(), true)?;
            let wanted = self.embeddings(&feed, output, size)?;
            compare(&rows, &wanted.slice_axis(Axis(0), Slice::from(..1)).to_owned(), at).map_err(
                |reason| {
                    let reason = format!(
                        "it takes {size} patches at a time, and {reason}; export it for one patch, \
                         or for any number of them"
                    );
                    Error::onnx(self.path, reason)
                },
            )?;
        }
        Ok(feed)
    }

    /// The output for `patches`, all of them in one run if `whole`.
    fn answer(
        &self,
        session: &mut dyn Session,
        patches: ArrayView3<'_, f32>,
        whole: bool,
    ) -> Result<ArrayD<f32>> {
        let input = self.feed.input.arrange(patches);
        let outputs =
            if whole { session.run_whole(input.view()) } else { session.run(input.view()) };
        self.feed.take_output(session, outputs?)
    }

    /// `feed` with the place of the features in an output like this one.
    fn read(&self, feed: Feed, output: &ArrayD<f32>) -> Feed {
        let shape: Vec<_> = output.shape().iter().copied().map(Some).collect();
        feed.reading(&self.output, &shape, self.pool)
    }

    /// The embeddings in an output.
    fn embeddings(&self, feed: &Feed, output: ArrayD<f32>, count: usize) -> Result<Array2<f32>> {
        let rows = feed.rows(output, count).map_err(|reason| Error::onnx(self.path, reason))?;
        if rows.iter().all(|value| value.is_finite()) {
            return Ok(rows);
        }
        let reason = format!("its output \"{}\" is not finite for patches of noise", feed.output);
        Err(Error::onnx(self.path, reason))
    }

    /// Says what was guessed.
    fn tell(&self, feed: &Feed) {
        let file = self.path.display();
        if feed.input.assumed {
            let usual = match self.patch {
                PatchKind::Picture { .. } => "channels before rows and columns",
                _ => "frames before mels (else write \"layout\": \"mels_first\" in the front end)",
            };
            tracing::info!(
                "note: {file}: the axes of its input {} do not say which is which; taken for {usual}",
                self.input
            );
        }
        match (feed.pool, self.pool) {
            (Some(pool), None) => tracing::info!(
                "note: {file}: its output {} has several values of each feature, axis {}; their \
                 {pool} is used (‹pool›)",
                self.output,
                feed.axis
            ),
            (None, Some(pool)) => tracing::info!(
                "note: {file}: its output {} has one value of each feature; ‹pool› {pool} changes \
                 nothing",
                self.output
            ),
            _ => {}
        }
    }
}

/// Row `at` of `rows` beside the one row of `wanted`.
fn compare(rows: &Array2<f32>, wanted: &Array2<f32>, at: usize) -> Result<(), String> {
    let largest = rows.iter().chain(wanted).fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
    let pairs = rows.row(at).into_iter().zip(wanted);
    let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0f32, f32::max) / largest;
    if difference <= LEAK {
        return Ok(());
    }
    Err(format!(
        "what it answers to a patch depends on the others beside it, by {:.1} % of the largest value",
        100.0 * difference
    ))
}

/// The beginning of what an error says: runtimes write pages.
fn first_line(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn part(patches: &Array3<f32>, rows: std::ops::Range<usize>) -> ArrayView3<'_, f32> {
    patches.slice_axis(Axis(0), Slice::from(rows))
}

/// Seeded noise `[count, frames, features]` in the range of such patches.
pub(super) fn probes(patch: PatchKind, count: usize) -> Array3<f32> {
    let [frames, features] = patch.shape();
    let range = match patch {
        PatchKind::LogMel { .. } => -4.0..3.0,
        PatchKind::Picture { .. } => -2.0..2.0,
        PatchKind::Samples(_) => -0.5..0.5,
    };
    let mut random = ChaCha8Rng::seed_from_u64(0);
    Array3::from_shape_simple_fn((count, frames, features), || random.random_range(range.clone()))
}

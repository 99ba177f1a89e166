//! tract: pure Rust inference, linked into the program.
//!
//! tract wants to know every dimension before it optimizes a model, so a plan is built
//! for each input shape when it is first seen, from the model parsed once.
//!
//! On x86-64 most layers are computed by kernels of our own ([`nhwc`](super::nhwc)).
//!
//! A batch is run as single patches, or as a few at a time, spread over the threads: few enough
//! that what goes from layer to layer stays in the cache, and many where reading the weights again
//! for each patch takes longer.

use std::collections::BTreeMap;
use std::path::Path;
#[cfg(target_arch = "x86_64")]
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use ndarray::{ArrayD, ArrayViewD, Axis, Slice};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
#[cfg(target_arch = "x86_64")]
use tract_linalg::isa::{Isa, native};
use tract_linalg::multithread::{Executor, multithread_tract_scope};
use tract_onnx::pb::{ModelProto, NodeProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::{TractErrorContext, ensure};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::plan;

use super::axes::is_batch;
use super::failure::Failure;
use super::nhwc::{self, Kernels};
use super::profile::{Calls, Profile};
use super::session::{Device, Options, Runtime, Session, row_major};
use crate::error::{Cause, Error, Result};
use crate::onnx;
use crate::onnx::attributes::attribute;
use crate::onnx::prune::keep_what_outputs_need;
use crate::onnx::{Float, Port};
use crate::panics::{self, Panicked};

/// A model with more bytes of weights than this reads them from memory anew for each run;
/// then a run of a few patches is the faster one (VGGish's 288 MB: by a quarter).
const LARGE_WEIGHTS: usize = 32 << 20;
/// Patches per run of a model with large weights.
const LARGE_ROWS: usize = 8;

/// Maps of a patch up to these bytes leave room for those of others in the cache (half of a usual
/// second-level one); then weights are better read once for a few patches.
const SMALL_MAPS: usize = 1 << 20;
/// Patches per run of a model with small maps.
const SMALL_ROWS: usize = 4;

/// How often a worker without work looks for some before it offers its processor to others.
const PATIENCE: u32 = 1000;

/// Plans kept: each holds packed weights, and a program uses few batch sizes.
const PLANS: usize = 4;

fn error(reason: impl Into<Cause>) -> Error {
    Error::runtime(Runtime::Tract.name(), reason)
}

/// A model opened in tract.
pub(super) struct Tract {
    model: InferenceModel,
    input: Port,
    outputs: Vec<String>,
    metadata: BTreeMap<String, String>,
    device: Device,
    /// Threads besides the caller's; `None` if one is enough.
    pool: Option<Arc<ThreadPool>>,
    /// Rows of a batch to run at a time; `None` if it must be run as a whole.
    rows: Option<usize>,
    /// Whether the answer to one row, and the size of its maps, are still to be looked at.
    undecided: bool,
    /// Whether all threads share each part, for its weights are too large to be read by each.
    together: bool,
    /// What our own operators in the plans multiply with.
    kernels: Kernels,
    /// Input shape and plan, the most recently used last.
    plans: Vec<(Vec<usize>, Arc<dyn Runnable>)>,
}

/// Consecutive rows of a batch.
type Part<'a> = ArrayViewD<'a, f32>;

impl Tract {
    /// Opens the ONNX file `path`.
    pub(super) fn open(path: &Path, options: &Options) -> Result<Self> {
        let mut proto = onnx::read(path)?;
        let input = onnx::input(&proto, path)?;
        let outputs = onnx::outputs(&proto, path)?;
        leave_out_others(&mut proto, &outputs);
        warn_of_old_processor();
        let mut nodes = proto.graph.iter().flat_map(|graph| &graph.node);
        if let Some(operator) = nodes.find_map(miscomputed) {
            let reason = format!("{}: it computes {operator} wrongly", path.display());
            return Err(error(reason + "; another runtime may compute it rightly"));
        }
        let folder = path.parent().and_then(Path::to_str);
        let parsed = guarded(|| loader().parse(&proto, folder))
            .map_err(|fault| error(Failure::new(path.display(), fault)))?;
        if !parsed.unresolved_inputs.is_empty() {
            let names = parsed.unresolved_inputs;
            return Err(Error::onnx(path, format!("no node makes the inputs {names:?}")));
        }
        if let Some(operator) = unknown_operator(&parsed.model) {
            return Err(error(format!("{}: it has no operator {operator}", path.display())));
        }
        let threads = (options.threads > 1).then_some(options.threads);
        let pool = |count| ThreadPoolBuilder::new().num_threads(count).build().map(Arc::new);
        let by_row = |port: &Port| port.dims.first() == Some(&None);
        let splits =
            options.device == Device::Cpu && is_batch(&input) && outputs.iter().all(by_row);
        let large = onnx::weight_bytes(&proto) > LARGE_WEIGHTS;
        Ok(Self {
            model: parsed.model,
            input,
            outputs: outputs.into_iter().map(|port| port.name).collect(),
            metadata: onnx::metadata(&proto),
            device: options.device,
            pool: threads.map(pool).transpose().map_err(error)?,
            rows: splits.then_some(if large { LARGE_ROWS } else { 1 }),
            undecided: splits,
            together: large,
            kernels: Kernels::new(),
            plans: Vec::new(),
        })
    }

    /// The plan for inputs of this shape, built if it is new.
    fn plan(&mut self, shape: &[usize]) -> Result<Arc<dyn Runnable>> {
        let known = self.plans.iter().position(|(planned, _)| planned == shape);
        let entry = match known {
            Some(place) => self.plans.remove(place),
            None => (shape.to_vec(), self.build(shape)?),
        };
        if self.plans.len() >= PLANS {
            self.plans.remove(0);
        }
        let plan = Arc::clone(&entry.1);
        self.plans.push(entry);
        Ok(plan)
    }

    fn build(&mut self, shape: &[usize]) -> Result<Arc<dyn Runnable>> {
        let model = self.model.clone();
        let kernels = (self.device == Device::Cpu).then_some(&mut self.kernels);
        guarded(|| {
            let name = self.device.to_string();
            let runtime = runtime_for_name(&name)?;
            let runtime = runtime.with_context(|| format!("tract has no runtime \"{name}\""))?;
            let fact = datum(self.input.float).fact(shape);
            let model = model.with_input_fact(0, fact.into())?.into_typed()?;
            let plan: Arc<dyn Runnable> = runtime.prepare(simplified(model, kernels)?)?.into();
            if self.device == Device::Cuda {
                all_on_gpu(plan.as_ref())?;
            }
            Ok(plan)
        })
        .map_err(|fault| match self.device {
            Device::Cpu => error(fault),
            Device::Cuda => error(Failure::new("cuda", fault)),
        })
    }

    /// Decides how many rows of a batch of this shape, and of all after it, are run at a time: none
    /// by themselves if a single one has not an answer of one row.
    fn decide(&mut self, shape: &[usize]) {
        let one: Vec<usize> = [1].into_iter().chain(shape.iter().skip(1).copied()).collect();
        let model = self.model.clone();
        let fact = datum(self.input.float).fact(&one);
        let model = guarded(|| model.with_input_fact(0, fact.into())?.into_typed());
        let by_row = model.ok().filter(answers_one_row);
        self.rows = by_row.and_then(|model| match self.rows {
            Some(1) if guarded(|| largest_map(model)).is_ok_and(|most| most <= SMALL_MAPS) => {
                Some(SMALL_ROWS)
            }
            rows => rows,
        });
        self.undecided = false;
    }

    /// Into how many parts to split a batch, at `rows` rows each or so many that every
    /// thread has one.
    fn part_count(&self, batch: usize, rows: usize) -> usize {
        let rows = if self.together { rows } else { rows.min(batch.div_ceil(self.threads())) };
        batch.div_ceil(rows)
    }

    fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, |pool| pool.current_num_threads())
    }

    /// Runs a batch in `count` parts, at the same time if there are threads.
    fn run_in_parts(
        &mut self,
        input: &ArrayViewD<'_, f32>,
        count: usize,
    ) -> Result<Vec<PartOutputs>> {
        let parts = split(input, count);
        let plans = parts.iter().map(|part| self.plan(part.shape())).collect::<Result<Vec<_>>>()?;
        let numbers = datum(self.input.float);
        let run = |(plan, part): (&Arc<dyn Runnable>, &Part)| run(plan.as_ref(), part, numbers);
        let Some(pool) = &self.pool else {
            return plans.iter().zip(&parts).map(run).collect();
        };
        // With fewer parts than threads, the operators of each part share the others.
        let shared = self.together || count < self.threads();
        let executor =
            if shared { Executor::MultiThread(Arc::clone(pool)) } else { Executor::SingleThread };
        let run = |job: (&Arc<dyn Runnable>, &Part)| {
            multithread_tract_scope(executor.clone(), || run(job))
        };
        let all = || {
            if self.together {
                plans.iter().zip(&parts).map(run).collect()
            } else {
                plans.par_iter().zip(&parts).map(run).collect()
            }
        };
        apart(pool, || if shared { awake(pool, all) } else { all() })
    }
}

impl Tract {
    /// How long each operator takes for this input, of so many runs.
    pub(super) fn profile(&mut self, input: ArrayViewD<'_, f32>, runs: usize) -> Result<Profile> {
        self.input.check(input.shape()).map_err(error)?;
        let plan = self.build(input.shape())?;
        let numbers = datum(self.input.float);
        let timed = || guarded(|| timed(plan.as_ref(), &input, numbers, runs)).map_err(error);
        let Some(pool) = &self.pool else { return timed() };
        let executor = Executor::MultiThread(Arc::clone(pool));
        apart(pool, || awake(pool, || multithread_tract_scope(executor.clone(), timed)))
    }
}

impl Session for Tract {
    fn input(&self) -> &Port {
        &self.input
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn metadata(&self, key: &str) -> Option<String> {
        self.metadata.get(key).cloned()
    }

    fn run(&mut self, input: ArrayViewD<'_, f32>) -> Result<Vec<ArrayD<f32>>> {
        self.input.check(input.shape()).map_err(error)?;
        if self.undecided && input.len_of(Axis(0)) > 1 {
            self.decide(input.shape());
        }
        while let Some(rows) = self.rows {
            let count = self.part_count(input.len_of(Axis(0)), rows);
            match self.run_in_parts(&input, count).map(join) {
                Ok(Some(outputs)) => return Ok(outputs),
                // Some files are right about a single row only.
                _ if rows == SMALL_ROWS => self.rows = Some(1),
                // Some output is not made row by row.
                Ok(None) => self.rows = None,
                Err(error) => return Err(error),
            }
        }
        Ok(self.run_in_parts(&input, 1)?.swap_remove(0).outputs)
    }

    fn run_whole(&mut self, input: ArrayViewD<'_, f32>) -> Result<Vec<ArrayD<f32>>> {
        self.input.check(input.shape()).map_err(error)?;
        // A plan of its own, which is not kept: some weights in it are a second copy.
        let plan = self.build(input.shape())?;
        Ok(run(plan.as_ref(), &input, datum(self.input.float))?.outputs)
    }
}

/// Whether every output of the model, whose input is one row, has one row.
fn answers_one_row(model: &TypedModel) -> bool {
    let Ok(outputs) = model.output_outlets() else { return false };
    outputs.iter().all(|output| {
        let shape = model.outlet_fact(*output).ok().and_then(|fact| fact.shape.as_concrete());
        shape.and_then(<[usize]>::first) == Some(&1)
    })
}

/// Bytes of the largest tensor that is computed of the input, not of weights alone.
fn largest_map(mut model: TypedModel) -> TractResult<usize> {
    model.prop_consts()?;
    let facts = model.nodes().iter().flat_map(|node| &node.outputs).map(|output| &output.fact);
    let sizes = facts.filter(|fact| fact.konst.is_none()).filter_map(|f| f.shape.as_concrete());
    let bytes = |shape: &[usize]| {
        shape.iter().fold(size_of::<f32>(), |bytes, size| bytes.saturating_mul(*size))
    };
    Ok(sizes.map(bytes).max().unwrap_or(0))
}

/// The model in fewer operators, some of them ours if there are `kernels`.
fn simplified(mut model: TypedModel, kernels: Option<&mut Kernels>) -> TractResult<TypedModel> {
    refuse_operands_without_values(&model)?;
    let Some(kernels) = kernels else { return model.into_decluttered() };
    nhwc::adopt(&mut model, kernels)?;
    let mut model = model.into_decluttered()?;
    nhwc::fuse(&mut model)?;
    Ok(model)
}

/// tract 0.23 looks at the first value of a constant operand even where it has none, outside its
/// memory; and any operand without values may turn out to be a constant.
fn refuse_operands_without_values(model: &TypedModel) -> TractResult<()> {
    for node in model.nodes.iter().filter(|node| node.op_is::<TypedBinOp>()) {
        for input in &node.inputs {
            let mut sizes = model.outlet_fact(*input)?.shape.iter();
            let has_none = sizes.any(|size| *size == TDim::Val(0));
            ensure!(!has_none, "\"{}\" has an operand without values", node.name);
        }
    }
    Ok(())
}

/// Runs `work` in `pool` and only waits meanwhile. A worker of another pool would take up
/// other work of its own, and that may want the very session that the worker is using.
fn apart<T: Send>(pool: &ThreadPool, work: impl FnOnce() -> T + Send) -> T {
    if rayon::current_thread_index().is_none() {
        return pool.install(work);
    }
    thread::scope(|scope| {
        let waiting = scope.spawn(|| pool.install(work));
        waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Runs `work` on the first worker of `pool`, while the others look for parts of it without ever
/// falling asleep: waking one takes longer than many an operator does.
fn awake<T: Send>(pool: &ThreadPool, work: impl Fn() -> T + Sync) -> T {
    /// Tells so however the work ends.
    struct Over<'a>(&'a AtomicBool);

    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }

    let over = AtomicBool::new(false);
    let answers = pool.broadcast(|worker| {
        if worker.index() == 0 {
            let _over = Over(&over);
            return Some(work());
        }
        let mut idle = 0u32;
        while !over.load(Ordering::Acquire) {
            if rayon::yield_now() == Some(rayon::Yield::Executed) {
                idle = 0;
            } else if idle < PATIENCE {
                idle += 1;
                std::hint::spin_loop();
            } else {
                // Another program, or another thread of this one, may need the processor.
                thread::yield_now();
            }
        }
        None
    });
    let answer = answers.into_iter().flatten().next();
    answer.expect("the first worker has done the work, or its panic was passed on")
}

/// Takes outputs that are not among `kept`, and what only they need, out of a model: tract need
/// not know their operators, nor we their types.
fn leave_out_others(proto: &mut ModelProto, kept: &[Port]) {
    if let Some(graph) = &mut proto.graph
        && graph.output.len() > kept.len()
    {
        graph.output.retain(|output| kept.iter().any(|port| port.name == output.name));
        keep_what_outputs_need(graph);
    }
}

/// tract's name of a kind of numbers.
fn datum(float: Float) -> DatumType {
    match float {
        Float::Half => DatumType::F16,
        Float::Single => DatumType::F32,
        Float::Double => DatumType::F64,
    }
}

/// The outputs for a part of `rows` rows.
struct PartOutputs {
    rows: usize,
    outputs: Vec<ArrayD<f32>>,
}

/// The numbers of a part as tract takes them.
fn tensor(part: &Part, numbers: DatumType) -> TractResult<TValue> {
    let input = Tensor::from_shape(part.shape(), &row_major(part))?;
    let input =
        if numbers == DatumType::F32 { input } else { input.cast_to_dt(numbers)?.into_owned() };
    Ok(input.into())
}

/// Runs a plan, the clock read before and after each operator.
fn timed(
    plan: &dyn Runnable,
    part: &Part,
    numbers: DatumType,
    runs: usize,
) -> TractResult<Profile> {
    let plan = plan.typed_plan().context("the plan does not show its operators")?;
    let mut state = plan.spawn()?;
    let input = tensor(part, numbers)?;
    let mut calls = Calls::default();
    for _ in 0..Calls::runs_for(runs) {
        let begin = Instant::now();
        state.run_plan_with_eval(tvec!(input.clone()), |context, state, node, inputs| {
            let begin = Instant::now();
            let outputs = plan::eval(context, state, node, inputs);
            let seconds = begin.elapsed().as_secs_f64();
            // Constants and inputs are no work.
            if !node.inputs.is_empty() {
                calls.node(&format!("{:09}", node.id), &node.op.name(), seconds);
            }
            outputs
        })?;
        calls.run(begin.elapsed().as_secs_f64());
    }
    Ok(calls.profile())
}

fn run(plan: &dyn Runnable, part: &Part, numbers: DatumType) -> Result<PartOutputs> {
    guarded(|| {
        let outputs = plan.run(tvec!(tensor(part, numbers)?))?;
        let float = |output: TValue| -> TractResult<ArrayD<f32>> {
            let output = output.cast_to::<f32>()?;
            let data = output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
            Ok(ArrayD::from_shape_vec(output.shape(), data)?)
        };
        let outputs = outputs.into_iter().map(float).collect::<TractResult<_>>()?;
        Ok(PartOutputs { rows: part.shape().first().copied().unwrap_or(1), outputs })
    })
    .map_err(error)
}

/// `count` parts of consecutive rows whose sizes differ by one at most.
fn split<'a>(input: &'a ArrayViewD<'_, f32>, count: usize) -> Vec<Part<'a>> {
    let Some(&rows) = input.shape().first() else { return vec![input.view()] };
    let part = |part: usize| {
        input.slice_axis(Axis(0), Slice::from(part * rows / count..(part + 1) * rows / count))
    };
    (0..count).map(part).collect()
}

/// The outputs of all parts, one after the other; `None` unless each has its part's rows.
fn join(answers: Vec<PartOutputs>) -> Option<Vec<ArrayD<f32>>> {
    let by_row = |answer: &PartOutputs| {
        answer.outputs.iter().all(|output| output.shape().first() == Some(&answer.rows))
    };
    if !answers.iter().all(by_row) {
        return None;
    }
    let mut parts = answers.into_iter().map(|answer| answer.outputs);
    let mut joined = parts.next()?;
    for outputs in parts {
        for (all, output) in joined.iter_mut().zip(outputs) {
            all.append(Axis(0), output.view()).ok()?;
        }
    }
    Some(joined)
}

/// The first operator that tract does not know: it parses a model around it.
fn unknown_operator(model: &InferenceModel) -> Option<String> {
    model.nodes().iter().find_map(|node| unknown(&node.op.name()))
}

/// Says once that tract 0.23 gives wrong numbers for front ends in a graph where an x86 processor
/// has no FMA.
fn warn_of_old_processor() {
    #[cfg(target_arch = "x86_64")]
    {
        static SAID: Once = Once::new();
        if !native().has(Isa::X86_64Fma) {
            SAID.call_once(|| {
                tracing::warn!(
                    "tract is known to compute wrongly on processors without FMA, as this one: \
                     choose ‹runtime› ort, above all for files that take sound"
                );
            });
        }
    }
}

/// What of the node, or of the graphs in it, tract 0.23 is known to give wrong numbers for.
fn miscomputed(node: &NodeProto) -> Option<&'static str> {
    match &*node.op_type {
        "GlobalLpPool" => Some("GlobalLpPool"),
        "ConvTranspose" if attribute(node, "output_shape").is_some() => {
            Some("ConvTranspose with an output_shape")
        }
        _ => {
            let graphs = node.attribute.iter().filter_map(|attribute| attribute.g.as_ref());
            graphs.flat_map(|graph| &graph.node).find_map(miscomputed)
        }
    }
}

/// The operator that a node of tract's is called after, if tract does not know it.
pub(super) fn unknown(name: &str) -> Option<String> {
    Some(name.strip_prefix("Unimplemented(")?.strip_suffix(')')?.to_owned())
}

/// Fails if tract left any operator on the processor.
fn all_on_gpu(plan: &dyn Runnable) -> TractResult<()> {
    // tract's CUDA operators and its transfers are named so; constants are data.
    let placed = ["Cuda", "Gpu", "DeviceSync", "Source", "Const"];
    let model = plan.typed_model().context("the plan does not show its operators")?;
    let names = model.nodes().iter().map(|node| node.op.name());
    let left: Vec<_> =
        names.filter(|name| !placed.iter().any(|prefix| name.starts_with(prefix))).collect();
    ensure!(
        left.is_empty(),
        "tract has no CUDA kernel for {left:?}, which would run on the processor"
    );
    Ok(())
}

/// What tract answers instead of a result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// With all its causes, for tract's own text is often only "Failed analyse for node …".
    #[error("{source:#}")]
    Error { source: TractError },
    /// With its message.
    #[error("tract panicked: {0}")]
    Panic(Panicked),
}

/// Runs a piece of tract, which still answers some malformed or unsupported models with a
/// panic (`unimplemented!` for element types, an index for missing names).
pub(super) fn guarded<T>(work: impl FnOnce() -> TractResult<T>) -> Result<T, Fault> {
    match panics::caught(work) {
        Ok(result) => result.map_err(|source| Fault::Error { source }),
        Err(panic) => Err(Fault::Panic(panic)),
    }
}

/// tract's loader, told not to believe the shapes that a file notes beside its tensors:
/// exporters leave the batch of their sample input there. The input's own shape counts.
pub(super) fn loader() -> tract_onnx::Onnx {
    tract_onnx::onnx().with_ignore_value_info(true).with_ignore_output_shapes(true)
}

//! The graph under ONNX Runtime: the only file that names its crate.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProvider as _};
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{OutputSelector, RunOptions, Session, SessionOutputs};
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

use super::engine::{
    Backend, EngineFacts, EngineOptions, HeadBackend, Outputs, Provider, ProviderChoice, Take,
    Wanted,
};
use super::locate::{self, Found, Surroundings};
use super::{Batch, Cause, ModelCard, ModelError, cuda};

/// The library, loaded: a process can load one only, and it stays.
#[derive(Clone)]
struct Runtime {
    path: PathBuf,
    version: String,
    environment: Environment,
}

static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

/// What ONNX Runtime itself complained of last: it says more in its log than in its errors.
static COMPLAINT: Mutex<String> = Mutex::new(String::new());

/// Finds and loads the library and decides on the provider; opens no graph.
///
/// # Errors
/// When there is no usable ONNX Runtime, or the GPU that was asked for cannot be had.
pub fn facts(options: &EngineOptions) -> Result<EngineFacts, ModelError> {
    let found = locate::locate(options.library.as_deref(), &Surroundings::of_process())?;
    let runtime = load(&found)?;
    let (provider, fallback) = match options.provider {
        ProviderChoice::Cpu => (Provider::Cpu, None),
        ProviderChoice::Cuda => {
            check_cuda(&runtime, options.tf32)?;
            (Provider::Cuda, None)
        }
        ProviderChoice::Auto => match check_cuda(&runtime, options.tf32) {
            Ok(()) => (Provider::Cuda, None),
            Err(ModelError::NoCuda { problem, .. }) => (Provider::Cpu, Some(problem)),
            Err(error) => return Err(error),
        },
    };
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    Ok(EngineFacts {
        runtime_version: runtime.version,
        library: runtime.path,
        provider,
        fallback,
        threads: options.threads.unwrap_or_else(cores),
        tf32: options.tf32 && provider == Provider::Cuda,
    })
}

fn load(found: &Found) -> Result<Runtime, ModelError> {
    let bad = |problem: String| ModelError::BadRuntime { path: found.path.clone(), problem };
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*loaded {
        if runtime.path == found.path {
            return Ok(runtime.clone());
        }
        return Err(match ort::util::probe(&found.path) {
            None => bad("it is no ONNX Runtime library".to_owned()),
            Some(_) => bad(format!(
                "this process has loaded {} already, and can load one only",
                runtime.path.display()
            )),
        });
    }
    let builder = ort::init_from(&found.path).map_err(|e| match e {
        ort::LoadDynamicError::Dlopen { .. } if found.by_loader => {
            ModelError::NoRuntime { tried: found.tried.clone() }
        }
        ort::LoadDynamicError::Dlopen { error, .. } => {
            // The loader's own words, such as a wrong file header, are the source.
            bad(std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string))
        }
        ort::LoadDynamicError::MissingApi { .. } => {
            bad("it is no ONNX Runtime library: it lacks OrtGetApiBase".to_owned())
        }
        ort::LoadDynamicError::BadVersion { version_str, .. } => bad(format!(
            "it is version {version_str}, and aqlens needs 1.{} or newer",
            ort::MINOR_VERSION
        )),
        other @ ort::LoadDynamicError::InvalidVersionString => bad(other.to_string()),
    })?;
    let environment = builder
        .with_name("aqlens")
        .with_telemetry(false)
        .with_logger(Arc::new(|level, _: &str, _: &str, _: &str, message: &str| {
            if level >= LogLevel::Error {
                message.clone_into(&mut COMPLAINT.lock().unwrap_or_else(PoisonError::into_inner));
            }
        }))
        .build()
        .map_err(|e| bad(e.to_string()))?;
    environment.set_log_level(LogLevel::Error);
    let runtime = Runtime { path: found.path.clone(), version: version(&found.path), environment };
    *loaded = Some(runtime.clone());
    Ok(runtime)
}

/// The version: whole from the file's name, else as far as the library tells it.
fn version(path: &Path) -> String {
    let minor = ort::util::probe(path);
    let named = locate::version_in_name(path);
    match (named, minor) {
        (Some(named), Some(minor)) if named.starts_with(&format!("1.{minor}.")) => named,
        (Some(named), None) => named,
        (_, Some(minor)) => format!("1.{minor}"),
        (None, None) => "unknown".to_owned(),
    }
}

/// Whether sessions can be made for the GPU; loads the provider and asks it for its device.
fn check_cuda(runtime: &Runtime, tf32: bool) -> Result<(), ModelError> {
    if !CUDA::is_available().unwrap_or(false) {
        return Err(cuda::no_provider(&runtime.version, &runtime.path));
    }
    for library in cuda::libraries(&runtime.path) {
        // One that does not load is told of by the provider itself, if it needs it.
        let _ = ort::util::preload_dylib(&library);
    }
    complaint();
    let registered = Session::builder(&runtime.environment)
        .map_err(|e| e.to_string())
        .and_then(|builder| with_cuda(builder, tf32).map_err(|e| e.to_string()));
    registered.map(|_| ()).map_err(|problem| {
        let more = complaint();
        cuda::not_started(if more.is_empty() { &problem } else { &more })
    })
}

/// Takes what ONNX Runtime complained of since the last call.
fn complaint() -> String {
    std::mem::take(&mut *COMPLAINT.lock().unwrap_or_else(PoisonError::into_inner))
}

fn with_cuda(builder: SessionBuilder, tf32: bool) -> Result<SessionBuilder, Cause> {
    let cuda = CUDA::default().with_device_id(0).with_tf32(tf32);
    builder.with_execution_providers([cuda.build().error_on_failure()]).map_err(|e| cause(&e))
}

/// The library's words only: its own error types hold pointers into it.
fn cause(error: &dyn std::fmt::Display) -> Cause {
    error.to_string().into()
}

/// An open graph.
pub(super) struct OnnxSession {
    session: Session,
    path: PathBuf,
    n_head: usize,
    d_model: usize,
    vocab_size: usize,
}

impl OnnxSession {
    /// Loads the graph of a model folder and checks its inputs and outputs.
    ///
    /// # Errors
    /// When ONNX Runtime refuses it, or it lacks an output that the card promises.
    pub(super) fn open(card: &ModelCard, facts: &EngineFacts) -> Result<Self, ModelError> {
        let path = card.graph_path();
        let session = open(facts, &path)?;
        check_graph(card, session.inputs(), session.outputs())
            .map_err(|problem| ModelError::Graph { path: path.clone(), problem })?;
        Ok(Self {
            session,
            path,
            n_head: card.n_head as usize,
            d_model: card.d_model,
            vocab_size: card.vocab_size,
        })
    }
}

/// Loads the graph of a file.
fn open(facts: &EngineFacts, path: &Path) -> Result<Session, ModelError> {
    let runtime = LOADED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let runtime = runtime.expect("facts are known, so the library is loaded");
    commit(&runtime.environment, facts, path)
        .map_err(|source| ModelError::Open { path: path.to_owned(), source })
}

fn commit(environment: &Environment, facts: &EngineFacts, path: &Path) -> Result<Session, Cause> {
    let mut builder = configure(environment, facts.threads).map_err(|e| cause(&e))?;
    if facts.provider == Provider::Cuda {
        builder = with_cuda(builder, facts.tf32)?;
    }
    builder.commit_from_file(path).map_err(|e| cause(&e))
}

fn configure(environment: &Environment, threads: usize) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        // Batches differ in shape: a memory pattern for each would only fill memory.
        .with_memory_pattern(false)?
        // Threads that wait do not spin: tables are written on the same cores at the same time, and
        // a busy machine gave up to a third more tokens a second without.
        .with_intra_op_spinning(false)?
        .with_deterministic_compute(true)?)
}

/// Checks that a graph has the inputs and outputs of a model folder's graph.
fn check_graph(card: &ModelCard, inputs: &[Outlet], outputs: &[Outlet]) -> Result<(), String> {
    for name in ["input_ids", "attention_mask"] {
        check_outlet("input", inputs, name, TensorElementType::Int64, &[-1, -1])?;
    }
    if let Some(other) =
        inputs.iter().find(|i| !["input_ids", "attention_mask"].contains(&i.name()))
    {
        return Err(format!("has input '{}', which aqlens does not know", other.name()));
    }
    let (heads, width) = (i64::from(card.n_head), card.d_model as i64);
    let float = TensorElementType::Float32;
    check_outlet("output", outputs, "logits", float, &[-1, card.vocab_size as i64])?;
    for layer in 0..card.n_layer {
        check_outlet("output", outputs, &hidden_name(layer), float, &[-1, -1, width])?;
        check_outlet("output", outputs, &attention_name(layer), float, &[-1, heads, -1, -1])?;
    }
    Ok(())
}

/// Checks one input or output; -1 stands for any size, on either side.
fn check_outlet(
    what: &str,
    outlets: &[Outlet],
    name: &str,
    kind: TensorElementType,
    shape: &[i64],
) -> Result<(), String> {
    let Some(outlet) = outlets.iter().find(|outlet| outlet.name() == name) else {
        return Err(format!("lacks {what} '{name}'"));
    };
    let fits = match outlet.dtype() {
        ValueType::Tensor { ty, shape: found, .. } => {
            let same = |(a, b): (&i64, &i64)| *a == -1 || *b == -1 || a == b;
            *ty == kind && found.len() == shape.len() && found.iter().zip(shape).all(same)
        }
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(format!("has {what} '{name}' of type {:?}, expected {kind:?} {shape:?}", outlet.dtype()))
}

fn hidden_name(layer: i16) -> String {
    format!("hidden.{layer}")
}

fn attention_name(layer: i16) -> String {
    format!("attention.{layer}")
}

impl Backend for OnnxSession {
    fn run(
        &mut self,
        batch: &Batch,
        wanted: &Wanted,
        take: &mut Take<'_>,
    ) -> Result<(), ModelError> {
        let (rows, seq) = (batch.lengths.len(), batch.seq);
        let (heads, width, vocab) = (self.n_head, self.d_model, self.vocab_size);
        let failed = |source| ModelError::Run { batch: rows, seq, source };
        let hidden: Vec<String> = wanted.hidden.iter().map(|l| hidden_name(*l)).collect();
        let attention: Vec<String> = wanted.attention.iter().map(|l| attention_name(*l)).collect();
        // Only what is asked for is fetched: on a GPU nothing else is copied.
        let selected = hidden
            .iter()
            .chain(&attention)
            .fold(OutputSelector::no_default().with("logits"), OutputSelector::with);
        let options = RunOptions::new().map_err(|e| failed(cause(&e)))?.with_outputs(selected);
        let tensor = |values| TensorRef::from_array_view(([rows, seq], values));
        let ids = tensor(batch.ids.as_slice()).map_err(|e| failed(cause(&e)))?;
        let mask = tensor(batch.mask.as_slice()).map_err(|e| failed(cause(&e)))?;
        let inputs = ort::inputs!["input_ids" => ids, "attention_mask" => mask];
        let outputs =
            self.session.run_with_options(inputs, &options).map_err(|e| failed(cause(&e)))?;
        let borrow = |name: &str, shape: &[usize]| {
            borrow(&outputs, name, shape)
                .map_err(|problem| ModelError::Graph { path: self.path.clone(), problem })
        };
        let borrow_all = |names: &[String], shape: &[usize]| -> Result<Vec<&[f32]>, ModelError> {
            names.iter().map(|name| borrow(name, shape)).collect()
        };
        take(&Outputs {
            logits: borrow("logits", &[rows, vocab])?,
            hidden: borrow_all(&hidden, &[rows, seq, width])?,
            attention: borrow_all(&attention, &[rows, heads, seq, seq])?,
        });
        Ok(())
    }
}

/// The open head graph.
pub(super) struct HeadSession {
    session: Session,
    path: PathBuf,
    d_model: usize,
    vocab_size: usize,
}

impl HeadSession {
    /// Loads the head of a model folder and checks its input and output.
    ///
    /// # Errors
    /// When the folder has none, or ONNX Runtime refuses it.
    pub(super) fn open(card: &ModelCard, facts: &EngineFacts) -> Result<Self, ModelError> {
        let none = || ModelError::NoHead { path: card.folder.clone() };
        let path = card.head_path().ok_or_else(none)?;
        let session = open(facts, &path)?;
        let (d_model, vocab_size) = (card.d_model, card.vocab_size);
        let float = TensorElementType::Float32;
        check_outlet("input", session.inputs(), "hidden", float, &[-1, d_model as i64])
            .and_then(|()| {
                let shape = [-1, vocab_size as i64];
                check_outlet("output", session.outputs(), "logits", float, &shape)
            })
            .map_err(|problem| ModelError::Graph { path: path.clone(), problem })?;
        Ok(Self { session, path, d_model, vocab_size })
    }
}

impl HeadBackend for HeadSession {
    fn run(&mut self, hidden: &[f32]) -> Result<Vec<f32>, ModelError> {
        let rows = hidden.len() / self.d_model;
        let failed = |source| ModelError::Head { rows, source };
        let input = TensorRef::from_array_view(([rows, self.d_model], hidden));
        let input = input.map_err(|e| failed(cause(&e)))?;
        let outputs = self.session.run(ort::inputs!["hidden" => input]);
        let outputs = outputs.map_err(|e| failed(cause(&e)))?;
        let logits = borrow(&outputs, "logits", &[rows, self.vocab_size])
            .map_err(|problem| ModelError::Graph { path: self.path.clone(), problem })?;
        Ok(logits.to_vec())
    }
}

/// Borrows one output's numbers from ONNX Runtime's buffer, after checking its shape.
fn borrow<'o>(
    outputs: &'o SessionOutputs<'_>,
    name: &str,
    shape: &[usize],
) -> Result<&'o [f32], String> {
    let (found, values) =
        outputs[name].try_extract_tensor::<f32>().map_err(|e| format!("gives no {name}: {e}"))?;
    if found.iter().map(|n| *n as usize).eq(shape.iter().copied()) {
        return Ok(values);
    }
    Err(format!("gives output '{name}' of shape {:?}, expected {shape:?}", &found[..]))
}

//! The graphs under ONNX Runtime: the only module that names its crate.

mod graph;
mod head;
mod patch;
mod version;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use ort::environment::Environment;
use ort::ep::{CUDA, ExecutionProvider as _};
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::locate::{Found, Surroundings, locate};
use super::options::{EngineFacts, EngineOptions, Provider, ProviderChoice};
use super::{Cause, ModelError, cuda};
use crate::guard;

pub(super) use graph::OnnxSession;
pub(super) use head::HeadSession;
pub(super) use patch::PatchSession;

/// The library, loaded: a process can load one only, and it stays.
#[derive(Clone)]
struct Runtime {
    path: PathBuf,
    version: String,
    environment: Environment,
}

static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

/// What ONNX Runtime itself complained of last: its log says more than its errors.
static COMPLAINT: Mutex<String> = Mutex::new(String::new());

/// Finds and loads the library and decides on the provider; opens no graph.
///
/// # Errors
/// When there is no usable ONNX Runtime, or the GPU that was asked for is not available.
pub fn facts(options: &EngineOptions) -> Result<EngineFacts, ModelError> {
    let found = locate(options.library.as_deref(), &Surroundings::of_process())?;
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
    let (builder, version) = version::listen(|| ort::init_from(&found.path));
    let builder = builder.map_err(|e| match e {
        ort::LoadDynamicError::Dlopen { error, .. } => {
            // What the loader says, such as a wrong file header, is the source.
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
    // The crate gives the minor version in any case.
    let minor = || ort::util::probe(&found.path).map(|minor| format!("1.{minor}"));
    let version = version.or_else(minor).unwrap_or_else(|| "unknown".to_owned());
    let runtime = Runtime { path: found.path.clone(), version, environment };
    *loaded = Some(runtime.clone());
    Ok(runtime)
}

/// Whether sessions can be made for the GPU; loads the provider and asks it for its device.
fn check_cuda(runtime: &Runtime, tf32: bool) -> Result<(), ModelError> {
    if !CUDA::is_available().unwrap_or(false) {
        return Err(cuda::no_provider(&runtime.version, &runtime.path));
    }
    for library in cuda::libraries(&runtime.path) {
        // A library that does not load is reported by the provider itself, if it needs it.
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

/// Loads the graph of a file, to compute with that many threads.
fn open(facts: &EngineFacts, threads: usize, path: &Path) -> Result<Session, ModelError> {
    let runtime = LOADED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let runtime = runtime.expect("facts are known, so the library is loaded");
    // The crate expects names that are UTF-8, and whatever else a graph of its own kind has.
    guard::caught(|| commit(&runtime.environment, facts, threads, path))
        .unwrap_or_else(|words| Err(cause(&words)))
        .map_err(|source| ModelError::Open { path: path.to_owned(), source })
}

fn commit(
    environment: &Environment,
    facts: &EngineFacts,
    threads: usize,
    path: &Path,
) -> Result<Session, Cause> {
    let mut builder = configure(environment, threads).map_err(|e| cause(&e))?;
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

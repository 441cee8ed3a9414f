//! The model: its folder, its tokenizer and its graph under ONNX Runtime.
//!
//! Only [`onnx`] names the runtime's crate. Nothing here knows Parquet.

pub mod batch;
pub mod card;
mod cuda;
pub mod engine;
mod error;
pub mod locate;
pub mod onnx;
pub mod prefix;
mod probe;
mod reference;
mod sessions;
pub mod tokens;

pub use batch::{Batch, plan_batches};
pub use card::{CARD, ModelCard};
pub use engine::{
    Backend, Engine, EngineFacts, EngineOptions, HeadBackend, Outputs, Provider, ProviderChoice,
    Take, Wanted,
};
pub use error::{Cause, ModelError};
pub use prefix::{Past, PrefixPlan, PrefixSet, Prefixes, plan_prefixes};
pub use probe::Tolerance;
pub use reference::Probe;
pub use tokens::{Encoded, Tokenizer};

use std::panic;
use std::thread::ScopedJoinHandle;

/// What a thread gave; goes on with its panic.
pub(crate) fn end_of<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
}

//! The model: its folder, its tokenizer and its graph under ONNX Runtime.
//!
//! Only [`onnx`] names the runtime's crate. Nothing here knows Parquet.

mod backend;
pub mod batch;
pub mod card;
pub mod chat;
mod cuda;
mod engine;
mod error;
mod external;
mod files;
pub mod locate;
mod memory;
pub mod onnx;
mod options;
pub mod prefix;
mod probe;
mod protobuf;
mod reference;
mod repeats;
mod sessions;
pub mod tokens;

use std::panic;
use std::thread::ScopedJoinHandle;

pub use backend::{Backend, HeadBackend, Outputs, PatchBackend, Scores, Streams, Take, Wanted};
pub use batch::{Batch, Past, Prefixes, plan_batches};
pub use card::{
    Accuracy, CARD, CardTokens, Distances, Dtype, FileFacts, FileRole, ModelCard, NamedToken,
    Positions, Source,
};
pub use chat::{ChatOptions, ChatTemplate, ChatValue};
pub use engine::Engine;
pub use error::{Cause, ModelError};
pub use memory::free_memory;
pub use options::{EngineFacts, EngineOptions, Provider, ProviderChoice};
pub use prefix::{PrefixPlan, PrefixSet, plan_prefixes};
pub use probe::Tolerance;
pub use reference::{Conversation, Message, Probe, TextProbe};
pub use repeats::{Repeats, find_repeats};
pub use tokens::{Encoded, SpecialTokens, Specials, Tokenizer};

/// What a thread gave; a panic in it continues in the caller.
pub(crate) fn end_of<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|reason| panic::resume_unwind(reason))
}

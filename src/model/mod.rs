//! The model: its folder, its tokenizer and its graph under ONNX Runtime.
//!
//! Only [`onnx`] names the runtime's crate. Nothing here knows Parquet.

pub mod card;
pub mod engine;
pub mod onnx;
pub mod tokens;

pub use card::ModelCard;
pub use engine::{Engine, Provider, ProviderChoice};
pub use tokens::Tokenizer;

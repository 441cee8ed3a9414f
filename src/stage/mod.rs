//! The stages: one file each, the same shape. A stage reads parts of tables and writes parts of
//! tables; it knows neither YAML text nor the terminal nor the other stages.

pub mod alignment;
pub mod attention;
pub mod contrast;
pub mod divergence;
pub mod effect;
pub mod explain;
pub mod extract;
pub mod geometry;
pub mod kinds;
pub mod lens;
pub mod measure;
pub mod outputs;
pub mod reference;
pub mod report;
pub mod segments;
pub mod similarity;
pub mod summary;
pub mod surprisal;
pub mod tokens;
pub mod variance;
pub mod vector_measure;
pub mod vectors;

mod batches;
mod columns;
mod compare;
mod context;
mod designs;
mod draws;
mod frame;
mod head;
mod hidden;
mod prompts;
mod reread;
mod spaces;
mod spans;
mod weights;

pub use context::{Compute, Context, Facts, Finish, Outcome, Scope, Stage, StageError};
pub use kinds::{KINDS, StageConfig};

//! The stages: one file each, the same shape. A stage reads parts of tables and writes parts of
//! tables; it knows neither YAML text nor the terminal nor the other stages.

pub mod attention;
pub mod divergence;
pub mod effect;
pub mod extract;
pub mod geometry;
pub mod kinds;
pub mod lens;
pub mod measure;
pub mod outputs;
pub mod report;
pub mod segments;
pub mod similarity;
pub mod summary;
pub mod surprisal;
pub mod tokens;
pub mod variance;

mod columns;
mod context;
mod designs;
mod draws;
mod frame;
mod head;
mod prompts;
mod weights;

pub use context::{Compute, Context, Facts, Finish, Outcome, Scope, Stage, StageError};
pub use kinds::{KINDS, StageConfig};

//! The stages: one file each, the same shape. A stage reads parts of tables and writes parts of
//! tables; it knows neither YAML text nor the terminal nor the other stages.

pub mod attention;
pub mod divergence;
pub mod extract;
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

mod columns;
mod context;
mod frame;
mod head;
mod prompts;
mod weights;

pub use context::{Compute, Context, Facts, Finish, Outcome, Scope, Stage, StageError};
pub use kinds::{KINDS, StageConfig};

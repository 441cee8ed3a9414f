//! The stages: one file each, the same shape. A stage reads parts of tables and writes parts of
//! tables; it knows neither YAML text nor the terminal nor the other stages.

mod context;
pub mod extract;

pub use context::{Context, Facts, Outcome, Scope, Stage, StageError};

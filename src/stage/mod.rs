//! What a stage is, and the tools that the stages share. A stage reads parts of tables and writes
//! parts of tables; it knows neither YAML text nor the terminal nor the other stages. The stages
//! themselves are in module `stages`.

pub mod compare;
mod context;
mod description;
pub(crate) mod draws;
pub mod feasible;
pub mod form;
pub mod judged;
pub(crate) mod model;
pub mod names;
pub(crate) mod read;

pub use context::{Compute, Context, Facts, Finish, Outcome, Stage, StageError};
pub use description::{DependsOn, Description, Scope};

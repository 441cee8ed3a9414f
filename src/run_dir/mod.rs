//! What a run directory is: the names of its files, the record of the run, receipts, the summary,
//! and a way to open one.

pub mod judgements;
pub mod layout;
pub mod made_by;
mod open;
pub mod receipt;
pub mod record;
pub mod summary;

pub use open::{OpenError, RunDir};

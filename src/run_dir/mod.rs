//! What a run directory is: its files, the record of the run, receipts, the summary.

pub mod layout;
pub mod receipt;
pub mod record;
pub mod summary;

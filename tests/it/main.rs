//! All integration tests, in one binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(missing_docs, reason = "tests are named as sentences")]

mod config_errors;
mod determinism;
mod invariance;
mod model;
mod report;
mod stage;
mod tiny;

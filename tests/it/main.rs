//! All integration tests, in one binary.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(missing_docs, reason = "tests are named as sentences")]

mod beside;
mod causes;
mod chat;
mod check;
mod cli;
mod compare;
mod config_errors;
mod damage;
mod demo;
mod determinism;
mod finished;
mod frozen;
mod full_disk;
mod fuzz;
mod head;
mod hostile_records;
mod inputs;
mod invariance;
mod join;
mod judged;
mod kill;
mod kinds;
mod laundered;
mod layers;
mod limits;
mod meant;
mod model;
mod model_format2;
mod model_strangers;
mod overlap;
mod own_files;
#[cfg(target_os = "linux")]
mod page_cache;
mod parity;
mod pinned;
mod pipeline_schema;
mod plan;
mod prefixes;
mod readers;
mod readout;
mod recheck;
mod reference;
mod released;
mod repeats;
mod report;
mod resume;
mod runtime;
mod scheduling;
mod schema;
mod self_proof;
mod shards;
mod show;
mod signals;
mod skipped;
mod slow_unlink;
mod special_tokens;
mod stage;
mod strangers;
mod support;
mod tokenizer_layouts;
#[cfg(unix)]
mod units;
mod uses;
mod versions;

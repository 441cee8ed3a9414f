//! `aqlens` asks whether the same input becomes something else inside a language model when the
//! task around it changes.
//!
//! ```text
//! pipeline.yml -> pipeline (yaml, model): scenario x input x task -> prompts -> shards of inputs
//!   each shard -> stages (stage): extract runs the model -> prompts, activations, attention, logits
//!                 similarity, attention, tokens, ...     -> their tables and receipts (table)
//!   all shards -> stages: divergence, effect, ...        -> summary.json, report.html (render)
//!                 all of them files of one folder (run_dir, store)
//!
//! run does what ledger does not find done; verify compares the files with their receipts, compare finished
//! runs with each other
//! ```
//!
//! The modules form layers, lowest first; a module uses only modules declared above it (a test reads
//! this file and enforces it), and no two files import each other:
//!
//! | layer | modules | what they are |
//! |---|---|---|
//! | 0 | [`prompt`], [`monitor`], [`guard`], [`math`] | prompts and their keys, progress events, foreign code that may panic, pure numerics |
//! | 1 | [`store`], [`yaml`] | files that appear whole; YAML text, spans and problems |
//! | 2 | [`model`] | model folder, tokenizer, ONNX Runtime |
//! | 3 | [`run_dir`] | a run directory: its names, record, receipts, summary |
//! | 4 | [`table`], [`render`] | every table's columns, its reader and writer; SVG and HTML |
//! | 5 | [`stage`] | what a stage is, and the tools that stages share |
//! | 6 | [`stages`] | one file or folder for each stage, and the one list of them |
//! | 7 | [`pipeline`] | what is to be done: configuration, inputs, plan |
//! | 8 | [`ledger`], [`verify`], [`compare`] | what is done: receipts compared with the plan, files with receipts, a run with another |
//! | 9 | [`run`] | does what is not done yet, shard after shard |
//! | 10 | [`cli`] | the command line and the terminal |

#![forbid(unsafe_code)]

pub mod prompt;

pub mod monitor;

pub mod guard;

pub mod math;

pub mod store;

pub mod yaml;

pub mod model;

pub mod run_dir;

pub mod table;

pub mod render;

pub mod stage;

pub mod stages;

pub mod pipeline;

pub mod ledger;

pub mod verify;

pub mod compare;

pub mod run;

pub mod cli;

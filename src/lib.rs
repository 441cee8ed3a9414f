//! `aqlens` asks whether the same input becomes something else inside a language model when the
//! task around it changes.
//!
//! ```text
//! pipeline.yml -> check -> plan: scenario x input x task -> prompts -> shards of whole inputs
//!    each shard:  extract (ONNX Runtime)           -> prompts, activations, attention, logits
//!                 similarity | attention | tokens  -> their tables
//!    all shards:  divergence -> summary -> report
//! ```
//!
//! The modules stand in layers, lowest first; a module uses only modules declared above it (a test
//! reads this file and enforces it):
//!
//! | layer | modules | what they are |
//! |---|---|---|
//! | 0 | [`prompt`], [`monitor`], [`math`] | keys and prompts, progress events, pure numerics |
//! | 1 | [`store`], [`spec`] | atomic files of a run directory; YAML text, spans and problems |
//! | 2 | [`table`] | every table's columns, its Parquet writer and reader, receipts |
//! | 3 | [`model`], [`render`] | model folder, tokenizer, ONNX Runtime; SVG and HTML |
//! | 4 | [`stage`] | one file a stage |
//! | 5 | [`pipeline`] | configuration, plan, fingerprints, the executor |
//! | 6 | [`cli`] | the command line and the terminal |

#![forbid(unsafe_code)]

pub mod prompt;

pub mod monitor;

pub mod math;

pub mod store;

pub mod spec;

pub mod table;

pub mod model;

pub mod render;

pub mod stage;

pub mod pipeline;

pub mod cli;

//! About how much memory a run takes, and how much there is.
//!
//! An estimate of what grows: the copies of the model, two shards' raw tables, and the rows of all pairs of
//! tasks of one shard, which a stage holds until it writes them. Their number grows with the square of
//! the tasks, and the stage that has most of them decides.

use std::fs;

use super::lengths::Lengths;
use crate::pipeline::Pipeline;
use crate::stage::Stage;

/// Of a process without a model: code, threads, buffers of writers.
const BASE: u64 = 120 << 20;

/// Bytes that a row of a pair of tasks takes while it is made and written, measured: 355 in stage
/// `similarity` with all measures, 420 in `segments`, 525 in `explain`.
const ROW: u64 = 450;

/// Measures of a token, a span or a distribution in tables of a row each.
const SEGMENTS: u64 = 4;

/// About how many bytes a process of the run takes at most, with so many copies of the model open.
pub(super) fn of_run(pipeline: &Pipeline, lengths: &Lengths, copies: usize) -> u64 {
    let card = &pipeline.card;
    let layers = pipeline.layers.len() as u64;
    let of_token = layers * card.d_model as u64 + (layers + 1) * card.n_head as u64;
    let numbers = lengths.most_tokens * of_token + lengths.most_fit * card.vocab_size as u64;
    let raw = 2 * numbers * size_of::<f32>() as u64;
    let tokens = lengths.tokens.div_ceil(lengths.fit.max(1));
    let rows = |stage: &dyn Stage| {
        let settings = stage.settings();
        let measures = settings["measures"].as_array().map_or(1, Vec::len) as u64;
        let heads = if settings["heads"] == "all" { card.n_head as u64 + 1 } else { 1 };
        match stage.kind() {
            "similarity" => layers * measures,
            "segments" => (layers + 1) * heads * SEGMENTS,
            "explain" => layers * tokens,
            "lens" => card.n_layer as u64,
            "attention" | "outputs" => heads * measures,
            _ => 0,
        }
    };
    let rows = pipeline.stages.iter().map(|stage| rows(stage.as_ref())).max().unwrap_or(0);
    let pairs = lengths.most_pairs.saturating_mul(rows).saturating_mul(ROW);
    BASE + copies as u64 * card.weights_bytes() + raw + pairs
}

/// How many bytes this process can have: what the machine has free, or its container or `ulimit -v` grants,
/// whichever is least; `None` where the system does not say.
pub(super) fn of_machine() -> Option<u64> {
    let kib = |text: &str| text.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10);
    let line = |file: &str, name: &str| {
        let text = fs::read_to_string(file).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned))
    };
    let free = line("/proc/meminfo", "MemAvailable:").and_then(|text| kib(&text));
    let limit = line("/proc/self/limits", "Max address space");
    let limit = limit.and_then(|text| text.split_whitespace().next()?.parse().ok());
    let granted = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let granted =
        granted.iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    granted.chain(free).chain(limit).min()
}

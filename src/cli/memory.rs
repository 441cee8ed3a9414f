//! About how much memory a run takes.
//!
//! An estimate of what grows: the copies of the model, the head, what batches compute with, two shards' raw
//! tables, what is predicted after an input's prompts, which stages compare with each other, and the rows of all
//! pairs of tasks of one shard, which a stage holds until it writes them. Their number grows with the square of the
//! tasks. Of predictions and of rows the stage that has most of them decides.
//! docs/benchmarks.md compares it with what runs took.

use indicatif::BinaryBytes;
use serde::Serialize;

use super::lengths::Lengths;
use crate::pipeline::Pipeline;
use crate::stage::Stage;
use crate::stage::model::spliced::PAST_BYTES;

/// Of a process without a model: code, threads, buffers of writers.
const BASE: u64 = 80 << 20;

/// Bytes that a row of a pair of tasks takes while it is made and written, measured: 355 in stage
/// `similarity` with all measures, 420 in `segments`, 525 in `explain`.
const ROW: u64 = 450;

/// Measures of a token, a span or a distribution in tables of a row each.
const SEGMENTS: u64 = 4;

/// Scores of the head that are in memory at once, and what is made of them: 64 MiB each.
const HEAD_SCORES: u64 = 3 << 26;

/// Vectors of `d_ff` and of `d_model` numbers, and matrices of attention, that a block needs at once for
/// each token of a batch.
const OF_BLOCK: (u64, u64, u64) = (3, 6, 2);

const FLOAT: u64 = size_of::<f32>() as u64;

/// Of a word of the vocabulary in one prediction: its probability and the logarithm, and its score.
const WORD: u64 = 2 * size_of::<f64>() as u64 + FLOAT;

/// About how many bytes a process of the run takes at most, by what it takes them for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Memory {
    /// Copies of the graph, for batches that run at once.
    pub(super) copies: u64,
    /// Weights of all copies. On a GPU they are its own, and the process has them while it loads.
    pub(super) weights_bytes: u64,
    /// The head and its scores, where a stage uses it.
    pub(super) head_bytes: u64,
    /// The graph that goes on from a residual stream, where a stage uses it.
    pub(super) patch_bytes: u64,
    /// What the batches that run at once compute with and give. On a GPU what they compute with is its own.
    pub(super) batch_bytes: u64,
    /// Raw tables of two shards.
    pub(super) raw_bytes: u64,
    /// Predictions after an input's prompts, and what else is kept of these, in the stage that keeps most.
    pub(super) predictions_bytes: u64,
    /// Rows of pairs of tasks.
    pub(super) rows_bytes: u64,
}

impl Memory {
    /// All together, and what a process takes without any of it.
    pub(super) fn bytes(self) -> u64 {
        self.parts().into_iter().fold(BASE, |sum, (bytes, _)| sum.saturating_add(bytes))
    }

    /// Each part, and what it is called.
    fn parts(self) -> [(u64, &'static str); 7] {
        [
            (
                self.weights_bytes,
                if self.copies == 1 { "the model" } else { "copies of the model" },
            ),
            (self.head_bytes, "its head"),
            (self.patch_bytes, "its graph for patches"),
            (self.batch_bytes, "batches"),
            (self.raw_bytes, "raw tables of two shards"),
            (self.predictions_bytes, "predictions of an input"),
            (self.rows_bytes, "rows of pairs of tasks"),
        ]
    }

    /// What of it a GPU holds that computes: weights of all graphs and batches.
    pub(super) fn on_card(self) -> u64 {
        let Self { weights_bytes, head_bytes, patch_bytes, batch_bytes, .. } = self;
        let parts = [head_bytes, patch_bytes, batch_bytes];
        parts.into_iter().fold(weights_bytes, u64::saturating_add)
    }

    /// What helps against the largest part.
    pub(super) fn way_out(self) -> &'static str {
        let Self { weights_bytes, head_bytes, batch_bytes, raw_bytes, .. } = self;
        let Self { predictions_bytes, rows_bytes, .. } = self;
        let model = weights_bytes.saturating_add(head_bytes);
        let is_largest = |part: u64| self.parts().iter().all(|(bytes, _)| part >= *bytes);
        if predictions_bytes > model && is_largest(predictions_bytes) {
            "what is predicted after all prompts of an input is in memory at once, for as many inputs as there \
             are copies of the model; name fewer tasks or wordings, use fewer `--threads`, or a larger machine"
        } else if rows_bytes >= model.max(batch_bytes).max(raw_bytes) {
            "the rows of all pairs of a scenario's tasks are in memory at once, input by input; name fewer \
             tasks or measures, set a smaller `shard_inputs`, or use a larger machine"
        } else if raw_bytes >= model.max(batch_bytes) {
            "set a smaller `shard_inputs`, name fewer `layers` in stage `extract`, or use a larger machine"
        } else if batch_bytes >= model {
            "set smaller `batch_tokens` in stage `extract`, name fewer `layers` there, or use a larger machine"
        } else {
            "use fewer `--threads`, so that fewer copies of the model are open, a smaller model or a larger \
             machine"
        }
    }

    /// The parts in words, the largest first, without those below a hundredth.
    pub(super) fn words(self) -> String {
        let mut parts = self.parts();
        parts.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let large = parts.iter().filter(|(bytes, _)| *bytes >= self.bytes() / 100);
        let words = large.map(|(bytes, what)| {
            let number = what.strip_prefix("copies").map(|_| format!("{} ", self.copies));
            format!("{} {}{what}", BinaryBytes(*bytes), number.unwrap_or_default())
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

/// About what a process of the run takes at most, with so many copies of the model open and batches of so
/// many padded tokens.
pub(super) fn of_run(
    pipeline: &Pipeline,
    lengths: &Lengths,
    copies: usize,
    budget: usize,
) -> Memory {
    let card = &pipeline.card;
    let copies = copies as u64;
    let uses_head = pipeline.stages.iter().any(|stage| stage.description().depends_on.head);
    let patches = pipeline.stages.iter().any(|stage| stage.kind() == "patch");
    let batch = of_batch(pipeline, lengths, budget as u64);
    Memory {
        copies,
        weights_bytes: copies.saturating_mul(card.open_bytes()),
        head_bytes: if uses_head { 2 * card.unembedding_bytes() + HEAD_SCORES } else { 0 },
        patch_bytes: if patches { card.open_bytes() } else { 0 },
        batch_bytes: copies.saturating_mul(batch),
        raw_bytes: of_raw(pipeline, lengths),
        predictions_bytes: of_predictions(pipeline, lengths, copies),
        rows_bytes: of_rows(pipeline, lengths),
    }
}

/// What one batch computes with and gives: its padded tokens are as many as the budget, or those of the
/// longest prompt; attention is given for every query.
fn of_batch(pipeline: &Pipeline, lengths: &Lengths, budget: u64) -> u64 {
    let card = &pipeline.card;
    let [d_model, d_ff] = [card.d_model, card.d_ff].map(|n| n as u64);
    let longest = lengths.longest.min(card.n_positions) as u64;
    let tokens = budget.max(longest).min(lengths.most_tokens.max(longest));
    let layers = pipeline.layers.len() as u64;
    let attention = card.n_head as u64 * longest;
    let (wide, narrow, matrices) = OF_BLOCK;
    let of_token = layers * d_model
        + (layers + 1) * attention
        + wide * d_ff
        + narrow * d_model
        + matrices * attention
        + 2 * card.n_layer as u64 * card.n_kv_head as u64 * card.d_head as u64;
    let mean = lengths.tokens.checked_div(lengths.fit).unwrap_or(1).max(1);
    let scores = tokens.div_ceil(mean).saturating_mul(card.vocab_size as u64);
    tokens.saturating_mul(of_token).saturating_add(scores).saturating_mul(FLOAT)
}

/// The raw tables of two shards.
fn of_raw(pipeline: &Pipeline, lengths: &Lengths) -> u64 {
    let card = &pipeline.card;
    let layers = pipeline.layers.len() as u64;
    let of_token = layers * card.d_model as u64 + (layers + 1) * card.n_head as u64;
    let numbers = lengths.most_tokens * of_token + lengths.most_fit * card.vocab_size as u64;
    2 * numbers * FLOAT
}

/// What is predicted after an input's prompts, of the stage that keeps most; the stages that run the model take
/// as many inputs at once as there are copies, and keep keys and values, or residual streams, too.
fn of_predictions(pipeline: &Pipeline, lengths: &Lengths, copies: u64) -> u64 {
    let card = &pipeline.card;
    let words = WORD * card.vocab_size as u64;
    let longest = lengths.longest.min(card.n_positions) as u64;
    let reading = 2 * card.n_layer as u64 * card.n_kv_head as u64 * card.d_head as u64 * longest;
    let streams = pipeline.layers.len() as u64 * card.d_model as u64 * longest;
    let prompts = lengths.most_of_input;
    // A batch's pasts, and what the model makes of them.
    let pasts = 2 * (prompts * prompts).saturating_mul(FLOAT * reading).min(PAST_BYTES as u64);
    let of_input = |readings: u64| {
        copies * prompts.saturating_mul(words + readings * FLOAT * reading).saturating_add(pasts)
    };
    let kept = |stage: &dyn Stage| match stage.kind() {
        "outputs" => prompts.saturating_mul(words),
        "mediate" => of_input(1),
        "knockout" => of_input(3),
        "patch" => lengths.most_tasks.saturating_mul(words + FLOAT * streams),
        _ => 0,
    };
    pipeline.stages.iter().map(|stage| kept(stage.as_ref())).max().unwrap_or(0)
}

/// Rows of pairs of tasks of the shard and stage that have most.
fn of_rows(pipeline: &Pipeline, lengths: &Lengths) -> u64 {
    let card = &pipeline.card;
    let layers = pipeline.layers.len() as u64;
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
    lengths.most_pairs.saturating_mul(rows).saturating_mul(ROW)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::FileFacts;
    use crate::pipeline::config;

    /// A pipeline with a card of Llama 3.1 8B's shape, and no weights.
    fn of_8b(path: &str) -> Pipeline {
        let mut pipeline = config::load(Path::new(path), &[]).unwrap();
        let card = &mut pipeline.card;
        (card.n_layer, card.n_head, card.n_kv_head, card.d_head) = (32, 32, 8, 128);
        (card.d_model, card.d_ff, card.vocab_size, card.n_positions) =
            (4096, 14336, 128_256, 131_072);
        let bytes = 8_030_261_248 * FLOAT;
        let sha256 = card.files["model.onnx"].sha256.clone();
        card.files.insert("model.onnx.data".to_owned(), FileFacts { sha256, bytes });
        pipeline.layers = (0..32).collect();
        pipeline
    }

    #[test]
    fn the_memory_of_a_large_model_is_estimated_part_by_part() {
        let lengths = Lengths {
            tokens: 64_000,
            fit: 64,
            most_tokens: 64_000,
            most_fit: 64,
            longest: 1000,
            ..Lengths::default()
        };
        let pipeline = of_8b("tests/fixtures/tiny.yml");
        let memory = of_run(&pipeline, &lengths, 1, 256);
        // 32 layers of 1,000 queries of 32 heads with 1,000 keys each, among others.
        let attention = 33 * 1000 * 32 * 1000 * FLOAT;
        assert!(memory.batch_bytes > attention && memory.batch_bytes < 2 * attention);
        assert_eq!(memory.raw_bytes, 2 * FLOAT * (64_000 * (32 * 4096 + 33 * 32) + 64 * 128_256));
        assert_eq!(memory.head_bytes, 0, "no stage uses it");
        let words = memory.words();
        assert!(
            words.starts_with("63.06 GiB raw tables of two shards, 31.87 GiB the model"),
            "{words}"
        );
        assert!(memory.way_out().contains("shard_inputs"));
        assert!(memory.on_card() < memory.bytes());
        let many = Lengths { most_tokens: 1000, tokens: 1000, fit: 1, most_fit: 1, ..lengths };
        let memory = of_run(&pipeline, &many, 2, 256);
        assert!(
            memory.words().starts_with("63.74 GiB 2 copies of the model"),
            "{}",
            memory.words()
        );
        assert!(memory.way_out().contains("--threads"));
    }

    #[test]
    fn what_is_predicted_after_an_input_counts_where_the_vocabulary_is_large() {
        let lengths = Lengths {
            tokens: 100,
            fit: 2,
            most_tokens: 100,
            most_fit: 2,
            most_of_input: 2000,
            most_tasks: 5,
            longest: 50,
            ..Lengths::default()
        };
        let memory = of_run(&of_8b("pipelines/uses.yml"), &lengths, 2, 256);
        // In `knockout`, of 2 inputs at once: what is said, and three times keys and values of 50 tokens.
        let of_prompt = 20 * 128_256 + 3 * 4 * (2 * 32 * 8 * 128 * 50);
        assert_eq!(memory.predictions_bytes, 2 * (2000 * of_prompt + 2 * (64 << 20)));
        assert!(memory.patch_bytes > 30 << 30, "stage `patch` opens the weights once more");
        let words = memory.words();
        assert!(words.contains("GiB predictions of an input"), "{words}");
        let many = Lengths { most_of_input: 20_000, ..lengths };
        let memory = of_run(&of_8b("pipelines/uses.yml"), &many, 2, 256);
        assert!(memory.way_out().contains("fewer tasks or wordings"), "{}", memory.way_out());
    }
}

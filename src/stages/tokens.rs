//! What the model would say next: the most probable tokens after every prompt.
//!
//! ```text
//! probability(i) = exp(logit(i) - max) / Σ exp(logit(j) - max)    over the whole vocabulary
//! ```
//!
//! in float64 from the stored float32; ties go to the lower token id. The token's text is kept as it
//! decodes alone, with its leading space (the notebook strips it). Reads `prompts` and `logits`,
//! writes `next_tokens`; a prompt that was skipped has no rows. Sections 7 and 8 of the notebook.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math;
use crate::math::Softmax;
use crate::stage::read::prompts::{PromptRow, ShardPrompts};
use crate::stage::read::reread;
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::WriteRow as _;
use crate::table::schema::{LOGITS, NEXT_TOKENS, NextTokensRow, PROMPTS};
use crate::table::writer::PartAddress;
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "tokens",
    version: 2,
    scope: Scope::Shard,
    unit: "prompts",
    reads: &[&PROMPTS, &LOGITS],
    reads_if_there: &[],
    writes: &[&NEXT_TOKENS],
    file: None,
    depends_on: DependsOn { layers: false, seed: false, head: false, lineage: false },
};

/// Lists the most probable next tokens of every prompt.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many tokens to list for each prompt.
    pub top_k: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { top_k: 5 }
    }
}

impl Config {
    /// Valid when `top_k` can be a rank.
    pub fn validate(&self, at: &Path, _facts: &Facts, problems: &mut Problems) -> Option<Tokens> {
        let top_k = self.top_k;
        if (1..=i16::MAX as usize).contains(&top_k) {
            return Some(Tokens { top_k });
        }
        problems.push(
            &at.key("top_k"),
            format!("top_k {top_k} is not between 1 and {}", i16::MAX),
            "it is how many next tokens each prompt lists; the notebook's is 5",
        );
        None
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Tokens {
    top_k: usize,
}

impl Stage for Tokens {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({ "top_k": self.top_k })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let units = prompts.ran().count() as u64;
        context.start(&DESCRIPTION, units);
        let ranked = self.rank(context, &prompts)?;
        let rows: Vec<NextTokensRow<'_>> = ranked.iter().map(Ranked::row).collect();
        let part = NextTokensRow::write(context.store, context.part, &rows)?;
        context.advance(&DESCRIPTION, units);
        Ok(Outcome { parts: vec![part], units, ..Outcome::default() })
    }
}

/// A token among the most probable after a prompt.
#[derive(Debug)]
struct Ranked<'a> {
    prompt: &'a PromptRow,
    rank: i16,
    token_id: i32,
    token: String,
    probability: f64,
    logprob: f64,
}

impl Ranked<'_> {
    fn row(&self) -> NextTokensRow<'_> {
        NextTokensRow {
            scenario: &self.prompt.key.scenario,
            input: &self.prompt.key.input,
            task: &self.prompt.key.task,
            wording: self.prompt.key.wording,
            rank: self.rank,
            token_id: self.token_id,
            token: &self.token,
            probability: self.probability,
            logprob: self.logprob,
        }
    }
}

impl Tokens {
    /// All tokens of a shard: prompts in the order of the plan, then ranks.
    fn rank<'p>(
        &self,
        context: &Context<'_>,
        prompts: &'p ShardPrompts,
    ) -> Result<Vec<Ranked<'p>>, StageError> {
        let columns = ["scenario", "input", "task", "wording", "values"];
        let address = PartAddress::new(&LOGITS, context.part);
        let table = reread::part(context.store, address, &columns)?;
        prompts.check_keys(&table)?;
        let (logits, vocab_size) = table.vectors("values")?;
        let decode = |id: i32| context.tokenizer.decode_token(id);
        let ran: Vec<&PromptRow> = prompts.ran().collect();
        let rows = ran.par_iter().map(|prompt| {
            context.go_on()?;
            let first = prompt.run_index * vocab_size;
            Ok(self.rank_prompt(prompt, &logits[first..first + vocab_size], &decode))
        });
        let rows = rows.collect::<Result<Vec<_>, StageError>>()?;
        let rows: Vec<Ranked<'_>> = rows.into_iter().flatten().collect();
        match rows.iter().find(|row| !(row.probability.is_finite() && row.logprob.is_finite())) {
            Some(row) => {
                let key = &row.prompt.key;
                let problem = format!("has a value that is not finite in prompt {key}");
                Err(table.problem(problem).into())
            }
            None => Ok(rows),
        }
    }

    fn rank_prompt<'p>(
        &self,
        prompt: &'p PromptRow,
        logits: &[f32],
        decode: &(dyn Fn(i32) -> String + Sync),
    ) -> Vec<Ranked<'p>> {
        let Some(softmax) = Softmax::over(logits) else { return Vec::new() };
        let row = |(place, id): (usize, usize)| Ranked {
            prompt,
            rank: place as i16 + 1,
            token_id: id as i32,
            token: decode(id as i32),
            probability: softmax.probability(logits[id]),
            logprob: softmax.logprob(logits[id]),
        };
        math::top_k(logits, self.top_k).into_iter().enumerate().map(row).collect()
    }
}

//! Where the last token looks: focus sets and how far they agree between tasks.
//!
//! ```text
//! weight(p) = mean over heads of the attention of the last token to position p
//! focus     = the top_k positions by weight; ties go to the lower position
//! jaccard   = |focus_a ∩ focus_b| / |focus_a ∪ focus_b|      on absolute positions
//! ```
//!
//! in float64 from the stored float32. With `layers: last` and `heads: mean` these are the numbers
//! of the notebook's section 6. A prompt of at most `top_k` tokens has all its positions in its
//! focus set, so an overlap with it says nothing: it is null, with status `too_few_keys`.
//!
//! When two prompts differ in length, the same absolute position holds other words in each, and
//! position 0 is in nearly every set. With `aligned: true` there are two more measures:
//! `jaccard_aligned` names a position by what stands there (position 0; the n-th token of the input;
//! the n-th before the end of task, template or tail), `jaccard_no_sink` takes the `top_k` positions
//! other than position 0 and names them in the same way. Both need the same tokens of the input
//! (else `no_alignment`).
//!
//! Reads `prompts` and `attention`, writes `attention_focus` and `attention_overlap`.

mod aligned;
mod focus;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::focus::{Focus, Scheme};
use crate::model::Tokenizer;
use crate::stage::names::MEAN_HEAD;
use crate::stage::read::prompts::ShardPrompts;
use crate::stage::read::weights;
pub use crate::stage::read::weights::Heads;
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::WriteRow as _;
use crate::table::schema::{
    ATTENTION, ATTENTION_FOCUS, ATTENTION_OVERLAP, AttentionFocusRow, AttentionOverlapRow, PROMPTS,
};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "attention",
    version: 1,
    scope: Scope::Shard,
    unit: "prompts",
    reads: &[&PROMPTS, &ATTENTION],
    reads_if_there: &[],
    writes: &[&ATTENTION_FOCUS, &ATTENTION_OVERLAP],
    file: None,
    depends_on: DependsOn { layers: true, seed: false, head: false, lineage: false },
};

/// Finds the positions that the last token attends to most, and their overlap between tasks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many positions make a focus set.
    pub top_k: usize,
    /// Which layers to look at.
    pub layers: Layers,
    /// Which heads to look at.
    pub heads: Heads,
    /// Whether to compare focus sets also by what stands at their positions, with position 0 and
    /// without it.
    pub aligned: bool,
}

/// Layers of stage `attention`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layers {
    /// The model's last layer, as the notebook.
    #[default]
    Last,
    /// Every captured layer and the model's last.
    Captured,
}

impl Default for Config {
    fn default() -> Self {
        Self { top_k: 5, layers: Layers::default(), heads: Heads::default(), aligned: false }
    }
}

impl Config {
    /// Valid when `top_k` can be a rank and a prompt can have more tokens than that.
    pub fn validate(&self, at: &Path, facts: &Facts, problems: &mut Problems) -> Option<Attention> {
        let top_k = self.top_k;
        let at = at.key("top_k");
        if !(1..=i16::MAX as usize).contains(&top_k) {
            problems.push(
                &at,
                format!("top_k {top_k} is not between 1 and {}", i16::MAX),
                "it is how many positions make a focus set; the notebook's is 5",
            );
            return None;
        }
        if let Some(longest) = facts.n_positions.filter(|longest| top_k >= *longest) {
            problems.push(
                &at,
                format!(
                    "top_k {top_k} is not less than the model's longest prompt, {longest} tokens"
                ),
                "a focus set must leave some position out; the notebook's has 5",
            );
            return None;
        }
        Some(Attention { top_k, layers: self.layers, heads: self.heads, aligned: self.aligned })
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Attention {
    top_k: usize,
    layers: Layers,
    heads: Heads,
    aligned: bool,
}

impl Stage for Attention {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({
            "top_k": self.top_k,
            "layers": self.layers,
            "heads": self.heads,
            "aligned": self.aligned,
        })
    }

    fn uses_layers(&self) -> bool {
        self.layers == Layers::Captured
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let units = prompts.ran().count() as u64;
        context.start(&DESCRIPTION, units);
        let scheme = self.scheme(context.layers, context.card.n_layer, context.card.n_head);
        let foci = scheme.find(context, &prompts)?;
        let tokens = focus_tokens(context.tokenizer, &prompts, &foci);
        let focused = focus_rows(&prompts, &foci, &tokens);
        let overlaps = scheme.overlap(&prompts, &foci);
        let parts = vec![
            AttentionFocusRow::write(context.store, context.part, &focused)?,
            AttentionOverlapRow::write(context.store, context.part, &overlaps)?,
        ];
        context.advance(&DESCRIPTION, units);
        Ok(Outcome { parts, units, ..Outcome::default() })
    }
}

impl Attention {
    fn scheme(&self, captured: &[i16], n_layer: i16, n_head: i16) -> Scheme {
        let layers = match self.layers {
            Layers::Last => vec![n_layer - 1],
            Layers::Captured => weights::layers(captured, n_layer),
        };
        let each = match self.heads {
            Heads::Mean => 0,
            Heads::All => n_head,
        };
        let (top_k, aligned) = (self.top_k, self.aligned);
        Scheme { top_k, layers, heads: (MEAN_HEAD..each).collect(), n_head, aligned }
    }
}

/// The rows of table `attention_focus`; `tokens` has the text of every token in a focus set.
fn focus_rows<'a>(
    prompts: &'a ShardPrompts,
    foci: &[Vec<Focus>],
    tokens: &'a BTreeMap<i32, String>,
) -> Vec<AttentionFocusRow<'a>> {
    let mut rows = Vec::new();
    for (prompt, foci) in prompts.ran().zip(foci) {
        for focus in foci {
            let ranked = focus.positions.iter().zip(&focus.weights).enumerate();
            rows.extend(ranked.map(|(place, (&position, &weight))| {
                let token_id = prompt.token_ids[position as usize];
                AttentionFocusRow {
                    scenario: &prompt.key.scenario,
                    input: &prompt.key.input,
                    task: &prompt.key.task,
                    wording: prompt.key.wording,
                    layer: focus.layer,
                    head: focus.head,
                    rank: place as i16 + 1,
                    position,
                    token_id,
                    token: &tokens[&token_id],
                    weight,
                    gap: focus.gap,
                }
            }));
        }
    }
    rows
}

/// The text of every token in a focus set, by its id.
fn focus_tokens(
    tokenizer: &Tokenizer,
    prompts: &ShardPrompts,
    foci: &[Vec<Focus>],
) -> BTreeMap<i32, String> {
    let mut tokens = BTreeMap::new();
    for (prompt, foci) in prompts.ran().zip(foci) {
        for &position in foci.iter().flat_map(|focus| &focus.positions) {
            let id = prompt.token_ids[position as usize];
            tokens.entry(id).or_insert_with(|| tokenizer.decode_token(id));
        }
    }
    tokens
}

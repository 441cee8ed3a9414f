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
//! Absolute positions hold other words as soon as two prompts differ in length, and position 0 is in
//! nearly every set. With `aligned: true` two measures stand beside it: `jaccard_aligned` names a
//! position by what stands there (position 0; the n-th token of the input; the n-th before the end
//! of task, template or tail), `jaccard_no_sink` takes the `top_k` positions but position 0 and names
//! them so. Both need the same tokens of the input (else `no_alignment`).
//!
//! Reads `prompts` and `attention`, writes `attention_focus` and `attention_overlap`.

mod aligned;
mod focus;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::focus::{Focus, OverlapRow, Scheme};
use crate::monitor::Event;
use crate::run_dir::receipt::PartStats;
use crate::stage::columns::Columns;
use crate::stage::names::MEAN_HEAD;
use crate::stage::read::prompts::{PromptRow, ShardPrompts};
use crate::stage::read::weights;
pub use crate::stage::read::weights::Heads;
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::TableError;
use crate::table::schema::{ATTENTION, ATTENTION_FOCUS, ATTENTION_OVERLAP, PROMPTS};
use crate::table::writer::{PartAddress, write_part};
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
        let (stage, unit) = (DESCRIPTION.kind, DESCRIPTION.unit);
        let shard = Some(context.part);
        context.monitor.event(&Event::StageStarted { stage, shard, total: units, unit });
        let scheme = self.scheme(context.layers, context.card.n_layer, context.card.n_head);
        let foci = scheme.find(context, &prompts)?;
        let overlaps = scheme.overlap(&prompts, &foci);
        let parts =
            vec![write_focus(context, &prompts, &foci)?, write_overlap(context, &overlaps)?];
        context.monitor.event(&Event::Advanced { stage, amount: units });
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

/// One row of table `attention_focus`.
#[derive(Debug)]
struct FocusRow<'a> {
    prompt: &'a PromptRow,
    focus: &'a Focus,
    /// Place in the focus set, from 0.
    place: usize,
    token_id: i32,
    token: String,
}

fn write_focus(
    context: &Context<'_>,
    prompts: &ShardPrompts,
    foci: &[Vec<Focus>],
) -> Result<PartStats, TableError> {
    let mut rows = Vec::new();
    for (prompt, foci) in prompts.ran().zip(foci) {
        for focus in foci {
            for (place, &position) in focus.positions.iter().enumerate() {
                let token_id = prompt.token_ids[position as usize];
                let token = context.tokenizer.decode_token(token_id);
                rows.push(FocusRow { prompt, focus, place, token_id, token });
            }
        }
    }
    let columns = Columns::of(&rows)
        .texts(|row| &row.prompt.key.scenario)
        .texts(|row| &row.prompt.key.input)
        .texts(|row| &row.prompt.key.task)
        .int16s(|row| row.prompt.key.wording)
        .int16s(|row| row.focus.layer)
        .int16s(|row| row.focus.head)
        .int16s(|row| row.place as i16 + 1)
        .int32s(|row| row.focus.positions[row.place])
        .int32s(|row| row.token_id)
        .texts(|row| &row.token)
        .float64s(|row| Some(row.focus.weights[row.place]))
        .float64s(|row| row.focus.gap);
    let address = PartAddress::new(&ATTENTION_FOCUS, context.part);
    write_part(context.store, address, context.dims(), columns.finish())
}

fn write_overlap(context: &Context<'_>, rows: &[OverlapRow<'_>]) -> Result<PartStats, TableError> {
    let columns = Columns::of(rows)
        .texts(|row| row.scenario)
        .texts(|row| row.input)
        .int16s(|row| row.layer)
        .int16s(|row| row.head)
        .texts(|row| row.task_a)
        .texts(|row| row.task_b)
        .texts(|row| row.measure)
        .float64s(|row| row.value)
        .int32s(|row| row.k)
        .texts(|row| row.status);
    let address = PartAddress::new(&ATTENTION_OVERLAP, context.part);
    write_part(context.store, address, context.dims(), columns.finish())
}

//! The rows of table `attention`, for the stages that read them.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Float32Type;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::prompts::{Keys, PromptRow, ShardPrompts};
use super::reread;
use crate::stage::Context;
use crate::table::TableError;
use crate::table::reader::Part;
use crate::table::schema::ATTENTION;
use crate::table::writer::PartAddress;

/// Which heads have rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Heads {
    /// Only the mean over all heads (`head` is -1 in the tables), as the notebook.
    #[default]
    Mean,
    /// The mean, and every head by itself.
    All,
}

/// The layers that table `attention` has: the captured ones and the model's last, ascending.
pub(crate) fn layers(captured: &[i16], n_layer: i16) -> Vec<i16> {
    let mut layers = captured.to_vec();
    if layers.last() != Some(&(n_layer - 1)) {
        layers.push(n_layer - 1);
    }
    layers
}

/// Reads the shard's part of table `attention`.
pub(crate) fn read(context: &Context<'_>) -> Result<Arc<Part>, TableError> {
    let columns = ["scenario", "input", "task", "wording", "layer", "head", "weights"];
    reread::part(context.store, PartAddress::new(&ATTENTION, context.part), &columns)
}

/// A part of table `attention`, by prompt and layer.
#[derive(Debug)]
pub(crate) struct Weights<'p> {
    part: &'p Part,
    keys: Keys<'p>,
    layers: &'p [i16],
    heads: &'p [i16],
    offsets: &'p [i32],
    values: &'p [f32],
    /// How many heads each layer has.
    n_head: i16,
}

impl<'p> Weights<'p> {
    pub(crate) fn of(part: &'p Part, n_head: i16) -> Result<Self, TableError> {
        let lists = part.lists("weights")?;
        let weights = lists.values().as_primitive_opt::<Float32Type>();
        let weights =
            weights.ok_or_else(|| part.problem("has weights of another type than float32"))?;
        Ok(Self {
            part,
            keys: Keys::of(part)?,
            layers: part.int16s("layer")?.values(),
            heads: part.int16s("head")?.values(),
            offsets: lists.value_offsets(),
            values: weights.values(),
            n_head,
        })
    }

    /// The rows of each prompt that ran: they are adjacent, in the order of the plan.
    pub(crate) fn spans(&self, prompts: &ShardPrompts) -> Result<Vec<Range<usize>>, TableError> {
        let mut spans = Vec::new();
        let mut row = 0;
        for prompt in prompts.ran() {
            let first = row;
            while row < self.layers.len() && self.keys.is(row, &prompt.key) {
                row += 1;
            }
            if first == row {
                return Err(
                    self.problem(format!("does not have prompt {} in row {row}", prompt.key))
                );
            }
            spans.push(first..row);
        }
        if row < self.layers.len() {
            return Err(self.problem(format!("has a prompt in row {row} that did not run")));
        }
        Ok(spans)
    }

    /// The weights of a prompt's heads on one layer, in their order: finite, one a token.
    pub(crate) fn of_layer(
        &self,
        rows: Range<usize>,
        layer: i16,
        prompt: &PromptRow,
    ) -> Result<Vec<&'p [f32]>, TableError> {
        let rows: Vec<usize> = rows.filter(|&row| self.layers[row] == layer).collect();
        if !rows.iter().map(|&row| self.heads[row]).eq(0..self.n_head) {
            return Err(self.problem(format!(
                "does not have heads 0 to {} of layer {layer} of prompt {}",
                self.n_head - 1,
                prompt.key
            )));
        }
        let weights =
            |row: usize| &self.values[self.offsets[row] as usize..self.offsets[row + 1] as usize];
        let weights: Vec<&[f32]> = rows.into_iter().map(weights).collect();
        let n = prompt.token_ids.len();
        if weights.iter().any(|w| w.len() != n || w.iter().any(|weight| !weight.is_finite())) {
            return Err(self.problem(format!(
                "does not have {n} finite weights on layer {layer} of prompt {}",
                prompt.key
            )));
        }
        Ok(weights)
    }

    pub(crate) fn problem(&self, problem: String) -> TableError {
        self.part.problem(problem)
    }
}

//! Runs every prompt of a shard through the model and keeps what the measures need.
//!
//! Prompts are tokenised whole, sorted by length into right-padded batches, run, and each output is
//! copied once, from the runtime's buffer to its place in the table. No batch holds prompts of two
//! scenarios, so that a scenario's numbers do not depend on the others. What all prompts of a task
//! start with runs once and is copied to each of them, where the model folder has a graph for that
//! (`past.onnx`) and it saves time. Of prompts of a shard and scenario with the very same tokens one
//! runs, and its numbers are copied to the others. Kept per prompt: the output of every captured block at every
//! token (the notebook's hooks), the attention of the last token in every captured block and always
//! in the last one, and the logits at the last token. Rows stand in the order of the plan, whatever
//! the batching.
//!
//! A prompt that the model cannot read whole, or whose numbers are not all finite, stops the run or
//! is left out of these tables and recorded in `skipped`, as the pipeline says.
//!
//! Some prompts run a second time, alone, and must give the same numbers.
//!
//! Reads no table; writes `prompts`, `skipped`, `activations`, `attention`, `logits`. Cost: the
//! model's own, and 4 bytes a number kept.

mod columns;
mod rows;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Repeats, Wanted, find_repeats};
use crate::prompt::PromptKey;
use crate::stage::model::batches::{Batches, Piece};
use crate::stage::model::gather::{Flaw, Gathered};
use crate::stage::model::proof;
use crate::stage::model::spare::Spare;
use crate::stage::read::weights;
use crate::stage::{
    Compute, Context, DependsOn, Description, Facts, Finish, Outcome, Scope, Stage, StageError,
};
use crate::table::schema::{ACTIVATIONS, ATTENTION, LOGITS, PROMPTS, SKIPPED};
use crate::table::status;
use crate::yaml::{Path, Problems};
use columns::write_tables;
use rows::Row;

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "extract",
    version: 8,
    scope: Scope::Shard,
    unit: "tokens",
    reads: &[],
    reads_if_there: &[],
    writes: &[&PROMPTS, &SKIPPED, &ACTIVATIONS, &ATTENTION, &LOGITS],
    file: None,
    // Its layers are its own setting.
    // The seed draws the prompts that the self-proof runs again, which changes no table.
    depends_on: DependsOn { layers: false, seed: false, head: false, lineage: false },
};

/// Runs the prompts through the model and keeps activations, attention and logits.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Blocks whose output is kept, counted from 0; all of them when left out.
    pub layers: Option<Vec<i64>>,
    /// What to do with a prompt that has more tokens than the model has positions.
    pub too_long: TooLong,
    /// What to do with a prompt for which the model gives a value that is not finite.
    pub not_finite: NotFinite,
    /// Most tokens a batch holds, padding included; 0 = chosen for the provider.
    pub batch_tokens: u32,
    /// Whether the tokens that all prompts of a task start with run once a shard instead of once a
    /// prompt, where that saves time and the model folder has `past.onnx`.
    pub share_prefixes: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            layers: None,
            too_long: TooLong::default(),
            not_finite: NotFinite::default(),
            batch_tokens: 0,
            share_prefixes: true,
        }
    }
}

/// What to do with a prompt that the model cannot read whole.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum TooLong {
    /// Stop the run and name the prompt.
    #[default]
    Error,
    /// Leave it out, record it in `skipped`, and end with exit code 3.
    Skip,
}

/// What to do with a prompt for which the model gives NaN or an infinite value.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum NotFinite {
    /// Stop the run and name the prompt.
    #[default]
    Error,
    /// Leave it out, record it in `skipped`, and end with exit code 3.
    Skip,
}

/// The extract stage, valid.
#[derive(Debug, Clone, Serialize)]
pub struct Extract {
    layers: Vec<i16>,
    too_long: TooLong,
    not_finite: NotFinite,
    batch_tokens: u32,
    share_prefixes: bool,
    #[serde(skip)]
    spare: Spare,
}

impl Config {
    /// Checks the configuration against the model; `at` is the stage's place in the file. `None`
    /// when there was a problem, or when the model is not known (which is a problem by itself).
    pub fn validate(self, at: &Path, facts: &Facts, problems: &mut Problems) -> Option<Extract> {
        let at = at.key("layers");
        let layers = match (self.layers, facts.n_layer) {
            (None, Some(n_layer)) => (0..n_layer).collect(),
            (None, None) => return None,
            (Some(layers), n_layer) => check_layers(&layers, n_layer, &at, problems)?,
        };
        facts.n_layer?;
        Some(Extract {
            layers,
            too_long: self.too_long,
            not_finite: self.not_finite,
            batch_tokens: self.batch_tokens,
            share_prefixes: self.share_prefixes,
            spare: Spare::default(),
        })
    }
}

fn check_layers(
    layers: &[i64],
    n_layer: Option<i16>,
    at: &Path,
    problems: &mut Problems,
) -> Option<Vec<i16>> {
    if layers.is_empty() {
        let help = "name at least one layer, or leave `layers` out for all of them";
        problems.push(at, "no layer is named", help);
        return None;
    }
    let mut good = BTreeSet::new();
    let mut all_good = true;
    for (i, layer) in layers.iter().enumerate() {
        let count = n_layer.unwrap_or(i16::MAX);
        let valid = i16::try_from(*layer).ok().filter(|layer| (0..count).contains(layer));
        let Some(valid) = valid else {
            let message = match n_layer {
                Some(n) => {
                    let last = n - 1;
                    format!("layer {layer} does not exist: the model has {n} layers, 0..={last}")
                }
                None => format!("layer {layer} does not exist: layers are counted from 0"),
            };
            problems.push(&at.index(i), message, "layer l is the output of transformer block l");
            all_good = false;
            continue;
        };
        if !good.insert(valid) {
            let message = format!("layer {layer} is named twice");
            problems.push(&at.index(i), message, "name each layer once; their order is free");
            all_good = false;
        }
    }
    all_good.then(|| good.into_iter().collect())
}

impl Extract {
    /// The captured layers, ascending.
    pub fn layers(&self) -> &[i16] {
        &self.layers
    }
}

impl Stage for Extract {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("plain values serialise")
    }

    fn prepare<'s>(&'s self, context: &Context<'_>) -> Result<Option<Compute<'s>>, StageError> {
        let rows = self.tokenise(context)?;
        Ok(Some(Box::new(move |context| self.gather(rows, context))))
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let rows = self.tokenise(context)?;
        self.gather(rows, context)?(context)
    }
}

impl Extract {
    /// Runs the tokenised prompts through the model and keeps what their tables are made of.
    fn gather(
        &self,
        mut rows: Vec<Row>,
        context: &Context<'_>,
    ) -> Result<Finish<'static>, StageError> {
        let run: Vec<usize> = (0..rows.len()).filter(|row| rows[*row].refusal.is_none()).collect();
        let wanted = Wanted {
            hidden: self.layers.clone(),
            attention: weights::layers(&self.layers, context.card.n_layer),
            keys_values: false,
        };
        let ids: Vec<&[i32]> = run.iter().map(|row| rows[*row].encoded.ids.as_slice()).collect();
        let key = |i: usize| &rows[run[i]].prompt.key;
        let scenarios: Vec<usize> = run
            .chunk_by(|a, b| rows[*a].prompt.key.scenario == rows[*b].prompt.key.scenario)
            .map(<[usize]>::len)
            .collect();
        // A control rather than a task's own prompt has the numbers of another: what the prompts of a
        // task start with is then still what most of them start with.
        let repeats = find_repeats(&ids, &scenarios, &|i| key(i).wording >= 0);
        let (mut gathered, flaws) =
            self.compute(context, &ids, (&scenarios, &repeats), &wanted, &key)?;
        let units = repeats.run.iter().map(|i| ids[*i].len() as u64).sum();
        let finite = |i: &usize| flaws.binary_search_by_key(i, |flaw| flaw.row).is_err();
        let candidates: Vec<usize> = (0..ids.len()).filter(finite).collect();
        let self_proof = proof::prove(context, &candidates, &ids, &wanted, &key, &gathered)?;
        gathered.remove(&flaws.iter().map(|flaw| flaw.row).collect());
        for Flaw { row, problem } in flaws {
            rows[run[row]].refuse(context.monitor, status::NOT_FINITE, problem);
        }
        let skipped = rows.iter().filter(|row| row.refusal.is_some()).count() as u64;
        let repeats = repeats.copies.len() as u64;
        Ok(Box::new(move |context| {
            let parts = write_tables(context, &rows, &wanted, gathered)?;
            Ok(Outcome { parts, skipped, repeats, self_proof, units })
        }))
    }

    /// Runs prompts with these tokens, which `key` names and of which each scenario has so many, but
    /// for those that repeat another; gives their numbers and, when the pipeline says to continue
    /// without them, the prompts with a value that is not finite, in order.
    fn compute<'k>(
        &self,
        context: &Context<'_>,
        ids: &[&[i32]],
        (scenarios, repeats): (&[usize], &Repeats),
        wanted: &Wanted,
        key: &(dyn Fn(usize) -> &'k PromptKey + Sync),
    ) -> Result<(Gathered, Vec<Flaw>), StageError> {
        let lengths: Vec<usize> = ids.iter().map(|ids| ids.len()).collect();
        let mut gathered = Gathered::within(&self.spare, &lengths, wanted, context.card);
        let mut flaws = Vec::new();
        let tasks = PromptKey::numbers_of_tasks((0..ids.len()).map(key));
        let batches = Batches {
            kind: DESCRIPTION.kind,
            shard: Some(context.part),
            batch_tokens: self.batch_tokens,
            tasks: self.share_prefixes.then_some(&tasks),
            only: Some(&repeats.run),
            scenarios,
            in_order: false,
        };
        batches.run(context, ids, wanted, &mut |piece, outputs| {
            let found = match piece {
                Piece::Prompts(batch) => gathered.take(batch, outputs),
                Piece::Starts { batch, of } => gathered.take_starts(batch, of, outputs),
            };
            match found.first() {
                Some(flaw) if self.not_finite == NotFinite::Error => Err(StageError::Prompt {
                    key: key(flaw.row).clone(),
                    problem: format!(
                        "{}, which is not finite: look at the prompt and the model, or set \
                         `not_finite: skip` in the extract stage to leave such prompts out",
                        flaw.problem
                    ),
                }),
                _ => {
                    flaws.extend(found);
                    Ok(())
                }
            }
        })?;
        gathered.copy(&repeats.copies);
        // A prompt may have one in its start and one in the rest; the first found is reported.
        flaws.sort_by_key(|flaw| flaw.row);
        flaws.dedup_by_key(|flaw| flaw.row);
        let copied = repeats.copies.iter().filter_map(|&(row, of)| {
            let place = flaws.binary_search_by_key(&of, |flaw| flaw.row).ok()?;
            Some(Flaw { row, problem: flaws[place].problem.clone() })
        });
        let copied: Vec<Flaw> = copied.collect();
        flaws.extend(copied);
        flaws.sort_by_key(|flaw| flaw.row);
        Ok((gathered, flaws))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validate(layers: Option<Vec<i64>>) -> (Option<Vec<i16>>, Vec<String>) {
        let facts = Facts { n_layer: Some(12), n_positions: Some(64), ..Facts::default() };
        let mut problems = Problems::default();
        let config = Config { layers, ..Config::default() };
        let valid = config.validate(&Path::default().key("stages").index(0), &facts, &mut problems);
        let texts = problems.into_vec();
        let texts = texts.iter().map(|p| format!("{}: {}", p.at, p.message)).collect();
        (valid.map(|extract| extract.layers), texts)
    }

    #[test]
    fn all_layers_are_the_default() {
        assert_eq!(validate(None).0, Some((0..12).collect()));
    }

    #[test]
    fn layers_are_sorted() {
        assert_eq!(validate(Some(vec![11, 0, 4])).0, Some(vec![0, 4, 11]));
    }

    #[test]
    fn every_impossible_layer_is_named() {
        let (valid, problems) = validate(Some(vec![0, 12, -1, 0]));
        assert_eq!(valid, None);
        let expected = [
            "stages[0].layers[1]: layer 12 does not exist: the model has 12 layers, 0..=11",
            "stages[0].layers[2]: layer -1 does not exist: the model has 12 layers, 0..=11",
            "stages[0].layers[3]: layer 0 is named twice",
        ];
        assert_eq!(problems, expected);
        assert_eq!(validate(Some(vec![])).1, ["stages[0].layers: no layer is named"]);
    }

    #[test]
    fn the_last_layer_is_always_among_those_with_attention() {
        let extract = Extract {
            layers: vec![0, 3],
            too_long: TooLong::Error,
            not_finite: NotFinite::Error,
            batch_tokens: 0,
            share_prefixes: true,
            spare: Spare::default(),
        };
        assert_eq!(weights::layers(extract.layers(), 12), [0, 3, 11]);
        assert_eq!(weights::layers(extract.layers(), 4), [0, 3]);
    }
}

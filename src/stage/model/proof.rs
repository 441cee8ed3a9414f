//! The self-proof: a seeded sample of prompts runs once more, one prompt at a time, and must give the
//! numbers that are about to be written. It covers batching, padding and the copying into place.

use std::sync::{Mutex, PoisonError};

use super::batches::{PAD_ID, several_at_once};
use super::gather::Gathered;
use crate::math::norm;
use crate::model::{Batch, ModelError, Tolerance, Wanted};
use crate::prompt::PromptKey;
use crate::run_dir::receipt::SelfProof;
use crate::stage::{Context, StageError};
use crate::store::hex_sha256;

/// One prompt in this many is proved, and at least one of each shard.
const ONE_IN: usize = 256;

/// Runs a sample of the prompts `candidates` again and compares it with `gathered`. `None` without
/// candidates.
///
/// # Errors
/// When a prompt gives other numbers: says which, where, by how much, and how much is allowed.
pub(crate) fn prove<'k>(
    context: &Context<'_>,
    candidates: &[usize],
    ids: &[&[i32]],
    wanted: &Wanted,
    key: &(dyn Fn(usize) -> &'k PromptKey + Sync),
    gathered: &Gathered,
) -> Result<Option<SelfProof>, StageError> {
    if candidates.is_empty() {
        return Ok(None);
    }
    let tolerance = context.engine.tolerance()?;
    let proof = Mutex::new(SelfProof {
        prompts: 0,
        largest_relative_difference: 0.0,
        largest_attention_difference: 0.0,
        tolerance: tolerance.relative,
        attention_tolerance: tolerance.attention,
    });
    let rows = sample(candidates, context.seed, key);
    several_at_once(context.engine.at_once()?, rows.len(), context.model_is_spare, |i| {
        let row = rows[i];
        context.go_on()?;
        let (relative, attention) = prove_one(context, ids[row], wanted, row, gathered, tolerance)?
            .map_err(|what| StageError::Prompt {
                key: key(row).clone(),
                problem: format!(
                    "gives different numbers alone than in a batch with others: {what}; nothing of \
                     this shard is written, because its numbers cannot be trusted: try `provider: cpu` \
                     or another version of ONNX Runtime"
                ),
            })?;
        let mut proof = proof.lock().unwrap_or_else(PoisonError::into_inner);
        proof.prompts += 1;
        proof.largest_relative_difference =
            proof.largest_relative_difference.max(to_record(relative));
        proof.largest_attention_difference =
            proof.largest_attention_difference.max(to_record(attention));
        Ok(())
    })?;
    Ok(Some(proof.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// Runs the prompt `row` alone; gives the largest differences as [`compare`] does, or what is off.
fn prove_one(
    context: &Context<'_>,
    ids: &[i32],
    wanted: &Wanted,
    row: usize,
    gathered: &Gathered,
    tolerance: Tolerance,
) -> Result<Result<(f64, f64), String>, ModelError> {
    let mut alone = Gathered::new(&[ids.len()], wanted, context.card);
    let batch = Batch::pad(&[0], &[ids], PAD_ID);
    let mut flaws = Vec::new();
    context.engine.run(&batch, wanted, &mut |outputs| flaws = alone.take(&batch, outputs))?;
    Ok(match flaws.first() {
        Some(flaw) => Err(format!("alone it {}", flaw.problem)),
        None => compare(&alone, gathered, row, tolerance),
    })
}

/// Four digits: all that a reader wants, and few enough to be read back from a receipt unchanged.
fn to_record(difference: f64) -> f64 {
    format!("{difference:.3e}").parse().expect("a formatted number is a number")
}

/// Prompts drawn by the hash of seed and name, so that neither order nor threads nor batches matter.
fn sample<'k>(candidates: &[usize], seed: u64, key: &dyn Fn(usize) -> &'k PromptKey) -> Vec<usize> {
    let mut drawn: Vec<(String, usize)> = candidates
        .iter()
        .map(|&row| {
            let key = key(row);
            let name = (seed, &*key.scenario, &*key.input, &*key.task, key.wording);
            (hex_sha256(format!("{name:?}").as_bytes()), row)
        })
        .collect();
    drawn.sort();
    drawn.truncate(candidates.len().div_ceil(ONE_IN));
    drawn.into_iter().map(|(_, row)| row).collect()
}

/// The largest relative difference and the largest of attention weights between `alone`, which
/// holds one prompt, and prompt `row` of `gathered`; or what is off.
fn compare(
    alone: &Gathered,
    gathered: &Gathered,
    row: usize,
    allowed: Tolerance,
) -> Result<(f64, f64), String> {
    let mut relative: f64 = 0.0;
    for (at, one, other) in
        alone.vectors(0).zip(gathered.vectors(row)).map(|((at, a), (_, b))| (at, a, b))
    {
        let difference = largest_difference(one, other) / norm(one);
        // A zero vector twice is no difference; NaN and infinity are never within.
        let difference = if one == other { 0.0 } else { difference };
        within(difference, allowed.relative, "of the vector's norm")
            .map_err(|off| format!("{at} {off}"))?;
        relative = relative.max(difference);
    }
    let attention = largest_difference(alone.weights(0), gathered.weights(row));
    within(attention, allowed.attention, "of attention")
        .map_err(|off| format!("a weight {off}"))?;
    Ok((relative, attention))
}

fn within(difference: f64, allowed: f64, of: &str) -> Result<(), String> {
    if difference <= allowed {
        return Ok(());
    }
    Err(format!("is off by {difference:.3e} {of}, and {allowed:.3e} is allowed"))
}

fn largest_difference(one: &[f32], other: &[f32]) -> f64 {
    let differences = one.iter().zip(other).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    differences.fold(0.0, f64::max)
}

//! The model's part: every prompt once, then its rest over another reading of the input.

use std::collections::BTreeSet;

use indexmap::IndexSet;

use super::cast::{Cast, Member};
use crate::math::{Distribution, norm, top_k};
use crate::stage::model::spliced::{Computed, Piece, Run, Where, compute};
use crate::stage::{Context, StageError};

/// One exchange: into which prompt, from which, and the first block that reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Exchange {
    pub(super) receiver: usize,
    pub(super) donor: usize,
    pub(super) from: usize,
}

/// What the model says next.
#[derive(Debug)]
pub(super) struct Saying {
    pub(super) next: Distribution,
    /// The scores that it is made of.
    pub(super) scores: Vec<f32>,
    /// The token with the largest.
    pub(super) top: usize,
}

impl Saying {
    /// `None` where a score is not finite, or there are none.
    fn of(scores: Vec<f32>) -> Option<Self> {
        let next = Distribution::from_logits(&scores).ok()?;
        let top = *top_k(&scores, 1).first()?;
        Some(Self { next, scores, top })
    }
}

/// What the model says after an input's prompts and exchanges; `None` where that is not finite.
#[derive(Debug)]
pub(super) struct Said {
    /// After each member; `None` also for those that had no part.
    pub(super) plain: Vec<Option<Saying>>,
    /// After each exchange, in their order.
    pub(super) exchanged: Vec<Option<Saying>>,
}

/// Runs the prompts of `cast` at the places `part`, which have one, and the exchanges between them.
///
/// # Errors
/// When the model fails, or a prompt says something else once it is moved or its own reading was put back:
/// then no exchange could be trusted.
pub(super) fn run(
    context: &Context<'_>,
    cast: &Cast<'_>,
    part: &BTreeSet<usize>,
    exchanges: &IndexSet<Exchange>,
) -> Result<Said, StageError> {
    let runs: Vec<Run<'_>> = part.iter().map(|place| whole(&cast.members[*place], true)).collect();
    let mut plain: Vec<Option<Computed>> = cast.members.iter().map(|_| None).collect();
    for (place, computed) in part.iter().zip(compute(context, &runs)?) {
        plain[*place] = Some(computed);
    }
    prove_moving(context, cast, &plain)?;
    let runs: Vec<Run<'_>> =
        exchanges.iter().map(|exchange| mediated(cast, &plain, *exchange)).collect();
    let exchanged = compute(context, &runs)?;
    prove_putting_back(context, cast, exchanges, &plain, &exchanged)?;
    Ok(Said {
        plain: plain.into_iter().map(|of| Saying::of(of?.logits)).collect(),
        exchanged: exchanged.into_iter().map(|of| Saying::of(of.logits)).collect(),
    })
}

fn whole<'r>(member: &Member<'r>, moved: bool) -> Run<'r> {
    let keep = member.span.as_ref().map_or(0, |span| span.end);
    let first = if moved { member.moved } else { 0 };
    Run { past: Vec::new(), tokens: &member.prompt.token_ids, first, keep }
}

/// The receiver's rest over its prefix and the donor's reading.
fn mediated<'r>(cast: &'r Cast<'_>, plain: &'r [Option<Computed>], exchange: Exchange) -> Run<'r> {
    let reading = |place: usize| {
        let computed: &Computed = plain[place].as_ref().expect("only members with a part exchange");
        &computed.reading
    };
    let (receiver, donor) = (&cast.members[exchange.receiver], &cast.members[exchange.donor]);
    let own = receiver.span.clone().unwrap_or_default();
    let other = (reading(exchange.donor), donor.start(), Where::from(exchange.from));
    let input =
        Piece { of: (reading(exchange.receiver), own.start), count: own.len(), other: Some(other) };
    Run {
        past: vec![Piece::own(reading(exchange.receiver), 0..own.start), input],
        tokens: &receiver.prompt.token_ids[own.end..],
        first: receiver.moved + own.end,
        keep: 0,
    }
}

/// Compares the prompt that was moved the furthest with itself where it was.
fn prove_moving(
    context: &Context<'_>,
    cast: &Cast<'_>,
    plain: &[Option<Computed>],
) -> Result<(), StageError> {
    let places = (0..cast.members.len())
        .filter(|place| plain[*place].is_some() && cast.members[*place].moved > 0);
    let Some(furthest) = places.max_by_key(|place| cast.members[*place].moved) else {
        return Ok(());
    };
    let member = &cast.members[furthest];
    let there = compute(context, &[Run { keep: 0, ..whole(member, false) }])?;
    let Some(moved) = &plain[furthest] else { return Ok(()) };
    let allowed = context.engine.tolerance()?.relative;
    same(allowed, &there[0].logits, &moved.logits).map_err(|off| {
        problem(
            member,
            &format!("says something else when it is moved by {} positions, {off}", member.moved),
        )
    })
}

/// Compares every prompt whose own reading was put back with itself.
fn prove_putting_back(
    context: &Context<'_>,
    cast: &Cast<'_>,
    exchanges: &IndexSet<Exchange>,
    plain: &[Option<Computed>],
    exchanged: &[Computed],
) -> Result<(), StageError> {
    let allowed = context.engine.tolerance()?.relative;
    for (exchange, computed) in exchanges.iter().zip(exchanged) {
        let Some(own) =
            plain[exchange.receiver].as_ref().filter(|_| exchange.receiver == exchange.donor)
        else {
            continue;
        };
        same(allowed, &own.logits, &computed.logits).map_err(|off| {
            let what = format!("says something else when its own reading is put back, {off}");
            problem(&cast.members[exchange.receiver], &what)
        })?;
    }
    Ok(())
}

/// Whether two vectors of scores are the same but for what is allowed of their norm; else by how much they differ. Scores that are
/// not finite have a status of their own.
fn same(allowed: f64, one: &[f32], other: &[f32]) -> Result<(), String> {
    let largest = one.iter().zip(other).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
    let off = largest / norm(one);
    if off > allowed {
        return Err(format!("by {off:.3e} of the scores' norm where {allowed:.3e} is allowed"));
    }
    Ok(())
}

fn problem(member: &Member<'_>, what: &str) -> StageError {
    StageError::Prompt {
        key: member.prompt.key.clone(),
        problem: format!(
            "{what}; nothing of this shard's exchanges is written, because none could be trusted: try \
             `provider: cpu` or another version of ONNX Runtime"
        ),
    }
}

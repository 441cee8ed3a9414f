//! The model's part: every prompt once, then its rest over another reading of the input.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::cast::{Cast, Member};
use crate::math::{Distribution, jsd_bits, norm, top_k};
use crate::stage::model::spliced::{Piece, Reading, Run, Where, compute};
use crate::stage::{Context, StageError};

/// One exchange: into which prompt, from which, and the first block that reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Exchange {
    pub(super) receiver: usize,
    pub(super) donor: usize,
    pub(super) from: usize,
}

/// All exchanges, each with the members towards which its change is measured.
pub(super) type Exchanges = IndexMap<Exchange, BTreeSet<usize>>;

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

    /// How much one token's score exceeds another's.
    pub(super) fn difference(&self, one: usize, other: usize) -> f64 {
        f64::from(self.scores[one]) - f64::from(self.scores[other])
    }
}

/// What the model says after an exchange, compared with what it says after members' prompts.
#[derive(Debug)]
pub(super) struct Changed {
    /// The token with the largest score.
    pub(super) top: usize,
    /// By member: how far its prediction is from this one, nats, and how much the score of its top token
    /// exceeds that of the receiver's.
    pub(super) from: BTreeMap<usize, (f64, f64)>,
    /// How far the receiver's prediction is from this one, nats.
    pub(super) loss: f64,
    /// Their divergence, bits.
    pub(super) jsd: f64,
}

/// What the model says after an input's prompts and exchanges; `None` where that is not finite.
#[derive(Debug)]
pub(super) struct Said {
    /// After each member; `None` also for those that had no part.
    pub(super) plain: Vec<Option<Saying>>,
    /// After each exchange, in their order; `None` also where the receiver's prediction is not finite.
    pub(super) exchanged: Vec<Option<Changed>>,
}

impl Changed {
    /// What an exchange with these scores changed, towards `axes`.
    fn of(
        scores: Vec<f32>,
        plain: &[Option<Saying>],
        receiver: usize,
        axes: &BTreeSet<usize>,
    ) -> Option<Self> {
        let (own, after) = (plain[receiver].as_ref()?, Saying::of(scores)?);
        let from = axes.iter().filter_map(|&axis| {
            let other = plain[axis].as_ref()?;
            let difference = after.difference(other.top, own.top);
            Some((axis, (other.next.kl(&after.next), difference)))
        });
        Some(Self {
            top: after.top,
            from: from.collect(),
            loss: own.next.kl(&after.next),
            jsd: jsd_bits(&own.next, &after.next),
        })
    }
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
    exchanges: &Exchanges,
) -> Result<Said, StageError> {
    let runs: Vec<Run<'_>> = part.iter().map(|place| whole(&cast.members[*place], true)).collect();
    let mut plain: Vec<Option<Saying>> = cast.members.iter().map(|_| None).collect();
    let mut readings: Vec<Option<Reading>> = cast.members.iter().map(|_| None).collect();
    let said =
        compute(context, &runs, |_, computed| (Saying::of(computed.logits), computed.reading))?;
    for (place, (saying, reading)) in part.iter().zip(said) {
        (plain[*place], readings[*place]) = (saying, Some(reading));
    }
    let allowed = context.engine.tolerance()?.relative;
    prove_moving(context, cast, allowed, &plain)?;
    let runs: Vec<Run<'_>> =
        exchanges.keys().map(|exchange| mediated(cast, &readings, *exchange)).collect();
    let exchanged = compute(context, &runs, |i, computed| {
        let (exchange, axes) = exchanges.get_index(i).expect("a run for each exchange");
        if exchange.receiver == exchange.donor {
            prove_putting_back(cast, allowed, exchange.receiver, &plain, &computed.logits)?;
        }
        Ok(Changed::of(computed.logits, &plain, exchange.receiver, axes))
    })?;
    Ok(Said { exchanged: exchanged.into_iter().collect::<Result<_, StageError>>()?, plain })
}

fn whole<'r>(member: &Member<'r>, moved: bool) -> Run<'r> {
    let keep = member.span.as_ref().map_or(0, |span| span.end);
    let first = if moved { member.moved } else { 0 };
    Run { past: Vec::new(), tokens: &member.prompt.token_ids, first, keep }
}

/// The receiver's rest over its prefix and the donor's reading.
fn mediated<'r>(
    cast: &'r Cast<'_>,
    readings: &'r [Option<Reading>],
    exchange: Exchange,
) -> Run<'r> {
    let reading = |place: usize| -> &'r Reading {
        readings[place].as_ref().expect("only members with a part exchange")
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
    allowed: f64,
    plain: &[Option<Saying>],
) -> Result<(), StageError> {
    let places = (0..cast.members.len())
        .filter(|place| plain[*place].is_some() && cast.members[*place].moved > 0);
    let Some(furthest) = places.max_by_key(|place| cast.members[*place].moved) else {
        return Ok(());
    };
    let member = &cast.members[furthest];
    let run = [Run { keep: 0, ..whole(member, false) }];
    let there = compute(context, &run, |_, computed| computed.logits)?;
    let Some(moved) = &plain[furthest] else { return Ok(()) };
    same(allowed, &there[0], &moved.scores).map_err(|off| {
        problem(
            member,
            &format!("says something else when it is moved by {} positions, {off}", member.moved),
        )
    })
}

/// Compares a prompt with itself once its own reading was put back.
fn prove_putting_back(
    cast: &Cast<'_>,
    allowed: f64,
    place: usize,
    plain: &[Option<Saying>],
    scores: &[f32],
) -> Result<(), StageError> {
    let Some(own) = &plain[place] else { return Ok(()) };
    same(allowed, &own.scores, scores).map_err(|off| {
        let what = format!("says something else when its own reading is put back, {off}");
        problem(&cast.members[place], &what)
    })
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

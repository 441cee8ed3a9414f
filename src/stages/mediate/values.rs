//! What an exchange brought and cost, from what the model says before and after it.

use std::collections::BTreeMap;

use super::exchange::Said;
use crate::math::jsd_bits;
use crate::table::status;

/// The numbers of a row.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Values {
    pub(super) gain: f64,
    pub(super) gain_total: f64,
    pub(super) loss: f64,
    pub(super) loss_total: f64,
    pub(super) jsd: f64,
    pub(super) jsd_total: f64,
    /// Under h, A and B; `None` where A and B have one top token.
    pub(super) logit_difference: Option<[f64; 3]>,
    /// Shares of the sources whose top token is A's, B's, that of both, another.
    pub(super) answers: [f64; 4],
    /// The top token after the exchange, of a single source.
    pub(super) answer: Option<usize>,
}

/// What is measured: towards which prompt, and after which exchange.
pub(super) type Pair = (usize, usize);

/// The numbers of an input's rows. What depends on two prompts alone is computed once.
pub(super) struct Measures<'s> {
    said: &'s Said,
    /// By axis and receiver: what there is to gain, to lose, and their divergence.
    totals: BTreeMap<Pair, [f64; 3]>,
}

impl<'s> Measures<'s> {
    pub(super) fn of(said: &'s Said) -> Self {
        Self { said, totals: BTreeMap::new() }
    }

    /// The mean over `pairs` of an axis and an exchange into `receiver`; the word for why there is none.
    pub(super) fn values(
        &mut self,
        receiver: usize,
        pairs: &[Pair],
    ) -> Result<Values, &'static str> {
        let mut sum = Values::default();
        let mut differences = Some([0.0; 3]);
        for &(axis, exchange) in pairs {
            let own = self.one(receiver, axis, exchange)?;
            let add = |sum: &mut f64, value: f64| *sum += value / pairs.len() as f64;
            add(&mut sum.gain, own.gain);
            add(&mut sum.gain_total, own.gain_total);
            add(&mut sum.loss, own.loss);
            add(&mut sum.loss_total, own.loss_total);
            add(&mut sum.jsd, own.jsd);
            add(&mut sum.jsd_total, own.jsd_total);
            for (sum, value) in sum.answers.iter_mut().zip(own.answers) {
                add(sum, value);
            }
            differences = differences.zip(own.logit_difference).map(|(mut sums, own)| {
                sums.iter_mut().zip(own).for_each(|(sum, value)| add(sum, value));
                sums
            });
            sum.answer = own.answer;
        }
        sum.logit_difference = differences;
        sum.answer = sum.answer.filter(|_| pairs.len() == 1);
        if pairs.is_empty() { Err(status::NO_PAIRS) } else { Ok(sum) }
    }

    fn one(
        &mut self,
        receiver: usize,
        axis: usize,
        exchange: usize,
    ) -> Result<Values, &'static str> {
        let finite = |place: usize| self.said.plain[place].as_ref().ok_or(status::NOT_FINITE);
        let (a, b) = (finite(axis)?, finite(receiver)?);
        let h = self.said.exchanged[exchange].as_ref().ok_or(status::NOT_FINITE)?;
        let (from_a, difference) = h.from[&axis];
        let place = match (h.top == a.top, h.top == b.top) {
            (true, false) => 0,
            (false, true) => 1,
            (true, true) => 2,
            (false, false) => 3,
        };
        let mut answers = [0.0; 4];
        answers[place] = 1.0;
        let totals = || [a.next.kl(&b.next), b.next.kl(&a.next), jsd_bits(&a.next, &b.next)];
        let [gain_total, loss_total, jsd_total] =
            *self.totals.entry((axis, receiver)).or_insert_with(totals);
        Ok(Values {
            gain: gain_total - from_a,
            gain_total,
            loss: h.loss,
            loss_total,
            jsd: h.jsd,
            jsd_total,
            logit_difference: (a.top != b.top)
                .then(|| [difference, a.difference(a.top, b.top), b.difference(a.top, b.top)]),
            answers,
            answer: Some(h.top),
        })
    }
}

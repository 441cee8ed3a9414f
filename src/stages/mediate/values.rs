//! What an exchange brought and cost, from what the model says before and after it.

use super::exchange::{Said, Says};
use crate::math::{self, Distribution, jsd_bits};
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

fn finite(says: &Says) -> Result<&Distribution, &'static str> {
    says.as_ref().ok_or(status::NOT_FINITE)
}

/// What is measured: towards which prompt, and after which exchange.
pub(super) type Pair = (usize, usize);

impl Said {
    /// The mean over `pairs` of an axis and an exchange into `receiver`; the word for why there is none.
    pub(super) fn values(&self, receiver: usize, pairs: &[Pair]) -> Result<Values, &'static str> {
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

    fn one(&self, receiver: usize, axis: usize, exchange: usize) -> Result<Values, &'static str> {
        let (a, b) = (finite(&self.plain[axis])?, finite(&self.plain[receiver])?);
        let h = finite(&self.exchanged[exchange])?;
        let logits = [
            &self.exchanged_logits[exchange],
            &self.plain_logits[axis],
            &self.plain_logits[receiver],
        ];
        let [answer, of_a, of_b] = logits.map(|scores| math::top_k(scores, 1)[0]);
        let place = match (answer == of_a, answer == of_b) {
            (true, false) => 0,
            (false, true) => 1,
            (true, true) => 2,
            (false, false) => 3,
        };
        let mut answers = [0.0; 4];
        answers[place] = 1.0;
        let difference = |scores: &Vec<f32>| f64::from(scores[of_a]) - f64::from(scores[of_b]);
        let gain_total = a.kl(b);
        Ok(Values {
            gain: gain_total - a.kl(h),
            gain_total,
            loss: b.kl(h),
            loss_total: b.kl(a),
            jsd: jsd_bits(b, h),
            jsd_total: jsd_bits(a, b),
            logit_difference: (of_a != of_b).then(|| logits.map(difference)),
            answers,
            answer: Some(answer),
        })
    }
}

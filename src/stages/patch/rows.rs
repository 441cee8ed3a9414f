//! The rows of the tables, and what they hold.

use std::sync::Arc;

use crate::table::schema::{PatchDoseRow, PatchRow, PatchTokensRow};
use crate::table::status;

/// The words of column `segment`, in the order of the prompt; the last token of the rest stands for itself too.
pub(super) const SEGMENTS: [&str; 4] = ["prefix", "input", "rest", "last"];

/// All sets of segments, as bits; 0 and 7 are the prompts themselves.
pub(super) const SETS: usize = 8;

/// The rows of a shard.
#[derive(Debug, Default)]
pub(super) struct Found<'p> {
    pub(super) segments: Vec<OfSegment<'p>>,
    pub(super) doses: Vec<OfDose<'p>>,
    pub(super) tokens: Vec<OfToken<'p>>,
}

/// A donor and a receiver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'p> {
    pub(super) scenario: &'p Arc<str>,
    pub(super) input: &'p Arc<str>,
    pub(super) donor: &'p Arc<str>,
    pub(super) receiver: &'p Arc<str>,
}

/// What a mixed stream brought and cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Values {
    pub(super) gain: f64,
    pub(super) gain_total: f64,
    pub(super) loss: f64,
    pub(super) loss_total: f64,
    pub(super) jsd: f64,
}

/// A row of table `patch`.
#[derive(Debug)]
pub(super) struct OfSegment<'p> {
    pub(super) names: Names<'p>,
    pub(super) layer: i16,
    pub(super) segment: &'static str,
    pub(super) values: Result<Values, &'static str>,
    pub(super) shapley: Option<f64>,
}

/// A row of table `patch_dose`.
#[derive(Debug)]
pub(super) struct OfDose<'p> {
    pub(super) names: Names<'p>,
    pub(super) layer: i16,
    pub(super) dose: f64,
    pub(super) values: Result<Values, &'static str>,
}

/// A row of table `patch_tokens`.
#[derive(Debug)]
pub(super) struct OfToken<'p> {
    pub(super) names: Names<'p>,
    pub(super) layer: i16,
    pub(super) place: i32,
    pub(super) token_id: i32,
    pub(super) token: String,
    pub(super) values: Result<Values, &'static str>,
}

/// A dose in percent; `None` where that is no whole number from 1 to 10,000.
pub(super) fn percent(dose: f64) -> Option<i16> {
    let percent = (100.0 * dose).round();
    let is_whole = (100.0 * dose - percent).abs() < 1e-9;
    (is_whole && (1.0..=10_000.0).contains(&percent)).then_some(percent as i16)
}

/// What a segment adds to the worth of sets of the others, averaged over all orders, over the worth of all.
pub(super) fn shapley(
    worth: &dyn Fn(usize) -> Result<f64, &'static str>,
    segment: usize,
) -> Result<Option<f64>, &'static str> {
    let mut sum = 0.0;
    for set in (0..SETS).filter(|set| set >> segment & 1 == 0) {
        let weight = [2.0, 1.0, 2.0][set.count_ones() as usize] / 6.0;
        sum += weight * (worth(set | 1 << segment)? - worth(set)?);
    }
    let all = worth(SETS - 1)?;
    Ok((all > 0.0).then(|| sum / all))
}

macro_rules! row {
    ($self:ident, $row:ident { $($own:tt)* }) => {{
        let values = $self.values.as_ref().ok();
        $row {
            scenario: $self.names.scenario,
            input: $self.names.input,
            task_donor: $self.names.donor,
            task_receiver: $self.names.receiver,
            layer: $self.layer,
            gain_nats: values.map(|own| own.gain),
            gain_total_nats: values.map(|own| own.gain_total),
            loss_nats: values.map(|own| own.loss),
            loss_total_nats: values.map(|own| own.loss_total),
            jsd_bits: values.map(|own| own.jsd),
            status: $self.values.as_ref().err().copied().unwrap_or(status::OK),
            $($own)*
        }
    }};
}

impl OfSegment<'_> {
    pub(super) fn row(&self) -> PatchRow<'_> {
        row!(self, PatchRow { segment: self.segment, shapley: self.shapley })
    }
}

impl OfDose<'_> {
    pub(super) fn row(&self) -> PatchDoseRow<'_> {
        row!(self, PatchDoseRow { dose_percent: percent(self.dose).unwrap_or(0) })
    }
}

impl OfToken<'_> {
    pub(super) fn row(&self) -> PatchTokensRow<'_> {
        row!(
            self,
            PatchTokensRow { place: self.place, token_id: self.token_id, token: &self.token }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::shapley;

    /// By the formula: the mean over the six orders.
    #[test]
    fn shares_sum_to_one_and_are_the_mean_over_all_orders() {
        let worths = [0.0, 0.1, 0.5, 0.9, 0.2, 0.25, 0.95, 2.0];
        let worth = |set: usize| Ok(worths[set]);
        let shares: Vec<f64> = (0..3).map(|i| shapley(&worth, i).unwrap().unwrap()).collect();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{shares:?}");
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        for (i, share) in shares.iter().enumerate() {
            let added = |order: [usize; 3]| {
                let before = order.iter().take_while(|j| **j != i).fold(0, |set, j| set | 1 << j);
                worths[before | 1 << i] - worths[before]
            };
            let mean = orders.map(added).iter().sum::<f64>() / 6.0 / 2.0;
            assert!((share - mean).abs() < 1e-12, "{share} {mean}");
        }
        assert_eq!(shapley(&|_| Ok(0.0), 0), Ok(None), "nothing to share");
    }
}

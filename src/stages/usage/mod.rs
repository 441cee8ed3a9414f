//! Does the model use what differs? From the mediated runs of all inputs to a verdict for every task.
//!
//! ```text
//! sufficient(A into B) = Σ [gain(A) - max(gain(neutral), gain(other wordings of B), 0)] / Σ gain_total
//! necessary(B)         = Σ [loss(neutral) - loss(other wordings of B)]                  / Σ loss_total
//! ```
//!
//! Sums are over clusters of inputs (each the mean of its inputs) and wordings; ratios of sums, because the ratio
//! of one input explodes where there is little to gain. Intervals are Fieller's with inputs and wordings random
//! ([`Crossed::of_ratio`](crate::math::Crossed::of_ratio)): pair w is wording w of A and of B, and the pairs are a
//! sample. With `wordings: in_turn` an input has one pair, and leaving a pair out leaves its inputs out: the inputs'
//! spread is then in both parts of the variance, which can make the interval wider than it need be, not narrower.
//!
//! p flips the signs of the inputs' `value - margin * total`, so that it tests against the margin and not against 0;
//! `p_max_t` corrects over all questions of the scenario.
//!
//! | answer | when |
//! |---|---|
//! | `yes` | the interval lies above the margin, and `p_max_t` < .05 |
//! | `no` | the interval lies below the margin |
//! | `not_testable` | fewer than 5 clusters; less than `min_effect` nats there to gain or lose in the median; no neutral prefix; the input before every task, or in other tokens |
//! | `undecided` | otherwise; also where other wordings move it by more than the margin |
//!
//! A task is `used` where its reading is necessary, or sufficient for some other task; `not_used` where it is neither
//! and some other task of the scenario is used, which shows that the exchange would have shown it.
//!
//! Reads `prompts` and `mediation`, writes `use_effect` and `use_verdict`. Memory: some numbers for each input,
//! pair, wording and source.

mod answer;
mod effect;
mod gather;
mod verdict;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math::PERMUTATION_DRAWS;
use crate::stage::{
    Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError, draws,
};
use crate::table::WriteRow as _;
use crate::table::schema::{
    MEDIATION, PROMPTS, USE_EFFECT, USE_VERDICT, UseEffectRow, UseVerdictRow,
};
use crate::yaml::{Path, Problems};
use gather::Gathered;

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "use",
    version: 1,
    scope: Scope::Run,
    unit: "shards",
    reads: &[&PROMPTS, &MEDIATION],
    reads_if_there: &[],
    writes: &[&USE_EFFECT, &USE_VERDICT],
    file: None,
    depends_on: DependsOn { layers: false, seed: true, head: false, lineage: false },
};

/// Says of every task whether the model uses how the input was read under it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The share of the whole effect that would be too little to matter, above 0 and below 1.
    pub margin: f64,
    /// Nats: where the median input has less to gain or lose than this, nothing can be said.
    pub min_effect: f64,
    /// How many sign flips are drawn where there are too many to count them all.
    pub permutations: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { margin: 0.1, min_effect: 0.05, permutations: PERMUTATION_DRAWS }
    }
}

impl Config {
    /// Valid with a margin between nothing and everything.
    pub fn validate(&self, at: &Path, _facts: &Facts, problems: &mut Problems) -> Option<Use> {
        let permutations = draws::check_permutations(self.permutations, at, problems);
        let mut is_good = true;
        if !(self.margin > 0.0 && self.margin < 1.0) {
            problems.push(
                &at.key("margin"),
                format!("margin {} is not between 0 and 1", self.margin),
                "it is the share of the whole effect that would be too little to matter; 0.1 is a tenth",
            );
            is_good = false;
        }
        if !(self.min_effect > 0.0 && self.min_effect.is_finite()) {
            problems.push(
                &at.key("min_effect"),
                format!("min_effect {} is not above 0", self.min_effect),
                "it is how many nats the tasks' answers must differ by to be worth a question; 0.05 is little",
            );
            is_good = false;
        }
        let permutations = permutations?;
        is_good.then_some(Use { margin: self.margin, min_effect: self.min_effect, permutations })
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Use {
    margin: f64,
    min_effect: f64,
    permutations: usize,
}

impl Stage for Use {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn settings(&self) -> serde_json::Value {
        serde_json::json!({
            "margin": self.margin,
            "min_effect": self.min_effect,
            "permutations": self.permutations,
        })
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let units = u64::from(context.shards);
        context.start(&DESCRIPTION, units);
        let gathered = Gathered::read(context, &DESCRIPTION)?;
        let (mut effects, mut verdicts) = (Vec::new(), Vec::new());
        for (name, scenario) in &gathered.scenarios {
            context.go_on()?;
            let own = self.effects(context.seed, name, scenario);
            verdicts.extend(verdict::of(self.margin, name, scenario, &own));
            effects.extend(own);
        }
        let rows: Vec<UseEffectRow<'_>> = effects.iter().map(effect::Effect::row).collect();
        let of_effects = UseEffectRow::write(context.store, 0, &rows)?;
        let rows: Vec<UseVerdictRow<'_>> = verdicts.iter().map(verdict::Verdict::row).collect();
        let of_verdicts = UseVerdictRow::write(context.store, 0, &rows)?;
        Ok(Outcome { parts: vec![of_effects, of_verdicts], units, ..Outcome::default() })
    }
}

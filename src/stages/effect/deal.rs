//! Do tasks differ more than wordings do? The wordings of a scenario, dealt out to its tasks again.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::Effect;
use super::row::WordingP;
use super::tally::Scenario;
use crate::math;
use crate::math::{Form, Orders, PermutationTest, Reassignments};
use crate::stage::{Context, StageError};

/// Exchanges of wordings that the test on their residuals draws at most: its p is read beside the others,
/// and no verdict rests on its digits.
const MOST_ORDERS: usize = 1_999;

/// What it gave, by measure and layer.
#[derive(Debug, Default)]
pub(super) struct Dealt<'t> {
    found: BTreeMap<(&'t str, i16), WordingP>,
}

/// The test on one measure and layer.
struct Tested<'t> {
    measure: &'t str,
    layer: i16,
    p: f64,
    /// On one scale with all others; `None` where every way gives the same.
    standardised: Option<PermutationTest>,
    p_form: Option<f64>,
}

impl<'t> Dealt<'t> {
    /// Deals the wordings of a scenario out, the same way for all measures, layers and inputs.
    pub(super) fn new(
        effect: &Effect,
        context: &Context<'_>,
        (name, scenario): (&str, &'t Scenario),
    ) -> Result<Self, StageError> {
        let wordings = &scenario.wordings;
        let (sizes, purpose) = (wordings.sizes(), format!("wordings of {name}"));
        let draws = effect.permutations;
        let Ok(ways) = Reassignments::new(&sizes, draws, context.seed, &purpose) else {
            return Ok(Self::default());
        };
        let form = Form::new(&wordings.cell_tasks(), &wordings.differences()).ok();
        let orders = draws.min(MOST_ORDERS);
        let orders = Orders::new(sizes.iter().sum(), orders, context.seed, &purpose);
        let measured: Vec<_> = scenario
            .measures
            .iter()
            .flat_map(|(measure, layers)| layers.iter().map(move |layer| (measure, layer)))
            .collect();
        let test = |(measure, (layer, own)): &(&'t String, (&i16, &super::tally::Measured))| {
            context.go_on()?;
            let Some(means) = own.pairs.means(wordings) else { return Ok(None) };
            let Ok(test) = ways.test(&means.table) else { return Ok(None) };
            let p_form = form.as_ref().and_then(|form| form.test(&means.table, &orders).ok());
            Ok(Some(Tested {
                measure: measure.as_str(),
                layer: **layer,
                p: test.p(),
                p_form: p_form.map(|test| test.p()),
                standardised: test.standardised().ok(),
            }))
        };
        let tested: Vec<Result<Option<Tested<'t>>, StageError>> =
            measured.par_iter().map(test).collect();
        let tested: Vec<Option<Tested<'t>>> = tested.into_iter().collect::<Result<_, _>>()?;
        let tested: Vec<Tested<'t>> = tested.into_iter().flatten().collect();
        let is_judged = |measure: &str, layer| effect.judged.counts(measure, layer);
        Ok(Self::corrected(&tested, ways.count(), is_judged))
    }

    /// With the corrections: over the layers of each measure, and over all that the verdict rests on.
    fn corrected(
        tested: &[Tested<'t>],
        ways: usize,
        is_judged: impl Fn(&str, i16) -> bool,
    ) -> Self {
        let mut found: BTreeMap<(&'t str, i16), WordingP> = BTreeMap::new();
        let mut by_measure: BTreeMap<&str, math::Family> = BTreeMap::new();
        let mut joint = math::Family::default();
        for own in tested {
            let Some(test) = &own.standardised else { continue };
            by_measure.entry(own.measure).or_default().add(test);
            if is_judged(own.measure, own.layer) {
                joint.add(test);
            }
        }
        for own in tested {
            let Tested { measure, layer, p, standardised, p_form } = own;
            let observed = standardised.as_ref().map(PermutationTest::observed);
            let p_joint =
                observed.filter(|_| is_judged(measure, *layer)).map(|value| joint.p(value));
            let p_max_t = observed.map(|value| by_measure[measure].p(value));
            let p = standardised.as_ref().map(|_| *p);
            let count = if p.is_some() { ways } else { 0 };
            let all = WordingP { p, p_max_t, p_joint, p_form: *p_form, count };
            found.insert((*measure, *layer), all);
        }
        Self { found }
    }

    /// What it gave for a measure on a layer.
    pub(super) fn of(&self, measure: &str, layer: i16) -> WordingP {
        self.found.get(&(measure, layer)).copied().unwrap_or_default()
    }
}

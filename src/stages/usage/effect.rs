//! One question each: does A's reading bring A's prediction into B's prompt, and is B's lost without its own?

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::Use;
use super::answer::Answer;
use super::gather::{Numbers, Pair, Scenario};
use crate::math::{self, Crossed, SignFlips};
use crate::stage::feasible::{LEAST_CLUSTERS, LEVEL};
use crate::stage::names::{NEUTRAL, PARAPHRASE, TASK, THIRD};
use crate::table::schema::UseEffectRow;
use crate::table::status;

/// Coverage of the intervals.
const COVERAGE: f64 = 0.95;

/// In column `obstacle`: other wordings of the receiver move it by more than the margin.
const CONTROL_MOVES: &str = "control_moves";

/// A question, and what came of it.
#[derive(Debug, Clone)]
pub(super) struct Effect {
    scenario: String,
    pub(super) donor: String,
    pub(super) receiver: String,
    pub(super) layer: i16,
    pub(super) n_inputs: usize,
    n_clusters: usize,
    n_wordings: usize,
    pub(super) value: Option<f64>,
    pub(super) interval: Option<(f64, f64)>,
    p: Option<f64>,
    p_max_t: Option<f64>,
    shares: Shares,
    total: Option<f64>,
    pub(super) answer: Answer,
    /// Why its values answer nothing; empty when nothing does.
    pub(super) obstacle: &'static str,
    pub(super) status: String,
    /// By cluster: the value less margin times total.
    over_margin: Vec<f64>,
}

/// What each source brought and cost, over the total.
#[derive(Debug, Clone, Copy, Default)]
struct Shares {
    gain: Option<f64>,
    gain_paraphrase: Option<f64>,
    gain_neutral: Option<f64>,
    gain_third: Option<f64>,
    loss: Option<f64>,
    loss_paraphrase: Option<f64>,
    answers: Option<[f64; 3]>,
}

/// The numbers behind one question: inputs and wordings that have them from all sources.
struct Cells<'s> {
    pair: &'s Pair,
    /// Whose exchange is asked about.
    main: &'static str,
    inputs: Vec<usize>,
    wordings: Vec<i16>,
    /// How many of them are different pairs of wordings.
    samples: usize,
}

impl Use {
    /// All questions of a scenario: donors and receivers in the order of the plan, blocks ascending.
    pub(super) fn effects(&self, seed: u64, name: &str, scenario: &Scenario) -> Vec<Effect> {
        let mut effects: Vec<Effect> = scenario
            .pairs
            .iter()
            .map(|(&(donor, receiver, layer), pair)| {
                let cells = Cells::of(scenario, pair, donor, receiver);
                let mut effect = Effect::new(name, scenario, (donor, receiver, layer));
                self.fill(&mut effect, scenario, &cells);
                effect
            })
            .collect();
        self.test(seed, name, &mut effects);
        for effect in &mut effects {
            effect.answer = effect.answered(self.margin);
        }
        effects
    }

    fn fill(&self, effect: &mut Effect, scenario: &Scenario, cells: &Cells<'_>) {
        if cells.inputs.is_empty() {
            let refusal = cells.pair.refusal(cells.main).unwrap_or(status::NO_PAIRS);
            refusal.clone_into(&mut effect.status);
            return;
        }
        effect.n_inputs = cells.inputs.len();
        effect.n_wordings = cells.samples;
        let by_cluster = cells.by_cluster(scenario, &|_| true);
        effect.n_clusters = by_cluster.len();
        let means = mean(&by_cluster);
        effect.total = math::median(&cells.totals());
        effect.shares = cells.shares();
        effect.over_margin = by_cluster.iter().map(|[x, t]| x - self.margin * t).collect();
        let without: Vec<[f64; 2]> = match cells.samples {
            0 | 1 => Vec::new(),
            n => (0..n).map(|g| mean(&cells.by_cluster(scenario, &|w| w % n != g))).collect(),
        };
        let without = if without.is_empty() { Vec::new() } else { vec![without] };
        effect.value = (means[1] > 0.0).then(|| means[0] / means[1]);
        effect.interval = effect.value.and_then(|_| {
            let found = Crossed::of_ratio(means, &by_cluster, &without, COVERAGE).ok()??;
            Some((found.low, found.high))
        });
        let moves = match cells.main {
            TASK => effect.shares.gain_paraphrase,
            _ => effect.shares.loss_paraphrase,
        };
        effect.obstacle = if effect.total.is_none_or(|total| total < self.min_effect) {
            status::NO_EFFECT
        } else if (effect.n_clusters as u64) < LEAST_CLUSTERS {
            status::N_TOO_SMALL
        } else if moves.is_some_and(|share| share.abs() > self.margin) {
            CONTROL_MOVES
        } else {
            ""
        };
        status::OK.clone_into(&mut effect.status);
    }

    /// p of every question that all blocks are asked about, corrected over those with as many clusters.
    fn test(&self, seed: u64, name: &str, effects: &mut [Effect]) {
        let mut families: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, effect) in effects.iter().enumerate() {
            let is_open = ["", CONTROL_MOVES].contains(&effect.obstacle);
            let counts = effect.layer == 0 && effect.status == status::OK && is_open;
            if counts {
                families.entry(effect.over_margin.len()).or_default().push(place);
            }
        }
        for (clusters, places) in families {
            let flips =
                SignFlips::new(clusters, self.permutations, seed, &format!("use of {name}"));
            let mut family = math::Family::default();
            let mut observed = Vec::new();
            for place in places {
                let Ok(test) = flips.test(&effects[place].over_margin) else { continue };
                effects[place].p = Some(test.p());
                family.add(&test);
                observed.push((place, test.observed()));
            }
            for (place, observed) in observed {
                effects[place].p_max_t = Some(family.p(observed));
            }
        }
    }
}

impl Effect {
    fn new(name: &str, scenario: &Scenario, (donor, receiver, layer): (usize, usize, i16)) -> Self {
        let task = |place: usize| scenario.tasks[place].clone();
        Self {
            scenario: name.to_owned(),
            donor: task(donor),
            receiver: task(receiver),
            layer,
            n_inputs: 0,
            n_clusters: 0,
            n_wordings: 0,
            value: None,
            interval: None,
            p: None,
            p_max_t: None,
            shares: Shares::default(),
            total: None,
            answer: Answer::NotTestable,
            obstacle: "",
            status: String::new(),
            over_margin: Vec::new(),
        }
    }

    /// Whether it asks what is lost, rather than what is brought.
    pub(super) fn is_necessity(&self) -> bool {
        self.donor == self.receiver
    }

    fn answered(&self, margin: f64) -> Answer {
        match (&*self.status, self.obstacle) {
            (status::OK, "") => {}
            (status::OK, CONTROL_MOVES) => return Answer::Undecided,
            _ => return Answer::NotTestable,
        }
        let Some((low, high)) = self.interval else { return Answer::Undecided };
        // Blocks from a later one on have no test of their own: they describe.
        let is_sure = self.layer > 0 || self.p_max_t.is_some_and(|p| p < LEVEL);
        match (low > margin && is_sure, high < margin) {
            (true, _) => Answer::Yes,
            (_, true) => Answer::No,
            _ => Answer::Undecided,
        }
    }

    pub(super) fn row(&self) -> UseEffectRow<'_> {
        let Shares {
            gain,
            gain_paraphrase,
            gain_neutral,
            gain_third,
            loss,
            loss_paraphrase,
            answers,
        } = self.shares;
        UseEffectRow {
            scenario: &self.scenario,
            task_donor: &self.donor,
            task_receiver: &self.receiver,
            layer: self.layer,
            question: if self.is_necessity() { "necessary" } else { "sufficient" },
            n_inputs: self.n_inputs as i64,
            n_clusters: self.n_clusters as i64,
            n_wordings: self.n_wordings as i64,
            value: self.value,
            ci_low: self.interval.map(|(low, _)| low),
            ci_high: self.interval.map(|(_, high)| high),
            p: self.p,
            p_max_t: self.p_max_t,
            gain,
            gain_paraphrase,
            gain_neutral,
            gain_third,
            loss,
            loss_paraphrase,
            donor_share: answers.map(|all| all[0]),
            receiver_share: answers.map(|all| all[1]),
            other_share: answers.map(|all| all[2]),
            total_nats: self.total,
            answer: self.answer.word(),
            obstacle: self.obstacle,
            status: &self.status,
        }
    }
}

impl<'s> Cells<'s> {
    fn of(scenario: &Scenario, pair: &'s Pair, donor: usize, receiver: usize) -> Self {
        let main = if donor == receiver { NEUTRAL } else { TASK };
        let wordings = pair.wordings(main);
        let mut inputs = pair.inputs(main, &wordings);
        for control in [PARAPHRASE, NEUTRAL] {
            if !pair.wordings(control).is_empty() {
                let with = pair.inputs(control, &wordings);
                inputs.retain(|input| with.binary_search(input).is_ok());
            }
        }
        let samples = [donor, receiver].map(|task| scenario.wordings(task));
        let samples = samples.into_iter().min().unwrap_or(0).min(wordings.len());
        Self { pair, main, inputs, wordings, samples }
    }

    fn get(&self, source: &str, wording: i16, input: usize) -> Option<Numbers> {
        self.pair.get(source, wording, input)
    }

    /// What is asked about, and what there is in all, of one input and wording; `None` where they were not run
    /// together.
    fn cell(&self, wording: i16, input: usize) -> Option<[f64; 2]> {
        let of = |source| self.get(source, wording, input);
        let own = of(self.main)?;
        if self.main == NEUTRAL {
            let others = of(PARAPHRASE).map_or(0.0, |control| control.loss);
            return Some([own.loss - others, own.loss_total]);
        }
        let controls = [NEUTRAL, PARAPHRASE].map(|source| of(source).map_or(0.0, |own| own.gain));
        Some([own.gain - controls.into_iter().fold(0.0, f64::max), own.gain_total])
    }

    /// [`Self::cell`] of every cluster, over its inputs and those wordings (by their places).
    fn by_cluster(&self, scenario: &Scenario, takes: &dyn Fn(usize) -> bool) -> Vec<[f64; 2]> {
        let mut sums: IndexMap<usize, ([f64; 2], u32)> = IndexMap::new();
        for &input in &self.inputs {
            let taken = self.wordings.iter().enumerate().filter(|(place, _)| takes(*place));
            for [x, t] in taken.filter_map(|(_, wording)| self.cell(*wording, input)) {
                let sum = sums.entry(scenario.clusters[input]).or_default();
                *sum = ([sum.0[0] + x, sum.0[1] + t], sum.1 + 1);
            }
        }
        sums.into_values().map(|([x, t], n)| [x / f64::from(n), t / f64::from(n)]).collect()
    }

    /// What there is in all, of every input.
    fn totals(&self) -> Vec<f64> {
        let total = |&input: &usize| {
            let all = self.wordings.iter().filter_map(|wording| self.cell(*wording, input));
            let (sum, n) = all.fold((0.0, 0.0), |(sum, n), [_, t]| (sum + t, n + 1.0));
            sum / n
        };
        self.inputs.iter().map(total).collect()
    }

    /// Sums over inputs and wordings, over the sums of the totals.
    fn shares(&self) -> Shares {
        // Inputs and wordings that were run together.
        let run = || {
            let all = self.inputs.iter();
            let all = all.flat_map(|input| self.wordings.iter().map(move |w| (*w, *input)));
            all.filter(|(wording, input)| self.get(self.main, *wording, *input).is_some())
        };
        let sum = |source: &str, of: &dyn Fn(Numbers) -> f64| -> Option<f64> {
            run().map(|(wording, input)| self.get(source, wording, input).map(of)).sum()
        };
        let share = |source: &str, of: &dyn Fn(Numbers) -> f64, total: &dyn Fn(Numbers) -> f64| {
            let total = sum(self.main, total).filter(|total| *total > 0.0)?;
            Some(sum(source, of)? / total)
        };
        let gain = |source| share(source, &|own| own.gain, &|own| own.gain_total);
        let loss = |source| share(source, &|own| own.loss, &|own| own.loss_total);
        let n = run().count() as f64;
        let answers = [0, 1, 2].map(|i| sum(self.main, &|own| own.answers[i]).map(|all| all / n));
        Shares {
            gain: gain(self.main),
            gain_paraphrase: gain(PARAPHRASE),
            gain_neutral: gain(NEUTRAL),
            gain_third: gain(THIRD),
            loss: loss(self.main),
            loss_paraphrase: loss(PARAPHRASE),
            answers: match answers {
                [Some(donor), Some(receiver), Some(other)] => Some([donor, receiver, other]),
                _ => None,
            },
        }
    }
}

fn mean(pairs: &[[f64; 2]]) -> [f64; 2] {
    let n = pairs.len() as f64;
    [0, 1].map(|i| pairs.iter().map(|pair| pair[i]).sum::<f64>() / n)
}

//! What the interventions say: tables `use_verdict`, `use_effect`, `patch`, `patch_tokens` and `knockout`.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::gather::missing;
use super::sources::Sources;
use crate::render::causes::{CutMean, PairUse, Relay, Share, TaskUse, TokenMap, UseCurve, Uses};
use crate::render::page::Scenario;
use crate::stage::StageError;
use crate::table::schema::{KNOCKOUT, PATCH, PATCH_TOKENS, USE_EFFECT, USE_VERDICT, UseVerdictRow};
use crate::table::{ReadRow as _, status, view};

view! {
    /// One donor and receiver.
    struct EffectOf<'a> of [USE_EFFECT] {
        scenario: &'a str,
        task_donor: &'a str,
        task_receiver: &'a str,
        layer: i16,
        n_inputs: i64,
        value: Option<f64>,
        ci_low: Option<f64>,
        ci_high: Option<f64>,
        gain_neutral: Option<f64>,
        gain_paraphrase: Option<f64>,
        donor_share: Option<f64>,
        answer: &'a str,
        obstacle: &'a str,
        status: &'a str,
    }
}

view! {
    /// A segment's stream.
    struct SegmentOf<'a> of [PATCH] {
        scenario: &'a str,
        input: &'a str,
        task_donor: &'a str,
        task_receiver: &'a str,
        layer: i16,
        segment: &'a str,
        gain_nats: Option<f64>,
        gain_total_nats: Option<f64>,
        shapley: Option<f64>,
    }
}

view! {
    /// A token's stream.
    struct TokenOf<'a> of [PATCH_TOKENS] {
        scenario: &'a str,
        input: &'a str,
        task_donor: &'a str,
        task_receiver: &'a str,
        layer: i16,
        place: i32,
        token: &'a str,
        gain_nats: Option<f64>,
        gain_total_nats: Option<f64>,
    }
}

view! {
    /// What a cut left.
    struct CutOf<'a> of [KNOCKOUT] {
        scenario: &'a str,
        task: &'a str,
        cut: &'a str,
        keep_first: i16,
        same_top: Option<i16>,
        loss_nats: Option<f64>,
    }
}

/// In column `answer`: the values answer nothing.
const NOT_TESTABLE: &str = "not_testable";

/// Less to gain than this, in nats, has no Shapley shares worth averaging.
const LEAST_NATS: f64 = 0.05;

/// Scenario, task, cut, and whether the first token stays visible.
type CutName = (String, String, String, i16);

/// Token maps of a scenario.
const MOST_MAPS: usize = 2;

fn share(value: Option<f64>, low: Option<f64>, high: Option<f64>) -> Option<Share> {
    value.map(|value| Share { value, ends: low.zip(high) })
}

/// Fills in what each scenario's interventions found, when the run has them.
pub(super) fn add(sources: &Sources<'_>, scenarios: &mut [Scenario]) -> Result<(), StageError> {
    let Some(part) = sources.optional::<UseVerdictRow<'_>>(&USE_VERDICT, 0)? else { return Ok(()) };
    for row in UseVerdictRow::rows(&part)? {
        let Some(of) = scenarios.iter_mut().find(|s| s.name == row.scenario) else { continue };
        let uses = of.evidence.uses.get_or_insert_default();
        uses.margin = row.margin;
        uses.tasks.push(task_use(&row));
    }
    let Some(part) = sources.optional::<EffectOf<'_>>(&USE_EFFECT, 0)? else { return Ok(()) };
    let rows = EffectOf::rows(&part)?;
    for of in scenarios.iter_mut() {
        let Some(uses) = &mut of.evidence.uses else { continue };
        let own: Vec<&EffectOf<'_>> = rows.iter().filter(|row| row.scenario == of.name).collect();
        add_effects(uses, &own);
    }
    let mut patches = Patches::default();
    let mut cuts: IndexMap<CutName, (u64, u64, f64)> = IndexMap::new();
    for shard in 0..sources.shards {
        if let Some(part) = sources.optional::<SegmentOf<'_>>(&PATCH, shard)? {
            SegmentOf::rows(&part)?.iter().for_each(|row| patches.add_segment(row));
        }
        if let Some(part) = sources.optional::<TokenOf<'_>>(&PATCH_TOKENS, shard)? {
            TokenOf::rows(&part)?.iter().for_each(|row| patches.add_token(row));
        }
        if let Some(part) = sources.optional::<CutOf<'_>>(&KNOCKOUT, shard)? {
            for row in CutOf::rows(&part)? {
                let Some((same, loss)) = row.same_top.zip(row.loss_nats) else { continue };
                let names = [row.scenario, row.task, row.cut].map(str::to_owned);
                let [scenario, task, cut] = names;
                let sum = cuts.entry((scenario, task, cut, row.keep_first)).or_default();
                *sum = (sum.0 + same as u64, sum.1 + 1, sum.2 + loss);
            }
        }
    }
    for of in scenarios.iter_mut() {
        let Some(uses) = &mut of.evidence.uses else { continue };
        patches.fill(&of.name, uses);
        let own = cuts.iter().filter(|((scenario, ..), _)| *scenario == of.name);
        uses.cuts = own
            .map(|((_, task, cut, keeps_first), (same, n, loss))| CutMean {
                task: task.clone(),
                cut: cut.clone(),
                keeps_first: *keeps_first == 1,
                same_top: *same as f64 / *n as f64,
                loss: loss / *n as f64,
                n: *n,
            })
            .collect();
    }
    Ok(())
}

fn task_use(row: &UseVerdictRow<'_>) -> TaskUse {
    let sufficiency = share(row.sufficiency, row.sufficiency_ci_low, row.sufficiency_ci_high);
    TaskUse {
        task: row.task.to_owned(),
        verdict: row.verdict.to_owned(),
        reason: row.reason.to_owned(),
        necessity: share(row.necessity, row.necessity_ci_low, row.necessity_ci_high),
        sufficiency: sufficiency.zip(row.best_receiver.map(str::to_owned)),
        necessary: row.necessary.to_owned(),
        sufficient: row.sufficient.to_owned(),
        n_inputs: row.n_inputs,
        n_wordings: row.n_wordings,
    }
}

fn add_effects(uses: &mut Uses, rows: &[&EffectOf<'_>]) {
    let place = |name: &str| uses.tasks.iter().position(|task| task.task == name);
    let of = |row: &EffectOf<'_>| share(row.value, row.ci_low, row.ci_high);
    let all_blocks =
        rows.iter().filter(|row| row.layer == 0 && row.task_donor != row.task_receiver);
    let pairs: Vec<PairUse> = all_blocks
        .filter_map(|row| {
            Some(PairUse {
                donor: place(row.task_donor)?,
                receiver: place(row.task_receiver)?,
                // A share of next to nothing says nothing.
                value: of(row).filter(|_| row.answer != NOT_TESTABLE),
                donor_share: row.donor_share,
                controls: [row.gain_neutral, row.gain_paraphrase],
                missing: match (row.status, row.obstacle) {
                    (status::OK, "") => String::new(),
                    (status::OK, obstacle) => missing(obstacle),
                    (status, _) => missing(status),
                },
            })
        })
        .collect();
    let curve = |task: &TaskUse| {
        let (_, receiver) = task.sufficiency.as_ref()?;
        let own: Vec<_> = rows
            .iter()
            .filter(|row| row.task_donor == task.task && row.task_receiver == receiver)
            .collect();
        (own.len() > 1).then(|| UseCurve {
            donor: task.task.clone(),
            receiver: receiver.clone(),
            points: own.iter().map(|row| (row.layer, of(row), row.gain_neutral)).collect(),
            n_inputs: own.iter().map(|row| row.n_inputs).max().unwrap_or(0),
        })
    };
    let curves: Vec<UseCurve> = uses.tasks.iter().filter_map(curve).collect();
    (uses.pairs, uses.curves) = (pairs, curves);
}

/// Scenario, donor and receiver.
type Pair = (String, String, String);

/// One input's token map on its way: by layer and column the gain's share.
#[derive(Debug, Default)]
struct Map {
    /// Whole prefix and whole rest, by layer.
    ends: BTreeMap<i16, [Option<f64>; 2]>,
    tokens: BTreeMap<i32, String>,
    values: BTreeMap<(i16, i32), f64>,
}

/// Sums of the three Shapley shares, and of how many inputs.
type ShareSums = ([f64; 3], [u64; 3]);

/// Streams of all shards.
#[derive(Debug, Default)]
struct Patches {
    /// By pair and layer.
    relays: IndexMap<Pair, BTreeMap<i16, ShareSums>>,
    /// By pair and input, of those whose tokens were patched.
    maps: IndexMap<(Pair, String), Map>,
    /// Whole segments of every input, until its tokens are known.
    ends: BTreeMap<(Pair, String, i16), [Option<f64>; 2]>,
}

impl Patches {
    fn add_segment(&mut self, row: &SegmentOf<'_>) {
        let pair: Pair =
            (row.scenario.to_owned(), row.task_donor.to_owned(), row.task_receiver.to_owned());
        let Some((gain, total)) = row.gain_nats.zip(row.gain_total_nats) else { return };
        if total < LEAST_NATS {
            return;
        }
        let segment = ["prefix", "input", "rest"].iter().position(|name| *name == row.segment);
        let Some(segment) = segment else { return };
        if segment != 1 {
            let key = (pair.clone(), row.input.to_owned(), row.layer);
            self.ends.entry(key).or_default()[segment / 2] = Some(gain / total);
        }
        if let Some(share) = row.shapley {
            let (sums, counts) = self.relays.entry(pair).or_default().entry(row.layer).or_default();
            sums[segment] += share;
            counts[segment] += 1;
        }
    }

    fn add_token(&mut self, row: &TokenOf<'_>) {
        let pair: Pair =
            (row.scenario.to_owned(), row.task_donor.to_owned(), row.task_receiver.to_owned());
        let ends = self.ends.get(&(pair.clone(), row.input.to_owned(), row.layer)).copied();
        let map = self.maps.entry((pair, row.input.to_owned())).or_default();
        map.tokens.entry(row.place).or_insert_with(|| row.token.to_owned());
        if let Some(ends) = ends {
            map.ends.insert(row.layer, ends);
        }
        let share =
            row.gain_nats.zip(row.gain_total_nats).filter(|(_, total)| *total >= LEAST_NATS);
        if let Some((gain, total)) = share {
            map.values.insert((row.layer, row.place), gain / total);
        }
    }

    fn fill(&self, scenario: &str, uses: &mut Uses) {
        let own = self.relays.iter().filter(|((name, ..), _)| name == scenario);
        let mut relays: Vec<Relay> = own
            .map(|((_, donor, receiver), layers)| Relay {
                donor: donor.clone(),
                receiver: receiver.clone(),
                layers: layers
                    .iter()
                    .map(|(layer, (sums, counts))| {
                        (*layer, [0, 1, 2].map(|i| sums[i] / counts[i].max(1) as f64))
                    })
                    .collect(),
                n_inputs: layers.values().map(|(_, counts)| counts[1]).max().unwrap_or(0),
            })
            .collect();
        // What the readings bring first: there the picture has something to show.
        let value = |donor: &str, receiver: &str| {
            let name = |place: usize| uses.tasks[place].task.as_str();
            let found =
                uses.pairs.iter().find(|p| name(p.donor) == donor && name(p.receiver) == receiver);
            found.and_then(|pair| pair.value).map_or(f64::MIN, |share| share.value)
        };
        relays
            .sort_by(|a, b| value(&b.donor, &b.receiver).total_cmp(&value(&a.donor, &a.receiver)));
        let first = relays.first().map(|relay| (relay.donor.clone(), relay.receiver.clone()));
        let maps = self.maps.iter().filter(|(((name, donor, receiver), _), _)| {
            name == scenario && first.as_ref().is_some_and(|(a, b)| a == donor && b == receiver)
        });
        uses.maps = maps.take(MOST_MAPS).map(|(key, map)| map.drawn(key)).collect();
        uses.relays = relays;
    }
}

impl Map {
    fn drawn(&self, ((_, donor, receiver), input): &(Pair, String)) -> TokenMap {
        let layers: Vec<i16> = self.ends.keys().copied().collect();
        let tokens = self.tokens.values().cloned();
        let columns = ["before".to_owned()].into_iter().chain(tokens).chain(["behind".to_owned()]);
        let values = layers.iter().flat_map(|layer| {
            let [before, behind] = self.ends[layer];
            let own = self.tokens.keys().map(|place| self.values.get(&(*layer, *place)).copied());
            [before].into_iter().chain(own).chain([behind]).collect::<Vec<_>>()
        });
        TokenMap {
            input: input.clone(),
            donor: donor.clone(),
            receiver: receiver.clone(),
            values: values.collect(),
            columns: columns.collect(),
            layers,
        }
    }
}

//! What a scenario's vectors are centred and standardised by: mean and standard deviation of every
//! dimension over the tokens of a sample of its prompts.
//!
//! ```text
//! mean_d = Σ x_d / n        sd_d = √(Σ (x_d - mean_d)² / (n - 1))      n tokens, in float64
//! ```
//!
//! over all tokens of the sampled prompts but position 0: in many models its activations are those of an
//! attention sink, thousands of times longer than any others. Each scenario has its own: prompts of other questions or another language lie
//! elsewhere, and what else a file holds must not change a scenario's numbers. Its sample is drawn by
//! seed and name from the prompts of all its tasks, wordings among them and controls not, and runs
//! through the model once more, before all shards, in batches of its own. So the vectors that are
//! compared are a part of the population that the reference is taken from, but never its whole:
//! centring K vectors on their own mean forces their mean cosine to -1/(K-1), whatever the model does.
//! In a scenario of one input a small sample comes close to that, which is why 10 prompts and 200
//! tokens are needed; below, the scenario's rows have no values (status `n_too_small`) and every
//! centred measure of it says `no_reference`.
//!
//! A prompt that the model cannot read whole, or that gives a value that is no number, is left out
//! here; stage `extract` reports what becomes of it. Writes `reference`. Cost: the model's on these
//! prompts; some scenarios are in memory at a time. Centring and standardising: Timkey and van
//! Schijndel 2021 (arXiv 2109.04404).
//!
//! With `from`, the sets are those that another run of the same model took ([`pinned`]), and no prompt
//! runs.

pub mod pinned;
mod sums;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::pinned::{Pin, Pinned, Unfit, Wanted};
use self::sums::{LEAST_PROMPTS, Sums, is_enough};
use crate::model::{self, ModelCard};
use crate::prompt::Prompt;
use crate::stage::model::batches::{Batches, Piece, several_at_once};
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::schema::{REFERENCE, ReferenceRow};
use crate::table::writer::{PartAddress, PartWriter};
use crate::table::{Dims, WriteRow as _, status};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "reference",
    version: 3,
    scope: Scope::Before,
    unit: "tokens",
    reads: &[],
    reads_if_there: &[],
    writes: &[&REFERENCE],
    file: None,
    // The seed draws the sample, which enters by its prompts.
    depends_on: DependsOn { layers: true, seed: false, head: false, lineage: false },
};

/// Rows of the table that are in memory at once, about: whole scenarios.
const GROUP_ROWS: usize = 1 << 12;

/// Takes mean and spread of the activations of some of each scenario's prompts, before all shards.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many prompts of each scenario to draw; all of them when there are fewer.
    pub prompts: u32,
    /// A run whose reference sets are taken instead, of the same model: its run directory, relative
    /// to this file. Each scenario takes that of its own name, or all take the `scenario` that is
    /// named. Pinned by the SHA-256 of the table's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<pinned::Written>")]
    pub from: Option<Pin>,
}

impl Default for Config {
    fn default() -> Self {
        Self { prompts: 64, from: None }
    }
}

impl Config {
    /// Valid when there can be enough prompts.
    pub fn validate(
        &self,
        at: &Path,
        _facts: &Facts,
        problems: &mut Problems,
    ) -> Option<Reference> {
        let prompts = self.prompts;
        if u64::from(prompts) >= LEAST_PROMPTS {
            return Some(Reference { prompts: prompts as usize, from: self.from.clone() });
        }
        problems.push(
            &at.key("prompts"),
            format!("prompts {prompts} is below {LEAST_PROMPTS}"),
            "mean and spread of so few prompts would be those of the compared vectors themselves; \
             64 is the default",
        );
        None
    }

    /// Takes the run that `from` names as it is now: looks whether it fits the model, the captured
    /// `layers` and the names of the pipeline's `scenarios`, and keeps its hash. `path` gives the
    /// absolute path that a text at a place in the pipeline file means.
    pub fn pin(
        &mut self,
        at: &Path,
        path: &dyn Fn(&str, &Path) -> PathBuf,
        (card, layers, scenarios): (&ModelCard, &[i16], &[&str]),
        problems: &mut Problems,
    ) {
        let Some(pin) = &mut self.from else { return };
        let at = at.key("from");
        pin.run = path(&pin.run, &at).to_string_lossy().into_owned();
        let model = card.graph_sha256();
        let wanted = Wanted { layers, d_model: card.d_model };
        let looked = Pinned::open(pin, &model).and_then(|pinned| {
            let names: BTreeSet<&str> = match &pin.scenario {
                Some(name) => BTreeSet::from([name.as_str()]),
                None => scenarios.iter().copied().collect(),
            };
            let names: Vec<&str> = names.into_iter().collect();
            for some in names.chunks(at_once(layers.len() * card.d_model)) {
                pinned.read(&some.iter().copied().collect(), wanted)?;
            }
            Ok(pinned.sha256)
        });
        match looked {
            Ok(sha256) => pin.sha256 = Some(sha256),
            Err(Unfit { problem, help }) => problems.push(&at, problem, help),
        }
    }
}

/// How many scenarios are in memory at once, with that many rows each.
fn at_once(rows: usize) -> usize {
    GROUP_ROWS.div_ceil(rows.max(1))
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Reference {
    prompts: usize,
    from: Option<Pin>,
}

impl Stage for Reference {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    /// With `from`, one prompt of each scenario, for its name.
    fn sample(&self) -> usize {
        if self.from.is_some() { 1 } else { self.prompts }
    }

    /// Empty: the sample itself is what counts, and enters by its prompts; or what stands for it.
    fn settings(&self) -> serde_json::Value {
        match &self.from {
            Some(Pin { run: _, scenario, sha256 }) => {
                serde_json::json!({ "scenario": scenario, "sha256": sha256 })
            }
            None => serde_json::json!({}),
        }
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        if let Some(pin) = &self.from {
            return take_over(context, pin);
        }
        let samples = samples(context)?;
        let total = samples.iter().filter(|sample| sample.is_enough()).map(Sample::length).sum();
        context.start(&DESCRIPTION, total);
        let dims = Dims { d_model: 0, vocab_size: 0 };
        let address = PartAddress::new(&REFERENCE, 0);
        let mut writer = PartWriter::begin(context.store, address, dims)?;
        let of_each = context.layers.len() * context.card.d_model;
        for some in samples.chunks(at_once(of_each)) {
            let sums = take_all(context, some)?;
            let rows: Vec<ReferenceRow<'_>> = some
                .iter()
                .zip(&sums)
                .flat_map(|(sample, sums)| sums.rows(sample.scenario, context.layers))
                .collect();
            writer.write(ReferenceRow::columns(&rows))?;
        }
        Ok(Outcome { parts: vec![writer.finish()?], units: total, ..Outcome::default() })
    }
}

/// Writes what another run took, under the names of this one's scenarios.
fn take_over(context: &Context<'_>, pin: &Pin) -> Result<Outcome, StageError> {
    let same = |a: &Prompt, b: &Prompt| a.key.scenario == b.key.scenario;
    let scenarios: Vec<&str> =
        context.prompts.chunk_by(same).map(|prompts| &*prompts[0].key.scenario).collect();
    let units = scenarios.len() as u64;
    context.start(&DESCRIPTION, units);
    let failed = |Unfit { problem, help }: Unfit| StageError::Given { problem, help };
    let (layers, d_model) = (context.layers, context.card.d_model);
    let model = context.card.graph_sha256();
    let pinned = Pinned::open(pin, &model).map_err(failed)?;
    let wanted = Wanted { layers, d_model };
    let dims = Dims { d_model: 0, vocab_size: 0 };
    let address = PartAddress::new(&REFERENCE, 0);
    let mut writer = PartWriter::begin(context.store, address, dims)?;
    for some in scenarios.chunks(at_once(layers.len() * d_model)) {
        context.go_on()?;
        let source = |scenario: &&'_ str| pin.scenario.clone().unwrap_or((*scenario).to_owned());
        let sources: Vec<String> = some.iter().map(source).collect();
        let names = sources.iter().map(String::as_str).collect();
        let sets = pinned.read(&names, wanted).map_err(failed)?;
        let rows: Vec<ReferenceRow<'_>> = some
            .iter()
            .zip(&sources)
            .flat_map(|(scenario, source)| {
                let set = &sets[source];
                let place = move |place: usize| ReferenceRow {
                    scenario,
                    layer: layers[place / d_model],
                    dimension: (place % d_model) as i32,
                    mean: Some(set.means[place]),
                    sd: Some(set.sds[place]),
                    n_tokens: set.n_tokens,
                    n_prompts: set.n_prompts,
                    status: status::OK,
                };
                (0..set.means.len()).map(place)
            })
            .collect();
        writer.write(ReferenceRow::columns(&rows))?;
        context.advance(&DESCRIPTION, some.len() as u64);
    }
    Ok(Outcome { parts: vec![writer.finish()?], units, ..Outcome::default() })
}

/// A scenario's prompts that can run, as tokens.
struct Sample<'p> {
    scenario: &'p str,
    ids: Vec<Vec<i32>>,
}

impl Sample<'_> {
    /// Tokens of all its prompts.
    fn length(&self) -> u64 {
        self.ids.iter().map(|ids| ids.len() as u64).sum()
    }

    /// Whether it can be a reference, which it is unless prompts have values that are no numbers.
    fn is_enough(&self) -> bool {
        is_enough(self.n_prompts(), self.n_tokens())
    }

    fn n_prompts(&self) -> u64 {
        self.ids.len() as u64
    }

    fn n_tokens(&self) -> u64 {
        self.length() - self.n_prompts()
    }
}

/// The samples of all scenarios, in the plan's order.
fn samples<'p>(context: &Context<'p>) -> Result<Vec<Sample<'p>>, StageError> {
    let mut samples = Vec::new();
    for prompts in context.prompts.chunk_by(|a, b| a.key.scenario == b.key.scenario) {
        context.go_on()?;
        let mut sample = Sample { scenario: &prompts[0].key.scenario, ids: Vec::new() };
        for prompt in prompts {
            if context.tokenizer.prompt_too_long(prompt).is_some() {
                continue;
            }
            let encoded = context.tokenizer.encode_prompt(prompt)?;
            if (1..=context.card.n_positions).contains(&encoded.ids.len()) {
                sample.ids.push(encoded.ids);
            }
        }
        samples.push(sample);
    }
    Ok(samples)
}

/// The sums of some samples; those of several scenarios are taken at once.
fn take_all(context: &Context<'_>, samples: &[Sample<'_>]) -> Result<Vec<Sums>, StageError> {
    let sums: Vec<Mutex<Option<Sums>>> = samples.iter().map(|_| Mutex::default()).collect();
    let lock = |place: usize| sums[place].lock().unwrap_or_else(PoisonError::into_inner);
    several_at_once(context.engine.at_once()?, samples.len(), &|| {}, |place| {
        let taken = take(context, &samples[place])?;
        *lock(place) = Some(taken);
        Ok(())
    })?;
    Ok((0..samples.len()).filter_map(|place| lock(place).take()).collect())
}

/// The sums of one sample; too small a one does not run.
fn take(context: &Context<'_>, sample: &Sample<'_>) -> Result<Sums, StageError> {
    let mut sums = Sums::new(context.layers.len(), context.card.d_model);
    if !sample.is_enough() {
        (sums.n_prompts, sums.n_tokens) = (sample.n_prompts(), sample.n_tokens());
        return Ok(sums);
    }
    let ids: Vec<&[i32]> = sample.ids.iter().map(Vec::as_slice).collect();
    let wanted = model::Wanted { hidden: context.layers.to_vec(), ..model::Wanted::default() };
    // Sums depend on their order, in the last digits.
    let batches = Batches {
        kind: DESCRIPTION.kind,
        shard: None,
        batch_tokens: 0,
        tasks: None,
        only: None,
        scenarios: &[ids.len()],
        in_order: true,
    };
    batches.go_on(context, &ids, &wanted, &mut |piece, outputs| {
        if let Piece::Prompts(batch) = piece {
            sums.take(batch, outputs);
        }
        Ok(())
    })?;
    Ok(sums)
}

//! From stored activations to readings: gathers the last tokens, runs the head, compares.

use std::cmp::Ordering;
use std::sync::Arc;

use rayon::prelude::*;

use super::rows::{Baseline, Divergences, PromptLens, Reading, pair_rows};
use crate::math::{Distribution, jsd_bits};
use crate::prompt::Role;
use crate::stage::compare::pairs::{Paired, Pairing};
use crate::stage::model::head;
use crate::stage::names::LENS_JSD_BITS;
use crate::stage::read::prompts::{InputGroup, PromptRow, ShardPrompts, first_equal, pairs};
use crate::stage::read::reread;
use crate::stage::{Context, StageError};
use crate::table::reader::Part;
use crate::table::schema::{LOGITS, LogitLensDivergenceRow};
use crate::table::writer::PartAddress;
use crate::table::{TableError, status};

/// What the raw tables have of a shard's prompts, ready to be read off input by input.
pub(super) struct Reader<'c> {
    context: &'c Context<'c>,
    /// For each captured layer `[prompts that ran, d_model]`: the last tokens.
    ends: Vec<Vec<f32>>,
    /// The whole model's scores, one row a prompt that ran.
    logits: Arc<Part>,
}

/// All rows of one input.
pub(super) struct OfInput<'p> {
    pub(super) lenses: Vec<PromptLens<'p>>,
    pub(super) pairs: Vec<LogitLensDivergenceRow<'p>>,
    /// Of an input with a baseline, by layer.
    pub(super) wordings: Vec<Paired>,
}

/// Some inputs whose prompts are read together. Equal ones, as the control `other_input` makes them of
/// one input and another, are read once.
struct Chunk<'i, 'p> {
    inputs: &'i [InputGroup<'p>],
    /// Prompts that ran, no two of them equal.
    prompts: Vec<&'p PromptRow>,
    /// For each input which of them each of its prompts that ran is.
    places: Vec<Vec<usize>>,
}

/// What the whole model says after one prompt.
struct Own {
    next: Distribution,
    top: usize,
}

/// One layer of one input.
struct Layer {
    /// Of the prompts that ran.
    readings: Vec<Reading>,
    divergences: Divergences,
}

impl<'i, 'p> Chunk<'i, 'p> {
    fn of(inputs: &'i [InputGroup<'p>], is_same: impl Fn(&PromptRow, &PromptRow) -> bool) -> Self {
        let all: Vec<&PromptRow> = inputs.iter().flat_map(|input| ran(*input)).collect();
        let mut prompts = Vec::new();
        let mut place_of = Vec::new();
        for (place, first) in
            first_equal(&all, |a, b| is_same(all[a], all[b])).into_iter().enumerate()
        {
            let own = if first == place { prompts.len() } else { place_of[first] };
            if first == place {
                prompts.push(all[place]);
            }
            place_of.push(own);
        }
        let mut rest = place_of.into_iter();
        let places = inputs.iter().map(|input| rest.by_ref().take(ran(*input).len()).collect());
        let places = places.collect();
        Self { inputs, prompts, places }
    }
}

impl<'c> Reader<'c> {
    /// Reads the shard's parts of the raw tables.
    pub(super) fn open(
        context: &'c Context<'c>,
        prompts: &ShardPrompts,
    ) -> Result<Self, TableError> {
        let columns = ["scenario", "input", "task", "wording", "values"];
        let address = PartAddress::new(&LOGITS, context.part);
        let logits = reread::part(context.store, address, &columns)?;
        prompts.check_keys(&logits)?;
        let ends = context.layers.par_iter().map(|layer| {
            let table = head::activations(context.store, context.part, *layer, prompts)?;
            let (values, width) = table.vectors("values")?;
            let last = |prompt: &PromptRow| {
                let row = prompt.first_token + prompt.token_ids.len() - 1;
                &values[row * width..(row + 1) * width]
            };
            Ok(prompts.ran().flat_map(last).copied().collect())
        });
        let ends: Vec<Result<Vec<f32>, TableError>> = ends.collect();
        Ok(Self { context, ends: ends.into_iter().collect::<Result<_, _>>()?, logits })
    }

    /// Cuts the inputs into chunks whose prompts, in all captured layers, make one call of the head;
    /// an input with more than that is a chunk alone.
    pub(super) fn chunks<'i, 'p>(&self, inputs: &'i [InputGroup<'p>]) -> Vec<&'i [InputGroup<'p>]> {
        // At most a quarter of a call's prompts, whose own distributions stand in memory as float64.
        let limit = self.context.engine.head_rows() / self.ends.len().max(4);
        let (mut chunks, mut start, mut prompts) = (Vec::new(), 0, 0);
        for (place, input) in inputs.iter().enumerate() {
            let more = ran(*input).len();
            if place > start && prompts + more > limit {
                chunks.push(&inputs[start..place]);
                (start, prompts) = (place, 0);
            }
            prompts += more;
        }
        if start < inputs.len() {
            chunks.push(&inputs[start..]);
        }
        chunks
    }

    /// Reads one of the [`Self::chunks`].
    pub(super) fn read<'p>(
        &self,
        inputs: &[InputGroup<'p>],
    ) -> Result<Vec<OfInput<'p>>, StageError> {
        let chunk = Chunk::of(inputs, |a, b| self.is_same(a, b));
        let finals = chunk.prompts.par_iter().map(|prompt| self.own(prompt));
        let finals = finals.collect::<Result<Vec<Own>, TableError>>()?;
        let nexts: Vec<&Distribution> = finals.iter().map(|own| &own.next).collect();
        let whole = self.of_inputs(&chunk, &nexts);
        let mut by_input: Vec<Vec<Layer>> = inputs.iter().map(|_| Vec::new()).collect();
        // One call takes all layers, unless a single input has too many prompts for that.
        let at_once = (self.context.engine.head_rows() / chunk.prompts.len().max(1)).max(1);
        for layers in self.ends.chunks(at_once) {
            for of_inputs in self.layers(&chunk, &finals, layers)? {
                for (of_input, layer) in by_input.iter_mut().zip(of_inputs) {
                    of_input.push(layer);
                }
            }
        }
        let of_inputs = inputs.iter().zip(by_input).zip(&whole);
        Ok(of_inputs.map(|((input, layers), whole)| self.rows(*input, &layers, whole)).collect())
    }

    /// Whether all that is read of two prompts with the same tokens is the same too.
    fn is_same(&self, a: &PromptRow, b: &PromptRow) -> bool {
        let same_end = |layer: &Vec<f32>| self.end(layer, a) == self.end(layer, b);
        self.ends.iter().all(same_end) && self.scores_of(a).ok() == self.scores_of(b).ok()
    }

    /// The last token of a prompt that ran, in one of [`Self::ends`].
    fn end<'l>(&self, layer: &'l [f32], prompt: &PromptRow) -> &'l [f32] {
        let width = self.context.card.d_model;
        &layer[prompt.run_index * width..][..width]
    }

    /// The whole model's scores after a prompt that ran.
    fn scores_of(&self, prompt: &PromptRow) -> Result<&[f32], TableError> {
        let (logits, vocab) = self.logits.vectors("values")?;
        Ok(&logits[prompt.run_index * vocab..][..vocab])
    }

    fn own(&self, prompt: &PromptRow) -> Result<Own, TableError> {
        let scores = self.scores_of(prompt)?;
        let next =
            Distribution::from_logits(scores).map_err(|_undefined| self.not_finite(prompt))?;
        Ok(Own { next, top: top(scores) })
    }

    /// For each of some layers what each input of the chunk has there.
    fn layers(
        &self,
        chunk: &Chunk<'_, '_>,
        finals: &[Own],
        layers: &[Vec<f32>],
    ) -> Result<Vec<Vec<Layer>>, StageError> {
        let (width, vocab) = (self.context.card.d_model, self.context.card.vocab_size);
        let mut hidden = Vec::with_capacity(layers.len() * chunk.prompts.len() * width);
        for layer in layers {
            for prompt in &chunk.prompts {
                hidden.extend_from_slice(self.end(layer, prompt));
            }
        }
        if hidden.is_empty() {
            return Ok(layers.iter().map(|_| self.layer(chunk, &[])).collect());
        }
        let scores = head::scores(self.context, &hidden)?;
        let scores = (*scores).as_ref();
        let of_layer = |scores: &[f32]| {
            self.context.go_on()?;
            let of_prompt = |((scores, own), prompt): ((&[f32], &Own), &&PromptRow)| {
                let next = Distribution::from_logits(scores);
                let next = next.map_err(|_undefined| self.not_finite(prompt))?;
                Ok((reading(scores, &next, own), next))
            };
            let read = scores.par_chunks(vocab).zip(finals).zip(&chunk.prompts).map(of_prompt);
            let read = read.collect::<Result<Vec<_>, TableError>>()?;
            Ok(self.layer(chunk, &read))
        };
        scores.chunks(vocab * chunk.prompts.len()).map(of_layer).collect()
    }

    /// What each input of the chunk has in a layer of which its prompts were read.
    fn layer(&self, chunk: &Chunk<'_, '_>, read: &[(Reading, Distribution)]) -> Vec<Layer> {
        let nexts: Vec<&Distribution> = read.iter().map(|(_, next)| next).collect();
        let readings = |places: &[usize]| places.iter().map(|place| read[*place].0).collect();
        let divergences = self.of_inputs(chunk, &nexts);
        let layers = divergences.into_iter().zip(&chunk.places);
        layers.map(|(divergences, of)| Layer { readings: readings(of), divergences }).collect()
    }

    /// The divergences of each input of the chunk, given what is said after each of its prompts.
    fn of_inputs(&self, chunk: &Chunk<'_, '_>, nexts: &[&Distribution]) -> Vec<Divergences> {
        let inputs = chunk.inputs.par_iter().zip(&chunk.places);
        let of_input = |(input, places): (&InputGroup<'_>, &Vec<usize>)| {
            let ran: Vec<&Distribution> = places.iter().map(|place| nexts[*place]).collect();
            self.divergences(*input, &ran)
        };
        inputs.map(of_input).collect()
    }

    fn not_finite(&self, prompt: &PromptRow) -> TableError {
        self.logits.problem(format!(
            "or the activations beside it give a score that is not finite in a prompt of {}/{}",
            prompt.key.scenario, prompt.key.input
        ))
    }

    /// The rows of one input from its readings.
    fn rows<'p>(
        &self,
        input: InputGroup<'p>,
        layers: &[Layer],
        whole: &Divergences,
    ) -> OfInput<'p> {
        let mut lenses = Vec::new();
        let mut place = 0;
        for prompt in input.prompts {
            for (layer, of_layer) in self.context.layers.iter().zip(layers) {
                let reading = prompt.ran.then(|| {
                    let reading = of_layer.readings[place];
                    (reading, self.context.tokenizer.decode_token(reading.top as i32))
                });
                lenses.push(PromptLens { prompt, layer: *layer, reading });
            }
            place += usize::from(prompt.ran);
        }
        let by_layer: Vec<&Divergences> = layers.iter().map(|layer| &layer.divergences).collect();
        let of = self.context.layers;
        let pairs = pair_rows(input, of, &by_layer, whole);
        let wordings = match &whole.baseline {
            Baseline::NotDrawn => Vec::new(),
            Baseline::Of(_) => self.wordings(input, &by_layer),
        };
        OfInput { lenses, pairs, wordings }
    }

    /// The rows of all pairs of prompts of an input that has a baseline.
    fn wordings(&self, input: InputGroup<'_>, layers: &[&Divergences]) -> Vec<Paired> {
        let pairing = Pairing::of(input);
        let layers = self.context.layers.iter().zip(layers);
        let row = |(layer, divergences): (&i16, &&Divergences)| match &divergences.baseline {
            Baseline::Of(found) => Some(pairing.with(*layer, LENS_JSD_BITS, found)),
            Baseline::NotDrawn => None,
        };
        layers.filter_map(row).collect()
    }

    /// The JSDs of an input, given what is said after each prompt that ran, in their order: of the
    /// pairs of tasks and, when the input is drawn for the baseline, of all pairs of prompts.
    fn divergences(&self, input: InputGroup<'_>, ran: &[&Distribution]) -> Divergences {
        let mut rest = ran.iter();
        let nexts = input.prompts.iter().map(|prompt| (prompt, prompt.ran.then(|| rest.next())));
        let nexts: Vec<(&PromptRow, Option<&Distribution>)> = nexts
            .map(|(prompt, next)| (prompt, next.flatten().copied()))
            .filter(|(prompt, _)| prompt.role() == Role::Task)
            .collect();
        let jsd = |(a, b): (usize, usize)| {
            let (a, b) = (nexts[a].1.ok_or(status::SKIPPED)?, nexts[b].1.ok_or(status::SKIPPED)?);
            Ok(jsd_bits(a, b))
        };
        let is_first = |(a, b): &(usize, usize)| {
            nexts[*a].0.is_first_wording() && nexts[*b].0.is_first_wording()
        };
        let all = || pairs(nexts.len());
        if !self.context.takes(input.scenario(), input.input()) {
            let tasks = all().filter(is_first).map(|pair| jsd(pair).ok()).collect();
            return Divergences { tasks, baseline: Baseline::NotDrawn };
        }
        let found: Vec<Result<f64, &'static str>> = all().map(jsd).collect();
        let first = all().zip(&found).filter(|(pair, _)| is_first(pair));
        let tasks = first.map(|(_, found)| found.ok()).collect();
        Divergences { tasks, baseline: Baseline::Of(found) }
    }
}

/// The prompts of an input that ran.
fn ran(input: InputGroup<'_>) -> Vec<&PromptRow> {
    input.prompts.iter().filter(|prompt| prompt.ran).collect()
}

fn reading(scores: &[f32], next: &Distribution, own: &Own) -> Reading {
    let top = top(scores);
    let before = |(id, score): (usize, &f32)| match score.partial_cmp(&scores[own.top]) {
        Some(Ordering::Greater) => true,
        Some(Ordering::Equal) => id < own.top,
        _ => false,
    };
    Reading {
        top,
        top_probability: next.probabilities()[top],
        entropy_bits: next.entropy_bits(),
        kl_to_final: own.next.kl(next),
        final_rank: scores.iter().enumerate().filter(|entry| before(*entry)).count() as i32 + 1,
    }
}

/// Place of the largest score; ties go to the lower place.
fn top(scores: &[f32]) -> usize {
    let larger =
        |best: usize, place: usize| if scores[place] > scores[best] { place } else { best };
    (0..scores.len()).fold(0, larger)
}

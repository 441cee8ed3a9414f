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
use crate::stage::read::prompts::{InputGroup, PromptRow, ShardPrompts, pairs};
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

/// What the whole model says after the prompts of one input.
struct Final {
    /// Of the prompts that ran.
    own: Vec<Own>,
    divergences: Divergences,
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
        let finals: Vec<Option<Final>> =
            inputs.par_iter().map(|input| self.finals(*input)).collect::<Result<_, _>>()?;
        let finals = self.all_finite(inputs, finals)?;
        let prompts: usize = finals.iter().map(|of_input| of_input.own.len()).sum();
        let mut by_input: Vec<Vec<Layer>> = inputs.iter().map(|_| Vec::new()).collect();
        // One call takes all layers, unless a single input has too many prompts for that.
        let at_once = (self.context.engine.head_rows() / prompts.max(1)).max(1);
        for layers in self.ends.chunks(at_once) {
            for (of_input, layers) in by_input.iter_mut().zip(self.layers(inputs, &finals, layers)?)
            {
                of_input.extend(layers);
            }
        }
        let of_inputs = inputs.iter().zip(by_input).zip(&finals);
        Ok(of_inputs.map(|((input, layers), finals)| self.rows(*input, &layers, finals)).collect())
    }

    fn finals(&self, input: InputGroup<'_>) -> Result<Option<Final>, TableError> {
        let (logits, vocab) = self.logits.vectors("values")?;
        let own = |prompt: &PromptRow| {
            let scores = &logits[prompt.run_index * vocab..(prompt.run_index + 1) * vocab];
            Distribution::from_logits(scores).ok().map(|next| Own { next, top: top(scores) })
        };
        let own: Option<Vec<Own>> = ran(input).into_iter().map(own).collect();
        Ok(own.map(|own| {
            let nexts: Vec<_> = own.iter().map(|own| &own.next).collect();
            Final { divergences: self.divergences(input, &nexts), own }
        }))
    }

    /// For each input, its readings in `layers`.
    fn layers(
        &self,
        inputs: &[InputGroup<'_>],
        finals: &[Final],
        layers: &[Vec<f32>],
    ) -> Result<Vec<Vec<Layer>>, StageError> {
        let (width, vocab) = (self.context.card.d_model, self.context.card.vocab_size);
        let prompts: usize = finals.iter().map(|of_input| of_input.own.len()).sum();
        let mut hidden = Vec::with_capacity(layers.len() * prompts * width);
        for layer in layers {
            for prompt in inputs.iter().flat_map(|input| ran(*input)) {
                hidden.extend_from_slice(&layer[prompt.run_index * width..][..width]);
            }
        }
        if hidden.is_empty() {
            return Ok(inputs.iter().map(|input| self.empty(*input, layers.len())).collect());
        }
        let scores = head::scores(self.context, &hidden)?;
        let mut first = 0;
        let mut starts = Vec::new();
        for of_input in finals {
            starts.push(first);
            first += of_input.own.len();
        }
        let read = (0..inputs.len()).into_par_iter().map(|place| {
            self.context.go_on()?;
            let finals = &finals[place];
            let of_layer = |layer: usize| {
                let start = (layer * prompts + starts[place]) * vocab;
                let scores = &scores[start..start + finals.own.len() * vocab];
                self.read_layer(inputs[place], scores, vocab, &finals.own)
            };
            Ok((0..layers.len()).map(of_layer).collect::<Option<Vec<Layer>>>())
        });
        let read = read.collect::<Result<Vec<Option<Vec<Layer>>>, StageError>>()?;
        self.all_finite(inputs, read).map_err(StageError::from)
    }

    /// Every input's value, or an error that names the first one without.
    fn all_finite<T>(
        &self,
        inputs: &[InputGroup<'_>],
        values: Vec<Option<T>>,
    ) -> Result<Vec<T>, TableError> {
        let missing = values.iter().zip(inputs).find(|(value, _)| value.is_none());
        if let Some((_, input)) = missing {
            return Err(self.logits.problem(format!(
                "or the activations beside it give a score that is not finite in a prompt of {}/{}",
                input.scenario(),
                input.input()
            )));
        }
        Ok(values.into_iter().flatten().collect())
    }

    /// The rows of one input from its readings.
    fn rows<'p>(&self, input: InputGroup<'p>, layers: &[Layer], finals: &Final) -> OfInput<'p> {
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
        let pairs = pair_rows(input, of, &by_layer, &finals.divergences);
        let wordings = match &finals.divergences.baseline {
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

    /// Reads one layer of one input off its scores, `[prompts that ran, vocab]`; `None` when one of
    /// them is not a finite number.
    fn read_layer(
        &self,
        input: InputGroup<'_>,
        scores: &[f32],
        vocab: usize,
        own: &[Own],
    ) -> Option<Layer> {
        let scores = || scores.chunks(vocab);
        let nexts: Vec<Distribution> =
            scores().map(Distribution::from_logits).collect::<Result<_, _>>().ok()?;
        let readings = scores().zip(&nexts).zip(own);
        let readings = readings.map(|((scores, next), own)| reading(scores, next, own)).collect();
        let nexts: Vec<&Distribution> = nexts.iter().collect();
        Some(Layer { readings, divergences: self.divergences(input, &nexts) })
    }

    /// The layers of an input of which no prompt ran.
    fn empty(&self, input: InputGroup<'_>, layers: usize) -> Vec<Layer> {
        let layer = |_| Layer { readings: Vec::new(), divergences: self.divergences(input, &[]) };
        (0..layers).map(layer).collect()
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

//! The rows of one input, from the attention of its prompts.

use std::ops::Range;

use super::SINK_THRESHOLD;
use super::support::{Cut, Found, MEASURES, Masses, Support};
use crate::prompt::Role;
use crate::stage::StageError;
use crate::stage::compare::pairs::{Paired, Pairing};
use crate::stage::names::{ATTENTION_JSDS, MEAN_HEAD};
use crate::stage::read::prompts::{InputGroup, PromptRow};
use crate::stage::read::weights::{Heads, Weights};
use crate::table::schema::{AttentionDivergenceRow, AttentionMassRow};
use crate::table::status;

/// Which attention is read, and where it is.
#[derive(Debug)]
pub(super) struct Scheme<'p> {
    pub(super) weights: Weights<'p>,
    /// Rows of each prompt that ran.
    pub(super) spans: Vec<Range<usize>>,
    /// Layers, ascending.
    pub(super) layers: Vec<i16>,
    pub(super) n_head: i16,
    pub(super) heads: Heads,
}

/// The rows of one input.
#[derive(Debug)]
pub(super) struct OfInput<'p> {
    pub(super) masses: Vec<AttentionMassRow<'p>>,
    pub(super) divergences: Vec<AttentionDivergenceRow<'p>>,
    pub(super) wordings: Vec<Paired>,
}

/// A prompt of a task, in any of its wordings, ready to be compared.
struct Task<'p> {
    prompt: &'p PromptRow,
    /// `None` when it did not run.
    read: Option<(Support, Vec<Vec<Cut>>)>,
}

/// A pair of prompts on one layer: every measure of every head.
type OfHeads = Vec<[Found; MEASURES.len()]>;

impl Scheme<'_> {
    /// All rows of an input: prompts, layers and heads in order; layers, heads, pairs, measures.
    pub(super) fn of_input<'p>(&self, input: InputGroup<'p>) -> Result<OfInput<'p>, StageError> {
        let mut masses = Vec::new();
        let mut tasks = Vec::new();
        for prompt in input.prompts {
            let read = if prompt.ran {
                Some(self.read(prompt, &mut masses)?)
            } else {
                self.skip(prompt, &mut masses);
                None
            };
            if prompt.role() == Role::Task {
                tasks.push(Task { prompt, read });
            }
        }
        let pairing = Pairing::of(input);
        let (mut divergences, mut wordings) = (Vec::new(), Vec::new());
        for (place, &layer) in self.layers.iter().enumerate() {
            let found: Vec<OfHeads> =
                pairing.pairs().map(|(a, b)| self.compare(&tasks[a], &tasks[b], place)).collect();
            for (number, measure) in ATTENTION_JSDS.into_iter().enumerate() {
                let mean = |found: &OfHeads| {
                    let found = mean(found, number);
                    found.value.ok_or(found.status)
                };
                let means: Vec<_> = found.iter().map(mean).collect();
                wordings.push(pairing.with(layer, measure, &means));
            }
            let first = pairing.pairs().map(|(a, b)| (&tasks[a], &tasks[b])).zip(found);
            let first = first
                .filter(|((a, b), _)| a.prompt.is_first_wording() && b.prompt.is_first_wording());
            self.divergences(layer, &first.collect::<Vec<_>>(), &mut divergences);
        }
        Ok(OfInput { masses, divergences, wordings })
    }

    /// The heads that have rows.
    fn heads(&self) -> Range<i16> {
        match self.heads {
            Heads::Mean => MEAN_HEAD..0,
            Heads::All => MEAN_HEAD..self.n_head,
        }
    }

    fn skip<'p>(&self, prompt: &'p PromptRow, rows: &mut Vec<AttentionMassRow<'p>>) {
        for &layer in &self.layers {
            rows.extend(self.heads().map(|head| mass_row(prompt, layer, head, None)));
        }
    }

    /// Adds the prompt's rows of table `attention_mass`, and gives what is compared, by layer and
    /// head.
    fn read<'p>(
        &self,
        prompt: &'p PromptRow,
        rows: &mut Vec<AttentionMassRow<'p>>,
    ) -> Result<(Support, Vec<Vec<Cut>>), StageError> {
        let support = Support::of(prompt);
        let mut cuts = Vec::new();
        for &layer in &self.layers {
            let span = self.spans[prompt.run_index].clone();
            let weights = self.weights.of_layer(span, layer, prompt)?;
            let gathered: Vec<Vec<f64>> = weights.iter().map(|w| support.gather(w)).collect();
            let masses = gathered.iter().zip(&weights).map(|(g, w)| Masses::of(g, w));
            let masses: Vec<Masses> = masses.collect::<Result<_, _>>().map_err(|_undefined| {
                let problem = format!(
                    "has weights that are not a distribution on layer {layer} of prompt {}",
                    prompt.key
                );
                self.weights.problem(problem)
            })?;
            rows.extend(self.heads().map(|head| {
                let of_head = match usize::try_from(head) {
                    Ok(head) => masses[head],
                    Err(_) => Masses::mean(&masses),
                };
                mass_row(prompt, layer, head, Some(of_head))
            }));
            if prompt.role() == Role::Task {
                cuts.push(gathered.iter().map(|gathered| Cut::of(gathered)).collect());
            }
        }
        Ok((support, cuts))
    }

    /// Adds the rows of one layer's pairs of tasks.
    fn divergences<'p>(
        &self,
        layer: i16,
        found: &[((&Task<'p>, &Task<'p>), OfHeads)],
        rows: &mut Vec<AttentionDivergenceRow<'p>>,
    ) {
        for head in self.heads() {
            for ((a, b), found) in found {
                for (number, measure) in MEASURES.into_iter().enumerate() {
                    let found = match usize::try_from(head) {
                        Ok(head) => found[head][number],
                        Err(_) => mean(found, number),
                    };
                    rows.push(AttentionDivergenceRow {
                        scenario: &a.prompt.key.scenario,
                        input: &a.prompt.key.input,
                        layer,
                        head,
                        task_a: &a.prompt.key.task,
                        task_b: &b.prompt.key.task,
                        measure,
                        value: found.value,
                        mass_a: found.masses.map(|masses| masses.0),
                        mass_b: found.masses.map(|masses| masses.1),
                        n_heads: found.n_heads,
                        status: found.status,
                    });
                }
            }
        }
    }

    /// Every measure of every head, on the `place`-th layer.
    fn compare(&self, a: &Task<'_>, b: &Task<'_>, place: usize) -> OfHeads {
        let nothing = |status| vec![[Found::nothing(status); MEASURES.len()]; self.n_head as usize];
        let (Some((support_a, a)), Some((support_b, b))) = (&a.read, &b.read) else {
            return nothing(status::SKIPPED);
        };
        if support_a.input != support_b.input || support_a.input.is_empty() {
            return nothing(status::NO_ALIGNMENT);
        }
        a[place].iter().zip(&b[place]).map(|(a, b)| a.compare(b)).collect()
    }
}

/// A measure's mean over the heads.
fn mean(of_heads: &OfHeads, measure: usize) -> Found {
    Found::mean(&of_heads.iter().map(|found| found[measure]).collect::<Vec<_>>())
}

/// The row of a prompt's head; without masses when the prompt did not run.
fn mass_row(
    prompt: &PromptRow,
    layer: i16,
    head: i16,
    masses: Option<Masses>,
) -> AttentionMassRow<'_> {
    AttentionMassRow {
        scenario: &prompt.key.scenario,
        input: &prompt.key.input,
        task: &prompt.key.task,
        wording: prompt.key.wording,
        layer,
        head,
        sink_mass: masses.map(|m| m.sink),
        task_mass: masses.map(|m| m.task),
        template_mass: masses.map(|m| m.template),
        input_mass: masses.map(|m| m.input),
        tail_mass: masses.map(|m| m.tail),
        entropy_bits: masses.map(|m| m.entropy_bits),
        is_sink: masses.map(|m| i16::from(m.sink > SINK_THRESHOLD)),
        status: if masses.is_some() { status::OK } else { status::SKIPPED },
    }
}

//! The distributions of one input's prompts, pair by pair.

use std::sync::Arc;

use rayon::prelude::*;

use super::contrast;
use super::contrast::{Contrasted, Wordings};
use crate::math::{
    Distribution, Divergences, RBO_DEPTH, RBO_PERSISTENCE, RankBiasedOverlap, jsd_bits,
    jsd_contributions, overlap_at, top_k,
};
use crate::model::Tokenizer;
use crate::stage::read::prompts::{InputGroup, PromptRow, ShardPrompts, pairs};
use crate::stage::read::reread;
use crate::stage::{Context, StageError};
use crate::table::reader::Part;
use crate::table::schema::{LOGITS, OutputDivergenceRow, OutputDivergenceTokenRow};
use crate::table::status;
use crate::table::writer::PartAddress;

/// Reads a shard's logits, input by input.
pub(super) struct Reader<'a> {
    tokenizer: &'a Tokenizer,
    logits: Arc<Part>,
    top_tokens: usize,
}

/// What the model says after a prompt.
struct Said {
    distribution: Distribution,
    /// The most probable tokens, best first.
    ranking: Vec<usize>,
}

/// Two tasks of an input, by their first wordings.
#[derive(Debug, Clone, Copy)]
struct Pair<'p> {
    input: InputGroup<'p>,
    prompts: (&'p PromptRow, &'p PromptRow),
}

/// What one token adds to a pair's divergence; a row of table `output_divergence_token`.
#[derive(Debug)]
pub(super) struct Contribution<'p> {
    pair: Pair<'p>,
    rank: i16,
    token_id: i32,
    token: String,
    /// Under the first task and under the second.
    probabilities: (f64, f64),
    bits: f64,
}

/// The rows of one input.
#[derive(Debug)]
pub(super) struct OfInput<'p> {
    pub(super) pairs: Vec<OutputDivergenceRow<'p>>,
    pub(super) tokens: Vec<Contribution<'p>>,
    pub(super) contrasts: Vec<Contrasted<'p>>,
    pub(super) wordings: Wordings<'p>,
}

impl<'p> Pair<'p> {
    fn a(&self) -> &'p str {
        &self.prompts.0.key.task
    }

    fn b(&self) -> &'p str {
        &self.prompts.1.key.task
    }

    /// The row of a pair of which one prompt did not run.
    fn skipped(&self) -> OutputDivergenceRow<'p> {
        OutputDivergenceRow {
            scenario: self.input.scenario(),
            input: self.input.input(),
            task_a: self.a(),
            task_b: self.b(),
            jsd_bits: None,
            kl_ab: None,
            kl_ba: None,
            total_variation: None,
            entropy_a_bits: None,
            entropy_b_bits: None,
            same_top: None,
            overlap_5: None,
            overlap_10: None,
            overlap_50: None,
            rbo_ext: None,
            rbo_min: None,
            rbo_residual: None,
            status: status::SKIPPED,
        }
    }

    fn row(&self, a: &Said, b: &Said) -> OutputDivergenceRow<'p> {
        let some = "a distribution has an outcome, so its ranking has one";
        let overlap = |k: usize| Some(overlap_at(&a.ranking, &b.ranking, k).expect(some));
        let divergences = Divergences::between(&a.distribution, &b.distribution);
        let rbo = RankBiasedOverlap::between(&a.ranking, &b.ranking, RBO_PERSISTENCE).expect(some);
        OutputDivergenceRow {
            jsd_bits: Some(divergences.jsd_bits),
            kl_ab: Some(divergences.kl_ab),
            kl_ba: Some(divergences.kl_ba),
            total_variation: Some(divergences.total_variation),
            entropy_a_bits: Some(a.distribution.entropy_bits()),
            entropy_b_bits: Some(b.distribution.entropy_bits()),
            same_top: Some(i16::from(a.ranking.first() == b.ranking.first())),
            overlap_5: overlap(5),
            overlap_10: overlap(10),
            overlap_50: overlap(50),
            rbo_ext: Some(rbo.extrapolated),
            rbo_min: Some(rbo.minimum),
            rbo_residual: Some(rbo.residual),
            status: status::OK,
            ..self.skipped()
        }
    }
}

impl Contribution<'_> {
    /// As the table has it.
    pub(super) fn row(&self) -> OutputDivergenceTokenRow<'_> {
        let (probability_a, probability_b) = self.probabilities;
        OutputDivergenceTokenRow {
            scenario: self.pair.input.scenario(),
            input: self.pair.input.input(),
            task_a: self.pair.a(),
            task_b: self.pair.b(),
            rank: self.rank,
            token_id: self.token_id,
            token: &self.token,
            probability_a,
            probability_b,
            contribution_bits: self.bits,
        }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn open(
        context: &Context<'a>,
        prompts: &ShardPrompts,
        top_tokens: usize,
    ) -> Result<Self, StageError> {
        let columns = ["scenario", "input", "task", "wording", "values"];
        let address = PartAddress::new(&LOGITS, context.part);
        let logits = reread::part(context.store, address, &columns)?;
        prompts.check_keys(&logits)?;
        Ok(Self { tokenizer: context.tokenizer, logits, top_tokens })
    }

    /// All rows of an input: pairs of tasks in the pipeline's order, ranks, contrasts.
    pub(super) fn compare<'p>(&self, input: InputGroup<'p>) -> Result<OfInput<'p>, StageError> {
        let said = input.prompts.par_iter().map(|prompt| self.read(prompt));
        let said: Vec<Option<Said>> = said.collect::<Result<_, _>>()?;
        // Places of the first wordings among the input's prompts.
        let first: Vec<usize> = (0..input.prompts.len())
            .filter(|&place| input.prompts[place].is_first_wording())
            .collect();
        let places: Vec<(usize, usize)> =
            pairs(first.len()).map(|(a, b)| (first[a], first[b])).collect();
        let compared = places.par_iter().map(|&(a, b)| {
            let pair = Pair { input, prompts: (&input.prompts[a], &input.prompts[b]) };
            match (&said[a], &said[b]) {
                (Some(a), Some(b)) => {
                    (pair.row(a, b), self.tokens(pair, &a.distribution, &b.distribution))
                }
                _ => (pair.skipped(), Vec::new()),
            }
        });
        let compared: Vec<(OutputDivergenceRow<'_>, Vec<Contribution<'_>>)> = compared.collect();
        let (pairs, tokens): (Vec<OutputDivergenceRow<'_>>, Vec<_>) = compared.into_iter().unzip();
        let known =
            places.iter().zip(&pairs).filter_map(|(place, row)| Some((*place, row.jsd_bits?)));
        let jsd = |a: usize, b: usize| {
            Some(jsd_bits(&said[a].as_ref()?.distribution, &said[b].as_ref()?.distribution))
        };
        let (contrasts, wordings) = contrast::rows(input, &known.collect(), &jsd);
        let tokens = tokens.into_iter().flatten().collect();
        Ok(OfInput { pairs, tokens, contrasts, wordings })
    }

    fn read(&self, prompt: &PromptRow) -> Result<Option<Said>, StageError> {
        if !prompt.ran {
            return Ok(None);
        }
        let (logits, vocab_size) = self.logits.vectors("values")?;
        let logits = &logits[prompt.run_index * vocab_size..(prompt.run_index + 1) * vocab_size];
        let distribution = Distribution::from_logits(logits)
            .ok()
            .filter(|found| found.logs().iter().all(|log| log.is_finite()))
            .ok_or_else(|| {
                self.logits
                    .problem(format!("has a value that is not finite in prompt {}", prompt.key))
            })?;
        Ok(Some(Said { distribution, ranking: top_k(logits, RBO_DEPTH) }))
    }

    /// The tokens that make the difference, the largest contribution first; none that adds nothing.
    fn tokens<'p>(
        &self,
        pair: Pair<'p>,
        a: &Distribution,
        b: &Distribution,
    ) -> Vec<Contribution<'p>> {
        let contributions = jsd_contributions(a, b);
        let top = top_k(&contributions, self.top_tokens);
        let adding = top.into_iter().take_while(|&id| contributions[id] > 0.0);
        let row = |(place, id): (usize, usize)| Contribution {
            pair,
            rank: place as i16 + 1,
            token_id: id as i32,
            token: self.tokenizer.decode_token(id as i32),
            probabilities: (a.probabilities()[id], b.probabilities()[id]),
            bits: contributions[id],
        };
        adding.enumerate().map(row).collect()
    }
}

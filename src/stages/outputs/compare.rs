//! The distributions of one input's prompts, pair by pair.

use std::sync::Arc;

use rayon::prelude::*;

use super::contrast;
use super::contrast::{ContrastRow, WordingRow};
use crate::math::{
    Distribution, Divergences, RBO_DEPTH, RBO_PERSISTENCE, RankBiasedOverlap, jsd_bits,
    jsd_contributions, overlap_at, top_k,
};
use crate::model::Tokenizer;
use crate::stage::read::prompts::{InputGroup, PromptRow, ShardPrompts, pairs};
use crate::stage::read::reread;
use crate::stage::{Context, StageError};
use crate::table::reader::Part;
use crate::table::schema::LOGITS;
use crate::table::status;
use crate::table::writer::PartAddress;

/// The k of `overlap_k`.
const OVERLAPS: [usize; 3] = [5, 10, 50];

/// Reads a shard's logits, input by input.
pub(super) struct Reader<'a> {
    tokenizer: &'a Tokenizer,
    logits: Arc<Part>,
    top_tokens: usize,
}

/// What a prompt says next.
struct Said {
    distribution: Distribution,
    /// The most probable tokens, best first.
    ranking: Vec<usize>,
}

/// Two tasks of an input, by their first wordings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'p> {
    pub(super) input: InputGroup<'p>,
    prompts: (&'p PromptRow, &'p PromptRow),
}

/// One row of table `output_divergence`.
#[derive(Debug)]
pub(super) struct PairRow<'p> {
    pub(super) pair: Pair<'p>,
    /// `None` when one of the prompts did not run.
    pub(super) numbers: Option<Numbers>,
    pub(super) status: &'static str,
}

/// How two distributions compare.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) divergences: Divergences,
    pub(super) entropy_bits: (f64, f64),
    pub(super) same_top: bool,
    pub(super) overlaps: [f64; OVERLAPS.len()],
    pub(super) rbo: RankBiasedOverlap,
}

/// One row of table `output_divergence_token`.
#[derive(Debug)]
pub(super) struct TokenRow<'p> {
    pub(super) pair: Pair<'p>,
    pub(super) rank: i16,
    pub(super) token_id: i32,
    pub(super) token: String,
    pub(super) probabilities: (f64, f64),
    pub(super) contribution_bits: f64,
}

/// The rows of one input.
#[derive(Debug)]
pub(super) struct OfInput<'p> {
    pub(super) pairs: Vec<PairRow<'p>>,
    pub(super) tokens: Vec<TokenRow<'p>>,
    pub(super) contrasts: Vec<ContrastRow<'p>>,
    pub(super) wordings: WordingRow<'p>,
}

impl<'p> Pair<'p> {
    pub(super) fn a(&self) -> &'p str {
        &self.prompts.0.key.task
    }

    pub(super) fn b(&self) -> &'p str {
        &self.prompts.1.key.task
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
                (Some(a), Some(b)) => self.compare_pair(pair, a, b),
                _ => (PairRow { pair, numbers: None, status: status::SKIPPED }, Vec::new()),
            }
        });
        let compared: Vec<(PairRow<'_>, Vec<TokenRow<'_>>)> = compared.collect();
        let (pairs, tokens): (Vec<PairRow<'_>>, Vec<_>) = compared.into_iter().unzip();
        let known = places
            .iter()
            .zip(&pairs)
            .filter_map(|(place, row)| Some((*place, row.numbers?.divergences.jsd_bits)));
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

    fn compare_pair<'p>(
        &self,
        pair: Pair<'p>,
        a: &Said,
        b: &Said,
    ) -> (PairRow<'p>, Vec<TokenRow<'p>>) {
        let some = "a distribution has an outcome, so its ranking has one";
        let numbers = Numbers {
            divergences: Divergences::between(&a.distribution, &b.distribution),
            entropy_bits: (a.distribution.entropy_bits(), b.distribution.entropy_bits()),
            same_top: a.ranking.first() == b.ranking.first(),
            overlaps: OVERLAPS.map(|k| overlap_at(&a.ranking, &b.ranking, k).expect(some)),
            rbo: RankBiasedOverlap::between(&a.ranking, &b.ranking, RBO_PERSISTENCE).expect(some),
        };
        let row = PairRow { pair, numbers: Some(numbers), status: status::OK };
        (row, self.tokens(pair, &a.distribution, &b.distribution))
    }

    /// The tokens that tell the two apart, the largest contribution first; none that adds nothing.
    fn tokens<'p>(&self, pair: Pair<'p>, a: &Distribution, b: &Distribution) -> Vec<TokenRow<'p>> {
        let contributions = jsd_contributions(a, b);
        let top = top_k(&contributions, self.top_tokens);
        let telling = top.into_iter().take_while(|&id| contributions[id] > 0.0);
        let row = |(place, id): (usize, usize)| TokenRow {
            pair,
            rank: place as i16 + 1,
            token_id: id as i32,
            token: self.tokenizer.decode_token(id as i32),
            probabilities: (a.probabilities()[id], b.probabilities()[id]),
            contribution_bits: contributions[id],
        };
        telling.enumerate().map(row).collect()
    }
}

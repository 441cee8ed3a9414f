//! What every token adds to the notebook's similarity: why its number is what it is.
//!
//! The notebook's cosine of two flattened prompts, cut to the shorter one, is a sum over positions:
//!
//! ```text
//! flat = Σ_t weight_t · cosine_t        weight_t = ‖a_t‖ ‖b_t‖ / (‖A‖ ‖B‖)
//! ```
//!
//! with `a_t`, `b_t` the two activations at position t and `A`, `B` the flattened vectors. So tokens of
//! large norm decide: in GPT-2 the first one, whatever the input. The table has `cosine`, `weight` and
//! their product for every position of every pair of tasks (first wordings), with what stands there
//! in both prompts; `shared_prefix` marks positions that cannot differ, because both prompts are equal
//! up to there. The sum of `contribution` over the positions of a pair is its `flat`.
//!
//! Of a scenario with more inputs than `max_inputs` about that many are taken, drawn by the seed: a
//! pair has a row for each token and layer, so this is the largest table after the raw ones. Reads
//! `prompts` and `activations`, writes `seed_explain`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math;
use crate::stage::read::hidden::{Layer, by_input_and_layer};
use crate::stage::read::prompts::{InputGroup, ShardPrompts, pairs};
use crate::stage::{Context, DependsOn, Description, Facts, Outcome, Scope, Stage, StageError};
use crate::table::schema::{ACTIVATIONS, PROMPTS, SEED_EXPLAIN, SeedExplainRow};
use crate::table::{WriteRow as _, status};
use crate::yaml::{Path, Problems};

/// What this kind of stage is.
pub(super) const DESCRIPTION: Description = Description {
    kind: "explain",
    version: 1,
    scope: Scope::Shard,
    unit: "layers",
    reads: &[&PROMPTS, &ACTIVATIONS],
    reads_if_there: &[],
    writes: &[&SEED_EXPLAIN],
    file: None,
    depends_on: DependsOn { layers: true, seed: true, head: false, lineage: false },
};

/// Shows what every token adds to the notebook's similarity.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// About how many inputs of a scenario to take at most, drawn by the seed.
    pub max_inputs: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_inputs: 50 }
    }
}

impl Config {
    /// Valid when some input is taken.
    pub fn validate(&self, at: &Path, _facts: &Facts, problems: &mut Problems) -> Option<Explain> {
        if self.max_inputs > 0 {
            return Some(Explain { max_inputs: self.max_inputs });
        }
        problems.push(
            &at.key("max_inputs"),
            "max_inputs 0 takes no input",
            "it is about how many inputs of a scenario are explained; 50 is the default",
        );
        None
    }
}

/// The stage, configured.
#[derive(Debug, Clone)]
pub struct Explain {
    max_inputs: u64,
}

impl Stage for Explain {
    fn description(&self) -> &'static Description {
        &DESCRIPTION
    }

    fn max_inputs(&self) -> Option<u64> {
        Some(self.max_inputs)
    }

    /// Empty: the share of the inputs that it makes is what counts.
    fn settings(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn run(&self, context: &Context<'_>) -> Result<Outcome, StageError> {
        let prompts = ShardPrompts::read(context.store, context.part)?;
        let mut inputs = prompts.inputs();
        inputs.retain(|input| context.takes(input.scenario(), input.input()));
        // A shard without such inputs has nothing to read.
        let units = if inputs.is_empty() { 0 } else { context.layers.len() as u64 };
        context.start(&DESCRIPTION, units);
        let rows = match units {
            0 => Vec::new(),
            _ => {
                by_input_and_layer(context, DESCRIPTION.kind, &prompts, &inputs, |layer, input| {
                    explain(layer, *input)
                })?
            }
        };
        let rows: Vec<SeedExplainRow<'_>> = rows.into_iter().flatten().collect();
        let part = SeedExplainRow::write(context.store, context.part, &rows)?;
        Ok(Outcome { parts: vec![part], units, ..Outcome::default() })
    }
}

/// What one token adds to the cosine.
#[derive(Debug, Clone, Copy)]
struct Share {
    cosine: Option<f64>,
    weight: Option<f64>,
    contribution: Option<f64>,
    status: &'static str,
}

impl Share {
    fn without(status: &'static str) -> Self {
        Self { cosine: None, weight: None, contribution: None, status }
    }
}

/// The rows of one input on one layer: by pair, then position.
fn explain<'p>(
    layer: &Layer,
    input: InputGroup<'p>,
) -> Result<Vec<SeedExplainRow<'p>>, StageError> {
    let tasks = input.first_wordings();
    let vectors = layer.of(&tasks)?;
    let width = layer.width;
    let mut rows = Vec::new();
    for (i, j) in pairs(tasks.len()) {
        let (a, b) = (tasks[i], tasks[j]);
        let n = a.token_ids.len().min(b.token_ids.len());
        let shared = a.token_ids.iter().zip(&b.token_ids).take_while(|(a, b)| a == b).count();
        let shares = match (vectors[i], vectors[j]) {
            (Some(a), Some(b)) => shares(&a[..n * width], &b[..n * width], width),
            _ => vec![Share::without(status::SKIPPED); n],
        };
        rows.extend(shares.into_iter().enumerate().map(|(position, share)| SeedExplainRow {
            scenario: input.scenario(),
            input: input.input(),
            layer: layer.number,
            task_a: &a.key.task,
            task_b: &b.key.task,
            position: position as i32,
            token_id_a: a.token_ids[position],
            token_id_b: b.token_ids[position],
            segment_a: &a.segments[position..=position],
            segment_b: &b.segments[position..=position],
            shared_prefix: i16::from(position < shared),
            cosine: share.cosine,
            weight: share.weight,
            contribution: share.contribution,
            status: share.status,
        }));
    }
    Ok(rows)
}

/// What each token adds to the cosine of two flattened prompts of the same length.
fn shares(a: &[f32], b: &[f32], width: usize) -> Vec<Share> {
    let tokens: Vec<(f64, f64, f64)> = a
        .chunks_exact(width)
        .zip(b.chunks_exact(width))
        .map(|(a, b)| (math::dot(a, b), math::squared_norm(a), math::squared_norm(b)))
        .collect();
    let whole = |norm: fn(&(f64, f64, f64)) -> f64| tokens.iter().map(norm).sum::<f64>();
    let (whole_a, whole_b) = (whole(|(_, a, _)| *a), whole(|(.., b)| *b));
    // As the notebook's cosine: each norm is raised to the floor by itself.
    let floor = math::NORM_FLOOR * math::NORM_FLOOR;
    let norms = (whole_a.max(floor) * whole_b.max(floor)).sqrt();
    let share = |(dot, squared_a, squared_b): (f64, f64, f64)| {
        if whole_a == 0.0 || whole_b == 0.0 {
            return Share::without(status::ZERO_NORM);
        }
        let own = (squared_a * squared_b).sqrt();
        let has_direction = squared_a > 0.0 && squared_b > 0.0;
        Share {
            cosine: has_direction.then(|| (dot / own).clamp(-1.0, 1.0)),
            weight: Some(own / norms),
            contribution: Some(dot / norms),
            status: if has_direction { status::OK } else { status::ZERO_NORM },
        }
    };
    tokens.into_iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_contributions_add_up_to_the_notebooks_cosine(
            values in prop::collection::vec((-1e3_f32..1e3, -1e3_f32..1e3), 4..160),
        ) {
            const WIDTH: usize = 4;
            let n = values.len() / WIDTH * WIDTH;
            let (a, b): (Vec<f32>, Vec<f32>) = values[..n].iter().copied().unzip();
            let shares = shares(&a, &b, WIDTH);
            prop_assert_eq!(shares.len(), n / WIDTH);
            let flat = math::cosine(
                math::dot(&a, &b), math::squared_norm(&a), math::squared_norm(&b),
            );
            let sum: Option<f64> = shares.iter().map(|share| share.contribution).sum();
            match (sum, flat) {
                (Some(sum), Some(flat)) => prop_assert!((sum - flat).abs() < 1e-14),
                (sum, flat) => prop_assert_eq!(sum, flat),
            }
            for share in shares {
                if let (Some(cosine), Some(weight)) = (share.cosine, share.weight) {
                    prop_assert!((cosine * weight - share.contribution.unwrap()).abs() < 1e-14);
                }
            }
        }
    }

    #[test]
    fn a_token_of_large_norm_decides() {
        // measures.md, F4: one token of norm 3000 against 27 of norm 110.
        let mut a = vec![3000.0, 0.0];
        a.extend([110.0, 0.0].repeat(27));
        let mut b = vec![3000.0, 0.0];
        b.extend([0.0, 110.0].repeat(27));
        let shares = shares(&a, &b, 2);
        let weight = shares[0].weight.unwrap();
        assert!((weight - 9e6 / (9e6 + 27.0 * 12100.0)).abs() < 1e-12 && weight > 0.96);
        assert!(shares[1..].iter().all(|share| share.contribution == Some(0.0)));
    }

    #[test]
    fn a_token_without_direction_adds_nothing_and_says_so() {
        let found = shares(&[0.0, 0.0, 1.0, 1.0], &[1.0, 2.0, 1.0, 1.0], 2);
        assert_eq!((found[0].cosine, found[0].status), (None, status::ZERO_NORM));
        assert_eq!((found[0].weight, found[0].contribution), (Some(0.0), Some(0.0)));
        assert_eq!(found[1].status, status::OK);
        let nothing = shares(&[0.0; 4], &[1.0; 4], 2);
        assert!(nothing.iter().all(|share| share.contribution.is_none()));
    }
}

//! What the tokens of inputs vary by around the means over them, from table `token_spread`.

use std::collections::BTreeMap;

use super::{Site, TOKEN};
use crate::math::Units;
use crate::stage::read::clusters::Clusters;
use crate::stage::read::designs::SiteVectors;
use crate::stage::{Context, StageError};
use crate::table::reader::{Part, read_part};
use crate::table::schema::TOKEN_SPREAD;
use crate::table::status;
use crate::table::writer::PartAddress;

const COLUMNS: [&str; 6] = ["scenario", "input", "part", "n_tokens", "values", "status"];

/// How many parts an input has, one row each: by token alone, with the task, with the wording.
const PARTS: usize = 3;

/// Those of one layer, by scenario.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    width: usize,
    scenarios: BTreeMap<String, Scenario>,
}

#[derive(Debug, Default)]
struct Scenario {
    /// How many tokens an input has, and its place among the values.
    inputs: BTreeMap<String, (usize, usize)>,
    /// Input after input, part after part.
    values: Vec<f32>,
    /// Status of the first input that has none.
    refused: Option<String>,
}

impl Tokens {
    /// Reads a layer, of the inputs that the stage uses.
    pub(super) fn read(context: &Context<'_>, layer: i16) -> Result<Self, StageError> {
        let mut tokens = Self::default();
        for part in 0..context.shards {
            context.go_on()?;
            let address = PartAddress { table: &TOKEN_SPREAD, layer: Some(layer), part };
            tokens.add(&read_part(context.store, address, &COLUMNS)?, context)?;
        }
        Ok(tokens)
    }

    fn add(&mut self, part: &Part, context: &Context<'_>) -> Result<(), StageError> {
        let (scenarios, inputs) = (part.texts("scenario")?, part.texts("input")?);
        let (counts, words) = (part.int32s("n_tokens")?, part.texts("status")?);
        let (values, width) = part.vectors("values")?;
        self.width = width;
        // An input's rows are adjacent.
        for row in (0..part.rows()).step_by(PARTS) {
            let (scenario, input) = (scenarios.value(row), inputs.value(row));
            if !context.takes(scenario, input) {
                continue;
            }
            if row + PARTS > part.rows() || inputs.value(row + PARTS - 1) != input {
                let problem = format!("does not have {PARTS} rows of input '{input}'");
                return Err(part.problem(problem).into());
            }
            let of = self.scenarios.entry(scenario.to_owned()).or_default();
            if words.value(row) != status::OK {
                of.refused.get_or_insert_with(|| words.value(row).to_owned());
                continue;
            }
            let place = of.inputs.len();
            of.inputs.insert(input.to_owned(), (counts.value(row).max(1) as usize, place));
            of.values.extend_from_slice(&values[row * width..(row + PARTS) * width]);
        }
        Ok(())
    }

    /// Site `token` of a scenario, with the span's vectors.
    pub(super) fn site<'a>(
        &'a self,
        scenario: &'a str,
        vectors: &'a SiteVectors,
        clusters: &Clusters,
    ) -> Site<'a> {
        let of = self.scenarios.get(scenario);
        let units = |(place, name): (usize, &String)| {
            let of = of?;
            let (count, first) = *of.inputs.get(name)?;
            let part =
                |part: usize| &of.values[(first * PARTS + part) * self.width..][..self.width];
            Some((place, Units { count, within: [part(0), part(1), part(2)] }))
        };
        let tokens: Vec<_> = vectors.inputs.iter().enumerate().filter_map(units).collect();
        let refused = of.and_then(|of| of.refused.as_deref()).or(vectors.refusal());
        let refusal = refused.filter(|_| tokens.is_empty());
        Site { refusal, ..Site::new(scenario, TOKEN, vectors, Some(tokens), clusters) }
    }
}

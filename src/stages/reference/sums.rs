//! Mean and spread of every dimension, token by token.

use crate::model::{Batch, Outputs};
use crate::table::schema::ReferenceRow;
use crate::table::status;

/// Fewer prompts than this make no reference.
pub(super) const LEAST_PROMPTS: u64 = 10;

/// Fewer tokens than this make no reference.
const LEAST_TOKENS: u64 = 200;

/// Whether so many make a reference.
pub(super) fn is_enough(n_prompts: u64, n_tokens: u64) -> bool {
    n_prompts >= LEAST_PROMPTS && n_tokens >= LEAST_TOKENS
}

/// Running mean and sum of squared deviations of every layer and dimension (Welford 1962): the
/// activations' offset, far larger than their spread, does not cost the spread its digits.
#[derive(Debug)]
pub(super) struct Sums {
    width: usize,
    pub(super) n_prompts: u64,
    pub(super) n_tokens: u64,
    /// `[layers, d_model]` each.
    means: Vec<f64>,
    squares: Vec<f64>,
}

impl Sums {
    pub(super) fn new(layers: usize, width: usize) -> Self {
        let zeros = vec![0.0; layers * width];
        Self { width, n_prompts: 0, n_tokens: 0, means: zeros.clone(), squares: zeros }
    }

    /// Adds the prompts of a batch, without padding and position 0.
    pub(super) fn take(&mut self, batch: &Batch, outputs: &Outputs<'_>) {
        for (row, &length) in batch.lengths.iter().enumerate() {
            let places =
                (row * batch.seq + 1) * self.width..(row * batch.seq + length) * self.width;
            let tokens: Vec<&[f32]> =
                outputs.hidden.iter().map(|layer| &layer[places.clone()]).collect();
            let is_finite =
                |values: &&[f32]| values.iter().fold(true, |finite, x| finite & x.is_finite());
            if !tokens.iter().all(is_finite) {
                continue;
            }
            self.n_prompts += 1;
            for token in 0..length - 1 {
                self.n_tokens += 1;
                let place = token * self.width..(token + 1) * self.width;
                for (layer, tokens) in tokens.iter().enumerate() {
                    self.push(layer, &tokens[place.clone()]);
                }
            }
        }
    }

    /// Adds one token of one layer; `n_tokens` counts it already.
    fn push(&mut self, layer: usize, values: &[f32]) {
        let n = self.n_tokens as f64;
        let place = layer * self.width..(layer + 1) * self.width;
        let sums = self.means[place.clone()].iter_mut().zip(&mut self.squares[place]);
        for ((mean, squares), value) in sums.zip(values) {
            let value = f64::from(*value);
            let before = value - *mean;
            *mean += before / n;
            *squares += before * (value - *mean);
        }
    }

    /// One row a layer and dimension; without values when there is too little.
    pub(super) fn rows<'s>(
        &self,
        scenario: &'s str,
        layers: &[i16],
    ) -> impl Iterator<Item = ReferenceRow<'s>> {
        let is_enough = is_enough(self.n_prompts, self.n_tokens);
        let freedom = self.n_tokens.saturating_sub(1) as f64;
        let row = move |layer: i16, dimension: usize, place: usize| ReferenceRow {
            scenario,
            layer,
            dimension: dimension as i32,
            mean: is_enough.then(|| self.means[place]),
            sd: is_enough.then(|| (self.squares[place] / freedom).sqrt()),
            n_tokens: self.n_tokens as i64,
            n_prompts: self.n_prompts as i64,
            status: if is_enough { status::OK } else { status::N_TOO_SMALL },
        };
        let of_layer = move |(i, layer): (usize, &i16)| {
            let layer = *layer;
            (0..self.width).map(move |d| row(layer, d, i * self.width + d))
        };
        layers.iter().enumerate().flat_map(of_layer)
    }
}

//! Where a scenario's sinks are, counted layer by layer over its prompts.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::math::Statistics;
use crate::run_dir::summary::{SinkSummary, SinkToken};
use crate::table::schema::SINKS;
use crate::table::view;

/// Tokens that are named.
const MOST_TOKENS: usize = 5;

/// In column `kind`: position 0, where it is no sink.
const NONE: &str = "none";

view! {
    /// A sink, or position 0.
    pub(super) struct Sink<'a> of [SINKS] {
        scenario: &'a str,
        layer: i16,
        position: i32,
        token: Option<&'a str>,
        norm_share: Option<f64>,
        kind: Option<&'a str>,
    }
}

/// What is known so far of one scenario's layers.
#[derive(Debug, Default)]
pub(super) struct SinkTally {
    layers: BTreeMap<i16, OfLayer>,
}

#[derive(Debug, Default)]
struct OfLayer {
    prompts: u64,
    at_position_0: u64,
    elsewhere: u64,
    /// Whether the prompt whose rows are coming in was counted in `elsewhere`.
    is_counted: bool,
    tokens: BTreeMap<String, u64>,
    shares: Statistics,
}

impl SinkTally {
    /// Takes in one row; those of a prompt and layer stand together, position 0 first. A prompt that did
    /// not run has no kind.
    pub(super) fn push(&mut self, row: &Sink<'_>) {
        let Some(kind) = row.kind else { return };
        let layer = self.layers.entry(row.layer).or_default();
        if row.position == 0 {
            layer.prompts += 1;
            layer.at_position_0 += u64::from(kind != NONE);
            layer.is_counted = false;
            if let Some(share) = row.norm_share {
                layer.shares.push(share);
            }
            return;
        }
        layer.elsewhere += u64::from(!layer.is_counted);
        layer.is_counted = true;
        *layer.tokens.entry(row.token.unwrap_or_default().to_owned()).or_default() += 1;
    }

    pub(super) fn finish(self) -> Vec<SinkSummary> {
        let layers = self.layers.into_iter();
        let summary = |(layer, of): (i16, OfLayer)| {
            let mut tokens: Vec<SinkToken> =
                of.tokens.into_iter().map(|(token, n)| SinkToken { token, n }).collect();
            tokens.sort_by_key(|token| Reverse(token.n));
            tokens.truncate(MOST_TOKENS);
            SinkSummary {
                layer,
                n_prompts: of.prompts,
                n_at_position_0: of.at_position_0,
                n_elsewhere: of.elsewhere,
                tokens,
                position_0_share: of.shares.mean(),
            }
        };
        layers.map(summary).collect()
    }
}

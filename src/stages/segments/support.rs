//! One prompt's attention on the support that prompts of any length share.

use crate::math::{Distribution, Undefined, entropy_bits, jsd_bits, total_variation};
use crate::stage::read::prompts::PromptRow;
use crate::table::status;

/// Places of the support; the input's tokens, one place each, follow. The first is position 0's, which in
/// many models is a sink and in no model is compared with any other token.
const SINK: usize = 0;
const TASK: usize = 1;
const TEMPLATE: usize = 2;
const TAIL: usize = 3;
const INPUT: usize = 4;

/// The measures of table `attention_divergence`, in the order of their rows; the first three are
/// [`ATTENTION_JSDS`](crate::stage::names::ATTENTION_JSDS).
pub(super) const MEASURES: [&str; 4] = ["jsd_full", "jsd_no_sink", "jsd_input", "overlap"];

/// The place of every token of a prompt on the support.
#[derive(Debug)]
pub(super) struct Support {
    places: Vec<usize>,
    /// As [`PromptRow::aligned_input`].
    pub(super) input: Vec<i32>,
}

/// How much attention goes where.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Masses {
    pub(super) sink: f64,
    pub(super) task: f64,
    pub(super) template: f64,
    pub(super) input: f64,
    pub(super) tail: f64,
    /// Of the weights over all positions.
    pub(super) entropy_bits: f64,
}

/// One head's attention, in the parts that are compared: all of it, without position 0, on the input.
#[derive(Debug)]
pub(super) struct Cut {
    parts: [(f64, Result<Distribution, Undefined>); 3],
}

/// The result of comparing two heads' attention, or its mean over heads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    pub(super) value: Option<f64>,
    /// How much of either side the measure covers.
    pub(super) masses: Option<(f64, f64)>,
    /// Heads with a value.
    pub(super) n_heads: i16,
    pub(super) status: &'static str,
}

impl Support {
    pub(super) fn of(prompt: &PromptRow) -> Self {
        let mut next = INPUT;
        let letters = prompt.segments.bytes().enumerate();
        let places = letters.map(|(position, letter)| match letter {
            _ if position == 0 => SINK,
            b'i' => {
                next += 1;
                next - 1
            }
            b't' => TASK,
            b'f' => TEMPLATE,
            _ => TAIL,
        });
        Self { places: places.collect(), input: prompt.aligned_input() }
    }

    /// One head's weights, summed place by place.
    pub(super) fn gather(&self, weights: &[f32]) -> Vec<f64> {
        let mut masses = vec![0.0; INPUT + self.input.len()];
        for (&place, &weight) in self.places.iter().zip(weights) {
            masses[place] += f64::from(weight);
        }
        masses
    }
}

impl Masses {
    /// Of one head, from its weights and what [`Support::gather`] made of them. An error when the
    /// weights are not a distribution.
    pub(super) fn of(gathered: &[f64], weights: &[f32]) -> Result<Self, Undefined> {
        Ok(Self {
            sink: gathered[SINK],
            task: gathered[TASK],
            template: gathered[TEMPLATE],
            input: gathered[INPUT..].iter().sum(),
            tail: gathered[TAIL],
            entropy_bits: entropy_bits(weights)?,
        })
    }

    /// Field by field over the heads, in their order.
    pub(super) fn mean(heads: &[Self]) -> Self {
        let mean =
            |field: fn(&Self) -> f64| heads.iter().map(field).sum::<f64>() / heads.len() as f64;
        Self {
            sink: mean(|m| m.sink),
            task: mean(|m| m.task),
            template: mean(|m| m.template),
            input: mean(|m| m.input),
            tail: mean(|m| m.tail),
            entropy_bits: mean(|m| m.entropy_bits),
        }
    }
}

impl Cut {
    pub(super) fn of(gathered: &[f64]) -> Self {
        let parts = [&gathered[SINK..], &gathered[SINK + 1..], &gathered[INPUT..]];
        Self { parts: parts.map(|part| (part.iter().sum(), Distribution::from_masses(part))) }
    }

    /// Every one of [`MEASURES`], for two heads whose prompts have the same support.
    pub(super) fn compare(&self, other: &Self) -> [Found; MEASURES.len()] {
        let with = |part: usize, measure: fn(&Distribution, &Distribution) -> f64| {
            let ((mass_a, a), (mass_b, b)) = (&self.parts[part], &other.parts[part]);
            let value = match (a, b) {
                (Ok(a), Ok(b)) => Some(measure(a, b)),
                _ => None,
            };
            Found {
                value,
                masses: Some((*mass_a, *mass_b)),
                n_heads: i16::from(value.is_some()),
                status: if value.is_some() { status::OK } else { status::LOW_MASS },
            }
        };
        let overlap = |a: &Distribution, b: &Distribution| 1.0 - total_variation(a, b);
        [with(0, jsd_bits), with(1, jsd_bits), with(2, jsd_bits), with(0, overlap)]
    }
}

impl Found {
    /// Nothing, and why.
    pub(super) fn nothing(status: &'static str) -> Self {
        Self { value: None, masses: None, n_heads: 0, status }
    }

    /// Mean of the values that are there, and of all masses, over the heads in their order; without
    /// values, why the first head has none.
    pub(super) fn mean(heads: &[Self]) -> Self {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let values: Vec<f64> = heads.iter().filter_map(|found| found.value).collect();
        let masses: Vec<(f64, f64)> = heads.iter().filter_map(|found| found.masses).collect();
        let (a, b): (Vec<f64>, Vec<f64>) = masses.into_iter().unzip();
        Self {
            value: (!values.is_empty()).then(|| mean(&values)),
            masses: (!a.is_empty()).then(|| (mean(&a), mean(&b))),
            n_heads: values.len() as i16,
            status: match heads.first() {
                Some(first) if values.is_empty() => first.status,
                _ => status::OK,
            },
        }
    }
}

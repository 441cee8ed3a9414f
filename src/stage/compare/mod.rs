//! Compares prompts of one input on one layer, pair by pair, by any of the [vector
//! measures](self::vector_measure), in float64 from the stored float32.
//!
//! Vectors of the input's span leave position 0 out: in many models it is an attention sink, whose long
//! vector says nothing about the input (stage `sinks` finds whether it is).

pub(crate) mod pairs;
pub(crate) mod spans;
pub mod vector_measure;

use self::spans::Spans;
use self::vector_measure::{Form, How, Measure, Site};
use super::StageError;
use super::read::hidden::Layer;
use super::read::prompts::PromptRow;
use super::read::spaces::{LayerReference, Space};
use crate::math;
use crate::table::status;

/// How many dimensions count as the largest of a cosine.
const ROGUES: usize = 3;

/// The result of comparing two prompts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    pub(crate) value: Option<f64>,
    /// How many pairs of numbers were compared.
    pub(crate) n: usize,
    /// Of the flattened activations with a value: how much of their squared norm position 0 has, 0..1.
    pub(crate) position_0_share: Option<f64>,
    pub(crate) status: &'static str,
}

impl Cell {
    fn without(status: &'static str) -> Self {
        Self { value: None, n: 0, position_0_share: None, status }
    }

    fn of(value: Option<f64>, n: usize) -> Self {
        let status = if value.is_some() { status::OK } else { status::ZERO_NORM };
        Self { value, n, position_0_share: None, status }
    }
}

/// Some prompts of one input, on one layer.
#[derive(Debug)]
pub(crate) struct Compared<'a> {
    prompts: &'a [&'a PromptRow],
    spans: &'a Spans<'a>,
    reference: Option<&'a LayerReference>,
    /// Of each prompt that ran: its tokens' numbers.
    vectors: Vec<Option<&'a [f32]>>,
    width: usize,
}

/// The vectors of one prompt at a site, one after the other, in some space.
struct Rows {
    values: Vec<f64>,
    lengths: Vec<Length>,
    /// Whether the first row is the prompt's position 0.
    from_start: bool,
}

/// How long a vector is.
#[derive(Debug, Clone, Copy)]
struct Length {
    squared: f64,
    norm: f64,
    /// The natural logarithm of the norm.
    log: f64,
}

impl Length {
    fn of(vector: &[f64]) -> Self {
        let squared = math::dot_wide(vector, vector);
        let norm = squared.sqrt();
        Self { squared, norm, log: norm.ln() }
    }
}

impl<'a> Compared<'a> {
    pub(crate) fn new(
        prompts: &'a [&'a PromptRow],
        layer: &'a Layer,
        spans: &'a Spans<'a>,
        reference: Option<&'a LayerReference>,
    ) -> Result<Self, StageError> {
        let vectors = layer.of(prompts)?;
        Ok(Self { prompts, spans, reference, vectors, width: layer.width })
    }

    /// For each measure, its cell for each of the `pairs` of prompts.
    pub(crate) fn measure(&self, measures: &[Measure], pairs: &[(usize, usize)]) -> Vec<Vec<Cell>> {
        // The tables' order separates measures that need the same vectors; so vectors are made by
        // site and space, and all measures of them are computed together.
        let mut cells = vec![Vec::new(); measures.len()];
        // Whether each pair can be compared on the input's tokens: as a whole, one by one.
        let comparable = pairs.iter().map(|&(a, b)| {
            let (a, b) = (self.prompts[a], self.prompts[b]);
            [false, true].map(|aligned| self.spans.comparable(a, b, aligned))
        });
        let comparable: Vec<[bool; 2]> = comparable.collect();
        if let Some(flat) = measures.iter().position(|measure| measure.how == How::Flat) {
            cells[flat] = self.flat(pairs);
        }
        for site in [Site::Token, Site::Last, Site::Span] {
            for space in [Space::Raw, Space::Centred, Space::Standardised] {
                let here = |measure: &Measure| match measure.how {
                    How::At(own, Form::Cosine(in_space)) => own == site && in_space == space,
                    How::At(own, _) => own == site && space == Space::Raw,
                    How::Flat => false,
                };
                let wanted: Vec<usize> =
                    (0..measures.len()).filter(|m| here(&measures[*m])).collect();
                if wanted.is_empty() {
                    continue;
                }
                let rows = self.rows(site, space);
                for m in wanted {
                    let How::At(_, form) = measures[m].how else { continue };
                    let cell = |(&pair, [whole, aligned]): (&(usize, usize), &[bool; 2])| {
                        let is_comparable = match site {
                            Site::Last => true,
                            Site::Span => *whole,
                            Site::Token => *aligned,
                        };
                        self.cell(form, rows.as_deref(), pair, is_comparable)
                    };
                    cells[m] = pairs.iter().zip(&comparable).map(cell).collect();
                }
            }
        }
        cells
    }

    /// One vector for each prompt: its last token's, or the mean over the input's tokens; `None`
    /// where it did not run or has no such tokens.
    pub(crate) fn vector(&self, site: Site, prompt: usize) -> Option<Vec<f64>> {
        let values = self.vectors[prompt]?;
        let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<f64>>();
        if site == Site::Last {
            return Some(wide(&values[values.len().checked_sub(self.width)?..]));
        }
        let span = self.prompts[prompt].input.clone()?;
        if site == Site::Token {
            return Some(wide(&values[span.start * self.width..span.end * self.width]));
        }
        let span = span.start.max(1)..span.end;
        let n = span.len() as f64;
        let mut sums = vec![0.0; self.width];
        for token in values[span.start * self.width..span.end * self.width].chunks(self.width) {
            for (sum, value) in sums.iter_mut().zip(token) {
                *sum += f64::from(*value);
            }
        }
        (!span.is_empty()).then(|| sums.into_iter().map(|sum| sum / n).collect())
    }

    /// The vectors of every prompt at a site, in a space; `None` in a space without reference.
    fn rows(&self, site: Site, space: Space) -> Option<Vec<Option<Rows>>> {
        if space != Space::Raw && self.reference.is_none() {
            return None;
        }
        let of_prompt = |prompt: usize| {
            let mut values = self.vector(site, prompt)?;
            if let Some(reference) = self.reference {
                reference.apply(space, &mut values);
            }
            let lengths = values.chunks_exact(self.width).map(Length::of).collect();
            let starts_at_0 =
                self.prompts[prompt].input.as_ref().is_some_and(|span| span.start == 0);
            Some(Rows { values, lengths, from_start: site == Site::Token && starts_at_0 })
        };
        Some((0..self.prompts.len()).map(of_prompt).collect())
    }

    fn cell(
        &self,
        form: Form,
        rows: Option<&[Option<Rows>]>,
        (a, b): (usize, usize),
        is_comparable: bool,
    ) -> Cell {
        if self.vectors[a].is_none() || self.vectors[b].is_none() {
            return Cell::without(status::SKIPPED);
        }
        if !is_comparable {
            return Cell::without(status::NO_ALIGNMENT);
        }
        let Some(rows) = rows else { return Cell::without(status::NO_REFERENCE) };
        let (Some(a), Some(b)) = (&rows[a], &rows[b]) else {
            return Cell::without(status::NO_ALIGNMENT);
        };
        let first = usize::from(a.from_start || b.from_start);
        let n = a.lengths.len();
        if first >= n {
            return Cell::without(status::NO_ALIGNMENT);
        }
        let one = |row: usize| -> Option<f64> {
            let place = row * self.width..(row + 1) * self.width;
            let (u, v) = (&a.values[place.clone()], &b.values[place]);
            compare(form, u, v, [a.lengths[row], b.lengths[row]])
        };
        let sum: Option<f64> = (first..n).map(one).sum();
        let dimensions = match (form, self.reference) {
            (Form::Cosine(space), Some(reference)) => reference.dimensions(space),
            _ => self.width,
        };
        Cell::of(sum.map(|sum| sum / (n - first) as f64), (n - first) * dimensions)
    }

    /// The cosines of the flattened activations, each pair cut to its shorter prompt. Works token by
    /// token over all pairs, so that a token's numbers are widened once and still in the cache when
    /// its next pair needs them.
    fn flat(&self, pairs: &[(usize, usize)]) -> Vec<Cell> {
        let (vectors, width) = (&self.vectors, self.width);
        let tokens = |i: usize| vectors[i].map_or(0, |vector| vector.len() / width);
        // Squared norms of the first 0, 1, 2, ... tokens.
        let mut norms = vec![vec![0.0]; vectors.len()];
        let mut wide = vec![vec![0.0; width]; vectors.len()];
        let mut dots = vec![0.0; pairs.len()];
        for token in 0..(0..vectors.len()).map(tokens).max().unwrap_or(0) {
            let span = token * width..(token + 1) * width;
            for (i, wide) in wide.iter_mut().enumerate() {
                let Some(row) = vectors[i].and_then(|vector| vector.get(span.clone())) else {
                    continue;
                };
                for (wide, value) in wide.iter_mut().zip(row) {
                    *wide = f64::from(*value);
                }
                let norm = norms[i][token] + math::dot_wide(wide, wide);
                norms[i].push(norm);
            }
            for (&(a, b), dot) in pairs.iter().zip(&mut dots) {
                if token < tokens(a).min(tokens(b)) {
                    *dot += math::dot_wide(&wide[a], &wide[b]);
                }
            }
        }
        let finish = |(&(a, b), dot): (&(usize, usize), f64)| {
            if vectors[a].is_none() || vectors[b].is_none() {
                return Cell::without(status::SKIPPED);
            }
            let shorter = tokens(a).min(tokens(b));
            let [of_a, of_b] = [a, b].map(|i| norms[i][shorter]);
            let cell = Cell::of(math::cosine(dot, of_a, of_b), shorter * width);
            let [share_a, share_b] = [a, b].map(|i| norms[i][1] / norms[i][shorter]);
            let position_0_share = cell.value.map(|_| f64::midpoint(share_a, share_b));
            Cell { position_0_share, ..cell }
        };
        pairs.iter().zip(dots).map(finish).collect()
    }
}

/// One number for two vectors; `None` where a vector has no direction, or no length to compare.
fn compare(form: Form, u: &[f64], v: &[f64], [of_u, of_v]: [Length; 2]) -> Option<f64> {
    let have_direction = of_u.norm > 0.0 && of_v.norm > 0.0;
    match form {
        // Without the notebook's floor under norms: what is centred may be arbitrarily short.
        Form::Cosine(_) => have_direction.then(|| {
            (math::dot_wide(u, v) / (of_u.squared * of_v.squared).sqrt()).clamp(-1.0, 1.0)
        }),
        Form::RelL2 => {
            let norms = of_u.norm + of_v.norm;
            (norms > 0.0).then(|| 2.0 * math::squared_distance(u, v).sqrt() / norms)
        }
        Form::LogNormRatio => have_direction.then(|| (of_u.log - of_v.log).abs()),
        Form::RogueShare => {
            let (largest, whole) = math::largest_products::<ROGUES>(u, v);
            (whole > 0.0).then(|| largest.iter().sum::<f64>() / whole)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(form: Form, u: &[f64], v: &[f64]) -> Option<f64> {
        compare(form, u, v, [Length::of(u), Length::of(v)])
    }

    #[test]
    fn forms_give_what_a_calculator_gives() {
        let (u, v) = ([3.0, 0.0, 4.0, 0.0], [3.0, 4.0, 0.0, 0.0]);
        let half = [0.0, 0.0, 2.5, 0.0];
        let (wild, mild) = ([1.0, -5.0, 2.0, 3.0, 1.0], [1.0, 1.0, -1.0, 2.0, 1.0]);
        let cases = [
            (value(Form::Cosine(Space::Raw), &u, &v), 9.0 / 25.0),
            (value(Form::RelL2, &u, &v), 32.0_f64.sqrt() / 5.0),
            (value(Form::LogNormRatio, &u, &half), 2.0_f64.ln()),
            (value(Form::RogueShare, &wild, &mild), 13.0 / 15.0),
        ];
        for (value, expected) in cases {
            assert!((value.unwrap() - expected).abs() < 1e-15, "{value:?} {expected}");
        }
    }

    #[test]
    fn a_vector_without_length_has_no_value() {
        let (zero, v) = ([0.0; 3], [1.0, 2.0, 3.0]);
        for form in [Form::Cosine(Space::Raw), Form::LogNormRatio, Form::RogueShare] {
            assert_eq!(value(form, &zero, &v), None, "{form:?}");
        }
        assert_eq!(value(Form::RelL2, &zero, &v), Some(2.0));
        assert_eq!(value(Form::RelL2, &zero, &zero), None);
    }
}

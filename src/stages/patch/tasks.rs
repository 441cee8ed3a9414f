//! The first wordings of an input's tasks, and which of their streams are mixed.

use std::ops::Range;

use super::Patch;
use super::rows::{Found, Names, OfDose, OfSegment, OfToken, SEGMENTS, SETS, Values, shapley};
use super::streams::{self, Mixed, Piece, Prompt};
use crate::math::{Distribution, jsd_bits};
use crate::stage::compare::spans::Spans;
use crate::stage::read::prompts::{InputGroup, PromptRow};
use crate::stage::{Context, StageError};
use crate::table::status;

/// The first wordings of an input's tasks, those that can be patched with their streams.
struct Tasks<'p> {
    rows: Vec<&'p PromptRow>,
    /// For each its place among `prompts`; the word for why it has none.
    places: Vec<Result<usize, &'static str>>,
    prompts: Vec<Prompt>,
    /// How far what the model says after one prompt is from what it says after another, nats: row by row;
    /// NaN where either is not finite.
    totals: Vec<f64>,
}

/// An ordered pair, by places among the rows and among the prompts.
#[derive(Debug, Clone, Copy)]
struct Ordered {
    donor: usize,
    receiver: usize,
}

impl Patch {
    pub(super) fn of_input<'p>(
        &self,
        context: &Context<'_>,
        input: InputGroup<'p>,
        found: &mut Found<'p>,
    ) -> Result<(), StageError> {
        let tasks = Tasks::read(context, input)?;
        let measured = segments(context, &tasks)?;
        found.segments.extend(tasks.segment_rows(context, &measured));
        let distance = |place: &usize| (context.layers[*place] - self.dose_layer).abs();
        let dose_layer = (0..context.layers.len()).min_by_key(distance);
        if let Some(layer) = dose_layer {
            self.doses(context, &tasks, layer, found)?;
        }
        let share = self.token_inputs as f64 / self.max_inputs as f64;
        if context.draws("tokens", share, input.scenario(), input.input()) {
            tokens(context, &tasks, found)?;
        }
        Ok(())
    }

    fn doses<'p>(
        &self,
        context: &Context<'_>,
        tasks: &Tasks<'p>,
        layer: usize,
        found: &mut Found<'p>,
    ) -> Result<(), StageError> {
        let about: Vec<(Ordered, f64)> = tasks
            .ordered()
            .into_iter()
            .flat_map(|pair| self.doses.iter().map(move |dose| (pair, *dose)))
            .collect();
        let mixed: Vec<Mixed> =
            about.iter().map(|(pair, dose)| tasks.dosed(*pair, layer, *dose)).collect();
        let values = streams::go_on(context, &tasks.prompts, &mixed, |i, says| {
            tasks.values(about[i].0, says)
        })?;
        found.doses.extend(about.into_iter().zip(values).map(|((pair, dose), values)| OfDose {
            names: tasks.names(pair),
            layer: context.layers[layer],
            dose,
            values,
        }));
        Ok(())
    }
}

/// The values of a mixture of two prompts: with the earlier one as the donor, and with the later one.
type BothWays = [Result<Values, &'static str>; 2];

/// For every pair of prompts and captured layer: six mixtures of segments by their bits (from the second),
/// the second's last token in the first, and the first's in the second.
fn segments(context: &Context<'_>, tasks: &Tasks<'_>) -> Result<Vec<BothWays>, StageError> {
    let n = tasks.prompts.len();
    let (mut mixed, mut pairs) = (Vec::new(), Vec::new());
    for a in 0..n {
        for b in a + 1..n {
            let ways = [(a, b), (b, a)].map(|(donor, receiver)| Ordered { donor, receiver });
            for layer in 0..context.layers.len() {
                pairs.extend([ways; SETS]);
                let set = |bits: usize| {
                    let side = |segment: usize| if bits >> segment & 1 == 1 { b } else { a };
                    let pieces = (0..3).map(|segment| {
                        let prompt = side(segment);
                        Piece::of(prompt, tasks.prompts[prompt].segments()[segment].clone())
                    });
                    Mixed { layer, pieces: pieces.collect() }
                };
                mixed.extend((1..SETS - 1).map(set));
                mixed.extend([(a, b), (b, a)].map(|(own, other)| {
                    let (own_end, other_end) =
                        (tasks.prompts[own].tokens, tasks.prompts[other].tokens);
                    let pieces = vec![
                        Piece::of(own, 0..own_end - 1),
                        Piece::of(other, other_end - 1..other_end),
                    ];
                    Mixed { layer, pieces }
                }));
            }
        }
    }
    streams::go_on(context, &tasks.prompts, &mixed, |i, says| {
        pairs[i].map(|pair| tasks.values(pair, says))
    })
}

/// The input's tokens one by one, on every captured layer.
fn tokens<'p>(
    context: &Context<'_>,
    tasks: &Tasks<'p>,
    found: &mut Found<'p>,
) -> Result<(), StageError> {
    let layers = 0..context.layers.len();
    let mut about = Vec::new();
    for pair in tasks.ordered() {
        let n = tasks.prompts[pair.receiver].input.len();
        about
            .extend(layers.clone().flat_map(|layer| (0..n).map(move |token| (pair, layer, token))));
    }
    let mixed: Vec<Mixed> =
        about.iter().map(|&(pair, layer, token)| tasks.token(pair, layer, token)).collect();
    let values =
        streams::go_on(context, &tasks.prompts, &mixed, |i, says| tasks.values(about[i].0, says))?;
    found.tokens.extend(about.into_iter().zip(values).map(|((pair, layer, token), values)| {
        let receiver = tasks.row(pair.receiver);
        let place = tasks.prompts[pair.receiver].input.start + token;
        OfToken {
            names: tasks.names(pair),
            layer: context.layers[layer],
            place: token as i32,
            token_id: receiver.token_ids[place],
            token: context.tokenizer.decode_token(receiver.token_ids[place]),
            values,
        }
    }));
    Ok(())
}

impl<'p> Tasks<'p> {
    fn read(context: &Context<'_>, input: InputGroup<'p>) -> Result<Self, StageError> {
        let spans = Spans::of(input);
        let rows = input.first_wordings();
        let mut with: Vec<(&[i32], Range<usize>)> = Vec::new();
        let mut places = Vec::new();
        // Of the prompts that take part, the longest segments put together.
        let longest = |with: &[(&[i32], Range<usize>)]| {
            let most =
                |of: fn(&(&[i32], Range<usize>)) -> usize| with.iter().map(of).max().unwrap_or(0);
            most(|(_, span)| span.start)
                + most(|(_, span)| span.len())
                + most(|(ids, span)| ids.len() - span.end)
        };
        for row in &rows {
            places.push(spans.read_by_rest(row).map(|span| {
                with.push((&row.token_ids, span));
                with.len() - 1
            }));
        }
        if longest(&with) > context.card.n_positions {
            for place in &mut places {
                *place = place.and(Err(status::TOO_LONG));
            }
            with.clear();
        }
        let prompts = streams::read(context, &with)?;
        let between = |(one, other): (&Prompt, &Prompt)| {
            one.says
                .as_ref()
                .zip(other.says.as_ref())
                .map_or(f64::NAN, |(one, other)| one.kl(other))
        };
        let pairs = prompts.iter().flat_map(|one| prompts.iter().map(move |other| (one, other)));
        let totals = pairs.map(between).collect();
        Ok(Self { rows, places, prompts, totals })
    }

    /// The row of a prompt.
    fn row(&self, prompt: usize) -> &'p PromptRow {
        let place = self.places.iter().position(|place| *place == Ok(prompt));
        self.rows[place.expect("every prompt is one of the rows'")]
    }

    /// Ordered pairs of prompts: donors, then receivers, in the order of the plan.
    fn ordered(&self) -> Vec<Ordered> {
        let n = self.prompts.len();
        let all = (0..n).flat_map(|donor| (0..n).map(move |receiver| Ordered { donor, receiver }));
        all.filter(|pair| pair.donor != pair.receiver).collect()
    }

    fn names(&self, pair: Ordered) -> Names<'p> {
        let [donor, receiver] = [pair.donor, pair.receiver].map(|prompt| &self.row(prompt).key);
        Names {
            scenario: &donor.scenario,
            input: &donor.input,
            donor: &donor.task,
            receiver: &receiver.task,
        }
    }

    /// The receiver's prompt whose input goes that share of the way to the donor's.
    fn dosed(&self, pair: Ordered, layer: usize, dose: f64) -> Mixed {
        let [prefix, input, rest] = self.prompts[pair.receiver].segments();
        let towards = Some((pair.donor, self.prompts[pair.donor].input.start, dose));
        let mixed = Piece { prompt: pair.receiver, tokens: input, towards };
        let own = |tokens| Piece::of(pair.receiver, tokens);
        Mixed { layer, pieces: vec![own(prefix), mixed, own(rest)] }
    }

    /// The receiver's prompt with one of the input's tokens from the donor's.
    fn token(&self, pair: Ordered, layer: usize, token: usize) -> Mixed {
        let (own, other) = (&self.prompts[pair.receiver], &self.prompts[pair.donor]);
        let (here, there) = (own.input.start + token, other.input.start + token);
        let pieces = vec![
            Piece::of(pair.receiver, 0..here),
            Piece::of(pair.donor, there..there + 1),
            Piece::of(pair.receiver, here + 1..own.tokens),
        ];
        Mixed { layer, pieces }
    }

    fn values(&self, pair: Ordered, says: Option<&Distribution>) -> Result<Values, &'static str> {
        let Ordered { donor, receiver } = pair;
        let [a, b] = [donor, receiver].map(|prompt| self.prompts[prompt].says.as_ref());
        let (Some(a), Some(b), Some(h)) = (a, b, says) else { return Err(status::NOT_FINITE) };
        let [gain_total, loss_total] = [(donor, receiver), (receiver, donor)]
            .map(|(one, other)| self.totals[one * self.prompts.len() + other]);
        Ok(Values {
            gain: gain_total - a.kl(h),
            gain_total,
            loss: b.kl(h),
            loss_total,
            jsd: jsd_bits(b, h),
        })
    }

    /// Ordered pairs of rows in the order of the plan, each with its layers and segments.
    fn segment_rows(&self, context: &Context<'_>, measured: &[BothWays]) -> Vec<OfSegment<'p>> {
        let mut rows = Vec::new();
        for (donor, of_donor) in self.rows.iter().zip(&self.places) {
            for (receiver, of_receiver) in self.rows.iter().zip(&self.places) {
                if donor.key.task == receiver.key.task {
                    continue;
                }
                let names = Names {
                    scenario: &donor.key.scenario,
                    input: &donor.key.input,
                    donor: &donor.key.task,
                    receiver: &receiver.key.task,
                };
                for (layer, &number) in context.layers.iter().enumerate() {
                    let found = match (of_donor, of_receiver) {
                        (Ok(donor), Ok(receiver)) => {
                            let pair = Ordered { donor: *donor, receiver: *receiver };
                            self.of_layer(pair, layer, context.layers.len(), measured)
                        }
                        (Err(word), _) | (_, Err(word)) => [(Err(*word), None); 4],
                    };
                    rows.extend(SEGMENTS.into_iter().zip(found).map(
                        |(segment, (values, shapley))| OfSegment {
                            names,
                            layer: number,
                            segment,
                            values,
                            shapley,
                        },
                    ));
                }
            }
        }
        rows
    }

    /// The four segments of an ordered pair on one layer, each with its Shapley share.
    fn of_layer(
        &self,
        pair: Ordered,
        layer: usize,
        layers: usize,
        measured: &[BothWays],
    ) -> [(Result<Values, &'static str>, Option<f64>); 4] {
        let (a, b) = (pair.donor.min(pair.receiver), pair.donor.max(pair.receiver));
        let n = self.prompts.len();
        let place = (0..a).map(|first| n - 1 - first).sum::<usize>() + b - a - 1;
        let own = &measured[(place * layers + layer) * SETS..][..SETS];
        // Bits count segments from the later prompt: the donor's, or all but those.
        let is_later = pair.donor == b;
        let bits = |set: usize| if is_later { set } else { SETS - 1 - set };
        // By the donor's segments; the empty set and the whole one are the prompts themselves.
        let way = usize::from(is_later);
        let sets: Vec<Result<Values, &'static str>> =
            (1..SETS - 1).map(|set| own[bits(set) - 1][way]).collect();
        let of_set = |set: usize| sets[set - 1];
        let worth = |set: usize| match set {
            0 => Ok(0.0),
            7 => of_set(1).map(|values| values.gain_total),
            set => of_set(set).map(|values| values.gain),
        };
        let last = own[if is_later { 6 } else { 7 }][way];
        let segment = |i: usize| (of_set(1 << i), shapley(&worth, i).ok().flatten());
        [segment(0), segment(1), segment(2), (last, None)]
    }
}

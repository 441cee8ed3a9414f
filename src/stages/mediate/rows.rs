//! From an input's prompts to its rows: which exchanges there are, and what each row is a mean over.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::cast::{Cast, TaskCast};
use super::exchange::{self, Exchange, Exchanges};
use super::values::{Measures, Pair, Values};
use crate::stage::names::{NEUTRAL, PARAPHRASE, SAME_RUN, TASK, THIRD};
use crate::stage::{Context, StageError};
use crate::table::schema::MediationRow;
use crate::table::status;

/// Most other wordings whose readings are put into a wording's prompt.
const MOST_PARAPHRASES: usize = 3;

/// A row to be written.
#[derive(Debug)]
pub(super) struct Row<'p> {
    names: (&'p Arc<str>, &'p Arc<str>),
    about: About<'p>,
    shift: Option<i32>,
    n_tokens: i32,
    n_sources: usize,
    values: Result<Values, &'static str>,
}

/// What a row is about.
#[derive(Debug, Clone)]
struct About<'p> {
    donor: &'p str,
    receiver: &'p str,
    wording: i16,
    source: &'static str,
    layer: i16,
    /// The member whose prompt is run.
    of: usize,
    /// The members towards which change is measured.
    axes: Vec<usize>,
    /// Whose readings are put in.
    sources: Vec<usize>,
}

/// Which of an input's exchanges are made.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// The last block from which on exchanges are made too, of the first wording that is taken.
    later: i16,
    /// Which wording of each task is taken, modulo their number; all without it.
    turn: Option<u64>,
}

/// The rows of an input, with those of exchanges from each block up to `later` on; of all wordings, or of the one
/// whose `turn` it is.
pub(super) fn of<'p>(
    context: &Context<'_>,
    cast: &Cast<'p>,
    later: i16,
    turn: Option<u64>,
) -> Result<Vec<Row<'p>>, StageError> {
    let abouts = abouts(cast, Plan { later, turn });
    let (mut part, mut exchanges) = (BTreeSet::new(), Exchanges::new());
    for about in abouts.iter().filter(|about| about.obstacle(cast).is_none()) {
        part.insert(about.of);
        part.extend(about.axes.iter().chain(&about.sources));
        for (axis, donor) in about.measured() {
            exchanges.entry(about.exchange(donor)).or_default().insert(axis);
        }
    }
    let said = exchange::run(context, cast, &part, &exchanges)?;
    let mut measures = Measures::of(&said);
    let row = |about| Row::new(cast, &exchanges, &mut measures, about);
    Ok(abouts.into_iter().map(row).collect())
}

/// Makes what a row is about, of a source, the axes and whose readings are put in.
type Rowed<'f, 'p> = dyn Fn(&'static str, &[usize], Vec<usize>) -> About<'p> + 'f;

/// What all rows are about: receivers and donors in the order of the plan.
fn abouts<'p>(cast: &Cast<'p>, plan: Plan) -> Vec<About<'p>> {
    let mut abouts = Vec::new();
    for donor in &cast.tasks {
        for receiver in &cast.tasks {
            let taken = plan.taken(receiver);
            for w in taken.clone() {
                let (of, is_first) = (receiver.wordings[w], w == taken.start);
                let last = if is_first { plan.later } else { 0 };
                for layer in 0..=last {
                    let wording = cast.members[of].prompt.key.wording;
                    let about = |source, axes: &[usize], sources: Vec<usize>| About {
                        donor: donor.task,
                        receiver: receiver.task,
                        wording,
                        source,
                        layer,
                        of,
                        axes: axes.to_vec(),
                        sources,
                    };
                    let others = usable(cast, plan.paraphrases(receiver, w));
                    if donor.task == receiver.task {
                        let own = (is_first && layer == 0).then_some(of);
                        abouts.extend(to_neutral(cast, receiver, others, own, &about));
                    } else {
                        abouts.extend(to_task(cast, [donor, receiver], (w, layer), others, &about));
                    }
                }
            }
        }
    }
    abouts
}

/// Towards another task.
fn to_task<'p>(
    cast: &Cast<'p>,
    [donor, receiver]: [&TaskCast<'p>; 2],
    (w, layer): (usize, i16),
    paraphrases: Vec<usize>,
    about: &Rowed<'_, 'p>,
) -> Vec<About<'p>> {
    let Some(axis) = at(&donor.wordings, w) else { return Vec::new() };
    let usable = |places: Vec<usize>| usable(cast, places);
    let others = cast.tasks.iter().filter(|task| ![donor.task, receiver.task].contains(&task.task));
    let third: Vec<usize> = others.filter_map(|task| at(&task.wordings, w)).collect();
    let mut all = vec![
        about(TASK, &[axis], vec![axis]),
        about(PARAPHRASE, &[axis], paraphrases),
        about(NEUTRAL, &[axis], usable(receiver.neutral.clone())),
    ];
    if cast.tasks.len() > 2 && layer == 0 {
        all.push(about(THIRD, &[axis], usable(third)));
    }
    all
}

/// Towards what the model says after the task's neutral prefixes; with the prompt `own` put back into itself.
fn to_neutral<'p>(
    cast: &Cast<'p>,
    receiver: &TaskCast<'p>,
    paraphrases: Vec<usize>,
    own: Option<usize>,
    about: &Rowed<'_, 'p>,
) -> Vec<About<'p>> {
    let neutral = usable(cast, receiver.neutral.clone());
    let mut all =
        vec![about(NEUTRAL, &neutral, neutral.clone()), about(PARAPHRASE, &neutral, paraphrases)];
    if let Some(own) = own {
        let itself = [own];
        let axes = if neutral.is_empty() { &itself[..] } else { &neutral };
        all.push(about(SAME_RUN, axes, vec![own]));
    }
    all
}

/// Wording w of a task, modulo how many there are.
fn at(wordings: &[usize], w: usize) -> Option<usize> {
    (!wordings.is_empty()).then(|| wordings[w % wordings.len()])
}

/// Those that have a part; all of them where none has, so that the row says why.
fn usable(cast: &Cast<'_>, places: Vec<usize>) -> Vec<usize> {
    let with: Vec<usize> =
        places.iter().filter(|place| cast.members[**place].span.is_ok()).copied().collect();
    if with.is_empty() { places } else { with }
}

impl Plan {
    /// Places of a task's wordings that are run.
    fn taken(self, task: &TaskCast<'_>) -> Range<usize> {
        let n = task.wordings.len();
        match self.turn {
            Some(turn) if n > 0 => {
                let w = (turn % n as u64) as usize;
                w..w + 1
            }
            _ => 0..n,
        }
    }

    /// The wordings that follow wording w, cyclically.
    fn paraphrases(self, task: &TaskCast<'_>, w: usize) -> Vec<usize> {
        let n = task.wordings.len();
        let most = if self.turn.is_some() { 1 } else { MOST_PARAPHRASES };
        (1..n).take(most).map(|i| task.wordings[(w + i) % n]).collect()
    }
}

impl About<'_> {
    /// The word for why the row has no values; `None` when it has.
    fn obstacle(&self, cast: &Cast<'_>) -> Option<&'static str> {
        let of = |place: &usize| cast.members[*place].span.as_ref().err().copied();
        if self.sources.is_empty() || self.axes.is_empty() {
            return Some(status::NO_PAIRS);
        }
        of(&self.of)
            .or_else(|| self.axes.iter().find_map(of))
            .or_else(|| self.sources.iter().find_map(of))
    }

    fn exchange(&self, donor: usize) -> Exchange {
        Exchange { receiver: self.of, donor, from: self.layer as usize }
    }

    /// Each source behind the axis that it is, or behind all.
    fn measured(&self) -> impl Iterator<Item = (usize, usize)> {
        let own = self.axes.contains(&self.sources[0]);
        self.axes.iter().flat_map(move |&axis| {
            let sources = self.sources.iter().filter(move |source| !own || **source == axis);
            sources.map(move |source| (axis, *source))
        })
    }

    /// The same, each source as the place of its exchange.
    fn pairs(&self, exchanges: &Exchanges) -> Vec<Pair> {
        let place = |donor: usize| exchanges.get_index_of(&self.exchange(donor));
        self.measured().filter_map(|(axis, donor)| Some((axis, place(donor)?))).collect()
    }
}

impl<'p> Row<'p> {
    fn new(
        cast: &Cast<'p>,
        exchanges: &Exchanges,
        measures: &mut Measures<'_>,
        about: About<'p>,
    ) -> Self {
        let values = match about.obstacle(cast) {
            Some(word) => Err(word),
            None => measures.values(about.of, &about.pairs(exchanges)),
        };
        let start = |place: usize| cast.members[place].start() as i32;
        let of = &cast.members[about.of];
        let shift = about.sources.first().filter(|_| values.is_ok());
        Self {
            names: cast.names(),
            shift: shift.map(|source| start(*source) - start(about.of)),
            n_tokens: of.span.as_ref().map_or(0, ExactSizeIterator::len) as i32,
            n_sources: about.sources.len(),
            values,
            about,
        }
    }

    pub(super) fn row(&self) -> MediationRow<'_> {
        let values = self.values.as_ref().ok();
        let number = |of: fn(&Values) -> f64| values.map(of);
        let difference = |i: usize| values.and_then(|own| own.logit_difference.map(|all| all[i]));
        let share = |i: usize| values.map(|own| own.answers[i]);
        let answer = values.and_then(|own| own.answer);
        MediationRow {
            scenario: self.names.0,
            input: self.names.1,
            task_donor: self.about.donor,
            task_receiver: self.about.receiver,
            wording: self.about.wording,
            source: self.about.source,
            layer: self.about.layer,
            gain_nats: number(|own| own.gain),
            gain_total_nats: number(|own| own.gain_total),
            loss_nats: number(|own| own.loss),
            loss_total_nats: number(|own| own.loss_total),
            jsd_bits: number(|own| own.jsd),
            jsd_total_bits: number(|own| own.jsd_total),
            ld: difference(0),
            ld_donor: difference(1),
            ld_receiver: difference(2),
            donor_share: share(0),
            receiver_share: share(1),
            both_share: share(2),
            other_share: share(3),
            answer_id: answer.map(|id| id as i32),
            shift: self.shift,
            n_tokens: self.n_tokens,
            n_sources: self.n_sources as i32,
            status: self.values.as_ref().err().copied().unwrap_or(status::OK),
        }
    }
}

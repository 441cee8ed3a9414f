//! The numbers under the pictures of the sound measures, as tables.

use super::causes::{CutMean, Uses};
use super::evidence::{
    Effect, Explained, HeadMap, Lens, Mean, OutputMeasure, OutputPair, OutputToken, PARTS,
    Partition, SurprisalMean,
};
use super::names;
use super::page::{Input, Piece};
use super::tables::{Grid, Number, Row};
use super::token::visible;
use super::told::Told;

/// A measure with its digits, and why it is empty.
fn number(value: Option<f64>, decimals: usize, missing: &str) -> Number {
    let mut number = Number::measure(value, decimals);
    missing.clone_into(&mut number.why);
    number
}

fn mean(mean: &Mean, decimals: usize) -> Number {
    number(mean.value, decimals, &mean.missing)
}

fn count(n: impl Into<i128>) -> Number {
    Number::plain(n.into().to_string())
}

/// Every effect, the verdict's measures first.
pub(super) fn effects(effects: &[Effect]) -> Grid {
    let head = [
        "measure",
        "baseline",
        "layer",
        "clusters",
        "between",
        "within",
        "delta",
        "95 % from",
        "to",
        "relative",
        "prevalence",
        "matters from",
        "p",
        "q",
        "p wording",
        "p form",
    ];
    let caption = "Dissimilarity between tasks and within the baseline".to_owned();
    let mut grid = Grid::new(caption, &head, "effect");
    let judged = effects.iter().filter(|effect| effect.is_judged);
    for effect in judged.chain(effects.iter().filter(|effect| !effect.is_judged)) {
        for point in &effect.points {
            let why = &point.missing;
            let measures = [
                point.between,
                point.baseline,
                point.delta,
                point.ci_low,
                point.ci_high,
                point.relative,
                point.prevalence,
                point.smallest,
                point.p,
                point.q,
                point.p_wording,
                point.p_wording_form,
            ];
            let numbers = measures.into_iter().map(|value| number(value, 4, why));
            let Piece { text, code } = names::piece(&effect.measure);
            let layer = Number::plain(names::layer_number(point.layer));
            grid.rows.push(Row {
                words: vec![text, names::baseline(&effect.contrast).to_owned()],
                code,
                numbers: [layer, count(point.n_clusters)].into_iter().chain(numbers).collect(),
            });
        }
    }
    grid.cut()
}

/// How often the task is told on unseen wordings.
pub(super) fn decoding(sites: &[Told]) -> Grid {
    let head = [
        "vector",
        "layer",
        "inputs",
        "clusters",
        "accuracy",
        "from",
        "to",
        "wordings seen",
        "chance",
        "p",
    ];
    let caption = "Accuracy of telling the task".to_owned();
    let mut grid = Grid::new(caption, &head, "decoding");
    for told in sites {
        for point in &told.points {
            let (low, high) = point.interval.unzip();
            let all = [point.accuracy, low, high, point.seen, point.chance, point.p_max_t];
            let numbers = all.into_iter().map(|value| number(value, 4, &point.missing));
            grid.rows.push(Row {
                words: vec![names::site(&told.site).to_owned()],
                numbers: [count(point.layer), count(point.n_inputs), count(point.n_clusters)]
                    .into_iter()
                    .chain(numbers)
                    .collect(),
                ..Row::default()
            });
        }
    }
    grid.cut()
}

/// What interventions brought and lost.
pub(super) fn uses(uses: &Uses) -> Grid {
    let head =
        ["reading", "prompt", "brought", "from", "to", "neutral", "other wordings", "its answer"];
    let caption = "Donors and receivers, shares of the whole difference".to_owned();
    let mut grid = Grid::new(caption, &head, "use_effect");
    for pair in &uses.pairs {
        let (low, high) = pair.value.and_then(|share| share.ends).unzip();
        let [neutral, wordings] = pair.controls;
        let all =
            [pair.value.map(|share| share.value), low, high, neutral, wordings, pair.donor_share];
        grid.rows.push(Row {
            words: [pair.donor, pair.receiver].map(|place| uses.tasks[place].task.clone()).into(),
            numbers: all.into_iter().map(|value| number(value, 4, &pair.missing)).collect(),
            ..Row::default()
        });
    }
    grid.cut()
}

/// What is left when some tokens cannot see others.
pub(super) fn cuts(cuts: &[CutMean]) -> Grid {
    let head = ["task", "cut", "first token", "prompts", "same answer", "lost, nats"];
    let caption = "What is left when some tokens cannot see others".to_owned();
    let mut grid = Grid::new(caption, &head, "knockout");
    for cut in cuts {
        let first = if cut.keeps_first { "visible" } else { "cut too" };
        grid.rows.push(Row {
            words: vec![cut.task.clone(), cut.cut.replace('_', " "), first.to_owned()],
            numbers: vec![
                count(cut.n as i64),
                number(Some(cut.same_top), 4, ""),
                number(Some(cut.loss), 4, ""),
            ],
            ..Row::default()
        });
    }
    grid.cut()
}

/// Shares of variance.
pub(super) fn variance(partitions: &[Partition]) -> Grid {
    let head = [
        "vector",
        "space",
        "layer",
        "inputs",
        "units",
        "input",
        "task",
        "wording",
        "input × task",
        "rest",
        "partial η²",
        "F",
        "p (wordings)",
        "ways",
    ];
    let caption = "Shares of the variance".to_owned();
    let mut grid = Grid::new(caption, &head, "variance_partition");
    for partition in partitions {
        for row in &partition.rows {
            let measures = [
                row.input,
                row.task,
                row.wording,
                row.interaction,
                row.rest,
                row.partial_eta2,
                row.f_task,
                row.p_wording_max_t,
            ];
            let numbers = measures.into_iter().map(|value| number(value, 4, &row.missing));
            grid.rows.push(Row {
                words: vec![names::site(&partition.site).to_owned(), partition.space.clone()],
                numbers: [count(row.layer), count(row.n_inputs), count(row.n_units)]
                    .into_iter()
                    .chain(numbers)
                    .chain([count(row.n_reassignments)])
                    .collect(),
                ..Row::default()
            });
        }
    }
    grid.cut()
}

/// The logit lens, layer by layer.
pub(super) fn lens(lens: &Lens) -> Grid {
    let head = [
        "layer",
        "JSD (bits)",
        "from",
        "to",
        "inputs",
        "all wordings",
        "within a task",
        "inputs",
        "onsets",
        "KL (nats)",
    ];
    let caption = "Tasks' readings and what they lose".to_owned();
    let mut grid = Grid::new(caption, &head, "logit_lens_divergence");
    for at in &lens.layers {
        let jsd = &at.divergence;
        grid.rows.push(Row {
            words: vec![at.layer.to_string()],
            numbers: vec![
                mean(jsd, 4),
                number(jsd.interval.map(|ends| ends.0), 4, ""),
                number(jsd.interval.map(|ends| ends.1), 4, ""),
                count(jsd.n),
                mean(&at.between, 4),
                mean(&at.within, 4),
                count(at.within.n),
                count(at.onsets),
                mean(&at.kl_to_final, 4),
            ],
            ..Row::default()
        });
    }
    grid.cut()
}

/// Means of the outputs' differences, pair by pair.
pub(super) fn outputs(tasks: &[String], pairs: &[OutputPair]) -> Grid {
    let mut grid = Grid::new(String::new(), &["task", "and task"], "output_divergence");
    grid.head.extend(OutputMeasure::ALL.iter().map(|measure| measure.head().to_owned()));
    grid.head.push("inputs".to_owned());
    for pair in pairs {
        let mut numbers: Vec<Number> = pair.means.iter().map(|m| mean(m, 4)).collect();
        if let Some(jsd) = pair.means.first().and_then(|m| m.value) {
            numbers[0].shade = Some(format!("{:.2}", jsd.clamp(0.0, 1.0)));
        }
        numbers.push(count(pair.means.first().map_or(0, |m| m.n)));
        let words = vec![tasks[pair.tasks.0].clone(), tasks[pair.tasks.1].clone()];
        grid.rows.push(Row { words, numbers, ..Row::default() });
    }
    grid.cut()
}

/// The tokens that make the outputs of one input differ.
pub(super) fn output_tokens(tasks: &[String], tokens: &[OutputToken]) -> Grid {
    let head = ["task", "and task", "token", "rank", "probability, first", "second", "adds (bits)"];
    let mut grid = Grid::new(String::new(), &head, "output_divergence_token");
    for row in tokens {
        grid.rows.push(Row {
            words: vec![
                tasks[row.tasks.0].clone(),
                tasks[row.tasks.1].clone(),
                visible(&row.token),
            ],
            numbers: vec![
                count(row.rank),
                number(Some(row.probabilities.0), 4, ""),
                number(Some(row.probabilities.1), 4, ""),
                number(Some(row.bits), 4, ""),
            ],
            ..Row::default()
        });
    }
    grid.cut()
}

/// Mean surprisal of the inputs, task by task.
pub(super) fn surprisal(tasks: &[SurprisalMean]) -> Grid {
    let head = ["task", "bits a token", "against neutral", "from", "to", "inputs"];
    let caption = "Surprisal of the inputs' tokens".to_owned();
    let mut grid = Grid::new(caption, &head, "input_surprisal");
    for task in tasks {
        grid.rows.push(Row {
            words: vec![task.task.clone()],
            numbers: vec![
                mean(&task.bits, 4),
                mean(&task.delta, 4),
                number(task.delta.interval.map(|ends| ends.0), 4, ""),
                number(task.delta.interval.map(|ends| ends.1), 4, ""),
                count(task.bits.n),
            ],
            ..Row::default()
        });
    }
    grid.cut()
}

/// Surprisal of one input's tokens.
pub(super) fn input_surprisal(input: &Input) -> Grid {
    let head = ["task", "token", "index", "bits", "against neutral"];
    let mut grid = Grid::new("Surprisal by token".to_owned(), &head, "input_surprisal");
    for task in &input.surprisal {
        for (index, token) in task.tokens.iter().enumerate() {
            grid.rows.push(Row {
                words: vec![task.task.clone(), visible(&token.text)],
                numbers: vec![
                    count(index as u64),
                    number(token.bits, 4, &token.missing),
                    number(token.delta, 4, &token.missing),
                ],
                ..Row::default()
            });
        }
    }
    grid.cut()
}

/// A map of heads, layers by heads.
pub(super) fn heads(map: &HeadMap, what: &str) -> Grid {
    let mut grid = Grid::new(
        what.to_owned(),
        &["layer"],
        match map.what {
            super::evidence::HeadMeasure::Sink => "attention_mass",
            super::evidence::HeadMeasure::InputDivergence => "attention_divergence",
        },
    );
    grid.head.extend(map.heads.iter().map(|head| names::head(*head)));
    for (layer, cells) in map.layers.iter().zip(map.cells.chunks(map.heads.len().max(1))) {
        let numbers = cells.iter().map(|cell| mean(cell, 4)).collect();
        grid.rows.push(Row { words: vec![layer.to_string()], numbers, ..Row::default() });
    }
    grid.cut()
}

/// What the notebook's number is made of, layer by layer.
pub(super) fn explained(explained: &Explained) -> Grid {
    let mut grid = Grid::new("Added to the flat cosine".to_owned(), &["layer"], "seed_explain");
    grid.head.extend(PARTS.iter().map(|part| (*part).to_owned()));
    grid.head.push("flat cosine".to_owned());
    for layer in &explained.layers {
        let is_there = layer.missing.is_empty();
        let parts = layer
            .parts
            .iter()
            .map(|part| number(is_there.then_some(part.contribution), 4, &layer.missing));
        let total = number(is_there.then(|| layer.total()), 4, &layer.missing);
        grid.rows.push(Row {
            words: vec![layer.layer.to_string()],
            numbers: parts.chain([total]).collect(),
            ..Row::default()
        });
    }
    grid.cut()
}

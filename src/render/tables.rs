//! The numbers under the pictures, as tables.

use serde::Serialize;

use super::page::{Input, Matrix, Overlap, Scenario, pairs};
use super::token::visible;

/// Longest table shown: the rest is in the run's own tables.
pub(super) const MOST_ROWS: usize = 300;
/// Up to this many tasks, an overlap is laid out task by task; above, as a list.
const MOST_SQUARE: usize = 14;
/// Where there is no value.
const NONE: &str = "–";

/// A table of text, ready to be escaped and shown.
#[derive(Debug, Default, Serialize)]
pub(super) struct Grid {
    pub(super) caption: String,
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Row>,
    /// Rows that were left out.
    pub(super) more: usize,
    /// Which table of the run directory has all of them.
    pub(super) source: &'static str,
}

/// One row: its head cells (left, words) and its number cells (right).
#[derive(Debug, Default, Serialize)]
pub(super) struct Row {
    pub(super) words: Vec<String>,
    /// The name of a column, in small type beside the first word; empty for none.
    pub(super) code: String,
    pub(super) numbers: Vec<Number>,
}

/// A number cell.
#[derive(Debug, Default, Serialize)]
pub(super) struct Number {
    pub(super) text: String,
    /// Strength of its ground, 0..1; `None` for none.
    pub(super) shade: Option<String>,
    /// Why it is empty.
    pub(super) why: String,
}

impl Number {
    pub(super) fn plain(text: String) -> Self {
        Self { text, ..Self::default() }
    }

    pub(super) fn measure(value: Option<f64>, decimals: usize) -> Self {
        Self::plain(value.map_or_else(|| NONE.to_owned(), |v| format!("{v:.decimals$}")))
    }
}

impl Grid {
    pub(super) fn new(caption: String, head: &[&str], source: &'static str) -> Self {
        let head = head.iter().map(|h| (*h).to_owned()).collect();
        Self { caption, head, source, ..Self::default() }
    }

    pub(super) fn cut(mut self) -> Self {
        self.more = self.rows.len().saturating_sub(MOST_ROWS);
        self.rows.truncate(MOST_ROWS);
        self
    }
}

/// Similarity of every pair at every layer.
pub(super) fn similarity(scenario: &Scenario) -> Grid {
    let mut grid = Grid::new(
        "Similarity by pair of tasks and layer".to_owned(),
        &["task", "and task"],
        "similarity",
    );
    grid.head.extend(scenario.matrices.iter().map(|m| format!("layer {}", m.layer)));
    for (place, (a, b)) in pairs(scenario.tasks.len()).enumerate() {
        let number = |m: &Matrix| {
            let pair = m.pairs.get(place);
            let mut number = Number::measure(pair.and_then(|p| p.value), 4);
            number.why = pair.map_or_else(String::new, |p| p.missing.clone());
            number
        };
        grid.rows.push(Row {
            words: vec![scenario.tasks[a].clone(), scenario.tasks[b].clone()],
            numbers: scenario.matrices.iter().map(number).collect(),
            ..Row::default()
        });
    }
    grid.cut()
}

/// Mean, spread and range at every layer.
pub(super) fn divergence(scenario: &Scenario) -> Grid {
    let head = [
        "layer",
        "mean",
        "sd",
        "min",
        "max",
        "values",
        "inputs",
        "position 0's share of the squared norm",
    ];
    let mut grid =
        Grid::new("Similarity over all pairs and inputs".to_owned(), &head, "divergence");
    for point in &scenario.curve {
        let measures = [point.mean, point.sd, point.min, point.max];
        let mut numbers: Vec<Number> =
            measures.into_iter().map(|value| Number::measure(value, 4)).collect();
        numbers.push(Number::plain(point.n_pairs.to_string()));
        numbers.push(Number::plain(point.n_inputs.to_string()));
        numbers.push(Number::measure(point.position_0_share, 3));
        grid.rows.push(Row { words: vec![point.layer.to_string()], numbers, ..Row::default() });
    }
    grid.cut()
}

/// Jaccard overlap of focus sets, task by task when there is room.
pub(super) fn overlap(tasks: &[String], overlap: &Overlap) -> Grid {
    let caption = format!(
        "Jaccard overlap of the top-{} positions, layer {}",
        overlap.k, overlap.matrix.layer
    );
    let number = |place: usize| {
        let pair = overlap.matrix.pairs.get(place);
        let value = pair.and_then(|p| p.value);
        let mut number = Number::measure(value, 3);
        number.shade = value.map(|v| format!("{:.2}", v.clamp(0.0, 1.0)));
        number.why = pair.map_or_else(String::new, |p| p.missing.clone());
        number
    };
    let mut grid = Grid::new(caption, &[], "attention_overlap");
    if tasks.len() > MOST_SQUARE {
        grid.head = ["task", "and task", "jaccard"].map(str::to_owned).into();
        for (place, (a, b)) in pairs(tasks.len()).enumerate() {
            let words = vec![tasks[a].clone(), tasks[b].clone()];
            grid.rows.push(Row { words, numbers: vec![number(place)], ..Row::default() });
        }
        return grid.cut();
    }
    grid.head.push(String::new());
    grid.head.extend(tasks.iter().skip(1).cloned());
    let mut place = 0;
    for a in 0..tasks.len().saturating_sub(1) {
        let mut numbers: Vec<Number> = (0..a).map(|_| Number::default()).collect();
        for _ in a + 1..tasks.len() {
            numbers.push(number(place));
            place += 1;
        }
        grid.rows.push(Row { words: vec![tasks[a].clone()], numbers, ..Row::default() });
    }
    grid
}

/// The focus sets of an input's prompts.
pub(super) fn focus(input: &Input) -> Grid {
    let head = ["task", "token", "rank", "position", "weight", "gap to the next rank"];
    let mut grid = Grid::new("Focus sets".to_owned(), &head, "attention_focus");
    for prompt in &input.prompts {
        for row in &prompt.focus {
            grid.rows.push(Row {
                words: vec![prompt.task.clone(), visible(&row.token)],
                numbers: vec![
                    Number::plain(row.rank.to_string()),
                    Number::plain(row.position.to_string()),
                    Number::measure(Some(row.weight), 4),
                    Number::measure(row.gap, 6),
                ],
                ..Row::default()
            });
        }
    }
    grid.cut()
}

/// The most probable next tokens of an input's prompts.
pub(super) fn next_tokens(input: &Input) -> Grid {
    let head = ["task", "token", "rank", "id", "probability", "log probability (nats)"];
    let mut grid = Grid::new("Most probable next tokens".to_owned(), &head, "next_tokens");
    for prompt in &input.prompts {
        for row in &prompt.next {
            grid.rows.push(Row {
                words: vec![prompt.task.clone(), visible(&row.token)],
                numbers: vec![
                    Number::plain(row.rank.to_string()),
                    Number::plain(row.token_id.to_string()),
                    Number::measure(Some(row.probability), 4),
                    Number::measure(Some(row.logprob), 4),
                ],
                ..Row::default()
            });
        }
    }
    grid.cut()
}

//! The scenarios that have no section, a row each.

use super::answer::{VERDICTS, answer};
use super::page::{Page, Scenario};
use super::tables::{Grid, Number, Row};

/// In column `word` where the run gave no verdict.
const NONE: &str = "–";

/// Their table.
pub(super) fn grid(page: &Page) -> Grid {
    let head = ["scenario", "answer", "by evidence", "tasks", "inputs", "notebook's cosine"];
    let source =
        if page.tables.iter().any(|table| table == "verdict") { "verdict" } else { "divergence" };
    let mut grid = Grid::new(String::new(), &head, source);
    grid.rows = page.others.iter().map(row).collect();
    grid.cut()
}

fn row(scenario: &Scenario) -> Row {
    let word = answer(scenario).map_or(NONE, |answer| answer.word);
    let cosine = scenario.verdict.as_ref().and_then(|verdict| verdict.value);
    let counts = [scenario.tasks.len() as u64, scenario.n_inputs];
    let counts = counts.map(|count| Number::plain(count.to_string()));
    Row {
        words: vec![scenario.name.clone(), word.to_owned(), evidence(scenario)],
        numbers: counts.into_iter().chain([Number::measure(cosine, 4)]).collect(),
        ..Row::default()
    }
}

/// `2 supported, 1 undecided`: how many measures say what.
fn evidence(scenario: &Scenario) -> String {
    let count = |verdict: &&str| {
        let n =
            scenario.judgements.iter().filter(|judgement| judgement.verdict == **verdict).count();
        (n > 0).then(|| format!("{n} {}", verdict.replace('_', " ")))
    };
    let counts: Vec<String> = VERDICTS.iter().filter_map(count).collect();
    if counts.is_empty() { NONE.to_owned() } else { counts.join(", ") }
}

//! Small tables by task: how much alike two tasks are, and what each leads to.

use std::io::Write;

use super::tally::{Pair, Scenario, Tally};
use crate::cli::error::CliError;
use crate::cli::grid::{Small, write_sentence};
use crate::table::preview::cell;

/// Pairs that are shown from each end where there is no room for all.
const ENDS: usize = 3;

/// Similarity and overlap of focus of each pair of tasks, means over inputs.
pub(super) fn write_pairs(out: &mut impl Write, tally: &Tally) -> Result<(), CliError> {
    let has = |of: fn(&Scenario) -> bool| tally.scenarios.values().any(of);
    let has_similarity = has(|scenario| !scenario.similarity.pairs.is_empty());
    let has_overlap = has(|scenario| !scenario.overlap.pairs.is_empty());
    let title = match (has_similarity, has_overlap) {
        (true, true) => {
            "Similarity / overlap of attention focus, mean over n inputs (tables similarity, \
             attention_overlap)"
        }
        (true, false) => "Similarity of pairs of tasks, mean over n inputs (table similarity)",
        (false, true) => {
            "Overlap of the attention focus of pairs of tasks, mean over n inputs (table \
             attention_overlap)"
        }
        (false, false) => return Ok(()),
    };
    writeln!(out)?;
    write_sentence(out, 0, title)?;
    let mut single: Option<Small> = None;
    for (name, scenario) in &tally.scenarios {
        if scenario.tasks.len() == 2 {
            single.get_or_insert_default().push(pair(name, scenario));
            continue;
        }
        // Aligned with each other, not with what has other columns.
        single.take().map_or(Ok(()), |table| table.write(out))?;
        if scenario.tasks.len() > 2 {
            let all = matrix(name, scenario);
            if all.fits() { all } else { extremes(name, scenario) }.write(out)?;
        }
    }
    single.map_or(Ok(()), |table| table.write(out))?;
    Ok(())
}

/// The one pair of a scenario with two tasks.
fn pair(name: &str, scenario: &Scenario) -> Vec<String> {
    let tasks: Vec<String> = scenario.tasks.keys().map(|task| cell(task)).collect();
    let n = format!("n = {}", inputs(scenario, std::iter::once((0, 1))));
    vec![cell(name), layers(scenario), tasks.join(", "), both(scenario, (0, 1)), n]
}

/// A line for each task with those after it.
fn matrix(name: &str, scenario: &Scenario) -> Small {
    let tasks: Vec<String> = scenario.tasks.keys().map(|task| cell(task)).collect();
    let header = [cell(name), layers(scenario)].into_iter().chain(tasks[1..].iter().cloned());
    let mut table = Small::new(header.chain(["n".to_owned()]));
    for a in 0..tasks.len() - 1 {
        let mut row = vec![cell(name), tasks[a].clone()];
        let cells =
            (1..tasks.len()).map(|b| if a < b { both(scenario, (a, b)) } else { String::new() });
        row.extend(cells);
        row.push(inputs(scenario, (a + 1..tasks.len()).map(|b| (a, b))));
        table.push(row);
    }
    table
}

/// The pairs that are least and most alike.
fn extremes(name: &str, scenario: &Scenario) -> Small {
    let shown =
        if scenario.similarity.pairs.is_empty() { &scenario.overlap } else { &scenario.similarity };
    let mut pairs: Vec<((usize, usize), f64)> =
        shown.pairs.iter().filter_map(|(at, pair)| Some((*at, pair.values.mean()?))).collect();
    pairs.sort_by(|a, b| a.1.total_cmp(&b.1));
    let n = pairs.len();
    if n > 2 * ENDS {
        pairs.drain(ENDS..n - ENDS);
    }
    let of = format!("{} of {n} pairs, the least and the most alike", pairs.len());
    let mut table = Small::new([cell(name), of, layers(scenario), "n".to_owned()]);
    let task = |at: usize| scenario.tasks.get_index(at).map_or("", |(task, _)| task.as_str());
    for (at, _) in pairs {
        let names = format!("{}, {}", cell(task(at.0)), cell(task(at.1)));
        let n = inputs(scenario, std::iter::once(at));
        table.push(vec![cell(name), names, both(scenario, at), n]);
    }
    table
}

/// The layer that the numbers are from, or the two layers.
fn layers(scenario: &Scenario) -> String {
    let (similarity, overlap) = (&scenario.similarity, &scenario.overlap);
    match (similarity.pairs.is_empty(), overlap.pairs.is_empty()) {
        (true, _) => format!("layer {}", overlap.layer),
        (false, false) if similarity.layer != overlap.layer => {
            format!("layers {} / {}", similarity.layer, overlap.layer)
        }
        _ => format!("layer {}", similarity.layer),
    }
}

/// `0.1713 / 0.429`: similarity and overlap of a pair, those of them that there are.
fn both(scenario: &Scenario, at: (usize, usize)) -> String {
    let number = |pair: &Pair, digits: usize| match (pair.values.mean(), &pair.status) {
        (Some(mean), _) => format!("{mean:.digits$}"),
        (None, status) => status.clone().unwrap_or_default(),
    };
    let similarity = scenario.similarity.pairs.get(&at).map(|pair| number(pair, 4));
    let overlap = scenario.overlap.pairs.get(&at).map(|pair| number(pair, 3));
    similarity.into_iter().chain(overlap).collect::<Vec<_>>().join(" / ")
}

/// `300`, or `298 to 300`: how many inputs these pairs' means are over.
fn inputs(scenario: &Scenario, pairs: impl Iterator<Item = (usize, usize)> + Clone) -> String {
    let n = |of: &Pair| of.values.n();
    let similarity = pairs.clone().filter_map(|at| scenario.similarity.pairs.get(&at).map(n));
    let overlap = pairs.filter_map(|at| scenario.overlap.pairs.get(&at).map(n));
    let all: Vec<u64> = similarity.chain(overlap).collect();
    match (all.iter().min(), all.iter().max()) {
        (Some(fewest), Some(most)) if fewest < most => format!("{fewest} to {most}"),
        (_, most) => most.map_or_else(String::new, u64::to_string),
    }
}

/// What each task leads to: of one input its next tokens and where the last token looks, of several
/// the most frequent next tokens.
pub(super) fn write_tokens(out: &mut impl Write, tally: &Tally) -> Result<(), CliError> {
    write_singles(out, tally)?;
    let mut table = Small::new(["scenario", "task", "n", "1", "2", "3"]);
    for (name, scenario) in tally.scenarios.iter().filter(|(_, scenario)| !scenario.is_single()) {
        for (task, of) in scenario.tasks.iter().filter(|(_, task)| task.inputs > 0) {
            let row = [cell(name), cell(task), of.inputs.to_string()].into_iter();
            let frequent = of.frequent().into_iter().map(|(token, share)| quoted(token, share));
            table.push(row.chain(frequent).collect());
        }
    }
    if !table.is_empty() {
        writeln!(out)?;
        let title = "The most frequent next tokens, share of n inputs (table next_tokens)";
        write_sentence(out, 0, title)?;
        table.write(out)?;
    }
    Ok(())
}

/// Scenarios with one input, in one table where it is not too wide.
fn write_singles(out: &mut impl Write, tally: &Tally) -> Result<(), CliError> {
    let tasks = || {
        let single = tally.scenarios.iter().filter(|(_, scenario)| scenario.is_single());
        single.flat_map(|(name, of)| of.tasks.iter().map(move |(task, of)| (name, task, of)))
    };
    let list = |tokens: &[(String, f64)]| {
        let tokens = tokens.iter().map(|(token, share)| quoted(token, *share));
        tokens.collect::<Vec<_>>().join(", ")
    };
    let table = |has_next: bool, has_focus: bool| {
        let columns = [(has_next, "next tokens"), (has_focus, "attention focus")];
        let named = columns.into_iter().filter(|(is_shown, _)| *is_shown).map(|(_, name)| name);
        let mut table = Small::new(["scenario", "task"].into_iter().chain(named));
        for (name, task, of) in tasks() {
            let cells = [(has_next, &of.next), (has_focus, &of.focus)].into_iter();
            let cells = cells.filter(|(is_shown, _)| *is_shown).map(|(_, tokens)| list(tokens));
            table.push([cell(name), cell(task)].into_iter().chain(cells).collect());
        }
        table
    };
    let has_next = tasks().any(|(.., of)| !of.next.is_empty());
    let has_focus = tasks().any(|(.., of)| !of.focus.is_empty());
    let is_one = has_next && has_focus && table(true, true).fits();
    let mut write = |title: &str, table: &Small| {
        writeln!(out)?;
        write_sentence(out, 0, title)?;
        table.write(out)
    };
    if is_one {
        let title = "Next tokens and the last token's attention focus (tables next_tokens, \
                     attention_focus)";
        write(title, &table(true, true))?;
        return Ok(());
    }
    if has_next {
        write("Next tokens and their probabilities (table next_tokens)", &table(true, false))?;
    }
    if has_focus {
        let title = "Attention focus of the last token and its weights (table attention_focus)";
        write(title, &table(false, true))?;
    }
    Ok(())
}

/// `' red' 94 %`: the token in quotes, so that its blanks are seen.
fn quoted(token: &str, share: f64) -> String {
    let percent = match share * 100.0 {
        percent if percent > 0.0 && percent < 0.5 => "<1".to_owned(),
        percent => format!("{percent:.0}"),
    };
    format!("'{}' {percent}%", cell(token))
}

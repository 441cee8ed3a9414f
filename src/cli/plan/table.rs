//! A plan as a table for people: rows are clusters of inputs, columns wordings of each task.

use std::io::{self, Write};

use super::planned::{Choice, Planned};
use crate::cli::design::p;
use crate::cli::grid::{Small, number, write_sentence};
use crate::prompt::visible;
use crate::stage::names::OUTPUT_LAYER;

/// In place of a number that no p could support.
const CANNOT: &str = "-";

/// Writes one measure of a scenario.
pub(super) fn write(out: &mut impl Write, plan: &Planned) -> io::Result<()> {
    let layer = match plan.layer {
        OUTPUT_LAYER => String::new(),
        layer => format!(" at layer {layer}"),
    };
    let name = format!("{}, {}{layer}", plan.scenario, plan.measure);
    if let Some(refusal) = plan.refusal() {
        return write_sentence(out, 0, &format!("{name} {refusal}"));
    }
    let [delta, mde] = [plan.delta, plan.mde].map(|value| value.map_or("none".to_owned(), number));
    let relative = plan.relative.map_or(String::new(), |r| format!(" ({} relative)", number(r)));
    write_sentence(
        out,
        0,
        &format!(
            "{name}: delta {delta}{relative}; this run, {} and {}, finds {mde} or more",
            count(plan.clusters, "cluster"),
            wordings(&plan.wordings)
        ),
    )?;
    write_grid(out, plan, "in its unit", 1.0)?;
    if let Some(scale) = plan.scale() {
        write_grid(out, plan, "relative", scale)?;
    }
    if let Some(sentence) = advice(plan) {
        write_sentence(out, 0, &sentence)?;
    }
    writeln!(out)
}

/// Writes what the marks mean.
pub(super) fn write_legend(out: &mut impl Write, plans: &[Planned]) -> io::Result<()> {
    let has_smallest = plans.iter().any(|plan| plan.smallest.is_some());
    let star = if has_smallest { "; * no larger than the smallest that matters" } else { "" };
    let legend = format!(
        "each cell: the smallest true difference found with power 0.8, 95 % interval over inputs and \
         wordings; + this run's own numbers; {CANNOT} cannot decide, since p over ways to deal the wordings \
         out can never be below 0.05, or clusters are fewer than 5{star}; from the variances of one run, \
         which are estimates"
    );
    write_sentence(out, 0, &legend)
}

fn write_grid(out: &mut impl Write, plan: &Planned, unit: &str, scale: f64) -> io::Result<()> {
    let columns = plan.columns();
    let own = |is_own: bool, text: String| if is_own { format!("{text}+") } else { text };
    let head = columns.iter().map(|sizes| own(*sizes == plan.wordings, sizes_of(sizes)));
    let mut grid = Small::new(std::iter::once(format!("{unit}, by wordings")).chain(head));
    let choices: Vec<Option<Choice>> =
        columns.iter().map(|sizes| plan.choice(plan.clusters, sizes)).collect();
    let of_columns = |name: &str, text: &dyn Fn(&Choice) -> String| {
        let cells = choices.iter().map(|choice| choice.as_ref().map_or(String::new(), text));
        std::iter::once(name.to_owned()).chain(cells).collect::<Vec<String>>()
    };
    if scale.to_bits() == 1.0_f64.to_bits() {
        let ways = |choice: &Choice| match choice.feasible.ways() {
            Some(ways) if ways < 1_000_000 => ways.to_string(),
            _ => "millions".to_owned(),
        };
        grid.push(of_columns("ways to deal", &ways));
        grid.push(of_columns("smallest p", &|choice| p(choice.feasible.smallest_p())));
    }
    for clusters in plan.rows() {
        let noun = own(clusters == plan.clusters, count(clusters, "cluster"));
        let cells = columns.iter().map(|sizes| cell(plan, clusters, sizes, scale));
        grid.push(std::iter::once(noun).chain(cells).collect());
    }
    grid.write(out)
}

fn cell(plan: &Planned, clusters: u64, sizes: &[usize], scale: f64) -> String {
    let Some(choice) = plan.choice(clusters, sizes) else { return String::new() };
    if choice.feasible.obstacle().is_some() {
        return CANNOT.to_owned();
    }
    let is_enough = plan.smallest.is_some_and(|smallest| choice.mde <= smallest);
    format!("{}{}", number(choice.mde / scale), if is_enough { "*" } else { "" })
}

/// Which of more inputs and more wordings helps more.
fn advice(plan: &Planned) -> Option<String> {
    let now = plan.choice(plan.clusters, &plan.wordings)?.mde;
    let [clusters, sizes] = plan.twice()?;
    let inputs = format!("twice the inputs ({})", count(clusters.feasible.clusters, "cluster"));
    let more = format!("twice the wordings ({})", wordings(&sizes.feasible.wordings));
    let (better, other) = if sizes.mde <= clusters.mde {
        ((more, sizes.mde), (inputs, clusters.mde))
    } else {
        ((inputs, clusters.mde), (more, sizes.mde))
    };
    Some(format!(
        "from here {} help more: {} in place of {}; {} would give {}",
        better.0,
        number(better.1),
        number(now),
        other.0,
        number(other.1)
    ))
}

fn count(n: u64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// One number where all tasks have as many.
fn sizes_of(sizes: &[usize]) -> String {
    match sizes.split_first() {
        Some((first, rest)) if rest.iter().all(|other| other == first) => first.to_string(),
        _ if sizes.len() > 3 => {
            let (least, most) = (sizes.iter().min(), sizes.iter().max());
            format!("{} to {}", least.unwrap_or(&0), most.unwrap_or(&0))
        }
        _ => sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join("/"),
    }
}

fn wordings(sizes: &[usize]) -> String {
    format!("{} wordings a task", visible(&sizes_of(sizes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wordings_of_tasks_are_one_number_where_they_are() {
        assert_eq!(sizes_of(&[4, 4]), "4");
        assert_eq!(sizes_of(&[3, 5]), "3/5");
        assert_eq!(sizes_of(&[3, 5, 2, 2]), "2 to 5");
    }
}

//! How wordings differ in form: their lengths and the words they share. Where the wordings of one task
//! differ in form from those of another, a difference between tasks may be one of form.

use std::collections::BTreeSet;

use indexmap::IndexMap;

/// The tokens of one wording of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worded<'a> {
    /// The task's name.
    pub task: &'a str,
    /// The ids of its tokens, in order, as they stand in a prompt.
    pub tokens: &'a [i32],
}

/// How far two wordings are apart in length, in tokens.
pub fn length_difference(a: &[i32], b: &[i32]) -> f64 {
    a.len().abs_diff(b.len()) as f64
}

/// How few distinct tokens two wordings share, 0 = the same ones, 1 = none (Jaccard's distance).
pub fn lexical_distance(a: &[i32], b: &[i32]) -> f64 {
    let [a, b] = [a, b].map(|tokens| tokens.iter().copied().collect::<BTreeSet<i32>>());
    let shared = a.intersection(&b).count() as f64;
    let all = a.union(&b).count();
    if all == 0 { 0.0 } else { 1.0 - shared / all as f64 }
}

/// Whether the wordings of two tasks differ in form.
type Differ = fn(&[&[i32]], &[&[i32]]) -> bool;

/// What a reader must know of the wordings' form before a difference between tasks is called one of
/// tasks: a sentence each.
pub fn warnings(wordings: &[Worded<'_>]) -> Vec<String> {
    let mut tasks: IndexMap<&str, Vec<&[i32]>> = IndexMap::new();
    for wording in wordings {
        tasks.entry(wording.task).or_default().push(wording.tokens);
    }
    let tasks: Vec<(&str, Vec<&[i32]>)> = tasks.into_iter().collect();
    let pairs = |differ: Differ| -> Vec<[&str; 2]> {
        let all = (0..tasks.len()).flat_map(|a| (a + 1..tasks.len()).map(move |b| (a, b)));
        let differ = all.filter(|(a, b)| differ(&tasks[*a].1, &tasks[*b].1));
        differ.map(|(a, b)| [tasks[a].0, tasks[b].0]).collect()
    };
    let mut warnings = Vec::new();
    let mut warn = |pairs: &[[&str; 2]], what: &str| {
        if let Some([a, b]) = pairs.first() {
            let more = match pairs.len() {
                1 => String::new(),
                n => format!(" (and so in {} other pairs of tasks)", n - 1),
            };
            warnings.push(format!("the wordings of '{a}' and '{b}' {what}{more}"));
        }
    };
    warn(&pairs(lengths_apart), "have no length in common: a difference may be one of length");
    warn(
        &pairs(beginnings_apart),
        "begin with other words, all of them: a difference may be one of form, as between questions and \
         commands",
    );
    warnings
}

/// Whether every wording of one task is longer than every one of the other.
fn lengths_apart(a: &[&[i32]], b: &[&[i32]]) -> bool {
    let range = |all: &[&[i32]]| {
        let lengths = || all.iter().map(|tokens| tokens.len());
        (lengths().min().unwrap_or(0), lengths().max().unwrap_or(0))
    };
    let ((least_a, most_a), (least_b, most_b)) = (range(a), range(b));
    most_a < least_b || most_b < least_a
}

/// Whether no wording of one task begins as one of the other does, where each has several.
fn beginnings_apart(a: &[&[i32]], b: &[&[i32]]) -> bool {
    let first = |all: &[&[i32]]| -> BTreeSet<i32> {
        all.iter().filter_map(|tokens| tokens.first().copied()).collect()
    };
    a.len() > 1 && b.len() > 1 && first(a).is_disjoint(&first(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tasks: &[(&'static str, &'static [i32])]) -> Vec<String> {
        let all = tasks.iter().map(|&(task, tokens)| Worded { task, tokens });
        warnings(&all.collect::<Vec<_>>())
    }

    #[test]
    fn distances_in_form_are_those_of_a_calculator() {
        assert!((lexical_distance(&[1, 2, 3, 3], &[2, 3, 4]) - 0.5).abs() < 1e-15);
        assert!(lexical_distance(&[], &[]).abs() < 1e-15);
        assert!((length_difference(&[1, 2, 3], &[4]) - 2.0).abs() < 1e-15);
    }

    #[test]
    fn tasks_of_other_lengths_or_beginnings_are_named() {
        assert!(
            of(&[("a", &[1, 2]), ("a", &[1, 2, 3]), ("b", &[1, 4, 5]), ("b", &[2, 1])]).is_empty()
        );
        let longer = of(&[("a", &[1, 2]), ("a", &[1, 3]), ("b", &[1, 4, 5]), ("b", &[1, 4, 5, 6])]);
        assert!(longer.len() == 1 && longer[0].contains("'a' and 'b' have no length in common"));
        let other = of(&[("a", &[1, 2]), ("a", &[2, 3]), ("b", &[3, 4]), ("b", &[4, 5])]);
        assert!(other.len() == 1 && other[0].contains("begin with other words"), "{other:?}");
        let many = of(&[("a", &[1]), ("b", &[1, 1]), ("c", &[1, 1, 1])]);
        assert!(many.len() == 1 && many[0].contains("in 2 other pairs"), "{many:?}");
    }
}

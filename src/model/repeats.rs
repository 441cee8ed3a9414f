//! Prompts with the very same tokens: one of them runs, and the others have its numbers.
//!
//! Prompts repeat more often than one would think: what the control `other_input` asks of one input is
//! word for word what a task asks of another, and inputs may be copies of each other.

use std::collections::BTreeMap;

/// Which of some prompts run, and which have the numbers of one that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeats {
    /// The prompts that run, ascending.
    pub run: Vec<usize>,
    /// Each of the others, ascending, with the one that runs for it.
    pub copies: Vec<(usize, usize)>,
}

/// Finds the prompts with equal tokens among those of one scenario after the other, of which
/// `scenarios` says how many each has: those of different ones never stand for each other.
///
/// Of equal prompts the first runs for which `is_first_choice` holds, if it does for any.
pub fn find_repeats(
    ids: &[&[i32]],
    scenarios: &[usize],
    is_first_choice: &dyn Fn(usize) -> bool,
) -> Repeats {
    let mut repeats = Repeats { run: Vec::new(), copies: Vec::new() };
    let mut first = 0;
    for prompts in scenarios {
        let mut equal: BTreeMap<&[i32], Vec<usize>> = BTreeMap::new();
        for (place, ids) in ids[first..first + prompts].iter().enumerate() {
            equal.entry(ids).or_default().push(first + place);
        }
        for prompts in equal.into_values() {
            let runs = prompts.iter().copied().find(|prompt| is_first_choice(*prompt));
            let runs = runs.unwrap_or(prompts[0]);
            repeats.run.push(runs);
            let others = prompts.into_iter().filter(|prompt| *prompt != runs);
            repeats.copies.extend(others.map(|prompt| (prompt, runs)));
        }
        first += prompts;
    }
    repeats.run.sort_unstable();
    repeats.copies.sort_unstable();
    repeats
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_prompts_one_runs_and_never_for_another_scenario() {
        let ids: [&[i32]; 8] = [&[1, 2], &[3], &[1, 2], &[1], &[3], &[1, 2], &[1, 2], &[4]];
        let found = find_repeats(&ids, &[5, 3], &|_| true);
        assert_eq!(found.run, [0, 1, 3, 5, 7]);
        assert_eq!(found.copies, [(2, 0), (4, 1), (6, 5)]);
    }

    #[test]
    fn a_prompt_of_the_first_choice_runs_for_others_before_it() {
        let ids: [&[i32]; 4] = [&[1], &[1], &[1], &[2]];
        let found = find_repeats(&ids, &[4], &|prompt| prompt == 1 || prompt == 2);
        assert_eq!((found.run, found.copies), (vec![1, 3], vec![(0, 1), (2, 1)]));
    }
}

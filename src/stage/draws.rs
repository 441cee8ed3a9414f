//! Settings of the stages that draw at random: how often, and from how many inputs.

use crate::yaml::{Path, Problems};

/// Fewer cannot give a p of 0.01.
const LEAST_PERMUTATIONS: usize = 99;
const MOST_PERMUTATIONS: usize = 1_000_000;
/// Fewer leave nothing beyond the end of a 99.9 % interval.
const LEAST_BOOTSTRAP: usize = 1000;
const MOST_BOOTSTRAP: usize = 1_000_000;
/// Fewer have no interval.
const LEAST_INPUTS: u64 = 8;

/// Setting `permutations`, when it is valid.
pub(crate) fn check_permutations(
    permutations: usize,
    at: &Path,
    problems: &mut Problems,
) -> Option<usize> {
    if (LEAST_PERMUTATIONS..=MOST_PERMUTATIONS).contains(&permutations) {
        return Some(permutations);
    }
    problems.push(
        &at.key("permutations"),
        format!(
            "permutations {permutations} is not from {LEAST_PERMUTATIONS} to {MOST_PERMUTATIONS}"
        ),
        "the smallest p it can give is 1 / (permutations + 1); 9999 is a good number",
    );
    None
}

/// Setting `bootstrap`, when it is valid.
pub(crate) fn check_bootstrap(
    bootstrap: usize,
    at: &Path,
    problems: &mut Problems,
) -> Option<usize> {
    if (LEAST_BOOTSTRAP..=MOST_BOOTSTRAP).contains(&bootstrap) {
        return Some(bootstrap);
    }
    problems.push(
        &at.key("bootstrap"),
        format!("bootstrap {bootstrap} is not from {LEAST_BOOTSTRAP} to {MOST_BOOTSTRAP}"),
        "it is how often the inputs are drawn for an interval; 10000 is a good number",
    );
    None
}

/// Setting `max_inputs`, when it is valid.
pub(crate) fn check_max_inputs(max_inputs: u64, at: &Path, problems: &mut Problems) -> Option<u64> {
    if max_inputs >= LEAST_INPUTS {
        return Some(max_inputs);
    }
    problems.push(
        &at.key("max_inputs"),
        format!("max_inputs {max_inputs} is below {LEAST_INPUTS}"),
        "the inputs are what is drawn: with fewer, no interval is reliable",
    );
    None
}

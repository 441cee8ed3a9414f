//! Names positions by what stands there, so that prompts of different lengths can be compared.

use std::collections::BTreeMap;

use crate::stage::read::prompts::PromptRow;

/// What a position is called in every prompt: position 0 has a name to itself, a token of the input
/// is named by its place in it, any other by its segment and how many of the segment follow.
pub(super) type Name = (u8, usize);

const SINK: Name = (b'0', 0);

/// The name of every position of a prompt.
pub(super) fn names(prompt: &PromptRow) -> Vec<Name> {
    let letters = prompt.segments.as_bytes();
    let mut counts: BTreeMap<u8, usize> = BTreeMap::new();
    let mut name = |(position, &letter): (usize, &u8)| {
        if position == 0 {
            return SINK;
        }
        let count = counts.entry(letter).or_default();
        *count += 1;
        (letter, *count - 1)
    };
    // Tokens of template and task are counted from the end: what stands next to the input, and what
    // is last, then has the same name in all prompts.
    let mut names: Vec<Name> = letters.iter().enumerate().map(&mut name).collect();
    for name in names.iter_mut().skip(1).filter(|name| name.0 != b'i') {
        name.1 = counts[&name.0] - 1 - name.1;
    }
    names
}

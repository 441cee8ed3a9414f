//! Tokens that prompts start with and share: run once, instead of once a prompt.
//!
//! What a causal model makes of a prompt's first tokens does not depend on what follows them. All
//! prompts of a task start with the same tokens, so their block outputs are computed once and
//! copied, and only the rest of each prompt runs, over the prefix's keys and values.
//!
//! Starts are compared as tokens, never as text: a tokenizer may join the end of a template with the
//! first letters of an input.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::batch::{CALL_TOKENS, plan_batches};

/// Prompts of which only the rest runs, after one of a few prefixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixSet {
    /// Tokens of each prefix, at least one; the longest first.
    pub prefixes: Vec<Vec<i32>>,
    /// Each prompt, with the index in `prefixes` of the one that it starts with.
    pub prompts: Vec<(usize, usize)>,
}

/// Which prompts run without their prefix, and which as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct PrefixPlan {
    /// To be run one after another, so that no more prefixes are held than those of one set.
    pub sets: Vec<PrefixSet>,
    /// Prompts that share nothing, ascending.
    pub whole: Vec<usize>,
    /// How many times as much the model would compute for whole prompts, padding counted.
    pub saving: f64,
}

/// Prefixes of one set are padded to the longest one of it: shorter ones than a quarter of that, and
/// a few tokens, get another set, so that none is mostly padding.
const SHORTEST_SHARE: usize = 4;
const SHORT_TOKENS: usize = 16;

/// The prefixes that prompts with these tokens share within their `groups` (one number a prompt: its
/// task); `budget` is the padded tokens of a batch. `None` when running whole prompts is no slower.
pub fn plan_prefixes(ids: &[&[i32]], groups: &[usize], budget: usize) -> Option<PrefixPlan> {
    let mut tasks: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (prompt, group) in groups.iter().enumerate() {
        tasks.entry(*group).or_default().push(prompt);
    }
    // By their tokens: tasks that start alike share one prefix.
    let mut shared: BTreeMap<&[i32], Vec<usize>> = BTreeMap::new();
    for prompts in tasks.values() {
        shared.entry(common_start(ids, prompts)).or_default().extend(prompts);
    }
    let mut whole = shared.remove([].as_slice()).unwrap_or_default();
    whole.sort_unstable();
    let plan = PrefixPlan { sets: into_sets(shared, budget), whole, saving: 1.0 };
    let lengths: Vec<usize> = ids.iter().map(|ids| ids.len()).collect();
    let (shared, everything) = (plan.cost(&lengths, budget), cost(&lengths, 0, budget));
    (shared < everything).then(|| PrefixPlan { saving: everything as f64 / shared as f64, ..plan })
}

/// The longest start of these prompts that leaves at least one token of each; nothing for one prompt.
fn common_start<'p>(ids: &[&'p [i32]], prompts: &[usize]) -> &'p [i32] {
    let [first, others @ ..] = prompts else { return &[] };
    let first = ids[*first];
    let same = |other: &[i32]| {
        let equal = first.iter().zip(other).take_while(|(a, b)| a == b).count();
        equal.min(first.len() - 1).min(other.len() - 1)
    };
    let length = others.iter().map(|other| same(ids[*other])).min().unwrap_or(0);
    &first[..length]
}

/// Sets of prefixes of similar length that hold at most `budget` padded tokens.
fn into_sets(shared: BTreeMap<&[i32], Vec<usize>>, budget: usize) -> Vec<PrefixSet> {
    let mut shared: Vec<(&[i32], Vec<usize>)> = shared.into_iter().collect();
    shared.sort_by_key(|(prefix, _)| Reverse(prefix.len()));
    let mut sets: Vec<PrefixSet> = Vec::new();
    for (prefix, prompts) in shared {
        let is_full = |set: &PrefixSet| {
            (set.prefixes.len() + 1) * set.past() > budget
                || prefix.len() * SHORTEST_SHARE + SHORT_TOKENS < set.past()
        };
        if sets.last().is_none_or(is_full) {
            sets.push(PrefixSet { prefixes: Vec::new(), prompts: Vec::new() });
        }
        let set = sets.last_mut().expect("there is one, if only from the line above");
        set.prompts.extend(prompts.into_iter().map(|prompt| (prompt, set.prefixes.len())));
        set.prefixes.push(prefix.to_vec());
    }
    sets
}

impl PrefixSet {
    /// Tokens of its longest prefix.
    pub fn past(&self) -> usize {
        self.prefixes.first().map_or(0, Vec::len)
    }

    /// How many tokens of each of its prompts are left to run, given all prompts' `lengths`.
    fn rests(&self, lengths: &[usize]) -> Vec<usize> {
        let rest = |(prompt, of): &(usize, usize)| lengths[*prompt] - self.prefixes[*of].len();
        self.prompts.iter().map(rest).collect()
    }
}

impl PrefixPlan {
    /// Padded tokens that it runs, and what its calls cost besides.
    fn cost(&self, lengths: &[usize], budget: usize) -> usize {
        let of_set = |set: &PrefixSet| {
            let prefixes = set.prefixes.len() * set.past() + CALL_TOKENS;
            prefixes + cost(&set.rests(lengths), set.past(), budget)
        };
        let whole: Vec<usize> = self.whole.iter().map(|prompt| lengths[*prompt]).collect();
        self.sets.iter().map(of_set).sum::<usize>() + cost(&whole, 0, budget)
    }
}

fn cost(lengths: &[usize], past: usize, budget: usize) -> usize {
    // The first prompt of a batch is its longest.
    let of_batch = |rows: &Vec<usize>| rows.len() * lengths[rows[0]] + CALL_TOKENS;
    plan_batches(lengths, past, budget).iter().map(of_batch).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(prompts: &[&[i32]], groups: &[usize]) -> Option<PrefixPlan> {
        plan_prefixes(prompts, groups, 1024)
    }

    /// A prompt of `shared` tokens of its task and `own` tokens that no other prompt has.
    fn prompt(task: i32, shared: usize, input: i32, own: usize) -> Vec<i32> {
        let own = (0..own as i32).map(|i| 1000 * input + i);
        (0..shared as i32).map(|i| -100 * task - i).chain(own).collect()
    }

    #[test]
    fn each_task_shares_what_all_its_prompts_start_with() {
        let prompts: Vec<Vec<i32>> =
            (1..=8).flat_map(|input| [prompt(1, 20, input, 5), prompt(2, 12, input, 5)]).collect();
        let ids: Vec<&[i32]> = prompts.iter().map(Vec::as_slice).collect();
        let groups: Vec<usize> = (0..16).map(|i| i % 2).collect();
        let plan = plan(&ids, &groups).unwrap();
        let [set] = plan.sets.as_slice() else { panic!("expected one set, found {plan:?}") };
        assert_eq!(set.prefixes, [prompts[0][..20].to_vec(), prompts[1][..12].to_vec()]);
        assert_eq!(set.prompts[..3], [(0, 0), (2, 0), (4, 0)]);
        assert_eq!(set.prompts[8..11], [(1, 1), (3, 1), (5, 1)]);
        assert_eq!(set.rests(&[25, 17].repeat(8)), [5; 16]);
        assert!(plan.whole.is_empty());
        // The prompts of each task in a batch, against the ends of all in one and two starts in another.
        let whole = 8 * 25 + CALL_TOKENS + 8 * 17 + CALL_TOKENS;
        let shared = 16 * 5 + CALL_TOKENS + 2 * 20 + CALL_TOKENS;
        let saving = whole as f64 / shared as f64;
        assert!((plan.saving - saving).abs() < 1e-12, "{plan:?}");
    }

    #[test]
    fn at_least_one_token_of_every_prompt_is_left_to_run() {
        let one = prompt(1, 40, 0, 0);
        let longer = [one.clone(), vec![7]].concat();
        assert_eq!(common_start(&[&one, &longer], &[0, 1]), &one[..39]);
        assert_eq!(common_start(&[&one, &one, &one], &[0, 1, 2]), &one[..39]);
        assert_eq!(common_start(&[&[5], &[5, 6]], &[0, 1]), &[] as &[i32]);
        assert_eq!(common_start(&[&one], &[0]), &[] as &[i32], "one prompt shares nothing");
    }

    #[test]
    fn tasks_that_start_alike_share_one_prefix() {
        let prompts: Vec<Vec<i32>> = (1..=6).map(|input| prompt(1, 30, input, 3)).collect();
        let ids: Vec<&[i32]> = prompts.iter().map(Vec::as_slice).collect();
        let plan = plan(&ids, &[0, 0, 0, 1, 1, 1]).unwrap();
        assert_eq!(plan.sets[0].prefixes.len(), 1);
        assert_eq!(plan.sets[0].prompts.len(), 6);
    }

    #[test]
    fn what_saves_nothing_is_not_done() {
        let alone: Vec<Vec<i32>> = (1..=6).map(|input| prompt(input, 30, input, 3)).collect();
        let ids: Vec<&[i32]> = alone.iter().map(Vec::as_slice).collect();
        assert_eq!(plan(&ids, &[0, 1, 2, 3, 4, 5]), None, "one prompt a task");
        assert_eq!(plan(&ids, &[0; 6]), None, "nothing in common");
        let short: Vec<Vec<i32>> = (1..=3).map(|input| prompt(1, 2, input, 9)).collect();
        let ids: Vec<&[i32]> = short.iter().map(Vec::as_slice).collect();
        assert_eq!(plan(&ids, &[0; 3]), None, "four tokens less, and a call more");
        assert_eq!(plan(&[], &[]), None);
    }

    #[test]
    fn long_prefixes_are_not_held_all_at_once_and_pad_no_short_ones() {
        let of =
            |task: i32, shared: usize| (1..=8).map(move |i| prompt(task, shared, 10 * task + i, 4));
        let prompts: Vec<Vec<i32>> =
            of(1, 400).chain(of(2, 400)).chain(of(3, 400)).chain(of(4, 10)).collect();
        let ids: Vec<&[i32]> = prompts.iter().map(Vec::as_slice).collect();
        let groups: Vec<usize> = (0..32).map(|i| i / 8).collect();
        let plan = plan(&ids, &groups).unwrap();
        let sizes: Vec<Vec<usize>> =
            plan.sets.iter().map(|set| set.prefixes.iter().map(Vec::len).collect()).collect();
        assert_eq!(sizes, [vec![400, 400], vec![400], vec![10]]);
        let mut seen: Vec<usize> = plan
            .sets
            .iter()
            .flat_map(|set| set.prompts.iter().map(|(prompt, _)| *prompt))
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..32).collect::<Vec<_>>());
    }
}

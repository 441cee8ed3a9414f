//! The prompts of a shard as the analyses need them: which ones ran, where their rows lie in the
//! raw tables, and which of them are compared.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array as _, AsArray as _, StringArray};
use arrow::datatypes::Int32Type;

use super::reread;
use crate::prompt::{PromptKey, Role};
use crate::stage::names::FIRST_WORDING;
use crate::store::Store;
use crate::table::reader::Part;
use crate::table::schema::PROMPTS;
use crate::table::writer::PartAddress;
use crate::table::{TableError, status};

/// The columns that are read of table `prompts`.
const COLUMNS: [&str; 10] = [
    "scenario",
    "input",
    "task",
    "wording",
    "token_ids",
    "input_start",
    "input_tokens",
    "segments",
    "edge_tokens",
    "status",
];

/// One prompt of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PromptRow {
    /// Its name.
    pub(crate) key: PromptKey,
    /// Its tokens.
    pub(crate) token_ids: Vec<i32>,
    /// The input's tokens; `None` when no token holds a part of it.
    pub(crate) input: Option<Range<usize>>,
    /// What each token is part of: one letter a token, as column `segments` says.
    pub(crate) segments: String,
    /// Tokens of the input that also hold something else.
    pub(crate) edge_tokens: usize,
    /// Whether it ran; the raw tables have no rows of those that did not.
    pub(crate) ran: bool,
    /// Its place among those that ran: its row in `logits`.
    pub(crate) run_index: usize,
    /// Its first row in each layer of `activations`; one row a token follows.
    pub(crate) first_token: usize,
}

/// The prompts of a shard, in the order of the plan.
#[derive(Debug)]
pub(crate) struct ShardPrompts {
    rows: Vec<PromptRow>,
}

/// The prompts that were read last, of which part: [`reread`] knows whether it still holds.
static LAST: Mutex<Option<(Arc<Part>, Arc<ShardPrompts>)>> = Mutex::new(None);

impl PromptRow {
    /// What it is there for.
    pub(crate) fn role(&self) -> Role {
        Role::of_wording(self.key.wording)
    }

    /// The input's tokens but one at position 0: where they are equal in two prompts, one stands for
    /// the other.
    pub(crate) fn aligned_input(&self) -> Vec<i32> {
        let tokens = self.segments.bytes().zip(&self.token_ids).skip(1);
        tokens.filter(|(letter, _)| *letter == b'i').map(|(_, id)| *id).collect()
    }

    /// Whether it is one of those that the notebook's measures compare.
    pub(crate) fn is_first_wording(&self) -> bool {
        self.key.wording == FIRST_WORDING
    }
}

/// All prompts of one input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InputGroup<'a> {
    /// Every wording of every task, in the pipeline's order; never empty.
    pub(crate) prompts: &'a [PromptRow],
}

impl ShardPrompts {
    /// Reads the shard's part of table `prompts`, or gives what was read of it before: every stage
    /// of a shard needs it.
    pub(crate) fn read(store: &Store, part: u32) -> Result<Arc<Self>, TableError> {
        let part = reread::part(store, PartAddress::new(&PROMPTS, part), &COLUMNS)?;
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, prompts)) = &*last
            && Arc::ptr_eq(of, &part)
        {
            return Ok(Arc::clone(prompts));
        }
        let prompts = Arc::new(Self::of(&part)?);
        *last = Some((part, Arc::clone(&prompts)));
        Ok(prompts)
    }

    fn of(part: &Part) -> Result<Self, TableError> {
        let keys = Keys::of(part)?;
        let (token_ids, status) = (part.lists("token_ids")?, part.texts("status")?);
        let (starts, counts) = (part.int32s("input_start")?, part.int32s("input_tokens")?);
        let (segments, edges) = (part.texts("segments")?, part.int32s("edge_tokens")?);
        let input = |row: usize| {
            let start = starts.value(row) as usize;
            starts.is_valid(row).then(|| start..start + counts.value(row) as usize)
        };
        let mut rows: Vec<PromptRow> = Vec::with_capacity(part.rows());
        let (mut run_index, mut first_token) = (0, 0);
        for row in 0..part.rows() {
            let ids = token_ids.value(row);
            let ids = ids.as_primitive_opt::<Int32Type>();
            let ids =
                ids.ok_or_else(|| part.problem("has token_ids of another type than int32"))?;
            let prompt = PromptRow {
                key: keys.key(row),
                token_ids: ids.values().to_vec(),
                input: input(row),
                segments: segments.value(row).to_owned(),
                edge_tokens: edges.value(row) as usize,
                ran: status.value(row) == status::OK,
                run_index,
                first_token,
            };
            if prompt.ran {
                run_index += 1;
                first_token += prompt.token_ids.len();
            }
            rows.push(prompt);
        }
        Ok(Self { rows })
    }

    /// The prompts that ran, in the order of the plan.
    pub(crate) fn ran(&self) -> impl Iterator<Item = &PromptRow> {
        self.rows.iter().filter(|prompt| prompt.ran)
    }

    /// The inputs, in the order of the plan.
    pub(crate) fn inputs(&self) -> Vec<InputGroup<'_>> {
        self.rows
            .chunk_by(|a, b| a.key.scenario == b.key.scenario && a.key.input == b.key.input)
            .map(|prompts| InputGroup { prompts })
            .collect()
    }

    /// Checks that a part of `activations` has one row a token of these prompts, in their order.
    pub(crate) fn check_tokens(&self, part: &Part) -> Result<(), TableError> {
        let found = part.int32s("token_id")?.values();
        let n = self.ran().map(|prompt| prompt.token_ids.len()).sum::<usize>();
        if found.len() != n {
            return Err(part.problem(format!(
                "has {} rows where table 'prompts' has {n} tokens",
                found.len()
            )));
        }
        for prompt in self.ran() {
            let (first, expected) = (prompt.first_token, &prompt.token_ids[..]);
            let found = &found[first..first + expected.len()];
            if let Some(place) = found.iter().zip(expected).position(|(a, b)| a != b) {
                let row = first + place;
                return Err(
                    part.problem(format!("has another token in row {row} than table 'prompts'"))
                );
            }
        }
        Ok(())
    }

    /// Checks that a part of a table with one row a prompt has these prompts, in their order.
    pub(crate) fn check_keys(&self, part: &Part) -> Result<(), TableError> {
        let keys = Keys::of(part)?;
        let n = self.ran().count();
        if part.rows() != n {
            return Err(part.problem(format!(
                "has {} rows where table 'prompts' has {n} prompts that ran",
                part.rows()
            )));
        }
        match self.ran().enumerate().find(|(row, prompt)| !keys.is(*row, &prompt.key)) {
            Some((row, prompt)) => {
                Err(part.problem(format!("does not have prompt {} in row {row}", prompt.key)))
            }
            None => Ok(()),
        }
    }
}

impl<'a> InputGroup<'a> {
    /// The scenario's name.
    pub(crate) fn scenario(self) -> &'a str {
        &self.prompts[0].key.scenario
    }

    /// The input's id.
    pub(crate) fn input(self) -> &'a str {
        &self.prompts[0].key.input
    }

    /// The prompts that put the pipeline's tasks to the input, in all wordings: the controls are
    /// left out.
    pub(crate) fn tasks(self) -> Vec<&'a PromptRow> {
        self.prompts.iter().filter(|prompt| prompt.role() == Role::Task).collect()
    }

    /// The prompts of every task's first wording: those that the notebook's measures compare.
    pub(crate) fn first_wordings(self) -> Vec<&'a PromptRow> {
        self.prompts.iter().filter(|prompt| prompt.is_first_wording()).collect()
    }
}

/// All pairs of `n` things, the earlier one first: (0, 1), (0, 2), ... as the notebook's
/// `np.triu_indices(n, k=1)`.
pub(crate) fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |a| (a + 1..n).map(move |b| (a, b)))
}

/// The four columns that name a prompt.
#[derive(Debug)]
pub(crate) struct Keys<'p> {
    pub(crate) scenario: &'p StringArray,
    pub(crate) input: &'p StringArray,
    pub(crate) task: &'p StringArray,
    pub(crate) wording: &'p [i16],
}

impl<'p> Keys<'p> {
    pub(crate) fn of(part: &'p Part) -> Result<Self, TableError> {
        Ok(Self {
            scenario: part.texts("scenario")?,
            input: part.texts("input")?,
            task: part.texts("task")?,
            wording: part.int16s("wording")?.values(),
        })
    }

    fn key(&self, row: usize) -> PromptKey {
        PromptKey {
            scenario: Arc::from(self.scenario.value(row)),
            input: Arc::from(self.input.value(row)),
            task: Arc::from(self.task.value(row)),
            wording: self.wording[row],
        }
    }

    /// Whether the row names this prompt.
    pub(crate) fn is(&self, row: usize, key: &PromptKey) -> bool {
        self.wording[row] == key.wording
            && self.task.value(row) == &*key.task
            && self.input.value(row) == &*key.input
            && self.scenario.value(row) == &*key.scenario
    }
}

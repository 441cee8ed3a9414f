//! The prompts of a shard as the analyses need them: which ones ran, where their rows are in the
//! raw tables, and which of them are compared.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::StringArray;
use indexmap::IndexSet;

use super::reread;
pub(crate) use crate::math::pairs;
use crate::prompt::{PromptKey, Role};
use crate::stage::Context;
use crate::stage::names::FIRST_WORDING;
use crate::store::Store;
use crate::table::reader::Part;
use crate::table::schema::PROMPTS;
use crate::table::{ReadRow as _, TableError, status, view};

view! {
    /// What is read of table `prompts`.
    struct Planned<'a> of [PROMPTS] {
        scenario: &'a str,
        input: &'a str,
        task: &'a str,
        wording: i16,
        base_wording: i16,
        token_ids: &'a [i32],
        input_start: Option<i32>,
        input_tokens: i32,
        segments: &'a str,
        edge_tokens: i32,
        status: &'a str,
    }
}

/// One prompt of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PromptRow {
    /// Its name.
    pub(crate) key: PromptKey,
    /// The wording of its task that it holds or, a control, was made from.
    pub(crate) base_wording: i16,
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

/// The prompts that were read last, and the part they are from: [`reread`] knows whether the file
/// still holds it.
static LAST: Mutex<Option<(Arc<Part>, Arc<ShardPrompts>)>> = Mutex::new(None);

impl Planned<'_> {
    fn key(&self) -> PromptKey {
        PromptKey {
            scenario: Arc::from(self.scenario),
            input: Arc::from(self.input),
            task: Arc::from(self.task),
            wording: self.wording,
        }
    }

    /// The input's tokens; `None` when no token holds a part of it.
    fn span(&self) -> Option<Range<usize>> {
        let start = self.input_start? as usize;
        Some(start..start + self.input_tokens as usize)
    }
}

impl PromptRow {
    /// Its role.
    pub(crate) fn role(&self) -> Role {
        Role::of_wording(self.key.wording)
    }

    /// The input's tokens except one at position 0: where they are equal in two prompts, they can be
    /// compared one by one.
    pub(crate) fn aligned_input(&self) -> Vec<i32> {
        let tokens = self.segments.bytes().zip(&self.token_ids).skip(1);
        tokens.filter(|(letter, _)| *letter == b'i').map(|(_, id)| *id).collect()
    }

    /// Whether it is the task's prompt that a control is compared with.
    pub(crate) fn is_base_of(&self, control: &Self) -> bool {
        self.key.wording == control.base_wording && self.key.task == control.key.task
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

/// For each prompt the place of the first one with the very same tokens, whose numbers it has too: its
/// own place where there is none before it, or where `is_same` of the two places says that something
/// else about them differs.
pub(crate) fn first_equal(
    prompts: &[&PromptRow],
    is_same: impl Fn(usize, usize) -> bool,
) -> Vec<usize> {
    let mut seen = BTreeMap::new();
    let mut of = |place: usize| {
        let first = *seen.entry(prompts[place].token_ids.as_slice()).or_insert(place);
        if first == place || is_same(first, place) { first } else { place }
    };
    (0..prompts.len()).map(&mut of).collect()
}

impl ShardPrompts {
    /// Reads the shard's part of table `prompts`, or returns what was read before: every stage of a
    /// shard needs it.
    ///
    /// # Errors
    /// When the part is missing or cannot be read.
    pub(crate) fn read(store: &Store, part: u32) -> Result<Arc<Self>, TableError> {
        let part = reread::rows::<Planned<'_>>(store, &PROMPTS, part)?;
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
        let mut rows: Vec<PromptRow> = Vec::with_capacity(part.rows());
        let (mut run_index, mut first_token) = (0, 0);
        for row in Planned::rows(part)? {
            let prompt = PromptRow {
                key: row.key(),
                base_wording: row.base_wording,
                token_ids: row.token_ids.to_vec(),
                input: row.span(),
                segments: row.segments.to_owned(),
                edge_tokens: row.edge_tokens as usize,
                ran: row.status == status::OK,
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

    /// Those inputs that the stage [takes](Context::takes).
    pub(crate) fn taken(&self, context: &Context<'_>) -> Vec<InputGroup<'_>> {
        let mut inputs = self.inputs();
        inputs.retain(|input| context.takes(input.scenario(), input.input()));
        inputs
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

    /// For each of [`Self::tasks`] the place of its task, 0 for the first one's.
    pub(crate) fn task_places(self) -> Vec<i32> {
        let mut names = IndexSet::new();
        let place = |prompt: &PromptRow| names.insert_full(Arc::clone(&prompt.key.task)).0 as i32;
        self.tasks().into_iter().map(place).collect()
    }

    /// The prompts of every task's first wording: those that the notebook's measures compare.
    pub(crate) fn first_wordings(self) -> Vec<&'a PromptRow> {
        self.prompts.iter().filter(|prompt| prompt.is_first_wording()).collect()
    }
}

/// The four columns that name a prompt, in a raw table.
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

    /// Whether the row names this prompt.
    pub(crate) fn is(&self, row: usize, key: &PromptKey) -> bool {
        self.wording[row] == key.wording
            && self.task.value(row) == &*key.task
            && self.input.value(row) == &*key.input
            && self.scenario.value(row) == &*key.scenario
    }
}

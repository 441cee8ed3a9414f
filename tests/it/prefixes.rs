//! What prompts of a task start with runs once, and the tables hold what each prompt gives alone.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aqlens::model::{Backend, Batch, ModelError, Outputs, Take, Wanted};
use aqlens::prompt::{Prompt, PromptKey};
use aqlens::stages::extract::{Config, NotFinite};
use aqlens::table::schema::{ACTIVATIONS, ATTENTION, LOGITS, SKIPPED};
use aqlens::table::status;

use crate::support::fake_model::{on, on_each};
use crate::support::tiny::{self, Extraction};

/// Tasks with starts of different lengths, and one that leaves no token but the last.
const TASKS: [(&str, &str); 4] = [
    ("colour", "Which colour does the ball on the table have, please? "),
    ("count", "How many things are there in all: "),
    ("short", "Is it so? "),
    ("end", "The very same words, whatever the input is"),
];

pub(crate) const INPUTS: [&str; 6] = [
    "the red ball",
    "a cup\r\n\r\na ball on a table beside a blue cup",
    "?",
    "日本語の表",
    "the red ball and the red cup",
    "b",
];

pub(crate) fn prompts() -> Vec<Prompt> {
    let of_input = |(i, input): (usize, &&str)| {
        let input = (*input).to_owned();
        TASKS.map(|(task, start)| {
            let text = match task {
                "end" => start.to_owned(),
                _ => format!("{start}{input}"),
            };
            Prompt {
                key: PromptKey {
                    scenario: "s".into(),
                    input: format!("input-{i}").into(),
                    task: task.into(),
                    wording: 0,
                },
                base_wording: 0,
                form: "plain".into(),
                source_input: format!("input-{i}").into(),
                cluster: None,
                input_span: 0..text.len(),
                text,
                task_spans: Vec::new(),
                is_bare: false,
            }
        })
    };
    INPUTS.iter().enumerate().flat_map(of_input).collect()
}

pub(crate) fn config(share_prefixes: bool, batch_tokens: u32) -> Config {
    Config { share_prefixes, batch_tokens, not_finite: NotFinite::Skip, ..Config::default() }
}

/// A model whose outputs are made of the tokens themselves, so that every number must come out
/// again exactly: a token's block output is its id and its position, its attention is the ids and
/// positions of all tokens before it, and so are the scores. What padding gives is another number
/// each time. Keys carry the ids.
#[derive(Default)]
pub(crate) struct Echo {
    /// How many padded tokens each batch had, and the tokens before its rows.
    pub(crate) seen: Arc<Mutex<Vec<(usize, usize)>>>,
    /// A token after which block outputs are no numbers.
    pub(crate) flaw: Option<i64>,
    /// How long a batch takes.
    pub(crate) delay: Duration,
}

pub(crate) const HEADS: usize = 3;
pub(crate) const WIDTH: usize = 27;

impl Echo {
    /// Ids of everything that row `i` reads, padding of the past as -1, and how many are past.
    fn tokens(batch: &Batch, i: usize) -> Vec<i64> {
        let mut ids = Vec::new();
        if let Some(past) = &batch.past {
            let keys = &past.prefixes.keys_values[0];
            let stride = HEADS * past.prefixes.past * WIDTH / HEADS;
            for key in 0..past.prefixes.past {
                let id = keys[past.of[i] as usize * stride + key * WIDTH / HEADS];
                ids.push(if (key as i64) < past.lengths[i] { id as i64 } else { -1 });
            }
        }
        ids.extend(&batch.ids[i * batch.seq..(i + 1) * batch.seq]);
        ids
    }
}

impl Backend for Echo {
    fn run(
        &mut self,
        batch: &Batch,
        wanted: &Wanted,
        take: &mut Take<'_>,
    ) -> Result<(), ModelError> {
        thread::sleep(self.delay);
        let past = batch.past.as_ref().map_or(0, |past| past.prefixes.past);
        let (seq, rows) = (batch.seq, batch.lengths.len());
        self.seen.lock().unwrap().push((rows * seq, past));
        let (mut hidden, mut attention) = (Vec::new(), Vec::new());
        let (mut logits, mut keys) = (Vec::new(), Vec::new());
        for i in 0..rows {
            let ids = Self::tokens(batch, i);
            let before = batch.past.as_ref().map_or(0, |past| past.lengths[i] as usize);
            let is_flawed = |token: usize| self.flaw == Some(ids[past + token]);
            for token in 0..seq {
                let value = (ids[past + token] * 1000) as f32 + (before + token) as f32;
                let value = if is_flawed(token) { f32::NAN } else { value };
                hidden.extend((0..WIDTH).map(|dimension| value + dimension as f32 / 64.0));
            }
            for head in 0..HEADS {
                for query in 0..seq {
                    // Keys of padding give what no table may hold.
                    let weight = |key: usize| match ids[key] {
                        -1 => f32::MAX,
                        id => (id * 1000) as f32 + (head * 100 + query + before) as f32,
                    };
                    attention.extend((0..past + seq).map(weight));
                }
            }
            let last = (ids[past + batch.lengths[i] - 1] * 1000) as f32;
            logits.extend((0..320).map(|token| last + token as f32));
            for _ in 0..HEADS {
                let key =
                    |token: usize| std::iter::repeat_n(ids[past + token] as f32, WIDTH / HEADS);
                keys.extend((0..seq).flat_map(key));
            }
        }
        take(&Outputs {
            logits: &logits,
            hidden: vec![&hidden; wanted.hidden.len()],
            attention: vec![&attention; wanted.attention.len()],
            keys_values: vec![&keys; if wanted.keys_values { 10 } else { 0 }],
        });
        Ok(())
    }

    fn takes_past(&self) -> bool {
        true
    }
}

/// All numbers of all tables, and the names that stand beside them.
pub(crate) fn content(extraction: &Extraction) -> (Vec<String>, Vec<f32>) {
    let (mut names, mut numbers) = (Vec::new(), Vec::new());
    for layer in 0..5 {
        let columns = ["input", "task", "position", "token_id", "values"];
        let part = extraction.part(&ACTIVATIONS, Some(layer), &columns);
        let (inputs, tasks) = (part.texts("input").unwrap(), part.texts("task").unwrap());
        let (positions, ids) = (part.int32s("position").unwrap(), part.int32s("token_id").unwrap());
        for row in 0..part.rows() {
            let (position, id) = (positions.value(row), ids.value(row));
            names.push(format!("{} {} {position} {id}", inputs.value(row), tasks.value(row)));
        }
        numbers.extend(part.vectors("values").unwrap().0);
    }
    let part = extraction.part(&ATTENTION, None, &["weights"]);
    let weights = part.lists("weights").unwrap();
    for row in 0..part.rows() {
        let values = weights.value(row);
        let values =
            arrow_array::cast::AsArray::as_primitive::<arrow_array::types::Float32Type>(&values);
        numbers.extend(values.values());
    }
    numbers.extend(extraction.part(&LOGITS, None, &["values"]).vectors("values").unwrap().0);
    (names, numbers)
}

#[test]
fn every_number_lands_in_the_row_of_its_prompt_and_token() {
    let whole = Extraction::of(&on(Echo::default()), config(false, 0), &prompts());
    for batch_tokens in [0, 64, 1] {
        let echo = Echo::default();
        let seen = Arc::clone(&echo.seen);
        let shared = Extraction::of(&on(echo), config(true, batch_tokens), &prompts());
        assert!(content(&shared) == content(&whole), "batches of {batch_tokens}");
        let seen = seen.lock().unwrap();
        let with_past = seen.iter().filter(|(_, past)| *past > 0).count();
        assert!(with_past > 0, "{seen:?}");
    }
}

#[test]
fn batches_that_end_out_of_order_land_in_their_rows_too() {
    let whole = Extraction::of(&on(Echo::default()), config(false, 0), &prompts());
    // The slowest has the first batches, and is left behind by the others.
    let echo =
        |milliseconds| Echo { delay: Duration::from_millis(milliseconds), ..Echo::default() };
    for share in [false, true] {
        let engine = on_each([echo(0), echo(3), echo(30)]);
        assert_eq!(engine.at_once().unwrap(), 3);
        let found = Extraction::of(&engine, config(share, 40), &prompts());
        assert!(content(&found) == content(&whole), "shared prefixes: {share}");
        assert!(engine.calls() > 6, "{}", engine.calls());
    }
}

#[test]
fn what_tasks_start_with_is_run_once() {
    let run = |share| {
        let echo = Echo::default();
        let seen = Arc::clone(&echo.seen);
        let extraction = Extraction::of(&on(echo), config(share, 0), &prompts());
        let tokens = extraction.result.as_ref().unwrap().units;
        assert_eq!(*extraction.ear.advanced.lock().unwrap(), tokens, "progress ends at the total");
        let padded: usize = seen.lock().unwrap().iter().map(|(padded, _)| padded).sum();
        padded
    };
    let (whole, shared) = (run(false), run(true));
    assert!(shared * 4 < whole * 3, "{shared} of {whole} tokens were run");
}

#[test]
fn the_next_shard_may_begin_when_all_batches_have_and_before_the_self_proof() {
    for (share, batch_tokens) in [(false, 64), (true, 64), (true, 0)] {
        let echo = Echo::default();
        let seen = Arc::clone(&echo.seen);
        let first_told = Mutex::new(None);
        let tell = || {
            first_told.lock().unwrap().get_or_insert(seen.lock().unwrap().len());
        };
        Extraction::telling(&on(echo), config(share, batch_tokens), &prompts(), &tell);
        let all = seen.lock().unwrap().len();
        assert_eq!(first_told.into_inner().unwrap(), Some(all - 1), "one prompt is proved");
    }
}

#[test]
fn the_next_shard_may_begin_while_the_last_batch_still_runs() {
    for share in [false, true] {
        let seen = Arc::default();
        let echo = |milliseconds| Echo {
            delay: Duration::from_millis(milliseconds),
            seen: Arc::clone(&seen),
            ..Echo::default()
        };
        let first_told = Mutex::new(None);
        let tell = || {
            first_told.lock().unwrap().get_or_insert(seen.lock().unwrap().len());
        };
        let engine = on_each([echo(5), echo(300)]);
        Extraction::telling(&engine, config(share, 40), &prompts(), &tell);
        // All but the slow one's last and the one that is proved.
        let all = seen.lock().unwrap().len();
        assert_eq!(first_told.into_inner().unwrap(), Some(all - 2), "shared prefixes: {share}");
    }
}

#[test]
fn a_number_that_is_none_in_a_start_is_told_of_every_prompt_that_has_it() {
    let question = tiny::tokenizer().encode(TASKS[0].1, 0..0).unwrap().ids;
    let others: Vec<i32> = TASKS[1..]
        .iter()
        .map(|(_, start)| *start)
        .chain(INPUTS)
        .flat_map(|text| tiny::tokenizer().encode(text, 0..0).unwrap().ids)
        .collect();
    let own = question[3..].iter().find(|id| !others.contains(id)).expect("a token of its own");
    let echo = || Echo { flaw: Some(i64::from(*own)), ..Echo::default() };
    // One prompt has it again in what is left of it, and is told once all the same.
    let mut prompts = prompts();
    let again = prompts.iter_mut().rfind(|prompt| &*prompt.key.task == TASKS[0].0).unwrap();
    again.text.push_str(&TASKS[0].1[..20]);
    let whole = Extraction::of(&on(echo()), config(false, 0), &prompts);
    let shared = Extraction::of(&on(echo()), config(true, 0), &prompts);
    for extraction in [&whole, &shared] {
        let part = extraction.part(&SKIPPED, None, &["task", "reason", "detail"]);
        assert_eq!(part.rows(), INPUTS.len());
        for row in 0..part.rows() {
            assert_eq!(part.texts("task").unwrap().value(row), "colour");
            assert_eq!(part.texts("reason").unwrap().value(row), status::NOT_FINITE);
        }
    }
    let told = |extraction: &Extraction| extraction.ear.skipped.lock().unwrap().clone();
    assert_eq!(told(&shared), told(&whole), "with the same place, each prompt once");
    assert!(content(&shared) == content(&whole), "and the others are as they were");
}

#[test]
fn the_graph_gives_the_same_after_a_prefix_as_on_whole_prompts() {
    let (engine, plain) = (tiny::engine(), tiny::engine_of_whole_prompts());
    assert!(engine.takes_past().unwrap());
    assert!(!plain.takes_past().unwrap());
    let whole = Extraction::of(&plain, config(true, 0), &prompts());
    let (names, expected) = content(&whole);
    for (batch_tokens, share) in [(0, true), (64, true), (0, false)] {
        let extraction = Extraction::of(&engine, config(share, batch_tokens), &prompts());
        let (found_names, found) = content(&extraction);
        assert_eq!(found_names, names);
        assert_eq!(found.len(), expected.len());
        let norm =
            |values: &[f32]| values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        // Vectors of one width up to the attention's weights, which are looked at by themselves.
        let vectors = names.len() * WIDTH;
        for (row, (a, b)) in
            found[..vectors].chunks(WIDTH).zip(expected[..vectors].chunks(WIDTH)).enumerate()
        {
            let difference: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
            let share = norm(&difference) / norm(b);
            assert!(share <= 1e-5, "{} of {} is off by {share:.1e}", names[row], batch_tokens);
        }
        for (a, b) in found[vectors..].iter().zip(&expected[vectors..]) {
            let allowed = 1e-5 * b.abs().max(1.0);
            assert!((a - b).abs() <= allowed, "{a} where whole prompts give {b}");
        }
    }
    assert!(engine.calls() > plain.calls());
}

#[test]
fn a_model_folder_without_the_second_graph_runs_whole_prompts() {
    let copy = tiny::Copy::new();
    let card = aqlens::model::ModelCard::load(copy.path()).unwrap();
    assert_eq!(card.past_path(), None);
    let engine = tiny::engine_of(card);
    assert!(!engine.takes_past().unwrap());
    let old = Extraction::of(&engine, config(true, 0), &prompts());
    let plain = Extraction::of(&tiny::engine_of_whole_prompts(), config(true, 0), &prompts());
    assert!(content(&old) == content(&plain));
}

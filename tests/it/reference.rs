//! The reference sets of a run: taken before all shards, from each scenario's own prompts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use aqlens::model::{Backend, Batch, ModelError, Outputs, Take, Wanted};
use aqlens::stage::Facts;
use aqlens::stages::reference::Config;
use aqlens::table::reader::{Part, read_part};
use aqlens::table::schema::{REFERENCE, SIMILARITY};
use aqlens::table::writer::PartAddress;
use aqlens::yaml::{Path as SpecPath, Problems};
use arrow_array::Array as _;

use crate::support::fake_model::on_each;
use crate::support::tiny::{self, Extraction};
use crate::support::{Run, aqlens, file};

const STAGES: &str = "stages=[{kind: extract, layers: [0, 4]}, {kind: reference}, \
                      {kind: similarity, measures: [last, last_centred]}]";
const WITHOUT: &str =
    "stages=[{kind: extract, layers: [0, 4]}, {kind: similarity, measures: [last, last_centred]}]";

/// Knows how many of its kind were ever at work at once.
struct Watched(Arc<[AtomicUsize; 2]>);

impl Backend for Watched {
    fn run(
        &mut self,
        batch: &Batch,
        wanted: &Wanted,
        take: &mut Take<'_>,
    ) -> Result<(), ModelError> {
        let [at_work, most] = &*self.0;
        most.fetch_max(at_work.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(20));
        at_work.fetch_sub(1, Ordering::SeqCst);
        let hidden = vec![1.0; batch.lengths.len() * batch.seq * 27];
        let hidden = vec![hidden.as_slice(); wanted.hidden.len()];
        take(&Outputs { hidden, ..Outputs::default() });
        Ok(())
    }
}

#[test]
fn batches_are_summed_up_one_after_the_other_however_many_could_run_at_once() {
    let watch = Arc::default();
    let engine = on_each([Watched(Arc::clone(&watch)), Watched(Arc::clone(&watch))]);
    let facts = Facts::default();
    let reference =
        Config::default().validate(&SpecPath::default(), &facts, &mut Problems::default()).unwrap();
    let text = "the red ball on the table and the blue cup beside it";
    let run = Extraction::with(&reference, &[0, 4], &engine, &tiny::prompts(&[text; 200]), &|| {});
    assert!(run.result.is_ok() && engine.calls() >= 3, "{:?}", run.result);
    assert_eq!(watch[1].load(Ordering::SeqCst), 1, "sums depend on their order");
}

fn reference(run: &Run) -> Part {
    let columns = ["layer", "mean", "sd", "n_tokens", "n_prompts", "status"];
    read_part(&run.store, PartAddress::new(&REFERENCE, 0), &columns).unwrap()
}

/// How many values of a measure the first part of `similarity` has for each status.
fn count(run: &Run, measure: &str, status: &str) -> usize {
    let columns = ["measure", "status"];
    let part = read_part(&run.store, PartAddress::new(&SIMILARITY, 0), &columns).unwrap();
    let (measures, words) = (part.texts("measure").unwrap(), part.texts("status").unwrap());
    (0..part.rows())
        .filter(|row| (measures.value(*row), words.value(*row)) == (measure, status))
        .count()
}

#[test]
fn every_shard_is_centred_by_its_scenarios_sample_however_the_run_is_cut() {
    let whole = Run::of("tests/fixtures/tiny.yml", &["--set", STAGES]);
    let cut = Run::of("tests/fixtures/tiny.yml", &["--set", STAGES, "--set", "shard_inputs=1"]);
    let part = reference(&whole);
    assert_eq!(part.rows(), 2 * 2 * 27, "two scenarios, two layers of 27 dimensions");
    assert!(part.float64s("mean").unwrap().null_count() == 0);
    assert!(part.float64s("sd").unwrap().iter().all(|sd| sd.unwrap() > 0.0));
    let name = REFERENCE.file(None, 0);
    assert_eq!(whole.store.read(&name).unwrap(), cut.store.read(&name).unwrap());
    assert!(count(&whole, "last_centred", "ok") > 0);
    assert_eq!(count(&whole, "last_centred", "no_reference"), 0);
}

#[test]
fn too_small_a_sample_gives_rows_without_values_and_measures_that_say_so() {
    // Eight prompts of 50 tokens and more; then twelve prompts of a few tokens.
    let long = format!("{{i: {}, j: {}}}", "red ".repeat(50), "blue ".repeat(50));
    let short = "{i: red}".to_owned();
    let few = "{a: \"what?\", b: \"where?\", c: \"how?\", d: \"who?\"}".to_owned();
    let many: Vec<String> = (0..12).map(|i| format!("t{i}: \"what {i}?\"")).collect();
    for (inputs, tasks, prompts) in
        [(long, few, 8), (short, format!("{{{}}}", many.join(", ")), 12)]
    {
        let scenarios = format!("scenarios=[{{name: s, inputs: {inputs}, tasks: {tasks}}}]");
        let run = Run::of("tests/fixtures/tiny.yml", &["--set", STAGES, "--set", &scenarios]);
        let part = reference(&run);
        assert_eq!(part.rows(), 2 * 27);
        assert_eq!(part.float64s("mean").unwrap().null_count(), part.rows());
        assert_eq!(part.float64s("sd").unwrap().null_count(), part.rows());
        assert!(part.texts("status").unwrap().iter().all(|word| word == Some("n_too_small")));
        assert!(part.int64s("n_prompts").unwrap().iter().all(|n| n == Some(prompts)));
        let tokens = part.int64s("n_tokens").unwrap().value(0);
        assert_eq!(tokens >= 200, prompts == 8, "{tokens}");
        assert_eq!(count(&run, "last_centred", "ok"), 0);
        assert!(count(&run, "last_centred", "no_reference") > 0 && count(&run, "last", "ok") > 0);
    }
}

#[test]
fn a_reference_that_an_earlier_plan_took_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let (pipeline, run_dir) = (file("tests/fixtures/tiny.yml"), folder.path().join("run"));
    let run = |stages: &str| {
        let args = ["run", pipeline.to_str().unwrap(), "--run-dir", run_dir.to_str().unwrap()];
        let ended = aqlens(folder.path(), &[&args[..], &["--set", stages]].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        Run::open(&run_dir)
    };
    assert!(count(&run(STAGES), "last_centred", "ok") > 0);
    let without = run(WITHOUT);
    assert_eq!(count(&without, "last_centred", "ok"), 0);
    assert!(count(&without, "last_centred", "no_reference") > 0);
    assert!(!without.store.exists(&REFERENCE.file(None, 0)));
}

#[test]
fn prompts_that_are_too_long_are_no_part_of_the_sample() {
    let long = format!("\"{}\"", "red ".repeat(80));
    let inputs: Vec<String> = (0..12).map(|i| format!("i{i}: a red ball {i}")).collect();
    let inputs = format!("{{long: {long}, {}}}", inputs.join(", "));
    let tasks = "{a: \"what color is the ball here?\", b: \"where is the green cup now?\"}";
    let scenarios = format!("scenarios=[{{name: s, inputs: {inputs}, tasks: {tasks}}}]");
    let stages = STAGES.replace("[0, 4]", "[0, 4], too_long: skip");
    let set = ["--set", &stages, "--set", &scenarios, "--set", "max_skipped=1"];
    let part = reference(&Run::of("tests/fixtures/tiny.yml", &set));
    assert!(part.int64s("n_prompts").unwrap().iter().all(|n| n == Some(24)));
    assert!(part.texts("status").unwrap().iter().all(|word| word == Some("ok")));
}

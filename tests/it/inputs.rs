//! Inputs in files: streamed, and the same to a run as inputs in the pipeline.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use aqlens::pipeline::Pipeline;
use aqlens::pipeline::config::load;
use aqlens::pipeline::plan::{Plan, PlanError, ShardPlan};

const N: usize = 700;

#[expect(clippy::disallowed_methods, reason = "a test's own files need no atomic writing")]
fn put(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

fn shards(pipeline: &Pipeline) -> Vec<Result<ShardPlan, PlanError>> {
    let tokenizer = pipeline.tokenizer().unwrap();
    let plan = Plan::new(pipeline, &tokenizer).unwrap();
    let shards: Vec<_> = plan.shards().collect();
    if shards.iter().all(Result::is_ok) {
        let prompts = shards.iter().flatten().map(|shard| shard.prompts.len() as u64).sum::<u64>();
        assert_eq!((plan.n_shards(), plan.n_prompts()), (shards.len() as u32, prompts));
    }
    shards
}

/// A pipeline of two scenarios with the inputs written as `inputs`, in its own folder.
fn pipeline(folder: &Path, inputs: &str) -> Pipeline {
    let model = Path::new("tests/fixtures/tiny").canonicalize().unwrap();
    let text = format!(
        "name: p\nmodel: {}\nscenarios:\n\
         - {{ name: few, inputs: {{ only: text }}, tasks: {{ t: x }} }}\n\
         - name: many\n  inputs: {inputs}\n  tasks: {{ a: one, b: [two] }}\n  \
         controls: {{ other_input: true }}\nstages: [{{ kind: extract }}]\n",
        model.display()
    );
    let path = folder.join("pipeline.yml");
    put(&path, &text.replace("[two]", "{ wordings: [two, three] }"));
    load(&path, &[]).unwrap_or_else(|error| panic!("{}", error.render(100, false)))
}

fn rows(change: impl Fn(usize) -> String) -> String {
    (0..N).fold(String::new(), |mut text, i| {
        writeln!(text, "{{\"id\": \"i{i}\", \"text\": \"{}\"}}", change(i)).unwrap();
        text
    })
}

#[test]
fn inputs_of_a_file_make_the_plan_that_inputs_of_the_pipeline_make() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("inputs.jsonl"), &rows(|i| format!("text {i}")));
    let inline = (0..N).fold(String::new(), |text, i| format!("{text}i{i}: text {i}, "));
    let inline = shards(&pipeline(folder.path(), &format!("{{ {inline} }}")));
    let file = "{ file: inputs.jsonl, id: id, text: text }";
    let streamed = shards(&pipeline(folder.path(), file));
    assert!(streamed.len() > 5);
    for (a, b) in inline.iter().zip(&streamed) {
        assert_eq!(a.as_ref().unwrap(), b.as_ref().unwrap());
    }
    assert_eq!(inline.len(), streamed.len());
    let last = streamed.last().unwrap().as_ref().unwrap().prompts.last().unwrap();
    let named = (&*last.key.input, &*last.source_input, last.key.wording);
    assert_eq!(named, ("i699", "i0", -3), "the last input takes the first one's text");
}

#[test]
fn a_file_that_changes_while_it_is_used_stops_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inputs.jsonl");
    put(&path, &rows(|i| format!("text {i}")));
    let pipeline = pipeline(folder.path(), "{ file: inputs.jsonl, id: id, text: text }");
    let whole = shards(&pipeline).len();
    put(&path, &rows(|i| format!("text {}", i.min(500))));
    let cut = shards(&pipeline);
    let error = cut.last().unwrap().as_ref().unwrap_err().to_string();
    assert!(cut.len() < whole, "nothing comes after the error");
    for word in ["inputs.jsonl changed after it was checked", "number 257 on", "run the same"] {
        assert!(error.contains(word), "{error}");
    }
}

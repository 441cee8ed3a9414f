//! Inputs in files: streamed, and the same to a run as inputs in the pipeline.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use aqlens::pipeline::Pipeline;
use aqlens::pipeline::config::{load, resolved_yaml};
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

/// A pipeline of one scenario, in its own folder.
fn of(folder: &Path, inputs: &str, tasks: &str) -> Pipeline {
    let model = Path::new("tests/fixtures/tiny").canonicalize().unwrap();
    let text = format!(
        "name: p\nmodel: {}\nscenarios:\n- name: s\n  inputs: {inputs}\n  tasks: {tasks}\n\
         stages: [{{ kind: extract }}]\n",
        model.display()
    );
    let path = folder.join("pipeline.yml");
    put(&path, &text);
    load(&path, &[]).unwrap_or_else(|error| panic!("{}", error.render(100, false)))
}

fn prompts(pipeline: &Pipeline) -> Vec<ShardPlan> {
    shards(pipeline).into_iter().map(Result::unwrap).collect()
}

#[test]
fn rows_with_one_task_id_make_the_plan_that_wordings_of_the_pipeline_make() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("tasks.csv"), "task,question\nb,two\na,one\nb,three\n");
    let inputs = "{ x: a ball, y: a cup }";
    let inline = of(folder.path(), inputs, "{ b: { wordings: [two, three] }, a: one }");
    let file = of(folder.path(), inputs, "{ file: tasks.csv, id: task, text: question }");
    assert_eq!(inline.scenarios[0].tasks, file.scenarios[0].tasks);
    assert_eq!(prompts(&inline), prompts(&file));
    assert_eq!(prompts(&file)[0].prompts.len(), 6);
}

#[test]
fn a_pattern_is_written_out_as_the_files_that_it_matched_and_loads_to_the_same_plan() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b", "a", "c"] {
        put(&folder.path().join(format!("{name}.csv")), &format!("text\n{name} one\n{name} two\n"));
    }
    let pattern = of(folder.path(), "{ file: '*.csv', id: row, text: text }", "{ t: x }");
    let ids: Vec<String> =
        prompts(&pattern)[0].prompts.iter().map(|prompt| prompt.key.input.to_string()).collect();
    assert_eq!(ids, ["a-row-1", "a-row-2", "b-row-1", "b-row-2", "c-row-1", "c-row-2"]);
    let resolved = resolved_yaml(&pattern);
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("pipeline.yml");
    put(&path, &resolved);
    put(&folder.path().join("d.csv"), "text\nanother\n");
    let again = load(&path, &[]).unwrap();
    assert_eq!((resolved_yaml(&again), prompts(&again)), (resolved.clone(), prompts(&pattern)));
    // One file of several that changed is named.
    put(&folder.path().join("b.csv"), "text\nb one\nb 2\n");
    let error = load(&path, &[]).unwrap_err().render(400, false);
    assert!(error.contains("b.csv has changed: its sha256 is"), "{error}");
    assert!(error.contains("scenarios[0].inputs.sha256[1]"), "{error}");
}

#[test]
fn files_that_are_named_wrongly_are_told_at_their_place() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("a.csv"), "id,text\na,one\n");
    let error = |inputs: &str| {
        let text = format!(
            "name: p\nmodel: m\nscenarios: [{{ name: s, inputs: {inputs}, tasks: {{ t: x }} }}]\n\
             stages: [{{ kind: extract }}]\n"
        );
        let path = folder.path().join("pipeline.yml");
        put(&path, &text);
        load(&path, &[]).unwrap_err().render(400, false)
    };
    for (file, words) in [
        ("[]", "no file is named"),
        ("[a.csv, a.csv]", "a.csv is named twice"),
        ("[a.csv, ./a.csv]", "a.csv is named twice"),
        ("[a.csv, '']", "the name of the file is empty"),
        ("5", "`file` must be text or a list of texts, found the number 5"),
        ("'*.jsonl'", "no file matches the pattern `*.jsonl`"),
        ("a.csv, sha256: [x, y]", "`sha256` has 2 hashes for 1 files"),
    ] {
        let error = error(&format!("{{ file: {file}, id: id, text: text }}"));
        assert!(error.contains(words), "{error}");
    }
    put(&folder.path().join("more.csv"), "text\none\n");
    fs::create_dir(folder.path().join("b")).unwrap();
    put(&folder.path().join("b/more.tsv"), "text\none\n");
    let error = error("{ file: [more.csv, b/more.tsv], id: row, text: text }");
    assert!(error.contains("would have the same ids"), "{error}");
}

#[test]
fn a_file_that_changes_while_it_is_used_stops_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inputs.jsonl");
    put(&path, &rows(|i| format!("text {i}")));
    let pipeline = pipeline(folder.path(), "{ file: inputs.jsonl, id: id, text: text }");
    let whole = shards(&pipeline).len();
    let tokenizer = pipeline.tokenizer().unwrap();
    let plan = Plan::new(&pipeline, &tokenizer).unwrap();
    put(&path, &rows(|i| format!("text {}", i.min(500))));
    let cut: Vec<_> = plan.shards().collect();
    assert!(cut.len() < whole, "nothing comes after the error");
    let while_used = cut.last().unwrap().as_ref().unwrap_err().to_string();
    let before = Plan::new(&pipeline, &tokenizer).unwrap_err().to_string();
    for error in [while_used, before] {
        for word in ["inputs.jsonl changed after it was checked", "number 257 on", "run the same"] {
            assert!(error.contains(word), "{error}");
        }
    }
}

//! Nothing runs that was not meant: near misses are refused, odd texts are warned of, the first
//! prompts are shown, and a neutral prefix is as long as its task for every input.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use aqlens::model::Tokenizer;
use aqlens::monitor::{Event, Monitor};
use aqlens::pipeline::Pipeline;
use aqlens::pipeline::config::load;
use aqlens::pipeline::plan::{Plan, PlanError};
use aqlens::prompt::{Prompt, Role};

use crate::support::pipeline::{Folder, GOOD};
use crate::support::{aqlens, file, put, refuses};

const INPUTS: &str = "    inputs:\n      ball: \"the red ball\"\n";

/// The good pipeline with other inputs, beside a file of two.
fn with_inputs(folder: &Folder, inputs: &str) -> String {
    let rows =
        "{\"id\": \"a\", \"question\": \"a red ball\"}\n{\"id\": \"b\", \"question\": \"a cup\"}\n";
    put(&folder.path().join("inputs.jsonl"), rows.as_bytes());
    GOOD.replace(INPUTS, &format!("    inputs: {inputs}\n"))
}

/// The pipeline in the folder, loaded; no model is run.
fn loaded(folder: &Folder, yaml: &str) -> Result<Pipeline, String> {
    let path = folder.write(yaml);
    load(&path, &[]).map_err(|error| error.render(200, false))
}

fn warnings(folder: &Folder, yaml: &str) -> Vec<String> {
    let pipeline = loaded(folder, yaml).unwrap();
    let short = |warning: &aqlens::yaml::Warning| {
        warning.to_string().replace(&format!("{}/", folder.path().display()), "")
    };
    pipeline.warnings.iter().map(short).collect()
}

#[test]
fn a_mapping_that_is_nearly_a_file_is_refused_at_its_key() {
    let folder = Folder::new();
    for (inputs, words) in [
        ("{ file: inputs.jsonl, id: id, txt: question }", ["did you mean `text`?", "\"txt\""]),
        (
            "{ file: inputs.jsonl, id: id, text: question, limit: 5 }",
            ["a file has the keys file, id, text", "\"limit\""],
        ),
        ("{ file: inputs.jsonl, ID: id, Text: question }", ["did you mean `id`?", "`text`?"]),
        ("{ path: inputs.jsonl, id: id, text: question }", ["did you mean `file`?", "\"path\""]),
        ("{ File: inputs.jsonl, id: id, text: question }", ["did you mean `file`?", "\"File\""]),
        ("{ source: inputs, key: id, column: question }", ["did you mean `file`?", "`text`?"]),
        ("{ file: inputs.jsonl, question: q }", ["unknown key \"question\"", "another name"]),
        ("{ id: a, text: a red ball }", ["write `NAME: \"TEXT\"`", "called `id`"]),
        ("{ file: A steel file., text: A page of text. }", ["holds a text", "another name"]),
    ] {
        folder.write(&with_inputs(&folder, inputs));
        refuses(&aqlens(folder.path(), &["check", "pipeline.yml"]), 2, &words);
    }
    let tasks = GOOD
        .replace("      color: \"what color is the ball?\"\n", "      file: t.csv\n      id: i\n");
    let said = loaded(&folder, &tasks.replace("where: \"where", "txt: \"where")).unwrap_err();
    assert!(said.contains("did you mean `text`?"), "{said}");
    let tasks = GOOD.replace("color: \"what", "wordings: \"what");
    let said = loaded(&folder, &tasks).unwrap_err();
    assert!(said.contains("write the task's name in front"), "{said}");
}

#[test]
fn inputs_that_are_called_like_keys_stay_inputs() {
    let folder = Folder::new();
    for (inputs, n) in [
        ("{ file: A steel file., key: A key on a table. }", 2),
        ("{ file: A steel file., text: A page., ball: A ball. }", 3),
        ("{ fire: A fire., test: A test., in: A pin. }", 3),
        ("{ path: A path in a wood., id: A card., text: A page. }", 3),
        ("{ id: A card., ball: A ball. }", 2),
        ("{ source: A spring. }", 1),
        ("{ file: inputs.jsonl, id: id, text: question }", 2),
    ] {
        let pipeline = loaded(&folder, &with_inputs(&folder, inputs));
        let pipeline = pipeline.unwrap_or_else(|said| panic!("{inputs}: {said}"));
        assert_eq!(pipeline.scenarios[0].inputs.len(), n, "{inputs}");
    }
}

#[test]
fn a_neutral_text_that_is_nearly_auto_is_refused() {
    let folder = Folder::new();
    let with = |text: &str| {
        GOOD.replace("stages:", &format!("    controls: {{ neutral: {text} }}\nstages:"))
    };
    for (text, words) in [
        ("Auto", "did you mean `auto`?"),
        ("atuo", "did you mean `auto`?"),
        ("none", "leave `neutral` out"),
        ("yes", "write `auto`"),
    ] {
        let said = loaded(&folder, &with(text)).unwrap_err();
        assert!(said.contains(words), "{text}: {said}");
    }
    for text in ["auto", "\"No.\"", "A text about a few things."] {
        loaded(&folder, &with(text)).unwrap();
    }
}

#[test]
fn what_was_perhaps_not_meant_is_warned_of_with_its_place() {
    let folder = Folder::new();
    let prompt = "prompt: \"{task}\\n{input}:\"";
    assert!(GOOD.contains(prompt));
    let one = |from: &str, to: &str, place: &str, words: &str| {
        let found = warnings(&folder, &GOOD.replace(from, to));
        assert_eq!(found.len(), usize::from(!words.is_empty()), "{to}: {found:?}");
        for warning in found {
            assert!(warning.starts_with(place) && warning.contains(words), "{to}: {warning}");
            assert!(!warning.contains('\n'), "{warning:?}");
        }
    };
    one(prompt, prompt, "", "");
    one(
        prompt,
        r"prompt: '{task}\n{input}:'",
        "pipeline.yml:3: ",
        "two characters in single quotes",
    );
    one(prompt, "prompt: \"{task}\\n{input}: \"", "pipeline.yml:3: ", "ends in a blank");
    one(prompt, "prompt: |\n  {task}\n  {input}:", "pipeline.yml:3: ", "ends in a line break");
    one(prompt, "prompt: \"{task}\\n{ input }{input}:\"", "pipeline.yml:3: ", "\"{ input }\"");
    one(prompt, "prompt: \"${task}\\n{input}:\"", "pipeline.yml:3: ", "`$` stays");
    one(prompt, "prompt: \"{task}\\n{input}\\u00a0:\"", "pipeline.yml:3: ", "cannot be seen");
    let color = "color: \"what color is the ball?\"";
    one(
        color,
        "color: \"what color is {input}?\"",
        "pipeline.yml:9: ",
        "has {task} or {input} in it",
    );
    one(
        color,
        r"color: 'what color?\n'",
        "pipeline.yml:9: ",
        "`\\n` is a line break in double quotes",
    );
    one(color, "color: |\n        what color?", "pipeline.yml:9: ", "ends in a line break");
    one(color, "color: \" what color?\"", "pipeline.yml:9: ", "begins or ends with a blank");
    one(color, "color: where is the ball?", "pipeline.yml:10: ", "are the same text");
    one(color, "color: Where  is the ball?", "pipeline.yml:10: ", "differ in blanks or case only");
    one(
        color,
        "color: { wordings: [What is it?, what  is it?] }",
        "pipeline.yml:9: ",
        "two wordings of task \"color\"",
    );
    let shown = "color: { examples: [{ input: The red  ball, answer: red }, { input: a hat, answer: none }] }";
    one(color, shown, "pipeline.yml:9: ", "has an example that is an input too, \"ball\"");
    one(color, &shown.replace("The red  ball", "a blue ball"), "", "");
    let ball = "ball: \"the red ball\"";
    one(ball, "ball: x\n      cup: x", "pipeline.yml:8: ", "1 of the 2 inputs of scenario \"one\"");
    one(ball, "ball: texts.csv", "pipeline.yml:7: ", "looks like the name of a file");
    let both = warnings(&folder, &GOOD.replace(prompt, "prompt: \"{{task}}\\n{{input}}:\""));
    assert!(both.len() == 1 && both[0].contains("outer braces stay"), "{both:?}");
    assert!(both[0].ends_with("(and 1 more like it)"), "{both:?}");
}

#[test]
fn examples_that_a_file_of_inputs_has_are_warned_of() {
    let folder = Folder::new();
    let yaml = with_inputs(&folder, "{ file: inputs.jsonl, id: id, text: question }");
    let examples =
        "color: { examples: [{ input: a cup, answer: none }, { input: a red ball, answer: red }] }";
    let color = "color: \"what color is the ball?\"";
    let found = warnings(&folder, &yaml.replace(color, examples));
    assert_eq!(found.len(), 1, "{found:?}");
    let words =
        "task \"color\" of scenario \"one\" has 2 examples that are inputs too, the first, \"b\"";
    assert!(found[0].contains(words), "{found:?}");
    assert_eq!(warnings(&folder, &yaml), Vec::<String>::new());
}

#[test]
fn repeated_texts_of_a_file_are_warned_of() {
    let folder = Folder::new();
    let yaml = with_inputs(&folder, "{ file: inputs.jsonl, id: id, text: question }");
    let mut rows = String::new();
    for i in 0..30 {
        writeln!(rows, "{{\"id\": \"{i}\", \"question\": \"scene {}\"}}", i % 6).unwrap();
    }
    put(&folder.path().join("inputs.jsonl"), rows.as_bytes());
    let found = warnings(&folder, &yaml);
    assert_eq!(found.len(), 1, "{found:?}");
    let words = "24 of the 30 inputs of scenario \"one\" have the text of an earlier one, the first \
                 are numbers 1 and 7 of the file";
    assert!(found[0].contains(words), "{found:?}");
}

#[test]
fn warnings_are_said_by_check_and_by_run_and_change_no_exit_code() {
    let folder = Folder::new();
    let yaml = GOOD.replace("{input}:\"", "{input}: \"");
    folder.write(&yaml);
    let said = "pipeline.yml:3: the prompt ends in a blank";
    let checked = aqlens(folder.path(), &["check", "pipeline.yml"]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    assert!(checked.stdout.contains("no problems, 1 warning"), "{}", checked.stdout);
    assert!(checked.stdout.contains(&format!("warning   {said}")), "{}", checked.stdout);
    let checked = aqlens(folder.path(), &["check", "pipeline.yml", "--json"]);
    let object: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(object["warnings"][0]["place"], "pipeline.yml:3", "{object}");
    assert_eq!(object["warnings"][0]["at"], "prompt", "{object}");
    let ran = folder.run(&yaml);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("warning: {said}")), "{}", ran.stderr);
    let again = aqlens(folder.path(), &["run", "pipeline.yml", "--log", "plain"]);
    assert!(!again.stderr.contains("warning"), "nothing is run: {}", again.stderr);
}

#[test]
fn check_shows_the_first_prompt_of_each_scenario_as_the_model_reads_it() {
    let folder = Folder::new();
    let scenario = |i: usize| {
        format!(
            "  - name: s{i}\n    inputs: {{ ball: \"the\\tred ball \" }}\n    tasks: {{ color: what \
             color?, where: where? }}\n"
        )
    };
    let scenarios: String = (0..5).map(scenario).collect();
    let start = GOOD.find("  - name: one").unwrap();
    let end = GOOD.find("stages:").unwrap();
    let yaml = format!("{}{scenarios}{}", &GOOD[..start], &GOOD[end..]);
    folder.write(&yaml);
    let text = aqlens(folder.path(), &["check", "pipeline.yml"]).stdout;
    let pipeline = loaded(&folder, &yaml).unwrap();
    let tokenizer = Tokenizer::load(&pipeline.card).unwrap();
    let prompt = "what color?\nthe\tred ball :";
    let ids = tokenizer.encode(prompt, 0..0).unwrap().ids;
    let n = ids.len();
    let last = tokenizer.decode_token(ids[n - 1]);
    let expected = format!(
        "first     s0/ball/color: {n} tokens, the last one \"{last}\"; special tokens that are added: none"
    );
    assert!(text.contains(&expected), "no {expected} in\n{text}");
    assert!(
        text.contains("            \"what color?\\n\"\n            \"the\\tred ball :\"\n"),
        "{text}"
    );
    assert!(text.contains("          where: "), "{text}");
    assert!(text.contains("and those of 2 more scenarios"), "{text}");

    let long = yaml.replace("the\\tred ball ", &"a ".repeat(3000));
    folder.write(&long.replace("layers: [0, 4]", "too_long: skip"));
    let ended =
        aqlens(folder.path(), &["check", "pipeline.yml", "--json", "--set", "max_skipped=1"]);
    let object: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let first = &object["first_prompts"]["shown"][0];
    assert_eq!(first["text"]["left_out"], 6000 + "what color?\n:".len() - 800, "{object}");
    assert_eq!(object["first_prompts"]["more_scenarios"], 2, "{object}");
}

/// Each neutral prompt of a pipeline behind its task's own for the same input.
fn pairs(pipeline: &Pipeline, tokenizer: &Tokenizer) -> Vec<[Prompt; 2]> {
    let plan = Plan::new(pipeline, tokenizer).unwrap();
    let (mut own, mut pairs) = (BTreeMap::new(), Vec::new());
    for prompt in plan.shards().flat_map(|shard| shard.unwrap().prompts) {
        let key =
            [&prompt.key.scenario, &prompt.key.input, &prompt.key.task].map(ToString::to_string);
        match (prompt.role(), prompt.key.wording) {
            (Role::Task, 0) => assert!(own.insert(key, prompt).is_none()),
            (Role::Neutral, _) => pairs.push([own[&key].clone(), prompt]),
            _ => {}
        }
    }
    pairs
}

#[test]
fn a_neutral_prompt_is_as_long_as_its_task_for_every_input() {
    let folder = Folder::new();
    let yaml = GOOD
        .replace("\"{task}\\n{input}:\"", "\"{task}{input}\"")
        .replace(
            INPUTS,
            "    inputs: { a: s on a table, b: \" red ball\", c: ing a cup, d: 1 ball, e: \", and a \
             ball\", f: \"?\" }\n    controls: { neutral: auto }\n",
        )
        .replace("what color is the ball?", "Tell me the color of ball")
        .replace("where is the ball?", "Where is it");
    for model in ["tests/fixtures/tiny", "data/demo"] {
        let path = folder.write(&yaml.replace("MODEL", file(model).to_str().unwrap()));
        let pipeline = load(&path, &[]).unwrap();
        let tokenizer = Tokenizer::load(&pipeline.card).unwrap();
        let pairs = pairs(&pipeline, &tokenizer);
        assert_eq!(pairs.len(), 24);
        for [task, neutral] in &pairs {
            let [n, m] = [task, neutral].map(|p| tokenizer.encode_prompt(p).unwrap().ids.len());
            assert_eq!(n, m, "{model}: {:?} and {:?}", task.text, neutral.text);
        }
        let plan = Plan::new(&pipeline, &tokenizer).unwrap();
        assert!(plan.warnings().is_empty(), "{:?}", plan.warnings());
        // Tokens of the demo model, as those of GPT-2, go across the seam.
        let neutral = |task: &'static str| -> BTreeSet<&str> {
            let of_task = pairs.iter().filter(|pair| *pair[1].key.task == *task);
            of_task.map(|[_, p]| &p.text[p.task_spans[0].clone()]).collect()
        };
        let n = neutral("color").len() + neutral("where").len();
        assert!(n > 4 || model != "data/demo", "{model}: {n} texts for 2 tasks");
    }
}

#[test]
fn a_task_that_no_filler_is_as_long_as_is_warned_of() {
    let folder = Folder::new();
    // "red" is one token, and whatever the filler ends in stands beside an "ed".
    let yaml = GOOD
        .replace("MODEL", file("data/demo").to_str().unwrap())
        .replace("\"{task}\\n{input}:\"", "\"{task}ed {input}:\"")
        .replace("what color is the ball?", "r")
        .replace(INPUTS, "    inputs: { a: ball, b: cup }\n    controls: { neutral: auto }\n");
    let pipeline = loaded(&folder, &yaml).unwrap();
    let tokenizer = Tokenizer::load(&pipeline.card).unwrap();
    let plan = Plan::new(&pipeline, &tokenizer).unwrap();
    let length = |p: &Prompt| tokenizer.encode_prompt(p).unwrap().ids.len();
    let pairs = pairs(&pipeline, &tokenizer);
    let unfit = pairs.iter().filter(|[task, neutral]| length(task) != length(neutral));
    let unfit: BTreeSet<_> = unfit.map(|[task, _]| task.key.to_string()).collect();
    assert_eq!(unfit.len(), 2, "{unfit:?}");
    let said: Vec<String> = plan.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 1);
    let words = "for 2 pairs of input and task, the first of them input \"a\" and task \"color\"";
    assert!(said[0].contains(words), "{said:?}");
}

/// Says to stop from the start.
struct Stopped;

impl Monitor for Stopped {
    fn event(&self, _event: &Event<'_>) {}

    fn is_interrupted(&self) -> bool {
        true
    }
}

#[test]
fn a_plan_stops_when_it_is_asked_to() {
    let sets = ["scenarios[0].controls.neutral=auto".to_owned()];
    let pipeline = load(Path::new("tests/fixtures/tiny.yml"), &sets).unwrap();
    let tokenizer = Tokenizer::load(&pipeline.card).unwrap();
    let plan = Plan::heeding(&pipeline, &tokenizer, &Stopped);
    assert!(matches!(plan, Err(PlanError::Interrupted)), "{plan:?}");
}

#[test]
fn many_unknown_keys_are_all_reported_in_one_pass() {
    let folder = Folder::new();
    let n = 5_000;
    let mut yaml = GOOD.to_owned();
    for i in 0..n {
        writeln!(yaml, "k{i}: 1").unwrap();
    }
    yaml.push_str("seeds: 3\n");
    let said = loaded(&folder, &yaml).unwrap_err();
    assert!(said.contains(&format!("{} problems in", n + 1)), "{}", &said[said.len() - 300..]);
    assert!(said.contains("unknown key `k0`") && said.contains("k49"), "the first 50 are shown");
    let more = format!("and {} more, shown once these are solved", n + 1 - 50);
    assert!(said.contains(&more), "{}", &said[said.len() - 300..]);
}

#[test]
fn a_long_task_has_controls_that_are_made_in_one_pass() {
    let folder = Folder::new();
    let task = "red ball ".repeat(20_000);
    let yaml = GOOD
        .replace("what color is the ball?", task.trim_end())
        .replace("stages:", "    controls: { neutral: auto, scrambled: true }\nstages:");
    folder.write(&yaml);
    let ended = aqlens(folder.path(), &["check", "pipeline.yml"]);
    refuses(&ended, 2, &["prompts", "are longer than the model's"]);
}

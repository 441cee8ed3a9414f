//! What a user sees of a pipeline file that is wrong. Every file in `fixtures/bad` has its
//! snapshot.

use std::fs;
use std::path::Path;

use aqlens::model::Tokenizer;
use aqlens::pipeline::config::{ConfigError, json_schema, load, resolved_yaml};
use aqlens::pipeline::plan::{Plan, ShardPlan};
use aqlens::pipeline::{FileSource, Input, Pipeline, Scenario};
use aqlens::prompt::{Prompt, Role};
use aqlens::stage::{Scope, Stage};

use crate::chat::{RENDERED, TEMPLATE, chat_model};

const WIDTH: usize = 100;

fn shown(path: &str, overrides: &[&str]) -> String {
    let overrides: Vec<String> = overrides.iter().map(|&set| set.to_owned()).collect();
    load(Path::new(path), &overrides).unwrap_err().render(WIDTH, false)
}

fn tiny(overrides: &[&str]) -> Result<Pipeline, ConfigError> {
    let overrides: Vec<String> = overrides.iter().map(|&set| set.to_owned()).collect();
    load(Path::new("tests/fixtures/tiny.yml"), &overrides)
}

#[test]
fn all_problems_of_every_wrong_file_are_shown() {
    let mut names: Vec<String> = fs::read_dir("tests/fixtures/bad")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".yml").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        let text = shown(&format!("tests/fixtures/bad/{name}.yml"), &[]);
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn problems_of_a_set_are_shown_in_the_set() {
    let text = shown(
        "tests/fixtures/tiny.yml",
        &[
            "stages.extract.layers=[0, 7]",
            "stages.0.too_lang=skip",
            "stages[1].kind=similarty",
            "thread=4",
            "seed=x",
            "scenarios.odd-texts.inputs.braces=3",
            "scenarios.none.name=x",
            "prompt={task} {input}",
            "name.first=x",
            "provider",
            "retain=",
        ],
    );
    insta::assert_snapshot!(text);
}

#[test]
fn a_number_that_is_too_large_is_shown_the_bounds() {
    for (set, rule) in [
        ("shard_inputs=4294967296", "a whole number from 1 to 4294967295"),
        ("seed=18446744073709551616", "a whole number from 0 to 18446744073709551615"),
        ("stages.extract.batch_tokens=1e30", "a whole number from 0 to 4294967295"),
        ("stages.extract.layers=[9223372036854775808]", "to 9223372036854775807"),
        ("shard_inputs=0", "a whole number, 1 or more"),
    ] {
        let text = shown("tests/fixtures/tiny.yml", &[set]);
        let flat = text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>();
        assert!(flat.join(" ").contains(rule), "{set}: {text}");
    }
}

#[test]
fn a_model_of_a_set_is_looked_for_from_the_working_directory() {
    let text = shown("tests/fixtures/tiny.yml", &["model=no/such/folder"]);
    insta::assert_snapshot!(text);
}

#[test]
fn a_missing_pipeline_is_named_with_the_cause() {
    let text = shown("tests/fixtures/no-such.yml", &[]);
    insta::assert_snapshot!(text, @"error: cannot read pipeline tests/fixtures/no-such.yml: No such file or directory (os error 2)");
}

#[test]
fn a_huge_pipeline_is_refused_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.yml");
    let file = fs::OpenOptions::new().write(true).create_new(true).open(&path).unwrap();
    file.set_len(17 * 1024 * 1024).unwrap();
    let text = shown(path.to_str().unwrap(), &[]).replace(folder.path().to_str().unwrap(), "DIR");
    insta::assert_snapshot!(text);
}

#[test]
fn colour_is_used_only_when_it_is_asked_for() {
    let path = Path::new("tests/fixtures/bad/name.yml");
    let error = load(path, &[]).unwrap_err();
    assert!(error.render(WIDTH, true).contains("\u{1b}["));
    assert!(!error.render(WIDTH, false).contains('\u{1b}'));
}

#[test]
fn the_tiny_pipeline_loads_with_texts_in_order() {
    let pipeline = tiny(&[]).unwrap();
    assert_eq!(pipeline.layers, [0, 1, 3, 4]);
    assert_eq!((pipeline.seed, pipeline.tf32, pipeline.shard_inputs), (37, false, None));
    let summary = pipeline.stages.iter().find(|stage| stage.kind() == "summary").unwrap();
    assert_eq!(summary.settings()["threshold"], 0.57, "summary judges by divergence's threshold");
    let [odd, files] = pipeline.scenarios.as_slice() else { panic!("two scenarios") };
    let ids: Vec<String> = inputs_of(odd).into_iter().map(|input| input.id).collect();
    assert_eq!(ids[..3], ["one-token", "leading-space", "emoji"]);
    assert_eq!(odd.tasks[2].wordings, ["where is the cup?", "the cup is where?"]);
    let quoted = "what is \"next to\" it, and what\nis under it?";
    assert_eq!(files.tasks[1].wordings, [quoted]);
    let Some(FileSource { id, .. }) = &files.tasks_file else { panic!("tasks come from a file") };
    assert_eq!(id, "task");
}

#[test]
fn a_set_changes_any_field() {
    let pipeline = tiny(&[
        "model=tests/fixtures/tiny",
        "stages.extract.layers=[4, 0]",
        "stages.2.threshold=0.25",
        "provider=cpu",
        "retain=[logits]",
        "scenarios.odd-texts.inputs.new=another text",
        "shard_inputs=2",
        "prompt='{task}={input}'",
    ])
    .unwrap();
    assert_eq!(pipeline.layers, [0, 4]);
    assert_eq!(pipeline.forms[0].config.prompt.as_deref(), Some("{task}={input}"));
    assert_eq!(pipeline.retain.iter().collect::<Vec<_>>(), ["logits"]);
    let inputs = inputs_of(&pipeline.scenarios[0]);
    let new = inputs.last().unwrap();
    assert_eq!((new.id.as_str(), new.text.as_str()), ("new", "another text"));
    assert!(resolved_yaml(&pipeline).contains("threshold: 0.25"));
    let shards = shards_of(&pipeline);
    assert_eq!(shards.len(), (10_usize + 3).div_ceil(2));
}

#[test]
fn ids_may_hold_anything_that_is_text() {
    let ids = [
        "a/b",
        "../x",
        "<b>&amp;</b>",
        "say \"hi\"",
        "it's",
        "a.b",
        "1",
        "true",
        "null",
        "日本",
        "a: b #c",
    ];
    let inputs: Vec<String> =
        ids.iter().map(|id| format!("{}: text", serde_json::to_string(id).unwrap())).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.yml");
    let model = Path::new("tests/fixtures/tiny").canonicalize().unwrap();
    let text = format!(
        "name: odd\nmodel: {}\nscenarios:\n  - name: 'a/<b>\"'\n    inputs: {{{}}}\n    tasks: {{ t: x }}\nstages: [{{ kind: extract }}]\n",
        model.display(),
        inputs.join(", ")
    );
    put(&path, &text);
    let pipeline = load(&path, &[]).unwrap();
    let read: Vec<String> =
        inputs_of(&pipeline.scenarios[0]).into_iter().map(|input| input.id).collect();
    assert_eq!(read, ids);
    let again = folder.path().join("again.yml");
    put(&again, &resolved_yaml(&pipeline));
    assert_eq!(load(&again, &[]).unwrap().scenarios, pipeline.scenarios);
}

#[test]
fn a_resolved_pipeline_loads_to_the_same_pipeline_from_anywhere() {
    let pipeline = tiny(&["shard_inputs=3", "retain=[activations]", "tf32=true"]).unwrap();
    let resolved = resolved_yaml(&pipeline);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipeline.yml");
    put(&path, &resolved);
    let again = load(&path, &[]).unwrap_or_else(|error| panic!("{}", error.render(WIDTH, false)));
    assert_eq!(resolved_yaml(&again), resolved);
    assert_eq!(again.scenarios, pipeline.scenarios);
    assert_eq!(shards_of(&again), shards_of(&pipeline));
    let here = std::env::current_dir().unwrap();
    insta::assert_snapshot!(resolved.replace(here.to_str().unwrap(), "ROOT"));
}

#[test]
fn an_input_file_that_changed_under_a_resolved_pipeline_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let texts = folder.path().join("texts.csv");
    put(&texts, "id,text\na,one\n");
    let file = format!("{{ file: {}, id: id, text: text }}", texts.display());
    let pipeline = tiny(&[&format!("scenarios.1.inputs={file}")]).unwrap();
    let path = folder.path().join("pipeline.yml");
    put(&path, &resolved_yaml(&pipeline));
    load(&path, &[]).unwrap();
    put(&texts, "id,text\na,two\n");
    let error = load(&path, &[]).unwrap_err().render(WIDTH, false);
    assert!(error.contains("has changed: its sha256 is"), "{error}");
}

/// An older pipeline lists `effect` before `geometry`, whose tables it now tests.
#[test]
fn stages_over_the_run_come_after_those_whose_tables_they_use() {
    let older = Path::new("tests/fixtures/runs/v1.yml");
    let pipeline = load(older, &["model=tests/fixtures/tiny".to_owned()]).unwrap();
    let kinds = |stages: &[&dyn Stage]| -> Vec<&str> {
        let of_run = stages.iter().filter(|stage| stage.scope() == Scope::Run);
        of_run.map(|stage| stage.kind()).collect()
    };
    let listed: Vec<&dyn Stage> = pipeline.stages.iter().map(AsRef::as_ref).collect();
    let expected = ["divergence", "variance", "effect", "geometry", "summary", "report"];
    assert_eq!(kinds(&listed), expected);
    let expected = ["divergence", "variance", "geometry", "effect", "summary", "report"];
    assert_eq!(kinds(&pipeline.stages_of(Scope::Run)), expected);
}

#[test]
fn a_plan_keeps_inputs_whole_and_in_order() {
    let pipeline = tiny(&["shard_inputs=4"]).unwrap();
    let shards = shards_of(&pipeline);
    let sizes: Vec<usize> = shards.iter().map(|shard| shard.prompts.len()).collect();
    assert_eq!(sizes, [16, 16, 4 + 12]);
    let parts: Vec<u32> = shards.iter().map(|shard| shard.part).collect();
    assert_eq!(parts, [0, 1, 2]);
    let keys: Vec<String> =
        shards[0].prompts.iter().take(5).map(|prompt| prompt.key.to_string()).collect();
    assert_eq!(
        keys,
        [
            "odd-texts/one-token/mark",
            "odd-texts/one-token/color",
            "odd-texts/one-token/where",
            "odd-texts/one-token/where#1",
            "odd-texts/leading-space/mark",
        ]
    );
    for prompt in shards.iter().flat_map(|shard| &shard.prompts) {
        let input = pipeline
            .scenarios
            .iter()
            .flat_map(inputs_of)
            .find(|input| *input.id == *prompt.key.input)
            .unwrap();
        assert_eq!(prompt.text[prompt.input_span.clone()], input.text, "{}", prompt.key);
    }
    let default: Vec<usize> =
        shards_of(&tiny(&[]).unwrap()).iter().map(|shard| shard.prompts.len()).collect();
    assert_eq!(default, [48]);
}

#[test]
fn the_committed_schema_is_that_of_the_code() {
    let path = "pipelines/pipeline.schema.json";
    if std::env::var_os("AQLENS_UPDATE").is_some() {
        put(Path::new(path), &json_schema());
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == json_schema(),
        "{path} is out of date: run this test with AQLENS_UPDATE=1, or \
         `aqlens schema --pipeline > {path}`"
    );
}

#[expect(clippy::disallowed_methods, reason = "a test's own files need no atomic writing")]
fn put(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

#[test]
fn every_shipped_pipeline_and_the_documented_one_load() {
    let documented = fs::read_to_string("pipelines/README.md").unwrap();
    let yaml = documented.split("```").nth(1).unwrap().strip_prefix("yaml\n").unwrap();
    let yaml = yaml.replace("../data/inputs.jsonl", "tests/fixtures/tiny-inputs.jsonl");
    let yaml = yaml.replace("../data/tasks.csv", "tests/fixtures/tiny-tasks.csv");
    let here = std::env::current_dir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("documented.yml");
    put(&path, &yaml.replace("tests/", &format!("{}/tests/", here.display())));
    let mut paths = vec![path];
    for entry in fs::read_dir("pipelines").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "yml") {
            paths.push(path);
        }
    }
    assert!(paths.len() > 1);
    // The tiny model has five layers, and any pipeline can use it: as a chat model where the
    // pipeline asks for the model's own template.
    let chat = chat_model(TEMPLATE, RENDERED);
    for path in paths {
        let talks = fs::read_to_string(&path).unwrap().contains("chat:");
        let model = if talks { chat.path() } else { Path::new("tests/fixtures/tiny") };
        let mut sets =
            vec![format!("model={}", model.display()), "stages.extract.layers=[0, 4]".to_owned()];
        if path.ends_with("scenes.yml") {
            sets.push("stages.summary.layers=[4]".to_owned());
        }
        load(&path, &sets).unwrap_or_else(|error| panic!("{}", error.render(WIDTH, false)));
    }
}

fn inputs_of(scenario: &Scenario) -> Vec<Input> {
    scenario.inputs.read().map(Result::unwrap).collect()
}

/// The shards of a pipeline's plan.
fn shards_of(pipeline: &Pipeline) -> Vec<ShardPlan> {
    let plan = Plan::new(pipeline, &Tokenizer::load(&pipeline.card).unwrap()).unwrap();
    let shards: Vec<ShardPlan> = plan.shards().map(Result::unwrap).collect();
    assert_eq!(plan.n_shards() as usize, shards.len());
    assert_eq!(plan.n_prompts() as usize, shards.iter().flat_map(|s| &s.prompts).count());
    shards
}

#[test]
fn controls_follow_the_wordings_of_their_task() {
    let set = [
        "scenarios[0].controls.neutral=auto",
        "scenarios[0].controls.scrambled=true",
        "scenarios[0].controls.other_input=true",
    ];
    let pipeline = tiny(&set).unwrap();
    let tokenizer = Tokenizer::load(&pipeline.card).unwrap();
    let shards = shards_of(&pipeline);
    let prompts: Vec<&Prompt> = shards.iter().flat_map(|shard| &shard.prompts).collect();
    let of_first = |p: &&&Prompt| {
        (&p.key.scenario, &p.key.input, &p.key.task)
            == (&prompts[0].key.scenario, &prompts[0].key.input, &"color".into())
    };
    let first: Vec<&Prompt> = prompts.iter().filter(of_first).copied().collect();
    let roles: Vec<Role> = first.iter().map(|p| p.role()).collect();
    let controls = &roles[roles.len() - 4..];
    assert_eq!(controls[0], Role::Neutral, "`auto` makes two");
    assert_eq!(controls[1..], Role::CONTROLS);
    let tokens = |p: &Prompt| tokenizer.encode_prompt(p).unwrap();
    let [one, another, scrambled, other] = &first[first.len() - 4..] else { unreachable!() };
    for neutral in [one, another] {
        assert_eq!(tokens(neutral).ids.len(), tokens(first[0]).ids.len(), "{}", neutral.text);
        assert_eq!(tokens(neutral).input, tokens(first[0]).input);
    }
    assert_ne!(one.text, another.text);
    assert_eq!([one.key.wording, another.key.wording], [-1, -4]);
    assert_ne!(scrambled.text, first[0].text);
    assert_ne!(other.source_input, other.key.input);
    let task = &first[0].text[first[0].task_spans[0].clone()];
    assert_eq!(&other.text[other.task_spans[0].clone()], task);
    let of_sign = |p: &&&Prompt| (&*p.key.input, &*p.key.task) == (&*first[0].key.input, "mark");
    let mut of_sign: Vec<Role> = prompts.iter().filter(of_sign).map(|p| p.role()).collect();
    of_sign.dedup();
    assert_eq!(of_sign, [Role::Task, Role::Neutral, Role::OtherInput], "a sign has no other order");
    let resolved = resolved_yaml(&pipeline);
    let flat: String = resolved.split_whitespace().collect();
    assert!(flat.contains("neutral:auto:2"), "{resolved}");
}

#[test]
fn a_sample_does_not_depend_on_the_shards() {
    let sample = |set: &[&str]| {
        let pipeline = tiny(set).unwrap();
        let plan = Plan::new(&pipeline, &Tokenizer::load(&pipeline.card).unwrap()).unwrap();
        plan.sample(5, 37).unwrap()
    };
    let sampled = sample(&["shard_inputs=1"]);
    assert_eq!(sampled, sample(&["shard_inputs=7"]));
    let scenarios: Vec<&str> = sampled.iter().map(|prompt| &*prompt.key.scenario).collect();
    assert_eq!(scenarios, [["odd-texts"; 5], ["from-files"; 5]].concat(), "five of each");
}

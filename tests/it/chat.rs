//! Prompts by the model's own chat template, several forms of one scenario, and tasks by example.

use aqlens::model::{ChatTemplate, ModelCard, Tokenizer};
use aqlens::pipeline::plan::Plan;
use aqlens::pipeline::{Pipeline, config};
use aqlens::prompt::Prompt;
use aqlens::store::Store;
use aqlens::table::reader::{Part, read_part};
use aqlens::table::schema::{PROMPTS, VERDICT};
use aqlens::table::writer::PartAddress;
use serde_json::{Value, json};

use crate::model_format2::folder;
use crate::support::tiny::{self, Copy};
use crate::support::{aqlens, put};

/// A template that trims, has a default system message and takes no role it does not know.
pub(crate) const TEMPLATE: &str = "{% if messages[0].role != 'system' %}[sys]Help.\n{% endif %}\
    {% for m in messages %}{% if m.role not in ['system', 'user', 'assistant'] %}\
    {{ raise_exception('no role ' + m.role) }}{% endif %}\
    [{{ m.role }}]{{ m.content | trim }}<|endoftext|>\n{% endfor %}\
    {% if add_generation_prompt %}[assistant]{% endif %}";

/// What it makes of one message.
pub(crate) const RENDERED: &str = "[sys]Help.\n[user]Hi there<|endoftext|>\n[assistant]";

/// The tiny model as a chat model.
pub(crate) fn chat_model(template: &str, rendered: &str) -> Copy {
    let copy = folder();
    let ids = tiny::tokenizer().encode(rendered, 0..0).unwrap().ids;
    copy.edit_card(|card| {
        card["chat_template"] = template.into();
        card["probe"]["conversations"] = json!([{
            "messages": [{ "role": "user", "content": "Hi there" }],
            "add_generation_prompt": true, "text": rendered, "ids": ids,
        }]);
    });
    copy
}

/// A pipeline on the model, with this for its form and this for its tasks.
fn pipeline(model: &Copy, form: &str, tasks: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yml");
    let model = model.path().display();
    let text = format!(
        "name: chat\nmodel: {model}\n{form}\nscenarios:\n  - name: one\n    inputs:\n      \
         ball: \"the red ball\"\n      cup: \"a {{task}} cup \"\n    tasks:\n{tasks}\nstages:\n  \
         - kind: extract\n    layers: [0, 4]\n  - kind: similarity\n  - kind: divergence\n  \
         - kind: tokens\n  - kind: summary\n"
    );
    put(&path, text.as_bytes());
    (folder, path)
}

const TASKS: &str = "      color: \"what color?\"\n      where: \"where is it?\"";

const CHAT: &str = "chat:\n  system: \"Be brief.\"\n  user: \"{task}\\nContext: {input}\"\n  assistant: \"Answer:\"";

fn part(run: &std::path::Path, table: &'static aqlens::table::Table, columns: &[&str]) -> Part {
    read_part(&Store::open(run), PartAddress::new(table, 0), columns).unwrap()
}

fn prompts(pipeline: &Pipeline) -> Vec<Prompt> {
    let tokenizer = pipeline.tokenizer().unwrap();
    let plan = Plan::new(pipeline, &tokenizer).unwrap();
    plan.shards().flat_map(|shard| shard.unwrap().prompts).collect()
}

/// The only problem of a pipeline, in words.
fn problem(path: &std::path::Path) -> String {
    config::load(path, &[]).unwrap_err().render(400, false)
}

#[test]
fn a_chat_is_rendered_and_task_and_input_are_found_in_it() {
    let model = chat_model(TEMPLATE, RENDERED);
    let (_folder, path) = pipeline(&model, CHAT, TASKS);
    let pipeline = config::load(&path, &[]).unwrap();
    let prompts = prompts(&pipeline);
    assert_eq!(prompts.len(), 4);
    assert_eq!(
        prompts[0].text,
        "[system]Be brief.<|endoftext|>\n[user]what color?\nContext: the red ball<|endoftext|>\n\
         [assistant]Answer:"
    );
    for prompt in &prompts {
        let input = if &*prompt.key.input == "ball" { "the red ball" } else { "a {task} cup" };
        let task = if &*prompt.key.task == "color" { "what color?" } else { "where is it?" };
        assert_eq!(&prompt.text[prompt.input_span.clone()], input, "its blank is at the edge");
        let tasks: Vec<&str> = prompt.task_spans.iter().map(|s| &prompt.text[s.clone()]).collect();
        assert_eq!(tasks, [task]);
        assert!(prompt.is_bare && &*prompt.form == "chat");
    }
}

#[test]
fn the_resolved_pipeline_gives_the_same_prompts() {
    let model = chat_model(TEMPLATE, RENDERED);
    let forms = "forms:\n  plain: { prompt: \"{task} {input}:\" }\n  talk:\n    messages:\n      \
                 - { role: user, content: \"{task} {input}\" }";
    let by_example = format!(
        "{TASKS}\n      shown:\n        wording: \"Name it.\"\n        shots: 2\n        examples:\n          \
         - {{ input: \"a blue hat\", answer: blue }}\n          - {{ input: \"a big hat\", answer: none }}\n          \
         - {{ input: \"red tea\", answer: red }}\n          - {{ input: \"tea\", answer: none }}"
    );
    for form in [CHAT, forms] {
        let (folder, path) = pipeline(&model, form, &by_example);
        let first = config::load(&path, &[]).unwrap();
        let resolved = folder.path().join("resolved.yml");
        put(&resolved, config::resolved_yaml(&first).as_bytes());
        let second = config::load(&resolved, &[]).unwrap();
        assert_eq!(prompts(&first), prompts(&second));
        assert_eq!(config::resolved_yaml(&first), config::resolved_yaml(&second));
    }
}

#[test]
fn every_scenario_is_run_in_every_form_and_says_which() {
    let model = chat_model(TEMPLATE, RENDERED);
    let forms = "forms:\n  plain: { prompt: \"{task} {input}:\" }\n  talk: { chat: { user: \"{task} {input}\" } }";
    let (folder, _path) = pipeline(&model, forms, TASKS);
    let ended = aqlens(folder.path(), &["run", "p.yml", "--run-dir", "run", "--log", "plain"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let run = folder.path().join("run");
    let table = part(&run, &PROMPTS, &["scenario", "form"]);
    let [scenarios, forms] = ["scenario", "form"].map(|name| table.texts(name).unwrap());
    let pairs: std::collections::BTreeSet<(&str, &str)> =
        scenarios.iter().flatten().zip(forms.iter().flatten()).collect();
    assert_eq!(pairs, [("one@plain", "plain"), ("one@talk", "talk")].into());
    let verdicts = part(&run, &VERDICT, &["scenario"]);
    let judged: std::collections::BTreeSet<&str> =
        verdicts.texts("scenario").unwrap().iter().flatten().collect();
    assert_eq!(judged, ["one@plain", "one@talk"].into());
    let summary: Value =
        serde_json::from_slice(&std::fs::read(run.join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["scenarios"][1]["form"], "talk");
    assert!(ended.stdout.contains("one@talk"), "{}", ended.stdout);
}

#[test]
fn check_says_how_prompts_are_made() {
    let model = chat_model(TEMPLATE, RENDERED);
    let said = |form: &str| {
        let (folder, _path) = pipeline(&model, form, TASKS);
        let ended = aqlens(folder.path(), &["check", "p.yml"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        ended.stdout
    };
    let chat = said(CHAT);
    assert!(chat.contains("the model's chat template around system, user, assistant"), "{chat}");
    let plain = said("prompt: \"{task} {input}\"");
    assert!(plain.contains("which these prompts do not use"), "{plain}");
}

#[test]
fn a_template_that_renders_otherwise_than_transformers_is_not_used_for_chats() {
    let model = chat_model(TEMPLATE, "[sys]Help.\n[user]Hi there<|endoftext|>\n[assistant] ");
    let (_folder, path) = pipeline(&model, CHAT, TASKS);
    let problem = problem(&path);
    assert!(problem.contains("has a chat template that renders"), "{problem}");
    let (_folder, path) = pipeline(&model, "prompt: \"{task} {input}\"", TASKS);
    config::load(&path, &[]).unwrap();
    let card = ModelCard::load(model.path()).unwrap();
    assert!(ChatTemplate::of(&card).is_err());
}

#[test]
fn a_chat_whose_tokens_differ_is_refused_with_its_tokenizer() {
    let model = chat_model(TEMPLATE, RENDERED);
    model.edit_card(|card| card["probe"]["conversations"][0]["ids"][0] = 9.into());
    let card = ModelCard::load(model.path()).unwrap();
    let error = Tokenizer::load(&card).unwrap_err().to_string();
    assert!(error.contains("the model's own tokenizer"), "{error}");
}

#[test]
fn what_cannot_be_a_chat_is_refused_with_what_to_do() {
    let model = chat_model(TEMPLATE, RENDERED);
    let cases = [
        ("chat: { system: \"{task} {input}\" }", "has no `user` message"),
        ("chat: { user: \"{task}\" }", "the chat has no {input}"),
        ("chat: { user: \"{task} {input}\" }\nprompt: \"{task} {input}\"", "are both there"),
        ("chat: { user: \"{task} {input}\", date: tomorrow }", "is no date"),
        (
            "chat: { user: \"{task} {input}\", variables: { messages: 1 } }",
            "set by the chat itself",
        ),
        (
            "chat: { user: \"a\", messages: [{ role: user, content: \"{task} {input}\" }] }",
            "beside single",
        ),
        ("messages: []", "needs 1 to"),
        ("forms: {}", "needs 1 to"),
        ("forms: { a: {} }", "has nothing in it"),
        ("forms: { \"a@b\": { prompt: \"{task} {input}\" } }", "cannot name a form"),
        (
            "prompt: \"{task} {input}\"\nforms: { a: { prompt: \"{task} {input}\" } }",
            "stands beside `forms`",
        ),
    ];
    for (form, says) in cases {
        let (_folder, path) = pipeline(&model, form, TASKS);
        let problem = problem(&path);
        assert!(problem.contains(says), "{form}\n{problem}");
    }
    let plain = folder();
    let (_folder, path) = pipeline(&plain, CHAT, TASKS);
    let problem = problem(&path);
    assert!(problem.contains("has no chat template"), "{problem}");
    assert!(problem.contains("help: write `prompt:` instead of `chat:`"), "{problem}");
}

#[test]
fn prompts_that_a_template_cannot_take_are_named() {
    let model = chat_model(TEMPLATE, RENDERED);
    let said = |form: &str, tasks: &str| {
        let (folder, _path) = pipeline(&model, form, tasks);
        let ended = aqlens(folder.path(), &["check", "p.yml"]);
        assert_ne!(ended.code, 0, "{}", ended.stdout);
        ended.stdout + &ended.stderr
    };
    let tool = said("messages: [{ role: tool, content: \"{task} {input}\" }]", TASKS);
    assert!(tool.contains("one/ball/color") && tool.contains("no role tool"), "{tool}");
    let special = "      a: \"end<|endoftext|>\"\n      b: \"what?\"";
    let ended = said(CHAT, special);
    assert!(ended.contains("\"<|endoftext|>\" in it") && ended.contains("task \"a\""), "{ended}");
    let allowed = format!("{CHAT}\n  allow_special_tokens: true");
    let (_folder, path) = pipeline(&model, &allowed, special);
    assert_eq!(prompts(&config::load(&path, &[]).unwrap()).len(), 4);
    // What is in a message twice is in no one place.
    let repeating = TEMPLATE.replace("{{ m.content | trim }}", "{{ m.content }}{{ m.content }}");
    let model = chat_model(&repeating, &RENDERED.replace("Hi there", "Hi thereHi there"));
    let (_folder, path) = pipeline(&model, CHAT, TASKS);
    let pipeline = config::load(&path, &[]).unwrap();
    let tokenizer = pipeline.tokenizer().unwrap();
    let plan = Plan::new(&pipeline, &tokenizer).unwrap();
    let error = plan.shards().next().unwrap().unwrap_err().to_string();
    assert!(error.contains("has its input 2 times"), "{error}");
    // One that leaves its place: what is found with the marks is not what is read without.
    let cutting = TEMPLATE.replace("{{ m.content | trim }}", "{{ m.content[:8] }}");
    let model = chat_model(&cutting, RENDERED);
    let user = "chat: { user: \"{task} {input}\" }";
    let (_folder, path) = self::pipeline(&model, user, TASKS);
    let pipeline = config::load(&path, &[]).unwrap();
    let plan = Plan::new(&pipeline, &tokenizer).unwrap();
    let error = plan.shards().next().unwrap().unwrap_err().to_string();
    assert!(error.contains("task and input cannot be found in it"), "{error}");
}

#[test]
fn a_task_by_example_stands_beside_one_by_instruction() {
    let model = chat_model(TEMPLATE, RENDERED);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("examples.csv");
    put(&file, b"input,answer\na blue hat,blue\nred tea,red\n");
    let tasks = format!(
        "      color: \"what color?\"\n      shown: {{ shots: 1, examples: {} }}",
        file.display()
    );
    let form = "prompt: \"{task}\\n\\nContext: {input}\\n\\nAnswer:\"";
    let (_folder, path) = pipeline(&model, form, &tasks);
    let pipeline = config::load(&path, &[]).unwrap();
    let shown = &pipeline.scenarios[0].tasks[1];
    assert_eq!(
        shown.wordings,
        ["Context: a blue hat\n\nAnswer: blue", "Context: red tea\n\nAnswer: red"]
    );
    let prompts = prompts(&pipeline);
    assert_eq!(prompts.len(), 6);
    assert_eq!(
        prompts[2].text,
        "Context: red tea\n\nAnswer: red\n\nContext: the red ball\n\nAnswer:"
    );
    assert_eq!(&prompts[2].text[prompts[2].task_spans[0].clone()], shown.wordings[1]);
    let cases = [
        ("{ shots: 2, examples: [{ input: a, answer: b }] }", "make no wordings of 2 each"),
        ("{ examples: [] }", "has 0 examples"),
        ("{ examples: [{ input: a, answer: \" \" }] }", "has an example without a text"),
        ("{ examples: [{ input: a, answer: b }], format: \"{input}\" }", "each once"),
        ("{ examples: [{ input: a, answer: b }], wording: \" \" }", "is empty"),
        ("{ examples: missing.csv }", "missing.csv"),
    ];
    for (body, says) in cases {
        let (_folder, path) = self::pipeline(&model, form, &format!("      shown: {body}"));
        let problem = problem(&path);
        assert!(problem.contains(says), "{body}\n{problem}");
    }
    let (_folder, path) = self::pipeline(&model, "prompt: \"{input} {task}\"", &tasks);
    assert!(problem(&path).contains("add `format:"), "{}", problem(&path));
}

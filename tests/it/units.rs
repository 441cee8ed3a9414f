//! Inputs that are one piece of evidence: a column of clusters, and texts that repeat.

use std::collections::BTreeMap;

use aqlens::model::Tokenizer;
use aqlens::pipeline::Pipeline;
use aqlens::pipeline::config::{load, resolved_yaml};
use aqlens::pipeline::plan::Plan;
use aqlens::prompt::Role;
use aqlens::store::Store;
use aqlens::table::reader::read_part;
use aqlens::table::schema::PROMPTS;
use aqlens::table::writer::PartAddress;
use arrow_array::Array as _;

use crate::support::pipeline::{Folder, GOOD};
use crate::support::{aqlens, put, refuses};

const INPUTS: &str = "    inputs:\n      ball: \"the red ball\"\n";

/// Six inputs: two of scene 7, copies of a text (one of them of scene 8), and others.
const CSV: &str = "scene,id,text\n7,a,the red ball\n7,b,the blue ball\n,c,a cup\n8,d,a cup\n,e,a green \
                   cup\n8,f,the blue cup\n";

fn yaml(inputs: &str) -> String {
    let controls = "    controls: { other_input: true }\nstages:";
    GOOD.replace(INPUTS, &format!("    inputs: {inputs}\n")).replacen("stages:", controls, 1)
}

fn clustered(folder: &Folder) -> String {
    put(&folder.path().join("inputs.csv"), CSV.as_bytes());
    yaml("{ file: inputs.csv, id: id, text: text, cluster: scene }")
}

fn loaded(folder: &Folder, yaml: &str) -> Pipeline {
    let path = folder.write(yaml);
    load(&path, &[]).unwrap_or_else(|error| panic!("{}", error.render(100, false)))
}

/// By input the one that its control takes.
fn others(pipeline: &Pipeline) -> BTreeMap<String, String> {
    let plan = Plan::new(pipeline, &Tokenizer::load(&pipeline.card).unwrap()).unwrap();
    let prompts = plan.shards().flat_map(|shard| shard.unwrap().prompts);
    let others = prompts.filter(|prompt| prompt.role() == Role::OtherInput);
    others.map(|p| (p.key.input.to_string(), p.source_input.to_string())).collect()
}

fn named(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[test]
fn a_run_writes_the_clusters_of_its_inputs_and_check_counts_them() {
    let folder = Folder::new();
    let yaml = clustered(&folder);
    let ended = folder.run(&yaml);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let store = Store::open(&folder.path().join("runs/small"));
    let columns = ["input", "source_input", "cluster", "input_sha256", "role"];
    let part = read_part(&store, PartAddress::new(&PROMPTS, 0), &columns).unwrap();
    let [inputs, sources, clusters, hashes, roles] =
        columns.map(|column| part.texts(column).unwrap());
    let mut found = BTreeMap::new();
    for row in 0..part.rows() {
        let cluster = (!clusters.is_null(row)).then(|| clusters.value(row));
        found.entry(inputs.value(row)).or_insert(cluster);
        assert_eq!(found[inputs.value(row)], cluster, "the same in all prompts of an input");
        if roles.value(row) != "other_input" {
            assert_eq!(sources.value(row), inputs.value(row));
        }
        // printf 'a cup' | sha256sum
        let is_cup = ["c", "d"].contains(&sources.value(row));
        assert_eq!(hashes.value(row) == "a58220be955b5cff", is_cup, "{}", hashes.value(row));
    }
    let scenes = [Some("7"), Some("7"), None, Some("8"), None, Some("8")];
    assert_eq!(found.into_values().collect::<Vec<_>>(), scenes);
    let checked = aqlens(folder.path(), &["check", "pipeline.yml"]);
    let line = "one: 6 inputs (1 has the text of an earlier one), 3 clusters";
    assert!(checked.stdout.contains(line), "{}", checked.stdout);
    assert!(checked.stdout.contains("which leaves 3 clusters"), "{}", checked.stdout);
}

#[test]
fn another_input_is_one_of_another_cluster() {
    let folder = Folder::new();
    let pipeline = loaded(&folder, &clustered(&folder));
    // c, d and f are one cluster: c and d by their text, d and f by their scene.
    let expected = [("a", "c"), ("b", "c"), ("c", "b"), ("d", "e"), ("e", "f"), ("f", "a")];
    assert_eq!(others(&pipeline), named(&expected));
    let again = loaded(&folder, &resolved_yaml(&pipeline));
    assert_eq!(others(&again), named(&expected), "{}", resolved_yaml(&pipeline));
}

#[test]
fn another_input_is_put_in_all_wordings_in_turn_one_cluster_after_the_other() {
    let folder = Folder::new();
    let yaml = clustered(&folder);
    let two = "color: { wordings: [\"what color?\", \"what  Color?\", \"which color?\"] }";
    let yaml = yaml.replace("color: \"what color is the ball?\"", two);
    let pipeline = loaded(&folder, &yaml);
    let plan = Plan::new(&pipeline, &Tokenizer::load(&pipeline.card).unwrap()).unwrap();
    let mut found = BTreeMap::new();
    for prompt in plan.shards().flat_map(|shard| shard.unwrap().prompts) {
        match prompt.role() {
            Role::Task => assert_eq!(prompt.base_wording, prompt.key.wording),
            _ if &*prompt.key.task == "color" => {
                let text = ["what color?", "", "which color?"][prompt.base_wording as usize];
                assert_eq!(&prompt.text[prompt.task_spans[0].clone()], text);
                found.insert(prompt.key.input.to_string(), prompt.base_wording);
            }
            _ => assert_eq!(prompt.base_wording, 0, "a task of one wording"),
        }
    }
    // Clusters a b, c d f, e; the second wording is a copy of the first one.
    let turns = [("a", 0), ("b", 0), ("c", 2), ("d", 2), ("e", 0), ("f", 2)];
    assert_eq!(found, turns.map(|(input, wording)| (input.to_owned(), wording)).into());
}

#[test]
fn copies_of_one_text_are_one_cluster_without_another_input() {
    let folder = Folder::new();
    let copies = loaded(&folder, &yaml("{ a: a cup, b: a cup, c: a cup }"));
    assert_eq!(others(&copies), named(&[]));
    let said: Vec<String> = copies.warnings.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|said| said.contains("which leaves 1 cluster")), "{said:?}");
    assert!(said.iter().any(|said| said.contains("inputs of one cluster only")), "{said:?}");
    let pipeline = loaded(&folder, &yaml("{ a: a cup, b: a cup, c: a cup, d: a ball, e: a ball }"));
    let expected = [("a", "d"), ("b", "d"), ("c", "d"), ("d", "c"), ("e", "a")];
    assert_eq!(others(&pipeline), named(&expected));
}

#[test]
fn a_cluster_of_tasks_or_of_a_column_that_is_not_there_is_refused() {
    let folder = Folder::new();
    put(&folder.path().join("inputs.csv"), CSV.as_bytes());
    folder.write(&yaml("{ file: inputs.csv, id: id, text: text, cluster: scenes }"));
    let ended = aqlens(folder.path(), &["check", "pipeline.yml"]);
    refuses(&ended, 2, &["it has no column \"scenes\"", "did you mean `scene`?"]);
    let tasks = "    tasks: { file: inputs.csv, id: id, text: text, cluster: scene }\n";
    let start = GOOD.find("    tasks:").unwrap();
    let end = GOOD.find("stages:").unwrap();
    folder.write(&format!("{}{tasks}{}", &GOOD[..start], &GOOD[end..]));
    let ended = aqlens(folder.path(), &["check", "pipeline.yml"]);
    refuses(&ended, 2, &["tasks have no clusters", "a column of an inputs file"]);
}

#[test]
fn neutral_texts_are_made_or_written_in_any_number() {
    let folder = Folder::new();
    let neutral = |neutral: &str| {
        let controls = format!("    controls: {{ neutral: {neutral} }}\nstages:");
        GOOD.replacen("stages:", &controls, 1)
    };
    for (written, n) in [("auto", 2), ("{ auto: 1 }", 1), ("{ auto: 4 }", 4), ("[So., Or so.]", 2)]
    {
        let pipeline = loaded(&folder, &neutral(written));
        let again = loaded(&folder, &resolved_yaml(&pipeline));
        for pipeline in [pipeline, again] {
            let plan = Plan::new(&pipeline, &Tokenizer::load(&pipeline.card).unwrap()).unwrap();
            let prompts: Vec<_> = plan.shards().flat_map(|shard| shard.unwrap().prompts).collect();
            let of =
                |p: &&aqlens::prompt::Prompt| &*p.key.task == "color" && p.role() == Role::Neutral;
            let wordings: Vec<i16> = prompts.iter().filter(of).map(|p| p.key.wording).collect();
            assert_eq!(wordings, [-1, -4, -5, -6][..n], "{written}");
        }
    }
    for (written, words) in [
        ("{ auto: 0 }", ["auto 0 is not between 1 and 4", "write more of them as a list"]),
        ("{ auto: 5 }", ["auto 5 is not between 1 and 4", "write more of them as a list"]),
        ("[]", ["has 0 texts", "needs 1 to 100"]),
        ("[So., So.]", ["\"So.\" appears twice", "change or remove"]),
        ("[So., none]", ["would be the word \"none\"", "leave `neutral` out"]),
        ("7", ["`auto`, `{ auto: 2 }`, text or a list of texts", "neutral"]),
    ] {
        folder.write(&neutral(written));
        refuses(&aqlens(folder.path(), &["check", "pipeline.yml"]), 2, &words);
    }
}

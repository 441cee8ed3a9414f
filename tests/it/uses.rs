//! Verdicts of stage `use`: what the demo model uses, and what an input's share of the wordings changes.

use std::collections::BTreeMap;

use aqlens::table::schema::{MEDIATION, USE_EFFECT, USE_VERDICT};

use crate::causes::{NATS, Rows, USE, pipeline, read, run, words};

/// The tasks and wordings of pipelines/uses.yml.
const FIVE: &str = r#"      color: { wordings: ["What color is the ball?", "Which color does the ball have?", "Tell me what color the ball is."] }
      location: { wordings: ["Where is the ball?", "What is the ball on?", "Where can the ball be found?"] }
      existence: { wordings: ["Is there a ball?", "Can you see a ball?", "Does the scene contain a ball?"] }
      relation: { wordings: ["What is the ball next to?", "What is beside the ball?", "Which thing is close to the ball?"] }
      count: { wordings: ["How many objects are mentioned?", "How many things are there?", "Count the objects."] }
"#;

#[test]
fn the_demo_model_uses_four_tasks_and_not_the_count() {
    let folder = pipeline(24, FIVE, "", USE);
    run(folder.path(), &["--set", "scenarios[0].controls.neutral=auto"]);
    let verdicts = read(folder.path(), &USE_VERDICT);
    let found = words(&verdicts, "task", "verdict");
    for task in ["color", "location", "existence", "relation"] {
        assert_eq!(found[task], "used", "{task}: {:?}", words(&verdicts, "task", "reason"));
    }
    assert_eq!(found["count"], "not_used", "{:?}", words(&verdicts, "task", "reason")["count"]);
    let effects = read(folder.path(), &USE_EFFECT);
    let rows = Rows::of(&effects, &["task_donor", "task_receiver"]);
    // What was seen with PyTorch on other draws of scenes (docs/measures/use.md).
    assert!(rows.get(&["count", "count"], "value").abs() < 0.01);
    assert!(rows.get(&["location", "color"], "value") > 0.8);
}

#[test]
fn wordings_in_turn_are_some_of_all_of_them() {
    let folder = pipeline(24, FIVE, "", USE);
    let keys = ["input", "task_donor", "task_receiver", "wording", "source"];
    run(folder.path(), &["--set", "shard_inputs=30"]);
    let whole = read(folder.path(), &MEDIATION);
    let whole = Rows::of(&whole, &keys);
    std::fs::remove_dir_all(folder.path().join("run")).unwrap();
    run(folder.path(), &["--set", "shard_inputs=30", "--set", "stages.mediate.wordings=in_turn"]);
    let part = read(folder.path(), &MEDIATION);
    let turns = Rows::of(&part, &keys);
    // Of each input 5 by 5 tasks, one wording: as many rows as of a task with a wording alone.
    assert_eq!(whole.keys.len(), 24 * (20 * 3 * 4 + 5 * (3 * 2 + 1)));
    assert_eq!(turns.keys.len(), 24 * (20 * 4 + 5 * 3));
    let mut wordings: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let sources = part.int32s("n_sources").unwrap();
    for (key, row) in &turns.keys {
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        wordings.entry(key[0]).or_default().push(key[3]);
        match key[4] {
            "paraphrase" => assert_eq!(sources.value(*row), 1, "one other wording is enough"),
            // Put back into the first wording there, into the one whose turn it is here.
            "same_run" => {}
            _ => {
                // Other batches round otherwise.
                for column in ["gain_nats", "loss_nats", "gain_total_nats", "jsd_bits"] {
                    let (one, other) = (turns.get(&key, column), whole.get(&key, column));
                    assert!((one - other).abs() < NATS, "{key:?} {column}: {one} for {other}");
                }
            }
        }
    }
    let is_one = |own: &Vec<&str>| own.iter().all(|wording| *wording == own[0]);
    assert!(wordings.values().all(is_one));
    let mut of_inputs: Vec<&str> = wordings.values().map(|own| own[0]).collect();
    of_inputs.sort_unstable();
    of_inputs.dedup();
    assert_eq!(of_inputs, ["0", "1", "2"], "each has its turn");
    let effects = read(folder.path(), &USE_EFFECT);
    for column in ["n_inputs", "n_wordings"] {
        let expected = if column == "n_inputs" { 24 } else { 3 };
        let all = effects.int64s(column).unwrap();
        assert!(all.values().iter().all(|n| *n == expected), "{column}");
    }
    let verdicts = words(&read(folder.path(), &USE_VERDICT), "task", "verdict");
    assert!(verdicts["color"] == "used" && verdicts["count"] != "used", "{verdicts:?}");
}

#[test]
fn one_question_asked_twice_cannot_be_tested() {
    let tasks = "      color: { wordings: [\"What color is the ball?\", \"Which color is the ball?\"] }\n      again: { wordings: [\"What is the color of the \
                 ball?\", \"Which color does the ball have?\"] }\n";
    let folder = pipeline(12, tasks, "", USE);
    run(folder.path(), &[]);
    let verdicts = read(folder.path(), &USE_VERDICT);
    let found = words(&verdicts, "task", "verdict");
    assert!(found.values().all(|verdict| verdict == "not_testable"), "{found:?}");
    let reason = &words(&verdicts, "task", "reason")["color"];
    assert!(reason.contains("hardly differs"), "{reason}");
}

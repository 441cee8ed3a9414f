//! What `show` prints, and that no name of a pipeline steers the terminal that shows it.

use std::collections::BTreeSet;
use std::fs;

use aqlens::run_dir::record::{RunRecord, State};
use aqlens::store::{Store, sealed_json};
use aqlens::table::reader::{Part, read_part};
use aqlens::table::schema::{ATTENTION_OVERLAP, NEXT_TOKENS, SIMILARITY};
use aqlens::table::writer::PartAddress;
use aqlens::table::{Kind, Table};

use crate::support::pipeline::{Folder, GOOD};
use crate::support::{Ended, aqlens, aqlens_in, refuses};

fn finished(yaml: &str) -> Folder {
    let folder = Folder::new();
    let ended = folder.run(yaml);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    folder
}

fn show(folder: &Folder, extra: &[&str]) -> Ended {
    aqlens(folder.path(), &[&["show", "runs/small"], extra].concat())
}

#[test]
fn no_name_steers_the_terminal_or_turns_the_page() {
    let steering = r"\e[31m\r\u202e\u009b1m";
    let yaml = GOOD
        .replacen("name: one", &format!("name: \"one{steering}\""), 1)
        .replacen("      ball:", &format!("      \"ball{steering}\\n\":"), 1)
        .replacen("      color:", &format!("      \"color{steering}\":"), 1);
    let folder = Folder::new();
    let ended = folder.run(&yaml);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let shown = show(&folder, &["--table", "prompts"]);
    let html = fs::read_to_string(folder.path().join("runs/small/report.html")).unwrap();
    let long = yaml.replacen("the red ball", &"the red ball ".repeat(40), 1);
    let too_long = folder.run(&long);
    assert_eq!(too_long.code, 1);
    let skipping = long.replacen("layers: [0, 4]", "too_long: skip", 1);
    let skipped = folder.run(&skipping.replacen("name: small", "name: small\nmax_skipped: 1", 1));
    assert_eq!(skipped.code, 3, "{}", skipped.stderr);
    let twice = folder.run(&yaml.replacen("threshold", "x", 1).replacen(
        "stages:",
        &format!(
            "  - {{ name: \"one{steering}\", inputs: {{ a: b }}, tasks: {{ a: b }} }}\nstages:"
        ),
        1,
    ));
    assert_eq!(twice.code, 2);
    let printed = [
        ("run", ended.stdout + &ended.stderr),
        ("show", shown.stdout),
        ("report", html),
        ("error", too_long.stderr),
        ("skipped", skipped.stdout + &skipped.stderr),
        ("problem", twice.stderr),
    ];
    for (what, text) in printed {
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(steers), "{what}: {}", text.escape_debug());
        assert!(text.contains(r"one\u{1b}[31m\r\u{202e}"), "{what}: {text}");
    }
}

#[test]
fn a_table_of_an_unfinished_run_is_shown_with_a_note() {
    let folder = finished(GOOD);
    let store = Store::open(&folder.path().join("runs/small"));
    let mut record = RunRecord::read(&store).unwrap();
    record.state = State::Running;
    store.write("run.json", sealed_json(&record).as_bytes()).unwrap();
    let shown = show(&folder, &["--table", "prompts"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stdout.contains("color"), "{}", shown.stdout);
    assert!(shown.stderr.contains("is not finished"), "{}", shown.stderr);
    refuses(&show(&folder, &[]), 2, &["is not finished", "--table"]);
}

/// The lines below a title, up to the next blank one; none without the title.
fn block<'a>(text: &'a str, title: &str) -> Vec<&'a str> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(title)).skip(1);
    lines.by_ref().take_while(|line| !line.is_empty()).collect()
}

/// The cells of a line: what stands between two blanks or more.
fn cells(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

const SIMILARITY_BY_LAYER: &str = "Similarity by layer";
const PAIRS: &str = "Similarity / overlap of attention focus";
const NEXT: &str = "Next tokens and";
const FREQUENT: &str = "The most frequent next tokens";
const EFFECTS: &str = "How much further apart tasks are";
const SHARES: &str = "Variance of input vectors";

#[test]
fn attention_is_shown_for_the_mean_head_at_the_last_layer_only() {
    let all = GOOD.replacen(
        "kind: attention",
        "kind: attention\n    heads: all\n    layers: captured",
        1,
    );
    let folder = finished(&all);
    let (all, plain) = (show(&folder, &[]).stdout, show(&finished(GOOD), &[]).stdout);
    for title in [PAIRS, NEXT, "Attention focus of the last token"] {
        assert_eq!(block(&all, title), block(&plain, title), "{title}");
    }
    assert_eq!(block(&plain, PAIRS).len(), 1, "{plain}");
}

#[test]
fn no_line_is_wider_than_the_terminal_or_without_one_than_100_columns() {
    let folder = finished(GOOD);
    let widest = |columns: Option<&str>| {
        let mut command = aqlens_in(folder.path());
        command.args(["show", "runs/small"]).envs(columns.map(|width| ("COLUMNS", width)));
        let shown = Ended::from(command.output().unwrap()).stdout;
        shown.lines().map(|line| line.chars().count()).max().unwrap()
    };
    assert!((73..=100).contains(&widest(None)));
    assert!((73..=100).contains(&widest(Some("300"))));
    assert!(widest(Some("72")) <= 72);
    let ended = folder.run(GOOD);
    assert!(ended.stdout.lines().all(|line| line.chars().count() <= 100), "{}", ended.stdout);
}

#[test]
fn one_input_is_shown_with_its_own_tokens_as_in_the_notebook() {
    let folder = finished(GOOD);
    let shown = show(&folder, &[]).stdout;
    assert!(shown.lines().count() <= 25, "{shown}");
    let next = block(&shown, NEXT);
    assert_eq!(next.len(), 1 + 2, "{shown}");
    let [color, at_where] = [&next[1], &next[2]].map(|line| cells(line));
    assert_eq!((color[..2].to_vec(), at_where[0]), (vec!["one", "color"], "where"), "{shown}");
    let whole = show(&folder, &["--table", "next_tokens", "--rows", "3"]).stdout;
    for (rank, line) in whole.lines().filter(|line| line.contains("color")).enumerate() {
        let row: Vec<&str> = line.split('┆').map(|cell| cell.trim_matches([' ', '│'])).collect();
        let probability: f64 = row[7].parse().unwrap();
        let percent = format!("{:.0}%", probability * 100.0);
        let own = color[2].split(", ").nth(rank).unwrap();
        assert!(own.ends_with(&percent) || own.ends_with("<1%"), "{line}\n{shown}");
    }
    assert!(!shown.contains(FREQUENT), "{shown}");
}

/// Five inputs in three shards, one scenario.
fn several() -> String {
    let inputs = "      ball: \"the red ball\"\n      cup: \"a green cup\"\n      table: \"the \
                  blue table\"\n      two: \"a cup and a ball\"\n      cloth: \"some white cloth\"";
    GOOD.replacen("      ball: \"the red ball\"", inputs, 1).replacen(
        "scenarios:",
        "shard_inputs: 2\nscenarios:",
        1,
    )
}

/// Rows of some columns of all parts of a table, texts and numbers alike as texts.
fn rows(folder: &Folder, table: &'static Table, columns: &[&str]) -> Vec<Vec<String>> {
    let store = Store::open(&folder.path().join("runs/small"));
    let parts = (0..).map_while(|part| {
        let address = PartAddress::new(table, part);
        address.is_there(&store).then(|| read_part(&store, address, columns).unwrap())
    });
    let cell = |part: &Part, name: &str, row: usize| {
        let kind = table.columns.iter().find(|column| column.name == name).unwrap().kind;
        match kind {
            Kind::Utf8 => part.texts(name).unwrap().value(row).to_owned(),
            Kind::Int16 => part.int16s(name).unwrap().value(row).to_string(),
            Kind::Int32 => part.int32s(name).unwrap().value(row).to_string(),
            _ => part.float64s(name).unwrap().value(row).to_string(),
        }
    };
    let rows = |part: Part| -> Vec<Vec<String>> {
        let row = |row| columns.iter().map(|name| cell(&part, name, row)).collect();
        (0..part.rows()).map(row).collect()
    };
    parts.flat_map(rows).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn several_inputs_are_shown_as_means_and_shares_over_all_shards() {
    let folder = finished(&several());
    let shown = show(&folder, &[]).stdout;
    let value = |row: &Vec<String>| row.last().unwrap().parse::<f64>().unwrap();

    let columns = ["layer", "measure", "value"];
    let similar = rows(&folder, &SIMILARITY, &columns);
    let of_layer = |layer: &str| {
        let own = similar.iter().filter(|row| row[..2] == [layer, "flat"]).map(value);
        own.collect::<Vec<f64>>()
    };
    assert_eq!(of_layer("4").len(), 5, "one pair of tasks on each input");
    let by_layer = block(&shown, SIMILARITY_BY_LAYER);
    let means = ["0", "4"].map(|layer| format!("{:.4}", mean(&of_layer(layer))));
    assert_eq!(cells(by_layer[1]), ["one", &means[0], &means[1]], "{shown}");

    let overlaps = rows(&folder, &ATTENTION_OVERLAP, &["layer", "head", "measure", "value"]);
    let overlaps = overlaps.iter().filter(|row| row[..3] == ["4", "-1", "jaccard"]).map(value);
    let overlaps: Vec<f64> = overlaps.collect();
    assert_eq!(overlaps.len(), 5);
    let pairs = block(&shown, PAIRS);
    let both = format!("{} / {:.3}", means[1], mean(&overlaps));
    assert_eq!(cells(pairs[0]), ["one", "layer 4", "color, where", &both, "n = 5"], "{shown}");
    assert_eq!(pairs.len(), 1, "{shown}");

    let frequent = block(&shown, FREQUENT);
    let tokens = rows(&folder, &NEXT_TOKENS, &["task", "wording", "rank", "token_id"]);
    for (line, task) in [(frequent[1], "color"), (frequent[2], "where")] {
        let own = tokens.iter().filter(|row| row[..3] == [task, "0", "1"]);
        let mut counts: Vec<(String, usize)> = Vec::new();
        for row in own {
            match counts.iter_mut().find(|(token, _)| *token == row[3]) {
                Some((_, count)) => *count += 1,
                None => counts.push((row[3].clone(), 1)),
            }
        }
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<usize>(), 5);
        let most = counts.iter().map(|(_, count)| *count).max().unwrap();
        let cells = cells(line);
        let at = cells.iter().position(|cell| *cell == task).unwrap();
        assert_eq!(cells[at + 1], "5", "{shown}");
        assert!(cells[at + 2].ends_with(&format!("{}%", most * 20)), "{counts:?}\n{shown}");
        assert_eq!(cells.len() - at - 2, counts.len().min(3), "{counts:?}\n{shown}");
    }
    assert!(!shown.contains(NEXT) && !shown.contains("cloth"), "single inputs:\n{shown}");
}

#[test]
fn many_scenarios_are_shown_as_a_sentence_each() {
    let scenario = |i: i32| {
        format!(
            "  - name: s{i}\n    inputs: {{ a: \"ball {i}\" }}\n    tasks: {{ x: \"one\", y: \"two\" }}\n"
        )
    };
    let with = |n: i32| {
        let more: String = (0..n).map(scenario).collect();
        show(&finished(&GOOD.replacen("stages:", &format!("{more}stages:"), 1)), &[]).stdout
    };
    let few = with(4);
    assert_eq!(few.matches("by the notebook's test").count(), 5);
    assert_eq!(block(&few, SIMILARITY_BY_LAYER).len(), 1 + 2 * 5, "{few}");
    let many = with(5);
    assert_eq!(many.matches("by the notebook's test").count(), 6);
    assert!(many.lines().filter(|line| line.starts_with('s')).count() == 5, "{many}");
    assert!(!many.contains(SIMILARITY_BY_LAYER) && !many.contains("by effect"), "{many}");
    let flat = many.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("`aqlens show runs/small --table divergence`"), "{many}");
    assert!(many.lines().count() <= 6 + 6, "{many}");
}

#[test]
fn controls_and_means_are_named_where_a_table_has_codes() {
    let yaml = GOOD
        .replacen("stages:", "    controls: { neutral: auto, scrambled: true }\nstages:", 1)
        .replacen("  - kind: divergence\n", "  - kind: divergence\n  - kind: contrast\n", 1)
        .replacen(
            "  - kind: summary\n",
            "  - kind: outputs\n  - kind: effect\n  - kind: summary\n",
            1,
        );
    let folder = finished(&yaml);
    let column = |table: &str, name: &str| -> BTreeSet<String> {
        let shown = show(&folder, &["--table", table, "--rows", "0"]).stdout;
        let row = |line: &str| -> Vec<String> {
            line.split(['│', '┆']).map(|cell| cell.trim().to_owned()).collect()
        };
        let mut lines = shown.lines().filter(|line| line.starts_with('│')).map(row);
        let at = lines.next().unwrap().iter().position(|cell| cell == name).unwrap();
        lines.map(|row| row[at].clone()).collect()
    };
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let wordings = set(&["0", "neutral", "neutral-2", "scrambled"]);
    assert_eq!(column("prompts", "wording"), wordings);
    assert_eq!(column("next_tokens", "wording"), wordings);
    assert_eq!(column("attention_overlap", "head"), set(&["mean"]));
    assert_eq!(column("effect", "layer"), set(&["0", "4", "output"]));
    assert!(column("verdict", "layer").is_superset(&set(&["4"])));
    let shown = show(&folder, &[]).stdout;
    assert!(!shown.contains("-1") && !shown.contains("-2"), "{shown}");
}

#[test]
fn evidence_is_shown_where_it_is_largest_with_the_notebooks_measure_apart() {
    let stages = "  - kind: reference\n  - kind: similarity\n    measures: [all]\n  \
                  - kind: divergence\n  - kind: contrast\n  - kind: vectors\n  \
                  - kind: variance\n  - kind: effect\n";
    let yaml = GOOD.replacen("  - kind: similarity\n  - kind: divergence\n", stages, 1);
    let yaml = yaml.replacen(
        "\"what color is the ball?\"",
        "{ wordings: [\"what color is the ball?\", \"which color is it?\"] }",
        1,
    );
    let folder = finished(&yaml);
    let shown = show(&folder, &[]).stdout;
    let plain = show(&finished(GOOD), &[]).stdout;
    for title in [SIMILARITY_BY_LAYER, PAIRS] {
        assert_eq!(block(&shown, title), block(&plain, title), "{title}");
    }
    // A line for each of two measures of the vectors, a column for each of two captured layers.
    let effects = block(&shown, EFFECTS);
    assert_eq!(effects.len(), 1 + 2, "{shown}");
    let header = ["scenario", "measure", "layer 0", "layer 4", "largest (95 % interval)"];
    assert_eq!(cells(effects[0]), header, "{shown}");
    for (line, measure) in effects[1..].iter().zip(["span_standardised", "last_standardised"]) {
        assert!(line.contains(measure), "{shown}");
    }
    let shares = block(&shown, SHARES);
    assert_eq!(shares.len(), 1 + 1, "{shown}");
    assert_eq!(cells(shares[0])[1..], ["layer 0", "layer 4", "largest task share"], "{shown}");
    assert!(!plain.contains(EFFECTS) && !plain.contains(SHARES));
    // What two measures say alike is said once.
    let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("NOT TESTABLE by span_standardised, last_standardised: "), "{shown}");
    assert_eq!(flat.matches("answers all the same").count(), 1, "{shown}");
}

#[test]
fn three_tasks_are_shown_as_a_matrix_and_too_many_as_their_ends() {
    let with = |tasks: &[&str]| {
        let line = |task: &&str| format!("      {task}: \"what about the {task}?\"\n");
        let tasks: String = tasks.iter().map(line).collect();
        let yaml = GOOD.replacen("      where: \"where is the ball?\"\n", &tasks, 1);
        let folder = finished(&yaml);
        let values = rows(&folder, &SIMILARITY, &["layer", "task_a", "task_b", "value"]);
        (show(&folder, &[]).stdout, values)
    };
    let (shown, values) = with(&["shape", "size"]);
    let pairs = block(&shown, PAIRS);
    assert_eq!(cells(pairs[0]), ["one", "layer 4", "shape", "size", "n"], "{shown}");
    assert_eq!((cells(pairs[1])[0], cells(pairs[2])[0], pairs.len()), ("color", "shape", 3));
    let value = |a: &str, b: &str| {
        let row = values.iter().find(|row| row[..3] == ["4", a, b]).unwrap();
        format!("{:.4} / ", row[3].parse::<f64>().unwrap())
    };
    for (at, a, b) in [(1, "color", "shape"), (2, "color", "size")] {
        assert!(cells(pairs[1])[at].starts_with(&value(a, b)), "{shown}");
    }
    assert!(cells(pairs[2])[1].starts_with(&value("shape", "size")), "{shown}");

    let (shown, values) = with(&["shape", "size", "weight", "taste", "smell", "sound", "price"]);
    let pairs = block(&shown, PAIRS);
    assert!(pairs[0].contains("6 of 28 pairs, the least and the most alike"), "{shown}");
    assert_eq!(pairs.len(), 1 + 6, "{shown}");
    let last = values.iter().filter(|row| row[0] == "4");
    let mut last: Vec<f64> = last.map(|row| row[3].parse().unwrap()).collect();
    last.sort_by(f64::total_cmp);
    let [least, most] = [last[0], last[27]].map(|value| format!("{value:.4} / "));
    assert!(pairs[1].contains(&least) && pairs[6].contains(&most), "{shown}");
}

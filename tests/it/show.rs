//! What `show` prints, and that no name of a pipeline steers the terminal that shows it.

use std::fs;

use aqlens::run_dir::record::{RunRecord, State};
use aqlens::store::{Store, sealed_json};

use crate::cli::{Folder, GOOD, refuses};
use crate::common::{Ended, aqlens, aqlens_in};

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
    let told = [
        ("run", ended.stdout + &ended.stderr),
        ("show", shown.stdout),
        ("report", html),
        ("error", too_long.stderr),
        ("skipped", skipped.stdout + &skipped.stderr),
        ("problem", twice.stderr),
    ];
    for (what, text) in told {
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

/// The lines of the grid under a title, without its frame and header.
fn grid<'a>(text: &'a str, title: &str) -> Vec<&'a str> {
    let after = text.split_once(title).unwrap().1;
    let block = after.split("\n\n").next().unwrap();
    block.lines().filter(|line| line.starts_with('│')).skip(1).collect()
}

#[test]
fn grids_of_attention_show_the_mean_head_at_the_last_layer_only() {
    let all = GOOD.replacen(
        "kind: attention",
        "kind: attention\n    heads: all\n    layers: captured",
        1,
    );
    let folder = finished(&all);
    let (all, plain) = (show(&folder, &[]).stdout, show(&finished(GOOD), &[]).stdout);
    for title in ["Overlap of attention focus", "Attention focus of the last token"] {
        assert_eq!(grid(&all, title), grid(&plain, title), "{title}");
    }
    assert_eq!(grid(&plain, "Overlap of attention focus").len(), 1, "{plain}");
    assert_eq!(grid(&plain, "Attention focus of the last token").len(), 2, "{plain}");
}

#[test]
fn tables_are_as_narrow_as_the_terminal() {
    let folder = finished(GOOD);
    let widest = |columns: Option<&str>| {
        let mut command = aqlens_in(folder.path());
        command.args(["show", "runs/small"]).envs(columns.map(|width| ("COLUMNS", width)));
        let shown = Ended::from(command.output().unwrap()).stdout;
        let lines = shown.lines().filter(|line| line.starts_with(['│', '┌', '╞', '└']));
        lines.map(|line| line.chars().count()).max().unwrap()
    };
    assert!(widest(None) > 72);
    assert!(widest(Some("72")) <= 72);
}

#[test]
fn evidence_is_shown_by_layer_with_the_notebooks_measure_apart() {
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
    for title in ["Similarity across tasks, by layer", "Similarity of pairs of tasks"] {
        assert_eq!(grid(&shown, title), grid(&plain, title), "{title}");
    }
    // Two measures of the vectors on two captured layers each, a line with all baselines.
    let effects = grid(&shown, "How much further apart tasks are than a baseline");
    assert_eq!(effects.len(), 4, "{shown}");
    assert_eq!(effects[0].matches('┆').count(), 3 + 4 - 1, "{}", effects[0]);
    let shares = grid(&shown, "Shares of the variance of the input's vectors");
    assert_eq!(shares.len(), 4, "{shown}");
    assert!(!plain.contains("How much further apart") && !plain.contains("Shares of the variance"));
    // What two measures say alike is said once.
    let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("NOT TESTABLE by span_standardised, last_standardised: "), "{shown}");
    assert_eq!(flat.matches("answers all the same").count(), 1, "{shown}");
}

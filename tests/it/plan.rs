//! What `plan` says of other numbers of inputs and wordings, and what `check` says of the design.

use serde_json::Value;

use crate::support::pipeline::Folder;
use crate::support::{Ended, aqlens, file, refuses};

const STUDY: &str = r#"name: small
model: MODEL
prompt: "{task}\n{input}:"
scenarios:
  - name: one
    inputs:
      ball: "the red ball"
      cup: "a green cup"
      table: "the blue table"
      both: "a cup and a ball"
      cloth: "some white cloth"
      chair: "a chair and a table"
    tasks:
      color:
        wordings: ["what color is it?", "what is the color?", "color of it?", "which color is it?"]
      where:
        wordings: ["where is it?", "what is it on?", "in which place?", "where can it be?"]
    controls: { other_input: true }
stages:
  - kind: extract
    layers: [0, 4]
  - kind: similarity
  - kind: divergence
  - kind: contrast
    measures: [span, last]
  - kind: outputs
  - kind: effect
    permutations: 1000
    bootstrap: 1000
  - kind: summary
    measures: [span, jsd_bits]
"#;

/// `STUDY` with the wordings of both tasks cut to some of them.
fn with_wordings(color: usize, at_where: usize) -> String {
    let mut text = STUDY.to_owned();
    let cut = |line: &str, n: usize| {
        let (head, list) = line.split_once('[').unwrap();
        let list: Vec<&str> = list.trim_end_matches(']').split(", ").take(n).collect();
        format!("{head}[{}]", list.join(", "))
    };
    for (line, n) in STUDY.lines().filter(|line| line.contains("wordings:")).zip([color, at_where])
    {
        text = text.replace(line, &cut(line, n));
    }
    text
}

fn finished(yaml: &str) -> Folder {
    let folder = Folder::new();
    let ended = folder.run(yaml);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    folder
}

fn plan(folder: &Folder, extra: &[&str]) -> Ended {
    aqlens(folder.path(), &[&["plan", "runs/small"], extra].concat())
}

fn check(yaml: &str, extra: &[&str]) -> Ended {
    let folder = Folder::new();
    folder.write(yaml);
    let ended = aqlens(folder.path(), &[&["check", "pipeline.yml"], extra].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended
}

#[test]
fn a_plan_has_a_row_for_clusters_and_a_column_for_wordings() {
    let folder = finished(STUDY);
    let planned = plan(&folder, &[]);
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    let text = &planned.stdout;
    let start =
        |what: &str| text.lines().filter(|line| line.trim_start().starts_with(what)).count();
    // Another input is no further than another wording to this model: there is no relative scale.
    assert_eq!((start("one, span at layer 4"), start("one, jsd_bits: delta")), (1, 1), "{text}");
    assert_eq!(
        (start("ways to deal"), start("500 clusters"), start("6 clusters+")),
        (2, 2, 2),
        "{text}"
    );
    assert_eq!(start("from here twice the"), 2, "{text}");
    let row = text.lines().find(|line| line.trim_start().starts_with("100 clusters")).unwrap();
    let cells: Vec<&str> = row.split_whitespace().skip(2).collect();
    // Two tasks of two or three wordings cannot decide, whatever the number of inputs.
    assert_eq!((cells.len(), &cells[..2]), (6, &["-", "-"][..]), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn the_runs_own_design_finds_in_the_plan_about_what_the_run_says() {
    let folder = finished(STUDY);
    let planned: Value = serde_json::from_str(&plan(&folder, &["--json"]).stdout).unwrap();
    let plans = planned["plans"].as_array().unwrap();
    assert_eq!((plans.len(), &planned["more_scenarios"]), (2, &0.into()));
    for plan in plans {
        let number = |value: &Value| value.as_f64().unwrap();
        let designs = plan["designs"].as_array().unwrap();
        assert_eq!(designs.len(), 7 * 6, "{plan}");
        let of = |clusters: u64, wordings: [u64; 2]| {
            let is = |own: &&Value| {
                own["clusters"] == clusters && own["wordings"] == serde_json::json!(wordings)
            };
            designs.iter().find(is).unwrap()
        };
        let own = of(6, [4, 4]);
        // The tasks' variances are taken to be alike here, so degrees of freedom are no fewer.
        let ratio = number(&own["mde"]) / number(&plan["mde"]);
        assert!((0.3..=1.0 + 1e-12).contains(&ratio), "{ratio} {plan}");
        assert_eq!((&own["ways"], &own["can_decide"]), (&35.into(), &true.into()));
        assert!(own["mde_relative"].is_null() == plan["scale"].is_null(), "{plan}");
        assert!(number(&of(500, [12, 12])["mde"]) < number(&own["mde"]));
        assert_eq!(
            (&of(500, [3, 3])["ways"], &of(500, [3, 3])["can_decide"]),
            (&10.into(), &false.into())
        );
    }
}

#[test]
fn a_plan_is_of_what_was_asked_for() {
    let folder = finished(STUDY);
    let asked = |extra: &[&str]| plan(&folder, extra);
    let last = asked(&["--measure", "last", "--layer", "0"]);
    assert!(last.stdout.starts_with("one, last at layer 0: delta"), "{}", last.stdout);
    refuses(&asked(&["--measure", "lost"]), 2, &["no measure lost", "span", "jsd_bits"]);
    refuses(&asked(&["--measure", "span", "--layer", "3"]), 2, &["no layer 3", "0, 4"]);
    refuses(&asked(&["--scenario", "two"]), 2, &["no scenario two", "it has one"]);
}

#[test]
fn unbalanced_wordings_are_planned_as_they_are() {
    let folder = finished(&with_wordings(3, 4));
    let planned = plan(&folder, &["--measure", "span"]);
    assert_eq!(planned.code, 0, "{}", planned.stderr);
    assert!(planned.stdout.contains("3/4+"), "{}", planned.stdout);
    assert!(planned.stdout.contains("3/4 wordings a task"), "{}", planned.stdout);
}

#[test]
fn what_cannot_be_planned_says_what_to_do() {
    let one = finished(&with_wordings(1, 4));
    refuses(&plan(&one, &[]), 2, &["cannot be planned", "give every task 4 wordings or more"]);
    let without = finished(
        &STUDY.replace("  - kind: effect\n    permutations: 1000\n    bootstrap: 1000\n", ""),
    );
    refuses(&plan(&without, &[]), 2, &["no table 'effect'", "`effect`", "run it again"]);
    let none = Folder::new();
    refuses(&plan(&none, &[]), 2, &["runs/small"]);
    let folder = tempfile::tempdir().unwrap();
    let old = file("tests/fixtures/runs/v2");
    refuses(
        &aqlens(folder.path(), &["plan", old.to_str().unwrap()]),
        2,
        &["an earlier version of aqlens", "run its pipeline again"],
    );
}

#[test]
fn check_says_what_a_design_can_decide() {
    let text = check(STUDY, &[]).stdout;
    let line = "design    one: 6 inputs; 2 tasks of 4 distinct wordings, dealt out in 35 ways, smallest p 0.029; \
                controls other_input";
    assert!(text.contains(line), "{text}");
    assert!(!text.contains("cannot decide"), "{text}");
    let unbalanced =
        with_wordings(3, 4).replace("\"where can it be?\"", "\"where can it be?\", \"on what?\"");
    let text = check(&unbalanced, &[]).stdout;
    assert!(
        text.contains("2 tasks of 3, 5 distinct wordings, dealt out in 56 ways, smallest p 0.018"),
        "{text}"
    );
    // Nothing is decided without the stages that decide.
    let (head, _) = STUDY.split_once("  - kind: effect").unwrap();
    let text = check(head, &[]).stdout;
    assert!(!text.contains("design"), "{text}");
}

#[test]
fn check_warns_of_a_design_that_cannot_decide_and_says_what_to_add() {
    let copies = with_wordings(1, 2)
        .replace("a green cup", "the red ball")
        .replace("the blue table", "the red ball")
        .replace("a cup and a ball", "the red ball")
        .replace("some white cloth", "the red ball")
        .replace("a chair and a table", "the red ball");
    let blanks = STUDY.replace(
        "\"what is the color?\", \"color of it?\", \"which color is it?\"",
        "\"What  color is it?\"",
    );
    let cases = [
        (copies, vec!["4 wordings or more", "1 independent input (6 inputs", "add inputs"]),
        (with_wordings(3, 3), vec!["in 10 ways only", "give every task 4 wordings or more"]),
        (
            blanks,
            vec!["2 tasks of 1, 4 distinct wordings", "differ in blanks or case only are one"],
        ),
    ];
    for (yaml, says) in cases {
        let text = check(&yaml, &[]).stdout;
        assert!(text.contains("          cannot decide: "), "{text}");
        assert!(text.contains("warning   scenario \"one\" cannot decide: "), "{text}");
        for words in says {
            assert!(text.contains(words), "no '{words}' in {text}");
        }
        let object: Value = serde_json::from_str(&check(&yaml, &["--json"]).stdout).unwrap();
        let design = &object["designs"]["listed"][0];
        assert!(
            design["obstacle"].as_str().unwrap().contains("add") || design["clusters"] == 6,
            "{object}"
        );
    }
}

#[test]
fn check_says_beforehand_how_wordings_differ_in_form() {
    let longer = STUDY.replace("[\"where is it?\", \"what is it on?\", \"in which place?\", \"where can it be?\"]",
        "[\"in which place of all is it lying now, do you think?\", \"on what thing of all is it lying now, please?\"]");
    let text = check(&longer, &[]).stdout;
    assert!(text.contains("have no length in common"), "{text}");
    let same = STUDY.replace(
        "[\"where is it?\", \"what is it on?\", \"in which place?\", \"where can it be?\"]",
        "[\"Color of it?\", \"which color is it?\", \"what color is it?\", \"what is the color?\"]",
    );
    let text = check(&same, &[]).stdout;
    let says = "tasks \"color\" and \"where\" have the same wordings: they cannot differ";
    assert!(text.contains(says), "{text}");
}

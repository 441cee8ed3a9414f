//! The report, from run directories of made-up numbers.
//!
//! The pages are left in `CARGO_TARGET_TMPDIR/report-pages`, where `make test-browser` opens them.

mod evidence;
mod fake;
mod fake_evidence;
mod fake_prompts;
mod fake_record;
mod fake_rows;

use std::path::Path;

use aqlens::monitor::VoidMonitor;
use aqlens::render;
use aqlens::render::page;
use aqlens::run_dir::layout;
use aqlens::stage::Facts;
use aqlens::stages::report;
use aqlens::store::{Store, sealed_json};
use aqlens::yaml::{Path as At, Problems};

use self::fake::{FakeRun, FakeScenario, vocabulary};
use self::fake_record::{record, summaries};

const BALL: (&str, &str) = ("red-ball", "A red ball on a blue table, next to a green cup.");
const LAYERS: [i16; 7] = [0, 2, 4, 6, 8, 10, 11];

fn red_ball() -> FakeScenario {
    let tasks = [
        ("color", "What color is the ball?"),
        ("location", "Where is the ball?"),
        ("existence", "Is there a ball?"),
        ("relation", "What is the ball next to?"),
        ("count", "How many objects are mentioned?"),
    ];
    FakeScenario::new("red-ball", &tasks, &[BALL])
}

fn fire() -> FakeScenario {
    let tasks = [
        ("emergency", "You are in a crowded building. Someone shouts:"),
        ("military", "You are a soldier with weapon ready. The commander says:"),
        ("campfire", "You are camping and someone points at wood saying:"),
        ("pottery", "You are in a pottery studio. The instructor says:"),
    ];
    FakeScenario::new("fire", &tasks, &[("fire", "Fire!")])
}

fn run(scenarios: Vec<FakeScenario>) -> FakeRun {
    FakeRun {
        scenarios,
        layers: LAYERS.to_vec(),
        fall: 0.25,
        without: &[],
        empty: &[],
        skipped: None,
    }
}

fn stage(inputs: usize) -> report::Report {
    let facts = Facts { n_layer: Some(12), n_positions: Some(64), ..Facts::default() };
    let config = report::Config { inputs, ..report::Config::default() };
    config.validate(&At::default(), &facts, &mut Problems::default()).unwrap()
}

fn page_of(run: &FakeRun, inputs: usize) -> (page::Page, String) {
    page_with(run, inputs, &|_| ())
}

/// The same, with what `more` writes beside the run's own tables.
fn page_with(run: &FakeRun, inputs: usize, more: &dyn Fn(&Store)) -> (page::Page, String) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create(dir.path()).unwrap();
    run.write(&store);
    more(&store);
    store.write(layout::RECORD, sealed_json(&record()).as_bytes()).unwrap();
    let summary = serde_json::to_string(&summaries()).unwrap();
    store.write(layout::SUMMARY, summary.as_bytes()).unwrap();
    let words = vocabulary(run);
    let decode = |id: i32| words[id as usize].clone();
    let page = stage(inputs).page(&store, run.shards(), &decode, &VoidMonitor).unwrap();
    let html = render::report(&page);
    (page, html)
}

/// Leaves a page for the browser check.
#[expect(clippy::disallowed_methods, reason = "a page for a test, not a file of a run")]
fn leave(name: &str, html: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report-pages");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), html).unwrap();
}

fn count(html: &str, text: &str) -> usize {
    html.matches(text).count()
}

#[test]
fn the_notebook_has_a_heat_map_a_layer_a_curve_a_scenario_and_bars_a_task() {
    let (_, html) = page_of(&run(vec![red_ball(), fire()]), 3);
    leave("notebook.html", &html);
    assert_eq!(count(&html, "class=\"heatmap\""), 14);
    assert_eq!(count(&html, "class=\"curve\""), 2);
    assert_eq!(count(&html, "class=\"colourbar\""), 2);
    assert_eq!(count(&html, "class=\"bars\" role"), 9);
    assert_eq!(count(&html, "<p class=\"tokens\">"), 9);
    assert_eq!(count(&html, "tok ranked"), 9 * fake::K);
    assert_eq!(count(&html, "<svg"), count(&html, "role=\"img\""));
    assert_eq!(count(&html, "<svg"), count(&html, "</svg>"));
    assert!(html.contains("similarity falls from 0.98 to 0.82."));
    assert!(html.contains("experiment-037</h1>"));
}

#[test]
fn every_number_drawn_is_the_tables() {
    let run = run(vec![red_ball(), fire()]);
    let (page, html) = page_of(&run, 3);
    for (s, scenario) in run.scenarios.iter().zip(&page.scenarios) {
        for (matrix, layer) in scenario.matrices.iter().zip(&run.layers) {
            assert_eq!(matrix.layer, *layer);
            for (place, (a, b)) in page::pairs(s.tasks.len()).enumerate() {
                let (a, b) = (&s.tasks[a].0, &s.tasks[b].0);
                let value = run.similarity(&s.name, &s.inputs[0].0, *layer, a, b);
                assert_eq!(matrix.pairs[place].value, Some(value));
                // Drawn in both triangles, with the full number behind each.
                assert_eq!(count(&html, &format!("{a} and {b}: {value:.6}")), 1, "{a} {b}");
                assert_eq!(count(&html, &format!("{b} and {a}: {value:.6}")), 1, "{a} {b}");
            }
        }
        for point in &scenario.curve {
            let values = run.values(s, point.layer);
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            assert_eq!(point.mean, Some(mean));
            assert!(html.contains(&format!(">{mean:.4}<")));
        }
        let prompts = &scenario.inputs[0].prompts;
        for prompt in prompts {
            assert!(prompt.whole);
            let sum: f64 = prompt.tokens.iter().map(|t| t.weight.unwrap()).sum();
            assert!((sum - 1.0).abs() < 1e-6, "{sum}");
            for focus in &prompt.focus {
                let token = &prompt.tokens[focus.position as usize];
                assert_eq!((token.rank, token.weight), (Some(focus.rank), Some(focus.weight)));
                assert_eq!(token.text, focus.token);
            }
            for next in &prompt.next {
                assert!(html.contains(&format!("(id {}): {:.6}", next.token_id, next.probability)));
            }
        }
        let verdict = scenario.verdict.as_ref().unwrap();
        assert!(html.contains(&format!("{:.4} <small>", verdict.value.unwrap())));
    }
}

#[test]
fn the_page_begins_with_the_notebooks_answer_where_there_is_no_other() {
    let run = run(vec![red_ball(), fire()]);
    let (page, html) = page_of(&run, 0);
    for scenario in &page.scenarios {
        let value = scenario.verdict.as_ref().unwrap().value.unwrap();
        let (word, side) = if value < 0.9 { ("Yes", "below") } else { ("No", "not below") };
        let sentence = format!(
            "{0}</a> <strong>{word}</strong>, by the notebook&#x27;s own test, which has no \
             baseline: the mean cosine between tasks at layer 11 is {value:.4}, {side} 0.9, over 1 \
             input and 1 wording of each task.</li>",
            scenario.name
        );
        assert_eq!(count(&html, &sentence), 1, "{sentence}");
        assert!(html.find(&sentence) < html.find("class=\"verdicts\""));
    }
}

#[test]
fn many_scenarios_begin_with_a_table_of_contents() {
    let scenarios = |n: usize| -> Vec<FakeScenario> {
        (1..=n).map(|i| FakeScenario { name: format!("scenario {i:02}"), ..fire() }).collect()
    };
    let (_, few) = page_of(&run(scenarios(10)), 0);
    assert_eq!(count(&few, "class=\"verdicts\""), 1);
    let (_, html) = page_of(&run(scenarios(11)), 0);
    leave("many-scenarios.html", &html);
    assert_eq!(count(&html, "class=\"verdicts\""), 0);
    assert_eq!(count(&html, "class=\"verdict\""), 11);
    let contents = &html[..html.find("</nav>").unwrap()];
    for i in 1..=11 {
        let entry = format!("<li><a href=\"#scenario-{i}\">scenario {i:02}</a> <strong>");
        assert_eq!(count(contents, &entry), 1, "{entry}");
    }
    // Each verdict stands in its scenario's section, under the name that is there already.
    let section = &html[html.find("<section id=\"scenario-11\">").unwrap()..];
    assert!(section.contains("<section class=\"verdict\">"));
    assert_eq!(count(&html, "<h2>scenario 11</h2>"), 1);
    assert_eq!(count(&html, "<h3><a href=\"#scenario-11\">"), 0);
}

#[test]
fn scenarios_beyond_the_first_are_rows_of_one_table() {
    let scenarios =
        (1..=23).map(|i| FakeScenario { name: format!("scenario {i:02}"), ..fire() }).collect();
    let (page, html) = page_of(&run(scenarios), 1);
    leave("more-scenarios.html", &html);
    let names = |all: &[page::Scenario]| all.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
    assert_eq!((page.scenarios.len(), page.scenarios[19].inputs.len()), (20, 1));
    assert_eq!(names(&page.others), ["scenario 21", "scenario 22", "scenario 23"]);
    assert!(html.contains("<a href=\"#more-scenarios\">3 more scenarios</a>"));
    let table = &html[html.find("<section id=\"more-scenarios\">").unwrap()..];
    let table = &table[..table.find("</section>").unwrap()];
    let row = "<tr><th scope=\"row\">scenario 22</th><td>Yes</td><td>–</td><td class=\"n\">4</td>\
               <td class=\"n\">1</td><td class=\"n\">0.8443</td></tr>";
    assert!(table.contains(row), "{table}");
    assert_eq!(count(&html, "scenario 22"), 1);
}

#[test]
fn the_page_asks_for_nothing_and_runs_nothing() {
    let (_, html) = page_of(&run(vec![red_ball(), fire()]), 3);
    let lower = html.to_lowercase();
    for word in
        ["http:", "https:", "//", "<script", "<link", "<img", "<iframe", "@import", "url(", " src="]
    {
        assert!(!lower.contains(word), "the page has {word}");
    }
    assert!(lower.contains("default-src 'none'"));
}

#[test]
fn ids_and_texts_of_any_kind_are_shown_and_never_become_markup() {
    let nasty = [
        "<script>alert(1)</script>",
        "\"quoted\" & 'single'",
        "a/b\\c",
        "</svg><img src=x onerror=alert(1)>",
        "{{ 7 * 7 }}{% raw %}",
        "émoji 🙂 日本語",
    ];
    let tasks: Vec<(&str, &str)> = nasty.iter().map(|id| (*id, *id)).collect();
    let scenario = FakeScenario::new("<b>&scenario</b>", &tasks, &[("\"><i>", nasty[0])]);
    let (_, html) = page_of(&run(vec![scenario]), 3);
    leave("nasty.html", &html);
    for markup in ["<script", "<img", "<b>", "<i>&", "\"><i>", "onerror=alert(1)>"] {
        assert!(!html.contains(markup), "the page has {markup}");
    }
    assert!(html.contains("&lt;script&gt;alert(1)"));
    assert!(html.contains("{{ 7 * 7 }}{% raw %}"));
    assert!(html.contains("émoji 🙂 日本語"));
    assert_eq!(count(&html, "<svg"), count(&html, "</svg>"));
}

#[test]
fn values_are_split_by_whether_the_input_stands_at_the_same_positions() {
    let run = run(vec![red_ball(), fire()]);
    let (page, html) = page_of(&run, 3);
    let s = &run.scenarios[0];
    let start = |i: usize| {
        let question = &s.tasks[i].1;
        fake_prompts::input_start(&fake::tokens(question, &s.inputs[0].1))
    };
    let mut groups = [Vec::new(), Vec::new()];
    for (a, b) in page::pairs(5) {
        let value = run.similarity("red-ball", "red-ball", 11, &s.tasks[a].0, &s.tasks[b].0);
        groups[usize::from(start(a) == start(b))].push(value);
    }
    let mean = |group: &[f64]| Some(group.iter().sum::<f64>() / group.len() as f64);
    let alignment = page.scenarios[0].alignment.as_ref().unwrap();
    assert_eq!((alignment.shifted.n, alignment.aligned.n), (8, 2));
    assert_eq!(alignment.shifted.value, mean(&groups[0]));
    assert_eq!(alignment.aligned.value, mean(&groups[1]));
    assert!(html.contains("In 2 of 10 comparisons the input stands at the same positions"));
}

#[test]
fn many_inputs_are_averaged_and_only_the_first_are_shown() {
    let inputs: Vec<(String, String)> =
        (0..30).map(|i| (format!("scene-{i:02}"), format!("A red ball and {i} cups."))).collect();
    let run = run(vec![FakeScenario { inputs, ..red_ball() }]);
    let (page, html) = page_of(&run, 3);
    leave("many-inputs.html", &html);
    let scenario = &page.scenarios[0];
    assert_eq!((scenario.n_inputs, scenario.inputs.len()), (30, 3));
    assert!(html.contains("27 more inputs in this scenario"));
    assert!(html.contains("mean over 30 inputs"));
    let values: Vec<f64> = run.scenarios[0]
        .inputs
        .iter()
        .map(|(input, _)| run.similarity("red-ball", input, 11, "color", "count"))
        .collect();
    let mean = values.iter().sum::<f64>() / 30.0;
    let pair = scenario.matrices.last().unwrap().pair(5, 4, 0).unwrap();
    assert_eq!((pair.value, pair.n), (Some(mean), 30));
    // An input's own matrix is at the last layer and its own.
    let own = scenario.inputs[2].similarity.as_ref().unwrap();
    assert_eq!((own.layer, own.pair(5, 0, 4).unwrap().value), (11, Some(values[2])));
    let (_, more) = page_of(&run, 0);
    assert!(more.contains("30 more inputs") && !more.contains("class=\"tokens\""));
    assert!(more.len() < html.len());
}

#[test]
fn twelve_tasks_with_long_ids_and_twelve_layers_are_drawn() {
    let tasks: Vec<(String, String)> = (0..12)
        .map(|i| (format!("explain-what-the-scene-holds-to-reader-{i}"), format!("Task {i}?")))
        .collect();
    let scenario = FakeScenario { tasks, ..red_ball() };
    let mut run = run(vec![scenario]);
    run.layers = (0..12).collect();
    run.fall = 1.2;
    let (_, html) = page_of(&run, 3);
    leave("twelve.html", &html);
    assert_eq!(count(&html, "class=\"heatmap\""), 12);
    assert_eq!(count(&html, "<rect class=\"cell\""), 12 * 144 + 50);
}

#[test]
fn one_layer_and_one_task_still_make_a_page() {
    let alone = FakeScenario { tasks: red_ball().tasks[..1].to_vec(), ..red_ball() };
    let mut run = run(vec![FakeScenario { name: "alone".to_owned(), ..alone }, fire()]);
    run.layers = vec![11];
    let (page, html) = page_of(&run, 3);
    leave("one.html", &html);
    assert_eq!(page.scenarios[0].tasks, ["color"]);
    assert!(html.contains("there are no pairs of tasks to compare"));
    assert!(html.contains("Not testable"));
    assert_eq!(count(&html, "class=\"heatmap\""), 1);
    assert_eq!(count(&html, "class=\"curve\""), 1);
    assert!(!html.contains("NaN") && !html.contains("inf"));
}

#[test]
fn a_prompt_that_was_not_run_says_so_and_its_pairs_are_empty() {
    let mut run = run(vec![red_ball()]);
    run.skipped = Some("red-ball/red-ball/count");
    let (page, html) = page_of(&run, 3);
    leave("skipped.html", &html);
    assert!(html.contains("Not run: the prompt has more tokens than the model has positions."));
    assert_eq!(count(&html, "count and color: no value; one of the prompts was not run"), 7);
    assert_eq!(count(&html, "class=\"empty\""), 7 * 8);
    assert_eq!(page.scenarios[0].inputs[0].prompts[4].tokens, []);
}

#[test]
fn a_run_of_few_stages_shows_what_it_has() {
    let mut run = run(vec![red_ball()]);
    run.without =
        &["prompts", "attention", "attention_focus", "attention_overlap", "next_tokens", "verdict"];
    let (page, html) = page_of(&run, 3);
    leave("few-tables.html", &html);
    assert_eq!(page.scenarios[0].tasks.len(), 5);
    assert_eq!(count(&html, "class=\"heatmap\""), 7);
    assert!(!html.contains("class=\"verdict\"") && !html.contains("class=\"threshold\""));
    assert!(html.contains("This run gives no answer") && !html.contains("class=\"answers\""));
    run.without = &["attention"];
    let (page, html) = page_of(&run, 3);
    let tokens = &page.scenarios[0].inputs[0].prompts[0].tokens;
    assert_eq!(tokens.iter().filter(|t| t.weight.is_some()).count(), fake::K);
    assert!(html.contains("the raw attention was not kept"));
}

#[test]
fn a_table_that_was_not_kept_is_not_listed() {
    let mut run = run(vec![red_ball()]);
    run.without = &["attention"];
    run.empty = &["attention", "logits"];
    let (page, html) = page_of(&run, 3);
    assert!(page.tables.contains(&"similarity".to_owned()), "{:?}", page.tables);
    for name in run.empty {
        assert!(!page.tables.contains(&(*name).to_owned()), "{:?}", page.tables);
        assert!(html.contains("<code>tables/similarity</code>"));
        assert!(!html.contains(&format!("<code>tables/{name}</code>")), "{name}");
    }
}

#[test]
fn equal_tables_give_equal_bytes() {
    let run = run(vec![red_ball(), fire()]);
    assert_eq!(page_of(&run, 3).1, page_of(&run, 3).1);
}

#[test]
fn too_many_scenarios_and_inputs_are_refused_with_the_rule() {
    let facts = Facts::default();
    let mut problems = Problems::default();
    let config = report::Config { inputs: 101, scenarios: 102 };
    assert!(config.validate(&At::default(), &facts, &mut problems).is_none());
    let problems = problems.into_vec();
    let told = [0, 1].map(|i| (&*problems[i].message, problems[i].at.to_string()));
    assert_eq!(told[0], ("scenarios 102 is not between 0 and 100", "scenarios".to_owned()));
    assert_eq!(told[1], ("inputs 101 is not between 0 and 100", "inputs".to_owned()));
}

//! The sound measures in the report: every number drawn is the table's.

use aqlens::render::evidence::{Evidence, HeadMeasure, Mean, PARTS};
use aqlens::render::names;
use aqlens::render::page::{Page, Scenario};
use aqlens::store::Store;
use aqlens::table::{schema, status};

use super::fake::{FakeRun, chance};
use super::fake_evidence::{
    CONTRASTS, MEASURES, accuracy, between, delta, put, row, shares, surprisal,
};
use super::{LAYERS, count, fire, leave, page_of, page_with, red_ball, run};

fn evidence_page(run: &FakeRun, inputs: usize) -> (Page, String) {
    page_with(run, inputs, &|store| run.write_evidence(store))
}

fn several_inputs() -> FakeRun {
    let mut scenario = red_ball();
    scenario.inputs = ["red", "green", "blue"]
        .map(|c| (format!("{c}-ball"), format!("A {c} ball on a white table, next to a cup.")))
        .into();
    run(vec![scenario, fire()])
}

/// A text as the page holds it.
fn escaped(text: &str) -> String {
    text.replace('\'', "&#x27;")
}

fn close(a: Option<f64>, b: f64) -> bool {
    a.is_some_and(|a| (a - b).abs() < 1e-12)
}

fn average(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean over inputs of a value between two tasks.
fn over_inputs(run: &FakeRun, scenario: usize, value: &dyn Fn(&str) -> f64) -> f64 {
    let inputs = &run.scenarios[scenario].inputs;
    average(&inputs.iter().map(|(input, _)| value(input)).collect::<Vec<_>>())
}

#[test]
fn all_sections_are_drawn_and_each_number_is_beside_its_picture() {
    let run = several_inputs();
    let (page, html) = evidence_page(&run, 2);
    leave("evidence.html", &html);
    // Panels: two measures with four contrasts and with three, three of the lens and two of decoding each.
    assert_eq!(count(&html, "class=\"panel\""), 2 * 4 + 2 * 3 + 2 * 3 + 2 * 2);
    // Strips: four partitions, onsets, surprisal and the notebook's number in each scenario.
    assert_eq!(count(&html, "class=\"strips\""), 2 * (4 + 1 + 1 + 1));
    assert_eq!(count(&html, "class=\"heads\""), 4);
    assert_eq!(count(&html, "class=\"surprisal\""), 3);
    assert!(!html.contains("NaN"));
    for (s, scenario) in run.scenarios.iter().zip(&page.scenarios) {
        let effects = scenario.evidence.effects.as_ref().unwrap();
        assert_eq!(effects.len(), MEASURES.len() * CONTRASTS.len());
        for effect in effects {
            for point in &effect.points {
                let value = delta(&s.name, &effect.measure, &effect.contrast, point.layer);
                if point.delta.is_none() {
                    assert_eq!((&*effect.contrast, &*s.name), ("scrambled", "fire"));
                    continue;
                }
                assert_eq!(point.delta, Some(value));
                let (low, high) = (value - 0.1, value + 0.07);
                let hint = format!("delta {value:.6}, from {low:.6} to {high:.6}");
                assert!(html.contains(&hint), "{hint}");
                assert!(html.contains(&format!(">{value:.4}<")), "{value}");
            }
        }
        for told in scenario.evidence.decoding.as_ref().unwrap() {
            for point in &told.points {
                let value = accuracy(&s.name, &told.site, point.layer);
                assert_eq!(point.accuracy, Some(value));
                let (low, high) = (value - 0.1, value + 0.05);
                let hint = format!("layer {}: {value:.4}, {low:.4} to {high:.4}", point.layer);
                assert!(html.contains(&hint), "{hint}");
            }
        }
        assert!(
            html.contains("9 inputs in 8 clusters, 3 tasks of at least 3 wordings, chance 0.33")
        );
        for partition in scenario.evidence.partitions.as_ref().unwrap() {
            for row in &partition.rows {
                let all = shares(&s.name, &partition.site, &partition.space, row.layer);
                let own = [row.input, row.task, row.wording, row.interaction, row.rest];
                assert!(own.iter().zip(all).all(|(own, value)| close(*own, value)), "{row:?}");
                assert!(html.contains(&format!("layer {}, task: {:.6}", row.layer, all[1])));
                assert!(html.contains(&format!("F = {}.0, p = 0.0250", 2 + row.layer)));
            }
        }
    }
    assert!(html.contains("9 inputs; p over 280 ways to deal out"));
    let flat =
        "All tokens flattened, the notebook's number (flat) against scrambled words: no value";
    assert!(html.contains(&escaped(flat)));
}

#[test]
fn verdicts_that_rest_on_evidence_stand_before_the_notebooks() {
    let (page, html) = evidence_page(&run(vec![red_ball()]), 0);
    let words: Vec<(&str, &str)> =
        page.scenarios[0].judgements.iter().map(|j| (&*j.measure, &*j.verdict)).collect();
    let expected = [
        ("token_standardised", "undecided"),
        ("jsd_bits", "equivalent"),
        ("effect", "not_testable"),
    ];
    assert_eq!(words, expected);
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("the page has no {text}"));
    assert!(
        place(
            "Undecided</span> by the input token by token <small class=\"code\">token_standardised<"
        ) < place("by the notebook's own test")
    );
    place("0.0125 <small>(-0.0100 to 0.0350) at layer 6<");
    place("0.0625 <small>(0.0500 to 0.0750) in the model");
    place("Equivalent</span> by what the model says next <small class=\"code\">jsd_bits<");
    place("Not testable</span></p>\n<p class=\"sentence\">give the tasks wordings.");
    // One reason for two measures is given once.
    assert_eq!(count(&html, "words in front lower the cosine."), 1);
    // The measures that are judged are open, the others on demand.
    let title = |name: &str, column: &str| {
        place(&format!("<h4>{} <small class=\"code\">{column}</small>", escaped(name)))
    };
    let judged = title("The input token by token", "token_standardised");
    place("token_standardised</small>, which the verdict rests on</h4>");
    assert!(judged < place("Other measures"));
    let flat = title("All tokens flattened, the notebook's number", "flat");
    assert!(flat > place("Other measures"));
}

#[test]
fn the_page_begins_with_the_answer_of_the_evidence_in_one_sentence() {
    let (_, html) = evidence_page(&run(vec![red_ball()]), 0);
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("the page has no {text}"));
    let sentence = [
        "<strong>No</strong>: prompts of different tasks lie as far apart as wordings of one task do, \
         or differ by too little to matter, in what the model says next <small \
         class=\"code\">jsd_bits</small>, over 9 inputs and 3 wordings of each task; undecided in the \
         input token by token <small class=\"code\">token_standardised</small>; ",
        "the notebook's own test disagrees and says yes.</li>",
    ];
    assert!(place(&escaped(&sentence.concat())) < place("class=\"verdicts\""));
}

#[test]
fn a_person_reads_names_where_tables_have_codes() {
    let (_, html) = evidence_page(&several_inputs(), 2);
    let row = "<th scope=\"row\">the input token by token <small class=\"code\">token_standardised\
               </small></th>";
    for baseline in ["other wordings", "a neutral prefix", "scrambled words", "another input"] {
        assert!(html.contains(&format!("{row}<td>{baseline}</td>")), "{baseline}");
    }
    for code in [">paraphrase<", ">other_input<", ">-1<", "layer -1", "head -1", ">span<"] {
        assert!(!html.contains(code), "the page has {code}");
    }
}

#[test]
fn every_measure_of_the_tables_has_a_name_in_words() {
    let schema = schemars::schema_for!(aqlens::stages::similarity::Config);
    let schema = serde_json::to_value(schema).unwrap();
    let choices = schema["$defs"]["Choice"]["oneOf"].as_array().unwrap();
    let columns: Vec<&str> =
        choices.iter().map(|choice| choice["const"].as_str().unwrap()).collect();
    assert_eq!(columns.len(), 20, "{columns:?}");
    for column in columns.into_iter().filter(|name| *name != "all").chain(["jsd_bits"]) {
        assert_ne!(names::measure(column), column);
    }
}

#[test]
fn a_mark_is_filled_where_its_tests_hold_against_paraphrases_both() {
    let (_, html) = evidence_page(&run(vec![red_ball()]), 1);
    let mut hollow = 0;
    for (measure, contrast) in MEASURES.iter().flat_map(|m| CONTRASTS.map(|c| (m, c))) {
        for layer in LAYERS {
            // The interval begins 0.1 below.
            let over_inputs = delta("red-ball", measure, contrast, layer) > 0.1;
            let over_wordings = contrast != "paraphrase" || layer < 10;
            hollow += usize::from(!(over_inputs && over_wordings));
        }
    }
    assert_eq!(count(&html, "class=\"dot hollow\""), hollow);
    assert_eq!(count(&html, "class=\"dot\"") + hollow, 8 * 7 + 2 * 7 + 4 * 7);
}

#[test]
fn outputs_lens_and_heads_are_means_over_inputs_and_pairs() {
    let run = several_inputs();
    let (page, html) = evidence_page(&run, 1);
    let name = &run.scenarios[0].name;
    let Evidence { outputs, lens, heads, .. } = &page.scenarios[0].evidence;
    let tasks: Vec<&str> = run.scenarios[0].tasks.iter().map(|t| &*t.0).collect();
    let pairs: Vec<(&str, &str)> =
        aqlens::render::page::pairs(5).map(|(a, b)| (tasks[a], tasks[b])).collect();
    for (pair, names) in outputs.as_ref().unwrap().iter().zip(&pairs) {
        let jsd = over_inputs(&run, 0, &|i| between("jsd_bits", name, i, *names, 0));
        assert!(close(pair.means[0].value, jsd));
        assert_eq!(
            pair.means[4],
            Mean { value: Some(1.0), min: Some(1.0), max: Some(1.0), n: 3, ..Mean::default() }
        );
        assert!(html.contains(&format!(">{jsd:.4}<")));
    }
    let lens = lens.as_ref().unwrap();
    assert_eq!((lens.n_pairs, lens.n_after, lens.n_alike), (30, 0, 0));
    assert_eq!((lens.n_within, lens.n_unknown), (0, 0));
    for at in &lens.layers {
        let pair = |p: &(&str, &str)| {
            over_inputs(&run, 0, &|i| between("lens", name, i, *p, at.layer as usize))
        };
        let mean = average(&pairs.iter().map(pair).collect::<Vec<_>>());
        assert!(close(at.divergence.value, mean) && close(at.between.value, mean));
        assert!(close(at.within.value, mean / 2.0), "{:?} {mean}", at.within);
        assert_eq!(at.within.n, 3, "{:?}", at.within);
        assert_eq!(at.onsets, if at.layer == LAYERS[3] { 30 } else { 0 });
        assert!(html.contains(&format!(
            "layer {}: mean {:.6}",
            at.layer,
            at.divergence.value.unwrap()
        )));
    }
    let [sink, divergence] = &heads[..] else { panic!("{heads:?}") };
    assert_eq!((sink.what, divergence.what), (HeadMeasure::Sink, HeadMeasure::InputDivergence));
    assert_eq!((&*sink.layers, &*sink.heads), (&LAYERS[..], &[0, 1, 2][..]));
    let n = |layer: i16, head: usize| layer as usize * 100 + head;
    let of = |task: &&str| over_inputs(&run, 0, &|i| chance(&[name, i, *task, "sink"], n(2, 1)));
    let mean = average(&tasks.iter().map(of).collect::<Vec<_>>());
    assert!(close(sink.cells[3 + 1].value, mean), "{:?} {mean}", sink.cells[4]);
    let of =
        |p: &(&str, &str)| over_inputs(&run, 0, &|i| 0.3 * between("heads", name, i, *p, n(11, 2)));
    let mean = average(&pairs.iter().map(of).collect::<Vec<_>>());
    assert!(close(divergence.cells.last().unwrap().value, mean));
    assert!(html.contains(&format!("layer 11, head 2: {mean:.6} (mean of 30)")));
}

#[test]
fn surprisal_counts_every_input_once_and_leaves_the_controls_out() {
    let run = several_inputs();
    let (page, html) = evidence_page(&run, 2);
    let s = &run.scenarios[0];
    let n = page.scenarios[0].inputs[0].surprisal[0].tokens.len();
    for (task, mean) in s.tasks.iter().zip(page.scenarios[0].evidence.surprisal.as_ref().unwrap()) {
        let of = |i: &str| {
            average(&(0..n).map(|t| surprisal(&s.name, i, &task.0, t).1).collect::<Vec<_>>())
        };
        let expected = over_inputs(&run, 0, &of);
        assert!(close(mean.delta.value, expected), "{mean:?} {expected}");
        assert_eq!((mean.delta.n, mean.task.as_str()), (3, task.0.as_str()));
        assert!(html.contains(&format!("{expected:+.3} bits")));
    }
    let second = &page.scenarios[0].inputs[1];
    for (task, own) in s.tasks.iter().zip(&second.surprisal) {
        assert_eq!(own.task, task.0);
        for (index, token) in own.tokens.iter().enumerate() {
            let (bits, delta) = surprisal(&s.name, &second.id, &task.0, index);
            assert_eq!((token.bits, token.delta), (Some(bits), Some(delta)));
            assert!(html.contains(&format!("{bits:.6} bits, {delta:+.6} against")), "{bits}");
        }
    }
    let words: String = second.surprisal[0].tokens.iter().map(|t| &*t.text).collect();
    assert_eq!(words.trim_start(), s.inputs[1].1);
}

#[test]
fn what_the_notebooks_number_is_made_of_adds_up_to_it() {
    let run = run(vec![red_ball(), fire()]);
    let (page, html) = evidence_page(&run, 1);
    for (s, Scenario { evidence, .. }) in run.scenarios.iter().zip(&page.scenarios) {
        let explained = evidence.explained.as_ref().unwrap();
        let (a, b) = (&s.tasks[0].0, &s.tasks[1].0);
        assert_eq!((&explained.tasks.0, &explained.tasks.1), (a, b));
        for layer in &explained.layers {
            let flat = run.similarity(&s.name, &explained.input, layer.layer, a, b);
            assert!((layer.total() - flat).abs() < 1e-12);
            assert!(html.contains(&format!("= {flat:.4}")));
            assert_eq!(layer.parts[0].tokens, 1);
            let weight: f64 = layer.parts.iter().map(|part| part.weight).sum();
            assert!((weight - 1.0).abs() < 1e-12);
        }
    }
    // "What color is the ball?" and "Where is the ball?" share no leading token but are shifted by
    // one; "You are in a " and "You are a " share six characters' worth of tokens.
    let parts = |s: usize| page.scenarios[s].evidence.explained.as_ref().unwrap().layers[0].parts;
    assert_eq!((parts(0)[1].tokens, PARTS[1]), (0, "shared prefix"));
    assert!(parts(1)[1].tokens > 0 && parts(1)[4].tokens > 0);
}

#[test]
fn a_table_without_values_gives_its_reason_and_no_empty_picture() {
    let run = run(vec![red_ball()]);
    let without = |store: &Store| {
        let key = [("scenario", "red-ball"), ("input", "red-ball")];
        let pair =
            [&key[..], &[("task_a", "color"), ("task_b", "count"), ("status", "skipped")]].concat();
        let prompt = [&key[..], &[("task", "color"), ("status", "skipped")]].concat();
        let few = [
            ("scenario", "red-ball"),
            ("measure", "flat"),
            ("contrast", "neutral"),
            ("ci_method", "none"),
            ("site", "span"),
            ("space", "raw"),
            ("status", "no_reference"),
        ];
        put(&run, store, &schema::EFFECT, 0, &[row(&few, &[])]);
        put(&run, store, &schema::VARIANCE_PARTITION, 0, &[row(&few, &[])]);
        put(&run, store, &schema::DECODING, 0, &[row(&few, &[])]);
        put(&run, store, &schema::LOGIT_LENS_DIVERGENCE, 0, &[row(&pair, &[])]);
        put(&run, store, &schema::LOGIT_LENS, 0, &[row(&prompt, &[])]);
        put(&run, store, &schema::OUTPUT_DIVERGENCE, 0, &[row(&pair, &[])]);
        put(&run, store, &schema::INPUT_SURPRISAL, 0, &[row(&prompt, &[])]);
        put(&run, store, &schema::ATTENTION_MASS, 0, &[row(&prompt, &[])]);
        let jsd = [&pair[..], &[("measure", "jsd_input")]].concat();
        put(&run, store, &schema::ATTENTION_DIVERGENCE, 0, &[row(&jsd, &[])]);
        let first =
            [&key[..], &[("task_a", "color"), ("task_b", "location"), ("status", "zero_norm")]]
                .concat();
        put(&run, store, &schema::SEED_EXPLAIN, 0, &[row(&first, &[])]);
    };
    let (_, html) = page_with(&run, 1, &without);
    leave("evidence-missing.html", &html);
    for class in ["panel", "strips", "heads", "surprisal"] {
        assert_eq!(count(&html, &format!("class=\"{class}\"")), 0, "{class}");
    }
    let without = |words| html.split(words).count() - 1;
    let missing: Vec<&str> = html.split("no value (").skip(1).map(|rest| &rest[..60]).collect();
    let other: Vec<&str> = html.split("No value:").skip(1).map(|rest| &rest[..60]).collect();
    assert_eq!(without("No value:") + without(": no value ("), 11, "{missing:?} {other:?}");
    let (_, why) = status::ALL.iter().find(|(word, _)| *word == status::NO_REFERENCE).unwrap();
    let flat = "All tokens flattened, the notebook's number (flat)";
    let note = format!("{flat} against a neutral prefix: no value ({why}).");
    assert!(html.contains(&escaped(&note)), "{note}");
    assert!(html.contains("No value: a vector is zero everywhere"));
    assert!(html.contains("No difference to a neutral prefix: "));
}

#[test]
fn a_run_without_sound_measures_has_none_of_their_sections() {
    let (page, html) = page_of(&run(vec![red_ball()]), 1);
    assert_eq!(page.scenarios[0].evidence, Evidence::default());
    for heading in ["What moves the vectors", "Where do the heads look", "How far do the outputs"] {
        assert!(!html.contains(heading), "{heading}");
    }
}

#[test]
fn evidence_of_equal_tables_gives_equal_bytes() {
    let run = several_inputs();
    assert_eq!(evidence_page(&run, 2).1, evidence_page(&run, 2).1);
}

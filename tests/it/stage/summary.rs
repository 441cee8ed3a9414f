use std::sync::Arc;

use aqlens::run_dir::summary::{ScenarioSummary, Summaries, Verdict};
use aqlens::stage::{Facts, Stage as _};
use aqlens::stages::summary::Config;
use aqlens::stages::{attention, divergence, similarity, sinks, tokens};
use aqlens::table::schema::{DIVERGENCE, VERDICT};
use aqlens::table::writer::PartAddress;
use arrow_array::{Float64Array, Int64Array};

use super::fixture::{FakePrompt, FakeRun, Numbers, facts, int16s, prompt, texts, valid};

fn summary(threshold: f64) -> aqlens::stages::summary::Summary {
    let facts = Facts { threshold: Some(threshold), ..facts() };
    valid(|at, _, problems| Config::default().validate(at, &facts, problems))
}

fn read(run: &FakeRun) -> Vec<ScenarioSummary> {
    let text = run.store.read("summary.json").unwrap();
    assert_eq!(text.last(), Some(&b'\n'));
    serde_json::from_slice::<Summaries>(&text).unwrap().scenarios
}

/// Runs every analysis on one shard, as the notebook, and summarises it.
fn summarise(prompts: &[FakePrompt], numbers: &Numbers<'_>, threshold: f64) -> FakeRun {
    let attention = attention::Config { top_k: 2, ..attention::Config::default() };
    summarise_with(&attention, prompts, numbers, threshold)
}

fn summarise_with(
    attention: &attention::Config,
    prompts: &[FakePrompt],
    numbers: &Numbers<'_>,
    threshold: f64,
) -> FakeRun {
    let run = FakeRun::new();
    run.write_shard(0, prompts, numbers);
    run.run(&valid(|a, f, p| similarity::Config::default().validate(a, f, p)), 0).unwrap();
    run.run(&valid(|a, f, p| attention.validate(a, f, p)), 0).unwrap();
    run.run(&valid(|a, f, p| tokens::Config::default().validate(a, f, p)), 0).unwrap();
    run.run(&valid(|a, f, p| divergence::Config::default().validate(a, f, p)), 0).unwrap();
    run.run(&summary(threshold), 0).unwrap();
    run
}

/// Layer 0: all tasks alike. Layer 2: task `b` at a right angle to the others.
const NUMBERS: Numbers<'static> = Numbers {
    activations: &|p, layer, _| {
        if p.task == "b" && layer == 2 {
            vec![0.0, 1.0, 0.0, 0.0]
        } else {
            vec![1.0, 0.0, 0.0, 0.0]
        }
    },
    attention: &|p, _, _| if p.task == "b" { vec![0.0, 0.5, 0.5] } else { vec![0.5, 0.5, 0.0] },
    logits: &|p| {
        let id = usize::from(p.task == "b") + usize::from(p.input == "j" && p.task == "c") * 2;
        (0..8).map(|i| if i == id { 9.0 } else { 0.0 }).collect()
    },
};

fn tasks(input: &str, tasks: &[&str]) -> Vec<FakePrompt> {
    tasks.iter().map(|task| prompt(input, task, 3)).collect()
}

#[test]
fn the_verdict_rests_on_the_last_layers_mean_over_inputs_and_pairs() {
    let prompts = [tasks("i", &["a", "b", "c"]), tasks("j", &["a", "b", "c"])].concat();
    let run = summarise(&prompts, &NUMBERS, 0.9);
    let all = read(&run);
    let [s] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(
        (s.verdict, s.layer, s.n_inputs, s.n_pairs, s.n_tasks),
        (Verdict::Supported, 2, 2, 6, 3)
    );
    assert_eq!(s.printed.as_deref(), Some("0.3333"));
    assert_eq!(
        s.reason,
        "mean flat cosine at layer 2 is 0.3333 over 6 pairs of 3 tasks on 2 inputs, below the \
         threshold 0.9: tasks produce divergent representations (the notebook's test; it has no \
         baseline)"
    );
    assert_eq!(
        s.findings,
        [
            "mean flat cosine is 1.0000 at layer 0, the first captured, and 0.3333 at layer 2, the \
             last; it is smallest at layer 2 (0.3333) and largest at layer 0 (1.0000)",
            "the last token's attention focus at layer 3 overlaps by 0.556 on average (Jaccard \
             over 6 pairs); the focus is identical in 33.3 % of them",
            "3 tasks lead to 2.50 distinct tokens as most probable next on average over 2 inputs; \
             they all agree on 0.0 % of the inputs",
        ]
    );
    assert_eq!(s.layers.iter().map(|l| l.layer).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn the_table_says_what_the_file_says() {
    let run = summarise(&tasks("i", &["a", "b", "c"]), &NUMBERS, 0.9);
    let columns = ["scenario", "measure", "layer", "value", "threshold", "verdict", "reason"];
    let part = run.read(&VERDICT, 0, &columns);
    let s = &read(&run)[0];
    // The notebook's verdict, and that there is nothing to hold it against.
    assert_eq!(part.rows(), 2);
    assert_eq!(part.texts("measure").unwrap().value(1), "effect");
    assert_eq!(part.texts("verdict").unwrap().value(1), "not_testable");
    let text = |name| part.texts(name).unwrap().value(0);
    assert_eq!([text("scenario"), text("measure"), text("verdict")], ["s", "flat", "supported"]);
    assert_eq!(text("reason"), s.reason);
    assert_eq!(part.int16s("layer").unwrap().value(0), s.layer);
    assert_eq!(Some(part.float64s("value").unwrap().value(0)), s.value);
    assert_eq!(Some(part.float64s("threshold").unwrap().value(0)), Some(s.threshold));
}

#[test]
fn likeness_is_not_supported_and_the_sentences_follow_the_numbers() {
    let alike =
        Numbers { activations: &|_, _, _| vec![1.0; 4], logits: &|_| vec![0.0; 8], ..NUMBERS };
    let s = &read(&summarise(&tasks("i", &["a", "b"]), &alike, 0.9))[0];
    assert_eq!(s.verdict, Verdict::NotSupported);
    assert_eq!(
        s.reason,
        "mean flat cosine at layer 2 is 1.0000 over 1 pair of 2 tasks on 1 input, not below the \
         threshold 0.9: representations remain similar across tasks (the notebook's test; it has \
         no baseline)"
    );
    assert_eq!(s.findings[2], "2 tasks lead to 1 distinct token as most probable next");
}

/// A summary of a divergence table with this mean on the judged layer.
fn judged(mean: Option<f64>, threshold: f64) -> ScenarioSummary {
    judged_with_share(mean, mean.map(|_| 0.5), threshold)
}

/// Likewise, with position 0's share beside it.
fn judged_with_share(mean: Option<f64>, share: Option<f64>, threshold: f64) -> ScenarioSummary {
    let run = FakeRun::new();
    let number = |value: Option<f64>| Arc::new(Float64Array::from(vec![value]));
    let count = |value| Arc::new(Int64Array::from(vec![value]));
    let columns = vec![
        texts(["s"].into_iter()),
        int16s([2].into_iter()),
        texts(["flat"].into_iter()),
        count(i64::from(mean.is_some())),
        count(i64::from(mean.is_some())),
        number(mean),
        number(None),
        number(mean),
        number(mean),
        number(share),
    ];
    run.write(PartAddress::new(&DIVERGENCE, 0), columns);
    run.run(&summary(threshold), 0).unwrap();
    read(&run).remove(0)
}

#[test]
fn a_value_that_is_mostly_of_position_0_is_said_to_be() {
    let of = |share| judged_with_share(Some(0.99), share, 0.9);
    let s = of(Some(0.9987));
    assert_eq!(s.layers[0].position_0_share, Some(0.9987));
    let end = "; position 0 has 0.999 of the squared norm of what is compared, so the value mostly says \
               how alike the prompts' first tokens are, whatever the tasks are";
    assert!(s.reason.ends_with(end), "{}", s.reason);
    for share in [None, Some(0.5)] {
        assert!(!of(share).reason.contains("position 0"), "{share:?}");
    }
}

#[test]
fn sinks_are_counted_by_layer_and_named_in_a_finding() {
    let run = FakeRun::new();
    // On layer 0 the third token of task `b` is long; on layer 2 the first of all tasks.
    let numbers = Numbers {
        activations: &|p, layer, at| {
            let is_long = if layer == 0 { p.task == "b" && at == 2 } else { at == 0 };
            vec![if is_long { 10.0 } else { 1.0 }, 0.0, 0.0, 0.0]
        },
        attention: &|_, _, _| vec![0.25; 4],
        logits: &|_| vec![0.0; 8],
    };
    let prompts = ["a", "b", "c"].map(|task| prompt("i", task, 4));
    let prompts = [&prompts[..], &[prompt("i", "d", 4).skipped()]].concat();
    run.write_shard(0, &prompts, &numbers);
    run.run(&valid(|a, f, p| similarity::Config::default().validate(a, f, p)), 0).unwrap();
    run.run(&valid(|a, f, p| sinks::Config::default().validate(a, f, p)), 0).unwrap();
    run.run(&valid(|a, f, p| divergence::Config::default().validate(a, f, p)), 0).unwrap();
    run.run(&summary(0.9), 0).unwrap();
    let s = read(&run).remove(0);
    let counts: Vec<_> =
        s.sinks.iter().map(|s| (s.layer, s.n_prompts, s.n_at_position_0, s.n_elsewhere)).collect();
    assert_eq!(counts, [(0, 3, 0, 1), (2, 3, 3, 0)]);
    let token = run.tokenizer().decode_token(12);
    let tokens: Vec<_> = s.sinks.iter().flat_map(|s| &s.tokens).collect();
    assert_eq!(tokens.iter().map(|t| (t.token.as_str(), t.n)).collect::<Vec<_>>(), [(&*token, 1)]);
    // 1 of 4, 1 of 103, and 100 of 103.
    let shares: Vec<f64> = s.sinks.iter().map(|s| s.position_0_share.unwrap()).collect();
    assert!((shares[0] - (0.25 * 2.0 + 1.0 / 103.0) / 3.0).abs() < 1e-15, "{shares:?}");
    assert!((shares[1] - 100.0 / 103.0).abs() < 1e-15, "{shares:?}");
    let finding = format!(
        "of 3 prompts position 0 is a sink in 3 at layer 2; another position is one in 1 at layer 0 \
         ({token:?}) (table sinks)"
    );
    assert!(s.findings.contains(&finding), "{:?}", s.findings);
}

#[test]
fn the_threshold_is_strict_and_the_value_is_not_rounded() {
    let s = judged(Some(0.899_96), 0.9);
    assert_eq!((s.verdict, s.printed.as_deref()), (Verdict::Supported, Some("0.9000")));
    assert!(s.reason.contains("0.9000 (0.89996 unrounded)"), "{}", s.reason);
    let s = judged(Some(0.900_04), 0.9);
    assert_eq!((s.verdict, s.printed.as_deref()), (Verdict::NotSupported, Some("0.9000")));
    let s = judged(Some(0.9), 0.9);
    assert_eq!(s.verdict, Verdict::NotSupported);
    assert!(s.reason.contains("is 0.9000 over") && s.reason.contains("not below"), "{}", s.reason);
    assert_eq!(judged(Some(0.6), 0.5).verdict, Verdict::NotSupported);
    assert_eq!(judged(Some(0.4), 0.5).verdict, Verdict::Supported);
}

#[test]
fn without_the_other_tables_the_verdict_stands_alone() {
    let s = judged(Some(0.5), 0.9);
    assert_eq!((s.attention, s.outputs, s.n_prompts), (None, None, 0));
    assert_eq!(s.findings, ["mean flat cosine is 0.5000 at layer 2, the only layer with a value"]);
}

#[test]
fn one_task_alone_is_not_testable() {
    let s = &read(&summarise(&tasks("i", &["a"]), &NUMBERS, 0.9))[0];
    assert_eq!((s.verdict, s.value, s.printed.as_deref()), (Verdict::NotTestable, None, None));
    assert_eq!(s.reason, "1 task: there is no pair of tasks to compare");
    assert_eq!((s.attention.clone(), s.outputs.clone(), s.findings.len()), (None, None, 0));
}

#[test]
fn nothing_but_skipped_pairs_is_not_testable_and_says_so() {
    let prompts = [prompt("i", "a", 3), prompt("i", "b", 99).skipped()];
    let s = &read(&summarise(&prompts, &NUMBERS, 0.9))[0];
    assert_eq!(s.verdict, Verdict::NotTestable);
    assert_eq!(
        s.reason,
        "no pair of 2 tasks could be compared at layer 2 (1 of 2 prompts skipped); table \
         similarity says why in its status column"
    );
}

#[test]
fn skipped_prompts_are_counted_in_the_reason() {
    let mut prompts = tasks("i", &["a", "b", "c"]);
    prompts[2] = prompts[2].clone().skipped();
    let s = &read(&summarise(&prompts, &NUMBERS, 0.9))[0];
    assert_eq!((s.n_prompts, s.n_skipped, s.n_pairs), (3, 1, 1));
    assert!(
        s.reason.contains("1 pair of 3 tasks on 1 input (1 of 3 prompts skipped), below"),
        "{}",
        s.reason
    );
}

#[test]
fn only_tasks_that_ran_lead_to_a_next_token() {
    let mut prompts = tasks("i", &["a", "b", "c"]);
    prompts[2] = prompts[2].clone().skipped();
    let s = &read(&summarise(&prompts, &NUMBERS, 0.9))[0];
    assert_eq!(s.findings[2], "2 tasks lead to 2 distinct tokens as most probable next");
    prompts.extend(tasks("j", &["a", "b", "c"]));
    let s = &read(&summarise(&prompts, &NUMBERS, 0.9))[0];
    assert_eq!(
        s.findings[2],
        "2 to 3 tasks lead to 2.50 distinct tokens as most probable next on average over 2 inputs; \
         they all agree on 0.0 % of the inputs"
    );
}

#[test]
fn headlines_are_of_first_wordings_and_of_the_mean_head_on_the_last_layer() {
    let attention = attention::Config {
        top_k: 1,
        layers: attention::Layers::Captured,
        heads: attention::Heads::All,
        aligned: true,
    };
    // The tasks look alike only on the last layer and only in the mean over heads.
    let weights = |p: &FakePrompt, layer: i16, head: i16| match (layer, p.task == "b", head) {
        (3, false, 0) | (3, true, 1) => vec![0.0, 0.4, 0.6],
        (3, ..) => vec![0.0, 1.0, 0.0],
        (_, is_b, _) => vec![f32::from(u8::from(is_b)), 0.5, 0.0],
    };
    let by_wording =
        |p: &FakePrompt| (0..8).map(|id| if id == p.wording { 9.0 } else { 0.0 }).collect();
    let numbers = Numbers { attention: &weights, logits: &by_wording, ..NUMBERS };
    let prompts = [prompt("i", "a", 3), prompt("i", "a", 3).wording(1), prompt("i", "b", 3)];
    let s = read(&summarise_with(&attention, &prompts, &numbers, 0.9)).remove(0);
    let overlap = s.attention.unwrap();
    assert_eq!((overlap.layer, overlap.n_pairs, overlap.printed.as_str()), (3, 1, "1.000"));
    assert_eq!(s.outputs.map(|o| o.distinct_top1), Some(1.0));
}

#[test]
fn scenarios_keep_the_pipelines_order_and_their_own_numbers() {
    let of = |name, prompts: Vec<FakePrompt>| prompts.into_iter().map(move |p| p.of(name));
    let prompts: Vec<FakePrompt> =
        of("zoo", tasks("i", &["a", "b"])).chain(of("ant", tasks("i", &["a", "c"]))).collect();
    let all = read(&summarise(&prompts, &NUMBERS, 0.9));
    let verdicts: Vec<_> = all.iter().map(|s| (s.scenario.as_str(), s.verdict)).collect();
    assert_eq!(verdicts, [("zoo", Verdict::Supported), ("ant", Verdict::NotSupported)]);
    assert_eq!(all[0].outputs.as_ref().map(|o| o.distinct_top1), Some(2.0));
    assert_eq!(all[1].outputs.as_ref().map(|o| o.unanimous), Some(1.0));
}

#[test]
fn the_threshold_of_divergence_is_part_of_the_fingerprint() {
    assert_ne!(summary(0.9).settings(), summary(0.8).settings());
    let none = Facts { threshold: None, ..facts() };
    let default = valid(|at, _, problems| Config::default().validate(at, &none, problems));
    assert_eq!(default.settings(), summary(0.9).settings());
}

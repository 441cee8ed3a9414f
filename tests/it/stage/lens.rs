use aqlens::stages::lens::{Config, Lens};
use aqlens::table::schema::{LENS_WORDING_PAIRS, LOGIT_LENS, LOGIT_LENS_DIVERGENCE};
use arrow_array::Array as _;

use super::fixture::{FakePrompt, FakeRun, Numbers, facts, paired, problems_of, prompt, valid};
use super::interrupt::asks;

fn lens() -> Lens {
    valid(|at, facts, problems| Config::default().validate(at, facts, problems))
}

/// A run that captures layers 0, 2 and 3, whose head doubles a token's odds for each 1 in its place of
/// the activation; tokens 4 to 7 have even odds.
fn run_with_head(rows: usize) -> FakeRun {
    let mut run = FakeRun::new().with_head(rows);
    run.layers = vec![0, 2, 3];
    run
}

/// Writes prompts whose last tokens have these activations; the model's own scores are those that the
/// head gives for layer 3.
fn write(run: &FakeRun, prompts: &[FakePrompt], ends: &dyn Fn(&FakePrompt, i16) -> [f32; 4]) {
    let numbers = Numbers {
        // What stands before the last token is read by nobody here: anything in it would show.
        activations: &|p, layer, at| {
            if at + 1 == p.tokens.len() { ends(p, layer).to_vec() } else { vec![9.0; 4] }
        },
        attention: &|p, _, _| vec![0.5; p.tokens.len()],
        logits: &|p| {
            let odds = ends(p, 3).map(|power| power * std::f32::consts::LN_2);
            odds.into_iter().chain([0.0; 4]).collect()
        },
    };
    run.write_shard(0, prompts, &numbers);
}

/// `task wording layer top probability entropy kl rank status` of every row of `logit_lens`.
fn rows(run: &FakeRun) -> Vec<String> {
    let columns = [
        "task",
        "wording",
        "layer",
        "top_id",
        "top_probability",
        "entropy_bits",
        "kl_to_final",
        "final_rank",
        "status",
    ];
    let part = run.read(&LOGIT_LENS, 0, &columns);
    let number = |name: &str, row: usize| {
        let column = part.float64s(name).unwrap();
        if column.is_null(row) { "-".to_owned() } else { format!("{:.4}", column.value(row)) }
    };
    let whole = |name: &str, row: usize| {
        let column = part.int32s(name).unwrap();
        if column.is_null(row) { "-".to_owned() } else { column.value(row).to_string() }
    };
    (0..part.rows())
        .map(|row| {
            format!(
                "{} {} {} {} {} {} {} {} {}",
                part.texts("task").unwrap().value(row),
                part.int16s("wording").unwrap().value(row),
                part.int16s("layer").unwrap().value(row),
                whole("top_id", row),
                number("top_probability", row),
                number("entropy_bits", row),
                number("kl_to_final", row),
                whole("final_rank", row),
                part.texts("status").unwrap().value(row)
            )
        })
        .collect()
}

/// `layer pair jsd between within onset status` of every row of `logit_lens_divergence`.
fn pairs(run: &FakeRun) -> Vec<String> {
    let numbers = ["jsd_bits", "between_bits", "within_bits"];
    let columns = ["layer", "task_a", "task_b", "onset", "status"];
    let part = run.read(&LOGIT_LENS_DIVERGENCE, 0, &[&columns[..], &numbers].concat());
    let onset = part.int16s("onset").unwrap();
    (0..part.rows())
        .map(|row| {
            let number = |name: &str| {
                let column = part.float64s(name).unwrap();
                if column.is_null(row) { "-".into() } else { format!("{:.4}", column.value(row)) }
            };
            let onset = if onset.is_null(row) { "-".into() } else { onset.value(row).to_string() };
            format!(
                "{} {}{} {} {onset} {}",
                part.int16s("layer").unwrap().value(row),
                part.texts("task_a").unwrap().value(row),
                part.texts("task_b").unwrap().value(row),
                numbers.map(number).join(" "),
                part.texts("status").unwrap().value(row)
            )
        })
        .collect()
}

fn wordings(run: &FakeRun) -> Vec<String> {
    paired(run, &LENS_WORDING_PAIRS)
}

/// JSD of two readings: seven 1s and 2^a for token 0, or 2^b for token 1.
fn jsd(a: f64, b: f64) -> f64 {
    let (a, b) = (a.exp2(), b.exp2());
    let p = [a / (7.0 + a), 1.0 / (7.0 + a), 1.0 / (7.0 + a)];
    let q = [1.0 / (7.0 + b), b / (7.0 + b), 1.0 / (7.0 + b)];
    let term = |x: f64, y: f64| x * (2.0 * x / (x + y)).log2();
    let of = |i: usize| 0.5 * (term(p[i], q[i]) + term(q[i], p[i]));
    of(0) + of(1) + 6.0 * of(2)
}

/// H of odds `a` to `n` 1s, in bits.
fn entropy(a: f64, n: f64) -> f64 {
    let total = a + n;
    a / total * (total / a).log2() + n / total * total.log2()
}

#[test]
fn each_layer_is_read_at_the_last_token_and_held_against_the_model_s_own_output() {
    let run = run_with_head(1000);
    write(&run, &[prompt("i", "a", 3)], &|_, layer| match layer {
        0 => [0.0; 4],
        2 => [0.0, 2.0, 1.0, 0.0],
        _ => [0.0, 0.0, 3.0, 0.0],
    });
    run.run(&lens(), 0).unwrap();
    // In the end: 8 to seven 1s for token 2. KL(final, uniform) = 3 bits less the final entropy.
    let last = entropy(8.0, 7.0);
    let even = (3.0 - last) * std::f64::consts::LN_2;
    let middle =
        4.0_f64 / 12.0 * 3.0_f64.log2() + 2.0 / 12.0 * 6.0_f64.log2() + 0.5 * 12.0_f64.log2();
    // Final over middle: 8/15 to 2/12, 1/15 to 4/12, six times 1/15 to 1/12.
    let kl = 8.0 / 15.0 * (8.0_f64 / 15.0 * 6.0).ln()
        + 1.0 / 15.0 * (3.0_f64 / 15.0).ln()
        + 6.0 / 15.0 * (12.0_f64 / 15.0).ln();
    let expected = [
        // Among equals, the lower ids come first.
        format!("a 0 0 0 0.1250 3.0000 {even:.4} 3 ok"),
        format!("a 0 2 1 0.3333 {middle:.4} {kl:.4} 2 ok"),
        format!("a 0 3 2 0.5333 {last:.4} 0.0000 1 ok"),
    ];
    assert_eq!(rows(&run), expected);
    let part = run.read(&LOGIT_LENS, 0, &["top_token"]);
    assert_eq!(part.texts("top_token").unwrap().value(1), run.tokenizer().decode_token(1));
}

/// Task a in two wordings that are the same, b in one.
fn a_twice_and_b() -> [FakePrompt; 3] {
    [prompt("i", "a", 3), prompt("i", "a", 3).wording(1), prompt("i", "b", 3)]
}

#[test]
fn tasks_are_compared_layer_by_layer_and_the_onset_is_where_the_difference_comes_to_stay() {
    let run = run_with_head(1000);
    let ends = |p: &FakePrompt, layer: i16| match (p.task.as_str(), layer) {
        ("a", 2) => [1.0, 0.0, 0.0, 0.0],
        ("a", 3) => [1.5, 0.0, 0.0, 0.0],
        ("b", 2 | 3) => [0.0, 1.0, 0.0, 0.0],
        _ => [0.0; 4],
    };
    write(&run, &a_twice_and_b(), &ends);
    run.run(&lens(), 0).unwrap();
    let (middle, last) = (jsd(1.0, 1.0), jsd(1.5, 1.0));
    assert!(middle > last / 2.0, "{middle} {last}");
    let expected = [
        "0 ab 0.0000 0.0000 0.0000 0 ok".to_owned(),
        format!("2 ab {middle:.4} {middle:.4} 0.0000 1 ok"),
        format!("3 ab {last:.4} {last:.4} 0.0000 0 ok"),
    ];
    assert_eq!(pairs(&run), expected);
    let layer = |layer, found: f64| {
        format!("i {layer} lens_jsd_bits [0, 0, 1] 0.0000 {found:.4} {found:.4} ok")
    };
    assert_eq!(wordings(&run), [layer(0, 0.0), layer(2, middle), layer(3, last)]);
}

#[test]
fn a_layer_counts_from_where_tasks_differ_more_than_wordings() {
    let run = run_with_head(1000);
    // On layer 2 the second wording of a is as far from the first as b is.
    let ends = |p: &FakePrompt, layer: i16| match (p.task.as_str(), p.wording, layer) {
        ("a", 0, 2 | 3) | ("a", 1, 3) => [1.0, 0.0, 0.0, 0.0],
        ("b", ..) | ("a", 1, 2) => [0.0, 1.0, 0.0, 0.0],
        _ => [0.0; 4],
    };
    write(&run, &a_twice_and_b(), &ends);
    run.run(&lens(), 0).unwrap();
    let (own, far) = (jsd(0.0, 1.0), jsd(1.0, 1.0));
    let expected = [
        format!("0 ab {own:.4} {own:.4} 0.0000 0 ok"),
        format!("2 ab {far:.4} {:.4} {far:.4} 0 ok", far / 2.0),
        format!("3 ab {far:.4} {far:.4} 0.0000 1 ok"),
    ];
    assert_eq!(pairs(&run), expected);
}

/// One question asked twice: the tasks are as far apart as two wordings of one.
#[test]
fn outputs_that_differ_as_wordings_do_have_no_onset_and_say_so() {
    let run = run_with_head(1000);
    let two = |task| [prompt("i", task, 3), prompt("i", task, 3).wording(1)];
    let ends = |p: &FakePrompt, _: i16| {
        if p.wording == 0 { [1.0, 0.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0, 0.0] }
    };
    write(&run, &[two("a"), two("b")].concat(), &ends);
    run.run(&lens(), 0).unwrap();
    let far = jsd(1.0, 1.0);
    let row = |layer| format!("{layer} ab 0.0000 {:.4} {far:.4} - within_wordings", far / 2.0);
    assert_eq!(pairs(&run), [0, 2, 3].map(row));
}

#[test]
fn outputs_that_do_not_differ_have_no_onset_and_say_so() {
    let run = run_with_head(1000);
    write(&run, &a_twice_and_b(), &|p, layer| {
        if layer == 0 && p.task == "b" { [2.0, 0.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0, 0.0] }
    });
    run.run(&lens(), 0).unwrap();
    let found = pairs(&run);
    assert!(found[0].ends_with(" - no_divergence") && !found[0].contains("ab 0.0000"), "{found:?}");
    let nothing = |layer| format!("{layer} ab 0.0000 0.0000 0.0000 - no_divergence");
    assert_eq!(found[1..], [2, 3].map(nothing));
}

#[test]
fn an_input_without_a_baseline_has_no_onset_and_says_why() {
    let ends = |p: &FakePrompt, _: i16| {
        if p.task == "a" { [1.0, 0.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0, 0.0] }
    };
    let far = jsd(1.0, 1.0);
    let mut run = run_with_head(1000);
    write(&run, &[prompt("i", "a", 3), prompt("i", "b", 3)], &ends);
    run.run(&lens(), 0).unwrap();
    assert_eq!(pairs(&run), [0, 2, 3].map(|l| format!("{l} ab {far:.4} - - - no_pairs")));
    // The pair is there all the same, for who wants it.
    let row = |layer| format!("i {layer} lens_jsd_bits [0, 1] {far:.4} ok");
    assert_eq!(wordings(&run), [0, 2, 3].map(row));
    run.fractions.insert("s".to_owned(), 0.0);
    write(&run, &a_twice_and_b(), &ends);
    run.run(&lens(), 0).unwrap();
    assert_eq!(pairs(&run), [0, 2, 3].map(|l| format!("{l} ab {far:.4} - - - not_drawn")));
    assert!(wordings(&run).is_empty());
}

#[test]
fn every_prompt_is_read_and_only_first_wordings_are_compared() {
    let run = run_with_head(1000);
    let a = || prompt("i", "a", 3);
    let prompts = [a(), a().wording(1), a().wording(-1), prompt("i", "b", 4), prompt("j", "a", 2)];
    write(&run, &prompts, &|p, _| [0.0, 0.0, 0.0, p.tokens.len() as f32]);
    let outcome = run.run(&lens(), 0).unwrap();
    let found = rows(&run);
    assert_eq!(found.len(), 5 * 3);
    assert!(found[3].starts_with("a 1 0 3 ") && found[6].starts_with("a -1 0 3 "), "{found:?}");
    assert_eq!(pairs(&run).len(), 3);
    assert_eq!(outcome.units, 2);
}

#[test]
fn a_skipped_prompt_keeps_its_rows_and_shifts_no_others() {
    let run = run_with_head(1000);
    let prompts = [prompt("i", "a", 2), prompt("i", "b", 2).skipped(), prompt("i", "c", 2)];
    write(&run, &prompts, &|p, _| if p.task == "c" { [0.0, 0.0, 3.0, 0.0] } else { [0.0; 4] });
    run.run(&lens(), 0).unwrap();
    let found = rows(&run);
    assert_eq!(found[3..6], [0, 2, 3].map(|layer| format!("b 0 {layer} - - - - - skipped")));
    assert!(found[6].starts_with("c 0 0 2 0.5333 "), "{found:?}");
    let found = pairs(&run);
    assert_eq!(found[0], "0 ab - - - - skipped");
    assert!(found[1].starts_with("0 ac 0.") && found[1].ends_with(" - - - no_pairs"), "{found:?}");
    assert_eq!(found[2], "0 bc - - - - skipped");
    assert_eq!(wordings(&run)[0], "i 0 lens_jsd_bits [0, 1, 2] null skipped");
}

#[test]
fn an_input_of_which_no_prompt_ran_still_has_its_rows() {
    let run = run_with_head(1000);
    let prompts = [prompt("i", "a", 2).skipped(), prompt("i", "b", 2).skipped()];
    write(&run, &prompts, &|_, _| [0.0; 4]);
    run.run(&lens(), 0).unwrap();
    assert_eq!((rows(&run).len(), pairs(&run).len()), (6, 3));
}

#[test]
fn how_many_rows_the_head_is_given_at_once_changes_no_byte() {
    let bytes = |rows: usize| {
        let run = run_with_head(rows);
        let tasks = ["a", "b", "c"];
        let prompts: Vec<FakePrompt> =
            (0..4).flat_map(|i| tasks.map(|task| prompt(&format!("i{i}"), task, 2 + i))).collect();
        write(&run, &prompts, &|p, layer| {
            [p.tokens.len() as f32, f32::from(layer), p.task.as_bytes()[0].into(), 1.0]
        });
        run.run(&lens(), 0).unwrap();
        ["logit_lens", "logit_lens_divergence", "lens_wording_pairs"]
            .map(|table| run.store.read(&format!("tables/{table}/part-00000.parquet")).unwrap())
    };
    let whole = bytes(1000);
    for rows in [1, 3, 7, 9, 12, 24, 36] {
        assert!(bytes(rows) == whole, "{rows} at once");
    }
}

#[test]
fn equal_prompts_of_a_shard_have_the_numbers_of_one_and_others_their_own() {
    let run = run_with_head(1000);
    // Each task has the same tokens in i and in j; the end of b differs in j on one layer.
    let prompts =
        ["i", "j"].map(|input| [("a", 3), ("b", 4)].map(|(task, n)| prompt(input, task, n)));
    let end = |p: &FakePrompt, layer: i16| match (p.input.as_str(), p.task.as_str(), layer) {
        ("j", "b", 2) => [0.0, 5.0, 0.0, 0.0],
        (_, "b", _) => [3.0, 0.0, 0.0, 0.0],
        _ => [0.0, 0.0, 2.0, 0.0],
    };
    write(&run, prompts.as_flattened(), &end);
    run.run(&lens(), 0).unwrap();
    let found = rows(&run);
    let (of_i, of_j) = found.split_at(6);
    assert_eq!([&of_i[..4], &of_i[5..]], [&of_j[..4], &of_j[5..]]);
    assert_ne!(of_i[4], of_j[4]);
    assert!(of_i[1] != of_i[4] && of_j[4].starts_with("b 0 2 1 "), "{found:?}");
}

#[test]
fn it_asks_between_calls_of_the_head_and_inputs_whether_to_stop() {
    let run = run_with_head(3);
    write(&run, &[prompt("i", "a", 2), prompt("j", "a", 2)], &|_, _| [0.0; 4]);
    // One call an input, then each of its three layers.
    asks(&run, &lens(), 8);
}

#[test]
fn a_score_that_is_not_finite_is_refused_by_the_input_s_name() {
    let run = run_with_head(1000);
    let prompts = [prompt("i", "a", 2), prompt("j", "a", 2)];
    write(&run, &prompts, &|p, layer| match (p.input.as_str(), layer) {
        ("j", 2) => [f32::NAN; 4],
        _ => [0.0; 4],
    });
    let message = run.run(&lens(), 0).unwrap_err().to_string();
    assert!(message.contains("not finite in a prompt of s/j"), "{message}");
}

#[test]
fn a_missing_head_is_a_problem_and_a_last_layer_that_is_not_captured_is_none() {
    let problems = |facts| {
        problems_of(|at, problems| {
            Config::default().validate(at, &facts, problems);
        })
    };
    let mut other = facts();
    other.captures_last = Some(false);
    assert_eq!(problems(other.clone()), [""; 0]);
    other.has_head = Some(false);
    assert_eq!(
        problems(other),
        ["stages[1].kind: `lens` needs head.onnx, and the model folder has none"]
    );
}

use aqlens::stages::surprisal::{Config, Surprisal};
use aqlens::table::schema::{INPUT_SURPRISAL, SURPRISAL_WORDING_PAIRS};
use arrow_array::Array as _;

use super::fixture::{FakePrompt, FakeRun, Numbers, facts, paired, problems_of, prompt, valid};
use super::interrupt::asks;

const COLUMNS: [&str; 9] = [
    "task",
    "wording",
    "span_index",
    "position",
    "token_id",
    "surprisal_bits",
    "delta_neutral_bits",
    "entropy_bits",
    "status",
];

fn surprisal() -> Surprisal {
    valid(|at, facts, problems| Config::default().validate(at, facts, problems))
}

/// A run whose last layer is captured and whose head doubles a token's odds for each 1 in its place
/// of the activation: tokens 4 to 7 have even odds.
fn run_with_head(rows: usize) -> FakeRun {
    let mut run = FakeRun::new().with_head(rows);
    run.layers = vec![0, 3];
    run
}

fn write(run: &FakeRun, prompts: &[FakePrompt], last: &dyn Fn(&FakePrompt, usize) -> [f32; 4]) {
    let numbers = Numbers {
        // Layer 0 is read by nobody here: anything in it would show.
        activations: &|p, layer, at| if layer == 3 { last(p, at).to_vec() } else { vec![9.0; 4] },
        attention: &|p, _, _| vec![0.5; p.tokens.len()],
        logits: &|_| vec![0.0; 8],
    };
    run.write_shard(0, prompts, &numbers);
}

/// Tokens 5, 0, 1, 2 with the middle two as the input.
fn four(task: &str) -> FakePrompt {
    let four = FakePrompt { tokens: vec![5, 0, 1, 2], ..prompt("i", task, 4) };
    four.segments("tiie")
}

/// `task wording index position token surprisal delta entropy status` of every row.
fn rows(run: &FakeRun) -> Vec<String> {
    let part = run.read(&INPUT_SURPRISAL, 0, &COLUMNS);
    let number = |name: &str, row: usize| {
        let column = part.float64s(name).unwrap();
        if column.is_null(row) { "-".to_owned() } else { format!("{:.4}", column.value(row)) }
    };
    (0..part.rows())
        .map(|row| {
            format!(
                "{} {} {} {} {} {} {} {} {}",
                part.texts("task").unwrap().value(row),
                part.int16s("wording").unwrap().value(row),
                part.int32s("span_index").unwrap().value(row),
                part.int32s("position").unwrap().value(row),
                part.int32s("token_id").unwrap().value(row),
                number("surprisal_bits", row),
                number("delta_neutral_bits", row),
                number("entropy_bits", row),
                part.texts("status").unwrap().value(row)
            )
        })
        .collect()
}

#[test]
fn a_token_is_read_off_the_last_layer_one_position_before_it() {
    let run = run_with_head(1000);
    write(&run, &[four("a")], &|_, at| match at {
        0 => [1.0, 0.0, 0.0, 0.0],
        1 => [0.0, 2.0, 0.0, 0.0],
        _ => [9.0; 4],
    });
    let outcome = run.run(&surprisal(), 0).unwrap();
    // Odds 2 to seven 1s, then 4 to seven 1s.
    let bits = [(9.0_f64 / 2.0).log2(), (11.0_f64 / 4.0).log2()];
    let entropy = [
        2.0 / 9.0 * bits[0] + 7.0 / 9.0 * 9.0_f64.log2(),
        4.0 / 11.0 * bits[1] + 7.0 / 11.0 * 11.0_f64.log2(),
    ];
    let expected = [
        format!("a 0 0 1 0 {:.4} - {:.4} no_reference", bits[0], entropy[0]),
        format!("a 0 1 2 1 {:.4} - {:.4} no_reference", bits[1], entropy[1]),
    ];
    assert_eq!(rows(&run), expected);
    assert_eq!(outcome.units, 2);
}

#[test]
fn equal_prompts_of_a_shard_are_read_once_and_others_by_themselves() {
    let calls = |is_equal: bool| {
        let run = run_with_head(1);
        let mut second = four("a");
        second.input = "j".to_owned();
        let end = |p: &FakePrompt, at: usize| {
            [if p.input == "i" || at == 0 || is_equal { 3.0 } else { 1.0 }, 0.0, 0.0, 0.0]
        };
        write(&run, &[four("a"), second], &end);
        let outcome = run.run(&surprisal(), 0).unwrap();
        assert_eq!(outcome.units, 4);
        let found = rows(&run);
        assert_eq!(found[..2] == found[2..], is_equal, "{found:?}");
        run.context(0).engine.head_calls()
    };
    assert_eq!([calls(true), calls(false)], [2, 4]);
}

/// Odds 2^power to seven 1s for the token that follows.
fn bits(power: f64) -> f64 {
    ((power.exp2() + 7.0) / power.exp2()).log2()
}

#[test]
fn all_wordings_are_compared_by_their_tokens_mean_absolute_difference() {
    let run = run_with_head(1000);
    let of = |task: &str, wording| four(task).wording(wording);
    let prompts = [of("a", 0), of("a", 1), of("a", -1), of("b", 0)];
    // What a makes more expected, its other wording makes less: a mean of differences would be small.
    write(&run, &prompts, &|p, at| match (p.task.as_str(), p.wording, at) {
        ("a", 0, 0) => [3.0, 0.0, 0.0, 0.0],
        ("a", 1, 1) => [0.0, 3.0, 0.0, 0.0],
        ("b", 0, 1) => [0.0, 1.0, 0.0, 0.0],
        _ => [0.0; 4],
    });
    run.run(&surprisal(), 0).unwrap();
    let (three, one) = (bits(0.0) - bits(3.0), bits(0.0) - bits(1.0));
    let [within, first, second] = [three, f64::midpoint(three, one), (three - one) / 2.0];
    let expected = format!("i -1 surprisal_bits [0, 0, 1] {within:.4} {first:.4} {second:.4} ok");
    assert_eq!(paired(&run, &SURPRISAL_WORDING_PAIRS), [expected]);
}

#[test]
fn other_tokens_of_the_input_and_skipped_prompts_have_no_pairs() {
    let run = run_with_head(1000);
    let mut other = four("b");
    other.tokens[2] = 7;
    let mut second = four("a");
    second.input = "j".to_owned();
    let skipped = FakePrompt { task: "b".to_owned(), ..second.clone() }.skipped();
    write(&run, &[four("a"), other, second, skipped], &|_, _| [0.0; 4]);
    run.run(&surprisal(), 0).unwrap();
    let expected =
        ["i -1 surprisal_bits [0, 1] null no_alignment", "j -1 surprisal_bits [0, 1] null skipped"];
    assert_eq!(paired(&run, &SURPRISAL_WORDING_PAIRS), expected);
}

#[test]
fn the_first_token_of_a_prompt_has_nothing_before_it() {
    let run = run_with_head(1000);
    let prompts = [("a", 0), ("a", -1)].map(|(task, wording)| {
        FakePrompt { tokens: vec![4, 5, 6], ..prompt("i", task, 3) }
            .segments("iie")
            .wording(wording)
    });
    write(&run, &prompts, &|p, _| if p.wording < 0 { [0.0; 4] } else { [3.0, 0.0, 0.0, 0.0] });
    run.run(&surprisal(), 0).unwrap();
    let part = run.read(&INPUT_SURPRISAL, 0, &["surprisal_bits"]);
    assert!(part.float64s("surprisal_bits").unwrap().is_null(0));
    let found: Vec<String> =
        rows(&run).iter().map(|row| row.splitn(6, ' ').last().unwrap().to_owned()).collect();
    // Odds 8 to seven 1s leave token 5 a fifteenth, the neutral control an eighth.
    let delta = (15.0_f64 / 8.0).log2();
    assert_eq!(found[0], "- - - no_predecessor");
    assert!(found[1].starts_with(&format!("{:.4} {delta:.4} ", 15.0_f64.log2())), "{found:?}");
    assert_eq!(found[2], "- - - no_predecessor");
    assert_eq!(found[3], "3.0000 - 3.0000 no_reference");
}

#[test]
fn the_delta_is_against_the_neutral_control_of_the_same_task() {
    let run = run_with_head(1000);
    let prompts =
        [four("a"), four("a").wording(1), four("a").wording(-1), four("b"), four("b").wording(-1)];
    write(&run, &prompts, &|p, at| {
        let strength = match (p.task.as_str(), p.wording) {
            ("a", 0) => 3.0,
            ("a", 1) => 2.0,
            ("a", _) => 1.0,
            _ => 0.0,
        };
        if at == 0 { [strength, 0.0, 0.0, 0.0] } else { [0.0; 4] }
    });
    run.run(&surprisal(), 0).unwrap();
    let part = run.read(&INPUT_SURPRISAL, 0, &COLUMNS);
    let (delta, status) =
        (part.float64s("delta_neutral_bits").unwrap(), part.texts("status").unwrap());
    let bits = |strength: i32| ((7.0 + 2.0_f64.powi(strength)) / 2.0_f64.powi(strength)).log2();
    // The scores are float32.
    let close = |row: usize, expected: f64| {
        assert!((delta.value(row) - expected).abs() < 1e-6, "row {row}: {}", delta.value(row));
        assert_eq!(status.value(row), "ok");
    };
    close(0, bits(3) - bits(1));
    close(1, 0.0);
    close(2, bits(2) - bits(1));
    // The control is not held against itself, and each task has its own.
    assert!(delta.is_null(4) && status.value(4) == "no_reference");
    close(6, 0.0);
}

#[test]
fn the_delta_is_against_the_mean_of_several_neutral_controls() {
    let run = run_with_head(1000);
    let skipped = four("a").wording(-5).skipped();
    let prompts = [four("a"), four("a").wording(-1), four("a").wording(-4), skipped];
    write(&run, &prompts, &|p, at| {
        let strength = match p.wording {
            0 => 3.0,
            -1 => 1.0,
            _ => 0.0,
        };
        if at == 0 { [strength, 0.0, 0.0, 0.0] } else { [0.0; 4] }
    });
    run.run(&surprisal(), 0).unwrap();
    let part = run.read(&INPUT_SURPRISAL, 0, &COLUMNS);
    let delta = part.float64s("delta_neutral_bits").unwrap();
    let bits = |strength: i32| ((7.0 + 2.0_f64.powi(strength)) / 2.0_f64.powi(strength)).log2();
    let expected = bits(3) - f64::midpoint(bits(1), bits(0));
    assert!((delta.value(0) - expected).abs() < 1e-6, "{} {expected}", delta.value(0));
    assert!((2..8).all(|row| delta.is_null(row)), "no control is held against another");
}

#[test]
fn a_control_that_did_not_run_or_has_another_input_is_no_reference() {
    let other = FakePrompt { tokens: vec![5, 0, 7, 2], ..four("a") };
    for neutral in [four("a").wording(-1).skipped(), other.wording(-1)] {
        let run = run_with_head(1000);
        write(&run, &[four("a"), neutral], &|_, _| [0.0; 4]);
        run.run(&surprisal(), 0).unwrap();
        let found = rows(&run);
        assert_eq!(found[0], "a 0 0 1 0 3.0000 - 3.0000 no_reference");
        assert_eq!(found.len(), 4);
    }
}

#[test]
fn a_skipped_prompt_keeps_its_rows_and_shifts_no_others() {
    let run = run_with_head(1000);
    let prompts = [four("a"), four("b").skipped(), four("c")];
    write(&run, &prompts, &|p, _| if p.task == "c" { [1.0, 1.0, 0.0, 0.0] } else { [0.0; 4] });
    let outcome = run.run(&surprisal(), 0).unwrap();
    let found = rows(&run);
    assert_eq!(found[2], "b 0 0 1 0 - - - skipped");
    assert_eq!(found[3], "b 0 1 2 1 - - - skipped");
    assert!(found[4].starts_with("c 0 0 1 0 2.3219 - "), "{found:?}");
    assert_eq!((found.len(), outcome.units), (6, 4));
}

#[test]
fn how_many_rows_the_head_is_given_at_once_changes_no_byte() {
    let bytes = |rows: usize| {
        let run = run_with_head(rows);
        let prompts: Vec<FakePrompt> =
            ["a", "b", "c"].iter().flat_map(|task| [four(task), four(task).wording(-1)]).collect();
        write(&run, &prompts, &|p, at| {
            [at as f32, p.task.len() as f32, f32::from(p.wording), p.task.as_bytes()[0].into()]
        });
        run.run(&surprisal(), 0).unwrap();
        run.store.read("tables/input_surprisal/part-00000.parquet").unwrap()
    };
    let whole = bytes(1000);
    for rows in [1, 2, 5, 12] {
        assert!(bytes(rows) == whole, "{rows} at once");
    }
}

#[test]
fn it_asks_between_calls_of_the_head_whether_to_stop() {
    let run = run_with_head(1);
    // Two tokens of each: they are no equal prompts, so no reading serves both.
    let power = |p: &FakePrompt| if p.task == "a" { 1.0 } else { 2.0 };
    write(&run, &[four("a"), four("b")], &|p, _| [power(p), 0.0, 0.0, 0.0]);
    asks(&run, &surprisal(), 4);
}

#[test]
fn a_score_that_is_not_finite_is_refused_by_the_prompt_s_name() {
    let run = run_with_head(1000);
    write(&run, &[four("a"), four("b")], &|p, at| match (p.task.as_str(), at) {
        ("b", 1) => [f32::NAN; 4],
        _ => [0.0; 4],
    });
    let message = run.run(&surprisal(), 0).unwrap_err().to_string();
    assert!(message.contains("not finite in prompt s/i/b"), "{message}");
}

#[test]
fn a_last_layer_that_is_not_captured_and_a_missing_head_are_problems() {
    let problems = |facts| {
        problems_of(|at, problems| {
            Config::default().validate(at, &facts, problems);
        })
    };
    assert_eq!(problems(facts()), [""; 0]);
    let mut without = facts();
    without.captures_last = Some(false);
    assert_eq!(
        problems(without),
        ["stages[1].kind: `surprisal` reads layer 3, the model's last, which is not captured"]
    );
    let mut without = facts();
    without.has_head = Some(false);
    assert_eq!(
        problems(without),
        ["stages[1].kind: `surprisal` needs head.onnx, and the model folder has none"]
    );
}

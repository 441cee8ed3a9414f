use aqlens::stages::explain::Config;
use aqlens::table::schema::SEED_EXPLAIN;

use super::fixture::{FakePrompt, FakeRun, Numbers, facts, problems_of, prompt, valid};

fn explained(run: &FakeRun, prompts: &[FakePrompt]) -> Vec<String> {
    let numbers = Numbers {
        activations: &|p, _, t| {
            vec![1.0 + t as f32, if p.task == "a" { 1.0 } else { -1.0 }, 0., 0.]
        },
        attention: &|p, _, _| vec![0.5; p.tokens.len()],
        logits: &|_| vec![0.0; 8],
    };
    run.write_shard(0, prompts, &numbers);
    let stage = valid(|at, facts, problems| Config::default().validate(at, facts, problems));
    run.run(&stage, 0).unwrap();
    let columns = [
        "layer",
        "task_a",
        "task_b",
        "position",
        "token_id_a",
        "token_id_b",
        "segment_a",
        "segment_b",
        "shared_prefix",
        "contribution",
        "status",
    ];
    let part = run.read(&SEED_EXPLAIN, 0, &columns);
    let contributions: Vec<_> = part.float64s("contribution").unwrap().iter().collect();
    (0..part.rows())
        .filter(|row| part.int16s("layer").unwrap().value(*row) == 0)
        .map(|row| {
            let text = |name| part.texts(name).unwrap().value(row).to_owned();
            let number = |name| part.int32s(name).unwrap().value(row);
            format!(
                "{}{} {} {}/{} {}{} {} {} {}",
                text("task_a"),
                text("task_b"),
                number("position"),
                number("token_id_a"),
                number("token_id_b"),
                text("segment_a"),
                text("segment_b"),
                part.int16s("shared_prefix").unwrap().value(row),
                contributions[row].map_or("null".to_owned(), |value| format!("{value:.4}")),
                text("status"),
            )
        })
        .collect()
}

#[test]
fn each_position_of_the_shorter_prompt_has_a_row_with_what_stands_there() {
    let a = FakePrompt { tokens: vec![1, 2, 5], ..prompt("i", "a", 3).segments("tti") };
    let b = FakePrompt { tokens: vec![1, 3, 5, 6], ..prompt("i", "b", 4).segments("tfie") };
    // Dot products 0, 3 and 8; squared norms 2 + 5 + 10 on both sides.
    let expected =
        ["ab 0 1/1 tt 1 0.0000 ok", "ab 1 2/3 tf 0 0.1765 ok", "ab 2 5/5 ii 0 0.4706 ok"];
    assert_eq!(explained(&FakeRun::new(), &[a.clone(), b.clone()]), expected);
    let skipped =
        ["ab 0 1/1 tt 1 null skipped", "ab 1 2/3 tf 0 null skipped", "ab 2 5/5 ii 0 null skipped"];
    assert_eq!(explained(&FakeRun::new(), &[a, b.skipped()]), skipped);
}

#[test]
fn only_first_wordings_of_the_share_are_explained() {
    let prompts: Vec<FakePrompt> = (0..30)
        .flat_map(|i| {
            let of = move |task, wording| {
                prompt(&format!("i{i}"), task, 3).segments("tie").wording(wording)
            };
            [of("a", 0), of("a", 1), of("a", -1), of("b", 0)]
        })
        .collect();
    let mut run = FakeRun::new();
    run.fractions.insert("s".to_owned(), 0.5);
    let taken = (0..30).filter(|i| run.context(0).takes("s", &format!("i{i}"))).count();
    assert!((5..=25).contains(&taken));
    assert_eq!(explained(&run, &prompts).len(), taken * 3);
    run.fractions.insert("s".to_owned(), 0.0);
    assert!(explained(&run, &prompts).is_empty());
}

#[test]
fn explaining_no_input_at_all_is_a_mistake() {
    let told = problems_of(|at, problems| {
        assert!(Config { max_inputs: 0 }.validate(at, &facts(), problems).is_none());
    });
    assert_eq!(told, ["stages[1].max_inputs: max_inputs 0 takes no input"]);
}

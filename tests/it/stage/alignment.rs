use aqlens::stages::alignment::Config;
use aqlens::table::schema::ALIGNMENT;

use super::fixture::{FakePrompt, FakeRun, Numbers, prompt, valid};

fn align(prompts: &[FakePrompt]) -> FakeRun {
    let run = FakeRun::new();
    let numbers = Numbers {
        activations: &|_, _, _| vec![1.0; 4],
        attention: &|p, _, _| vec![0.5; p.tokens.len()],
        logits: &|_| vec![0.0; 8],
    };
    run.write_shard(0, prompts, &numbers);
    let stage = valid(|at, facts, problems| Config::default().validate(at, facts, problems));
    run.run(&stage, 0).unwrap();
    run
}

/// The rows as `task wording shared_prefix status reason`.
fn rows(run: &FakeRun) -> Vec<String> {
    let columns = ["task", "wording", "shared_prefix", "status", "reason"];
    let part = run.read(&ALIGNMENT, 0, &columns);
    let text = |name| part.texts(name).unwrap();
    (0..part.rows())
        .map(|row| {
            let wording = part.int16s("wording").unwrap().value(row);
            let shared = part.int32s("shared_prefix").unwrap().value(row);
            let (task, status) = (text("task").value(row), text("status").value(row));
            format!("{task} {wording} {shared} {status} {}", text("reason").value(row))
        })
        .collect()
}

fn of(task: &str, tokens: &[i32], segments: &str) -> FakePrompt {
    let prompt = prompt("i", task, tokens.len() as i32);
    FakePrompt { tokens: tokens.to_vec(), ..prompt }.segments(segments)
}

#[test]
fn equal_tokens_of_the_input_behind_the_task_can_be_compared() {
    let prompts = [
        of("a", &[1, 2, 5, 6, 9], "ttiie"),
        of("a", &[1, 3, 4, 5, 6, 9], "tttiie").wording(1),
        of("b", &[1, 2, 7, 5, 6, 9], "tttiie"),
    ];
    assert_eq!(rows(&align(&prompts)), ["a 0 1 ok ", "a 1 1 ok ", "b 0 1 ok "]);
}

#[test]
fn an_input_in_front_of_every_task_is_refused_for_its_reason() {
    let prompts = [of("a", &[5, 6, 1, 9], "iite"), of("b", &[5, 6, 2, 9], "iite")];
    let reason = "the input precedes the task: its states are identical by causality";
    let expected = ["a", "b"].map(|task| format!("{task} 0 2 no_alignment {reason}"));
    assert_eq!(rows(&align(&prompts)), expected);
}

#[test]
fn a_task_that_is_asked_twice_is_compared_although_the_prompts_are_equal() {
    let prompts = [of("a", &[1, 5, 6, 9], "tiie"), of("b", &[1, 5, 6, 9], "tiie")];
    assert_eq!(rows(&align(&prompts)), ["a 0 4 ok ", "b 0 4 ok "]);
}

#[test]
fn the_prompt_that_cuts_the_input_otherwise_is_the_one_that_is_refused() {
    let prompts = [
        of("odd", &[1, 7, 9], "tie"),
        of("b", &[2, 5, 6, 9], "tiie"),
        of("c", &[3, 5, 6, 9], "tiie"),
        of("c", &[4, 5, 8, 9], "tiie").wording(-3),
    ];
    assert_eq!(
        rows(&align(&prompts)),
        [
            "odd 0 0 no_alignment the input is cut into other tokens than in most of its prompts",
            "b 0 0 ok ",
            "c 0 0 ok ",
            "c -3 0 no_alignment the prompt holds another input",
        ]
    );
}

use aqlens::stages::vectors::Config;
use aqlens::table::reader::{Part, read_part};
use aqlens::table::schema::VECTORS;
use aqlens::table::writer::PartAddress;

use super::fixture::{FakePrompt, FakeRun, Numbers, facts, problems_of, prompt, valid};

/// Position and layer can be read off the numbers.
fn place(_: &FakePrompt, layer: i16, position: usize) -> Vec<f32> {
    vec![position as f32, f32::from(layer), 1.0, -1.0]
}

fn keep(run: &FakeRun, prompts: &[FakePrompt]) -> Part {
    let numbers = Numbers {
        activations: &place,
        attention: &|p, _, _| vec![0.5; p.tokens.len()],
        logits: &|_| vec![0.0; 8],
    };
    run.write_shard(0, prompts, &numbers);
    let stage = valid(|at, facts, problems| Config::default().validate(at, facts, problems));
    run.run(&stage, 0).unwrap();
    let address = PartAddress { table: &VECTORS, layer: Some(2), part: 0 };
    let columns = ["input", "task", "wording", "site", "values", "status"];
    read_part(&run.store, address, &columns).unwrap()
}

/// The rows as `input task wording site status values`.
fn rows(part: &Part) -> Vec<String> {
    let text = |name, row| part.texts(name).unwrap().value(row).to_owned();
    let (values, width) = part.vectors("values").unwrap();
    (0..part.rows())
        .map(|row| {
            let names = ["input", "task"].map(|name| text(name, row)).join(" ");
            let wording = part.int16s("wording").unwrap().value(row);
            let rest = ["site", "status"].map(|name| text(name, row)).join(" ");
            format!("{names} {wording} {rest} {:?}", &values[row * width..(row + 1) * width])
        })
        .collect()
}

#[test]
fn a_prompt_has_the_mean_over_its_input_and_its_last_token() {
    let prompts = [
        prompt("i", "a", 6).segments("ttiiie"),
        prompt("i", "a", 5).segments("tiiie").wording(1).skipped(),
        prompt("i", "a", 6).segments("ttiiie").wording(-1),
        FakePrompt { tokens: vec![1, 9], ..prompt("i", "b", 2).segments("ti") },
    ];
    assert_eq!(
        rows(&keep(&FakeRun::new(), &prompts)),
        [
            "i a 0 span ok [3.0, 2.0, 1.0, -1.0]",
            "i a 0 last ok [5.0, 2.0, 1.0, -1.0]",
            "i a 1 span skipped [0.0, 0.0, 0.0, 0.0]",
            "i a 1 last skipped [0.0, 0.0, 0.0, 0.0]",
            "i b 0 span no_alignment [0.0, 0.0, 0.0, 0.0]",
            "i b 0 last ok [1.0, 2.0, 1.0, -1.0]",
        ]
    );
}

#[test]
fn only_the_inputs_of_the_share_have_rows() {
    let prompts: Vec<FakePrompt> = (0..40)
        .flat_map(|i| ["a", "b"].map(|t| prompt(&format!("i{i}"), t, 3).segments("tie")))
        .collect();
    let mut run = FakeRun::new();
    run.fractions.insert("s".to_owned(), 0.5);
    let taken = rows(&keep(&run, &prompts));
    let inputs: std::collections::BTreeSet<&str> =
        taken.iter().map(|row| row.split(' ').next().unwrap()).collect();
    assert!((10..=30).contains(&inputs.len()), "{inputs:?}");
    assert_eq!(taken.len(), inputs.len() * 2 * 2, "whole inputs: all tasks, both sites");
    for input in &inputs {
        assert!(run.context(0).takes("s", input));
    }
}

#[test]
fn taking_no_input_at_all_is_a_mistake() {
    let told = problems_of(|at, problems| {
        assert!(Config { max_inputs: 0 }.validate(at, &facts(), problems).is_none());
    });
    assert_eq!(told, ["stages[1].max_inputs: max_inputs 0 takes no input"]);
}

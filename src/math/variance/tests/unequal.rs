//! Tasks of different numbers of wordings, inputs of several units, and clusters of inputs.

use super::*;

fn unbalanced(inputs: &[Vec<Vec<f32>>], sizes: &[usize]) -> CentredCells {
    let mut cells = CentredCells::new(sizes, inputs[0][0].len());
    for input in inputs {
        cells.push_input(&input.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    cells
}

proptest! {
    #[test]
    fn sums_of_squares_of_unequal_tasks_are_those_of_the_formulas(
        seed in 0_u64..500, n in 2_usize..6, sizes in prop::collection::vec(1_usize..5, 2..4),
    ) {
        let inputs = noise(seed, n, sizes.iter().sum(), 3);
        let [total, input, task, inter, wording, rest] = by_definition(&inputs, &sizes);
        let partition = partition(&unbalanced(&inputs, &sizes)).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-11 * total;
        prop_assert!(close(partition.total(), total));
        prop_assert!(close(partition.input, input));
        prop_assert!(close(partition.task, task));
        prop_assert!(close(partition.interaction, inter));
        prop_assert!(close(partition.wording.unwrap_or(0.0), wording));
        prop_assert!(close(partition.rest.unwrap_or(0.0), rest));
        let (k, m) = (sizes.len() as f64, sizes.iter().sum::<usize>() as f64);
        if m > k {
            let f = (task / (k - 1.0)) / (wording / (m - k));
            prop_assert!((partition.f_task().unwrap() / f - 1.0).abs() < 1e-8);
        }
    }

    /// Tokens summed up by their means and what they vary by give what each of them as an input of
    /// its own gives.
    #[test]
    fn an_input_of_several_units_is_as_many_inputs_but_for_what_is_exchanged(
        seed in 0_u64..500, sizes in prop::collection::vec(1_usize..4, 2..4),
        lengths in prop::collection::vec(1_usize..5, 2..5),
    ) {
        let (m, d) = (sizes.iter().sum::<usize>(), 3);
        let tokens = noise(seed, lengths.iter().sum(), m, d);
        let mut summed = CentredCells::new(&sizes, d);
        let mut rest = tokens.as_slice();
        for &length in &lengths {
            let (own, others) = rest.split_at(length);
            rest = others;
            let cells: Vec<Vec<f32>> =
                (0..m).map(|cell| own.iter().flat_map(|token| token[cell].clone()).collect()).collect();
            let mean = |cell: &Vec<f32>, x: usize| {
                cell.iter().skip(x).step_by(d).copied().map(f64::from).sum::<f64>() / length as f64
            };
            let means: Vec<f64> =
                cells.iter().flat_map(|cell| (0..d).map(move |x| mean(cell, x))).collect();
            let cells: Vec<&[f32]> = cells.iter().map(Vec::as_slice).collect();
            let within = within_units(&cells, &means, &sizes, d);
            let means: Vec<f32> = means.iter().map(|mean| *mean as f32).collect();
            let means: Vec<&[f32]> = means.chunks(d).collect();
            let within = [&*within[0], &*within[1], &*within[2]];
            summed.push_units(&means, Units { count: length, within });
        }
        let (a, b) = (summed.spread(), unbalanced(&tokens, &sizes).spread());
        let (x, y) = (a.partition(None).unwrap(), b.partition(None).unwrap());
        // Means and roots are stored as float32.
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * y.total();
        prop_assert_eq!((x.design.units, x.design.inputs), (tokens.len(), lengths.len()));
        prop_assert!(close(x.input, y.input) && close(x.task, y.task));
        prop_assert!(close(x.interaction, y.interaction));
        prop_assert!(close(x.wording.unwrap_or(0.0), y.wording.unwrap_or(0.0)));
        prop_assert!(close(x.rest.unwrap_or(0.0), y.rest.unwrap_or(0.0)));
        if let Ok(ways) = Reassignments::new(&sizes, 99, 1, "units") {
            let p = |spread: &Spread| spread.wording_tests(&ways, &[None]).remove(0).unwrap();
            for (x, y) in p(&a).draws().iter().zip(p(&b).draws()) {
                prop_assert!((x - y).abs() < 1e-5);
            }
        }
    }
}

/// Every way by hand: the share of the task with the wordings put into other tasks.
#[test]
fn dealing_wordings_out_is_the_partition_of_other_tasks() {
    let sizes = [3, 2, 2];
    let inputs = noise(12, 5, 7, 4);
    let ways = Reassignments::new(&sizes, 99, 1, "dealt").unwrap();
    let scale = [1.0, 0.5, 2.0, 0.0];
    let spread = unbalanced(&inputs, &sizes).spread();
    let tests = spread.wording_tests(&ways, &[None, Some(&scale)]);
    for (test, scale) in tests.into_iter().zip([None, Some(scale.as_slice())]) {
        let test = test.unwrap();
        assert_eq!(test.draws().len(), 105);
        let share = |sizes: &[usize], inputs: &[Vec<Vec<f32>>]| {
            let partition = unbalanced(inputs, sizes).spread().partition(scale).unwrap();
            partition.task / (partition.task + partition.wording.unwrap())
        };
        near(test.observed(), share(&sizes, &inputs));
        for (way, draw) in ways.ways().iter().zip(test.draws()) {
            let sizes: Vec<usize> = way.tasks().map(<[u32]>::len).collect();
            let dealt = |input: &Vec<Vec<f32>>| {
                way.tasks().flatten().map(|cell| input[*cell as usize].clone()).collect::<Vec<_>>()
            };
            near(*draw, share(&sizes, &inputs.iter().map(dealt).collect::<Vec<_>>()));
        }
    }
}

/// The labels of unequal tasks: each task's mean counts once.
#[test]
fn labels_of_unequal_tasks_are_exchanged_among_their_means() {
    let (sizes, inputs) = ([1, 3], noise(13, 6, 4, 2));
    let mean = |input: &Vec<Vec<f32>>| {
        let of = |cells: &[Vec<f32>], x: usize| {
            cells.iter().map(|v| f64::from(v[x])).sum::<f64>() / cells.len() as f64
        };
        [0, 1].map(|x| (of(&input[..1], x) - of(&input[1..], x)) / 2.0)
    };
    let halves: Vec<[f64; 2]> = inputs.iter().map(mean).collect();
    let all = 6.0 * halves.iter().flatten().map(|x| x * x).sum::<f64>();
    let share = |signs: u32| {
        let sum = |x: usize| {
            let sign = |i: usize| if signs >> i & 1 == 1 { -1.0 } else { 1.0 };
            halves.iter().enumerate().map(|(i, half)| sign(i) * half[x]).sum::<f64>()
        };
        (sum(0).powi(2) + sum(1).powi(2)) / all
    };
    let relabellings = Relabellings::new(6, 2, 99, 1, "unequal");
    let test = task_test(&unbalanced(&inputs, &sizes), &relabellings).unwrap();
    near(test.observed(), share(0));
    let mut expected: Vec<f64> = (0..32).map(share).collect();
    let mut draws = test.draws().to_vec();
    expected.sort_by(f64::total_cmp);
    draws.sort_by(f64::total_cmp);
    draws.iter().zip(expected).for_each(|(draw, expected)| near(*draw, expected));
}

/// Copies of inputs are no more evidence than the inputs.
#[test]
fn inputs_of_one_cluster_are_exchanged_together() {
    let inputs = noise(14, 5, 3, 2);
    let copied: Vec<Vec<Vec<f32>>> = inputs.iter().chain(&inputs).chain(&inputs).cloned().collect();
    let relabellings = Relabellings::new(5, 3, 99, 1, "copies");
    let alone = task_test(&cells(&inputs, 1), &relabellings).unwrap();
    let clusters: Vec<usize> = (0..15).map(|input| input % 5).collect();
    let spread = cells(&copied, 1).spread().clustered(&clusters);
    let copies = spread.task_tests(&relabellings, &[None]).remove(0).unwrap();
    near(copies.p(), alone.p());
    alone.draws().iter().zip(copies.draws()).for_each(|(a, b)| near(*a, *b));
    let one = cells(&inputs, 1).spread().clustered(&[0; 5]);
    let relabellings = Relabellings::new(1, 3, 99, 1, "copies");
    assert_eq!(one.task_tests(&relabellings, &[None]), [Err(Undefined::TooFew)]);
}

//! What an input's tokens vary by around the means over them.

/// The three parts of what the units of one input vary by within it, as root sums of squares by
/// dimension: `√Σ_s M x_is··²` (goes with the unit alone), `√Σ_sk W_k (x_isk· - x_is··)²` (unit and
/// task), `√Σ_skw (x_iskw - x_isk·)²` (unit and wording; 0 where every task has one). The formulas are
/// at the head of this module.
///
/// `cells` holds the `[units, width]` numbers of each wording, task after task; `means` its mean over
/// the units, `[cells, width]`; `wordings` how many there are of each task. Roots, and not the squares,
/// since they have the size of the vectors and so fit a `f32` where they do.
///
/// # Panics
///
/// When the cells are not as many as the wordings, or not all of one length.
pub fn within_units(
    cells: &[&[f32]],
    means: &[f64],
    wordings: &[usize],
    width: usize,
) -> [Vec<f32>; 3] {
    assert_eq!(cells.len(), wordings.iter().sum::<usize>(), "one cell for each wording");
    let length = cells.first().map_or(0, |cell| cell.len());
    assert!(cells.iter().all(|cell| cell.len() == length), "cells have the same units");
    let d = width.max(1);
    let mut parts = [vec![0.0; width], vec![0.0; width], vec![0.0; width]];
    let mut tasks = vec![0.0; wordings.len() * width];
    let mut centred = vec![0.0; cells.len() * width];
    let mut unit = vec![0.0; width];
    for first in (0..length).step_by(d) {
        let numbers = centred.chunks_exact_mut(d).zip(cells).zip(means.chunks_exact(d));
        for ((centred, cell), mean) in numbers {
            for ((x, value), mean) in centred.iter_mut().zip(&cell[first..first + d]).zip(mean) {
                *x = f64::from(*value) - mean;
            }
        }
        unit.fill(0.0);
        let mut rest = centred.as_slice();
        for (task, &count) in tasks.chunks_exact_mut(d).zip(wordings) {
            let (own, others) = rest.split_at(count * d);
            rest = others;
            task.fill(0.0);
            own.chunks_exact(d).for_each(|x| add(task, x));
            add(&mut unit, task);
            for x in task.iter_mut() {
                *x /= count as f64;
            }
            if count > 1 {
                own.chunks_exact(d).for_each(|x| add_squares(&mut parts[2], x, task, 1.0));
            }
        }
        for x in &mut unit {
            *x /= cells.len() as f64;
        }
        for (task, &count) in tasks.chunks_exact(d).zip(wordings) {
            add_squares(&mut parts[1], task, &unit, count as f64);
        }
        for (part, x) in parts[0].iter_mut().zip(&unit) {
            *part += cells.len() as f64 * (x * x);
        }
    }
    parts.map(|part| part.into_iter().map(|sum: f64| sum.sqrt() as f32).collect())
}

fn add(sums: &mut [f64], values: &[f64]) {
    for (sum, x) in sums.iter_mut().zip(values) {
        *sum += x;
    }
}

/// Adds `weight (a - b)²`.
fn add_squares(sums: &mut [f64], a: &[f64], b: &[f64], weight: f64) {
    for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
        *sum += weight * ((a - b) * (a - b));
    }
}

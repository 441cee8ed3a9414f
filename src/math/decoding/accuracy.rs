//! How many vectors are told right, for one way to call wordings tasks, over all splits at once.

use super::products::Fold;

/// The classes that some training cells make: for each task and each of its wordings, the class
/// whose training leaves that wording out (or, seen, has it in).
struct Class {
    cells: Vec<usize>,
    /// The only cell of the task that is not among them.
    left_out: Option<usize>,
    /// `½ μ Σ⁻¹ μ`.
    half: f64,
}

/// The training cells of a class: `count` of the task's, in a circle from the one after the left-out
/// wording, or from that wording itself where it is to be seen.
fn window(task: &[usize], wording: usize, count: usize, is_seen: bool) -> Vec<usize> {
    let first = wording + usize::from(!is_seen);
    (first..first + count).map(|place| task[place % task.len()]).collect()
}

/// Adds to `right`, for each input, the probability that a vector of it is told right: each task
/// counts alike, each of its wordings alike, each split alike.
pub(super) fn add_right(fold: &Fold, tasks: &[&[usize]], is_seen: bool, right: &mut [f64]) {
    let fewest = tasks.iter().map(|task| task.len()).min().unwrap_or(0);
    let count = fewest - usize::from(!is_seen);
    let class = |task: &&[usize], wording: usize| {
        let cells = window(task, wording, count, is_seen);
        let products = cells.iter().flat_map(|&a| cells.iter().map(move |&b| (a, b)));
        let square: f64 = products.map(|(a, b)| fold.between_means(a, b)).sum();
        let after = wording + usize::from(!is_seen) + count;
        let left_out = (count + 1 == task.len()).then(|| task[after % task.len()]);
        Class { cells, left_out, half: square / (2 * count * count) as f64 }
    };
    let of_task = |task: &&[usize]| (0..task.len()).map(|wording| class(task, wording)).collect();
    let classes: Vec<Vec<Class>> = tasks.iter().map(of_task).collect();
    let n = fold.inputs.len();
    let mut work = Work::new(n);
    for (own, task) in tasks.iter().enumerate() {
        let weight = 1.0 / (tasks.len() * task.len()) as f64;
        for (wording, &cell) in task.iter().enumerate() {
            work.begin(fold, cell, &classes[own][wording]);
            for (other, classes) in classes.iter().enumerate() {
                if other != own {
                    work.against(fold, cell, tasks[other], classes);
                }
            }
            for (place, &input) in fold.inputs.iter().enumerate() {
                let probability = if work.is_tied[place] {
                    told_right(fold, (cell, place), (own, wording), &classes)
                } else {
                    work.probability[place]
                };
                right[input] += weight * probability;
            }
        }
    }
}

/// Space for the inputs of a fold.
struct Work {
    /// The score of the right class.
    own: Vec<f64>,
    /// The probability that all classes so far score less.
    probability: Vec<f64>,
    /// Whether a class of another task scores the same.
    is_tied: Vec<bool>,
    sum: Vec<f64>,
    less: Vec<f64>,
    no_more: Vec<f64>,
}

impl Work {
    fn new(n: usize) -> Self {
        let zeros = || vec![0.0; n];
        Self {
            own: zeros(),
            probability: zeros(),
            is_tied: vec![false; n],
            sum: zeros(),
            less: zeros(),
            no_more: zeros(),
        }
    }

    fn begin(&mut self, fold: &Fold, cell: usize, class: &Class) {
        self.probability.fill(1.0);
        self.is_tied.fill(false);
        add_products(fold, cell, &class.cells, &mut self.own);
        let share = 1.0 / class.cells.len() as f64;
        self.own.iter_mut().for_each(|own| *own = *own * share - class.half);
    }

    /// Multiplies by the share of another task's classes that score less than the right one.
    fn against(&mut self, fold: &Fold, cell: usize, task: &[usize], classes: &[Class]) {
        self.less.fill(0.0);
        self.no_more.fill(0.0);
        let tie = fold.tie;
        // Where a class is all of a task but one wording, its sum is the task's less one product.
        let is_all_but_one = classes.iter().all(|class| class.left_out.is_some());
        if is_all_but_one {
            add_products(fold, cell, task, &mut self.sum);
        }
        let own = || self.own.iter();
        for class in classes {
            let share = 1.0 / class.cells.len() as f64;
            let counts = self.less.iter_mut().zip(&mut self.no_more).zip(own());
            let count = |((less, no_more), own): ((&mut f64, &mut f64), &f64), sum: f64| {
                let ahead = own - (sum * share - class.half);
                *less += if ahead > tie { 1.0 } else { 0.0 };
                *no_more += if ahead >= -tie { 1.0 } else { 0.0 };
            };
            if let Some(left_out) = class.left_out {
                let products = fold.products(cell, left_out);
                for ((counts, sum), product) in counts.zip(&self.sum).zip(products) {
                    count(counts, sum - product);
                }
            } else {
                add_products(fold, cell, &class.cells, &mut self.sum);
                counts.zip(&self.sum).for_each(|(counts, sum)| count(counts, *sum));
            }
        }
        let share = 1.0 / classes.len() as f64;
        let all = self.probability.iter_mut().zip(&mut self.is_tied);
        for (((probability, is_tied), less), no_more) in all.zip(&self.less).zip(&self.no_more) {
            *probability *= less * share;
            *is_tied |= less < no_more;
        }
    }
}

/// Sums of the products with some cells' means.
fn add_products(fold: &Fold, cell: usize, means: &[usize], sums: &mut [f64]) {
    sums.fill(0.0);
    for &mean in means {
        let products = fold.products(cell, mean);
        sums.iter_mut().zip(products).for_each(|(sum, x)| *sum += x);
    }
}

/// The probability that one vector is told right, where classes with equal scores are chosen among by
/// lot: were the lots numbers from 0 to 1, a task whose classes score less in a share `l` of the splits
/// and the same in a share `e` loses against a right class with lot u with probability l + e u. The
/// integral over u of the product over tasks.
fn told_right(
    fold: &Fold,
    (cell, place): (usize, usize),
    (own, wording): (usize, usize),
    classes: &[Vec<Class>],
) -> f64 {
    let score = |class: &Class| {
        let sum: f64 = class.cells.iter().map(|&mean| fold.products(cell, mean)[place]).sum();
        sum / class.cells.len() as f64 - class.half
    };
    let right = score(&classes[own][wording]);
    // Coefficients of the polynomial in u, the constant first.
    let mut product = vec![1.0];
    for (_, classes) in classes.iter().enumerate().filter(|(task, _)| *task != own) {
        let ahead = || classes.iter().map(|class| right - score(class));
        let share = |count: usize| count as f64 / classes.len() as f64;
        let less = share(ahead().filter(|ahead| *ahead > fold.tie).count());
        let equal = share(ahead().filter(|ahead| ahead.abs() <= fold.tie).count());
        product.push(0.0);
        for power in (0..product.len()).rev() {
            let below = if power > 0 { product[power - 1] } else { 0.0 };
            product[power] = product[power] * less + below * equal;
        }
    }
    product.iter().enumerate().map(|(power, x)| x / (power + 1) as f64).sum()
}

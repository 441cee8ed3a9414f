//! Task-by-task matrices as coloured cells with their numbers.

use super::colour::Scale;
use super::page::{Matrix, PairValue};
use super::svg::{Anchor, Area, Svg, fit, text_width};

/// Ends of the notebook's colour scale (`vmin`, `vmax`).
pub(super) const LOW: f64 = 0.5;
pub(super) const HIGH: f64 = 1.0;

/// Up to this many tasks, each cell has its number printed in it.
pub(super) const MOST_WITH_NUMBERS: usize = 16;
/// Above this many tasks, no matrix is drawn: the table has them.
pub(super) const MOST_DRAWN: usize = 48;

/// Widest label of a row or column, in pixels.
const LABEL: f64 = 96.0;
const LABEL_SIZE: f64 = 11.0;

/// How large the parts of one matrix are.
struct Shape {
    cell: (f64, f64),
    margin: f64,
    below: f64,
    numbers: bool,
}

impl Shape {
    fn of(tasks: &[String]) -> Self {
        let numbers = tasks.len() <= MOST_WITH_NUMBERS;
        let cell = if numbers { (40.0, 30.0) } else { (15.0, 15.0) };
        let widest = tasks.iter().map(|t| text_width(t, LABEL_SIZE)).fold(0.0, f64::max);
        let label = widest.min(LABEL);
        Self { cell, margin: label + 8.0, below: label * 0.72 + 16.0, numbers }
    }
}

/// One matrix; `title` is its name for readers who cannot see it.
pub(super) fn heatmap(tasks: &[String], matrix: &Matrix, title: &str) -> String {
    let shape = Shape::of(tasks);
    let n = tasks.len() as f64;
    let (w, h) = shape.cell;
    let mut svg = Svg::new("heatmap", shape.margin + n * w + 6.0, n * h + shape.below + 2.0, title);
    for (row, a) in tasks.iter().enumerate() {
        for (column, b) in tasks.iter().enumerate() {
            let at = Area {
                x: shape.margin + column as f64 * w,
                y: row as f64 * h + 1.0,
                width: w,
                height: h,
            };
            match matrix.pair(tasks.len(), row, column) {
                None => same_task(&mut svg, at, a, shape.numbers),
                Some(pair) => cell(&mut svg, at, (a, b), pair, shape.numbers),
            }
        }
    }
    labels(&mut svg, tasks, &shape);
    svg.finish()
}

fn same_task(svg: &mut Svg, at: Area, task: &str, numbers: bool) {
    svg.open(&format!("{task} with itself: 1 by definition"));
    coloured(svg, at, 1.0, if numbers { "1" } else { "" });
    svg.close();
}

fn cell(svg: &mut Svg, at: Area, tasks: (&str, &str), pair: &PairValue, numbers: bool) {
    let of = if pair.n > 1 { format!(" (mean of {} inputs)", pair.n) } else { String::new() };
    let missing =
        if pair.missing.is_empty() { String::new() } else { format!("; {}", pair.missing) };
    if let Some(value) = pair.value {
        svg.open(&format!("{} and {}: {value:.6}{of}{missing}", tasks.0, tasks.1));
        coloured(svg, at, value, &if numbers { format!("{value:.3}") } else { String::new() });
    } else {
        svg.open(&format!("{} and {}: no value{missing}", tasks.0, tasks.1));
        svg.rect("empty", at, "");
        if numbers {
            svg.text("ink num", centre(at), Anchor::Middle, "–", "");
        }
    }
    svg.close();
}

/// A cell in the notebook's colour, with the other scale's in custom properties: the style sheet
/// takes those when the reader asks for them.
fn coloured(svg: &mut Svg, at: Area, value: f64, text: &str) {
    let (usual, safe) = (Scale::RdYlGn.at(value, LOW, HIGH), Scale::Cividis.at(value, LOW, HIGH));
    svg.rect("cell", at, &format!("fill=\"{}\" style=\"--safe:{}\"", usual.hex(), safe.hex()));
    if !text.is_empty() {
        let ink = format!("fill=\"{}\" style=\"--safe:{}\"", usual.ink(), safe.ink());
        svg.text("cell num", centre(at), Anchor::Middle, text, &ink);
    }
}

fn centre(at: Area) -> (f64, f64) {
    (at.x + at.width / 2.0, at.y + at.height / 2.0 + 4.0)
}

fn labels(svg: &mut Svg, tasks: &[String], shape: &Shape) {
    let (w, h) = shape.cell;
    for (i, task) in tasks.iter().enumerate() {
        let text = fit(task, LABEL_SIZE, LABEL);
        let middle = i as f64 * h + h / 2.0 + 5.0;
        svg.text("ink label", (shape.margin - 6.0, middle), Anchor::End, &text, "");
        let (x, y) = (shape.margin + (i as f64 + 0.5) * w + 3.0, tasks.len() as f64 * h + 13.0);
        let turn = format!("transform=\"rotate(-45 {x:.2} {y:.2})\"");
        svg.text("ink label", (x, y), Anchor::End, &text, &turn);
    }
}

/// The colour bar of all matrices: the scale from its low end to its high end.
pub(super) fn colour_bar() -> String {
    const STEPS: i32 = 50;
    const WIDTH: f64 = 5.0;
    let title = "Colour scale from 0.5 (red) to 1 (green); values below 0.5 have the colour of 0.5";
    let width = f64::from(STEPS) * WIDTH;
    let mut svg = Svg::new("colourbar", width + 40.0, 34.0, title);
    for step in 0..STEPS {
        let value = LOW + (HIGH - LOW) * (f64::from(step) + 0.5) / f64::from(STEPS);
        let at =
            Area { x: 20.0 + f64::from(step) * WIDTH, y: 0.0, width: WIDTH + 0.5, height: 14.0 };
        coloured(&mut svg, at, value, "");
    }
    for tick in 5..=10 {
        let value = f64::from(tick) / 10.0;
        let x = 20.0 + (value - LOW) / (HIGH - LOW) * width;
        svg.line("axis", (x, 14.0), (x, 18.0));
        let text = if tick == 5 { "≤ 0.5".to_owned() } else { format!("{value}") };
        svg.text("ink label", (x, 30.0), Anchor::Middle, &text, "");
    }
    svg.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("task-{i}")).collect()
    }

    fn matrix(n: usize, value: f64) -> Matrix {
        let pair = PairValue { value: Some(value), n: 1, missing: String::new() };
        Matrix { layer: 3, pairs: vec![pair; n * n.saturating_sub(1) / 2] }
    }

    #[test]
    fn every_cell_has_its_colour_and_its_number() {
        let svg = heatmap(&names(5), &matrix(5, 0.75), "t");
        assert_eq!(svg.matches("<rect").count(), 25);
        assert_eq!(svg.matches("fill=\"#ffffbf\"").count(), 20);
        assert_eq!(svg.matches(">0.750<").count(), 20);
        assert_eq!(svg.matches("by definition").count(), 5);
    }

    #[test]
    fn a_value_below_the_scale_is_clamped_in_colour_but_not_in_number() {
        let svg = heatmap(&names(2), &matrix(2, -0.25), "t");
        assert_eq!(svg.matches("fill=\"#a50026\"").count(), 2);
        assert_eq!(svg.matches(">-0.250<").count(), 2);
    }

    #[test]
    fn a_missing_value_has_no_colour_and_says_why() {
        let pair =
            PairValue { missing: "2 inputs: a vector is zero".to_owned(), ..PairValue::default() };
        let svg = heatmap(&names(2), &Matrix { layer: 0, pairs: vec![pair] }, "t");
        assert_eq!(svg.matches("class=\"empty\"").count(), 2);
        assert!(svg.contains("no value; 2 inputs: a vector is zero"), "{svg}");
    }

    #[test]
    fn many_tasks_are_drawn_without_numbers() {
        let n = MOST_WITH_NUMBERS + 1;
        let svg = heatmap(&names(n), &matrix(n, 0.9), "t");
        assert_eq!(svg.matches("<rect").count(), n * n);
        assert!(!svg.contains("class=\"cell num\""));
    }
}

//! Surprisal of an input's tokens under each task: one row of bars a task, one column a token.

use super::axis::Axis;
use super::evidence::{InputSurprisal, TokenSurprisal};
use super::svg::{Anchor, Area, Svg, fit, text_width};
use super::token::visible;

/// Up to this many tokens are drawn: the table has them all.
pub(super) const MOST_TOKENS: usize = 64;
/// Up to this many tasks are drawn.
pub(super) const MOST_TASKS: usize = 24;

const COLUMN: f64 = 34.0;
const ROW: f64 = 62.0;
/// Room above a bar for its number.
const NUMBER: f64 = 15.0;
const LABEL: f64 = 120.0;
const SIZE: f64 = 11.0;
const TOKEN: f64 = 88.0;

/// The bars of one input.
pub(super) fn bars(tasks: &[InputSurprisal], title: &str) -> String {
    let tasks = &tasks[..tasks.len().min(MOST_TASKS)];
    let n = tasks.iter().map(|task| task.tokens.len()).max().unwrap_or(0).min(MOST_TOKENS);
    let all = || tasks.iter().flat_map(|task| &task.tokens);
    let neutral = all().filter_map(neutral);
    let axis = Axis::around(all().filter_map(|token| token.bits).chain(neutral));
    let widest = tasks.iter().map(|task| text_width(&task.task, SIZE)).fold(0.0, f64::max);
    let left = widest.min(LABEL) + 34.0;
    let longest = all().map(|token| text_width(&visible(&token.text), SIZE)).fold(0.0, f64::max);
    // Token texts hang down to the left at 45 degrees.
    let below = longest.min(TOKEN) * 0.72 + 16.0;
    let height = tasks.len() as f64 * ROW + below;
    let mut svg = Svg::new("surprisal", left + n as f64 * COLUMN + 8.0, height, title);
    for (row, task) in tasks.iter().enumerate() {
        let bottom = (row as f64 + 1.0) * ROW - 4.0;
        let name = fit(&task.task, SIZE, LABEL);
        svg.text("ink label", (left - 30.0, bottom - 14.0), Anchor::End, &name, "");
        let end = axis.label(axis.high);
        svg.text("ink small", (left - 5.0, bottom - ROW + NUMBER + 8.0), Anchor::End, &end, "");
        svg.text("ink small", (left - 5.0, bottom + 3.0), Anchor::End, "0", "");
        for (column, token) in task.tokens.iter().take(n).enumerate() {
            let x = left + column as f64 * COLUMN;
            bar(&mut svg, token, axis, (x, bottom));
        }
        svg.line("axis", (left, bottom), (left + n as f64 * COLUMN, bottom));
        svg.line("axis", (left, bottom - ROW + NUMBER + 4.0), (left, bottom));
    }
    let texts = tasks.first().map_or(&[][..], |task| &task.tokens);
    for (column, token) in texts.iter().take(n).enumerate() {
        let x = left + (column as f64 + 0.5) * COLUMN + 3.0;
        let y = tasks.len() as f64 * ROW + 10.0;
        let turn = format!("transform=\"rotate(-45 {x:.2} {y:.2})\"");
        let text = fit(&visible(&token.text), SIZE, TOKEN);
        svg.text("ink label", (x, y), Anchor::End, &text, &turn);
    }
    svg.finish()
}

/// The surprisal under the neutral control.
fn neutral(token: &TokenSurprisal) -> Option<f64> {
    Some(token.bits? - token.delta?)
}

fn bar(svg: &mut Svg, token: &TokenSurprisal, axis: Axis, (x, bottom): (f64, f64)) {
    let middle = x + COLUMN / 2.0;
    svg.open(&hint(token));
    let Some(bits) = token.bits else {
        svg.text("ink num", (middle, bottom - 4.0), Anchor::Middle, "–", "");
        svg.close();
        return;
    };
    let long = |value: f64| axis.share(value) * (ROW - NUMBER - 4.0);
    let height = long(bits).max(0.5);
    let area = Area { x: x + 5.0, y: bottom - height, width: COLUMN - 10.0, height };
    svg.rect("bar", area, "");
    let mut top = height;
    if let Some(neutral) = neutral(token) {
        let y = bottom - long(neutral);
        svg.line("tick", (x + 2.0, y), (x + COLUMN - 2.0, y));
        top = top.max(long(neutral));
    }
    let at = (middle, bottom - top - 4.0);
    svg.text("ink num", at, Anchor::Middle, &format!("{bits:.1}"), "");
    svg.close();
}

fn hint(token: &TokenSurprisal) -> String {
    let text = visible(&token.text);
    let missing =
        if token.missing.is_empty() { String::new() } else { format!("; {}", token.missing) };
    match (token.bits, token.delta) {
        (Some(bits), Some(delta)) => {
            format!("{text}: {bits:.6} bits, {delta:+.6} against the neutral control{missing}")
        }
        (Some(bits), None) => format!("{text}: {bits:.6} bits{missing}"),
        _ => format!("{text}: no value{missing}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str, bits: &[Option<f64>]) -> InputSurprisal {
        let token = |bits: &Option<f64>| TokenSurprisal {
            text: " red".to_owned(),
            bits: *bits,
            delta: bits.map(|_| -1.0),
            missing: String::new(),
        };
        InputSurprisal { task: name.to_owned(), tokens: bits.iter().map(token).collect() }
    }

    #[test]
    fn every_token_has_a_bar_a_number_and_the_neutral_mark() {
        let svg = bars(&[task("color", &[Some(4.0), Some(2.0)]), task("count", &[Some(1.0)])], "t");
        assert_eq!(svg.matches("class=\"bar\"").count(), 3);
        assert_eq!(svg.matches("class=\"tick\"").count(), 3);
        assert!(svg.contains(">4.0<") && svg.contains(">color<"), "{svg}");
        assert!(svg.contains("␣red: 2.000000 bits, -1.000000 against the neutral control"));
        // The neutral control's 5 bits end the axis: 6 after rounding up.
        assert!(svg.contains(">6<"), "{svg}");
    }

    #[test]
    fn a_token_without_a_value_has_no_bar_and_a_long_input_is_cut() {
        let svg = bars(&[task("a", &[None, Some(1.0)])], "t");
        assert_eq!(svg.matches("class=\"bar\"").count(), 1);
        assert!(svg.contains("no value"));
        let svg = bars(&[task("a", &[Some(1.0); 200])], "t");
        assert_eq!(svg.matches("class=\"bar\"").count(), MOST_TOKENS);
    }
}

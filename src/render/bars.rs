//! Probabilities of the next token as bars.

use super::page::NextToken;
use super::svg::{Anchor, Area, Svg, fit};
use super::token::visible;

const LABEL: f64 = 84.0;
const BAR: f64 = 94.0;
const ROW: f64 = 22.0;
const SIZE: f64 = 12.0;

/// Upper end of the bars' axis: the same for all tasks of an input, so that bars compare.
pub(super) fn axis_end(largest: f64) -> f64 {
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5].into_iter().find(|end| largest <= *end).unwrap_or(1.0)
}

/// The most probable next tokens of one prompt; `end` is the axis's upper end.
pub(super) fn bars(next: &[NextToken], end: f64, title: &str) -> String {
    let height = next.len() as f64 * ROW + 20.0;
    let mut svg = Svg::new("bars", LABEL + BAR + 48.0, height, title);
    for (row, token) in next.iter().enumerate() {
        let y = row as f64 * ROW;
        let text = visible(&token.token);
        let probability = token.probability;
        svg.open(&format!("{text} (id {}): {probability:.6}", token.token_id));
        let label = fit(&label(&text, token.token_id), SIZE, LABEL - 8.0);
        svg.text("ink token", (LABEL - 8.0, y + 15.0), Anchor::End, &label, "");
        let width = (probability / end).clamp(0.0, 1.0) * BAR;
        svg.rect(
            "bar",
            Area { x: LABEL, y: y + 3.0, width: width.max(0.5), height: ROW - 6.0 },
            "",
        );
        let at = (LABEL + width + 5.0, y + 15.0);
        svg.text("ink num", at, Anchor::Start, &format!("{probability:.4}"), "");
        svg.close();
    }
    let bottom = next.len() as f64 * ROW;
    svg.line("axis", (LABEL, 0.0), (LABEL, bottom + 2.0));
    svg.text("ink small", (LABEL, bottom + 15.0), Anchor::Middle, "0", "");
    svg.text("ink small", (LABEL + BAR, bottom + 15.0), Anchor::Middle, &end.to_string(), "");
    svg.line("axis", (LABEL + BAR, bottom - 2.0), (LABEL + BAR, bottom + 2.0));
    svg.finish()
}

/// A token's label: with its id when its text does not distinguish it from others.
fn label(text: &str, id: i32) -> String {
    if text.contains('\u{fffd}') { format!("{text} {id}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_probability_says() {
        let token = |probability| NextToken {
            token: " red".to_owned(),
            probability,
            ..NextToken::default()
        };
        let svg = bars(&[token(1.0), token(0.5)], 1.0, "t");
        assert!(svg.contains("width=\"94\"") && svg.contains("width=\"47\""), "{svg}");
        assert!(svg.contains("␣red") && svg.contains(">0.5000<"), "{svg}");
    }

    #[test]
    fn the_axis_ends_at_the_next_round_number() {
        assert!((axis_end(0.97) - 1.0).abs() < 1e-12);
        assert!((axis_end(0.15) - 0.2).abs() < 1e-12);
        assert!((axis_end(0.0) - 0.01).abs() < 1e-12);
    }
}

//! A small SVG writer: elements with escaped text, sized for the page they stand in.
//!
//! Colours of ink, lines and grounds are classes that the page's style sheet fills in, so that a
//! picture follows the reader's light or dark setting. No `xmlns` and no ids: the pictures stand
//! inside HTML.

use std::fmt::Write as _;

/// Where a text hangs on its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A rectangle, in pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A picture on its way.
#[derive(Debug)]
pub(super) struct Svg {
    text: String,
}

impl Svg {
    /// Begins a picture of that many pixels; `title` is its name for readers who cannot see it.
    pub(super) fn new(class: &str, width: f64, height: f64, title: &str) -> Self {
        let (w, h) = (number(width), number(height));
        let mut text = String::new();
        write!(
            text,
            "<svg class=\"{class}\" role=\"img\" width=\"{w}\" height=\"{h}\" \
             viewBox=\"0 0 {w} {h}\"><title>{}</title>",
            escape(title)
        )
        .expect("a String takes every write");
        Self { text }
    }

    /// A rectangle; `extra` is raw attributes, never text of the user's.
    pub(super) fn rect(&mut self, class: &str, area: Area, extra: &str) {
        let Area { x, y, width, height } = area;
        self.push(&format!(
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{}{extra}/>",
            number(x),
            number(y),
            number(width),
            number(height),
            if extra.is_empty() { "" } else { " " },
        ));
    }

    /// A straight line.
    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.push(&format!(
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            number(from.0),
            number(from.1),
            number(to.0),
            number(to.1),
        ));
    }

    /// A dot.
    pub(super) fn circle(&mut self, class: &str, centre: (f64, f64), radius: f64) {
        self.push(&format!(
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>",
            number(centre.0),
            number(centre.1),
            number(radius),
        ));
    }

    /// A line through points, or the area within them (`polyline`, `polygon`).
    pub(super) fn points(&mut self, element: &str, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> =
            points.iter().map(|(x, y)| format!("{},{}", number(*x), number(*y))).collect();
        self.push(&format!("<{element} class=\"{class}\" points=\"{}\"/>", points.join(" ")));
    }

    /// A text; `extra` is raw attributes, never text of the user's.
    pub(super) fn text(
        &mut self,
        class: &str,
        at: (f64, f64),
        anchor: Anchor,
        text: &str,
        extra: &str,
    ) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        self.push(&format!(
            "<text class=\"{class}\" x=\"{}\" y=\"{}\"{anchor}{}{extra}>{}</text>",
            number(at.0),
            number(at.1),
            if extra.is_empty() { "" } else { " " },
            escape(text),
        ));
    }

    /// Begins a group whose title shows when the pointer rests on it.
    pub(super) fn open(&mut self, title: &str) {
        self.push(&format!("<g><title>{}</title>", escape(title)));
    }

    /// Ends the group.
    pub(super) fn close(&mut self) {
        self.push("</g>");
    }

    /// The picture.
    pub(super) fn finish(mut self) -> String {
        self.push("</svg>");
        self.text
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }
}

/// A coordinate with at most two decimals.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Text that HTML shows unchanged.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// How wide a text is at most, in pixels, in the page's sans-serif type: nobody measures a font
/// here, so this errs on the wide side.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' => 0.36,
        'f' | 'r' | 't' | '-' | '(' | ')' | '[' | ']' | '/' | ' ' => 0.45,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 1.0,
        'A'..='Z' => 0.76,
        c if c.is_ascii() => 0.65,
        _ => 1.0,
    };
    text.chars().map(em).sum::<f64>() * size
}

/// The text itself, or its two ends around an ellipsis when it is wider than `width`.
///
/// Both ends stay because long ids often differ only in one of them.
pub(super) fn fit(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    for kept in (2..chars.len()).rev() {
        let (head, tail) = (kept - kept / 2, kept / 2);
        let ends: String =
            chars[..head].iter().chain(&['…']).chain(&chars[chars.len() - tail..]).collect();
        if text_width(&ends, size) <= width {
            return ends;
        }
    }
    "…".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_users_cannot_leave_its_element() {
        let mut svg = Svg::new("x", 10.0, 10.0, "</title><script>\"'");
        svg.text("y", (1.0, 2.0), Anchor::Middle, "</text><b>&", "");
        let text = svg.finish();
        assert!(!text.contains("<script") && !text.contains("<b>"), "{text}");
        assert!(text.contains("&lt;/text&gt;&lt;b&gt;&amp;"), "{text}");
    }

    #[test]
    fn numbers_are_short_and_never_negative_zero() {
        assert_eq!(number(1.0), "1");
        assert_eq!(number(1.256), "1.26");
        assert_eq!(number(-0.001), "0");
        assert_eq!(number(100.0), "100");
    }

    #[test]
    fn a_long_id_keeps_both_ends() {
        let short = fit("explain-it-to-a-lawyer", 11.0, 90.0);
        assert!(short.starts_with("expl") && short.ends_with("yer"), "{short}");
        assert!(text_width(&short, 11.0) <= 90.0);
        assert_eq!(fit("color", 11.0, 90.0), "color");
    }
}

//! Bars cut into parts, one below the other on one axis.

use super::axis::Axis;
use super::colour::{Rgb, Scale};
use super::svg::{Anchor, Area, Svg, fit, text_width};

const WIDTH: f64 = 760.0;
const ROW: f64 = 25.0;
const BAR: f64 = 19.0;
/// Room for what stands behind a bar.
const AFTER: f64 = 132.0;
/// Widest label before a bar.
const LABEL: f64 = 150.0;
const SIZE: f64 = 11.0;

/// One bar.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Strip {
    /// What stands before it.
    pub(super) label: String,
    /// Its parts, in the order of the key.
    pub(super) parts: Vec<Part>,
    /// What stands behind it: its sum, or why it is empty.
    pub(super) after: String,
}

/// One part of a bar; below 0 it goes to the left. Where there is but one kind of parts, what stands
/// behind the bar is its number.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Part {
    /// Its place in the key.
    pub(super) kind: usize,
    pub(super) value: f64,
    /// Ends of the interval of the value, where it is the bar's only part.
    pub(super) ends: Option<(f64, f64)>,
    /// What shows when the pointer rests on it.
    pub(super) hint: String,
}

/// The ground of the `kind`-th of `n` kinds: neighbours differ in lightness, not in hue alone.
pub(super) fn colour(kind: usize, n: usize) -> Rgb {
    let place = kind as f64 / (n - 1).max(1) as f64;
    Scale::Cividis.at(0.08 + 0.92 * place, 0.0, 1.0)
}

/// All bars; `n_kinds` is how many kinds of parts there are.
pub(super) fn strips(title: &str, axis: Axis, n_kinds: usize, rows: &[Strip]) -> String {
    let widest = rows.iter().map(|row| text_width(&row.label, SIZE)).fold(0.0, f64::max);
    let left = widest.min(LABEL) + 10.0;
    let height = rows.len() as f64 * ROW + 24.0;
    let mut svg = Svg::new("strips", WIDTH, height, title);
    let place = |value: f64| left + axis.share(value) * (WIDTH - AFTER - left);
    let bottom = rows.len() as f64 * ROW;
    for tick in axis.ticks() {
        svg.line("grid", (place(tick), 0.0), (place(tick), bottom + 4.0));
        let label = axis.label(tick);
        svg.text("ink label", (place(tick), bottom + 18.0), Anchor::Middle, &label, "");
    }
    for (i, row) in rows.iter().enumerate() {
        let y = i as f64 * ROW + (ROW - BAR) / 2.0;
        let label = fit(&row.label, SIZE, LABEL);
        svg.text("ink label", (left - 7.0, y + 14.0), Anchor::End, &label, "");
        // Positive parts go right from 0, negative ones left: a sum of both is seen as such.
        let mut ends = [0.0_f64; 2];
        for part in &row.parts {
            let end = &mut ends[usize::from(part.value < 0.0)];
            let (from, to) = (place(*end), place(*end + part.value));
            *end += part.value;
            let x = from.min(to);
            let area = Area { x, y, width: (to - from).abs(), height: BAR };
            draw(&mut svg, part, n_kinds, area);
        }
        let whisker = row.parts.iter().find_map(|part| part.ends);
        if let Some((low, high)) = whisker.map(|(low, high)| (place(low), place(high))) {
            let middle = y + BAR / 2.0;
            svg.line("whisker", (low, middle), (high, middle));
            svg.line("whisker", (low, middle - 4.0), (low, middle + 4.0));
            svg.line("whisker", (high, middle - 4.0), (high, middle + 4.0));
        }
        let furthest = whisker.map_or(0.0, |(_, high)| high);
        let behind = (place(ends[0].max(furthest).max(0.0)) + 7.0, y + 14.0);
        let room = WIDTH - behind.0;
        svg.text("ink num", behind, Anchor::Start, &fit(&row.after, SIZE, room), "");
    }
    svg.line("axis", (place(0.0), 0.0), (place(0.0), bottom + 4.0));
    svg.finish()
}

fn draw(svg: &mut Svg, part: &Part, n_kinds: usize, area: Area) {
    svg.open(&part.hint);
    if n_kinds == 1 {
        svg.rect("bar", area, "");
        svg.close();
        return;
    }
    let ground = colour(part.kind, n_kinds);
    svg.rect("part", area, &format!("fill=\"{}\"", ground.hex()));
    let number = format!("{:.2}", part.value);
    if text_width(&number, SIZE) + 4.0 <= area.width {
        let at = (area.x + area.width / 2.0, area.y + 14.0);
        let ink = format!("fill=\"{}\"", ground.ink());
        svg.text("num", at, Anchor::Middle, &number, &ink);
    }
    svg.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: usize, value: f64) -> Part {
        Part { kind, value, hint: format!("part {kind}"), ..Part::default() }
    }

    #[test]
    fn parts_are_as_long_as_their_values_and_negative_ones_go_left() {
        let parts = vec![part(0, 0.5), part(1, -0.25), part(2, 0.5)];
        let row = Strip { label: String::new(), parts, after: String::new() };
        let svg = strips("t", Axis::unit([-0.25]), 3, &[row]);
        // 760 less what stands before (10) and behind (132), for an axis from -0.25 to 1.
        let unit = (760.0 - 142.0) / 1.25;
        assert_eq!(svg.matches(&format!("width=\"{}\"", unit * 0.5)).count(), 2, "{svg}");
        assert_eq!(svg.matches(&format!("x=\"10\" y=\"3\" width=\"{}\"", unit * 0.25)).count(), 1);
        assert!(svg.contains(">-0.25<") && svg.contains(">0.50<"));
    }

    #[test]
    fn a_narrow_part_has_no_number_in_it() {
        let row = Strip { parts: vec![part(0, 0.01)], ..Strip::default() };
        let svg = strips("t", Axis::unit([]), 2, &[row]);
        assert!(!svg.contains(">0.01<") && svg.contains("<title>part 0</title>"));
    }

    #[test]
    fn neighbouring_kinds_differ_in_lightness() {
        let light =
            |c: Rgb| 0.299 * f64::from(c.0) + 0.587 * f64::from(c.1) + 0.114 * f64::from(c.2);
        for n in 2..=5 {
            for kind in 1..n {
                let step = light(colour(kind, n)) - light(colour(kind - 1, n));
                assert!(step > 30.0, "{kind} of {n}: {step}");
            }
        }
    }

    #[test]
    fn an_interval_is_drawn_across_the_bar_and_the_number_stands_behind_it() {
        let whole = Part { ends: Some((0.25, 1.0)), ..part(0, 0.5) };
        let row = Strip { parts: vec![whole], after: "0.5".to_owned(), ..Strip::default() };
        let svg = strips("t", Axis::unit([]), 1, &[row]);
        let unit = 760.0 - 142.0;
        let (low, high) = (10.0 + unit * 0.25, 10.0 + unit);
        assert_eq!(svg.matches("class=\"whisker\"").count(), 3, "{svg}");
        assert!(svg.contains(&format!("x1=\"{low}\" y1=\"12.5\" x2=\"{high}\"")), "{svg}");
        assert!(svg.contains(&format!("x=\"{}\" y=\"17\"", high + 7.0)), "{svg}");
    }
}

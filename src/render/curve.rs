//! Similarity over the layers: mean line, range band, threshold.

use super::page::{CurvePoint, Verdict};
use super::svg::{Anchor, Area, Svg};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 346.0;
/// Where the data lie: left, top, right, bottom.
const FRAME: (f64, f64, f64, f64) = (58.0, 14.0, 696.0, 282.0);
/// The notebook's upper end.
const TOP: f64 = 1.05;
/// Closest that two means are labelled, in pixels.
const LABEL_ROOM: f64 = 44.0;
/// Closest that two shares are labelled, in pixels.
const SHARE_ROOM: f64 = 26.0;

/// From layers and similarities to pixels.
struct Axes {
    layers: (f64, f64),
    bottom: f64,
}

impl Axes {
    /// The notebook's 0.5 to 1.05, and further down when the data go there.
    fn of(curve: &[CurvePoint], threshold: Option<f64>) -> Self {
        let lowest = curve.iter().filter_map(|p| p.min.or(p.mean)).chain(threshold);
        let lowest = lowest.fold(0.5, f64::min);
        let bottom = if lowest < 0.5 { ((lowest - 0.02) * 10.0).floor() / 10.0 } else { 0.5 };
        let ends = curve.iter().map(|p| f64::from(p.layer));
        let first = ends.clone().fold(f64::INFINITY, f64::min);
        let last = ends.fold(f64::NEG_INFINITY, f64::max);
        let pad = if last > first { (last - first) * 0.04 } else { 1.0 };
        Self { layers: (first - pad, last + pad), bottom }
    }

    fn x(&self, layer: f64) -> f64 {
        FRAME.0 + (layer - self.layers.0) / (self.layers.1 - self.layers.0) * (FRAME.2 - FRAME.0)
    }

    fn y(&self, value: f64) -> f64 {
        FRAME.3 - (value - self.bottom) / (TOP - self.bottom) * (FRAME.3 - FRAME.1)
    }
}

/// The divergence curve of a scenario.
pub(super) fn curve(points: &[CurvePoint], verdict: Option<&Verdict>, title: &str) -> String {
    let axes = Axes::of(points, verdict.map(|v| v.threshold));
    let mut svg = Svg::new("curve", WIDTH, HEIGHT, title);
    grid(&mut svg, &axes, points);
    for run in runs(points) {
        band(&mut svg, &axes, run);
    }
    if let Some(verdict) = verdict {
        let y = axes.y(verdict.threshold);
        svg.line("threshold", (FRAME.0, y), (FRAME.2, y));
        // Beside the frame, where no value can be.
        let x = FRAME.2 + 6.0;
        svg.text("threshold-label", (x, y - 3.0), Anchor::Start, "threshold", "");
        let text = verdict.threshold.to_string();
        svg.text("threshold-label", (x, y + 11.0), Anchor::Start, &text, "");
    }
    for run in runs(points) {
        means(&mut svg, &axes, run);
    }
    svg.finish()
}

/// The stretches of neighbouring layers that have a mean: a line never bridges a gap.
fn runs(points: &[CurvePoint]) -> impl Iterator<Item = &[CurvePoint]> {
    points.split(|p| p.mean.is_none()).filter(|run| !run.is_empty())
}

fn grid(svg: &mut Svg, axes: &Axes, points: &[CurvePoint]) {
    let step = if axes.bottom < 0.0 { 2 } else { 1 };
    let lowest = (axes.bottom * 10.0).round() as i32;
    for tenth in (lowest..=10).filter(|t| (10 - t) % step == 0) {
        let value = f64::from(tenth) / 10.0;
        let y = axes.y(value);
        svg.line("grid", (FRAME.0, y), (FRAME.2, y));
        svg.text("ink label", (FRAME.0 - 8.0, y + 4.0), Anchor::End, &format!("{value:.1}"), "");
    }
    let mut free = f64::NEG_INFINITY;
    for point in points {
        let x = axes.x(f64::from(point.layer));
        svg.line("axis", (x, FRAME.3), (x, FRAME.3 + 4.0));
        if x >= free {
            let at = (x, FRAME.3 + 18.0);
            svg.text("ink label", at, Anchor::Middle, &point.layer.to_string(), "");
            free = x + 18.0;
        }
    }
    shares(svg, axes, points);
    svg.line("axis", (FRAME.0, FRAME.3), (FRAME.2, FRAME.3));
    svg.line("axis", (FRAME.0, FRAME.1), (FRAME.0, FRAME.3));
    let middle = (f64::midpoint(FRAME.0, FRAME.2), HEIGHT - 8.0);
    svg.text("ink axis-name", middle, Anchor::Middle, "layer (transformer block, from 0)", "");
    let at = (14.0, f64::midpoint(FRAME.1, FRAME.3));
    let turn = format!("transform=\"rotate(-90 {} {})\"", at.0, at.1);
    svg.text("ink axis-name", at, Anchor::Middle, "mean cross-task similarity", &turn);
}

/// Under each layer how much of the squared norm of what is compared is position 0's.
fn shares(svg: &mut Svg, axes: &Axes, points: &[CurvePoint]) {
    let mut free = f64::NEG_INFINITY;
    for point in points {
        let x = axes.x(f64::from(point.layer));
        let Some(share) = point.position_0_share.filter(|_| x >= free) else { continue };
        if free == f64::NEG_INFINITY {
            let at = (FRAME.0 - 8.0, FRAME.3 + 33.0);
            svg.text("small", at, Anchor::End, "position 0", "");
        }
        let at = (x, FRAME.3 + 33.0);
        svg.text("small", at, Anchor::Middle, &format!("{share:.2}"), "");
        free = x + SHARE_ROOM;
    }
}

fn band(svg: &mut Svg, axes: &Axes, run: &[CurvePoint]) {
    let edge =
        |p: &CurvePoint, value: Option<f64>| Some((axes.x(f64::from(p.layer)), axes.y(value?)));
    if let [only] = run {
        if let (Some(top), Some(bottom)) = (edge(only, only.max), edge(only, only.min)) {
            let area =
                Area { x: top.0 - 9.0, y: top.1, width: 18.0, height: (bottom.1 - top.1).max(1.0) };
            svg.rect("band", area, "");
        }
        return;
    }
    let upper = run.iter().filter_map(|p| edge(p, p.max));
    let lower = run.iter().rev().filter_map(|p| edge(p, p.min));
    let points: Vec<(f64, f64)> = upper.chain(lower).collect();
    svg.points("polygon", "band", &points);
}

fn means(svg: &mut Svg, axes: &Axes, run: &[CurvePoint]) {
    let place = |p: &CurvePoint| Some((axes.x(f64::from(p.layer)), axes.y(p.mean?)));
    let line: Vec<(f64, f64)> = run.iter().filter_map(place).collect();
    if line.len() > 1 {
        svg.points("polyline", "mean", &line);
    }
    let mut free = f64::NEG_INFINITY;
    for point in run {
        let (Some(mean), Some((x, y))) = (point.mean, place(point)) else { continue };
        svg.open(&hint(point, mean));
        svg.circle("dot", (x, y), 4.5);
        if x >= free {
            svg.text("ink label halo", (x, y - 10.0), Anchor::Middle, &format!("{mean:.4}"), "");
            free = x + LABEL_ROOM;
        }
        svg.close();
    }
}

fn hint(point: &CurvePoint, mean: f64) -> String {
    let range = match (point.min, point.max) {
        (Some(min), Some(max)) => format!(", from {min:.6} to {max:.6}"),
        _ => String::new(),
    };
    let share = match point.position_0_share {
        Some(share) => format!("; position 0 has {share:.4} of the squared norm"),
        None => String::new(),
    };
    format!("layer {}: mean {mean:.6}{range}, {} values{share}", point.layer, point.n_pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(layer: i16, mean: Option<f64>) -> CurvePoint {
        CurvePoint { layer, mean, min: mean.map(|m| m - 0.1), max: mean, ..CurvePoint::default() }
    }

    #[test]
    fn the_axis_reaches_down_to_the_lowest_value() {
        let axes = Axes::of(&[point(0, Some(0.9)), point(1, Some(0.25))], Some(0.9));
        assert!(axes.y(0.15) <= FRAME.3, "{}", axes.y(0.15));
        assert!((axes.bottom - 0.1).abs() < 1e-12);
        let usual = Axes::of(&[point(0, Some(0.9))], Some(0.9));
        assert!((usual.bottom - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_line_never_bridges_a_layer_without_values() {
        let points =
            [point(0, Some(0.9)), point(1, None), point(2, Some(0.8)), point(3, Some(0.7))];
        let svg = curve(&points, None, "t");
        assert_eq!(svg.matches("<polyline").count(), 1);
        assert_eq!(svg.matches("class=\"dot\"").count(), 3);
        assert!(!svg.contains("threshold"));
    }

    #[test]
    fn position_0s_share_stands_under_its_layer() {
        let with = |share| CurvePoint { position_0_share: share, ..point(3, Some(0.9)) };
        let svg = curve(&[with(Some(0.9994))], None, "t");
        assert!(svg.contains(">1.00<") && svg.contains("position 0 has 0.9994 of"), "{svg}");
        assert!(!curve(&[with(None)], None, "t").contains("position 0"));
    }

    #[test]
    fn one_layer_is_a_dot_with_its_range() {
        let svg = curve(&[point(11, Some(0.8))], None, "t");
        assert_eq!(svg.matches("class=\"band\"").count(), 1);
        assert!(svg.contains(">0.8000<") && !svg.contains("NaN"), "{svg}");
    }
}

//! Small charts over the layers: points with intervals, or a line in its range.

use super::axis::Axis;
use super::names;
use super::svg::{Anchor, Svg};

/// Four of them stand side by side on the page at its widest.
const WIDTH: f64 = 282.0;
const HEIGHT: f64 = 216.0;
/// Where the data lie: left, top, right, bottom.
const FRAME: (f64, f64, f64, f64) = (58.0, 10.0, 274.0, 172.0);
/// Closest that two layers are labelled, in pixels.
const LABEL_ROOM: f64 = 16.5;

/// A value on one layer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    pub(super) layer: i16,
    pub(super) value: f64,
    /// Ends of its interval or range.
    pub(super) ends: Option<(f64, f64)>,
    /// A hollow mark is a weaker one: what that means, the caption says.
    pub(super) is_hollow: bool,
    /// What shows when the pointer rests on it.
    pub(super) hint: String,
}

/// A chart.
#[derive(Debug)]
pub(super) struct Panel<'a> {
    /// Its name for readers who cannot see it.
    pub(super) title: &'a str,
    /// What the upright axis measures.
    pub(super) name: &'a str,
    pub(super) axis: Axis,
    /// All layers, ascending, with a value or without.
    pub(super) layers: &'a [i16],
    pub(super) marks: &'a [Mark],
    /// By layer, how far from 0 a value may lie before it matters; mostly empty.
    pub(super) bounds: &'a [(i16, f64)],
    /// Whether neighbours are joined and their ranges make a band; else each has its whisker.
    pub(super) is_line: bool,
}

impl Panel<'_> {
    /// The picture.
    pub(super) fn draw(&self) -> String {
        let mut svg = Svg::new("panel", WIDTH, HEIGHT, self.title);
        self.bounds(&mut svg);
        self.grid(&mut svg);
        if self.is_line {
            for run in self.runs() {
                self.line(&mut svg, &run);
            }
        }
        for mark in self.marks {
            let (x, y) = (self.x(mark.layer), self.y(mark.value));
            svg.open(&mark.hint);
            if let Some((low, high)) = mark.ends.filter(|_| !self.is_line) {
                let (low, high) = (self.y(low), self.y(high));
                svg.line("whisker", (x, low), (x, high));
                svg.line("whisker", (x - 4.0, low), (x + 4.0, low));
                svg.line("whisker", (x - 4.0, high), (x + 4.0, high));
            }
            svg.circle(if mark.is_hollow { "dot hollow" } else { "dot" }, (x, y), 4.5);
            svg.close();
        }
        svg.finish()
    }

    fn x(&self, layer: i16) -> f64 {
        let first = f64::from(self.layers.first().copied().unwrap_or(0));
        let last = f64::from(self.layers.last().copied().unwrap_or(0));
        let share = if last > first { (f64::from(layer) - first) / (last - first) } else { 0.5 };
        FRAME.0 + 14.0 + share * (FRAME.2 - FRAME.0 - 28.0)
    }

    fn y(&self, value: f64) -> f64 {
        FRAME.3 - self.axis.share(value) * (FRAME.3 - FRAME.1)
    }

    fn grid(&self, svg: &mut Svg) {
        for tick in self.axis.ticks() {
            let y = self.y(tick);
            svg.line("grid", (FRAME.0, y), (FRAME.2, y));
            let label = self.axis.label(tick);
            svg.text("ink label", (FRAME.0 - 7.0, y + 4.0), Anchor::End, &label, "");
        }
        let mut free = f64::NEG_INFINITY;
        for layer in self.layers {
            let x = self.x(*layer);
            svg.line("axis", (x, FRAME.3), (x, FRAME.3 + 4.0));
            if x >= free {
                let at = (x, FRAME.3 + 17.0);
                svg.text("ink label", at, Anchor::Middle, &names::layer_number(*layer), "");
                free = x + LABEL_ROOM;
            }
        }
        let zero = self.y(0.0);
        svg.line("axis", (FRAME.0, zero), (FRAME.2, zero));
        svg.line("axis", (FRAME.0, FRAME.1), (FRAME.0, FRAME.3));
        let middle = (f64::midpoint(FRAME.0, FRAME.2), HEIGHT - 8.0);
        if self.layers.iter().any(|layer| *layer >= 0) {
            svg.text("ink axis-name", middle, Anchor::Middle, "layer", "");
        }
        let at = (12.0, f64::midpoint(FRAME.1, FRAME.3));
        let turn = format!("transform=\"rotate(-90 {} {})\"", at.0, at.1);
        svg.text("ink axis-name", at, Anchor::Middle, self.name, &turn);
    }

    /// A shaded piece for each layer, from minus to plus its bound.
    fn bounds(&self, svg: &mut Svg) {
        for (layer, bound) in self.bounds {
            let (x, top, bottom) = (self.x(*layer), self.y(*bound), self.y(-*bound));
            let half = self.half_step();
            let (left, right) = ((x - half).max(FRAME.0), (x + half).min(FRAME.2));
            let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
            svg.points("polygon", "bound", &corners);
        }
    }

    /// Half the way from a layer to the next.
    fn half_step(&self) -> f64 {
        let steps = self.layers.windows(2).map(|pair| self.x(pair[1]) - self.x(pair[0]));
        steps.fold(FRAME.2 - FRAME.0, f64::min) / 2.0
    }

    /// The stretches of neighbouring layers that have a value: a line never bridges a gap.
    fn runs(&self) -> Vec<Vec<&Mark>> {
        let mut runs: Vec<Vec<&Mark>> = vec![Vec::new()];
        for layer in self.layers {
            match self.marks.iter().find(|mark| mark.layer == *layer) {
                Some(mark) => runs.last_mut().expect("there is always one").push(mark),
                None => runs.push(Vec::new()),
            }
        }
        runs.retain(|run| run.len() > 1);
        runs
    }

    fn line(&self, svg: &mut Svg, run: &[&Mark]) {
        let at = |mark: &&Mark, value: f64| (self.x(mark.layer), self.y(value));
        let upper = run.iter().filter_map(|mark| Some(at(mark, mark.ends?.1)));
        let lower = run.iter().rev().filter_map(|mark| Some(at(mark, mark.ends?.0)));
        let band: Vec<(f64, f64)> = upper.chain(lower).collect();
        if !band.is_empty() {
            svg.points("polygon", "band", &band);
        }
        let line: Vec<(f64, f64)> = run.iter().map(|mark| at(mark, mark.value)).collect();
        svg.points("polyline", "mean", &line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(layer: i16, value: f64, is_hollow: bool) -> Mark {
        let ends = Some((value - 0.1, value + 0.1));
        Mark { layer, value, ends, is_hollow, hint: format!("layer {layer}") }
    }

    fn panel(layers: &[i16], marks: &[Mark], is_line: bool) -> String {
        let axis = Axis::around([-0.2, 0.8]);
        let bounds = [(0, 0.1)];
        Panel { title: "t", name: "n", axis, layers, marks, bounds: &bounds, is_line }.draw()
    }

    #[test]
    fn a_point_has_its_interval_and_stands_where_its_value_is() {
        let svg = panel(&[0, 1], &[mark(0, 0.8, false), mark(1, 0.0, true)], false);
        assert_eq!(svg.matches("class=\"whisker\"").count(), 6);
        assert_eq!(svg.matches("class=\"dot\"").count(), 1);
        assert_eq!(svg.matches("class=\"dot hollow\"").count(), 1);
        assert_eq!(
            svg.matches("class=\"bound\"").count(),
            1,
            "what is too small to matter is shaded"
        );
        // The axis runs from -0.25 to 1: 0.8 lies 84 % up, 0 lies 20 % up.
        let y = |share: f64| super::super::svg::number(FRAME.3 - share * (FRAME.3 - FRAME.1));
        assert!(svg.contains(&format!("cy=\"{}\"", y(0.84))), "{svg}");
        assert!(svg.contains(&format!("cy=\"{}\"", y(0.2))), "{svg}");
    }

    #[test]
    fn a_line_never_bridges_a_layer_without_a_value() {
        let marks = [mark(0, 0.1, false), mark(2, 0.2, false), mark(3, 0.3, false)];
        let svg = panel(&[0, 1, 2, 3], &marks, true);
        assert_eq!(svg.matches("<polyline").count(), 1);
        assert_eq!(svg.matches("class=\"band\"").count(), 1);
        assert_eq!(svg.matches("class=\"dot\"").count(), 3);
    }

    #[test]
    fn layers_too_close_to_label_share_their_labels() {
        let layers: Vec<i16> = (0..48).collect();
        let svg = panel(&layers, &[], false);
        let labels = svg.matches("text-anchor=\"middle\"").count();
        assert!((10..30).contains(&labels), "{labels}");
        assert!(!panel(&[11], &[mark(11, 0.2, false)], true).contains("NaN"));
    }
}

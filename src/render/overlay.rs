//! Charts that lay several runs over each other: a line with intervals for each, over layers, relative
//! depth, or the runs themselves.

use super::axis::Axis;
use super::svg::{Anchor, Svg, fit};

const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 250.0;
/// Where the data lie: left, top, right, bottom.
const FRAME: (f64, f64, f64, f64) = (58.0, 10.0, 370.0, 204.0);
/// Room of a label below the axis, in pixels.
const LABEL_ROOM: f64 = 26.0;
/// How far the points of two runs on one layer stand apart, in pixels.
const BESIDE: f64 = 5.0;
/// Colours that lines go through; from the next on they are dashed.
pub(super) const COLOURS: usize = 8;

/// A value of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Dot {
    /// Where on the horizontal axis.
    pub x: f64,
    /// The value.
    pub value: f64,
    /// Ends of its interval or range.
    pub ends: Option<(f64, f64)>,
    /// What shows when the pointer rests on it.
    pub hint: String,
}

/// What the horizontal axis is.
#[derive(Debug, Clone, PartialEq)]
pub enum Across {
    /// Layers, by number.
    Layers,
    /// From the first layer, 0, to the last, 1.
    Depth,
    /// The runs by name, the first at 0, the next at 1.
    Runs(Vec<String>),
}

/// A chart.
#[derive(Debug)]
pub(super) struct Overlay<'a> {
    /// Its name for readers who cannot see it.
    pub(super) title: &'a str,
    /// What the upright axis measures.
    pub(super) name: &'a str,
    pub(super) across: &'a Across,
    /// The dots of each run, ascending; with runs on the axis one line through all.
    pub(super) lines: &'a [Vec<Dot>],
}

/// The class of a run's line: its colour, and whether it is dashed.
pub(super) fn class(run: usize) -> String {
    let dashed = if (run / COLOURS) % 2 == 1 { " dashed" } else { "" };
    format!("run-{}{dashed}", run % COLOURS)
}

impl Overlay<'_> {
    /// The picture.
    pub(super) fn draw(&self) -> String {
        let dots = || self.lines.iter().flatten();
        let ends = |dot: &Dot| {
            let (low, high) = dot.ends.unwrap_or((dot.value, dot.value));
            [dot.value, low, high]
        };
        let axis = Axis::around(dots().flat_map(ends));
        let across = self.ends(dots().map(|dot| dot.x));
        let x = |at: f64| {
            let share =
                if across.1 > across.0 { (at - across.0) / (across.1 - across.0) } else { 0.5 };
            FRAME.0 + 18.0 + share * (FRAME.2 - FRAME.0 - 36.0)
        };
        let y = |value: f64| FRAME.3 - axis.share(value) * (FRAME.3 - FRAME.1);
        let mut svg = Svg::new("overlay", WIDTH, HEIGHT, self.title);
        self.grid(&mut svg, axis, &x, &y);
        let n = self.lines.len() as f64;
        for (run, line) in self.lines.iter().enumerate() {
            // Beside each other, so that no interval hides another.
            let shift = ((run as f64) - (n - 1.0) / 2.0) * BESIDE.min(14.0 / n.max(1.0));
            let class = class(run);
            let points: Vec<(f64, f64)> =
                line.iter().map(|dot| (x(dot.x) + shift, y(dot.value))).collect();
            if points.len() > 1 {
                svg.points("polyline", &format!("over {class}"), &points);
            }
            for (dot, (x, at)) in line.iter().zip(points) {
                svg.open(&dot.hint);
                if let Some((low, high)) = dot.ends {
                    svg.line(&format!("reach {class}"), (x, y(low)), (x, y(high)));
                }
                svg.circle(&format!("point {class}"), (x, at), 3.5);
                svg.close();
            }
        }
        svg.finish()
    }

    /// Both ends of the horizontal axis.
    fn ends(&self, all: impl Iterator<Item = f64>) -> (f64, f64) {
        match self.across {
            Across::Depth => (0.0, 1.0),
            Across::Runs(names) => (0.0, names.len().saturating_sub(1) as f64),
            Across::Layers => {
                let ends = (f64::INFINITY, f64::NEG_INFINITY);
                all.fold(ends, |(low, high), at| (low.min(at), high.max(at)))
            }
        }
    }

    /// Where the horizontal axis has labels.
    fn labels(&self) -> Vec<(f64, String)> {
        match self.across {
            Across::Depth => [0.0, 0.25, 0.5, 0.75, 1.0].map(|at| (at, at.to_string())).into(),
            Across::Runs(names) => {
                (0_u32..).zip(names).map(|(i, name)| (f64::from(i), name.clone())).collect()
            }
            Across::Layers => {
                let mut layers: Vec<f64> = self.lines.iter().flatten().map(|dot| dot.x).collect();
                layers.sort_by(f64::total_cmp);
                layers.dedup_by(|a, b| a.total_cmp(b).is_eq());
                layers.into_iter().map(|layer| (layer, layer.to_string())).collect()
            }
        }
    }

    fn grid(&self, svg: &mut Svg, axis: Axis, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) {
        for tick in axis.ticks() {
            let at = y(tick);
            svg.line("grid", (FRAME.0, at), (FRAME.2, at));
            let label = axis.label(tick);
            svg.text("ink label", (FRAME.0 - 7.0, at + 4.0), Anchor::End, &label, "");
        }
        let labels = self.labels();
        // Names of runs are cut to their room; numbers are short.
        let (room, most) = match self.across {
            Across::Runs(_) => {
                let room = ((FRAME.2 - FRAME.0) / labels.len().max(1) as f64).max(2.0 * LABEL_ROOM);
                (room, room - 4.0)
            }
            _ => (LABEL_ROOM, f64::INFINITY),
        };
        let mut free = f64::NEG_INFINITY;
        for (at, label) in labels {
            let at = x(at);
            svg.line("axis", (at, FRAME.3), (at, FRAME.3 + 4.0));
            if at >= free {
                let text = fit(&label, 11.0, most);
                svg.text("ink label", (at, FRAME.3 + 17.0), Anchor::Middle, &text, "");
                free = at + room;
            }
        }
        svg.line("axis", (FRAME.0, y(0.0)), (FRAME.2, y(0.0)));
        svg.line("axis", (FRAME.0, FRAME.1), (FRAME.0, FRAME.3));
        let middle = (f64::midpoint(FRAME.0, FRAME.2), HEIGHT - 10.0);
        let name = match self.across {
            Across::Layers => "layer",
            Across::Depth => "relative depth (layer over the last one)",
            Across::Runs(_) => "run",
        };
        svg.text("ink axis-name", middle, Anchor::Middle, name, "");
        let at = (12.0, f64::midpoint(FRAME.1, FRAME.3));
        let turn = format!("transform=\"rotate(-90 {} {})\"", at.0, at.1);
        svg.text("ink axis-name", at, Anchor::Middle, self.name, &turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(x: f64, value: f64) -> Dot {
        Dot { x, value, ends: Some((value - 0.1, value + 0.1)), hint: format!("at {x}") }
    }

    fn draw(across: &Across, lines: &[Vec<Dot>]) -> String {
        Overlay { title: "t", name: "n", across, lines }.draw()
    }

    #[test]
    fn each_run_has_a_line_of_its_own() {
        let lines = [vec![dot(0.0, 0.2), dot(4.0, 0.4)], vec![dot(0.0, 0.3), dot(4.0, 0.1)]];
        let svg = draw(&Across::Layers, &lines);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!((svg.matches("over run-0").count(), svg.matches("over run-1").count()), (1, 1));
        assert_eq!((svg.matches("reach ").count(), svg.matches("point ").count()), (4, 4));
        assert_eq!(class(COLOURS), "run-0 dashed", "a colour that comes again is dashed");
    }

    #[test]
    fn on_relative_depth_the_last_layers_of_two_models_stand_at_one_place() {
        let lines = [vec![dot(0.0, 0.2), dot(1.0, 0.4)], vec![dot(0.5, 0.2), dot(1.0, 0.1)]];
        let svg = draw(&Across::Depth, &lines);
        for label in ["0", "0.25", "0.5", "0.75", "1"] {
            assert!(svg.contains(&format!(">{label}</text>")), "{label}: {svg}");
        }
        assert!(!svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn runs_stand_on_the_axis_by_name_and_no_picture_is_without_numbers() {
        let names = vec!["step-1".to_owned(), "step-2".to_owned(), "<b>".to_owned()];
        let svg = draw(&Across::Runs(names), &[vec![dot(0.0, 0.2), dot(2.0, 0.4)]]);
        assert!(svg.contains(">step-2</text>") && svg.contains("&lt;b&gt;"), "{svg}");
        for lines in [vec![], vec![vec![], vec![dot(3.0, 0.0)]]] {
            let svg = draw(&Across::Layers, &lines);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}

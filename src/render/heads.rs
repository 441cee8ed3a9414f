//! Maps of heads: layers by heads as coloured cells.

use super::colour::Scale;
use super::evidence::{HeadMap, HeadMeasure, Mean};
use super::svg::{Anchor, Area, Svg};

/// Up to this many heads, each cell has its number printed in it.
const MOST_WITH_NUMBERS: usize = 16;
/// Room for the names of the layers.
const LEFT: f64 = 60.0;
const BAR_STEPS: i32 = 40;

/// Upper end of a map's scale: 1 for shares, the next round number for divergences, so that small
/// ones differ in colour.
pub(super) fn scale_end(map: &HeadMap) -> f64 {
    let largest = map.cells.iter().filter_map(|cell| cell.value).fold(0.0, f64::max);
    match map.what {
        HeadMeasure::Sink => 1.0,
        HeadMeasure::InputDivergence => {
            let ends = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
            ends.into_iter().find(|end| largest <= *end).unwrap_or(1.0)
        }
    }
}

/// One map.
pub(super) fn map(map: &HeadMap, title: &str) -> String {
    let with_numbers = map.heads.len() <= MOST_WITH_NUMBERS;
    let (w, h) = if with_numbers { (36.0, 24.0) } else { (14.0, 14.0) };
    let end = scale_end(map);
    let below = map.layers.len() as f64 * h + 1.0;
    let width = (LEFT + map.heads.len() as f64 * w + 8.0).max(LEFT + 230.0);
    let mut svg = Svg::new("heads", width, below + 74.0, title);
    let places = map.layers.iter().enumerate().flat_map(|(row, layer)| {
        map.heads.iter().enumerate().map(move |(column, head)| (row, column, *layer, *head))
    });
    for ((row, column, layer, head), cell) in places.zip(&map.cells) {
        let (x, y) = (LEFT + column as f64 * w, row as f64 * h + 1.0);
        svg.open(&format!("layer {layer}, head {head}: {}", hint(cell)));
        draw(&mut svg, cell, Area { x, y, width: w, height: h }, end, with_numbers);
        svg.close();
    }
    names(&mut svg, map, (w, h));
    scale(&mut svg, end, below + 44.0);
    svg.finish()
}

fn hint(cell: &Mean) -> String {
    let missing =
        if cell.missing.is_empty() { String::new() } else { format!("; {}", cell.missing) };
    match cell.value {
        Some(value) => format!("{value:.6} (mean of {}){missing}", cell.n),
        None => format!("no value{missing}"),
    }
}

fn draw(svg: &mut Svg, cell: &Mean, area: Area, end: f64, with_numbers: bool) {
    let middle = (area.x + area.width / 2.0, area.y + area.height / 2.0 + 4.0);
    let Some(value) = cell.value else {
        svg.rect("empty", area, "");
        if with_numbers {
            svg.text("ink num", middle, Anchor::Middle, "–", "");
        }
        return;
    };
    let ground = Scale::Cividis.at(value, 0.0, end);
    svg.rect("tile", area, &format!("fill=\"{}\"", ground.hex()));
    if with_numbers {
        let decimals = if end < 0.1 { 3 } else { 2 };
        let number = format!("{value:.decimals$}");
        let ink = format!("fill=\"{}\"", ground.ink());
        svg.text("num", middle, Anchor::Middle, &number, &ink);
    }
}

fn names(svg: &mut Svg, map: &HeadMap, (w, h): (f64, f64)) {
    let below = map.layers.len() as f64 * h + 1.0;
    let mut free = f64::NEG_INFINITY;
    for (row, layer) in map.layers.iter().enumerate() {
        let y = (row as f64 + 0.5) * h + 5.0;
        if y >= free {
            let text = format!("layer {layer}");
            svg.text("ink label", (LEFT - 6.0, y), Anchor::End, &text, "");
            free = y + 14.0;
        }
    }
    let mut free = f64::NEG_INFINITY;
    for (column, head) in map.heads.iter().enumerate() {
        let x = LEFT + (column as f64 + 0.5) * w;
        if x >= free {
            svg.text("ink label", (x, below + 14.0), Anchor::Middle, &head.to_string(), "");
            free = x + 20.0;
        }
    }
    let middle = LEFT + map.heads.len() as f64 * w / 2.0;
    svg.text("ink axis-name", (middle.max(LEFT + 16.0), below + 31.0), Anchor::Middle, "head", "");
}

/// The colour bar, from 0 to the scale's end.
fn scale(svg: &mut Svg, end: f64, y: f64) {
    const STEP: f64 = 5.0;
    for step in 0..BAR_STEPS {
        let share = (f64::from(step) + 0.5) / f64::from(BAR_STEPS);
        let ground = Scale::Cividis.at(share, 0.0, 1.0);
        let area = Area { x: LEFT + f64::from(step) * STEP, y, width: STEP + 0.5, height: 10.0 };
        svg.rect("tile", area, &format!("fill=\"{}\"", ground.hex()));
    }
    let width = f64::from(BAR_STEPS) * STEP;
    for share in [0.0, 0.5, 1.0] {
        let x = LEFT + share * width;
        svg.line("axis", (x, y + 10.0), (x, y + 14.0));
        let text = format!("{}", share * end);
        svg.text("ink label", (x, y + 26.0), Anchor::Middle, &text, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(heads: i16, value: Option<f64>) -> HeadMap {
        let cell = Mean { value, n: 4, missing: String::new(), ..Mean::default() };
        HeadMap {
            what: HeadMeasure::InputDivergence,
            layers: vec![0, 11],
            heads: (0..heads).collect(),
            cells: vec![cell; 2 * heads as usize],
        }
    }

    #[test]
    fn every_head_of_every_layer_has_a_cell_with_its_number() {
        let svg = map(&of(12, Some(0.25)), "t");
        assert_eq!(svg.matches("class=\"tile\"").count(), 24 + BAR_STEPS as usize);
        assert_eq!(svg.matches(">0.25<").count(), 24 + 1);
        assert!(svg.contains("layer 11, head 3: 0.250000 (mean of 4)"), "{svg}");
    }

    #[test]
    fn many_heads_have_no_numbers_and_a_cell_without_value_no_colour() {
        let svg = map(&of(25, Some(0.31)), "t");
        assert!(!svg.contains(">0.31<"));
        let svg = map(&of(3, None), "t");
        assert_eq!(svg.matches("class=\"empty\"").count(), 6);
        assert_eq!(svg.matches("class=\"tile\"").count(), BAR_STEPS as usize);
    }

    #[test]
    fn small_divergences_fill_the_scale() {
        assert!((scale_end(&of(2, Some(0.04))) - 0.05).abs() < 1e-12);
        assert!((scale_end(&of(2, Some(0.7))) - 1.0).abs() < 1e-12);
        let sink = HeadMap { what: HeadMeasure::Sink, ..of(2, Some(0.04)) };
        assert!((scale_end(&sink) - 1.0).abs() < 1e-12);
    }
}

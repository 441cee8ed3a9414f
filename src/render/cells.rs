//! A grid of coloured cells with names at its rows and columns, for shares from 0 to 1.

use super::colour::Scale;
use super::svg::{Anchor, Area, Svg, fit, text_width};

const SIZE: f64 = 11.0;
const ROW: f64 = 25.0;
/// Widest name of a row, longest of a column.
const LABEL: f64 = 110.0;

/// One cell.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Cell {
    /// `None` leaves it without a colour.
    pub(super) value: Option<f64>,
    pub(super) text: String,
    /// What shows when the pointer rests on it.
    pub(super) hint: String,
}

/// The picture; `cells` are row after row, each `width` wide.
pub(super) fn cells(
    title: &str,
    rows: &[String],
    columns: &[String],
    width: f64,
    cells: &[Cell],
) -> String {
    let widest =
        |names: &[String]| names.iter().map(|n| text_width(n, SIZE)).fold(0.0, f64::max).min(LABEL);
    let left = widest(rows) + 10.0;
    let below = rows.len() as f64 * ROW + 1.0;
    let turned = widest(columns) * 0.72 + 18.0;
    let mut svg =
        Svg::new("cells", left + columns.len() as f64 * width + 8.0, below + turned, title);
    for (i, cell) in cells.iter().enumerate() {
        let (row, column) = (i / columns.len().max(1), i % columns.len().max(1));
        let area =
            Area { x: left + column as f64 * width, y: row as f64 * ROW + 1.0, width, height: ROW };
        draw(&mut svg, cell, area);
    }
    for (row, name) in rows.iter().enumerate() {
        let y = (row as f64 + 0.5) * ROW + 5.0;
        svg.text("ink label", (left - 6.0, y), Anchor::End, &fit(name, SIZE, LABEL), "");
    }
    for (column, name) in columns.iter().enumerate() {
        let (x, y) = (left + (column as f64 + 0.5) * width + 3.0, below + 12.0);
        let turn = format!("transform=\"rotate(-45 {x:.2} {y:.2})\"");
        svg.text("ink label", (x, y), Anchor::End, &fit(name, SIZE, LABEL), &turn);
    }
    svg.finish()
}

fn draw(svg: &mut Svg, cell: &Cell, area: Area) {
    let middle = (area.x + area.width / 2.0, area.y + area.height / 2.0 + 4.0);
    svg.open(&cell.hint);
    match cell.value {
        None => {
            svg.rect("empty", area, "");
            svg.text("ink num", middle, Anchor::Middle, &cell.text, "");
        }
        Some(value) => {
            let ground = Scale::Cividis.at(value, 0.0, 1.0);
            svg.rect("tile", area, &format!("fill=\"{}\"", ground.hex()));
            let ink = format!("fill=\"{}\"", ground.ink());
            svg.text("num", middle, Anchor::Middle, &cell.text, &ink);
        }
    }
    svg.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_stands_in_its_row_and_column_and_one_without_a_value_has_no_colour() {
        let names = |all: [&str; 2]| all.map(str::to_owned).to_vec();
        let cell =
            |value, text: &str| Cell { value, text: text.to_owned(), hint: format!("h {text}") };
        let all =
            [cell(Some(0.0), "a"), cell(Some(1.0), "b"), cell(None, "–"), cell(Some(0.5), "d")];
        let svg = cells("t", &names(["r", "s"]), &names(["c", "d"]), 40.0, &all);
        assert_eq!(svg.matches("class=\"tile\"").count(), 3);
        assert_eq!(svg.matches("class=\"empty\"").count(), 1);
        assert!(svg.contains("y=\"26\" width=\"40\""), "{svg}");
        assert!(svg.contains("<title>h b</title>"), "{svg}");
    }
}

//! The page of `aqlens compare`: what differs between runs on top, their curves over each other below.

use minijinja::Value;
use serde::Serialize;

use super::overlay::{Across, Dot, Overlay, class};
use super::tables::{Grid, Number, Row};
use super::templates::Templates;
use crate::prompt::visible_lines;

/// What the page says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// What the runs are called, the base first.
    pub labels: Vec<String>,
    /// All of it in one sentence.
    pub conclusion: String,
    /// A row for each run: its label, then the other cells.
    pub runs: Plain,
    /// Each later run with the base.
    pub pairs: Vec<Pair>,
    /// A row for each verdict and run.
    pub verdicts: Plain,
    /// What the columns of the verdicts are.
    pub legend: String,
    /// Curves by scenario.
    pub scenarios: Vec<Scenario>,
    /// Scenarios that have no pictures here.
    pub more_scenarios: usize,
}

/// A table of texts: the first `words` cells of a row are words, the others numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plain {
    /// Its header.
    pub head: Vec<String>,
    /// How many cells of a row are words.
    pub words: usize,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
}

/// A run compared with the base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pair {
    /// `b compared with a`
    pub title: String,
    /// Where the numbers come from, what was asked, and what else to know: sentences.
    pub lineage: Vec<String>,
    /// Rows of each table.
    pub tables: Plain,
    /// What changed in them, and what was not compared: sentences.
    pub changes: Vec<String>,
}

/// The curves of a scenario.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Charts that belong together.
    pub groups: Vec<Group>,
}

/// Charts of one column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Group {
    /// What it measures.
    pub title: String,
    /// How to read it.
    pub note: String,
    /// Its charts.
    pub charts: Vec<Chart>,
}

/// One chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What stands above it.
    pub caption: String,
    /// What the upright axis measures.
    pub name: String,
    /// What the horizontal axis is.
    pub across: Across,
    /// The dots of each run.
    pub lines: Vec<Vec<Dot>>,
}

#[derive(Serialize)]
struct View<'a> {
    title: String,
    conclusion: &'a str,
    runs: Value,
    pairs: Vec<PairView<'a>>,
    verdicts: Value,
    has_verdicts: bool,
    legend: &'a str,
    key: Vec<KeyView<'a>>,
    scenarios: Vec<ScenarioView<'a>>,
    more_scenarios: usize,
}

#[derive(Serialize)]
struct PairView<'a> {
    title: &'a str,
    lineage: &'a [String],
    has_tables: bool,
    tables: Value,
    changes: &'a [String],
}

/// A run's colour and name.
#[derive(Serialize)]
struct KeyView<'a> {
    class: String,
    name: &'a str,
}

#[derive(Serialize)]
struct ScenarioView<'a> {
    name: &'a str,
    groups: Vec<GroupView<'a>>,
}

#[derive(Serialize)]
struct GroupView<'a> {
    title: &'a str,
    note: &'a str,
    figures: Vec<FigureView<'a>>,
}

#[derive(Serialize)]
struct FigureView<'a> {
    caption: &'a str,
    svg: String,
}

/// The page as one HTML file that opens offline and asks for nothing.
pub fn comparison(page: &Comparison) -> String {
    let pages = Templates::new();
    let table = |plain: &Plain| pages.table(&grid(plain));
    let key = page.labels.iter().enumerate();
    let view = View {
        title: format!("{} compared", page.labels.join(", ")),
        conclusion: &page.conclusion,
        runs: table(&page.runs),
        pairs: page
            .pairs
            .iter()
            .map(|pair| PairView {
                title: &pair.title,
                lineage: &pair.lineage,
                has_tables: !pair.tables.rows.is_empty(),
                tables: table(&pair.tables),
                changes: &pair.changes,
            })
            .collect(),
        verdicts: table(&page.verdicts),
        has_verdicts: !page.verdicts.rows.is_empty(),
        legend: &page.legend,
        key: key.map(|(run, name)| KeyView { class: class(run), name }).collect(),
        scenarios: page.scenarios.iter().map(scenario).collect(),
        more_scenarios: page.more_scenarios,
    };
    visible_lines(&pages.fill("comparison.html", &view))
}

fn scenario(own: &Scenario) -> ScenarioView<'_> {
    let figure = |chart: &Chart| {
        let title = format!("{}: {}", own.name, chart.caption);
        let Chart { name, across, lines, .. } = chart;
        Overlay { title: &title, name, across, lines }.draw()
    };
    let groups = own.groups.iter().map(|group| GroupView {
        title: &group.title,
        note: &group.note,
        figures: group
            .charts
            .iter()
            .map(|chart| FigureView { caption: &chart.caption, svg: figure(chart) })
            .collect(),
    });
    ScenarioView { name: &own.name, groups: groups.collect() }
}

fn grid(plain: &Plain) -> Grid {
    let mut grid = Grid::new(String::new(), &[], "aqlens compare --json");
    grid.head.clone_from(&plain.head);
    grid.rows = plain
        .rows
        .iter()
        .map(|row| {
            let (words, numbers) = row.split_at(plain.words.min(row.len()));
            let numbers = numbers.iter().map(|text| Number::plain(text.clone())).collect();
            Row { words: words.to_vec(), numbers, ..Row::default() }
        })
        .collect();
    grid.cut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_its_lines_and_lets_no_name_out() {
        let dot = |x: f64| Dot { x, value: 0.5, ends: None, hint: "<script>".to_owned() };
        let chart = Chart {
            caption: "c<script>".to_owned(),
            name: "n".to_owned(),
            across: Across::Layers,
            lines: vec![vec![dot(0.0), dot(1.0)], vec![dot(0.0)]],
        };
        let group = Group { title: "g".to_owned(), note: String::new(), charts: vec![chart] };
        let evil = || "<script>alert(1)</script>".to_owned();
        let page = Comparison {
            labels: vec!["a".to_owned(), evil()],
            conclusion: evil(),
            runs: Plain { head: vec![evil()], words: 1, rows: vec![vec![evil(), evil()]] },
            pairs: vec![Pair { title: evil(), lineage: vec![evil()], ..Pair::default() }],
            scenarios: vec![Scenario { name: evil(), groups: vec![group] }],
            ..Comparison::default()
        };
        let html = comparison(&page);
        assert!(!html.contains("<script"), "{html}");
        assert_eq!(html.matches("<polyline").count(), 1);
        assert!(html.contains("run-1"), "the key has a colour for each run");
    }
}

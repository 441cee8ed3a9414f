//! The page: a template that escapes everything except the pictures, which escape their own texts.

use minijinja::Value;
use serde::Serialize;

use super::answer::{Answer, answer};
use super::page::{CurvePoint, Input, Page, Prompt, Scenario, Token};
use super::sections;
use super::sections::Section;
use super::svg::number;
use super::tables;
use super::templates::Templates;
use super::token::{ends_line, visible};
use super::{bars, curve, heatmap, others, verdict};
use crate::prompt::visible_lines;

/// Up to this many scenarios, the page begins with the panels of their verdicts; with more, it
/// begins with a table of contents, and each panel stands in its scenario's section.
const MOST_PANELS: usize = 10;

#[derive(Serialize)]
struct View<'a> {
    name: &'a str,
    /// Whether there is an answer at all.
    is_answered: bool,
    /// Whether some verdict rests on evidence, and whether the notebook's test was made.
    has_evidence: bool,
    has_notebook: bool,
    /// The verdicts' panels that stand at the top.
    panels: Vec<Value>,
    scenarios: Vec<ScenarioView<'a>>,
    /// How many scenarios have no section, and the table of them.
    n_others: usize,
    others: Value,
    rule: Vec<(String, &'static str)>,
    judged: Option<&'a str>,
    lineage: &'a [(String, String)],
    tables: &'a [String],
    colour_bar: String,
}

#[derive(Serialize)]
struct ScenarioView<'a> {
    id: String,
    name: &'a str,
    tasks: &'a [String],
    n_inputs: u64,
    answer: Option<Answer>,
    /// The panel of its verdicts, where it does not stand at the top.
    panel: Option<Value>,
    /// The layer that the notebook's test looks at, when it was made.
    judged_layer: Option<i16>,
    findings: &'a [String],
    sections: Vec<Value>,
    heatmaps: Vec<HeatmapView>,
    too_many_tasks: bool,
    numbers_in_cells: bool,
    similarity: Value,
    curve: Option<String>,
    divergence: Value,
    explained: Option<Value>,
    overlap: Option<Value>,
    inputs: Vec<InputView<'a>>,
    more_inputs: u64,
}

#[derive(Serialize)]
struct HeatmapView {
    layer: i16,
    svg: String,
}

#[derive(Serialize)]
struct InputView<'a> {
    id: String,
    name: &'a str,
    similarity: Option<HeatmapView>,
    overlap: Option<Value>,
    prompts: Vec<PromptView<'a>>,
    focus_layer: Option<i16>,
    heaviest: String,
    whole: bool,
    broken_characters: bool,
    focus: Option<Value>,
    bars_end: String,
    next: Option<Value>,
    sections: Vec<Value>,
}

#[derive(Serialize)]
struct SectionView<'a> {
    section: &'a Section,
    tables: Vec<Value>,
}

#[derive(Serialize)]
struct PromptView<'a> {
    task: &'a str,
    not_run: Option<&'a str>,
    tokens: Vec<TokenView>,
    bars: Option<String>,
}

#[derive(Serialize)]
struct TokenView {
    text: String,
    hint: String,
    rank: Option<i16>,
    /// Strength of its ground, 0..1.
    shade: Option<String>,
    /// Whether the line ends here; the prompt is broken where its text is.
    ends_line: bool,
}

/// The report as one HTML file.
pub fn report(page: &Page) -> String {
    let pages = Templates::new();
    let are_many = page.scenarios.len() > MOST_PANELS;
    let mut panels = Vec::new();
    let mut scenarios = Vec::new();
    for (index, scenario) in page.scenarios.iter().enumerate() {
        let mut view = pages.scenario(index, scenario);
        let link = if are_many { String::new() } else { format!("#{}", view.id) };
        let panel = pages.verdict(scenario, link);
        if are_many {
            view.panel = panel;
        } else {
            panels.extend(panel);
        }
        scenarios.push(view);
    }
    let view = View {
        name: &page.name,
        is_answered: scenarios.iter().any(|scenario| scenario.answer.is_some()),
        has_evidence: page.scenarios.iter().any(|scenario| !scenario.judgements.is_empty()),
        has_notebook: page.scenarios.iter().any(|scenario| scenario.verdict.is_some()),
        panels,
        scenarios,
        n_others: page.others.len(),
        others: pages.table(&others::grid(page)),
        rule: page.rule.iter().map(|(word, when)| (word.replace('_', " "), *when)).collect(),
        judged: page.judged.as_deref(),
        lineage: &page.lineage,
        tables: &page.tables,
        colour_bar: heatmap::colour_bar(),
    };
    // Once more over the whole page: a name may hold a character that turns the text after it.
    visible_lines(&pages.fill("report.html", &view))
}

impl Templates {
    fn section(&self, section: &Section) -> Value {
        let tables = section.grids.iter().map(|grid| self.table(grid)).collect();
        Value::from_safe_string(self.fill("section.html", &SectionView { section, tables }))
    }

    fn verdict(&self, scenario: &Scenario, link: String) -> Option<Value> {
        let panel = verdict::panel(scenario, link)?;
        Some(Value::from_safe_string(self.fill("verdict.html", &panel)))
    }

    fn scenario<'a>(&self, index: usize, scenario: &'a Scenario) -> ScenarioView<'a> {
        let tasks = &scenario.tasks;
        let id = format!("scenario-{}", index + 1);
        let too_many_tasks = tasks.len() > heatmap::MOST_DRAWN;
        let drawn = if too_many_tasks || tasks.len() < 2 { &[] } else { &*scenario.matrices };
        let heatmaps = drawn.iter().map(|matrix| {
            let title = format!("{}: similarity of tasks at layer {}", scenario.name, matrix.layer);
            HeatmapView { layer: matrix.layer, svg: heatmap::heatmap(tasks, matrix, &title) }
        });
        let inputs = scenario.inputs.iter().enumerate();
        ScenarioView {
            name: &scenario.name,
            tasks,
            n_inputs: scenario.n_inputs,
            answer: answer(scenario),
            panel: None,
            judged_layer: scenario.verdict.as_ref().map(|verdict| verdict.layer),
            findings: &scenario.findings,
            sections: sections::of_scenario(scenario).iter().map(|s| self.section(s)).collect(),
            heatmaps: heatmaps.collect(),
            too_many_tasks,
            numbers_in_cells: tasks.len() <= heatmap::MOST_WITH_NUMBERS,
            similarity: self.table(&tables::similarity(scenario)),
            curve: curve_of(scenario),
            divergence: self.table(&tables::divergence(scenario)),
            explained: sections::of_notebook(scenario).map(|s| self.section(&s)),
            overlap: scenario.overlap.as_ref().map(|o| self.table(&tables::overlap(tasks, o))),
            inputs: inputs.map(|(i, input)| self.input(scenario, &id, i, input)).collect(),
            more_inputs: scenario.n_inputs.saturating_sub(scenario.inputs.len() as u64),
            id,
        }
    }

    fn input<'a>(
        &self,
        scenario: &'a Scenario,
        section: &str,
        index: usize,
        input: &'a Input,
    ) -> InputView<'a> {
        let tasks = &scenario.tasks;
        // With one input, its own matrix and overlap are those of the scenario.
        let several = scenario.n_inputs > 1 && tasks.len() > 1;
        let matrix = input.similarity.as_ref().filter(|_| several);
        let matrix = matrix.filter(|_| tasks.len() <= heatmap::MOST_DRAWN);
        let title =
            |m: i16| format!("{}: similarity of tasks at layer {m} for this input", input.id);
        let all = || input.prompts.iter().flat_map(|p| &p.tokens);
        let heaviest = all().filter_map(|t| t.weight).fold(0.0, f64::max);
        let probabilities = input.prompts.iter().flat_map(|p| &p.next).map(|n| n.probability);
        let bars_end = bars::axis_end(probabilities.fold(0.0, f64::max));
        let any = |has: &dyn Fn(&Prompt) -> bool| input.prompts.iter().any(has);
        InputView {
            id: format!("{section}-input-{}", index + 1),
            name: &input.id,
            similarity: matrix.map(|m| HeatmapView {
                layer: m.layer,
                svg: heatmap::heatmap(tasks, m, &title(m.layer)),
            }),
            overlap: input
                .overlap
                .as_ref()
                .filter(|_| several)
                .map(|o| self.table(&tables::overlap(tasks, o))),
            focus_layer: input.prompts.iter().find_map(|p| p.focus_layer),
            heaviest: format!("{heaviest:.3}"),
            whole: input.prompts.iter().all(|p| p.whole || p.tokens.is_empty()),
            broken_characters: all().any(|t| t.text.contains('\u{fffd}')),
            focus: any(&|p| !p.focus.is_empty()).then(|| self.table(&tables::focus(input))),
            next: any(&|p| !p.next.is_empty()).then(|| self.table(&tables::next_tokens(input))),
            prompts: input.prompts.iter().map(|p| prompt(p, heaviest, bars_end)).collect(),
            sections: sections::of_input(tasks, input).iter().map(|s| self.section(s)).collect(),
            bars_end: bars_end.to_string(),
        }
    }
}

fn curve_of(scenario: &Scenario) -> Option<String> {
    let has_mean = |p: &CurvePoint| p.mean.is_some();
    let title = format!("{}: mean similarity over the layers", scenario.name);
    let points = &scenario.curve;
    points.iter().any(has_mean).then(|| curve::curve(points, scenario.verdict.as_ref(), &title))
}

fn prompt(prompt: &Prompt, heaviest: f64, bars_end: f64) -> PromptView<'_> {
    let title = format!("{}: most probable next tokens", prompt.task);
    PromptView {
        task: &prompt.task,
        not_run: prompt.not_run.as_deref(),
        tokens: tokens(&prompt.tokens, prompt.whole, heaviest),
        bars: (!prompt.next.is_empty()).then(|| bars::bars(&prompt.next, bars_end, &title)),
    }
}

fn tokens(tokens: &[Token], whole: bool, heaviest: f64) -> Vec<TokenView> {
    let view = |(i, token): (usize, &Token)| {
        let next_ends_line = tokens.get(i + 1).is_some_and(|next| next.text.starts_with('\n'));
        let weight = token.weight.map_or_else(String::new, |w| format!(", weight {w:.6}"));
        let rank = token.rank.map_or_else(String::new, |r| format!(", rank {r}"));
        TokenView {
            text: visible(&token.text),
            hint: format!("position {}{weight}{rank}", token.position),
            rank: token.rank,
            shade: token.weight.map(|w| shade(w, heaviest)),
            ends_line: whole && ends_line(&token.text) && !next_ends_line,
        }
    };
    tokens.iter().enumerate().map(view).collect()
}

/// Strength of a token's ground: the square root of its share of the heaviest weight, because one
/// token (often the first) takes most of the attention and would leave all others blank.
fn shade(weight: f64, heaviest: f64) -> String {
    let share = if heaviest > 0.0 { (weight / heaviest).clamp(0.0, 1.0) } else { 0.0 };
    number(share.sqrt())
}

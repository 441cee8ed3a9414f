//! What the design of each scenario can decide, before anything is run: the verdict asks the same.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde::{Serialize, Serializer};
use serde_json::json;

use super::grid::MOST_LISTED;
use crate::model::{Encoded, ModelError, Tokenizer};
use crate::pipeline::plan::{Plan, PlanError};
use crate::pipeline::{Pipeline, Scenario};
use crate::prompt::{Prompt, alike, visible};
use crate::stage::feasible::Feasible;
use crate::stage::read::wordings::{Wording, Wordings};
use crate::stages::StageConfig;
use crate::yaml::{Warning, quote};

/// Scenarios that are shown to people, those that cannot decide first.
const SHOWN: usize = 5;

/// Tasks whose wordings are counted one by one for people.
const TASKS: usize = 6;

/// The designs of all scenarios; none where no stage compares tasks with wordings.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Designs(Vec<Design>);

/// One scenario's.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Design {
    scenario: String,
    /// Which one it is in the file, from 0.
    #[serde(skip)]
    place: usize,
    inputs: u64,
    /// Of inputs; those of one text or one value of the column `cluster` count once.
    clusters: u64,
    /// Distinct wordings of each task.
    wordings: Vec<usize>,
    /// In how many ways they can be dealt out to the tasks; `None` when there are too many to count.
    ways: Option<u64>,
    smallest_p: f64,
    /// The controls that the tasks have.
    controls: Vec<&'static str>,
    /// Tasks that have the same wordings, each with the first of its kind.
    same_tasks: Vec<[String; 2]>,
    /// Why it cannot decide, and what to add.
    obstacle: Option<String>,
    /// What to know of the wordings' form.
    form: String,
}

impl Serialize for Designs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let listed = &self.0[..self.0.len().min(MOST_LISTED)];
        let more = self.0.len() - listed.len();
        json!({ "listed": listed, "more": more }).serialize(serializer)
    }
}

impl Designs {
    pub(super) fn of(
        pipeline: &Pipeline,
        plan: &Plan<'_>,
        tokenizer: &Tokenizer,
    ) -> Result<Self, PlanError> {
        let compares = |stage: &StageConfig| matches!(stage, StageConfig::Effect(_));
        if !pipeline.stage_configs.iter().any(compares) {
            return Ok(Self::default());
        }
        let scenarios = pipeline.scenarios.iter().zip(plan.first_wordings());
        let of = |(i, (scenario, prompts)): (usize, (&Scenario, Result<Vec<Prompt>, _>))| {
            let design = Design::of(scenario, &prompts?, tokenizer)?;
            Ok::<_, PlanError>(Design { place: i / pipeline.forms.len(), ..design })
        };
        Ok(Self(scenarios.enumerate().map(of).collect::<Result<_, _>>()?))
    }

    /// One for what cannot decide, one for form: the first in words, the others counted.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let of = |what: &dyn Fn(&Design) -> Option<String>| {
            let mut all = self.0.iter().filter_map(|own| Some((own, what(own)?)));
            let (design, says) = all.next()?;
            let more = match all.count() {
                0 => String::new(),
                n => format!(" (and {n} more like it)"),
            };
            let message = format!("scenario {}{says}{more}", quote(&design.scenario));
            Some(Warning { place: None, at: Some(format!("scenarios[{}]", design.place)), message })
        };
        let cannot = of(&|own| Some(format!(" cannot decide: {}", own.obstacle.as_ref()?)));
        let form = |own: &Design| (!own.form.is_empty()).then(|| format!(": {}", own.form));
        cannot.into_iter().chain(of(&form)).collect()
    }

    /// For people.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let (cannot, can): (Vec<&Design>, Vec<&Design>) =
            self.0.iter().partition(|design| design.obstacle.is_some());
        let all = cannot.iter().chain(&can).take(SHOWN);
        let labels = std::iter::once("design").chain(std::iter::repeat(""));
        for (design, label) in all.zip(labels) {
            design.write(label, out)?;
        }
        let more = self.0.len().saturating_sub(SHOWN);
        let which = match cannot.len() {
            0 => "which all can decide".to_owned(),
            n => format!("of all {} {n} cannot decide", self.0.len()),
        };
        match more {
            0 => Ok(()),
            1 => writeln!(out, "          and 1 more scenario, {which}"),
            n => writeln!(out, "          and {n} more scenarios, {which}; --json lists them"),
        }
    }
}

impl Design {
    fn of(
        scenario: &Scenario,
        prompts: &[Prompt],
        tokenizer: &Tokenizer,
    ) -> Result<Self, ModelError> {
        let wordings = wordings(prompts, tokenizer)?;
        let inputs = scenario.inputs.len();
        let clusters = scenario.inputs.survey().clusters;
        let feasible = Feasible { clusters, inputs, wordings: wordings.sizes() };
        let controls = [
            ("neutral", scenario.controls.neutral.is_some()),
            ("scrambled", scenario.controls.scrambled),
            ("other_input", scenario.controls.other_input),
        ];
        Ok(Self {
            scenario: scenario.name.clone(),
            place: 0,
            inputs,
            clusters,
            ways: feasible.ways(),
            smallest_p: feasible.smallest_p(),
            controls: controls.into_iter().filter(|own| own.1).map(|own| own.0).collect(),
            same_tasks: same_tasks(scenario),
            obstacle: feasible.obstacle(),
            form: wordings.warning(),
            wordings: feasible.wordings,
        })
    }

    fn write(&self, label: &str, out: &mut impl Write) -> io::Result<()> {
        let s = |n: u64| if n == 1 { "" } else { "s" };
        let Self { inputs, clusters, .. } = self;
        let of_clusters = if inputs == clusters {
            String::new()
        } else {
            format!(" in {clusters} cluster{}", s(*clusters))
        };
        let ways = match self.ways {
            None => "more ways than can be counted".to_owned(),
            Some(n) => format!("{n} way{}", s(n)),
        };
        let controls = match self.controls.as_slice() {
            [] => "no controls".to_owned(),
            some => format!("controls {}", some.join(", ")),
        };
        writeln!(
            out,
            "{label:<10}{}: {inputs} input{}{of_clusters}; {}, dealt out in {ways}, smallest p {}; {controls}",
            visible(&self.scenario),
            s(*inputs),
            self.tasks(),
            p(self.smallest_p)
        )?;
        if let Some(obstacle) = &self.obstacle {
            writeln!(out, "          cannot decide: {}", visible(obstacle))?;
        }
        if let Some([first, other]) = self.same_tasks.first() {
            let more = match self.same_tasks.len() {
                1 => String::new(),
                n => format!(" (and so have {} more tasks)", n - 1),
            };
            writeln!(
                out,
                "          tasks {} and {} have the same wordings: they cannot differ{more}",
                quote(first),
                quote(other)
            )?;
        }
        if !self.controls.contains(&"other_input") && self.obstacle.is_none() {
            writeln!(
                out,
                "          without control other_input sizes are in each measure's own unit, and what is \
                 small must be named (`smallest` of stage summary)"
            )?;
        }
        Ok(())
    }

    /// The tasks and how many distinct wordings each has.
    fn tasks(&self) -> String {
        let counts: BTreeSet<usize> = self.wordings.iter().copied().collect();
        let tasks = self.wordings.len();
        let noun = if tasks == 1 { "task" } else { "tasks" };
        match (counts.first(), counts.last()) {
            (Some(1), Some(1)) => format!("{tasks} {noun} of 1 distinct wording"),
            (Some(least), Some(most)) if least == most => {
                format!("{tasks} {noun} of {least} distinct wordings")
            }
            (Some(least), Some(most)) if tasks > TASKS => {
                format!("{tasks} {noun} of {least} to {most} distinct wordings")
            }
            _ => {
                let all: Vec<String> = self.wordings.iter().map(ToString::to_string).collect();
                format!("{tasks} {noun} of {} distinct wordings", all.join(", "))
            }
        }
    }
}

/// A p that can be read: two digits.
pub(super) fn p(p: f64) -> String {
    match p {
        _ if p < 1e-4 => "below 0.0001".to_owned(),
        _ if p < 0.01 => format!("{p:.4}"),
        _ => format!("{p:.3}"),
    }
}

/// The wordings as the run's stages will see them, in the first input's prompts; those of a prompt that
/// is too long for the tokenizer have no tokens.
fn wordings(prompts: &[Prompt], tokenizer: &Tokenizer) -> Result<Wordings, ModelError> {
    let mut wordings = Vec::new();
    for prompt in prompts {
        let Encoded { ids, segments, .. } = match tokenizer.too_long(&prompt.text) {
            None => tokenizer.encode_prompt(prompt)?,
            Some(_) => Encoded::default(),
        };
        wordings.push(Wording::new(&prompt.key.task, &prompt.text, &ids, &segments));
    }
    Ok(Wordings::of(wordings))
}

/// Tasks that are worded as an earlier one is, blanks and case aside, each behind that one.
fn same_tasks(scenario: &Scenario) -> Vec<[String; 2]> {
    let mut known: BTreeMap<BTreeSet<String>, &str> = BTreeMap::new();
    let mut same = Vec::new();
    for task in &scenario.tasks {
        let texts = task.wordings.iter().map(|text| alike(text)).collect();
        match known.get(&texts) {
            Some(first) => same.push([(*first).to_owned(), task.id.clone()]),
            None => {
                known.insert(texts, &task.id);
            }
        }
    }
    same
}

#[cfg(test)]
mod tests {
    use super::*;

    fn design(scenario: &str, clusters: u64, wordings: &[usize]) -> Design {
        let feasible = Feasible { clusters, inputs: 40, wordings: wordings.to_vec() };
        Design {
            place: 0,
            scenario: scenario.to_owned(),
            inputs: 40,
            clusters,
            wordings: wordings.to_vec(),
            ways: feasible.ways(),
            smallest_p: feasible.smallest_p(),
            controls: vec!["other_input"],
            same_tasks: Vec::new(),
            obstacle: feasible.obstacle(),
            form: String::new(),
        }
    }

    fn lines(designs: &Designs) -> Vec<String> {
        let mut out = Vec::new();
        designs.write(&mut out).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_design_is_one_line_and_what_it_lacks_another() {
        let lines = lines(&Designs(vec![design("a", 40, &[3, 5]), design("b", 1, &[2; 7])]));
        assert_eq!(lines.len(), 3, "{lines:#?}");
        // What cannot decide comes first.
        assert!(lines[0].starts_with("design    b: 40 inputs in 1 cluster; 7 tasks of 2 distinct"));
        assert!(lines[1].starts_with("          cannot decide: 1 independent input (40 inputs"));
        let a = "          a: 40 inputs; 2 tasks of 3, 5 distinct wordings, dealt out in 56 ways, smallest \
                 p 0.018; controls other_input";
        assert_eq!(lines[2], a);
    }

    #[test]
    fn thousands_of_scenarios_take_a_few_lines_and_two_warnings() {
        let of = |i: usize| {
            design(&format!("s{i}"), 40, if i.is_multiple_of(2) { &[4, 4] } else { &[2, 2] })
        };
        let mut designs = Designs((0..3000).map(of).collect());
        designs.0[7].form = "a form".to_owned();
        let lines = lines(&designs);
        assert_eq!(lines.len(), 2 * SHOWN + 1, "{lines:#?}");
        let last = "and 2995 more scenarios, of all 3000 1500 cannot decide; --json lists them";
        assert!(lines[2 * SHOWN].ends_with(last), "{lines:#?}");
        let warnings = designs.warnings();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].message.starts_with("scenario \"s1\" cannot decide: the wordings can"));
        assert!(warnings[0].message.ends_with("(and 1499 more like it)"));
        let object = json!(designs);
        assert_eq!(
            (object["listed"].as_array().unwrap().len(), &object["more"]),
            (1000, &2000.into())
        );
    }
}

//! What the stages that exchange the input's reading cannot do with a design, before anything is run.

use crate::pipeline::plan::{Plan, PlanError};
use crate::pipeline::{Pipeline, Scenario};
use crate::prompt::Prompt;
use crate::stage::feasible::LEAST_CLUSTERS;
use crate::stages::StageConfig;
use crate::yaml::{Warning, quote};

/// A warning for each kind of obstacle, the first scenario that has it in words and the others counted.
///
/// # Errors
/// When prompts cannot be laid out.
pub(super) fn warnings(pipeline: &Pipeline, plan: &Plan<'_>) -> Result<Vec<Warning>, PlanError> {
    let asks = |stage: &StageConfig| matches!(stage, StageConfig::Use(_));
    if !pipeline.stage_configs.iter().any(asks) {
        return Ok(Vec::new());
    }
    let mut found: Vec<(Obstacle, usize, String, usize)> = Vec::new();
    for (i, (scenario, prompts)) in pipeline.scenarios.iter().zip(plan.first_wordings()).enumerate()
    {
        for obstacle in obstacles(scenario, &prompts?) {
            if let Some((.., more)) = found.iter_mut().find(|(known, ..)| *known == obstacle) {
                *more += 1;
            } else {
                let place = i / pipeline.forms.len();
                found.push((obstacle, place, scenario.name.clone(), 0));
            }
        }
    }
    let warning = |(obstacle, place, scenario, more): (Obstacle, usize, String, usize)| {
        let more = if more > 0 { format!(" (and {more} more like it)") } else { String::new() };
        let message = format!("scenario {} {}{more}", quote(&scenario), obstacle.words());
        Warning { place: None, at: Some(format!("scenarios[{place}]")), message }
    };
    Ok(found.into_iter().map(warning).collect())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    InputFirst,
    NoRest,
    NoNeutral,
    FewInputs,
}

impl Obstacle {
    fn words(self) -> &'static str {
        match self {
            Self::InputFirst => {
                "cannot say what is used: the input stands in front of the task, so it is read the same under every \
                 task; put {task} before {input} in the template"
            }
            Self::NoRest => {
                "cannot say what is used: the prompt ends with the input, so nothing behind it could read another \
                 reading; put something behind {input} in the template, as \"\\n\\nAnswer:\""
            }
            Self::NoNeutral => {
                "cannot say of a task that its reading is not used, nor that it is necessary: it has no neutral prefix; \
                 add `controls: { neutral: auto }`"
            }
            Self::FewInputs => {
                "cannot say what is used: it has fewer than 5 independent inputs; add inputs with other texts"
            }
        }
    }
}

fn obstacles(scenario: &Scenario, prompts: &[Prompt]) -> Vec<Obstacle> {
    let all = |is: &dyn Fn(&Prompt) -> bool| !prompts.is_empty() && prompts.iter().all(is);
    let is_first =
        |prompt: &Prompt| prompt.task_spans.iter().all(|task| task.start >= prompt.input_span.end);
    let ends = |prompt: &Prompt| prompt.input_span.end >= prompt.text.len();
    [
        (Obstacle::InputFirst, all(&is_first)),
        (Obstacle::NoRest, all(&ends)),
        (Obstacle::NoNeutral, scenario.controls.neutral.is_none()),
        (Obstacle::FewInputs, scenario.inputs.survey().clusters < LEAST_CLUSTERS),
    ]
    .into_iter()
    .filter_map(|(obstacle, is_there)| is_there.then_some(obstacle))
    .collect()
}

//! Examples of tasks that are inputs too: a warning for each such task.

use std::collections::BTreeMap;

use crate::pipeline::{Scenario, Task};
use crate::prompt::alike;
use crate::yaml::{Path, Warnings, quote};

/// Warns of tasks by example whose examples the scenario also has as inputs, blanks and case aside: such a
/// prompt has the input's answer in it.
pub(super) fn examples(scenario: &Scenario, at: &Path, warnings: &mut Warnings) {
    let by_example = || scenario.tasks.iter().filter(|task| task.examples.is_some());
    // For each text of an example the input with it.
    let mut texts: BTreeMap<String, Option<String>> =
        by_example().flat_map(texts_of).map(|text| (text, None)).collect();
    if texts.is_empty() {
        return;
    }
    // A file that has changed meanwhile is the plan's to report.
    for input in scenario.inputs.read().map_while(Result::ok) {
        if let Some(found) = texts.get_mut(&alike(&input.text)) {
            found.get_or_insert(input.id);
        }
    }
    for task in by_example() {
        let shown: Vec<&str> = texts_of(task).filter_map(|text| texts[&text].as_deref()).collect();
        let Some(first) = shown.first() else { continue };
        let are = match shown.len() {
            1 => "an example that is an input too".to_owned(),
            n => format!("{n} examples that are inputs too, the first"),
        };
        let what = || {
            format!(
                "task {} of scenario {} has {are}, {}: prompts with that input give its answer away; \
                 take it out of the examples or out of the inputs",
                quote(&task.id),
                quote(&scenario.name),
                quote(first)
            )
        };
        warnings.push(("task", "shown"), &at.key(&task.id).key("examples"), 1, what);
    }
}

/// The texts of a task's examples, as they are compared.
fn texts_of(task: &Task) -> impl Iterator<Item = String> + '_ {
    let examples = task.examples.iter().flat_map(|examples| &examples.list);
    examples.map(|example| alike(&example.input))
}

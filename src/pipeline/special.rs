//! Texts of special tokens inside tasks and inputs: in a chat they would end a message or begin one.

use super::error::PlanError;
use super::form::Form;
use super::{Neutral, Scenario};
use crate::model::Tokenizer;
use crate::yaml::quote;

/// Refuses a chat with such a text, unless its form allows it. Reads the inputs.
///
/// # Errors
/// At the first such text, or when a file of inputs has changed.
pub(super) fn refuse(
    scenario: &Scenario,
    form: &Form,
    tokenizer: &Tokenizer,
) -> Result<(), PlanError> {
    if form.chat().is_none_or(|chat| chat.allows_special_tokens) {
        return Ok(());
    }
    let tokens = tokenizer.special_texts();
    let check = |text: &str, what: &dyn Fn() -> String| {
        let Some(token) = tokens.iter().find(|token| text.contains(token.as_str())) else {
            return Ok(());
        };
        let (scenario, token) = (quote(&scenario.name), quote(token));
        Err(PlanError::SpecialToken { scenario, what: what(), token })
    };
    for task in &scenario.tasks {
        for text in &task.wordings {
            check(text, &|| format!("task {}", quote(&task.id)))?;
        }
    }
    if let Some(Neutral::Texts(texts)) = &scenario.controls.neutral {
        for text in texts {
            check(text, &|| "the neutral control".to_owned())?;
        }
    }
    for input in scenario.inputs.read() {
        let input = input?;
        check(&input.text, &|| format!("input {}", quote(&input.id)))?;
    }
    Ok(())
}

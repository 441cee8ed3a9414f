//! Texts of special tokens inside tasks and inputs. In a chat they would end a message or begin one; in
//! plain text the model reads a token where somebody may have meant characters.

use aho_corasick::AhoCorasick;

use super::error::PlanError;
use super::form::Form;
use super::{Neutral, Scenario};
use crate::model::Tokenizer;
use crate::monitor::Monitor;
use crate::yaml::{Warning, quote};

/// Texts of a scenario with a special token in them.
pub(super) struct Special {
    /// The scenario, quoted.
    scenario: String,
    /// The first of them: which text it is.
    what: String,
    /// The special token in it, quoted.
    token: String,
    /// How many there are.
    texts: u64,
}

impl Special {
    /// Those of a scenario of plain prompts; a chat with such a text is refused, unless its form allows
    /// it. Reads the inputs.
    ///
    /// # Errors
    /// At the first such text of a chat, when a file of inputs has changed, or when the monitor says to
    /// stop.
    pub(super) fn of(
        scenario: &Scenario,
        form: &Form,
        tokenizer: &Tokenizer,
        monitor: &dyn Monitor,
    ) -> Result<Option<Self>, PlanError> {
        let chat = form.chat();
        let tokens = tokenizer.special_texts();
        if tokens.is_empty() || chat.is_some_and(|chat| chat.allows_special_tokens) {
            return Ok(None);
        }
        let searched = AhoCorasick::new(&tokens).expect("a tokenizer's special tokens are few");
        let token_of = |text: &str| searched.find(text).map(|found| &tokens[found.pattern()]);
        let mut found: Option<Self> = None;
        let mut look = |text: &str, what: &dyn Fn() -> String| {
            let Some(token) = token_of(text) else { return Ok(()) };
            if let Some(found) = &mut found {
                found.texts += 1;
                return Ok(());
            }
            let (scenario, what, token) = (quote(&scenario.name), what(), quote(token));
            if chat.is_some() {
                return Err(PlanError::SpecialToken { scenario, what, token });
            }
            found = Some(Self { scenario, what, token, texts: 1 });
            Ok(())
        };
        for task in &scenario.tasks {
            for text in &task.wordings {
                look(text, &|| format!("task {}", quote(&task.id)))?;
            }
        }
        if let Some(Neutral::Texts(texts)) = &scenario.controls.neutral {
            for text in texts {
                look(text, &|| "the neutral control".to_owned())?;
            }
        }
        for input in scenario.inputs.read() {
            if monitor.is_interrupted() {
                return Err(PlanError::Interrupted);
            }
            let input = input?;
            look(&input.text, &|| format!("input {}", quote(&input.id)))?;
        }
        Ok(found)
    }

    /// One line for all scenarios, however many there are.
    pub(super) fn warnings(all: &[Self]) -> Vec<Warning> {
        let Some(Self { scenario, what, token, .. }) = all.first() else { return Vec::new() };
        let more = match all.iter().map(|special| special.texts).sum::<u64>() - 1 {
            0 => String::new(),
            n => format!(" (and {n} more like it)"),
        };
        let message = format!(
            "{what} of scenario {scenario} has {token} in it, which the model reads as a special token and \
             not as these characters; reword it if that is not meant{more}"
        );
        vec![Warning { place: None, at: None, message }]
    }
}

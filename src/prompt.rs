//! What is run through the model: a prompt and the key that names it in every table.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Names one prompt: the columns `scenario, input, task, wording` of every table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromptKey {
    /// The scenario's name.
    pub scenario: Arc<str>,
    /// The input's id within its scenario.
    pub input: Arc<str>,
    /// The task's id within its scenario.
    pub task: Arc<str>,
    /// Which phrasing of the task, 0 = the first.
    pub wording: i16,
}

impl fmt::Display for PromptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.scenario, self.input, self.task)?;
        if self.wording > 0 { write!(f, "#{}", self.wording) } else { Ok(()) }
    }
}

/// One text to run through the model, in the order of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Its name.
    pub key: PromptKey,
    /// The full text: the template with task and input put in.
    pub text: String,
    /// Byte range of the input inside `text`.
    pub input_span: Range<usize>,
}

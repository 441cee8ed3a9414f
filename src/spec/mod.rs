//! The text of a pipeline file: where things stand in it, and what is wrong with it.
//!
//! Validation never stops at the first mistake: it pushes each [`Problem`] and goes on, so one look
//! shows all of them, each with file, line, column and a help line.

use std::fmt;

/// One step from a YAML value to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The value under this key of a mapping.
    Key(String),
    /// The value at this index of a sequence, from 0.
    Index(usize),
}

/// Where a value stands in the pipeline file, from the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The path of the value under `key`.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_owned()));
        Self(steps)
    }

    /// The path of the value at `index`.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Self(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// One mistake in the pipeline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Path,
    /// What is wrong, quoting the value and the rule.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    /// Adds one.
    pub fn push(&mut self, at: &Path, message: impl Into<String>, help: impl Into<String>) {
        self.list.push(Problem { at: at.clone(), message: message.into(), help: help.into() });
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, in the order found.
    pub fn into_vec(self) -> Vec<Problem> {
        self.list
    }
}

//! Mistakes in a pipeline file, collected.

use std::fmt;
use std::ops::Range;

/// One step from a YAML value to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The value under this key of a mapping.
    Key(String),
    /// The value at this index of a sequence, from 0.
    Index(usize),
}

/// Where a value is in the pipeline file, from the root.
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

/// Which part of the value at a path is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Spot {
    /// The value itself.
    #[default]
    Value,
    /// Its key.
    Key,
    /// The key of this entry (from 0) of the mapping at the path: the same key may appear twice.
    Entry(usize),
    /// These bytes of the pipeline file, whatever the path says: for text that has no values yet.
    Text(Range<usize>),
    /// These bytes of the `--set` argument of that number.
    Override(usize, Range<usize>),
}

/// One mistake in the pipeline file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Path,
    /// Which part of it.
    pub spot: Spot,
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
    /// Adds one about the value at a path.
    pub fn push(&mut self, at: &Path, message: impl Into<String>, help: impl Into<String>) {
        self.push_spot(at, Spot::Value, message, help);
    }

    /// Adds one about the key at a path.
    pub fn push_key(&mut self, at: &Path, message: impl Into<String>, help: impl Into<String>) {
        self.push_spot(at, Spot::Key, message, help);
    }

    /// Adds one about any spot.
    pub fn push_spot(
        &mut self,
        at: &Path,
        spot: Spot,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (message, help) = (message.into(), help.into());
        self.list.push(Problem { at: at.clone(), spot, message, help });
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// All of them, in the order found.
    pub fn into_vec(self) -> Vec<Problem> {
        self.list
    }
}

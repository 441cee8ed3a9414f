//! A pipeline file as a tree, before its parts are read as their types.

use super::problem::{Path, Step};

/// Who wrote a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The pipeline file.
    File,
    /// The `--set` of that number.
    Set(usize),
}

/// One value of the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Who wrote it.
    pub origin: Origin,
}

/// What a YAML value can be (core schema of YAML 1.2: `no` and `yes` are text).
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Another number.
    Float(f64),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the file's order; keys as they are written, a key that appears twice
    /// kept twice.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The entries of a mapping.
    pub fn entries(&self) -> Option<&[(String, Self)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The elements of a sequence.
    pub fn elements(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// The text of a text value.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value under a key of a mapping; the first when the key appears twice.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()?.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// The value at a path.
    pub fn at(&self, path: &Path) -> Option<&Self> {
        path.0.iter().try_fold(self, |node, step| match step {
            Step::Key(key) => node.get(key),
            Step::Index(index) => node.elements()?.get(*index),
        })
    }

    /// The value at a path, to be changed.
    pub(super) fn at_mut(&mut self, path: &[Step]) -> Option<&mut Self> {
        path.iter().try_fold(self, |node, step| match (step, &mut node.value) {
            (Step::Key(key), Value::Map(entries)) => {
                entries.iter_mut().find(|(name, _)| name == key).map(|(_, child)| child)
            }
            (Step::Index(index), Value::List(list)) => list.get_mut(*index),
            _ => None,
        })
    }

    /// The same mapping without these keys.
    #[must_use]
    pub fn without(&self, keys: &[&str]) -> Self {
        let value = match &self.value {
            Value::Map(entries) => Value::Map(
                entries.iter().filter(|(key, _)| !keys.contains(&key.as_str())).cloned().collect(),
            ),
            other => other.clone(),
        };
        Self { value, origin: self.origin }
    }

    /// What it is, in words, for messages.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// What it is and, when it is short, the value itself.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Bool(value) => format!("`{value}`"),
            Value::Int(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value}"),
            Value::Text(text) => format!("the text {}", super::quote(text)),
            Value::Null | Value::List(_) | Value::Map(_) => self.kind().to_owned(),
        }
    }

    /// Each step of a path as the number of the child: entry of a mapping or element of a sequence.
    /// Stops where the path leaves the tree.
    pub(super) fn ordinals(&self, path: &[Step]) -> Vec<usize> {
        let mut node = self;
        let mut ordinals = Vec::new();
        for step in path {
            let child = match (step, &node.value) {
                (Step::Key(key), Value::Map(entries)) => {
                    entries.iter().position(|(name, _)| name == key).map(|i| (i, &entries[i].1))
                }
                (Step::Index(i), Value::List(list)) => list.get(*i).map(|child| (*i, child)),
                _ => None,
            };
            let Some((ordinal, child)) = child else { break };
            ordinals.push(ordinal);
            node = child;
        }
        ordinals
    }
}

//! Which versions of aqlens made a run: what one of them made stays recorded as its own.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The version that works now.
pub const THIS_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a version is called that nothing names.
pub const UNKNOWN: &str = "unknown";

/// Kinds of stages, by the version of aqlens that wrote their receipts; a kind is named by each version
/// that did it on some shard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MadeBy(BTreeMap<String, BTreeSet<String>>);

impl MadeBy {
    /// Whether nothing is made yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The kinds of stages that were done; one stands again for each version that did it.
    pub fn stages(&self) -> impl Iterator<Item = &str> {
        self.0.values().flatten().map(String::as_str)
    }

    /// Takes in that a version did a stage.
    pub fn add(&mut self, version: &str, stage: &str) {
        // Asked for each receipt, and nearly always known.
        let stages = match self.0.get_mut(version) {
            Some(stages) => stages,
            None => self.0.entry(version.to_owned()).or_default(),
        };
        if !stages.contains(stage) {
            stages.insert(stage.to_owned());
        }
    }

    /// `0.1.0`, or `0.1.0; effect, similarity by 0.2.0`: first the version that did most kinds of
    /// stages. Empty when nothing is made yet.
    pub fn words(&self) -> String {
        let most = self.0.values().map(BTreeSet::len).max();
        let Some((main, _)) = self.0.iter().find(|(_, stages)| Some(stages.len()) == most) else {
            return String::new();
        };
        let others = self.0.iter().filter(|(version, _)| *version != main);
        others.fold(main.clone(), |words, (version, stages)| {
            let stages: Vec<&str> = stages.iter().map(String::as_str).collect();
            format!("{words}; {} by {version}", stages.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_versions_are_named_that_which_made_most_first() {
        let mut made_by = MadeBy::default();
        assert_eq!(made_by.words(), "");
        for stage in ["extract", "extract", "tokens", "divergence"] {
            made_by.add("0.1.0", stage);
        }
        assert_eq!(made_by.words(), "0.1.0");
        made_by.add("0.2.0", "similarity");
        made_by.add("0.2.0", "effect");
        made_by.add("0.0.9", "extract");
        assert_eq!(made_by.words(), "0.1.0; extract by 0.0.9; effect, similarity by 0.2.0");
        let text = serde_json::to_string(&made_by).unwrap();
        assert_eq!(serde_json::from_str::<MadeBy>(&text).unwrap(), made_by);
    }
}

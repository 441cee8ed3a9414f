//! Setting `smallest`, a number or numbers by measure.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The smallest difference that matters.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum SmallestConfig {
    /// On the scale from 0, as another wording does, to 1, as another input does.
    Relative(f64),
    /// By measure, in the measure's own unit.
    Own(BTreeMap<String, f64>),
}

impl<'de> Deserialize<'de> for SmallestConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Sizes)
    }
}

struct Sizes;

impl<'de> Visitor<'de> for Sizes {
    type Value = SmallestConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a mapping of measures to numbers")
    }

    fn visit_f64<E: Error>(self, size: f64) -> Result<SmallestConfig, E> {
        Ok(SmallestConfig::Relative(size))
    }

    fn visit_u64<E: Error>(self, size: u64) -> Result<SmallestConfig, E> {
        Ok(SmallestConfig::Relative(size as f64))
    }

    fn visit_i64<E: Error>(self, size: i64) -> Result<SmallestConfig, E> {
        Ok(SmallestConfig::Relative(size as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SmallestConfig, A::Error> {
        let mut own = BTreeMap::new();
        while let Some((measure, size)) = map.next_entry()? {
            own.insert(measure, size);
        }
        Ok(SmallestConfig::Own(own))
    }
}

//! From the tree to a typed value, with every mistake in it.

use std::collections::BTreeSet;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer as _, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::fault::{Fault, What};
use super::node::{Node, Value};
use super::problem::{Path, Problems, Step};

/// Reads `node`, which is at `at`, as a `T`; what is wrong with it goes to `problems`.
///
/// A wrong entry is reported and left out, and the rest is read: so all wrong entries of a part are
/// reported at once. The result then has defaults in their place and is only good for finding more
/// problems.
pub fn read<T: DeserializeOwned>(node: &Node, at: &Path, problems: &mut Problems) -> Option<T> {
    let mut node = node.clone();
    let mut left_out: Vec<String> = Vec::new();
    loop {
        let mut fault = match T::deserialize(Reader(&node)) {
            Ok(value) => return Some(value),
            Err(fault) => fault,
        };
        fault.steps.reverse();
        if let What::Missing(field) = fault.what
            && fault.steps.is_empty()
            && left_out.iter().any(|name| name == field)
        {
            return None;
        }
        // A mapping has as many unknown keys as its writer likes: all of them at once, or each
        // would cost one more reading of the whole.
        if let What::Unknown { known, .. } = &fault.what
            && let Some((_, of)) = fault.steps.split_last()
        {
            let unknown = take_unknown(&mut node, of, known);
            if unknown.is_empty() {
                return None;
            }
            for key in unknown {
                let mut steps = of.to_vec();
                steps.push(Step::Key(key.clone()));
                Fault { what: What::Unknown { key, known }, steps }.report(at, problems);
            }
            continue;
        }
        let mut steps = fault.steps.clone();
        fault.report(at, problems);
        while matches!(steps.last(), Some(Step::Index(_))) {
            steps.pop();
        }
        if let [Step::Key(name)] = steps.as_slice() {
            left_out.push(name.clone());
        }
        if !remove(&mut node, &steps) {
            return None;
        }
    }
}

/// Takes the entries with other keys than the known ones out of the mapping at `steps`, and gives
/// their keys, each once.
fn take_unknown(node: &mut Node, steps: &[Step], known: &[&str]) -> Vec<String> {
    let Some(Value::Map(entries)) = node.at_mut(steps).map(|node| &mut node.value) else {
        return Vec::new();
    };
    let is_unknown = |(key, _): &mut (String, Node)| !known.contains(&key.as_str());
    let mut seen = BTreeSet::new();
    let taken = entries.extract_if(.., is_unknown).map(|(key, _)| key);
    taken.filter(|key| seen.insert(key.clone())).collect()
}

/// Removes the entry at a path from the tree; whether there was one.
fn remove(node: &mut Node, steps: &[Step]) -> bool {
    let Some((Step::Key(key), of)) = steps.split_last() else { return false };
    let Some(Value::Map(entries)) = node.at_mut(of).map(|node| &mut node.value) else {
        return false;
    };
    let before = entries.len();
    entries.retain(|(name, _)| name != key);
    entries.len() < before
}

/// A node as a source of typed values.
struct Reader<'de>(&'de Node);

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => visitor.visit_i128(*value),
            },
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(list) => visitor.visit_seq(Elements { list, next: 0 }),
            Value::Map(entries) => visitor.visit_map(Entries { entries, next: 0 }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.0.value == Value::Null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        // A derived struct would read a list as its fields in order: a pipeline names its keys.
        if self.0.entries().is_none() {
            return Err(self.wrong("a mapping".to_owned()));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Text(word) => visitor.visit_enum(Word(word)),
            _ => Err(self.wrong(format!("one of {}", variants.join(", ")))),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier
    }
}

impl Reader<'_> {
    fn wrong(&self, expected: String) -> Fault {
        What::Wrong { expected, found: self.0.describe() }.into()
    }
}

struct Elements<'de> {
    list: &'de [Node],
    next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some(node) = self.list.get(self.next) else { return Ok(None) };
        self.next += 1;
        seed.deserialize(Reader(node)).map(Some).map_err(|mut fault| {
            fault.steps.push(Step::Index(self.next - 1));
            fault
        })
    }
}

struct Entries<'de> {
    entries: &'de [(String, Node)],
    next: usize,
}

impl Entries<'_> {
    fn here(&self, mut fault: Fault) -> Fault {
        fault.steps.push(Step::Key(self.entries[self.next].0.clone()));
        fault
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some((key, _)) = self.entries.get(self.next) else { return Ok(None) };
        let key: StrDeserializer<'_, Fault> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|fault| self.here(fault))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let node = Reader(&self.entries[self.next].1);
        let value = seed.deserialize(node).map_err(|fault| self.here(fault));
        self.next += 1;
        value
    }
}

/// A variant without content, named by a word.
struct Word<'de>(&'de str);

impl<'de> EnumAccess<'de> for Word<'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let word: StrDeserializer<'_, Fault> = self.0.into_deserializer();
        Ok((seed.deserialize(word)?, self))
    }
}

impl<'de> VariantAccess<'de> for Word<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value, Fault> {
        Err(What::Other("this word takes a value, which no pipeline type does".to_owned()).into())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _: V) -> Result<V::Value, Fault> {
        Err(What::Other("this word takes a list, which no pipeline type does".to_owned()).into())
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Fault> {
        Err(What::Other("this word takes keys, which no pipeline type does".to_owned()).into())
    }
}

//! What a graph's file names outside itself.
//!
//! A graph may keep tensors in other files, in any of its parts: initialisers, sparse ones, attributes
//! of operators, the bodies of loops and branches, functions. ONNX Runtime would load them from any
//! path, hashed or not. So the file is walked before it is opened.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use super::protobuf::{Value, Walker};

/// Bodies in bodies: more than a model has, and few enough for any stack.
const DEEPEST: usize = 64;

/// Bytes of the longest name that is read.
const LONGEST_NAME: u64 = 1 << 16;

/// Whose operators a graph may use beside its own functions: those that ONNX Runtime brings along.
const DOMAINS: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];

/// An operator of ONNX Runtime's that loads a file which its attribute names.
const LOADS_A_FILE: &str = "EPContext";

/// A tensor that lies in another file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct External {
    /// Its name in the graph.
    pub(super) tensor: String,
    /// The file, as the graph names it.
    pub(super) location: String,
    /// The byte of that file after its last one, as far as the graph says it.
    pub(super) end: u64,
}

/// Walks the graph in the file `path` and shows each tensor that lies in another file to `check`, which
/// says what is wrong with it, in words that follow the graph's name.
///
/// # Errors
/// What `check` said first, or why the file is no graph that can be used.
pub(super) fn walk(
    path: &Path,
    check: &mut dyn FnMut(&External) -> Result<(), String>,
) -> Result<(), String> {
    let file = File::open(path).map_err(|e| format!("cannot be read: {e}"))?;
    let bytes = file.metadata().map_err(|e| format!("cannot be read: {e}"))?.len();
    walk_source(file, bytes, check)
}

fn walk_source(
    source: impl Read + Seek,
    bytes: u64,
    check: &mut dyn FnMut(&External) -> Result<(), String>,
) -> Result<(), String> {
    let mut walk =
        Walk { walker: Walker::new(source), check, used: BTreeMap::new(), own: Vec::new() };
    walk.message(Kind::Model, bytes, 0)?;
    walk.check_domains()
}

/// The messages of ONNX that hold tensors or operators, by onnx.proto.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
    Function,
    Training,
}

impl Kind {
    /// What lies in a field of the message.
    fn within(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) | (Self::Training, 1 | 2) => Self::Graph,
            (Self::Model, 20) => Self::Training,
            (Self::Model, 25) => Self::Function,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::Sparse, 1 | 2) => Self::Tensor,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::Sparse,
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            _ => return None,
        })
    }

    /// Which of its fields are texts that are of interest.
    fn texts(self) -> &'static [u64] {
        match self {
            Self::Node => &[OP_TYPE, NODE_DOMAIN],
            Self::Tensor => &[TENSOR_NAME],
            Self::Function => &[FUNCTION_DOMAIN],
            _ => &[],
        }
    }
}

const OP_TYPE: u64 = 4;
const NODE_DOMAIN: u64 = 7;
const TENSOR_NAME: u64 = 8;
const FUNCTION_DOMAIN: u64 = 10;
const EXTERNAL_DATA: u64 = 13;
const DATA_LOCATION: u64 = 14;
/// The word of `data_location` for another file.
const IN_A_FILE: u64 = 1;

/// What is known of a tensor's place.
#[derive(Default)]
struct Place {
    is_external: bool,
    location: Option<String>,
    offset: u64,
    length: u64,
}

struct Walk<'c, R> {
    walker: Walker<R>,
    check: &'c mut dyn FnMut(&External) -> Result<(), String>,
    /// Domains that operators are of, with one of these each.
    used: BTreeMap<String, String>,
    /// Domains of the graph's own functions.
    own: Vec<String>,
}

impl<R: Read + Seek> Walk<'_, R> {
    fn message(&mut self, kind: Kind, end: u64, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("has bodies in bodies, more than {DEEPEST} deep"));
        }
        let mut texts: BTreeMap<u64, String> = BTreeMap::new();
        let mut place = Place::default();
        while let Some(field) = self.walker.field(end)? {
            match field.value {
                Value::Bytes(bytes) => {
                    let to = self.walker.at() + bytes;
                    if let Some(inner) = kind.within(field.number) {
                        self.message(inner, to, depth + 1)?;
                    } else if kind == Kind::Tensor && field.number == EXTERNAL_DATA {
                        self.entry(to, &mut place)?;
                    } else if kind.texts().contains(&field.number) {
                        texts.insert(field.number, self.walker.text(bytes, LONGEST_NAME)?);
                    } else {
                        self.walker.skip(bytes, end)?;
                    }
                }
                Value::Number(IN_A_FILE) if field.number == DATA_LOCATION => {
                    place.is_external = true;
                }
                Value::Number(_) | Value::Fixed => {}
            }
        }
        let mut text = |field| texts.remove(&field).unwrap_or_default();
        match kind {
            Kind::Tensor => self.tensor(text(TENSOR_NAME), place),
            Kind::Node => self.node(text(OP_TYPE), text(NODE_DOMAIN)),
            Kind::Function => {
                self.own.push(text(FUNCTION_DOMAIN));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A key and a value about a tensor's place.
    fn entry(&mut self, end: u64, place: &mut Place) -> Result<(), String> {
        let (mut key, mut value) = (String::new(), String::new());
        while let Some(field) = self.walker.field(end)? {
            match (field.number, field.value) {
                (1, Value::Bytes(bytes)) => key = self.walker.text(bytes, LONGEST_NAME)?,
                (2, Value::Bytes(bytes)) => value = self.walker.text(bytes, LONGEST_NAME)?,
                (_, Value::Bytes(bytes)) => self.walker.skip(bytes, end)?,
                _ => {}
            }
        }
        let number = |value: &str| {
            let problem = || format!("has a tensor in another file with {key} '{value}'");
            value.parse::<u64>().ok().ok_or_else(problem)
        };
        match key.as_str() {
            "location" if place.location.as_ref().is_some_and(|other| *other != value) => {
                return Err("names two files for one tensor".to_owned());
            }
            "location" => place.location = Some(value),
            "offset" => place.offset = number(&value)?,
            "length" => place.length = number(&value)?,
            _ => {}
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: String, place: Place) -> Result<(), String> {
        match place.location {
            Some(location) => {
                let end = place.offset.saturating_add(place.length);
                (self.check)(&External { tensor, location, end })
            }
            None if place.is_external => {
                Err(format!("keeps tensor '{tensor}' in another file and does not name it"))
            }
            None => Ok(()),
        }
    }

    fn node(&mut self, op: String, domain: String) -> Result<(), String> {
        if op == LOADS_A_FILE {
            return Err(format!(
                "has an operator '{op}', which loads a file that no hash vouches for"
            ));
        }
        self.used.entry(domain).or_insert(op);
        Ok(())
    }

    fn check_domains(&self) -> Result<(), String> {
        let is_known = |domain: &str| {
            DOMAINS.contains(&domain) || self.own.iter().any(|own| own.as_str() == domain)
        };
        match self.used.iter().find(|(domain, _)| !is_known(domain)) {
            Some((domain, op)) => Err(format!(
                "has an operator '{op}' of domain '{domain}', which ONNX Runtime has only with \
                 another library, and aqlens loads none"
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A field that holds bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        assert!(number < 32 && bytes.len() < 1 << 14);
        let mut all = Vec::new();
        for n in [u64::from(number) << 3 | 2, bytes.len() as u64] {
            let (low, high) = ((n & 0x7f) as u8, (n >> 7) as u8);
            all.extend(if high > 0 { vec![low | 0x80, high] } else { vec![low] });
        }
        all.extend(bytes);
        all
    }

    /// A tensor in another file.
    fn tensor(name: &str, location: &str) -> Vec<u8> {
        let entry = |key: &str, value: &str| {
            field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat())
        };
        let place = [entry("location", location), entry("offset", "16"), entry("length", "8")];
        [field(8, name.as_bytes()), place.concat(), vec![14 << 3, 1]].concat()
    }

    fn named(model: &[u8]) -> Result<Vec<String>, String> {
        let mut named = Vec::new();
        walk_source(Cursor::new(model), model.len() as u64, &mut |external| {
            assert_eq!(external.end, 24);
            named.push(format!("{} in {}", external.tensor, external.location));
            Ok(())
        })?;
        Ok(named)
    }

    #[test]
    fn a_tensor_in_another_file_is_found_wherever_it_is() {
        let t = |n: u8| tensor(&format!("t{n}"), &format!("f{n}"));
        let attribute = |number: u8, inner: &[u8]| field(1, &field(5, &field(number, inner)));
        let body = field(5, &t(4));
        let graph = [
            field(5, &t(0)),
            field(15, &[field(1, &t(1)), field(2, &t(2))].concat()),
            attribute(5, &t(3)),
            attribute(6, &body),
            attribute(10, &t(5)),
            attribute(11, &attribute(22, &field(1, &t(6)))),
            attribute(23, &field(2, &t(7))),
        ];
        let function = [field(7, &field(5, &field(5, &t(8)))), field(11, &field(5, &t(9)))];
        let training = [field(1, &field(5, &t(10))), field(2, &field(5, &t(11)))];
        let model = [
            vec![8, 9],
            field(7, &graph.concat()),
            field(25, &function.concat()),
            field(20, &training.concat()),
        ];
        let expected: Vec<String> = (0..12).map(|n| format!("t{n} in f{n}")).collect();
        assert_eq!(named(&model.concat()), Ok(expected));
    }

    #[test]
    fn what_names_no_file_or_two_or_needs_another_library_is_refused() {
        let initialiser = |tensor: &[u8]| field(7, &field(5, tensor));
        let nameless = [field(8, b"w"), vec![14 << 3, 1]].concat();
        let problem = named(&initialiser(&nameless)).unwrap_err();
        assert_eq!(problem, "keeps tensor 'w' in another file and does not name it");
        let two = [tensor("w", "a"), tensor("w", "b")].concat();
        assert_eq!(named(&initialiser(&two)).unwrap_err(), "names two files for one tensor");
        let node = |op: &str, domain: &str| {
            field(7, &field(1, &[field(4, op.as_bytes()), field(7, domain.as_bytes())].concat()))
        };
        let problem = named(&node("Evil", "my.ops")).unwrap_err();
        assert!(problem.contains("'Evil' of domain 'my.ops'"), "{problem}");
        let function = field(25, &field(10, b"my.ops"));
        assert_eq!(named(&[node("Kind", "my.ops"), function].concat()), Ok(Vec::new()));
        let problem = named(&node("EPContext", "com.microsoft")).unwrap_err();
        assert!(problem.contains("'EPContext', which loads a file"), "{problem}");
    }

    #[test]
    fn bodies_in_bodies_without_end_are_refused() {
        let mut graph = Vec::new();
        for _ in 0..40 {
            graph = field(1, &field(5, &field(6, &graph)));
        }
        assert!(named(&field(7, &graph)).unwrap_err().contains("more than 64 deep"));
    }
}

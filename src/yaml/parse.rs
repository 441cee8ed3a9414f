//! YAML text to a tree.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, EnumAccess, MapAccess, SeqAccess, Visitor};

use super::node::{Node, Origin, Value};

/// Aliases may make the tree this many times as large as the text, and no larger: a few lines of
/// aliases of aliases otherwise fill the memory.
const EXPANSION: usize = 10;

/// Brackets that may be open at one place, in texts too.
const MOST_OPEN_BRACKETS: usize = 10_000;

/// Room that even the shortest text has for its aliases, in bytes.
const EXPANSION_FLOOR: usize = 4096;

/// Why a text is no tree.
#[derive(Debug)]
pub(super) struct ParseFault {
    pub(super) message: String,
    pub(super) help: String,
    pub(super) span: Range<usize>,
}

/// Reads a text whose values all come from `origin`.
pub(super) fn parse(text: &str, origin: Origin) -> Result<Node, ParseFault> {
    check_brackets(text)?;
    let budget = Cell::new(text.len() * EXPANSION + EXPANSION_FLOOR);
    let reason = RefCell::new(None);
    let build = Build { origin, budget: &budget, reason: &reason };
    build.deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| {
        let start = error.location().map_or(0, |location| location.index());
        let own = reason.borrow_mut().take();
        let is_divided = error.to_string().contains("more than one document");
        let (span, explained) = match text.rfind("\n---").filter(|_| is_divided) {
            Some(newline) => (clip(text, newline + 1), divided()),
            None => (clip(text, start), explain(&error)),
        };
        let (message, help) = own.unwrap_or(explained);
        ParseFault { message, help, span }
    })
}

/// What the parser's own errors mean.
fn explain(error: &serde_yaml::Error) -> (String, String) {
    let words = error.to_string();
    if words.contains("more than one document") {
        return (
            "this is not valid YAML: something follows the end of the first value".to_owned(),
            "a pipeline is one mapping: write `key: value` lines".to_owned(),
        );
    }
    if words.contains("repetition limit") {
        return expansion();
    }
    if words.contains("recursion limit") {
        return (
            "values are nested deeper than 128 levels".to_owned(),
            "a pipeline needs no more than six levels: look for an extra bracket".to_owned(),
        );
    }
    if words.contains("unknown anchor") {
        return (
            "the alias names an anchor that is not defined above it".to_owned(),
            "write `&name` before the value that `*name` repeats, or put the text in quotes when \
             its asterisk is meant"
                .to_owned(),
        );
    }
    (
        format!("this is not valid YAML: {words}"),
        "look at the line above too: a quote, a bracket or a `:` may be missing, or the \
         indentation differs; text with `: `, ` #`, or `{`, `[`, `*`, `&`, `!`, `%`, `@` in front \
         needs quotes"
            .to_owned(),
    )
}

fn divided() -> (String, String) {
    (
        "the file holds several documents, and a pipeline is one".to_owned(),
        "remove the `---` line, or move what follows it to another file".to_owned(),
    )
}

fn expansion() -> (String, String) {
    (
        format!("the file's aliases (`*name`) make it more than {EXPANSION} times as large"),
        "write the values out, or put inputs and tasks into files".to_owned(),
    )
}

/// From `start` to the end of its line, at least one byte when there is one.
fn clip(text: &str, start: usize) -> Range<usize> {
    let start = text.floor_char_boundary(start.min(text.len()));
    let line = text[start..].find(['\n', '\r']).map_or(text.len(), |length| start + length);
    start..line
}

/// Refuses a text with very many brackets left open: the parser's time grows with their square.
fn check_brackets(text: &str) -> Result<(), ParseFault> {
    let mut open = 0_usize;
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MOST_OPEN_BRACKETS {
            return Err(ParseFault {
                message: format!("more than {MOST_OPEN_BRACKETS} brackets are open here"),
                help: "close them, or put texts with that many brackets into a file: \
                       `inputs: { file: inputs.jsonl, id: id, text: text }`"
                    .to_owned(),
                span: i..i + 1,
            });
        }
    }
    Ok(())
}

type Reason = RefCell<Option<(String, String)>>;

#[derive(Clone, Copy)]
struct Build<'a> {
    origin: Origin,
    budget: &'a Cell<usize>,
    reason: &'a Reason,
}

impl Build<'_> {
    fn refuse<E: serde::de::Error>(&self, (message, help): (String, String)) -> E {
        let error = E::custom(&message);
        *self.reason.borrow_mut() = Some((message, help));
        error
    }

    fn node<E: serde::de::Error>(&self, value: Value) -> Result<Node, E> {
        let bytes = 1 + if let Value::Text(text) = &value { text.len() } else { 0 };
        self.charge(bytes)?;
        Ok(Node { value, origin: self.origin })
    }

    fn charge<E: serde::de::Error>(&self, bytes: usize) -> Result<(), E> {
        match self.budget.get().checked_sub(bytes) {
            Some(left) => {
                self.budget.set(left);
                Ok(())
            }
            None => Err(self.refuse(expansion())),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Build<'_> {
    type Value = Node;

    fn deserialize<D: serde::Deserializer<'de>>(self, source: D) -> Result<Node, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Build<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of at most 64 bits")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
        self.node(Value::Null)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Node, E> {
        self.node(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Node, E> {
        self.node(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Node, E> {
        self.node(Value::Int(value.into()))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Node, E> {
        self.node(Value::Int(value.into()))
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Node, E> {
        self.node(Value::Int(value))
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Node, E> {
        self.node(i128::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        self.node(Value::Float(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Node, E> {
        self.node(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = source.next_element_seed(self)? {
            list.push(node);
        }
        self.node(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = source.next_key_seed(KeyText(self))? {
            entries.push((key, source.next_value_seed(self)?));
        }
        self.node(Value::Map(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _source: A) -> Result<Node, A::Error> {
        Err(self.refuse((
            "a YAML tag (`!name`) means nothing in a pipeline".to_owned(),
            "remove it, or put the text in quotes when its exclamation mark is meant".to_owned(),
        )))
    }
}

/// A key, always as it is written: `1`, `true` and `010` are ids like any other.
struct KeyText<'a>(Build<'a>);

impl<'de> DeserializeSeed<'de> for KeyText<'_> {
    type Value = String;

    fn deserialize<D: serde::Deserializer<'de>>(self, source: D) -> Result<String, D::Error> {
        source.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyText<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key that is text")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        if key == "<<" {
            return Err(self.0.refuse((
                "merge keys (`<<`) are not part of YAML 1.2 and not read here".to_owned(),
                "repeat a whole value with an alias, `tasks: *name`, or write the entries out"
                    .to_owned(),
            )));
        }
        self.0.charge(1 + key.len())?;
        Ok(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn tree(text: &str) -> Node {
        parse(text, Origin::File).unwrap()
    }

    #[test]
    fn keys_are_text_as_they_are_written() {
        let node = tree("1: a\ntrue: b\n010: c\n~: d\n'x y': e\n");
        let keys: Vec<&str> = node.entries().unwrap().iter().map(|(key, _)| &**key).collect();
        assert_eq!(keys, ["1", "true", "010", "~", "x y"]);
    }

    #[test]
    fn yes_and_no_are_text_and_true_is_not() {
        let node = tree("[no, yes, on, true, 1.0, 12, 0777]");
        let kinds: Vec<&str> = node.elements().unwrap().iter().map(Node::kind).collect();
        assert_eq!(
            kinds,
            ["text", "text", "text", "true or false", "a number", "a number", "text"]
        );
    }

    #[test]
    fn few_aliases_are_read_and_a_bomb_is_not() {
        let node = tree("a: &t {x: one, y: two}\nb: *t\n");
        assert_eq!(node.get("a"), node.get("b"));
        let mut bomb = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for level in 1..30 {
            let list = vec![format!("*a{}", level - 1); 9].join(", ");
            writeln!(bomb, "a{level}: &a{level} [{list}]").unwrap();
        }
        let fault = parse(&bomb, Origin::File).unwrap_err();
        assert!(fault.message.contains("aliases"), "{fault:?}");
    }

    #[test]
    fn faults_point_at_bytes_also_behind_other_alphabets() {
        let text = "é: 日本\nb: [1, 2\nc: 3\n";
        let fault = parse(text, Origin::File).unwrap_err();
        assert!(fault.span.start > "é: 日本\n".len(), "{fault:?}");
        let text = "é: 日本\nb: !tag x\n";
        let fault = parse(text, Origin::File).unwrap_err();
        assert_eq!(&text[fault.span], "!tag x");
        let text = "é: 日本\n<<: x\n";
        let fault = parse(text, Origin::File).unwrap_err();
        assert_eq!(&text[fault.span], "<<: x");
    }
}

//! A pipeline file with its `--set` arguments applied.

use std::ops::Range;

use super::locate::{key_span, value_span};
use super::node::{Node, Origin, Value};
use super::parse::parse;
use super::problem::{Path, Problem, Problems, Spot, Step};
use super::{line_of, quote};

/// Largest pipeline file.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A pipeline file, readable or not, and what is needed to show places in it.
#[derive(Debug)]
pub struct Document {
    name: String,
    text: String,
    root: Option<Node>,
    overrides: Vec<Override>,
}

/// One `--set` argument, `path=value`.
#[derive(Debug)]
struct Override {
    argument: String,
    /// Where the value begins in the argument.
    value_start: usize,
    /// How many steps its path has.
    depth: usize,
}

/// Which text a problem is shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The file.
    File,
    /// The `--set` argument of that number.
    Set(usize),
}

impl Document {
    /// Reads `bytes` of the file `name` and puts in the `--set` arguments, each `path=value`.
    pub fn new(name: &str, bytes: &[u8], overrides: &[String]) -> (Self, Problems) {
        let mut problems = Problems::default();
        let mut document =
            Self { name: name.to_owned(), text: String::new(), root: None, overrides: Vec::new() };
        if let Some(text) = document.decode(bytes, &mut problems) {
            document.root = root(&text, &mut problems);
            document.text = text;
        }
        for (i, argument) in overrides.iter().enumerate() {
            document.set(i, argument, &mut problems);
        }
        if let Some(root) = &document.root {
            find_twins(root, &Path::default(), &mut problems);
        }
        (document, problems)
    }

    /// The file's name, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The root, always a mapping; `None` when the text could not be read, which is a problem.
    pub fn root(&self) -> Option<&Node> {
        self.root.as_ref()
    }

    fn decode(&mut self, bytes: &[u8], problems: &mut Problems) -> Option<String> {
        let root = Path::default();
        if bytes.len() > MAX_BYTES {
            let message = format!(
                "the pipeline file has {} bytes, and at most {MAX_BYTES} are read",
                bytes.len()
            );
            let help = "put the inputs into a .jsonl, .csv or .parquet file and name it: \
                        `inputs: { file: inputs.jsonl, id: id, text: text }`";
            problems.push_spot(&root, Spot::Text(0..0), message, help);
            return None;
        }
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        match std::str::from_utf8(bytes) {
            Ok(text) => Some(text.to_owned()),
            Err(error) => {
                let offset = error.valid_up_to();
                let line = line_of(bytes, offset);
                let message = format!(
                    "the file is not UTF-8: byte 0x{:02x} at offset {offset} (line {line})",
                    bytes[offset]
                );
                let help = "save it as UTF-8, for example with \
                            `iconv -f latin1 -t utf-8 old.yml > new.yml`";
                problems.push_spot(&root, Spot::Text(offset..offset + 3), message, help);
                self.text = String::from_utf8_lossy(bytes).into_owned();
                None
            }
        }
    }

    fn set(&mut self, i: usize, argument: &str, problems: &mut Problems) {
        let whole = |length: usize| Spot::Override(i, 0..length);
        let (path, value) = argument.split_once('=').unwrap_or((argument, ""));
        let steps: Vec<&str> =
            path.split(['.', '[']).map(|step| step.trim_end_matches(']')).collect();
        let depth = steps.len();
        let value_start = (path.len() + 1).min(argument.len());
        self.overrides.push(Override { argument: argument.to_owned(), value_start, depth });
        let root = Path::default();
        if !argument.contains('=') || steps.iter().any(|step| step.is_empty()) {
            let message = format!("{} is not `key=value`", quote(argument));
            let help = "write the path to a key, `=`, and its value as YAML: \
                        `--set model=../gpt2` or `--set 'stages.extract.layers=[0, 11]'`";
            return problems.push_spot(&root, whole(argument.len()), message, help);
        }
        let node = match parse(value, Origin::Set(i)) {
            Ok(node) => node,
            Err(fault) => {
                // The parser's message is about a file and its lines.
                let span = fault.span.start + value_start..fault.span.end + value_start;
                let message = "the value is not valid YAML";
                let help = "put text with brackets, `: ` or `#` in quotes as well: \
                            `--set 'prompt=\"{task} {input}\"'`";
                return problems.push_spot(&root, Spot::Override(i, span), message, help);
            }
        };
        let Some(tree) = &mut self.root else { return };
        if let Err((message, help)) = put(tree, &steps, node, i) {
            problems.push_spot(&root, whole(path.len()), message, help);
        }
    }

    /// The text that a problem is shown in, and where in it.
    pub(super) fn place(&self, problem: &Problem) -> (Source, Range<usize>) {
        match &problem.spot {
            Spot::Text(span) => return (Source::File, span.clone()),
            Spot::Override(i, span) => return (Source::Set(*i), span.clone()),
            Spot::Value | Spot::Key | Spot::Entry(_) => {}
        }
        let Some(root) = &self.root else { return (Source::File, 0..0) };
        let ordinals = root.ordinals(&problem.at.0);
        let there = Path(problem.at.0[..ordinals.len()].to_vec());
        let node = root.at(&there);
        match node.map(|node| node.origin) {
            Some(Origin::Set(i)) => {
                (Source::Set(i), self.overrides[i].place(&ordinals, node, &problem.spot))
            }
            _ => (Source::File, span_of(&self.text, &ordinals, node, &problem.spot)),
        }
    }

    /// A source's name and text.
    pub(super) fn source(&self, source: Source) -> (&str, &str) {
        match source {
            Source::File => (&self.name, &self.text),
            Source::Set(i) => ("--set", &self.overrides[i].argument),
        }
    }

    /// Whether the value at a path came from a `--set`: paths in it then start at the working
    /// directory.
    pub fn is_set(&self, at: &Path) -> bool {
        let node = self.root.as_ref().and_then(|root| root.at(at));
        matches!(node, Some(Node { origin: Origin::Set(_), .. }))
    }
}

impl Override {
    fn place(&self, ordinals: &[usize], node: Option<&Node>, spot: &Spot) -> Range<usize> {
        let key = 0..self.value_start.saturating_sub(1);
        let inside = match ordinals.get(self.depth..) {
            None => return key,
            Some([]) if *spot == Spot::Key => return key,
            Some([]) if *spot == Spot::Value => return self.value_start..self.argument.len(),
            Some(inside) => inside,
        };
        let span = span_of(&self.argument[self.value_start..], inside, node, spot);
        span.start + self.value_start..span.end + self.value_start
    }
}

fn span_of(text: &str, ordinals: &[usize], node: Option<&Node>, spot: &Spot) -> Range<usize> {
    let key = match spot {
        Spot::Key => key_span(text, ordinals),
        Spot::Entry(entry) => key_span(text, &[ordinals, &[*entry]].concat()),
        _ => None,
    };
    key.unwrap_or_else(|| value_span(text, ordinals, node))
}

/// The tree of the file's text when it is a mapping.
fn root(text: &str, problems: &mut Problems) -> Option<Node> {
    let at = Path::default();
    match parse(text, Origin::File) {
        Ok(node @ Node { value: Value::Map(_), .. }) => return Some(node),
        Ok(Node { value: Value::Null, .. }) => problems.push_spot(
            &at,
            Spot::Text(0..0),
            "the file is empty",
            "start from a pipeline in `pipelines/`; it needs `name`, `model`, `scenarios`, `stages`",
        ),
        Ok(node) => problems.push_spot(
            &at,
            Spot::Text(0..text.find('\n').unwrap_or(text.len())),
            format!("a pipeline must be a mapping, found {}", node.kind()),
            "write `name:`, `model:`, `scenarios:` and `stages:` at the start of lines",
        ),
        Err(fault) => {
            problems.push_spot(&at, Spot::Text(fault.span), fault.message, fault.help);
        }
    }
    None
}

/// Puts a value at a path of the tree; the error says why it cannot be there, and what to do.
fn put(root: &mut Node, steps: &[&str], new: Node, set: usize) -> Result<(), (String, String)> {
    let mut node = root;
    for step in steps {
        if node.value == Value::Null {
            *node = Node { value: Value::Map(Vec::new()), origin: Origin::Set(set) };
        }
        let kind = node.kind();
        node = match &mut node.value {
            Value::Map(entries) => {
                let found = entries.iter().position(|(key, _)| key == step);
                let index = found.unwrap_or_else(|| {
                    let empty = Node { value: Value::Null, origin: Origin::Set(set) };
                    entries.push(((*step).to_owned(), empty));
                    entries.len() - 1
                });
                &mut entries[index].1
            }
            Value::List(list) => {
                let index = element(list, step)?;
                &mut list[index]
            }
            _ => {
                return Err((
                    format!("there is nothing below a value that is {kind}: no {}", quote(step)),
                    "shorten the path to the key that holds the value".to_owned(),
                ));
            }
        };
    }
    *node = new;
    Ok(())
}

/// The element with that index, kind or name.
fn element(list: &[Node], step: &str) -> Result<usize, (String, String)> {
    let label = |node: &Node| -> Option<String> {
        let name = node.get("kind").or_else(|| node.get("name"))?;
        name.text().map(ToOwned::to_owned)
    };
    let by_label = list.iter().position(|node| label(node).is_some_and(|label| label == step));
    let by_index = || step.parse::<usize>().ok().filter(|index| *index < list.len());
    by_label.or_else(by_index).ok_or_else(|| {
        let labels: Vec<String> = list.iter().filter_map(label).collect();
        let names =
            if labels.is_empty() { String::new() } else { format!(": {}", labels.join(", ")) };
        (
            format!("the list has no element {}", quote(step)),
            format!("it has {} (indices count from 0){names}", list.len()),
        )
    })
}

/// Finds every key that appears twice in one mapping.
fn find_twins(node: &Node, at: &Path, problems: &mut Problems) {
    for (i, child) in node.elements().unwrap_or_default().iter().enumerate() {
        find_twins(child, &at.index(i), problems);
    }
    let entries = node.entries().unwrap_or_default();
    let mut seen = std::collections::BTreeSet::new();
    for (i, (key, child)) in entries.iter().enumerate() {
        if !seen.insert(key) {
            let message = format!("the key {} appears twice", quote(key));
            let help = "a mapping has each key once: rename or remove one of them";
            problems.push_spot(at, Spot::Entry(i), message, help);
        }
        let mut path = at.clone();
        path.0.push(Step::Key(key.clone()));
        find_twins(child, &path, problems);
    }
}

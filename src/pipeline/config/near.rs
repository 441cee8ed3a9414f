//! Mappings that are nearly the structured form of something: taken for names and texts they would
//! run as what nobody meant.

use std::fmt;

use super::wire::FileConfig;
use crate::pipeline::inputs::{has_file_ending, looks_like_file_name};
use crate::yaml::{Node, Path, Problems, did_you_mean, quote};

/// What a text is, in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noun {
    Input,
    Task,
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Task => "task",
        })
    }
}

/// What people call a file of texts, its column of ids and its column of texts, beside our own words.
const MEANT: [(&str, &[&str]); 5] = [
    ("file", &["files", "filename", "file_name", "filepath", "file_path", "path", "source", "src"]),
    ("id", &["ids", "id_column", "key", "keys", "index"]),
    ("text", &["txt", "texts", "text_column", "column", "field", "content", "prompt"]),
    ("cluster", &["clusters", "cluster_column", "group", "groups"]),
    ("sha256", &["sha", "sha_256", "hash", "checksum"]),
];

/// Most entries of which each that a file form does not have is reported.
const FEW: usize = 8;

/// Whether a mapping of inputs or tasks names a file: it has the keys of one and no others.
pub(super) fn names_file(entries: &[(String, Node)]) -> bool {
    entries.iter().any(|(key, _)| key == "file")
        && entries.iter().all(|(key, _)| FileConfig::KEYS.contains(&key.as_str()))
}

/// Reports a mapping of inputs or tasks that has the keys of a file and texts for values, or nearly
/// those keys and the name of a file: at each key that is not one of them. Whether it did.
pub(super) fn refuse_near_file(
    entries: &[(String, Node)],
    at: &Path,
    noun: Noun,
    problems: &mut Problems,
) -> bool {
    let meant: Vec<Option<&str>> = entries.iter().map(|(key, _)| file_key(key)).collect();
    let has = |word: &str| meant.contains(&Some(word));
    let value = |word: &str| entries.iter().find(|(key, _)| key == word).map(|(_, node)| node);
    let names = || entries.iter().zip(&meant).filter(|(_, meant)| **meant == Some("file"));
    if names_file(entries) {
        let is_text = value("file").is_some_and(|node| node.text().is_some() && !may_be_path(node));
        if is_text {
            let message = "`file` holds a text, and is the key for a file's name";
            let help = way_out(noun, "file");
            problems.push(&at.key("file"), message, help);
        }
        return is_text;
    }
    let is_near = names().any(|((_, node), _)| is_file_name(node) || node.elements().is_some())
        || (value("file").is_some_and(may_be_path)
            && ["id", "text", "cluster", "sha256"].into_iter().any(has))
        || (names().any(|((_, node), _)| may_be_path(node)) && has("id") && has("text"));
    if is_near {
        report_file(entries, &meant, at, noun, problems);
        return true;
    }
    // One input in the form of a row: its id is a word.
    let is_row = noun == Noun::Input && value("id").is_some_and(may_be_path);
    if is_row && value("text").is_some() && entries.len() < 4 {
        let message = "these inputs are called `id` and `text`, as the columns of a file are";
        let help = format!("write `NAME: \"TEXT\"` for each input. {}", way_out(noun, "id"));
        problems.push_key(&at.key("id"), message, help);
        return true;
    }
    false
}

/// One problem at each key that a file does not have; of many the ones that are near.
fn report_file(
    entries: &[(String, Node)],
    meant: &[Option<&str>],
    at: &Path,
    noun: Noun,
    problems: &mut Problems,
) {
    let is_there = |word: &str| entries.iter().any(|(key, _)| key == word);
    let missing: Vec<&str> = FileConfig::KEYS.into_iter().filter(|word| !is_there(word)).collect();
    let is_own = |key: &str| FileConfig::KEYS.contains(&key);
    let others = entries.iter().zip(meant).filter(|((key, _), _)| !is_own(key));
    let others = others.filter(|(_, meant)| meant.is_some() || entries.len() <= FEW);
    let mut reported = false;
    for ((key, _), meant) in others {
        let help = match meant.filter(|word| missing.contains(word)) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("a file has the keys {}", FileConfig::KEYS.join(", ")),
        };
        let message = format!("unknown key {} beside the name of a file", quote(key));
        problems.push_key(&at.key(key), message, format!("{help} {}", way_out(noun, "file")));
        reported = true;
    }
    if !reported {
        let message = format!("the {noun} `file` is called as the key for a file's name is");
        problems.push_key(&at.key("file"), message, way_out(noun, "file"));
    }
}

/// What to do for somebody who means the names as they are written.
fn way_out(noun: Noun, name: &str) -> String {
    format!(
        "If {noun}s are meant, give the one called `{name}` another name, or put all {noun}s into a \
         file, where an id may be any text"
    )
}

/// Reports a task that is called as the key of a task's own mapping; whether it did.
pub(super) fn refuse_wordings_as_task(id: &str, at: &Path, problems: &mut Problems) -> bool {
    let is_key = ["wordings", "wording"].contains(&plain(id).as_str());
    if is_key {
        let message = format!("{} stands where the tasks' names do", quote(id));
        let help = "write the task's name in front: `color: { wordings: [\"...\", \"...\"] }`; for a \
                    task called so, choose another name";
        problems.push_key(at, message, help);
    }
    is_key
}

/// Reports a text for the neutral control that is nearly a word of ours.
pub(super) fn refuse_near_auto(text: &str, at: &Path, problems: &mut Problems) {
    let word = plain(text);
    let help = match word.as_str() {
        "no" | "none" | "off" | "never" | "nothing" => "leave `neutral` out for no neutral control",
        "yes" | "on" => "write `auto` for prefixes as long as each task",
        _ if did_you_mean(&word, &["auto", "automatic", "automatically"]).is_some() => {
            "did you mean `auto`?"
        }
        _ => return,
    };
    let message = format!("the neutral control would be the word {}", quote(text));
    let help =
        format!("{help} (any other text is taken as it is: a sentence, or the word and a `.`)");
    problems.push(at, message, help);
}

/// The key of a file that a key is, or nearly is.
fn file_key(key: &str) -> Option<&'static str> {
    let word = plain(key);
    let is_called = |(own, others): &&(&str, &[&str])| *own == word || others.contains(&&*word);
    if let Some((own, _)) = MEANT.iter().find(is_called) {
        return Some(own);
    }
    // Misspelt; a word of two letters is near to too many others.
    did_you_mean(&word, &["file", "text", "cluster", "sha256"]).and_then(|near| {
        let same_start = word.chars().next() == near.chars().next();
        FileConfig::KEYS.into_iter().find(|own| same_start && *own == near)
    })
}

fn plain(word: &str) -> String {
    word.trim().to_lowercase().replace(['-', ' '], "_")
}

/// Whether a value may be the path of a file: one word, or a word with such an ending.
fn may_be_path(node: &Node) -> bool {
    match node.text() {
        Some(text) => has_file_ending(text) || !text.trim().contains(char::is_whitespace),
        None => node.elements().is_some(),
    }
}

/// Whether a text can only be the name of a file of texts.
fn is_file_name(node: &Node) -> bool {
    node.text().is_some_and(looks_like_file_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_near_to_those_of_a_file_are_known_and_others_are_names() {
        let near = [
            ("file", "file"),
            ("File", "file"),
            ("flie", "file"),
            ("path", "file"),
            ("txt", "text"),
            ("tetx", "text"),
            ("ID", "id"),
            ("sha-256", "sha256"),
        ];
        for (key, own) in near {
            assert_eq!(file_key(key), Some(own), "{key}");
        }
        for key in ["a", "in", "ball", "red-ball", "1", "question", "pile"] {
            assert_eq!(file_key(key), None, "{key}");
        }
    }
}

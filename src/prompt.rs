//! What is run through the model: a prompt and the key that names it in every table.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Names one prompt: the columns `scenario, input, task, wording` of every table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromptKey {
    /// The scenario's name.
    pub scenario: Arc<str>,
    /// The input's id within its scenario.
    pub input: Arc<str>,
    /// The task's id within its scenario.
    pub task: Arc<str>,
    /// Which phrasing of the task, 0 = the first; below 0 a control, see [`Role::wording`].
    pub wording: i16,
}

impl PromptKey {
    /// One number for each prompt, in their order: the same for those of one wording of a task.
    pub fn numbers_of_tasks<'k>(keys: impl IntoIterator<Item = &'k Self>) -> Vec<usize> {
        let mut known = BTreeMap::new();
        let number = |key: &'k Self| {
            let next = known.len();
            *known.entry((&key.scenario, &key.task, key.wording)).or_insert(next)
        };
        keys.into_iter().map(number).collect()
    }
}

impl fmt::Display for PromptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [scenario, input, task] = [&self.scenario, &self.input, &self.task].map(|n| visible(n));
        write!(f, "{scenario}/{input}/{task}")?;
        match (self.wording, Role::of_wording(self.wording)) {
            (0, _) => Ok(()),
            (wording, Role::Task) => write!(f, "#{wording}"),
            (wording, _) => write!(f, "#{}", Role::name_of_wording(wording)),
        }
    }
}

/// What a prompt is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A task of the pipeline, put to the input.
    Task,
    /// A prefix of the task's length that asks for nothing.
    Neutral,
    /// The task's own words in another order.
    Scrambled,
    /// The task, put to another input.
    OtherInput,
}

impl Role {
    /// The controls: every role but the task's own, in the order of their prompts.
    pub const CONTROLS: [Self; 3] = [Self::Neutral, Self::Scrambled, Self::OtherInput];

    /// The value of `wording` for the control of a task, the first one of its role; a task's wordings
    /// count from 0.
    ///
    /// # Panics
    /// For [`Role::Task`], whose wordings are many.
    pub fn wording(self) -> i16 {
        match self {
            Self::Task => panic!("a task's prompts have the number of their wording"),
            Self::Neutral => -1,
            Self::Scrambled => -2,
            Self::OtherInput => -3,
        }
    }

    /// Most neutral prefixes of a task.
    pub const MOST_NEUTRAL: usize = 100;

    /// The value of `wording` for a task's neutral prefix, of several the `i`th from 0: -1, -4, -5, ...
    ///
    /// # Panics
    /// When it is beyond [`Role::MOST_NEUTRAL`].
    pub fn neutral_wording(i: usize) -> i16 {
        assert!(
            i < Self::MOST_NEUTRAL,
            "there are at most {} neutral prefixes",
            Self::MOST_NEUTRAL
        );
        match i as i16 {
            0 => Self::Neutral.wording(),
            i => Self::OtherInput.wording() - i,
        }
    }

    /// The role of the prompts with this `wording`.
    pub fn of_wording(wording: i16) -> Self {
        match wording {
            0.. => Self::Task,
            -2 => Self::Scrambled,
            -3 => Self::OtherInput,
            _ => Self::Neutral,
        }
    }

    /// The word for this `wording` of a control: the name of its role, with a number where a task has
    /// several, as in `neutral-2`.
    pub fn name_of_wording(wording: i16) -> String {
        let role = Self::of_wording(wording);
        match Self::OtherInput.wording() - wording {
            further @ 1.. => format!("{}-{}", role.name(), further + 1),
            _ => role.name().to_owned(),
        }
    }

    /// As in column `role` of table `prompts`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Neutral => "neutral",
            Self::Scrambled => "scrambled",
            Self::OtherInput => "other_input",
        }
    }
}

/// One text to run through the model, in the order of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Its name.
    pub key: PromptKey,
    /// The wording of the task that it holds or, a control, was made from; 0 = the first.
    pub base_wording: i16,
    /// Id of the input whose text it holds; differs from the key's only for
    /// [`Role::OtherInput`].
    pub source_input: Arc<str>,
    /// The cluster that the key's input is of, where its file names one.
    pub cluster: Option<Arc<str>>,
    /// How it was made, see column `form` of table `prompts`.
    pub form: Arc<str>,
    /// The full text: the template with task and input put in.
    pub text: String,
    /// Byte range of the input inside `text`.
    pub input_span: Range<usize>,
    /// Byte ranges of the task inside `text`, ascending.
    pub task_spans: Vec<Range<usize>>,
    /// Whether it has no special tokens but those in its text: a chat template has written them there, or
    /// the pipeline wants none.
    pub is_bare: bool,
}

impl Prompt {
    /// What it is there for.
    pub fn role(&self) -> Role {
        Role::of_wording(self.key.wording)
    }
}

/// A text in which blanks and case make no difference.
pub fn alike(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// A text with every character as an escape that would steer a terminal: its cursor, its colours
/// or the direction of its text. Names come from people's files.
pub fn visible(text: &str) -> String {
    escape(text, |_| false)
}

/// Likewise for a text of several lines.
pub fn visible_lines(text: &str) -> String {
    escape(text, |c| c == '\n')
}

fn escape(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if (c.is_control() || turns_text(c)) && !stays(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a character changes the direction in which the text around it is shown.
pub fn turns_text(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// A text in quotes as the model reads it: what a person does not see (line breaks, tabs, blanks at
/// the end of a line, characters without a shape) or takes for another character (other blanks and
/// hyphens, Cyrillic or Greek letters in a Latin word) as an escape.
pub fn exact(text: &str) -> String {
    let mut out = String::from("\"");
    for line in text.split_inclusive('\n') {
        let content = line.strip_suffix('\n').unwrap_or(line);
        let seen = content.trim_end_matches(' ');
        for (word, is_word) in words(seen) {
            let is_latin = is_word && word.contains(|c: char| c.is_ascii_alphabetic());
            for c in word.chars() {
                match c {
                    '\\' | '"' => out.extend(['\\', c]),
                    c if is_hidden(c) || looks_alike(c) || (is_latin && is_foreign_letter(c)) => {
                        out.extend(c.escape_default());
                    }
                    c => out.push(c),
                }
            }
        }
        out.push_str(&"\\u{20}".repeat(content.len() - seen.len()));
        out.push_str(if content.len() < line.len() { "\\n" } else { "" });
    }
    out.push('"');
    out
}

/// The text in pieces of letters and pieces of anything else.
fn words(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let is_word = rest.chars().next()?.is_alphabetic();
        let end = rest.find(|c: char| c.is_alphabetic() != is_word).unwrap_or(rest.len());
        let (word, others) = rest.split_at(end);
        rest = others;
        Some((word, is_word))
    })
}

/// Whether a character has no shape: controls, joiners, marks of direction, fillers.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || turns_text(c)
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}'
                | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Whether a character is seen as a blank, a hyphen or a sign of ASCII, and is none.
pub fn looks_alike(c: char) -> bool {
    (c.is_whitespace() && !c.is_ascii())
        || matches!(
            c,
            '\u{2010}'
                | '\u{2011}'
                | '\u{2212}'
                | '\u{37e}'
                | '\u{387}'
                | '\u{2044}'
                | '\u{2215}'
                | '\u{2236}'
                | '\u{2800}'
                | '\u{ff01}'..='\u{ff5e}'
        )
}

/// Letters of alphabets whose letters look like Latin ones: Greek, Cyrillic, Armenian.
fn is_foreign_letter(c: char) -> bool {
    matches!(c, '\u{370}'..='\u{58f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_steers_no_terminal() {
        let key = PromptKey {
            scenario: "\u{1b}[31mred".into(),
            input: "a\nb".into(),
            task: "\u{202e}cod".into(),
            wording: 1,
        };
        assert_eq!(key.to_string(), r"\u{1b}[31mred/a\nb/\u{202e}cod#1");
        assert_eq!(visible_lines("é\n\u{9b}1m日"), "é\n\\u{9b}1m日");
    }

    #[test]
    fn a_prompt_is_shown_as_the_model_reads_it() {
        let shown = [
            ("a\tb \n\n c  ", r#""a\tb\u{20}\n\n c\u{20}\u{20}""#),
            (r#"say "hi"\n"#, r#""say \"hi\"\\n""#),
            ("a\u{a0}b\u{200b}c\r\n", r#""a\u{a0}b\u{200b}c\r\n""#),
            // Cyrillic es and o in a Latin word, and a Russian word as it is.
            ("\u{421}\u{43e}lor цвет é 日本", r#""\u{421}\u{43e}lor цвет é 日本""#),
            ("ｔask\u{2011}1", r#""\u{ff54}ask\u{2011}1""#),
            ("", r#""""#),
        ];
        for (text, expected) in shown {
            assert_eq!(exact(text), expected);
        }
    }

    #[test]
    fn a_control_is_named_by_its_role_and_a_wording_by_its_number() {
        let name = |wording| {
            let [scenario, input, task] = ["s", "i", "t"].map(Arc::from);
            PromptKey { scenario, input, task, wording }.to_string()
        };
        assert_eq!([name(0), name(2), name(-1)], ["s/i/t", "s/i/t#2", "s/i/t#neutral"]);
        for role in Role::CONTROLS {
            assert_eq!(Role::of_wording(role.wording()), role);
        }
        assert_eq!(
            [name(-3), name(-4), name(-5)],
            ["s/i/t#other_input", "s/i/t#neutral-2", "s/i/t#neutral-3"]
        );
        assert_eq!([0, 1, 2].map(Role::neutral_wording), [-1, -4, -5]);
        assert!((0..100).all(|i| Role::of_wording(Role::neutral_wording(i)) == Role::Neutral));
    }
}

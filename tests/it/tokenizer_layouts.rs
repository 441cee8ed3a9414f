//! Tokenizers of the layouts that published models have: ids, places and blanks are those of Hugging
//! Face's transformers (`export/tokenizer_fixtures.py` made the fixtures).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use aqlens::model::Tokenizer;
use aqlens::prompt::{Prompt, PromptKey};
use serde::Deserialize;

use crate::support::file;
use crate::support::tiny::Copy;

/// A text, and how transformers cuts it; places in characters.
#[derive(Deserialize)]
struct Cut {
    text: String,
    task: Option<(usize, usize)>,
    input: Option<(usize, usize)>,
    ids: Vec<i32>,
    offsets: Vec<(usize, usize)>,
}

#[derive(Deserialize)]
struct Cases {
    texts: Vec<Cut>,
    prompts: Vec<Cut>,
    prefix_ids: Vec<i32>,
    tokens: Vec<String>,
}

/// Each layout's tokenizer and cases.
fn layouts() -> Vec<(String, Tokenizer, Cases)> {
    let read = |name: &str| std::fs::read(file("tests/fixtures/tokenizers").join(name)).unwrap();
    let cases: BTreeMap<String, Cases> = serde_json::from_slice(&read("cases.json")).unwrap();
    assert_eq!(cases.len(), 6);
    let open = |(name, cases): (String, Cases)| {
        let made: serde_json::Value =
            serde_json::from_slice(&read(&format!("{name}.json"))).unwrap();
        let copy = Copy::new();
        copy.edit_card(|card| card["vocab_size"] = 1000.into());
        copy.edit_tokenizer(|file| *file = made);
        let tokenizer = copy.tokenizer().unwrap();
        (name, tokenizer, cases)
    };
    cases.into_iter().map(open).collect()
}

/// A prompt without a text.
fn prompt() -> Prompt {
    let name = || Arc::from("a");
    Prompt {
        key: PromptKey { scenario: name(), input: name(), task: name(), wording: 0 },
        base_wording: 0,
        form: "plain".into(),
        source_input: name(),
        cluster: None,
        text: String::new(),
        input_span: 0..0,
        task_spans: Vec::new(),
        is_bare: false,
    }
}

/// A range of characters as bytes of `text`.
fn bytes(text: &str, (start, end): (usize, usize)) -> Range<usize> {
    let at = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(byte, _)| byte);
    at(start)..at(end)
}

/// The letter of each token by transformers' places alone.
fn letters(cut: &Cut, n_prefix: usize) -> String {
    let (from, to) = cut.input.unwrap();
    let meets = |place: (usize, usize), span: (usize, usize)| place.0 < span.1 && place.1 > span.0;
    let letter = |place: &(usize, usize)| match *place {
        place if meets(place, (from, to)) => 'i',
        place if cut.task.is_some_and(|task| meets(place, task)) => 't',
        (start, _) if start < to => 'f',
        _ => 'e',
    };
    let own = cut.offsets.iter().skip(n_prefix).map(letter);
    std::iter::repeat_n('f', n_prefix).chain(own).collect()
}

#[test]
fn ids_are_those_of_transformers_special_tokens_among_them() {
    for (name, tokenizer, cases) in layouts() {
        assert_eq!(cases.texts.len(), 20);
        assert_eq!(tokenizer.specials().before, cases.prefix_ids, "{name}");
        assert!(tokenizer.specials().after.is_empty());
        for Cut { text, ids, .. } in cases.texts.iter().chain(&cases.prompts) {
            let found = tokenizer.encode(text, 0..text.len()).unwrap().ids;
            // An empty text is no prompt, and gets no tokens at all.
            let expected = if text.is_empty() { &[][..] } else { ids.as_slice() };
            assert_eq!(found, expected, "{name}: {text:?}");
        }
    }
}

#[test]
fn task_and_input_are_exactly_the_tokens_that_transformers_places_there() {
    for (name, tokenizer, cases) in layouts() {
        let mut seen = String::new();
        for cut in &cases.prompts {
            let prompt = Prompt {
                text: cut.text.clone(),
                input_span: bytes(&cut.text, cut.input.unwrap()),
                task_spans: cut.task.iter().map(|task| bytes(&cut.text, *task)).collect(),
                ..prompt()
            };
            let found = tokenizer.encode_prompt(&prompt).unwrap();
            let expected = letters(cut, cases.prefix_ids.len());
            assert_eq!(found.segments, expected, "{name}: {:?}", cut.text);
            let (first, last) = (expected.find('i').unwrap(), expected.rfind('i').unwrap());
            assert_eq!(found.input, Some(first..last + 1), "{name}: {:?}", cut.text);
            seen.push_str(&expected);
        }
        assert!("itfe".chars().all(|letter| seen.contains(letter)), "{name}: {seen}");
    }
}

#[test]
fn no_character_of_a_text_is_without_a_token() {
    // Qwen's tokenizer joins a letter and its marks first: the one sign that comes of it stands where
    // the letter does, for transformers too.
    let is_mark = |c: char| matches!(c, '\u{301}' | '\u{327}' | '\u{1161}' | '\u{11ab}');
    for (name, tokenizer, cases) in layouts() {
        let mut without = String::new();
        for Cut { text, offsets, .. } in &cases.texts {
            for (nth, (at, letter)) in text.char_indices().enumerate() {
                let found = tokenizer.encode(text, at..at + letter.len_utf8()).unwrap();
                let theirs = offsets.iter().any(|(start, end)| (*start..*end).contains(&nth));
                assert_eq!(found.input.is_some(), theirs, "{name}: {letter:?} of {text:?}");
                without.extend((!theirs).then_some(letter));
            }
        }
        assert!(without.chars().all(is_mark), "{name}: {without:?}");
        assert_eq!(without.chars().count(), if name == "qwen" { 4 } else { 0 }, "{name}");
    }
}

#[test]
fn every_token_alone_keeps_its_blanks() {
    for (name, tokenizer, cases) in layouts() {
        for (id, text) in (0..).zip(&cases.tokens) {
            assert_eq!(tokenizer.decode_token(id), *text, "{name}: token {id}");
        }
        let has = |text: &str| cases.tokens.iter().any(|token| token == text);
        assert!(has(" red") && has("red") && has(" ") && has("\u{fffd}"), "{name}");
    }
}

#[test]
fn tokens_one_by_one_make_the_text_again() {
    for (name, tokenizer, cases) in layouts() {
        for Cut { text, .. } in cases.texts.iter().filter(|cut| cut.text.is_ascii()) {
            let ids = tokenizer.encode(text, 0..text.len()).unwrap().ids;
            let own = ids.iter().skip(cases.prefix_ids.len().min(ids.len()));
            let again: String = own.map(|id| tokenizer.decode_token(*id)).collect();
            // Llama 2 puts a blank in front of every text and behind special tokens, Mistral in front of a
            // text that has none.
            let expected = match name.as_str() {
                "llama2" if !text.is_empty() => format!(" {}", text.replace("<s>", "<s> ")),
                "mistral" if !text.is_empty() && !text.starts_with(' ') => format!(" {text}"),
                _ => text.clone(),
            };
            assert_eq!(again, expected, "{name}");
        }
    }
}

//! What `check` says of the special tokens that stand around every prompt.

use crate::model::{Specials, Tokenizer};
use crate::prompt::visible;

/// A sentence for each thing to know; none where the tokenizer has no such tokens, as GPT-2's.
pub(super) fn sentences(tokenizer: &Tokenizer) -> Vec<String> {
    let (wanted, own) = (tokenizer.specials(), tokenizer.own_specials());
    if own.is_empty() {
        return Vec::new();
    }
    let text = |ids: &[i32]| {
        let texts = ids.iter().map(|id| visible(&tokenizer.decode_token(*id)));
        texts.collect::<Vec<_>>().join(" ")
    };
    let places = |specials: &Specials| {
        let sides = [("before", &specials.before), ("after", &specials.after)];
        let of = |(side, ids): &(&str, &Vec<i32>)| format!("{} {side} it", text(ids));
        let sides = sides.iter().filter(|(_, ids)| !ids.is_empty()).map(of);
        sides.collect::<Vec<_>>().join(" and ")
    };
    if wanted.is_empty() {
        let places = places(own);
        return vec![format!(
            "none, though the model's tokenizer adds {places} to every text: \
             `special_tokens: tokenizer` adds them"
        )];
    }
    let mut sentences = vec![format!(
        "every prompt has {}, as the model's tokenizer adds; `special_tokens: none` leaves that out",
        places(wanted)
    )];
    if let Some(last) = wanted.after.last() {
        sentences.push(format!(
            "warning: the last token of every prompt is {}, so all that is measured at the last \
             token is about it",
            text(&[*last])
        ));
    }
    sentences
}

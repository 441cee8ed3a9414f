//! What `check` says of the special tokens that stand around every prompt.

use crate::model::{Specials, Tokenizer};
use crate::pipeline::{Form, Pipeline};
use crate::prompt::visible;
use crate::yaml::quote;

/// A sentence for each thing to know; none where there are no such tokens and no chat, as with GPT-2.
pub(super) fn sentences(pipeline: &Pipeline, tokenizer: &Tokenizer) -> Vec<String> {
    let mut sentences: Vec<String> =
        pipeline.forms.iter().filter_map(|form| sentence(pipeline, form, tokenizer)).collect();
    let added = tokenizer.specials();
    if let Some(last) = added.after.last() {
        sentences.push(format!(
            "warning: the last token of every prompt with special tokens is {}, so all that is measured \
             at the last token is about it",
            text(tokenizer, &[*last])
        ));
    }
    sentences
}

/// What to know of one form.
fn sentence(pipeline: &Pipeline, form: &Form, tokenizer: &Tokenizer) -> Option<String> {
    let name = match form.name.as_str() {
        "" => String::new(),
        name => format!("form {}: ", quote(name)),
    };
    if let Some(chat) = form.chat() {
        let roles: Vec<String> = chat.roles().map(visible).collect();
        let end = if chat.continues() { ", which the model goes on with" } else { "" };
        return Some(format!(
            "{name}the model's chat template around {}{end}; its special tokens are in the text",
            roles.join(", ")
        ));
    }
    let plain =
        pipeline.card.chat_template.as_ref().map(
            |_| "; the model has a chat template, which these prompts do not use (`chat:` does)",
        );
    let plain = plain.unwrap_or_default();
    let own = tokenizer.own_specials();
    if own.is_empty() {
        return (!plain.is_empty()).then(|| format!("{name}none, plain text{plain}"));
    }
    Some(if form.adds_special_tokens {
        format!(
            "{name}every prompt has {}, as the model's tokenizer adds; `special_tokens: none` leaves \
             that out{plain}",
            places(tokenizer, own)
        )
    } else {
        format!(
            "{name}none, though the model's tokenizer adds {} to every text: `special_tokens: auto` \
             adds them{plain}",
            places(tokenizer, own)
        )
    })
}

/// The tokens, and on which side of a prompt they stand.
fn places(tokenizer: &Tokenizer, specials: &Specials) -> String {
    let sides = [("before", &specials.before), ("after", &specials.after)];
    let of = |(side, ids): &(&str, &Vec<i32>)| format!("{} {side} it", text(tokenizer, ids));
    let sides = sides.iter().filter(|(_, ids)| !ids.is_empty()).map(of);
    sides.collect::<Vec<_>>().join(" and ")
}

fn text(tokenizer: &Tokenizer, ids: &[i32]) -> String {
    let texts = ids.iter().map(|id| visible(&tokenizer.decode_token(*id)));
    texts.collect::<Vec<_>>().join(" ")
}

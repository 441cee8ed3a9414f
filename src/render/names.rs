//! What columns and codes of the tables are called where a person reads them.

use super::page::Piece;

/// In column `layer`: the model's output, after all layers.
const OUTPUT_LAYER: i16 = -1;
/// In column `head`: the mean over all heads.
const MEAN_HEAD: i16 = -1;

/// Every measure that tables `similarity`, `contrast`, `output_contrast` and `effect` can hold.
const MEASURES: [(&str, &str); 27] = [
    ("flat", "all tokens flattened, the notebook's number"),
    ("token", "the input token by token, raw"),
    ("last", "the last token, raw"),
    ("span", "the input's tokens, raw"),
    ("token_centred", "the input token by token, centred"),
    ("last_centred", "the last token, centred"),
    ("span_centred", "the input's tokens, centred"),
    ("token_standardised", "the input token by token"),
    ("last_standardised", "the last token"),
    ("span_standardised", "the input's tokens"),
    ("token_rel_l2", "the input token by token, by distance"),
    ("last_rel_l2", "the last token, by distance"),
    ("span_rel_l2", "the input's tokens, by distance"),
    ("token_log_norm_ratio", "the input token by token, by length"),
    ("last_log_norm_ratio", "the last token, by length"),
    ("span_log_norm_ratio", "the input's tokens, by length"),
    ("token_rogue_share", "the input token by token, share of the three largest dimensions"),
    ("last_rogue_share", "the last token, share of the three largest dimensions"),
    ("span_rogue_share", "the input's tokens, share of the three largest dimensions"),
    ("jsd_bits", "what the model says next"),
    ("attention_jsd_full", "where the last token looks"),
    ("attention_jsd_no_sink", "where the last token looks, without position 0"),
    ("attention_jsd_input", "where on the input the last token looks"),
    ("lens_jsd_bits", "what the model would say next"),
    ("surprisal_bits", "surprisal of the input's tokens"),
    ("geometry_dcka_span", "how the inputs lie to each other, input's tokens"),
    ("geometry_dcka_last", "how the inputs lie to each other, last token"),
];

/// What a measure compares; the bare name of one that is not known.
pub fn measure(column: &str) -> &str {
    MEASURES.iter().find(|(known, _)| *known == column).map_or(column, |(_, name)| name)
}

/// What a measure compares, with its column's name beside it; the bare name alone where that is
/// all there is.
pub(super) fn piece(column: &str) -> Piece {
    let name = measure(column);
    let code = if name == column { "" } else { column };
    Piece { text: name.to_owned(), code: code.to_owned() }
}

/// The same in plain text: `the last token (last_standardised)`.
pub(super) fn with_column(column: &str) -> String {
    let Piece { text, code } = piece(column);
    if code.is_empty() { text } else { format!("{text} ({code})") }
}

/// What tasks are compared with, from column `contrast` of table `effect`: the wordings of a task
/// or the control of that role.
pub fn baseline(contrast: &str) -> &str {
    match contrast {
        "paraphrase" => "other wordings",
        "neutral" => "a neutral prefix",
        "scrambled" => "scrambled words",
        "other_input" => "another input",
        other => other,
    }
}

/// Which vectors are compared, from column `site`.
pub fn site(site: &str) -> &str {
    match site {
        "token" => "the input's tokens, one by one",
        "span" => "mean over the input's tokens",
        "last" => "last token",
        other => other,
    }
}

/// A layer with its number, or what comes after all layers.
pub fn layer(layer: i16) -> String {
    if layer == OUTPUT_LAYER { "the model's output".to_owned() } else { format!("layer {layer}") }
}

/// A layer in a column or on an axis of layers, where its number is enough.
pub(super) fn layer_number(layer: i16) -> String {
    if layer == OUTPUT_LAYER { self::layer(layer) } else { layer.to_string() }
}

/// A head with its number, or the mean over all of them.
pub fn head(head: i16) -> String {
    if head == MEAN_HEAD { "mean of heads".to_owned() } else { format!("head {head}") }
}

/// The unit of a measure's dissimilarity.
pub(super) fn unit(measure: &str) -> &'static str {
    match measure {
        _ if measure.ends_with("bits") || measure.starts_with("attention_jsd") => "bits",
        _ if measure.contains("dcka") => "1 - CKA",
        _ => "1 - cosine",
    }
}

/// `1 input`, `2 inputs`.
pub(super) fn count(n: i64, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// `a`, `a and b`, `a, b and c`: what stands in front of the `i`-th of `n` things.
pub(super) fn joint(i: usize, n: usize) -> &'static str {
    match i {
        0 => "",
        i if i + 1 == n => " and ",
        _ => ", ",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_measure_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = MEASURES.iter().map(|(_, name)| *name).collect();
        assert_eq!(names.len(), MEASURES.len());
        assert_eq!(with_column("last_standardised"), "the last token (last_standardised)");
    }

    #[test]
    fn what_is_not_known_keeps_its_bare_name() {
        assert_eq!(with_column("a_new_measure"), "a_new_measure");
        assert_eq!((baseline("shuffled"), site("first")), ("shuffled", "first"));
    }

    #[test]
    fn codes_are_words_where_a_person_reads() {
        assert_eq!((&*layer(-1), &*layer(3)), ("the model's output", "layer 3"));
        assert_eq!((&*layer_number(-1), &*layer_number(3)), ("the model's output", "3"));
        assert_eq!((&*head(-1), &*head(3)), ("mean of heads", "head 3"));
    }

    #[test]
    fn things_are_listed_as_in_a_sentence() {
        let list = |things: &[&'static str]| {
            let n = things.len();
            let thing = |(i, thing): (usize, &&'static str)| [joint(i, n), *thing].concat();
            things.iter().enumerate().map(thing).collect::<Vec<String>>().concat()
        };
        assert_eq!(list(&["a"]), "a");
        assert_eq!(list(&["a", "b"]), "a and b");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }
}

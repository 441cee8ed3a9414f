//! The head: the final layer norm and the unembedding as a graph of their own.

use std::fs;

use aqlens::model::{Batch, Engine, ModelCard, Wanted};

use crate::support::pipeline::{Folder, GOOD};
use crate::support::tiny::{self, Copy};
use crate::support::{aqlens, assert_says, file, refuses};

/// What the probe's prompts give: the last block's output at each one's last token, and the logits.
fn ends(card: &ModelCard, engine: &Engine) -> (Vec<f32>, Vec<f32>) {
    let rows: Vec<usize> = (0..card.probe.prompts.len()).collect();
    let batch = Batch::pad(&rows, &card.probe.prompts, 0);
    let wanted = Wanted { hidden: vec![card.n_layer - 1], ..Wanted::default() };
    let (mut hidden, mut logits) = (Vec::new(), Vec::new());
    let take = &mut |outputs: &aqlens::model::Outputs<'_>| {
        logits = outputs.logits.to_vec();
        for (row, length) in batch.lengths.iter().enumerate() {
            let start = (row * batch.seq + length - 1) * card.d_model;
            hidden.extend_from_slice(&outputs.hidden[0][start..start + card.d_model]);
        }
    };
    engine.run(&batch, &wanted, take).unwrap();
    (hidden, logits)
}

/// The largest difference of two vectors as a share of the second one's norm.
fn off(found: &[f32], expected: &[f32]) -> f64 {
    let norm = expected.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let differences = found.iter().zip(expected).map(|(a, b)| f64::from((a - b).abs()));
    differences.fold(0.0, f64::max) / norm
}

/// What an engine on a copy says when its head is opened.
fn open_head(copy: &Copy) -> String {
    let card = ModelCard::load(copy.path()).unwrap();
    tiny::engine_of(card).open_head().unwrap_err().to_string()
}

/// Changes the head graph's bytes and makes the card agree.
fn patch_head(copy: &Copy, patch: impl FnOnce(&mut Vec<u8>)) {
    let mut head = copy.read("head.onnx");
    patch(&mut head);
    copy.write("head.onnx", &head);
    let sha256 = aqlens::store::hex_sha256(&head);
    copy.edit_card(|card| {
        card["files"]["head.onnx"]["sha256"] = sha256.into();
        card["files"]["head.onnx"]["bytes"] = head.len().into();
    });
}

/// A folder as an exporter without heads made it.
fn without_head() -> Copy {
    let copy = Copy::new();
    fs::remove_file(copy.path().join("head.onnx")).unwrap();
    copy.edit_card(|card| {
        card["files"].as_object_mut().unwrap().remove("head.onnx");
        card["probe"].as_object_mut().unwrap().remove("head");
    });
    copy
}

#[test]
fn the_last_block_gives_the_models_own_logits_and_no_other_norm_comes_in() {
    for folder in ["tests/fixtures/tiny", "data/demo"] {
        let card = ModelCard::load(&file(folder)).unwrap();
        let engine = tiny::engine_of(card.clone());
        let (hidden, logits) = ends(&card, &engine);
        let found = engine.run_head(&hidden).unwrap();
        let found = (*found).as_ref();
        assert_eq!(found.len(), card.probe.prompts.len() * card.vocab_size);
        for (found, own) in found.chunks(card.vocab_size).zip(logits.chunks(card.vocab_size)) {
            assert!(off(found, own) < 1e-6, "{folder}: off by {:.2e}", off(found, own));
        }
        assert_eq!((engine.calls(), engine.head_calls()), (1, 1), "{folder}");
    }
}

#[test]
fn a_row_does_not_depend_on_the_rows_beside_it() {
    let (card, engine) = (tiny::card(), tiny::engine());
    let (hidden, _) = ends(&card, &engine);
    let together = engine.run_head(&hidden).unwrap();
    let together = (*together).as_ref().chunks(card.vocab_size);
    for (row, own) in hidden.chunks(card.d_model).zip(together) {
        assert!(off((*engine.run_head(row).unwrap()).as_ref(), own) < 1e-6);
    }
}

#[test]
fn a_call_of_the_head_is_kept_to_64_mib_of_scores() {
    let rows = |vocab_size| {
        let mut card = tiny::card();
        card.vocab_size = vocab_size;
        tiny::engine_of(card).head_rows()
    };
    assert_eq!([rows(50_257), rows(1 << 24), rows(1 << 25)], [333, 1, 1]);
}

#[test]
fn a_folder_without_a_head_serves_everything_else_and_says_how_to_get_one() {
    let copy = without_head();
    let card = ModelCard::load(copy.path()).unwrap();
    assert_eq!((card.head_path(), card.head_sha256()), (None, None));
    tiny::engine_of(card).open().unwrap();
    assert_says(&open_head(&copy), &["no head.onnx", "surprisal", "aqlens-export"]);
}

#[test]
fn a_pipeline_that_needs_the_head_or_the_last_layer_is_refused_before_it_runs() {
    let (copy, folder) = (without_head(), Folder::new());
    let stages = format!("{GOOD}  - kind: surprisal\n  - kind: lens\n");
    folder.write(&stages.replace("layers: [0, 4]", "layers: [0, 3]"));
    let model = format!("model={}", copy.path().display());
    let check = |set: &[&str]| aqlens(folder.path(), &[&["check", "pipeline.yml"], set].concat());
    let words = ["`surprisal` needs head.onnx", "`lens` needs head.onnx", "aqlens-export"];
    refuses(&check(&["--set", &model]), 2, &words);
    let words = ["reads layer 4, the model's last, which is not captured", "add 4 to", "1 problem"];
    refuses(&check(&[]), 2, &words);
    assert_eq!(check(&["--set", "stages.extract.layers=[4]"]).code, 0);
}

#[test]
fn the_head_has_no_part_in_what_the_graph_computes() {
    let copy = without_head();
    let card = ModelCard::load(copy.path()).unwrap();
    let with_head = ModelCard::load(Copy::new().path()).unwrap();
    assert_eq!(card.graph_sha256(), with_head.graph_sha256());
    // Of the files that have a part, a folder may have one alone.
    let first = with_head.graph_sha256();
    copy.edit_card(|card| card["files"]["model.onnx.data"]["sha256"] = "0".repeat(64).into());
    assert_ne!(ModelCard::load(copy.path()).unwrap().graph_sha256(), first);
    copy.edit_card(|card| {
        let files = card["files"].as_object_mut().unwrap();
        files.retain(|name, _| name == "model.onnx" || name == "tokenizer.json");
    });
    let card = ModelCard::load(copy.path()).unwrap();
    assert_eq!(card.graph_sha256(), card.files["model.onnx"].sha256);
}

#[test]
fn a_head_comes_with_its_probe_or_not_at_all() {
    type Edit = fn(&mut serde_json::Value);
    let cases: [(Edit, &str); 3] = [
        (|card| card["probe"]["head"] = serde_json::json!([]), "has no head values in its probe"),
        (
            |card| _ = card["files"].as_object_mut().unwrap().remove("head.onnx"),
            "does not list 'head.onnx'",
        ),
        (|card| card["probe"]["head"][0]["layer"] = 5.into(), "head values lie outside"),
    ];
    for (edit, reason) in cases {
        let copy = Copy::new();
        copy.edit_card(edit);
        let message = ModelCard::load(copy.path()).unwrap_err().to_string();
        assert_says(&message, &["model.json", reason, "aqlens-export"]);
    }
}

#[test]
fn a_head_that_was_changed_is_refused_by_its_hash() {
    let copy = Copy::new();
    let mut head = copy.read("head.onnx");
    let middle = head.len() / 2;
    head[middle] ^= 1;
    copy.write("head.onnx", &head);
    assert_says(&open_head(&copy), &["head.onnx", "found sha256", "aqlens-export"]);
}

#[test]
fn a_head_of_another_model_is_refused_by_what_it_computes() {
    let copy = Copy::new();
    patch_head(&copy, |head| {
        // It takes other weights for the norm's: the address in the file stands behind the name.
        let name = head.windows(10).rposition(|bytes| bytes == b"ln_f.scale").unwrap();
        let address = head[name..].windows(6).position(|bytes| bytes == b"offset").unwrap();
        let digit = head[name + address + 8..].first_mut().unwrap();
        assert!(digit.is_ascii_digit() && *digit > b'1', "{}", char::from(*digit));
        *digit -= 1;
    });
    let place = ["head.onnx", "output logits on hidden.4, prompt 0, last position, number 0"];
    let message = open_head(&copy);
    assert_says(&message, &place);
    assert_says(&message, &["the whole model gives", "off by", "allowed", "aqlens-export"]);
}

#[test]
fn a_head_that_gives_other_numbers_than_pytorch_is_refused() {
    let copy = Copy::new();
    copy.edit_card(|card| {
        let value = &mut card["probe"]["head"][0]["value"][2];
        *value = (value.as_f64().unwrap() + 0.05).into();
    });
    let place = "output logits on hidden.2, prompt 0, position 10, number ";
    assert_says(&open_head(&copy), &["fails its probe", place, "PyTorch gave", "off by 5.000e-2"]);
}

#[test]
fn a_head_without_its_output_is_refused() {
    let copy = Copy::new();
    patch_head(&copy, |head| {
        for at in 0..head.len() - 6 {
            if &head[at..at + 6] == b"logits" {
                head[at..at + 6].copy_from_slice(b"logitz");
            }
        }
    });
    assert_says(&open_head(&copy), &["head.onnx lacks output 'logits'", "aqlens-export"]);
}

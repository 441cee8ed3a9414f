//! A model folder from a stranger is data: whatever its files say, there is an error that says what is
//! wrong, and nothing outside the folder is read.

use std::fs;
use std::time::{Duration, Instant};

use aqlens::model::{ModelCard, Tokenizer};
use aqlens::stages::extract::{Config, TooLong};
use aqlens::store::hex_sha256;
use aqlens::table::schema::PROMPTS;
use serde_json::{Value, json};

use crate::support::assert_says;
use crate::support::tiny::{self, Copy, Extraction, prompts};

/// What the files of a folder say when they are compared with the card.
fn verify(copy: &Copy) -> Result<(), String> {
    let card = ModelCard::load(copy.path()).map_err(|e| e.to_string())?;
    card.verify_files().map_err(|e| e.to_string())
}

#[test]
fn weights_in_a_file_that_is_not_listed_are_refused() {
    let copy = Copy::new();
    copy.edit_card(|card| _ = card["files"].as_object_mut().unwrap().remove("model.onnx.data"));
    let parts = ["model.onnx keeps tensor '", "in file 'model.onnx.data'", "does not list"];
    assert_says(&copy.open(), &parts);
    assert_says(&verify(&copy).unwrap_err(), &parts);
    // Of the head as well, whatever the other graphs say.
    let copy = Copy::new();
    let head = String::from_utf8_lossy(&copy.read("head.onnx")).into_owned();
    assert!(head.contains("model.onnx.data"), "the head shares weights");
    let renamed: Vec<u8> = replace(&copy.read("head.onnx"), b"model.onnx.data", b"other.onnx.data");
    copy.relist("head.onnx", &renamed);
    fs::copy(copy.path().join("model.onnx.data"), copy.path().join("other.onnx.data")).unwrap();
    let parts = ["head.onnx keeps tensor '", "'other.onnx.data'", "does not list"];
    assert_says(&verify(&copy).unwrap_err(), &parts);
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    for start in 0..text.len() - from.len() {
        if &text[start..start + from.len()] == from {
            text[start..start + from.len()].copy_from_slice(to);
        }
    }
    text
}

#[test]
fn a_graph_that_names_a_file_elsewhere_is_refused() {
    for name in ["../el.onnx.data", "/tmp/.onnx.data", "a/del.onnx.data", "*/_ORT_MEM_ADDR"] {
        let copy = Copy::new();
        copy.patch_graph("model.onnx.data", name);
        assert_says(&copy.open(), &["keeps tensor '", name, "plain name in its folder"]);
    }
    // A tokenizer's hash says nothing of weights.
    let copy = Copy::new();
    copy.relist("tokenizer.json", &copy.read("tokenizer.json"));
    let graph = replace(&copy.read("model.onnx"), b"\x0fmodel.onnx.data", b"\x0ftokenizer.json\0");
    copy.relist("model.onnx", &graph);
    let message = verify(&copy).unwrap_err();
    assert_says(&message, &["keeps tensor '", "tokenizer.json"]);
    // Too small a file.
    let copy = Copy::new();
    let weights = copy.read("model.onnx.data");
    copy.relist("model.onnx.data", &weights[..weights.len() / 2]);
    assert_says(&copy.open(), &["keeps tensor '", "up to byte", "model.onnx.data"]);
}

#[cfg(unix)]
#[test]
fn links_are_followed_to_the_content_that_is_listed_and_nothing_else_is_read() {
    use std::os::unix::fs::symlink;

    let (copy, other) = (Copy::new(), Copy::new());
    let data = copy.path().join("model.onnx.data");
    let instead = |target: &std::path::Path| {
        fs::remove_file(&data).unwrap();
        symlink(target, &data).unwrap();
        verify(&copy)
    };
    instead(&other.path().join("model.onnx.data")).unwrap();
    let message = instead("/dev/zero".as_ref()).unwrap_err();
    assert_says(&message, &["model.onnx.data", "a folder, a pipe or a device"]);
    let message = instead(other.path()).unwrap_err();
    assert_says(&message, &["model.onnx.data", "a folder, a pipe or a device"]);
    let message = instead(&other.path().join("model.onnx")).unwrap_err();
    assert_says(&message, &["model.onnx.data", "bytes, found"]);
    fs::remove_file(copy.path().join("model.json")).unwrap();
    symlink("/dev/zero", copy.path().join("model.json")).unwrap();
    assert_says(&verify(&copy).unwrap_err(), &["model.json is no plain file"]);
}

#[test]
fn a_file_that_changes_after_it_was_hashed_is_noticed_when_the_graph_is_loaded() {
    let copy = Copy::new();
    let card = ModelCard::load(copy.path()).unwrap();
    card.verify_files().unwrap();
    let mut weights = copy.read("model.onnx.data");
    // The last bit of one number: the probe does not see it.
    weights[0] ^= 1;
    copy.write("model.onnx.data", &weights);
    let message = tiny::engine_of(card).open().unwrap_err().to_string();
    assert_says(&message, &["model.onnx.data", "found sha256"]);
}

#[test]
fn no_damage_to_a_graph_makes_the_walk_panic_or_hang() {
    let copy = Copy::new();
    let whole = copy.read("model.onnx");
    let mut drawn = 0;
    let mut draw = |below: usize| {
        drawn += 1;
        let hash = hex_sha256(format!("graphs {drawn}").as_bytes());
        usize::from_str_radix(&hash[..8], 16).unwrap() % below
    };
    let mut refused = 0;
    for case in 0..400 {
        let mut graph = whole.clone();
        if case % 4 == 0 {
            graph.truncate(draw(whole.len()));
        } else {
            for _ in 0..=case % 7 {
                let at = draw(whole.len());
                graph[at] = draw(256) as u8;
            }
        }
        copy.relist("model.onnx", &graph);
        refused += usize::from(verify(&copy).is_err());
    }
    assert!(refused > 100, "{refused}");
    for junk in [&b"this is no graph"[..], &[0xff; 4096], &[0x3a, 0xff, 0xff, 0xff, 0xff, 7]] {
        copy.relist("model.onnx", junk);
        assert_says(&verify(&copy).unwrap_err(), &["model.onnx is no ONNX graph", "near byte"]);
    }
}

#[test]
fn a_card_of_huge_or_odd_numbers_is_refused_without_using_them() {
    type Edit = fn(&mut Value);
    let cases: [(Edit, &str); 22] = [
        (|c| c["n_layer"] = 1_000_000_000.into(), "invalid value"),
        (|c| c["n_layer"] = 30_000.into(), "n_layer = 30000, which must be 1 to 1000"),
        (|c| c["n_head"] = (-3).into(), "n_head = -3"),
        (|c| c["n_head"] = 2.into(), "d_model = 27, which n_head = 2 does not divide"),
        (|c| c["vocab_size"] = (1_u64 << 40).into(), "vocab_size = 1099511627776"),
        (|c| c["vocab_size"] = u64::MAX.into(), "vocab_size"),
        (|c| c["d_model"] = (-1).into(), "invalid value"),
        (|c| c["n_positions"] = 1.5.into(), "invalid type"),
        (|c| c["n_positions"] = (1_u64 << 33).into(), "n_positions"),
        (|c| c["probe"]["relative_tolerance"] = (-1e-5).into(), "tolerance of -0.00001"),
        (|c| c["probe"]["relative_tolerance"] = Value::Null, "invalid type: null"),
        (|c| c["probe"]["attention_tolerance"] = 1e300.into(), "tolerance of 1"),
        (|c| c["probe"]["prompts"] = json!(vec![vec![0]; 70_000]), "more than 65536 tokens"),
        (|c| c["probe"]["prompts"][0] = json!([-1]), "probe prompt 0"),
        (|c| c["probe"]["hidden"][0]["index"] = json!([usize::MAX]), "hidden values lie outside"),
        (|c| _ = c["probe"]["hidden"][0]["value"].as_array_mut().unwrap().pop(), "hidden values"),
        (|c| _ = c["probe"].as_object_mut().unwrap().remove("logits"), "missing field `logits`"),
        (|c| c["files"]["/etc/passwd"] = c["files"]["model.onnx"].clone(), "'/etc/passwd'"),
        (|c| c["files"]["model.json"] = c["files"]["model.onnx"].clone(), "'model.json'"),
        (|c| c["files"][".."] = c["files"]["model.onnx"].clone(), "'..'"),
        (|c| c["files"]["a\u{1b}[2J"] = c["files"]["model.onnx"].clone(), "'a\\u{1b}[2J'"),
        (|c| c["source"]["name"] = "x\u{1b}]0;y\u{7}".into(), "control characters in source.name"),
    ];
    for (edit, reason) in cases {
        let copy = Copy::new();
        copy.edit_card(edit);
        let message = ModelCard::load(copy.path()).unwrap_err().to_string();
        assert_says(&message, &["model.json", reason]);
    }
}

#[test]
fn a_card_that_is_no_plain_json_is_refused() {
    let copy = Copy::new();
    let card = String::from_utf8(copy.read("model.json")).unwrap();
    let again = |from: &str, to: &str| {
        assert!(card.contains(from), "{from}");
        copy.write("model.json", card.replacen(from, to, 1).as_bytes());
        ModelCard::load(copy.path()).unwrap_err().to_string()
    };
    assert_says(&again("{", r#"{"format":1,"#), &["duplicate field `format`"]);
    assert_says(&again(r#""n_layer":"#, r#""n_layer":1,"n_layer":"#), &["duplicate field"]);
    let twice = r#""files":{"model.onnx":{"sha256":"","bytes":1},"#;
    assert_says(&again(r#""files":{"#, twice), &["'model.onnx' is there twice"]);
    let infinite = again(r#""relative_tolerance":"#, r#""relative_tolerance":1e999,"x":"#);
    assert_says(&infinite, &["out of range"]);
    let deep = format!(r#""exporter":{{"x":{}{},"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_says(&again(r#""exporter":{"#, &deep), &["recursion limit"]);
    let long = format!(r#""exporter":{{"x":"{}","#, "y".repeat(5000));
    assert_says(&again(r#""exporter":{"#, &long), &["more than 4096 bytes"]);
    for junk in [&b""[..], b"null", b"[]", b"\xff\xfe{", b"\0\0\0\0"] {
        copy.write("model.json", junk);
        let message = ModelCard::load(copy.path()).unwrap_err().to_string();
        assert_says(&message, &["model.json is not valid"]);
    }
}

/// The tokens of a text, or what the tokenizer says.
fn tokens(tokenizer: &Tokenizer, text: &str) -> Result<Vec<i32>, String> {
    tokenizer.encode(text, 0..0).map(|encoded| encoded.ids).map_err(|e| e.to_string())
}

#[test]
fn a_tokenizer_of_another_hash_is_not_used() {
    let copy = Copy::new();
    let changed = replace(&copy.read("tokenizer.json"), b"\"dropout\":null", b"\"dropout\":0.25");
    copy.write("tokenizer.json", &changed);
    assert_says(&copy.tokenizer().unwrap_err(), &["tokenizer.json", "found sha256"]);
}

#[test]
fn nothing_is_left_to_chance() {
    let text = "What color is the ball on the table? ".repeat(20);
    let expected = tokens(&tiny::tokenizer(), &text).unwrap();
    let copy = Copy::new();
    copy.edit_tokenizer(|file| file["model"]["dropout"] = 0.5.into());
    for _ in 0..3 {
        assert_eq!(tokens(&copy.tokenizer().unwrap(), &text).unwrap(), expected);
    }
    copy.edit_tokenizer(|file| file["model"]["dropout"] = 7.into());
    assert_says(&copy.tokenizer().unwrap_err(), &["tokenizer.json cannot be read", "Dropout"]);
}

#[test]
fn a_tokenizer_that_panics_is_an_error_about_its_file() {
    let regex = |pattern: &str| {
        json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
               "invert": false})
    };
    let charsmap = |map: &str| json!({"type": "Precompiled", "precompiled_charsmap": map});
    let replace =
        |pattern: &str| json!({"type": "Replace", "pattern": {"Regex": pattern}, "content": "x"});
    let cases: [(&str, Value); 10] = [
        ("pre_tokenizer", regex("(")),
        ("pre_tokenizer", regex(r"(?<a>\g<a>)")),
        ("pre_tokenizer", regex("(a+)+$")),
        ("pre_tokenizer", regex(r"(?<a>a\g<a>?)+$")),
        ("normalizer", replace("[")),
        ("normalizer", replace("(a|a)+$")),
        ("normalizer", charsmap("AAAA")),
        ("normalizer", charsmap("/////wAA")),
        ("normalizer", charsmap(&"q83v".repeat(400))),
        ("model", json!({"type": "Unigram", "vocab": [["a", -1.0]], "unk_id": 900})),
    ];
    let text = format!("{}b", "a".repeat(3000));
    for (part, value) in cases {
        let copy = Copy::new();
        let described = value.to_string();
        copy.edit_tokenizer(|file| file[part] = value);
        let result = copy.tokenizer().and_then(|tokenizer| tokens(&tokenizer, &text));
        if let Err(message) = result {
            assert_says(&message, &["tokenizer.json", "aqlens-export"]);
        } else {
            assert!(described.contains("charsmap"), "{described} was taken");
        }
    }
}

/// A tokenizer that takes a second for some twenty letters of a text of the letter a: no limit of the
/// search for one match ends that.
fn slow() -> (Copy, String) {
    let copy = Copy::new();
    let pattern = "(?:a|aa){20}(?!a)";
    copy.edit_tokenizer(|file| {
        file["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
             "invert": false},
            file["pre_tokenizer"],
        ]});
    });
    (copy, "a".repeat(80))
}

#[test]
fn a_tokenizer_that_does_not_end_is_given_up_once() {
    let (copy, text) = slow();
    let tokenizer = copy.tokenizer().unwrap();
    assert!(tokens(&tokenizer, "no such letter").is_ok(), "it is good for other texts");
    let tokenizer = tokenizer.with_patience(Duration::from_millis(300));
    let message = tokens(&tokenizer, &text).unwrap_err();
    let parts = ["is not done after 0.3 seconds on the text \"aaaa", "of 80 bytes"];
    assert_says(&message, &parts);
    let begun = Instant::now();
    assert_says(&tokens(&tokenizer, "a").unwrap_err(), &parts);
    assert!(begun.elapsed() < Duration::from_millis(300), "nobody waits twice");
}

#[test]
fn a_person_who_stops_the_run_does_not_wait_for_the_tokenizer() {
    let (copy, text) = slow();
    let tokenizer = copy.tokenizer().unwrap();
    let prompt = &prompts(&[&text])[0];
    let message = tokenizer.encode_prompt_unless(prompt, &|| true).unwrap_err().to_string();
    assert_says(&message, &["was stopped on the text"]);
}

#[test]
fn a_text_that_is_too_long_by_its_bytes_is_left_out_and_not_tokenised() {
    let long = "the ball ".repeat(3_400_000);
    let texts = prompts(&["a", &long]);
    let extraction = Extraction::of(&tiny::engine(), Config::default(), &texts);
    let parts = ["prompt s/input-1/task has at least", "30600000 bytes", "64 at most", "shorten"];
    assert_says(&extraction.error(), &parts);
    let config = Config { too_long: TooLong::Skip, ..Config::default() };
    let extraction = Extraction::of(&tiny::engine(), config, &texts);
    let part = extraction.part(&PROMPTS, None, &["status", "n_tokens", "segments"]);
    assert_eq!(part.texts("status").unwrap().value(1), "too_long");
    assert_eq!(part.int32s("n_tokens").unwrap().value(1), 0);
    let message = tokens(&tiny::tokenizer(), &long).unwrap_err();
    assert_says(&message, &["the text \"the ball", "30600000 bytes", "has at least", "shorten it"]);
}

#[test]
fn no_text_that_fits_is_too_long_by_its_bytes() {
    let n = 20_000;
    let copy = Copy::new();
    copy.edit_card(|card| card["n_positions"] = n.into());
    let tokenizer = copy.tokenizer().unwrap();
    let spelled = |id: i32| tokenizer.decode_token(id);
    // The longest token there is, which stands for itself however often.
    let longest = (0..320).map(spelled).max_by_key(String::len).unwrap();
    let text = longest.repeat(n);
    assert!(text.len() > 64 << 10, "{}", text.len());
    assert_eq!(tokenizer.too_long(&text), None);
    assert_eq!(tokens(&tokenizer, &text).unwrap().len(), n);
    let reason = tokenizer.too_long(&format!("{text}a")).unwrap();
    assert_says(&reason, &["has at least 20001 tokens", "20000 at most"]);
    // One that drops blanks may read any number of bytes, and is given a bound that says so.
    copy.edit_tokenizer(|file| {
        file["normalizer"] = json!({"type": "Strip", "strip_left": true,
                                                           "strip_right": true});
    });
    copy.edit_card(|card| card["n_positions"] = 64.into());
    let tokenizer = copy.tokenizer().unwrap();
    let blanks = format!("{}a", " ".repeat(200_000));
    assert_eq!(tokens(&tokenizer, &blanks).unwrap().len(), 1);
    let reason = tokenizer.too_long(&" ".repeat(300_000)).unwrap();
    assert_says(&reason, &["has 300000 bytes", "262144 bytes are not tokenised", "drop text"]);
    // One that makes texts longer without end is not let.
    let twice = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
    copy.edit_tokenizer(|file| {
        file["normalizer"] = json!({"type": "Sequence", "normalizers": vec![twice; 40]});
    });
    let reason = copy.tokenizer().unwrap().too_long(&"a".repeat(100)).unwrap();
    assert_says(&reason, &["normaliser may make"]);
}

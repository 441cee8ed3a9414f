//! The tiny random model, as a folder that a test may damage, and extraction with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use aqlens::model::{Engine, EngineOptions, ModelCard, ProviderChoice, Tokenizer};
use aqlens::monitor::{Event, Monitor};
use aqlens::prompt::{Prompt, PromptKey};
use aqlens::stage::{Context, Facts, Outcome, Stage, StageError};
use aqlens::stages::extract::Config;
use aqlens::store::{Store, hex_sha256};
use aqlens::table::Table;
use aqlens::table::reader::{Part, read_part};
use aqlens::table::writer::PartAddress;
use aqlens::yaml::Problems;

use super::{engine_options, file};

/// The committed model folder.
pub(crate) fn folder() -> PathBuf {
    file("tests/fixtures/tiny")
}

pub(crate) fn card() -> ModelCard {
    ModelCard::load(&folder()).unwrap()
}

pub(crate) fn tokenizer() -> Tokenizer {
    Tokenizer::load(&card()).unwrap()
}

/// An engine on the processor. A test without ONNX Runtime fails: a skipped test would count as
/// passed.
pub(crate) fn engine_of(card: ModelCard) -> Engine {
    let options = EngineOptions { provider: ProviderChoice::Cpu, ..engine_options() };
    Engine::new(card, options)
}

/// An engine on the graph that takes whole prompts only.
pub(crate) fn engine_of_whole_prompts() -> Engine {
    let provider = ProviderChoice::Cpu;
    Engine::new(card(), EngineOptions { provider, whole_prompts: true, ..engine_options() })
}

/// An engine that computes with so many threads.
pub(crate) fn engine_with_threads(threads: usize) -> Engine {
    let (provider, threads) = (ProviderChoice::Cpu, Some(threads));
    Engine::new(card(), EngineOptions { provider, threads, ..engine_options() })
}

pub(crate) fn engine() -> Engine {
    engine_of(card())
}

/// Copies the model folder's files to another folder.
pub(crate) fn copy_to(folder: &Path) {
    for name in card().files.keys().map(String::as_str).chain(["model.json"]) {
        fs::copy(self::folder().join(name), folder.join(name)).unwrap();
    }
}

/// A copy of the model folder without `past.onnx`, as folders without it are still to be had: the
/// graph that a test damages is then the one that is opened.
pub(crate) struct Copy(tempfile::TempDir);

impl Copy {
    pub(crate) fn new() -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        copy_to(copy.path());
        fs::remove_file(copy.path().join("past.onnx")).unwrap();
        copy.edit_card(|card| _ = card["files"].as_object_mut().unwrap().remove("past.onnx"));
        copy
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path().join(name)).unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own folder")]
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path().join(name), bytes).unwrap();
    }

    /// Changes `model.json`.
    pub(crate) fn edit_card(&self, edit: impl FnOnce(&mut serde_json::Value)) {
        let mut card = serde_json::from_slice(&self.read("model.json")).unwrap();
        edit(&mut card);
        self.write("model.json", card.to_string().as_bytes());
    }

    /// Writes a file and makes the card agree.
    pub(crate) fn relist(&self, name: &str, bytes: &[u8]) {
        self.write(name, bytes);
        let facts = serde_json::json!({"sha256": hex_sha256(bytes), "bytes": bytes.len()});
        self.edit_card(|card| card["files"][name] = facts);
    }

    /// Changes `tokenizer.json`, and makes the card agree.
    pub(crate) fn edit_tokenizer(&self, edit: impl FnOnce(&mut serde_json::Value)) {
        let mut tokenizer = serde_json::from_slice(&self.read("tokenizer.json")).unwrap();
        edit(&mut tokenizer);
        self.relist("tokenizer.json", tokenizer.to_string().as_bytes());
    }

    /// Its tokenizer, or why it has none.
    pub(crate) fn tokenizer(&self) -> Result<Tokenizer, String> {
        Tokenizer::load(&ModelCard::load(self.path()).unwrap()).map_err(|e| e.to_string())
    }

    /// Replaces text in the graph by text of the same length, and makes the card agree.
    pub(crate) fn patch_graph(&self, from: &str, to: &str) {
        assert_eq!(from.len(), to.len());
        let mut graph = self.read("model.onnx");
        let mut places = 0;
        for start in 0..graph.len() - from.len() {
            if &graph[start..start + from.len()] == from.as_bytes() {
                graph[start..start + from.len()].copy_from_slice(to.as_bytes());
                places += 1;
            }
        }
        assert!(places > 0, "the graph does not name {from}");
        self.write("model.onnx", &graph);
        let sha256 = hex_sha256(&graph);
        self.edit_card(|card| card["files"]["model.onnx"]["sha256"] = sha256.into());
    }

    /// What an engine on this folder says when it is opened.
    pub(crate) fn open(&self) -> String {
        let card = ModelCard::load(self.path()).unwrap();
        engine_of(card).open().unwrap_err().to_string()
    }
}

/// Prompts with these texts, each its own input; the input span is the whole text.
pub(crate) fn prompts(texts: &[&str]) -> Vec<Prompt> {
    let prompt = |(i, text): (usize, &&str)| Prompt {
        key: PromptKey {
            scenario: "s".into(),
            input: format!("input-{i}").into(),
            task: "task".into(),
            wording: 0,
        },
        base_wording: 0,
        form: "plain".into(),
        source_input: format!("input-{i}").into(),
        cluster: None,
        text: (*text).to_owned(),
        input_span: 0..text.len(),
        task_spans: Vec::new(),
        is_bare: false,
    };
    texts.iter().enumerate().map(prompt).collect()
}

/// Remembers what it is told.
#[derive(Debug, Default)]
pub(crate) struct Ear {
    pub(crate) skipped: Mutex<Vec<String>>,
    pub(crate) advanced: Mutex<u64>,
}

impl Monitor for Ear {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Skipped { key, reason } => {
                self.skipped.lock().unwrap().push(format!("{key}: {reason}"));
            }
            Event::Advanced { amount, .. } => *self.advanced.lock().unwrap() += amount,
            _ => {}
        }
    }
}

/// An extraction into a folder of its own.
pub(crate) struct Extraction {
    _folder: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) ear: Ear,
    pub(crate) result: Result<Outcome, StageError>,
}

impl Extraction {
    pub(crate) fn of(engine: &Engine, config: Config, prompts: &[Prompt]) -> Self {
        Self::telling(engine, config, prompts, &|| {})
    }

    /// One that tells when the model is spare.
    pub(crate) fn telling(
        engine: &Engine,
        config: Config,
        prompts: &[Prompt],
        model_is_spare: &(dyn Fn() + Sync),
    ) -> Self {
        let card = card();
        let facts = Facts {
            n_layer: Some(card.n_layer),
            n_positions: Some(card.n_positions),
            ..Facts::default()
        };
        let extract = config
            .validate(&aqlens::yaml::Path::default(), &facts, &mut Problems::default())
            .unwrap();
        Self::with(&extract, extract.layers(), engine, prompts, model_is_spare)
    }

    /// Another stage that runs the model, in place of `extract`.
    pub(crate) fn with(
        stage: &dyn Stage,
        layers: &[i16],
        engine: &Engine,
        prompts: &[Prompt],
        model_is_spare: &(dyn Fn() + Sync),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let (card, tokenizer, ear) = (card(), tokenizer(), Ear::default());
        let result = stage.run(&Context {
            store: &store,
            part: 0,
            shards: 1,
            prompts,
            fractions: &BTreeMap::new(),
            layers,
            seed: 37,
            made_by: "",
            card: &card,
            tokenizer: &tokenizer,
            engine,
            monitor: &ear,
            model_is_spare,
        });
        Self { store, ear, result, _folder: folder }
    }

    /// The error of an extraction that failed, which left no table behind.
    pub(crate) fn error(&self) -> String {
        assert!(!self.store.exists("tables"), "a failed extraction published something");
        self.result.as_ref().unwrap_err().to_string()
    }

    pub(crate) fn part(&self, table: &'static Table, layer: Option<i16>, columns: &[&str]) -> Part {
        if let Err(error) = &self.result {
            panic!("{error}");
        }
        read_part(&self.store, PartAddress { table, layer, part: 0 }, columns).unwrap()
    }
}

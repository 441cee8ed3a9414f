//! A pipeline written out as it was understood: `pipeline.yml` of a run directory.

use indexmap::IndexMap;
use serde::Serialize;

use super::wire::{
    ControlsConfig, ExampleConfig, FileConfig, FormConfig, MadeConfig, NeutralConfig, OneOrMany,
};
use crate::model::{ProviderChoice, SpecialTokens};
use crate::pipeline::inputs::absolute;
use crate::pipeline::{Controls, Example, FileSource, HashedFile, Inputs, Neutral, Pipeline, Task};
use crate::stages::StageConfig;
use crate::yaml::to_yaml;

#[derive(Serialize)]
struct Resolved<'a> {
    name: &'a str,
    model: String,
    #[serde(flatten)]
    form: Option<&'a FormConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forms: Option<IndexMap<&'a str, &'a FormConfig>>,
    special_tokens: SpecialTokens,
    provider: ProviderChoice,
    tf32: bool,
    seed: u64,
    retain: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard_inputs: Option<u32>,
    max_skipped: f64,
    scenarios: Vec<ResolvedScenario<'a>>,
    stages: &'a [StageConfig],
}

#[derive(Serialize)]
struct ResolvedScenario<'a> {
    name: &'a str,
    inputs: Texts<&'a str>,
    tasks: Texts<Body<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    controls: Option<ControlsConfig>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Texts<T> {
    File(FileConfig),
    Inline(IndexMap<String, T>),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Text(&'a str),
    Several { wordings: &'a [String] },
    ByExample(ByExample<'a>),
}

/// Examples are written out: those of files too, as their prompts hold them.
#[derive(Serialize)]
struct ByExample<'a> {
    examples: Vec<ExampleConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wording: Option<&'a str>,
    shots: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'a str>,
}

/// The whole pipeline as a pipeline file that loads to the same pipeline from any folder: every
/// default written out, paths absolute, files by name and SHA-256. Equal pipelines give equal text.
pub fn resolved_yaml(pipeline: &Pipeline) -> String {
    // Each is there once in every form.
    let scenarios = pipeline.scenarios.iter().filter(|scenario| scenario.form == 0);
    let scenarios = scenarios.map(|scenario| ResolvedScenario {
        name: &scenario.base,
        controls: controls(&scenario.controls),
        inputs: match &scenario.inputs {
            Inputs::File(file) => Texts::File(reference(file.source())),
            Inputs::Inline(list) => {
                Texts::Inline(list.iter().map(|i| (i.id.clone(), i.text.as_str())).collect())
            }
        },
        tasks: match &scenario.tasks_file {
            Some(file) => Texts::File(reference(file)),
            None => Texts::Inline(scenario.tasks.iter().map(|t| (t.id.clone(), body(t))).collect()),
        },
    });
    let (form, forms) = match pipeline.forms.as_slice() {
        [only] if only.name.is_empty() => (Some(&only.config), None),
        several => {
            let named = several.iter().map(|form| (form.name.as_str(), &form.config));
            (None, Some(named.collect()))
        }
    };
    to_yaml(&Resolved {
        name: &pipeline.name,
        model: absolute(pipeline.model.clone()).to_string_lossy().into_owned(),
        form,
        forms,
        special_tokens: pipeline.special_tokens,
        provider: pipeline.provider,
        tf32: pipeline.tf32,
        seed: pipeline.seed,
        retain: pipeline.retain.iter().map(String::as_str).collect(),
        shard_inputs: pipeline.shard_inputs.map(u32::from),
        max_skipped: pipeline.max_skipped,
        scenarios: scenarios.collect(),
        stages: &pipeline.stage_configs,
    })
}

fn body(task: &Task) -> Body<'_> {
    if let Some(of) = &task.examples {
        let example =
            |own: &Example| ExampleConfig { input: own.input.clone(), answer: own.answer.clone() };
        return Body::ByExample(ByExample {
            examples: of.list.iter().map(example).collect(),
            wording: of.wording.as_deref(),
            shots: of.shots,
            format: of.format.as_deref(),
        });
    }
    match task.wordings.as_slice() {
        [only] => Body::Text(only),
        several => Body::Several { wordings: several },
    }
}

fn controls(controls: &Controls) -> Option<ControlsConfig> {
    (*controls != Controls::default()).then(|| ControlsConfig {
        neutral: controls.neutral.as_ref().map(|neutral| match neutral {
            Neutral::Auto(n) => NeutralConfig::Made(MadeConfig { auto: *n as i64 }),
            Neutral::Texts(texts) => match texts.as_slice() {
                [only] => NeutralConfig::Text(only.clone()),
                several => NeutralConfig::Texts(several.to_vec()),
            },
        }),
        scrambled: controls.scrambled,
        other_input: controls.other_input,
    })
}

/// The files by name and SHA-256, as they were named: one, or a list.
fn reference(source: &FileSource) -> FileConfig {
    let texts = |text: fn(&HashedFile) -> String| {
        let mut list: Vec<String> = source.files.iter().map(text).collect();
        if source.is_list { OneOrMany::Many(list) } else { OneOrMany::One(list.remove(0)) }
    };
    FileConfig {
        file: texts(|file| file.path.to_string_lossy().into_owned()),
        id: source.id.clone(),
        text: source.text.clone(),
        cluster: source.cluster.clone(),
        sha256: Some(texts(|file| file.sha256.clone())),
    }
}

//! A reference set that another run took: table `reference` of its run directory, pinned by SHA-256.
//!
//! That directory may be somebody else's. Nothing in it is believed: its record must hold its seal and
//! name this model, the receipt its file, the file have the receipt's hash and be table `reference` of
//! today's version, with every captured layer of every scenario that is taken, each dimension once, in
//! order, and finite. It is read some scenarios at a time, from the file that was hashed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::path::Path as FilePath;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::DESCRIPTION;
use crate::run_dir::RunDir;
use crate::run_dir::receipt::Receipt;
use crate::store::{HashingReader, open_file};
use crate::table::declare::names;
use crate::table::groups::each_group;
use crate::table::schema::{REFERENCE, ReferenceRow};
use crate::table::{ReadRow as _, TableError, status};

/// Another run whose reference set is taken: its run directory, or more about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// The run directory, relative to the pipeline file.
    pub run: String,
    /// The scenario of that run that every scenario of this one takes; without it each takes that of
    /// its own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// SHA-256 of the table's file, which must not change; filled in when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// As it may be written: a path alone is a run.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "ReferenceFrom")]
#[expect(dead_code, reason = "it is there for the schema")]
pub(super) enum Written {
    /// The run directory, relative to the pipeline file.
    Run(String),
    /// A run, and more about it.
    Pin(Keys),
}

/// Another run whose reference set is taken.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ReferencePin")]
pub(super) struct Keys {
    /// The run directory, relative to the pipeline file.
    run: String,
    /// The scenario of that run that every scenario of this one takes; without it each takes that of
    /// its own name.
    #[serde(default)]
    scenario: Option<String>,
    /// SHA-256 of the table's file, which must not change; filled in when left out.
    #[serde(default)]
    sha256: Option<String>,
}

/// By hand, for the messages: serde's own says only that no variant fits.
impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Pin;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a run directory, or a mapping with `run`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Pin, E> {
                Ok(Pin { run: text.to_owned(), scenario: None, sha256: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Pin, A::Error> {
                let keys = Keys::deserialize(MapAccessDeserializer::new(map))?;
                let Keys { run, scenario, sha256 } = keys;
                Ok(Pin { run, scenario, sha256 })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// What is wrong with a pinned run, in words, and what to do about it.
#[derive(Debug)]
pub(super) struct Unfit {
    pub(super) problem: String,
    pub(super) help: &'static str,
}

const ANOTHER_RUN: &str = "name the directory of a run that has stage `reference`, such as \
                           runs/NAME, relative to the pipeline file";
const AGAIN: &str = "run the pipeline of that run again, then this one";
const CHANGED: &str =
    "restore the run that was pinned, or remove `sha256` to take the run as it is now";

fn unfit<T>(problem: impl Into<String>, help: &'static str) -> Result<T, Unfit> {
    Err(Unfit { problem: problem.into(), help })
}

/// What the reference set must fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The captured layers, ascending.
    pub(super) layers: &'a [i16],
    pub(super) d_model: usize,
}

/// The table of another run, hashed.
#[derive(Debug)]
pub(super) struct Pinned {
    file: File,
    path: std::path::PathBuf,
    pub(super) sha256: String,
}

/// The reference set of a scenario: mean, sd and counts of tokens and prompts by layer and dimension.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OfScenario {
    /// `[layers, d_model]`.
    pub(super) means: Vec<f64>,
    /// Likewise.
    pub(super) sds: Vec<f64>,
    pub(super) n_tokens: i64,
    pub(super) n_prompts: i64,
}

impl Pinned {
    /// Opens and hashes the table of a run directory.
    ///
    /// # Errors
    /// When there is none of this version and model, or it is not the one that its run wrote, or that
    /// `pin` names.
    pub(super) fn open(pin: &Pin, model: &str) -> Result<Self, Unfit> {
        let run = RunDir::open(FilePath::new(&pin.run));
        let run = run.or_else(|error| unfit(error.to_string(), ANOTHER_RUN))?;
        let shown = run.store().root().display();
        let Some(record) = run.record() else {
            return unfit(format!("run.json of {shown} is missing or damaged"), ANOTHER_RUN);
        };
        if record.lineage.model_sha256 != model {
            let name: String = record.lineage.model.chars().take(200).collect();
            return unfit(
                format!("the run in {shown} is of another model, {name:?}: its SHA-256 differs"),
                "activations of two models have nothing in common: name a run of the same model",
            );
        }
        let Some(receipt) = Receipt::read(run.store(), DESCRIPTION.kind, 0) else {
            return unfit(
                format!("the run in {shown} has no finished stage `reference`"),
                ANOTHER_RUN,
            );
        };
        if (receipt.stage.as_str(), receipt.version) != (DESCRIPTION.kind, DESCRIPTION.version) {
            let problem =
                format!("the reference set in {shown} was taken by another version of aqlens");
            return unfit(problem, AGAIN);
        }
        let name = REFERENCE.file(None, 0);
        let [part] = receipt.parts.as_slice() else {
            return unfit(format!("the receipt of stage `reference` in {shown} is none"), AGAIN);
        };
        if part.file.path != name {
            return unfit(format!("the receipt of stage `reference` in {shown} is none"), AGAIN);
        }
        let path = run.store().path(&name);
        let io = |error: std::io::Error| Unfit {
            problem: format!("cannot read {}: {error}", path.display()),
            help: AGAIN,
        };
        let mut file = open_file(&path).map_err(io)?;
        let sha256 = HashingReader::new(&mut file).sha256().map_err(io)?;
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        if sha256 != part.file.sha256 {
            return unfit(format!("{} is not the file that its run wrote", path.display()), AGAIN);
        }
        if pin.sha256.as_ref().is_some_and(|pinned| *pinned != sha256) {
            let problem = format!("{} has changed: its SHA-256 is {sha256}", path.display());
            return unfit(problem, CHANGED);
        }
        Ok(Self { file, path, sha256 })
    }

    /// The reference sets of these scenarios of that run.
    ///
    /// # Errors
    /// When one is missing, was too small or is incomplete, or the file is none of ours.
    pub(super) fn read(
        &self,
        scenarios: &BTreeSet<&str>,
        wanted: Wanted<'_>,
    ) -> Result<BTreeMap<String, OfScenario>, Unfit> {
        let all = wanted.layers.len() * wanted.d_model;
        let mut found: BTreeMap<String, OfScenario> = BTreeMap::new();
        let mut refusal = None;
        let columns = names(ReferenceRow::FIELDS);
        let of = Some(("scenario", scenarios));
        let read = each_group(&self.file, &self.path, &columns, of, &mut |part| {
            for row in ReferenceRow::rows(part)? {
                if !scenarios.contains(row.scenario) || !wanted.layers.contains(&row.layer) {
                    continue;
                }
                let own = found.entry(row.scenario.to_owned()).or_insert_with(|| OfScenario {
                    means: Vec::new(),
                    sds: Vec::new(),
                    n_tokens: row.n_tokens,
                    n_prompts: row.n_prompts,
                });
                let place = own.means.len();
                let is_next = place < all
                    && wanted.layers[place / wanted.d_model] == row.layer
                    && usize::try_from(row.dimension) == Ok(place % wanted.d_model);
                let name = row.scenario;
                let lacks_layer = place < all
                    && place.is_multiple_of(wanted.d_model)
                    && row.layer > wanted.layers[place / wanted.d_model];
                match (row.mean, row.sd) {
                    _ if row.status == status::N_TOO_SMALL => {
                        refusal.get_or_insert_with(|| too_small(name));
                    }
                    (Some(mean), Some(sd)) if is_next && mean.is_finite() && sd.is_finite() => {
                        own.means.push(mean);
                        own.sds.push(sd.max(0.0));
                    }
                    _ if lacks_layer => {
                        refusal.get_or_insert_with(|| without_layers(name));
                    }
                    _ => {
                        refusal.get_or_insert_with(|| damaged(name));
                    }
                }
            }
            Ok(())
        });
        read.map_err(|error: TableError| Unfit { problem: error.to_string(), help: AGAIN })?;
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        for name in scenarios {
            match found.get(*name) {
                Some(own) if own.means.len() == all => {}
                None => return Err(self.missing(name, wanted)),
                Some(_) => return Err(without_layers(name)),
            }
        }
        Ok(found)
    }

    fn missing(&self, name: &str, wanted: Wanted<'_>) -> Unfit {
        let layers = wanted.layers;
        Unfit {
            problem: format!(
                "{} has no rows of scenario '{name}' on the captured layers {layers:?}",
                self.path.display()
            ),
            help: "name the scenario of that run that all scenarios of this pipeline take: `from: { \
                   run: RUN, scenario: NAME }`, or capture these layers in that run too",
        }
    }
}

fn too_small(scenario: &str) -> Unfit {
    Unfit {
        problem: format!(
            "the reference set of scenario '{scenario}' there was too small (n_too_small)"
        ),
        help: "give that scenario more prompts, 10 and 200 tokens at least, or name another one",
    }
}

fn damaged(scenario: &str) -> Unfit {
    Unfit {
        problem: format!(
            "the reference set of scenario '{scenario}' there is none of this model: layers and \
             dimensions are not each there once, in order, with finite values"
        ),
        help: AGAIN,
    }
}

fn without_layers(scenario: &str) -> Unfit {
    Unfit {
        problem: format!(
            "the reference set of scenario '{scenario}' there lacks some of the captured layers"
        ),
        help: "capture these layers in that run too, or name in stage `extract` those that it has",
    }
}

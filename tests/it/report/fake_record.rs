//! What a made-up run says of itself: its record and its summary.

use std::collections::{BTreeMap, BTreeSet};

use aqlens::model::Provider;
use aqlens::run_dir::judgements::Judgements;
use aqlens::run_dir::made_by::MadeBy;
use aqlens::run_dir::record::{Counts, Lineage, RunRecord, State};
use aqlens::run_dir::summary::{Evidence, EvidenceVerdict, ScenarioSummary, Summaries, Verdict};

use super::LAYERS;

/// What the run says of itself while its report is made.
pub(crate) fn record() -> RunRecord {
    let lineage = Lineage {
        pipeline: "experiment-037".to_owned(),
        pipeline_sha256: "0123456789abcdef".repeat(4),
        model: "aqlens-demo".to_owned(),
        model_revision: None,
        model_sha256: "0123456789abcdef".repeat(4),
        head_sha256: None,
        tokenizer_sha256: "fedcba9876543210".repeat(4),
        prompts_sha256: "fedcba9876543210".repeat(4),
        aqlens: "0.1.0".to_owned(),
        onnxruntime: "1.32.0".to_owned(),
        provider: Provider::Cpu,
        precision: "float32".to_owned(),
        tf32: false,
        table_encoding: 2,
    };
    RunRecord {
        format: 1,
        state: State::Running,
        lineage,
        made_by: MadeBy::default(),
        judged_by: None,
        unnamed_by: None,
        model_shape: None,
        retain: BTreeSet::new(),
        shares: None,
        marks: None,
        libraries: BTreeMap::new(),
        judgements: Judgements::default(),
        counts: Counts::default(),
        self_proof: None,
    }
}

/// What stage `summary` found in the first scenario.
pub(crate) fn summaries() -> Summaries {
    let evidence = |measure: &str| Evidence {
        measure: measure.to_owned(),
        verdict: EvidenceVerdict::Undecided,
        layers: LAYERS.to_vec(),
        layer: 6,
        delta: Some(0.0125),
        ci_low: Some(-0.01),
        ci_high: Some(0.035),
        p: Some(0.4),
        relative: Some(0.03),
        relative_low: Some(-0.02),
        relative_high: Some(0.08),
        prevalence: Some(0.1),
        p_wording: Some(0.2),
        p_wording_form: Some(0.3),
        smallest: None,
        beyond: Vec::new(),
        n_inputs: 9,
        n_clusters: 9,
        n_wordings: 3,
        warning: String::new(),
        reason: "neither shown nor ruled out".to_owned(),
        disagreement: Some("words in front lower the cosine".to_owned()),
    };
    let scenario = ScenarioSummary {
        scenario: "red-ball".to_owned(),
        form: "plain".to_owned(),
        verdict: Verdict::Supported,
        layer: 11,
        value: Some(0.82),
        printed: Some("0.8200".to_owned()),
        threshold: 0.9,
        reason: "mean of all".to_owned(),
        findings: vec!["similarity falls from 0.98 to 0.82".to_owned()],
        n_tasks: 5,
        n_inputs: 1,
        n_pairs: 10,
        n_prompts: 5,
        n_skipped: 0,
        layers: Vec::new(),
        attention: None,
        sinks: Vec::new(),
        outputs: None,
        evidence: vec![evidence("token_standardised"), evidence("jsd_bits")],
        uses: Vec::new(),
    };
    Summaries { judged: None, scenarios: vec![scenario] }
}

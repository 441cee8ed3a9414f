//! The tables of the sound measures of a made-up run.

use aqlens::store::Store;
use aqlens::table::schema;

use super::fake::{FakeRun, FakeScenario, HEADS, chance, tokens, vocabulary};
pub(crate) use super::fake_rows::{Cell, Row, put, row};

type Numbers = &'static [(&'static str, f64)];

pub(crate) const CONTRASTS: [&str; 4] = ["paraphrase", "neutral", "scrambled", "other_input"];
pub(crate) const MEASURES: [&str; 2] = ["token_standardised", "flat"];

/// Delta of an effect.
pub(crate) fn delta(scenario: &str, measure: &str, contrast: &str, layer: i16) -> f64 {
    chance(&[scenario, measure, contrast, "delta"], layer as usize) - 0.3
}

/// Shares of variance: input, task, wording, interaction, rest; they add up to 1.
pub(crate) fn shares(scenario: &str, site: &str, space: &str, layer: i16) -> [f64; 5] {
    let raw = |i: usize| 0.05 + chance(&[scenario, site, space, "r2"], layer as usize * 5 + i);
    let sum: f64 = (0..5).map(raw).sum();
    std::array::from_fn(|i| raw(i) / sum)
}

/// How often the task is told on unseen wordings.
pub(crate) fn accuracy(scenario: &str, site: &str, layer: i16) -> f64 {
    0.4 + 0.5 * chance(&[scenario, site, "told"], layer as usize)
}

/// Surprisal and its difference to the neutral control, in bits.
pub(crate) fn surprisal(scenario: &str, input: &str, task: &str, index: usize) -> (f64, f64) {
    let words = [scenario, input, task, "surprisal"];
    (8.0 * chance(&words, index), 4.0 * chance(&words, index + 1000) - 2.0)
}

/// A value between two tasks on a layer.
pub(crate) fn between(
    what: &str,
    scenario: &str,
    input: &str,
    tasks: (&str, &str),
    n: usize,
) -> f64 {
    chance(&[what, scenario, input, tasks.0, tasks.1], n)
}

impl FakeRun {
    /// Writes all tables of the sound measures.
    pub(crate) fn write_evidence(&self, store: &Store) {
        self.write_reduced_evidence(store);
        let mut part = 0;
        for scenario in &self.scenarios {
            for input in &scenario.inputs {
                self.write_pair_evidence(store, part, scenario, &input.0);
                self.write_prompt_evidence(store, part, scenario, input);
                self.write_explain(store, part, scenario, input);
                part += 1;
            }
        }
    }

    fn write_reduced_evidence(&self, store: &Store) {
        let (mut effects, mut partitions, mut told) = (Vec::new(), Vec::new(), Vec::new());
        for s in &self.scenarios {
            for &layer in &self.layers {
                let l = f64::from(layer);
                for (measure, contrast) in MEASURES.iter().flat_map(|m| CONTRASTS.map(|c| (*m, c)))
                {
                    let texts =
                        [("scenario", &*s.name), ("measure", measure), ("contrast", contrast)];
                    // One contrast that this design does not have.
                    if contrast == "scrambled" && s.name == "fire" {
                        let status = [("ci_method", "none"), ("status", "no_pairs")];
                        effects.push(row(&[&texts[..], &status].concat(), &[("layer", l)]));
                        continue;
                    }
                    let d = delta(&s.name, measure, contrast, layer);
                    let numbers = [
                        ("layer", l),
                        ("n_inputs", 9.0),
                        ("between", d + 0.4),
                        ("baseline", 0.4),
                        ("delta", d),
                        ("n_clusters", 9.0),
                        ("ci_low", d - 0.1),
                        ("ci_high", d + 0.07),
                        ("ci_inputs_low", d - 0.1),
                        ("ci_inputs_high", d + 0.07),
                        ("p_max_t", if d > 0.1 { 0.002 } else { 0.4 }),
                        ("q", 0.1),
                        ("p_wording_max_t", if layer < 10 { 0.01 } else { 0.2 }),
                    ];
                    effects.push(row(&[&texts[..], &[("ci_method", "bca")]].concat(), &numbers));
                }
                told.extend(told_on(&s.name, layer));
                partitions.extend(partitioned(&s.name, layer));
            }
        }
        put(self, store, &schema::EFFECT, 0, &effects);
        put(self, store, &schema::VERDICT, 0, &self.judgements());
        put(self, store, &schema::VARIANCE_PARTITION, 0, &partitions);
        put(self, store, &schema::DECODING, 0, &told);
    }

    /// The notebook's verdict and three that rest on evidence.
    fn judgements(&self) -> Vec<Row> {
        let verdicts: [(&str, &str, &str, Numbers); 4] = [
            (
                "flat",
                "supported",
                "mean of all",
                &[("layer", 11.0), ("value", 0.8), ("threshold", 0.9)],
            ),
            (
                "token_standardised",
                "undecided",
                "neither shown nor ruled out",
                &[
                    ("layer", 6.0),
                    ("value", 0.0125),
                    ("ci_low", -0.01),
                    ("ci_high", 0.035),
                    ("n_inputs", 9.0),
                    ("n_wordings", 3.0),
                ],
            ),
            (
                "jsd_bits",
                "equivalent",
                "within 0.1",
                &[
                    ("layer", -1.0),
                    ("value", 0.0625),
                    ("ci_low", 0.05),
                    ("ci_high", 0.075),
                    ("n_inputs", 9.0),
                    ("n_wordings", 3.0),
                ],
            ),
            ("effect", "not_testable", "give the tasks wordings", &[("layer", -1.0)]),
        ];
        let rows = self.scenarios.iter().flat_map(|s| {
            verdicts.map(|(measure, verdict, reason, numbers)| {
                let texts = [
                    ("scenario", &*s.name),
                    ("measure", measure),
                    ("verdict", verdict),
                    ("reason", reason),
                ];
                row(&texts, numbers)
            })
        });
        rows.collect()
    }

    fn write_pair_evidence(&self, store: &Store, part: u32, s: &FakeScenario, input: &str) {
        let words = vocabulary(self);
        let (mut outputs, mut top, mut lens, mut heads) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let pairs = s
            .tasks
            .iter()
            .enumerate()
            .flat_map(|(i, a)| s.tasks[i + 1..].iter().map(move |b| (&*a.0, &*b.0)));
        for (a, b) in pairs {
            let key = [("scenario", &*s.name), ("input", input), ("task_a", a), ("task_b", b)];
            let value = |what: &str, n: usize| between(what, &s.name, input, (a, b), n);
            let numbers = [
                ("jsd_bits", value("jsd_bits", 0)),
                ("kl_ab", 9.0 * value("kl_ab", 0)),
                ("kl_ba", 2.0),
                ("total_variation", 0.5),
                ("same_top", 1.0),
                ("overlap_5", 0.6),
                ("overlap_10", 0.5),
                ("rbo_ext", value("rbo_ext", 0)),
            ];
            outputs.push(row(&key, &numbers));
            for rank in 1..=7_usize {
                let numbers = [
                    ("rank", rank as f64),
                    ("probability_a", value("p_a", rank)),
                    ("probability_b", value("p_b", rank)),
                    ("contribution_bits", value("bits", rank) / rank as f64),
                ];
                let token = [("token", &*words[rank % words.len()])];
                top.push(row(&[&key[..], &token].concat(), &numbers));
            }
            for (place, &layer) in self.layers.iter().enumerate() {
                let onset = f64::from(u8::from(place == self.layers.len() / 2));
                let numbers = [
                    ("layer", f64::from(layer)),
                    ("jsd_bits", value("lens", layer as usize)),
                    ("between_bits", value("lens", layer as usize)),
                    ("within_bits", 0.5 * value("lens", layer as usize)),
                    ("onset", onset),
                ];
                lens.push(row(&key, &numbers));
                for head in 0..HEADS {
                    let n = layer as usize * 100 + head as usize;
                    let numbers = [
                        ("layer", f64::from(layer)),
                        ("head", f64::from(head)),
                        ("value", 0.3 * value("heads", n)),
                    ];
                    heads.push(row(&[&key[..], &[("measure", "jsd_input")]].concat(), &numbers));
                    heads.push(row(&[&key[..], &[("measure", "jsd_full")]].concat(), &numbers));
                }
            }
        }
        put(self, store, &schema::OUTPUT_DIVERGENCE, part, &outputs);
        put(self, store, &schema::OUTPUT_DIVERGENCE_TOKEN, part, &top);
        lens.sort_by_key(layer_of);
        put(self, store, &schema::LOGIT_LENS_DIVERGENCE, part, &lens);
        put(self, store, &schema::ATTENTION_DIVERGENCE, part, &heads);
    }

    fn write_prompt_evidence(
        &self,
        store: &Store,
        part: u32,
        s: &FakeScenario,
        input: &(String, String),
    ) {
        let words = vocabulary(self);
        let (mut surprisals, mut masses, mut lens) = (Vec::new(), Vec::new(), Vec::new());
        for (task, question) in &s.tasks {
            let key = [("scenario", &*s.name), ("input", &*input.0), ("task", &**task)];
            let prompt = tokens(question, &input.1);
            let start = super::fake_prompts::input_start(&prompt) as usize;
            for (index, token) in prompt[start..prompt.len() - 4].iter().enumerate() {
                let (bits, delta) = surprisal(&s.name, &input.0, task, index);
                let id = words.binary_search(token).unwrap() as f64;
                let numbers = [
                    ("span_index", index as f64),
                    ("token_id", id),
                    ("surprisal_bits", bits),
                    ("delta_neutral_bits", delta),
                ];
                surprisals.push(row(&key, &numbers));
                // The neutral control has its own rows, which no mean may take in.
                let neutral = [("wording", -1.0), ("token_id", id), ("surprisal_bits", 99.0)];
                surprisals.push(row(&[&key[..], &[("status", "no_reference")]].concat(), &neutral));
            }
            for &layer in &self.layers {
                let kl = chance(&[&s.name, &input.0, task, "kl"], layer as usize);
                lens.push(row(&key, &[("layer", f64::from(layer)), ("kl_to_final", kl)]));
                for head in 0..HEADS {
                    let n = layer as usize * 100 + head as usize;
                    let sink = chance(&[&s.name, &input.0, task, "sink"], n);
                    let at = [("layer", f64::from(layer)), ("head", f64::from(head))];
                    masses.push(row(&key, &[&at[..], &[("sink_mass", sink)]].concat()));
                }
                let mean = [("layer", f64::from(layer)), ("head", -1.0), ("sink_mass", 0.99)];
                masses.push(row(&key, &mean));
            }
        }
        surprisals.sort_by_key(|row| matches!(row.get("wording"), Some(Cell::Number(_))));
        put(self, store, &schema::INPUT_SURPRISAL, part, &surprisals);
        put(self, store, &schema::ATTENTION_MASS, part, &masses);
        put(self, store, &schema::LOGIT_LENS, part, &lens);
    }

    /// The first pair's tokens: each adds a made-up number, and all add up to the flat similarity.
    fn write_explain(&self, store: &Store, part: u32, s: &FakeScenario, input: &(String, String)) {
        let mut rows = Vec::new();
        for (i, a) in s.tasks.iter().enumerate() {
            for b in &s.tasks[i + 1..] {
                let (of_a, of_b) = (tokens(&a.1, &input.1), tokens(&b.1, &input.1));
                let n = of_a.len().min(of_b.len());
                let shared = of_a.iter().zip(&of_b).take_while(|(a, b)| a == b).count();
                for &layer in &self.layers {
                    let flat = self.similarity(&s.name, &input.0, layer, &a.0, &b.0);
                    let raw = |t: usize| chance(&[&a.0, &b.0, "explain"], t) - 0.1;
                    let sum: f64 = (0..n).map(raw).sum();
                    for t in 0..n {
                        let segment = |tokens: &[String]| {
                            let start = super::fake_prompts::input_start(tokens) as usize;
                            if (start..tokens.len() - 4).contains(&t) { "i" } else { "f" }
                        };
                        let key = [
                            ("scenario", &*s.name),
                            ("input", &*input.0),
                            ("task_a", &*a.0),
                            ("task_b", &*b.0),
                            ("segment_a", segment(&of_a)),
                            ("segment_b", segment(&of_b)),
                        ];
                        let differs = f64::from(u8::from(of_a[t] != of_b[t]));
                        let numbers = [
                            ("layer", f64::from(layer)),
                            ("position", t as f64),
                            ("token_id_b", differs),
                            ("shared_prefix", f64::from(u8::from(t < shared))),
                            ("cosine", 0.5),
                            ("weight", 1.0 / n as f64),
                            ("contribution", flat * raw(t) / sum),
                        ];
                        rows.push(row(&key, &numbers));
                    }
                }
            }
        }
        put(self, store, &schema::SEED_EXPLAIN, part, &rows);
    }
}

/// How often the task is told on a layer.
fn told_on(name: &str, layer: i16) -> Vec<Row> {
    let (l, mut told) = (f64::from(layer), Vec::new());
    for site in ["last", "span"] {
        let accuracy = accuracy(name, site, layer);
        let numbers = [
            ("layer", l),
            ("n_inputs", 9.0),
            ("n_clusters", 8.0),
            ("n_tasks", 3.0),
            ("n_wordings", 3.0),
            ("accuracy", accuracy),
            ("ci_low", accuracy - 0.1),
            ("ci_high", accuracy + 0.05),
            ("accuracy_seen", 0.97),
            ("chance", 1.0 / 3.0),
            ("p_max_t", 0.004),
        ];
        told.push(row(&[("scenario", name), ("site", site)], &numbers));
    }
    told
}

/// Shares of the variance on a layer.
fn partitioned(name: &str, layer: i16) -> Vec<Row> {
    let (l, mut partitions) = (f64::from(layer), Vec::new());
    for (site, space) in
        ["last", "span"].iter().flat_map(|s| ["raw", "standardised"].map(|p| (*s, p)))
    {
        let [input, task, wording, interaction, rest] = shares(name, site, space, layer);
        let numbers = [
            ("layer", l),
            ("n_inputs", 9.0),
            ("n_wordings", 3.0),
            ("ss_total", 50.0),
            ("ss_rest", 50.0 * rest),
            ("r2_input", input),
            ("r2_task", task),
            ("r2_wording", wording),
            ("r2_interaction", interaction),
            ("partial_eta2", task / (task + interaction)),
            ("n_units", 9.0),
            ("f_task", 2.0 + l),
            ("p_wording_max_t", 0.025),
            ("n_reassignments", 280.0),
        ];
        let texts = [("scenario", name), ("site", site), ("space", space)];
        partitions.push(row(&texts, &numbers));
    }
    partitions
}

/// By which rows of the lens stand as the stage writes them: layer after layer, the pairs of each together.
fn layer_of(row: &Row) -> i64 {
    match row["layer"] {
        Cell::Number(layer) => layer as i64,
        Cell::Text(_) => 0,
    }
}

//! Which inputs are one piece of evidence: those of one cluster, and those with one text.
//!
//! An inputs file may name a column of clusters: the scene that several questions are about, the
//! document that several passages are from. What such inputs show is not independent, and neither is
//! what copies of one text show, whether or not the file says so. Inputs are joined by either, and
//! by whatever joins those: a and b of one cluster, b and c of one text are one cluster of three.
//!
//! Interval, test and resampling over independent units go over these clusters. Memory: the ids,
//! clusters and hashes of the inputs that the stage uses.

use std::collections::BTreeMap;

use crate::math::DisjointSets;
use crate::stage::{Context, StageError};
use crate::store::Store;
use crate::table::schema::PROMPTS;
use crate::table::{ReadRow as _, TableError, view};

view! {
    /// What is read of table `prompts`.
    struct Planned<'a> of [PROMPTS] {
        scenario: &'a str,
        input: &'a str,
        source_input: &'a str,
        cluster: Option<&'a str>,
        input_sha256: &'a str,
    }
}

/// The clusters of the inputs that a stage uses, scenario by scenario.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    scenarios: BTreeMap<String, Scenario>,
}

/// The inputs of a scenario, each in one cluster.
#[derive(Debug, Default)]
struct Scenario {
    /// By input, its cluster.
    clusters: BTreeMap<String, u32>,
    count: usize,
    /// By cluster, how many inputs it has.
    sizes: Vec<usize>,
}

impl Clusters {
    /// Reads table `prompts` of the whole run, part after part: the inputs that
    /// [`Context::takes`], and no others, whether or not their prompts could be run.
    ///
    /// # Errors
    /// When a part is missing or cannot be read, or the run was asked to stop.
    pub(crate) fn read(context: &Context<'_>) -> Result<Self, StageError> {
        let mut joining = Joining::default();
        for part in 0..context.shards {
            context.go_on()?;
            joining.read(context.store, part, &|scenario, input| context.takes(scenario, input))?;
        }
        Ok(joining.finish())
    }

    /// The cluster of an input, from 0 in the order in which they first appear within the scenario.
    /// Inputs that were not read are taken for one more cluster: they are
    /// never more evidence than that.
    pub(crate) fn of(&self, scenario: &str, input: &str) -> usize {
        let Some(scenario) = self.scenarios.get(scenario) else { return 0 };
        scenario.clusters.get(input).map_or(scenario.count, |cluster| *cluster as usize)
    }

    /// How many inputs a cluster has; 1 for one that was not read.
    pub(crate) fn size(&self, scenario: &str, cluster: usize) -> usize {
        let sizes = self.scenarios.get(scenario).map(|scenario| &scenario.sizes);
        sizes.and_then(|sizes| sizes.get(cluster)).copied().unwrap_or(1)
    }

    /// How many clusters the scenario's inputs are.
    #[cfg(test)]
    fn count(&self, scenario: &str) -> usize {
        self.scenarios.get(scenario).map_or(0, |scenario| scenario.count)
    }
}

/// Clusters while inputs are read.
#[derive(Debug, Default)]
struct Joining {
    scenarios: BTreeMap<String, JoiningScenario>,
}

#[derive(Debug, Default)]
struct JoiningScenario {
    /// By input, its place among those that were read.
    inputs: BTreeMap<String, usize>,
    sets: DisjointSets,
    /// The first input of each cluster that the file names, and of each text.
    by_cluster: BTreeMap<String, usize>,
    by_text: BTreeMap<String, usize>,
}

impl Joining {
    fn read(
        &mut self,
        store: &Store,
        part: u32,
        takes: &dyn Fn(&str, &str) -> bool,
    ) -> Result<(), TableError> {
        let part = Planned::part(store, &PROMPTS, part)?;
        let rows = Planned::rows(&part)?;
        // All prompts of an input stand together; those of `other_input` hold another one's text.
        for of_input in rows.chunk_by(|a, b| (a.scenario, a.input) == (b.scenario, b.input)) {
            let own = of_input.iter().find(|row| row.source_input == row.input);
            if let Some(row) = own.filter(|row| takes(row.scenario, row.input)) {
                let scenario = match self.scenarios.get_mut(row.scenario) {
                    Some(scenario) => scenario,
                    None => self.scenarios.entry(row.scenario.to_owned()).or_default(),
                };
                scenario.add(row);
            }
        }
        Ok(())
    }

    fn finish(self) -> Clusters {
        let of_scenario = |scenario: JoiningScenario| {
            let (numbers, count) = scenario.sets.numbers();
            let mut sizes = vec![0; count];
            for &at in scenario.inputs.values() {
                sizes[numbers[at] as usize] += 1;
            }
            let inputs = scenario.inputs.into_iter();
            let clusters = inputs.map(|(input, at)| (input, numbers[at])).collect();
            Scenario { clusters, count, sizes }
        };
        let scenarios = self.scenarios.into_iter();
        Clusters { scenarios: scenarios.map(|(name, s)| (name, of_scenario(s))).collect() }
    }
}

impl JoiningScenario {
    fn add(&mut self, row: &Planned<'_>) {
        let known = self.inputs.get(row.input).copied();
        let at = known.unwrap_or_else(|| {
            let at = self.sets.add();
            self.inputs.insert(row.input.to_owned(), at);
            at
        });
        let keys =
            [(&mut self.by_cluster, row.cluster), (&mut self.by_text, Some(row.input_sha256))];
        for (firsts, key) in keys {
            match key.map(|key| (key, firsts.get(key))) {
                None => {}
                Some((_, Some(first))) => self.sets.join(*first, at),
                Some((key, None)) => {
                    firsts.insert(key.to_owned(), at);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::WriteRow as _;
    use crate::table::schema::PromptsRow;

    /// A prompt of an input, its cluster and the text of its source.
    fn row<'a>(
        [scenario, input, source_input]: [&'a str; 3],
        cluster: Option<&'a str>,
        input_sha256: &'a str,
    ) -> PromptsRow<'a> {
        PromptsRow {
            scenario,
            input,
            task: "t",
            wording: 0,
            base_wording: 0,
            role: "task",
            source_input,
            form: "plain",
            cluster,
            input_sha256,
            text: "",
            n_tokens: 0,
            token_ids: &[],
            input_start: None,
            input_tokens: 0,
            segments: "",
            edge_tokens: 0,
            status: "ok",
        }
    }

    fn clusters(parts: &[Vec<PromptsRow<'_>>], takes: &dyn Fn(&str, &str) -> bool) -> Clusters {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let mut joining = Joining::default();
        for (part, rows) in (0..).zip(parts) {
            PromptsRow::write(&store, part, rows).unwrap();
            joining.read(&store, part, takes).unwrap();
        }
        joining.finish()
    }

    fn parts() -> Vec<Vec<PromptsRow<'static>>> {
        vec![
            vec![
                row(["s", "a", "a"], Some("x"), "1"),
                row(["s", "a", "b"], Some("x"), "2"),
                row(["s", "b", "b"], None, "2"),
                row(["s", "c", "c"], Some("y"), "3"),
            ],
            vec![
                // Joins a and c: of a's cluster with c's text.
                row(["s", "d", "d"], Some("x"), "3"),
                row(["s", "e", "e"], None, "4"),
                row(["r", "a", "a"], None, "4"),
                row(["r", "b", "b"], None, "4"),
            ],
        ]
    }

    #[test]
    fn inputs_of_one_cluster_or_text_are_joined_through_others() {
        let clusters = clusters(&parts(), &|_, _| true);
        let of = |scenario, inputs: &[&str]| -> Vec<usize> {
            inputs.iter().map(|input| clusters.of(scenario, input)).collect()
        };
        assert_eq!(of("s", &["a", "b", "c", "d", "e"]), [0, 1, 0, 0, 2]);
        assert_eq!([0, 1, 2, 3].map(|cluster| clusters.size("s", cluster)), [3, 1, 1, 1]);
        assert_eq!((clusters.count("s"), clusters.count("r"), clusters.count("q")), (3, 1, 0));
        assert_eq!(of("r", &["a", "b"]), [0, 0]);
        assert_eq!((of("s", &["z"]), of("q", &["z"])), (vec![3], vec![0]));
    }

    #[test]
    fn inputs_that_the_stage_does_not_use_join_nothing() {
        let clusters = clusters(&parts(), &|_, input| input != "d");
        assert_eq!(["a", "b", "c", "e"].map(|input| clusters.of("s", input)), [0, 1, 2, 3]);
        assert_eq!(clusters.count("s"), 4);
    }
}

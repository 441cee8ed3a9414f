//! The verdict of every task.

use super::answer::Answer;
use super::effect::Effect;
use super::gather::Scenario;
use crate::table::schema::UseVerdictRow;
use crate::table::status;

/// Whether the model uses how the input was read under a task.
#[derive(Debug)]
pub(super) struct Verdict {
    scenario: String,
    task: String,
    word: &'static str,
    necessary: Answer,
    sufficient: Answer,
    sufficient_for: String,
    reason: String,
    necessity: Option<Effect>,
    best: Option<Effect>,
    margin: f64,
    n_inputs: usize,
    n_wordings: usize,
}

/// What is known of one task before the others are looked at.
struct Own<'e> {
    necessity: Option<&'e Effect>,
    receivers: Vec<&'e Effect>,
    necessary: Answer,
    sufficient: Answer,
}

impl<'e> Own<'e> {
    fn of(task: &str, effects: &'e [Effect]) -> Self {
        let own = |effect: &&Effect| effect.layer == 0 && effect.donor == task;
        let (necessity, receivers): (Vec<&Effect>, Vec<&Effect>) =
            effects.iter().filter(own).partition(|effect| effect.is_necessity());
        let necessity = necessity.first().copied();
        let sufficient = Answer::any(receivers.iter().map(|effect| effect.answer));
        let necessary = necessity.map_or(Answer::NotTestable, |effect| effect.answer);
        Self { necessity, receivers, necessary, sufficient }
    }

    /// Whether its answer differs from any other task's, as far as could be seen.
    fn differs(&self) -> bool {
        self.receivers.iter().any(|effect| effect.answer != Answer::NotTestable)
    }

    fn is_used(&self) -> bool {
        self.differs() && (self.necessary == Answer::Yes || self.sufficient == Answer::Yes)
    }

    fn is_neither(&self) -> bool {
        self.necessary == Answer::No && self.sufficient == Answer::No
    }

    /// The receiver with the largest value.
    fn best(&self) -> Option<&'e Effect> {
        let with = self.receivers.iter().filter(|effect| effect.answer != Answer::NotTestable);
        with.copied()
            .max_by(|a, b| a.value.unwrap_or(f64::MIN).total_cmp(&b.value.unwrap_or(f64::MIN)))
    }

    /// Why nothing can be said.
    fn obstacle(&self) -> String {
        let word = |effect: &&'e Effect| match &*effect.status {
            status::OK => effect.obstacle,
            status => status,
        };
        let words: Vec<&str> = self.receivers.iter().map(word).collect();
        let Some(word) = words.first() else {
            return "there is no other task to put its reading into".to_owned();
        };
        match *word {
            status::NO_EFFECT => {
                "what the model says under it hardly differs from what it says under the \
                                  other tasks, so there is nothing to bring or lose"
                    .to_owned()
            }
            status::N_TOO_SMALL => {
                "fewer than 5 independent inputs: add inputs with other texts".to_owned()
            }
            word => status::meaning(word).to_owned(),
        }
    }
}

/// The verdicts of a scenario's tasks, in the order of the plan.
pub(super) fn of(margin: f64, name: &str, scenario: &Scenario, effects: &[Effect]) -> Vec<Verdict> {
    let all: Vec<Own<'_>> = scenario.tasks.iter().map(|task| Own::of(task, effects)).collect();
    let any_used = all.iter().any(Own::is_used);
    let tasks = scenario.tasks.iter().zip(all).enumerate();
    tasks
        .map(|(place, (task, own))| {
            let (word, reason) = judge(&own, any_used, margin);
            let yes = own.receivers.iter().filter(|effect| effect.answer == Answer::Yes);
            let sufficient_for: Vec<&str> = yes.map(|effect| &*effect.receiver).collect();
            let n_inputs = own.receivers.iter().chain(&own.necessity).map(|effect| effect.n_inputs);
            let n_wordings = scenario.wordings(place);
            let reason = match (n_wordings, word) {
                (1, "used" | "not_used") => {
                    format!("{reason}; of its one wording alone: others were not tried")
                }
                _ => reason,
            };
            Verdict {
                scenario: name.to_owned(),
                task: task.clone(),
                word,
                necessary: own.necessary,
                sufficient: own.sufficient,
                sufficient_for: serde_json::to_string(&sufficient_for).expect("texts serialise"),
                reason,
                n_inputs: n_inputs.max().unwrap_or(0),
                necessity: own.necessity.cloned(),
                best: own.best().cloned(),
                margin,
                n_wordings,
            }
        })
        .collect()
}

fn judge(own: &Own<'_>, any_used: bool, margin: f64) -> (&'static str, String) {
    if !own.differs() {
        return ("not_testable", own.obstacle());
    }
    let size = |effect: Option<&Effect>| {
        let effect = effect.and_then(|effect| Some((effect.value?, effect.interval?)));
        effect.map_or(String::new(), |(value, (low, high))| {
            format!(" ({value:.2} [{low:.2}, {high:.2}])")
        })
    };
    let lost = size(own.necessity);
    let brought = size(own.best());
    if own.is_used() {
        let into = own.best().map_or("another", |effect| &*effect.receiver);
        let reason = match (own.necessary, own.sufficient) {
            (Answer::Yes, Answer::Yes) => format!(
                "without its reading of the input its answer is lost{lost}, and its reading brings its answer \
                 under {into}{brought}"
            ),
            (Answer::Yes, _) => format!(
                "without its reading of the input its answer is lost{lost}; that its reading alone brings it \
                 under another task is not shown"
            ),
            _ => format!("its reading of the input brings its answer under {into}{brought}"),
        };
        return ("used", reason);
    }
    if own.is_neither() && any_used {
        return (
            "not_used",
            format!(
                "read as under no task the input gives the same answer{lost}, and its reading brings its answer \
                 under no other task{brought}: both below {margin}"
            ),
        );
    }
    let reason = if own.is_neither() {
        "it is neither necessary nor sufficient, and no task of the scenario is used, so nothing shows that the \
         exchange would have shown a use"
    } else if own.necessary == Answer::NotTestable {
        "its necessity was not tested: give the scenario `controls: { neutral: auto }`"
    } else {
        "an interval has the margin within it, or other wordings move the answer by more: more inputs or wordings \
         would decide"
    };
    ("undecided", format!("{reason}{lost}{brought}"))
}

impl Verdict {
    pub(super) fn row(&self) -> UseVerdictRow<'_> {
        let low = |effect: &Option<Effect>| effect.as_ref().and_then(|own| Some(own.interval?.0));
        let high = |effect: &Option<Effect>| effect.as_ref().and_then(|own| Some(own.interval?.1));
        UseVerdictRow {
            scenario: &self.scenario,
            task: &self.task,
            verdict: self.word,
            necessary: self.necessary.word(),
            sufficient: self.sufficient.word(),
            sufficient_for: &self.sufficient_for,
            reason: &self.reason,
            necessity: self.necessity.as_ref().and_then(|own| own.value),
            necessity_ci_low: low(&self.necessity),
            necessity_ci_high: high(&self.necessity),
            best_receiver: self.best.as_ref().map(|own| &*own.receiver),
            sufficiency: self.best.as_ref().and_then(|own| own.value),
            sufficiency_ci_low: low(&self.best),
            sufficiency_ci_high: high(&self.best),
            margin: self.margin,
            n_inputs: self.n_inputs as i64,
            n_wordings: self.n_wordings as i64,
        }
    }
}

//! Every analysis ends soon when somebody asks to stop, in the middle of a part too.

use std::sync::atomic::{AtomicU32, Ordering};

use aqlens::monitor::{Event, Monitor};
use aqlens::stage::{Context, Stage, StageError};
use aqlens::stages::{
    attention, divergence, outputs, report, segments, similarity, summary, tokens,
};

use super::fixture::{FakePrompt, FakeRun, Numbers, prompt, valid};

/// Asks to stop when it has been asked so often whether to.
struct After(AtomicU32);

impl Monitor for After {
    fn event(&self, _event: &Event<'_>) {}

    fn is_interrupted(&self) -> bool {
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err()
    }
}

/// Holds that the stage asks at least so often on part 0, and ends each time it is told to.
pub(crate) fn asks(run: &FakeRun, stage: &dyn Stage, polls: u32) {
    for before in 0..polls {
        let monitor = After(AtomicU32::new(before));
        let context = Context { monitor: &monitor, ..run.context(0) };
        let ended = stage.run(&context);
        let stage = stage.kind();
        assert!(matches!(ended, Err(StageError::Interrupted)), "{stage} after {before}");
    }
    run.run(stage, 0).unwrap();
}

#[test]
fn every_stage_asks_between_its_inputs_layers_or_parts() {
    let numbers = Numbers {
        activations: &|_, _, _| vec![1.0; 4],
        attention: &|_, _, _| vec![0.2, 0.3, 0.5],
        logits: &|_| vec![0.0; 8],
    };
    let prompts: Vec<FakePrompt> = (0..3)
        .flat_map(|input| ["a", "b"].map(|task| prompt(&format!("i{input}"), task, 3)))
        .collect();
    let mut run = FakeRun::new();
    run.shards = 2;
    // How often each asks at least: layers and inputs of each, prompts, parts.
    let stages: [(Box<dyn Stage>, u32); 8] = [
        (Box::new(valid(|a, f, p| similarity::Config::default().validate(a, f, p))), 8),
        (Box::new(valid(|a, f, p| attention::Config::default().validate(a, f, p))), 6),
        (Box::new(valid(|a, f, p| tokens::Config::default().validate(a, f, p))), 6),
        (Box::new(valid(|a, f, p| outputs::Config::default().validate(a, f, p))), 3),
        (Box::new(valid(|a, f, p| segments::Config::default().validate(a, f, p))), 3),
        (Box::new(valid(|a, f, p| divergence::Config::default().validate(a, f, p))), 2),
        (Box::new(valid(|a, f, p| summary::Config::default().validate(a, f, p))), 2),
        (Box::new(valid(|a, f, p| report::Config::default().validate(a, f, p))), 8),
    ];
    for part in 0..2 {
        run.write_shard(part, &prompts, &numbers);
        for (stage, _) in &stages[..5] {
            run.run(stage.as_ref(), part).unwrap();
        }
    }
    for (stage, polls) in &stages {
        asks(&run, stage.as_ref(), *polls);
    }
}

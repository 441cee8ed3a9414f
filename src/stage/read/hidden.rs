//! Stored activations as the analyses read them: one layer of a shard, prompt by prompt.

use std::sync::Arc;

use rayon::prelude::*;

use super::prompts::{PromptRow, ShardPrompts};
use super::reread;
use crate::monitor::Event;
use crate::stage::{Context, StageError};
use crate::table::reader::Part;

/// One layer of a shard's activations, known to be those of its prompts.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Which layer it is.
    pub(crate) number: i16,
    /// Numbers a token has.
    pub(crate) width: usize,
    part: Arc<Part>,
}

impl Layer {
    /// Reads the layer's part and checks its tokens against the prompts'.
    pub(crate) fn read(
        context: &Context<'_>,
        layer: i16,
        prompts: &ShardPrompts,
    ) -> Result<Self, StageError> {
        context.go_on()?;
        let part = reread::activations(context.store, context.part, layer)?;
        prompts.check_tokens(&part)?;
        let (_, width) = part.vectors("values")?;
        Ok(Self { number: layer, width, part })
    }

    /// The activations of some prompts, `[tokens, width]` each; `None` for one that did not run.
    pub(crate) fn of<'l>(
        &'l self,
        prompts: &[&PromptRow],
    ) -> Result<Vec<Option<&'l [f32]>>, StageError> {
        let (values, width) = self.part.vectors("values")?;
        let is_known = self.part.is_known_finite("values");
        let vectors = prompts.iter().map(|prompt| {
            let first = prompt.first_token * width;
            let vectors =
                prompt.ran.then(|| &values[first..first + prompt.token_ids.len() * width]);
            // Stage `extract` never writes such a value: the file was changed since.
            let is_finite =
                |values: &[f32]| values.iter().fold(true, |finite, x| finite & x.is_finite());
            if is_known || vectors.is_none_or(is_finite) {
                return Ok(vectors);
            }
            let (scenario, input) = (&prompt.key.scenario, &prompt.key.input);
            let problem =
                format!("has a value that is not finite in a prompt of {scenario}/{input}");
            Err(self.part.problem(problem).into())
        });
        vectors.collect()
    }
}

/// What `work` returns for every input and captured layer: inputs in their order, then layers
/// ascending. Layers and inputs are processed in parallel, each layer is read once, and stage `kind`
/// advances by one unit for each.
pub(crate) fn by_input_and_layer<'i, I: Sync, R: Send>(
    context: &Context<'_>,
    kind: &'static str,
    prompts: &ShardPrompts,
    inputs: &'i [I],
    work: impl Fn(&Layer, &'i I) -> Result<R, StageError> + Sync,
) -> Result<Vec<R>, StageError> {
    let one_layer = |&layer: &i16| {
        let layer = Layer::read(context, layer, prompts)?;
        let of_inputs = inputs.par_iter().map(|input| {
            context.go_on()?;
            work(&layer, input)
        });
        let of_inputs = of_inputs.collect::<Vec<_>>();
        // The first error in the plan's order, whichever thread failed first.
        let of_inputs = of_inputs.into_iter().collect::<Result<Vec<R>, _>>()?;
        context.monitor.event(&Event::Advanced { stage: kind, amount: 1 });
        Ok(of_inputs)
    };
    let by_layer = context.layers.par_iter().map(one_layer).collect::<Vec<_>>();
    let by_layer = by_layer.into_iter().collect::<Result<Vec<Vec<R>>, StageError>>()?;
    let mut by_layer: Vec<_> = by_layer.into_iter().map(Vec::into_iter).collect();
    let mut all = Vec::with_capacity(inputs.len() * by_layer.len());
    for _ in inputs {
        all.extend(by_layer.iter_mut().filter_map(Iterator::next));
    }
    Ok(all)
}

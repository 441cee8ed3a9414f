//! A stand-in for the graph of the tiny model, which gives what a test wants.

use aqlens::model::{
    Backend, Batch, Engine, EngineFacts, ModelError, Outputs, Provider, Take, Wanted,
};

use super::tiny;

/// Gives every prompt numbers of its own length, but one value of each output named. Places count
/// in the whole output of a batch; a prompt that runs alone has no flaw.
#[derive(Default)]
pub(crate) struct Flawed {
    pub(crate) hidden: Option<(usize, f32)>,
    pub(crate) attention: Option<(usize, f32)>,
    pub(crate) logits: Option<(usize, f32)>,
}

impl Backend for Flawed {
    fn run(
        &mut self,
        batch: &Batch,
        wanted: &Wanted,
        take: &mut Take<'_>,
    ) -> Result<(), ModelError> {
        // Numbered up to `cycle` and again from 0: an attention weight must not depend on padding.
        let of_rows = |width: usize, cycle: usize| -> Vec<f32> {
            let row = |length: usize| (0..width).map(move |i| (length * 1000 + i % cycle) as f32);
            batch.lengths.iter().copied().flat_map(row).collect()
        };
        let with = |mut values: Vec<f32>, flaw: Option<(usize, f32)>| {
            let place = flaw.and_then(|(at, value)| Some((values.get_mut(at)?, value)));
            if let (Some((place, value)), true) = (place, batch.rows.len() > 1) {
                *place = value;
            }
            values
        };
        let plain = of_rows(batch.seq * 27, usize::MAX);
        let hidden = with(plain.clone(), self.hidden);
        let attention = with(of_rows(3 * batch.seq * batch.seq, batch.seq), self.attention);
        let logits = with(of_rows(320, usize::MAX), self.logits);
        let mut each: Vec<&[f32]> = vec![&plain; wanted.hidden.len()];
        each[1] = &hidden;
        let attention = vec![attention.as_slice(); wanted.attention.len()];
        take(&Outputs { logits: &logits, hidden: each, attention, ..Outputs::default() });
        Ok(())
    }
}

/// An engine on a stand-in.
pub(crate) fn on(backend: impl Backend + 'static) -> Engine {
    on_each([backend])
}

/// An engine that runs as many batches at once as there are stand-ins.
pub(crate) fn on_each<const N: usize>(backends: [impl Backend + 'static; N]) -> Engine {
    let facts = EngineFacts {
        runtime_version: "1.0".to_owned(),
        library: "none".into(),
        provider: Provider::Cpu,
        fallback: None,
        threads: 1,
        tf32: false,
    };
    Engine::with_backends(
        tiny::card(),
        facts,
        backends.map(|backend| Box::new(backend) as Box<dyn Backend>).into(),
    )
}

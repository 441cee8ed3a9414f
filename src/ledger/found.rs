//! The receipts of a shard as they were when it was taken up.
//!
//! A shard's receipts are asked for several times before its stages are done. Whoever has taken the shard
//! up is the only one who writes them, so they are read once: over a network each look is a round trip.

use std::collections::BTreeMap;

use super::claims;
use crate::run_dir::receipt::Receipt;
use crate::stage::Stage;
use crate::store::Store;

/// Receipts of stages on one part.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    part: u32,
    receipts: BTreeMap<&'static str, Receipt>,
}

impl Found {
    /// Those of these stages, from their files.
    pub(crate) fn read(store: &Store, stages: &[&dyn Stage], part: u32) -> Self {
        let of = |stage: &&dyn Stage| {
            Some((stage.kind(), claims::read(store, stage.description(), part)?))
        };
        Self { part, receipts: stages.iter().filter_map(of).collect() }
    }

    /// Which part they are of.
    pub(crate) fn part(&self) -> u32 {
        self.part
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.receipts.is_empty()
    }

    /// That of a stage; whether it holds is another question.
    pub(crate) fn receipt(&self, stage: &dyn Stage) -> Option<&Receipt> {
        self.receipts.get(stage.kind())
    }
}

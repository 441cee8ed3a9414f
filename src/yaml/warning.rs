//! What is read as it is written but was perhaps not meant: said, and no reason to stop.

use std::fmt;

use serde::Serialize;

use super::document::{Document, Source};
use super::line_of;
use super::problem::{Path, Problem, Spot};
use crate::prompt::visible;

/// Something in a pipeline that was perhaps not meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The file and line, `pipeline.yml:3`, or `--set`; `None` when it is in no one place.
    pub place: Option<String>,
    /// The field of the pipeline file, as in `scenarios[0].tasks`.
    pub at: Option<String>,
    /// What is odd, and what to do about it; one line.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{}: ", visible(place))?;
        }
        f.write_str(&visible(&self.message))
    }
}

/// The warnings found so far: the first of each kind in words, the others counted, so that a long
/// pipeline gives no more lines than a short one.
#[derive(Debug, Default)]
pub struct Warnings {
    kinds: Vec<Kind>,
}

#[derive(Debug)]
struct Kind {
    name: (&'static str, &'static str),
    first: Problem,
    n: u64,
}

impl Warnings {
    /// Adds `n` of a kind, named by what is odd and how; the first of them is in the value at a path.
    pub fn push(
        &mut self,
        kind: (&'static str, &'static str),
        at: &Path,
        n: u64,
        message: impl FnOnce() -> String,
    ) {
        match self.kinds.iter_mut().find(|known| known.name == kind) {
            Some(known) => known.n += n,
            None if n == 0 => {}
            None => {
                let (message, help) = (message(), String::new());
                let first = Problem { at: at.clone(), spot: Spot::Value, message, help };
                self.kinds.push(Kind { name: kind, first, n });
            }
        }
    }

    /// All of them with their places in the document, by place.
    pub fn placed(self, document: &Document) -> Vec<Warning> {
        let place = |kind: Kind| {
            let (source, span) = document.place(&kind.first);
            let (name, text) = document.source(source);
            let place = match source {
                Source::File => format!("{name}:{}", line_of(text.as_bytes(), span.start)),
                Source::Set(_) => name.to_owned(),
            };
            let more = match kind.n {
                1 => String::new(),
                2 => " (and 1 more like it)".to_owned(),
                n => format!(" (and {} more like it)", n - 1),
            };
            let at = Some(kind.first.at.to_string());
            let message = format!("{}{more}", kind.first.message);
            ((source, span.start), Warning { place: Some(place), at, message })
        };
        let mut placed: Vec<_> = self.kinds.into_iter().map(place).collect();
        placed.sort_by_key(|(order, _)| *order);
        placed.into_iter().map(|(_, warning)| warning).collect()
    }
}

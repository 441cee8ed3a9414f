//! How unlike all pairs of (task, wording) arrange the inputs, and what each input adds to that.

use std::sync::Arc;

use rayon::prelude::*;

use crate::math::{CentredGram, Gram, Jackknife, LeftOut, RowClusters, Undefined, pairs};
use crate::stage::compare::pairs::{Paired, Pairing};
use crate::stage::names::{GEOMETRY_DCKA_LAST, GEOMETRY_DCKA_SPAN};
use crate::stage::read::designs::SiteVectors;
use crate::table::status;

/// The U-centred table of every cell: a task in one of its wordings.
pub(super) struct Cells {
    centred: Vec<Result<CentredGram, Undefined>>,
    /// Of each with itself, without each cluster.
    own: Vec<Result<LeftOut, Undefined>>,
}

impl Cells {
    /// Of all cells.
    pub(super) fn of(vectors: &SiteVectors, clusters: &RowClusters) -> Self {
        let centred = |cell: usize| CentredGram::of(&Gram::of_rows(&vectors.cell(cell)));
        let centred: Vec<_> = (0..vectors.cells()).into_par_iter().map(centred).collect();
        let own = centred.par_iter().map(|centred| {
            let centred = centred.as_ref().map_err(|reason| *reason)?;
            LeftOut::of(centred, centred, clusters)
        });
        Self { own: own.collect(), centred }
    }

    /// The table of a cell.
    pub(super) fn centred(&self, cell: usize) -> Result<&CentredGram, Undefined> {
        self.centred[cell].as_ref().map_err(|reason| *reason)
    }

    /// The jackknife of the debiased CKA of two cells.
    pub(super) fn jackknife(
        &self,
        (a, b): (usize, usize),
        clusters: &RowClusters,
    ) -> Result<Jackknife, Undefined> {
        let (x, y) = (self.centred(a)?, self.centred(b)?);
        let own = |cell: usize| self.own[cell].as_ref().map_err(|reason| *reason);
        Jackknife::of_cka(own(a)?, own(b)?, &LeftOut::of(x, y, clusters)?)
    }
}

/// The rows of table `geometry_wording_pairs` of one scenario, layer and site: one an input.
pub(super) fn rows(
    cells: &Cells,
    (scenario, layer, site): (&str, i16, &str),
    vectors: &SiteVectors,
    clusters: &RowClusters,
) -> Vec<Paired> {
    let measure = match site {
        "span" => GEOMETRY_DCKA_SPAN,
        "last" => GEOMETRY_DCKA_LAST,
        _ => return Vec::new(),
    };
    let all: Vec<(usize, usize)> = pairs(vectors.cells()).collect();
    // For each pair a pseudo-value of every input.
    let found = all.into_par_iter().map(|pair| {
        let jackknife = cells.jackknife(pair, clusters).map_err(status::of)?;
        Ok(jackknife.pseudo_values(clusters).into_iter().map(|cka| 1.0 - cka).collect())
    });
    let found: Vec<Result<Vec<f64>, &'static str>> = found.collect();
    let scenario: Arc<str> = scenario.into();
    let tasks: Arc<[i32]> = vectors.cell_tasks().into_iter().map(|task| task as i32).collect();
    let row = |(place, input): (usize, &String)| {
        let pairing =
            Pairing::new(Arc::clone(&scenario), input.as_str().into(), Arc::clone(&tasks));
        let of_pair = |found: &Result<Vec<f64>, &'static str>| match found {
            Ok(values) => Ok(values[place]),
            Err(word) => Err(*word),
        };
        pairing.with(layer, measure, &found.iter().map(of_pair).collect::<Vec<_>>())
    };
    vectors.inputs.iter().enumerate().map(row).collect()
}

//! The sums of squares of a design and their quotients.

/// How many inputs, tasks and wordings there are; every combination has its vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Design {
    /// N.
    pub inputs: usize,
    /// Σ `T_i`: the units that the sums are over; N where an input is one unit.
    pub units: usize,
    /// K.
    pub tasks: usize,
    /// M = Σ `W_k`: wordings of all tasks.
    pub cells: usize,
}

impl Design {
    /// M - K: degrees of freedom of the wordings within tasks.
    fn wordings_df(self) -> f64 {
        self.cells as f64 - self.tasks as f64
    }
}

/// The sums of squares of a design, which add up to [`Self::total`]. Where a quotient would divide
/// by 0 it is `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Partition {
    /// What it was computed from.
    pub design: Design,
    /// `SS_input`.
    pub input: f64,
    /// `SS_task`.
    pub task: f64,
    /// `SS_inter`: input and task together.
    pub interaction: f64,
    /// `SS_wording`; `None` where every task has one wording.
    pub wording: Option<f64>,
    /// `SS_rest`: input and wording together; `None` where every task has one wording.
    pub rest: Option<f64>,
}

impl Partition {
    /// `SS_total`.
    pub fn total(&self) -> f64 {
        let nested = self.wording.unwrap_or(0.0) + self.rest.unwrap_or(0.0);
        self.input + self.task + self.interaction + nested
    }

    /// R²: the share of the total that `part` is.
    pub fn share(&self, part: f64) -> Option<f64> {
        ratio(part, self.total())
    }

    /// `SS_task / (SS_task + SS_inter)`: the task's share of what is not the input's.
    pub fn partial_eta2(&self) -> Option<f64> {
        ratio(self.task, self.task + self.interaction)
    }

    /// `[SS_task/(K-1)] / [SS_inter/((U-1)(K-1))]`, U units.
    pub fn f_blocked(&self) -> Option<f64> {
        ratio(self.task * (self.design.units as f64 - 1.0), self.interaction)
    }

    /// The task against its wordings, `[SS_task/(K-1)] / [SS_wording/(M-K)]`; where every task has
    /// one wording [`Self::f_blocked`], the only one there is.
    pub fn f_task(&self) -> Option<f64> {
        let Some(wording) = self.wording else { return self.f_blocked() };
        let (k, df) = (self.design.tasks as f64, self.design.wordings_df());
        ratio(self.task * df, wording * (k - 1.0))
    }

    /// The interaction against that of input and wording, `[SS_inter/((U-1)(K-1))] /
    /// [SS_rest/((U-1)(M-K))]`; `None` where every task has one wording.
    pub fn f_interaction(&self) -> Option<f64> {
        let (k, df) = (self.design.tasks as f64, self.design.wordings_df());
        ratio(self.interaction * df, self.rest? * (k - 1.0))
    }
}

fn ratio(above: f64, below: f64) -> Option<f64> {
    (below > 0.0).then(|| above / below)
}

//! `aqlens plan RUN`: which differences other numbers of inputs and wordings would find, from what the
//! inputs and the wordings of a run vary by.
//!
//! ```text
//! variance of delta with C clusters and W wordings of each task
//!                       var_clusters C₀ / C  +  var_wordings W₀ / W
//! smallest difference   (t_.975 + t_.8) √variance, Student's t with Satterthwaite's degrees of freedom
//! C₀, W₀                the run's; W₀ is the harmonic mean where tasks have different numbers
//! relative              divided by delta / relative of the row: the way from another wording to another
//!                       input
//! ```
//!
//! Whether a design can decide at all: [`Feasible`](crate::stage::feasible::Feasible).

mod planned;
mod read;
mod table;

use std::io::{self, Write as _};

use serde_json::json;

use super::args::PlanArgs;
use super::error::CliError;
use super::exit::Exit;
use super::grid::MOST_LISTED;
use super::{grid, show};
use crate::prompt::visible;
use crate::run_dir::record::State;
use planned::Planned;
use read::Asked;

/// Scenarios that are tabulated for people.
const SHOWN: usize = 5;

pub(super) fn main(args: &PlanArgs) -> Result<Exit, CliError> {
    let (run, record) = show::open(&args.run)?;
    if record.state == State::Running {
        let run = args.run.display();
        writeln!(
            io::stderr(),
            "note: {run} is not finished: its table effect may be of an earlier run"
        )?;
    }
    let PlanArgs { scenario, measure, layer, .. } = args;
    let (scenario, measure) = (scenario.as_deref(), measure.as_deref());
    let asked = Asked { scenario, measure, layer: *layer };
    let most = if args.json { MOST_LISTED } else { SHOWN };
    let (plans, more) = read::plans(&run, record.counts.shards, &asked, most)?;
    let mut out = io::stdout().lock();
    if args.json {
        let object = json!({ "plans": plans.iter().map(Planned::json).collect::<Vec<_>>(), "more_scenarios": more });
        writeln!(out, "{object}")?;
        return Ok(Exit::Done);
    }
    for plan in &plans {
        table::write(&mut out, plan)?;
    }
    let root = visible(&run.store().root().display().to_string());
    let others = match more {
        0 => String::new(),
        1 => format!("and 1 more scenario: `aqlens plan {root} --scenario NAME`, or --json"),
        n => format!(
            "and {n} more scenarios: `aqlens plan {root} --scenario NAME`, or --json for all"
        ),
    };
    table::write_legend(&mut out, &plans)?;
    if more > 0 {
        grid::write_sentence(&mut out, 0, &others)?;
    }
    Ok(Exit::Done)
}

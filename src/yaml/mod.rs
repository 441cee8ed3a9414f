//! The text of a pipeline file: where things are in it, and what is wrong with it.
//!
//! ```text
//! text -> [`Document`] (a tree of nodes, with `--set` put in) -> [`read`] each part as its own type
//!                                  every mistake -> [`Problems`] -> [`Report`], all at once
//! ```
//!
//! The file is read into a tree first and each part is then read from the tree: so one wrong part
//! does not hide another, `kind` may be anywhere in a stage, and `--set` is one edit of the tree.
//! The parser gives positions only with its errors; [`Document`] therefore walks the text again, up
//! to the value in question, for each problem that is shown and never for a file that is right.
//!
//! Only this module names the YAML crate.

mod document;
mod fault;
mod locate;
mod node;
mod parse;
mod problem;
mod read;
mod report;
mod warning;
mod words;

pub use document::{Document, MAX_BYTES};
pub use node::{Node, Origin, Value};
pub use problem::{Path, Problem, Problems, Spot, Step};
pub use read::read;
pub use report::Report;
pub use warning::{Warning, Warnings};
pub use words::{did_you_mean, line_of, quote};

/// Writes a value as YAML.
pub fn to_yaml<T: serde::Serialize>(value: &T) -> String {
    serde_yaml::to_string(value).expect("configurations have text keys and no bytes")
}

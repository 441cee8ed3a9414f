//! Columns that many tables have.

use super::{Column, Kind};

pub(super) const fn column(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    doc: &'static str,
) -> Column {
    Column { name, kind, nullable: false, unit, doc }
}

pub(super) const fn nullable(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    doc: &'static str,
) -> Column {
    Column { name, kind, nullable: true, unit, doc }
}

/// A measure, null where it cannot be computed.
pub(super) const fn value(name: &'static str, unit: &'static str, doc: &'static str) -> Column {
    nullable(name, Kind::Float64, unit, doc)
}

pub(super) const SCENARIO: Column = column("scenario", Kind::Utf8, "", "name of the scenario");
pub(super) const INPUT: Column =
    column("input", Kind::Utf8, "", "id of the input within its scenario");
pub(super) const TASK: Column =
    column("task", Kind::Utf8, "", "id of the task within its scenario");
pub(super) const WORDING: Column = column(
    "wording",
    Kind::Int16,
    "index",
    "phrasing of the task, 0 = its first; below 0 the task's controls: -1 neutral, -2 scrambled, \
     -3 other_input",
);
pub(super) const LAYER: Column =
    column("layer", Kind::Int16, "index", "transformer block, 0-based: the output of block l");
pub(super) const HEAD: Column =
    column("head", Kind::Int16, "index", "attention head, 0-based; -1 = mean over the heads");
pub(super) const TASK_A: Column =
    column("task_a", Kind::Utf8, "", "the task named first in the pipeline");
pub(super) const TASK_B: Column =
    column("task_b", Kind::Utf8, "", "the task named later in the pipeline");
pub(super) const STATUS: Column =
    column("status", Kind::Utf8, "", "ok, or why the value is null (aqlens schema lists them)");
pub(super) const TOKEN_ID: Column =
    column("token_id", Kind::Int32, "id", "id in the tokenizer's vocabulary");
pub(super) const TOKEN: Column = column(
    "token",
    Kind::Utf8,
    "",
    "the token decoded alone, not stripped; part of a character shows as U+FFFD",
);

//! What columns mean that many tables have.

use crate::table::column::{Meaning, says};

pub(super) const SCENARIO: Meaning = says("", "name of the scenario");
pub(super) const INPUT: Meaning = says("", "id of the input within its scenario");
pub(super) const TASK: Meaning = says("", "id of the task within its scenario");
pub(super) const WORDING: Meaning = says(
    "index",
    "phrasing of the task, 0 = its first; below 0 the task's controls: -1 neutral, -2 scrambled, \
     -3 other_input, and where it has several neutral prefixes -4, -5, ... the others",
);
pub(super) const LAYER: Meaning =
    says("index", "transformer block, 0-based: the output of block l");
pub(super) const HEAD: Meaning = says("index", "attention head, 0-based; -1 = mean over the heads");
pub(super) const TASK_A: Meaning = says("", "the task named first in the pipeline");
pub(super) const TASK_B: Meaning = says("", "the task named later in the pipeline");
pub(super) const STATUS: Meaning =
    says("", "ok, or why the value is null (aqlens schema lists them)");
pub(super) const TOKEN_ID: Meaning = says("id", "id in the tokenizer's vocabulary");
pub(super) const TOKEN: Meaning =
    says("", "the token decoded alone, not stripped; part of a character shows as U+FFFD");
pub(super) const N_INPUTS: Meaning = says("inputs", "inputs that entered");
pub(super) const N_PERMUTATIONS: Meaning =
    says("draws", "permutations behind p, the identity counted; 0 without a test");

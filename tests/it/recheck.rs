//! `run --recheck` believes no file, whatever plan `run.json` speaks of; `verify` looks at runs alone.

use rstest::rstest;

use crate::damage::{Folder, PART, flip_a_bit};
use crate::support::aqlens;

/// Plan B changes the pipeline and fails at once; going back to plan A, whose receipts lie there,
/// must not trust what plan B's record does not speak of.
#[rstest]
#[case::other_settings(
    "stages.tokens.top_k=3",
    "tables/next_tokens/part-00001.parquet",
    "tokens:1"
)]
#[case::other_shards("shard_inputs=3", PART, "similarity:1")]
fn rechecking_looks_at_what_another_plans_record_does_not_call_for(
    #[case] other: &str,
    #[case] damaged: &str,
    #[case] redone: &str,
) {
    let folder = Folder::copy();
    let long = format!("scenarios.0.inputs.ball={}", "the red ball ".repeat(40));
    let plan_b =
        ["run", "pipeline.yml", "--run-dir", "run", "--set", other, "--set", long.as_str()];
    let ended = aqlens(folder.dir.path(), &plan_b);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    flip_a_bit(&folder.path(damaged));
    let done = folder.recheck();
    assert!(done.contains(&redone.to_owned()), "{done:?}");
    folder.is_as_undisturbed();
}

#[test]
fn a_folder_that_is_no_run_ends_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let ended = aqlens(dir.path(), &["verify", "."]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("is no run directory"), "{}", ended.stderr);
    let ended = aqlens(dir.path(), &["verify", "nowhere"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("does not exist"), "{}", ended.stderr);
}

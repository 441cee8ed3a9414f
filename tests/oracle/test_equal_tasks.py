"""Tasks that are the same words: nothing differs, nothing is tested, nothing is supported."""

import pytest

from conftest import ROOT, finish

PIPELINE = """
name: equal
model: MODEL
scenarios:
  - name: equal
    inputs: { file: SCENES, id: id, text: text }
    tasks:
      color: &same
        wordings: ["What color is the ball?", "Name the color of the ball."]
      copy: *same
      copy-of-copy: *same
stages:
  - kind: extract
    layers: [0, 6, 11]
  - kind: reference
  - kind: similarity
    measures: [all]
  - kind: divergence
  - kind: contrast
  - kind: vectors
  - kind: outputs
  - kind: variance
  - kind: effect
  - kind: summary
    equivalence: 0.05
"""


@pytest.fixture(scope="module")
def equal(tmp_path_factory):
    folder = tmp_path_factory.mktemp("equal")
    few = folder / "few.jsonl"
    lines = (ROOT / "data/scenes.jsonl").read_text().splitlines()[:10]
    few.write_text("\n".join(lines) + "\n")
    pipeline = folder / "equal.yml"
    text = PIPELINE.replace("MODEL", str(ROOT / "data/demo")).replace("SCENES", str(few))
    pipeline.write_text(text)
    return finish(folder / "run", pipeline=pipeline)


def test_equal_prompts_are_equal_in_every_measure(equal):
    likeness = {"flat", "token", "span", "last"}
    # Prompts of equal words may run in batches of other shapes: that moves the last bits.
    for row in equal.table("similarity").iter_rows(named=True):
        assert row["status"] == "ok"
        if row["measure"].split("_")[0] in likeness and "_" not in row["measure"]:
            assert row["value"] == pytest.approx(1, abs=1e-9), row
        elif row["measure"].endswith(("_centred", "_standardised")):
            assert row["value"] == pytest.approx(1, abs=1e-9), row
        elif row["measure"].endswith(("_rel_l2", "_log_norm_ratio")):
            assert row["value"] == pytest.approx(0, abs=1e-5), row
    outputs = equal.table("output_divergence")
    assert outputs["jsd_bits"].max() < 1e-9
    assert (outputs["same_top"] == 1).all()


def test_tasks_of_equal_words_have_no_share_of_the_variance(equal):
    rows = equal.table("variance_partition")
    assert (rows["r2_task"].fill_null(0) < 1e-9).all()
    assert (rows["f_task"].fill_null(0) < 1e-6).all()


def test_the_verdict_on_tasks_of_equal_words_is_never_supported(equal):
    verdicts = {row["measure"]: row["verdict"] for row in equal.table("verdict").iter_rows(named=True)}
    assert set(verdicts) == {"flat", "span_standardised", "last_standardised", "jsd_bits"}
    assert set(verdicts.values()) <= {"not_supported", "equivalent", "undecided", "not_testable"}

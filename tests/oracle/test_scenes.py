"""The shipped study on a few of its scenes: the verdict tells a question asked twice, where the task
cannot change the answer, from two questions, where it does. The notebook's test does not."""

import json
from pathlib import Path

import pytest

from conftest import ROOT, finish

SCENES = 24


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory) -> dict:
    """By scenario and measure: the verdict."""
    folder = tmp_path_factory.mktemp("scenes")
    few = folder / "scenes.jsonl"
    lines = (ROOT / "data/scenes.jsonl").read_text().splitlines()[:SCENES]
    few.write_text("\n".join(lines) + "\n")
    arguments = [f"--set=scenarios[{i}].inputs.file={few}" for i in range(3)]
    run = finish(folder / "run", *arguments, pipeline=ROOT / "pipelines/scenes.yml")
    assert "scenes" in json.loads(Path(run.path / "run.json").read_text())["lineage"]["pipeline"]
    rows = run.table("verdict").iter_rows(named=True)
    return {(row["scenario"], row["measure"]): row["verdict"] for row in rows}


@pytest.mark.parametrize("measure", ["span_standardised", "last_standardised", "jsd_bits"])
def test_tasks_that_change_the_answer_are_told_from_one_that_is_asked_twice(verdicts, measure):
    assert verdicts["scenes", measure] == "supported"
    assert verdicts["two-questions", measure] == "supported"
    assert verdicts["same-question", measure] == "equivalent"


def test_the_notebooks_test_says_supported_of_a_question_that_is_asked_twice(verdicts):
    assert {verdicts[scenario, "flat"] for scenario, _ in verdicts} == {"supported"}

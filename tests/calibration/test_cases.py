"""Small pipelines of tests/fixtures/statistics, each of which once got a verdict that does not stand, with
the verdict that does.

    AQLENS=target/release/aqlens python -m pytest tests/calibration/test_cases.py
"""

import csv
import os
import re
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pools import POOLS
from program import DEMO, ROOT, Program, Run, pipeline

CASES = ROOT / "tests/fixtures/statistics"
NAMED = ["span_standardised", "last_standardised", "jsd_bits"]


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Program:
    aqlens = Path(os.environ.get("AQLENS") or "target/release/aqlens")
    return Program(aqlens if aqlens.is_absolute() else ROOT / aqlens, tmp_path_factory.mktemp("cases"))


def case(name: str) -> Path:
    (found,) = CASES.glob(f"{name}-*.yml")
    return found


@pytest.fixture(scope="module")
def run(program):
    """Runs a case once; with `default` without the difference that the file says matters."""
    done: dict[tuple[str, bool], Run] = {}

    def of(name: str, default: bool = False) -> Run:
        if (name, default) not in done:
            file, place = case(name), program.place / name
            if default:
                text = re.sub(r"\n +equivalence: .*", "", file.read_text())
                text = text.replace("../../../data/demo", str(DEMO)).replace("scenes.csv", str(CASES / "scenes.csv"))
                file, place = program.place / f"{name}-default.yml", program.place / f"{name}-default"
                file.write_text(text)
            ended = program.words("run", str(file), "--run-dir", str(place))
            assert ended.returncode == 0, ended.stderr
            done[name, default] = Run(place, ended.stdout)
        return done[name, default]

    return of


def verdicts(run: Run, scenario: str | None = None) -> dict[str, dict]:
    rows = run.table("verdict").filter(pl.col("measure") != "flat")
    if scenario:
        rows = rows.filter(pl.col("scenario") == scenario)
    found = {row["measure"]: row for row in rows.iter_rows(named=True)}
    assert sorted(found) == sorted(NAMED)
    return found


@pytest.mark.parametrize(
    ("name", "add"),
    [
        # Five copies of one scene, one wording against two.
        ("k1", "give every task 4 wordings or more"),
        # Five copies of one scene.
        ("d3", "add inputs with other texts"),
        # Ten ways to deal three and three wordings out.
        ("f2", "give every task 4 wordings or more"),
    ],
)
class TestADesignThatCannotDecide:
    def test_is_not_testable_and_says_what_to_add(self, run, name, add):
        for row in verdicts(run(name)).values():
            assert row["verdict"] == "not_testable", row
            assert add in row["reason"], row

    def test_is_told_so_by_check_before_anything_runs(self, program, name, add):
        ended = program.words("check", str(case(name)))
        said = " ".join((ended.stdout + ended.stderr).split())
        assert ended.returncode == 0, said
        assert add in said, said


@pytest.mark.parametrize("default", [False, True])
@pytest.mark.parametrize(
    ("name", "warning"),
    [
        # Every wording of one task begins with What or Which, of the other with Name or Tell me.
        ("b1", "begin"),
        # Blanks make four of one.
        ("b2", "blanks"),
    ],
)
def test_another_form_of_one_question_is_no_other_question(run, name, warning, default):
    """Neither by the difference that the file says matters nor by a tenth of the way to another input."""
    for row in verdicts(run(name, default)).values():
        assert row["verdict"] != "supported", row
        assert warning in row["warning"] + row["reason"], row


def test_a_difference_in_no_answer_is_less_than_matters(run):
    """h2: color of the ball, color of the cup; on all 40 inputs they are the same, and 40 do not say it of all."""
    row = verdicts(run("h2"))["jsd_bits"]
    assert row["verdict"] != "supported", row
    assert "by less than matters" in row["reason"], row


def test_the_inputs_that_differ_are_named(run):
    """j1: on 3 of 300 inputs the cup has another color than the ball, and the answers share nothing."""
    with (CASES / "j1.csv").open(newline="") as file:
        found = [row["id"] for row in csv.DictReader(file) if not re.search(r"(\w+) ball .* \1 cup", row["text"].lower())]
    assert len(found) == 3
    row = verdicts(run("j1"))["jsd_bits"]
    assert row["verdict"] != "equivalent", row
    for input_id in found:
        assert input_id in row["reason"], row


def test_another_scenario_changes_no_number(run):
    """n2 is n1 with another scenario in the file."""
    name = "b1-what-vs-name-tell"
    for table in ("contrast", "output_contrast", "effect", "verdict"):
        alone, beside = (run(case).table(table).filter(pl.col("scenario") == name) for case in ("n1", "n2"))
        assert alone.height > 0
        assert_frame_equal(alone, beside, check_exact=True)


def test_tasks_of_three_and_five_wordings_can_be_dealt_out_in_56_ways(run):
    effect = run("f8").table("effect").filter(pl.col("contrast") == "paraphrase", pl.col("measure").is_in(NAMED))
    assert effect["n_reassignments"].unique().to_list() == [56]
    for row in verdicts(run("f8")).values():
        assert row["verdict"] != "not_testable", row


def test_the_demo_model_answers_every_wording_of_the_pools_right(program):
    """So that wordings of one pool ask one question, for this model. Of twelve ways to count it answers eight right
    on all 300 scenes, and four on 294 to 299."""
    inputs = {"file": str(ROOT / "data/scenes.jsonl"), "id": "id", "text": "text"}
    scenarios = [{"name": name, "inputs": inputs, "tasks": {name: {"wordings": pool}}} for name, pool in POOLS.items()]
    stages = [{"kind": "extract", "layers": [11]}, {"kind": "tokens"}]
    said = program.run(pipeline("pools", DEMO, scenarios, stages)).table("next_tokens").filter(pl.col("rank") == 1)
    right = pl.read_ndjson(ROOT / "data/scenes.jsonl").unpivot(
        index="id", on=list(POOLS), variable_name="scenario", value_name="right"
    )
    rows = said.join(right, left_on=["scenario", "input"], right_on=["scenario", "id"])
    assert rows.height == 300 * sum(map(len, POOLS.values()))
    wrong = rows.filter(pl.col("token").str.strip_chars() != pl.col("right"))
    of_count = pl.col("scenario") == "count"
    assert wrong.filter(~of_count).is_empty(), wrong
    by_wording = wrong.filter(of_count).group_by("wording").len()
    assert by_wording.height <= 4 and all(n <= 6 for n in by_wording["len"]), by_wording

"""What `aqlens plan` says of other numbers of clusters and wordings, again by numpy and `scipy.stats.t`
from the dumped table `effect`."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from conftest import ROOT
from scipy.stats import t

CLUSTERS = [10, 20, 50, 100, 200, 500]
WORDINGS = [2, 3, 4, 6, 8, 12]
LEVEL, POWER = 0.95, 0.8


def planned(run, *arguments):
    program = os.environ.get("AQLENS", ROOT / "target/release/aqlens")
    environment = {"PATH": os.environ["PATH"], "VIRTUAL_ENV": sys.prefix, "NO_COLOR": "1"}
    command = [program, "plan", run.path, "--json", *arguments]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)["plans"]


def detectable(row, own, clusters, wordings):
    """The smallest difference that such a design finds."""
    parts = np.array(
        [
            row["var_clusters"] * row["n_clusters"] / clusters,
            row["var_wordings"] * own / wordings,
        ]
    )
    degrees = np.array([clusters - 1, wordings - 1])
    df = max(parts.sum() ** 2 / (parts**2 / degrees).sum(), 1.0)
    quantiles = t.ppf(0.5 + LEVEL / 2, df) + t.ppf(POWER, df)
    return quantiles * math.sqrt(parts.sum())


def ways(sizes):
    """Ways to deal wordings out to tasks of which those of one size are alike."""
    count = math.factorial(sum(sizes))
    for size in sizes:
        count //= math.factorial(size)
    for size in set(sizes):
        count //= math.factorial(sizes.count(size))
    return count


def rows_of_effect(run, plan):
    frame = run.table("effect").filter(pl.col("contrast") == "paraphrase")
    for name in ("scenario", "measure", "layer"):
        frame = frame.filter(pl.col(name) == plan[name])
    (row,) = frame.to_dicts()
    return row


def plans(run):
    """What is judged, and one measure on another layer."""
    return planned(run) + planned(run, "--measure", "span", "--layer", "0")


def test_planned_differences_are_those_of_the_formula(run):
    checked = 0
    for plan in plans(run):
        row = rows_of_effect(run, plan)
        own = {}
        for prompt in run.prompts():
            if prompt.scenario == plan["scenario"] and prompt.wording >= 0:
                own.setdefault(prompt.task, set()).add(prompt.wording)
        sizes = [len(wordings) for wordings in own.values()]
        assert plan["wordings"] == sizes
        harmonic = len(sizes) / sum(1 / size for size in sizes)
        # Without a scale where another input is no further than another wording.
        scale = row["delta"] / row["relative"] if row["relative"] is not None else None
        expected = {(c, w) for c in {*CLUSTERS, row["n_clusters"]} for w in WORDINGS}
        designs = plan["designs"]
        assert {(d["clusters"], d["wordings"][0]) for d in designs} == expected
        for design in designs:
            clusters, wordings = design["clusters"], design["wordings"]
            assert wordings == [wordings[0]] * len(sizes)
            mde = detectable(row, harmonic, clusters, wordings[0])
            assert design["mde"] == pytest.approx(mde, rel=1e-8)
            relative = None if scale is None else pytest.approx(mde / scale, rel=1e-8)
            assert design["mde_relative"] == relative
            count = ways(wordings)
            assert design["ways"] == (count if count < 2**64 else None)
            assert design["smallest_p"] == pytest.approx(1 / count, rel=1e-12, abs=2.0**-64)
            assert design["can_decide"] == (1 / count < 0.05 and clusters >= 5)
            checked += 1
        twice = [
            detectable(row, harmonic, 2 * row["n_clusters"], harmonic),
            detectable(row, harmonic, row["n_clusters"], 2 * harmonic),
        ]
        assert [plan["twice_clusters"], plan["twice_wordings"]] == pytest.approx(twice, rel=1e-8)
    assert checked >= 4 * 7 * 6


def test_what_the_run_itself_finds_is_in_its_own_row(run):
    """`mde` of the table: the same standard error, each task's variance with its own degrees."""
    for plan in plans(run):
        row = rows_of_effect(run, plan)
        quantiles = t.ppf(0.5 + LEVEL / 2, row["df"]) + t.ppf(POWER, row["df"])
        mde = quantiles * math.sqrt(row["var_clusters"] + row["var_wordings"])
        assert plan["mde"] == row["mde"] == pytest.approx(mde, rel=1e-8)

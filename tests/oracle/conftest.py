"""Runs the program on `pipeline.yml` and opens its tables, for tests that compute every measure
again with numpy and scipy.

The program is the one that AQLENS names, or the release build; ONNX Runtime is that of the Python
that runs the tests.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))

import aqlens  # noqa: E402  (the checkout's own)

PIPELINE = Path(__file__).with_name("pipeline.yml")
CAUSES = Path(__file__).with_name("causes.yml")
PROMPT = ["scenario", "input", "task", "wording"]


@dataclass(frozen=True)
class Prompt:
    """One row of table `prompts`."""

    scenario: str
    input: str
    task: str
    wording: int
    role: str
    base_wording: int
    token_ids: tuple
    span: range
    segments: str
    status: str

    @property
    def key(self):
        return (self.scenario, self.input, self.task, self.wording)


@dataclass(frozen=True)
class Run:
    """A finished run directory."""

    path: Path

    def table(self, name: str) -> pl.DataFrame:
        """All parts of a table, in their order."""
        return aqlens.Run(self.path).table(name).collect()

    @cache
    def prompts(self) -> tuple:
        """The prompts in the order of the plan."""
        rows = self.table("prompts").iter_rows(named=True)
        return tuple(
            Prompt(
                *(row[name] for name in PROMPT),
                role=row["role"],
                base_wording=row["base_wording"],
                token_ids=tuple(row["token_ids"]),
                span=range(row["input_start"] or 0, (row["input_start"] or 0) + row["input_tokens"]),
                segments=row["segments"],
                status=row["status"],
            )
            for row in rows
        )

    @cache
    def inputs(self) -> dict:
        """The prompts of each (scenario, input), in the order of the plan."""
        groups = {}
        for prompt in self.prompts():
            groups.setdefault((prompt.scenario, prompt.input), []).append(prompt)
        return groups

    @cache
    def layers(self) -> tuple:
        """The captured layers, ascending."""
        files = aqlens.Run(self.path).table("activations")
        return tuple(files.select(pl.col("layer").unique().sort()).collect()["layer"])

    @cache
    def activations(self, layer: int) -> dict:
        """By prompt key: float64 `[tokens, d_model]`."""
        return by_prompt(aqlens.Run(self.path).activations(layer))

    @cache
    def logits(self) -> dict:
        """By prompt key: float64 `[vocab_size]`."""
        return {key: rows[0] for key, rows in by_prompt(aqlens.Run(self.path).logits()).items()}


def by_prompt(rows: aqlens.Rows) -> dict:
    """The rows of each prompt key, in float64."""
    keys = list(zip(*(rows.index[name].to_list() for name in PROMPT)))
    starts = [i for i, key in enumerate(keys) if i == 0 or keys[i - 1] != key]
    ends = [*starts[1:], len(keys)]
    values = rows.values.astype(np.float64)
    return {keys[start]: values[start:end] for start, end in zip(starts, ends)}


def finish(folder: Path, *arguments: str, pipeline: Path = PIPELINE) -> Run:
    """Runs a pipeline, with further arguments of `aqlens run`, into a new folder."""
    program = os.environ.get("AQLENS", ROOT / "target/release/aqlens")
    command = [program, "run", pipeline, "--run-dir", folder, *arguments]
    environment = {"PATH": os.environ["PATH"], "VIRTUAL_ENV": sys.prefix, "NO_COLOR": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return Run(folder)


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Run:
    """The pipeline, run once for all tests."""
    return finish(tmp_path_factory.mktemp("oracle") / "run")


@pytest.fixture(scope="session")
def causes(tmp_path_factory) -> Run:
    """The stages that intervene, run once for all tests."""
    return finish(tmp_path_factory.mktemp("oracle") / "causes", pipeline=CAUSES)


@pytest.fixture(scope="session")
def input_first(tmp_path_factory) -> Run:
    """The same with a template that puts the input in front of the task."""
    folder = tmp_path_factory.mktemp("oracle") / "input-first"
    return finish(folder, "--set", r'prompt="{input}\n\n{task}\n\nAnswer:"')


def by_row(frame: pl.DataFrame, keys: list[str]) -> dict:
    """The rows of a table by their key columns; a key that stands twice is an error."""
    rows = {}
    for row in frame.iter_rows(named=True):
        key = tuple(row[name] for name in keys)
        assert key not in rows, key
        rows[key] = row
    return rows

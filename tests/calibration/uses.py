#!/usr/bin/env python3
"""`make calibrate-uses`: does stage `use` keep its word, through the program as users run it?

    tests/calibration/uses.py [--only null,known,turns,random] [--draws N] [--seed S] [--nice N]

- null: wordings of one question, dealt at random into tasks. No reading brings anything that another wording does
  not: no task may be `used`. Judged again with `min_effect` so low that it keeps nothing out: then the answers are
  *necessary*, which is true (read under no task, the input loses them), and none may be *sufficient*.
- known: three questions of which two are used; does the interval hold the share that all scenes and wordings give?
- turns: the same draws with one wording of each task an input (`wordings: in_turn`).
- random: questions asked of models with random weights, which use nothing.

Draws whose truth is known (`draws.py`) run through the release binary (AQLENS, or target/release/aqlens). What came of
each is kept in $AQLENS_CACHE/calibration-uses (or target/calibration-uses), and a run that was ended goes on from
there; another binary begins again. Prints Markdown; figures-uses.json holds the same. Exits 1 when a wanted figure
does not hold. The random-weight models need the environment of export/ (EXPORT_PYTHON).
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
from counts import Figure
from draws import scenes
from pools import POOLS
from program import DEMO, ROOT, Program, pipeline
from written import as_json, markdown

PARTS = ("null", "known", "turns", "random")
DESIGNS = {"2x4": (2, 4), "3x3": (3, 3)}
ASKED = {task: POOLS[task][:8] for task in ("color", "location", "count")}
# Of each design; of each number of inputs and wordings; of each random model.
NULL_DRAWS, KNOWN_DRAWS, RANDOM_DRAWS = 260, 100, 10
NULL_INPUTS, KNOWN_INPUTS, WORDINGS = 12, (8, 20, 50), (3, 4)
RANDOM_SEEDS = (1, 2)
# Scenarios of a pipeline of draws, and of the run that the truth comes from.
AT_ONCE, BLOCKS = 10, 6
NO_GATE = 1e-6
QUESTIONS = [("color", "location"), ("color", "count"), ("count", "color"), ("color", "color")]
"""Of the known differences: donor and receiver, the same twice for necessity."""


def scenario(name: str, rng: random.Random, tasks: dict[str, list[str]], inputs: int) -> dict:
    wordings = {task: {"wordings": texts} for task, texts in tasks.items()}
    chosen = dict(rng.sample(sorted(scenes().items()), inputs))
    return {"name": name, "inputs": chosen, "tasks": wordings, "controls": {"neutral": "auto"}}


def null(design: str, number: int, seed: int) -> dict:
    """Wordings of one pool dealt into tasks; odd numbers ask for the color, even ones for the place."""
    rng = random.Random(f"{seed} use null {design} {number}")
    n_tasks, each = DESIGNS[design]
    dealt = rng.sample(POOLS["color" if number % 2 else "location"], n_tasks * each)
    tasks = {f"task-{task}": dealt[task * each : (task + 1) * each] for task in range(n_tasks)}
    return scenario(f"null-{design}-{number:03}", rng, tasks, NULL_INPUTS)


def known(inputs: int, wordings: int, number: int, seed: int, of: str = "known") -> dict:
    """So many wordings of each of three questions."""
    rng = random.Random(f"{seed} use {of} {inputs} {wordings} {number}")
    tasks = {task: rng.sample(pool, wordings) for task, pool in ASKED.items()}
    return scenario(f"{of}-{inputs}-{wordings}-{number:03}", rng, tasks, inputs)


def truth(seed: int) -> list[dict]:
    """All scenes once, in all wordings, which make other pairs in every part."""
    rng = random.Random(f"{seed} use truth")
    order = rng.sample(sorted(scenes().items()), len(scenes()))
    size = len(order) // BLOCKS
    blocks = []
    for block in range(BLOCKS):
        tasks = {task: rng.sample(pool, len(pool)) for task, pool in ASKED.items()}
        made = scenario(f"truth-{block}", rng, tasks, 1)
        blocks.append({**made, "inputs": dict(order[block * size : (block + 1) * size])})
    return blocks


def stages(min_effect: float | None = None, turn: str = "all") -> list[dict]:
    use = {"kind": "use"} if min_effect is None else {"kind": "use", "min_effect": min_effect}
    mediate = {"kind": "mediate", "max_inputs": 1000, "wordings": turn}
    return [{"kind": "extract", "layers": [0]}, mediate, use]


class Uses:
    """Draws, run and read; what is done is kept."""

    def __init__(self, options):
        self.options = options
        self.program = Program(options.aqlens, options.folder / "runs", options.nice)
        binary = hashlib.sha256(Path(options.aqlens).resolve().read_bytes()).hexdigest()[:12]
        self.kept = options.folder / f"kept-{binary}-{options.seed}"
        self.kept.mkdir(parents=True, exist_ok=True)

    def read(
        self, name: str, model: Path, scenarios: list[dict], tables: list[str], gates=(None,), turn="all"
    ) -> list[pl.DataFrame]:
        """These tables, one after the other; of the last gate's run, with column `gate`."""
        files = [self.kept / f"{name}-{table}.parquet" for table in tables]
        if not all(file.is_file() for file in files):
            started, found = time.monotonic(), {table: [] for table in tables}
            for place, gate in enumerate(gates):
                run = self.program.run(pipeline(name, model, scenarios, stages(gate, turn)), again=place > 0)
                for table in tables:
                    found[table].append(run.table(table).with_columns(gate=pl.lit(gate, dtype=pl.Float64)))
            shutil.rmtree(run.path)
            for table, file in zip(tables, files):
                pl.concat(found[table]).write_parquet(file)
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        return [pl.read_parquet(file) for file in files]

    def draws(self, name: str, model: Path, scenarios: list[dict], tables: list[str], at_once=AT_ONCE, **more):
        """The same of many draws, a few in each pipeline."""
        parts = [scenarios[start : start + at_once] for start in range(0, len(scenarios), at_once)]
        read = [self.read(f"{name}-{i:02}", model, part, tables, **more) for i, part in enumerate(parts)]
        return [pl.concat(of_table) for of_table in zip(*read)]

    def null(self) -> list[Figure]:
        figures = []
        for design in DESIGNS:
            made = [null(design, number, self.options.seed) for number in range(self.options.null_draws)]
            (verdicts,) = self.draws(f"use-null-{design}", DEMO, made, ["use_verdict"], gates=(None, NO_GATE))
            for gate in (None, NO_GATE):
                figures += said(
                    {"model": "demo", "design": design, "min_effect": gate or 0.05}, of_gate(verdicts, gate)
                )
        return figures

    def random(self) -> list[Figure]:
        found = []
        for seed in RANDOM_SEEDS:
            model = self.program.random_model(self.options.folder, seed, self.options.python)
            made = [
                known(12, 3, number, self.options.seed, f"random-{seed}") for number in range(self.options.random_draws)
            ]
            found += self.draws(f"use-random-{seed}", model, made, ["use_verdict"], gates=(None, NO_GATE), at_once=1)
        verdicts = pl.concat(found)
        return [
            figure
            for gate in (None, NO_GATE)
            for figure in said(
                {"model": "random", "design": "3x3", "min_effect": gate or 0.05}, of_gate(verdicts, gate)
            )
        ]

    def turns(self) -> list[Figure]:
        return self.known("in_turn")

    def known(self, turn: str = "all") -> list[Figure]:
        (mediation,) = self.draws("use-truth", DEMO, truth(self.options.seed), ["mediation"], at_once=1)
        true = {question: share(mediation, *question) for question in QUESTIONS}
        print(f"the truth: {true}", file=sys.stderr)
        figures = []
        for wordings in WORDINGS:
            for inputs in KNOWN_INPUTS:
                made = [
                    known(inputs, wordings, number, self.options.seed) for number in range(self.options.known_draws)
                ]
                name = f"use-{'known' if turn == 'all' else turn}-{inputs}-{wordings}"
                (rows,) = self.draws(name, DEMO, made, ["use_effect"], turn=turn)
                for question, value in true.items():
                    of = {"inputs": inputs, "wordings": wordings, "of an input": turn}
                    figures += coverage(rows, question, value, of)
        return figures


def of_gate(rows: pl.DataFrame, gate: float | None) -> pl.DataFrame:
    return rows.filter(pl.col("gate").is_null() if gate is None else pl.col("gate") == gate)


def said(of: dict, verdicts: pl.DataFrame) -> list[Figure]:
    """Of draws in which nothing is used: shares in which any task gets each verdict, or is sufficient."""
    is_random, has_gate = of["model"] == "random", of["min_effect"] != NO_GATE
    is_wanted = {"used": has_gate, "sufficient": True}
    figures = []
    for word in ("used", "sufficient", "not_used", "undecided", "not_testable"):
        column, value = ("sufficient", "yes") if word == "sufficient" else ("verdict", word)
        any_task = verdicts.group_by("scenario").agg((pl.col(column) == value).any().alias("is"))
        limit = 0.05 if is_wanted.get(word) else None
        values = any_task["is"].to_numpy().astype(float)
        figures.append(
            Figure(
                "use-null", of, f"{word}, any task", values, at_most=0.0 if limit and is_random and has_gate else limit
            )
        )
    return figures


def share(mediation: pl.DataFrame, donor: str, receiver: str) -> float:
    """The value of a question over everything in the table."""
    rows = mediation.filter(pl.col("task_donor") == donor, pl.col("task_receiver") == receiver, pl.col("layer") == 0)
    keys = ["scenario", "input", "wording"]
    wide = rows.pivot(on="source", index=keys, values=["gain_nats", "gain_total_nats", "loss_nats", "loss_total_nats"])
    if donor == receiver:
        x = wide["loss_nats_neutral"] - wide["loss_nats_paraphrase"]
        return x.sum() / wide["loss_total_nats_neutral"].sum()
    controls = np.maximum(wide["gain_nats_neutral"], wide["gain_nats_paraphrase"])
    return float((wide["gain_nats_task"] - np.maximum(controls, 0)).sum() / wide["gain_total_nats_task"].sum())


def coverage(rows: pl.DataFrame, question: tuple[str, str], true: float, of: dict) -> list[Figure]:
    donor, receiver = question
    own = rows.filter(pl.col("task_donor") == donor, pl.col("task_receiver") == receiver, pl.col("layer") == 0)
    there = own.filter(pl.col("ci_low").is_not_null())
    holds = ((there["ci_low"] <= true) & (there["ci_high"] >= true)).to_numpy().astype(float)
    name = f"{donor} necessary" if donor == receiver else f"{donor} into {receiver}"
    width = (there["ci_high"] - there["ci_low"]).median() or float("nan")
    what = f"interval holds {true:.3f} (median width {width:.2f})"
    of = {"question": name, **of}
    figures = [Figure("use-known", of, what, holds, at_least=0.90, strict=False)]
    if len(there) < len(own):
        ends = np.array([1.0] * len(there) + [0.0] * (len(own) - len(there)))
        figures.append(Figure("use-known", of, "has an interval with ends", ends))
    return figures


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    cache = os.environ.get("AQLENS_CACHE")
    parser.add_argument("--only", default=",".join(PARTS), help="parts: null,known,turns,random")
    parser.add_argument("--draws", type=int, help="of each cell, in place of the full numbers (for a quick look)")
    parser.add_argument("--seed", type=int, default=37)
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=(Path(cache) if cache else ROOT / "target") / "calibration-uses")
    parser.add_argument("--aqlens", default=os.environ.get("AQLENS") or str(ROOT / "target/release/aqlens"))
    parser.add_argument("--python", default=os.environ.get("EXPORT_PYTHON") or str(ROOT / "export/.venv/bin/python"))
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"--only {','.join(sorted(unknown))}: the parts are {', '.join(PARTS)}")
    options.null_draws = options.draws or NULL_DRAWS
    options.known_draws = options.draws or KNOWN_DRAWS
    options.random_draws = options.draws or RANDOM_DRAWS
    options.folder = options.folder.resolve()
    return options


def main() -> int:
    options = arguments()
    uses = Uses(options)
    figures = [figure for part in options.only for figure in getattr(uses, part)()]
    (options.folder / "figures-uses.json").write_text(json.dumps(as_json(figures), indent=1) + "\n")
    print(markdown(figures))
    missed = [figure for figure in figures if figure.holds is False]
    for figure in missed:
        print(f"does not hold: {figure.of}: {figure.what} {figure.share:.3f}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

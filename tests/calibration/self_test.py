"""Whether the calibration would see a bad verdict: made-up programs that err, in aqlens's place.

    tests/calibration/calibrate.py --self-test
"""

import contextlib
import io
import itertools
import json
import random
import shutil
import tempfile
from pathlib import Path

import calibrate
import numpy as np
import polars as pl
import spread
from counts import NAMED, Figure, truths
from draws import BLOCKS, DESIGNS, EFFECTS, known, null, scenes, truth
from pools import POOLS
from program import Run

LAYERS = (0, 5, 11)
DELTA, PARAPHRASE, OTHER = 0.3, 0.1, 0.7
SD = 0.05


class MadeUp:
    """A program whose intervals are `width` times as wide as they must be, and which says `supported` of
    no difference, and `equivalent` of a real one, in these shares of draws."""

    def __init__(self, place: Path, width=1.6, supported=0.02, equivalent=0.0, blind=False, shift=0.0):
        self.place, self.width, self.supported, self.equivalent = place, width, supported, equivalent
        self.blind, self.shift = blind, shift
        self.run_dirs = set()

    def random_model(self, folder: Path, seed: int, python: str) -> Path:
        return folder / f"random-{seed}"

    def run(self, pipeline: dict, again: bool = False) -> "Run":
        path = self.place / pipeline["name"]
        if again != path.is_dir():
            raise SystemExit(f"self-test: {path.name} is {'not there' if again else 'not fresh'}")
        path.mkdir(parents=True, exist_ok=True)
        return MadeUpRun(path, self, pipeline)


class MadeUpRun(Run):
    def __init__(self, path: Path, program: MadeUp, pipeline: dict):
        super().__init__(path, "")
        object.__setattr__(self, "program", program)
        object.__setattr__(self, "pipeline", pipeline)

    def table(self, name: str) -> pl.DataFrame:
        rows = []
        for scenario in self.pipeline["scenarios"]:
            rows += getattr(self, f"_{name}")(scenario["name"], scenario)
        return pl.DataFrame(rows, infer_schema_length=None)

    def _effect(self, name: str, _) -> list[dict]:
        true = 0.0 if name.startswith("null") else DELTA
        rng, program, rows = random.Random(f"{self.path.name} {name}"), self.program, []
        for measure in NAMED:
            for layer in (-1,) if measure == "jsd_bits" else LAYERS:
                delta = true + program.shift * SD + rng.gauss(0, SD)
                half = None if program.blind else 1.96 * SD * program.width
                low, high = (None, None) if program.blind else (delta - half, delta + half)
                scale = OTHER - PARAPHRASE
                rows.append({
                    "scenario": name, "measure": measure, "layer": layer, "contrast": "paraphrase", "delta": delta,
                    "ci_low": low, "ci_high": high, "relative": delta / scale,
                    "relative_low": None if program.blind else low / scale,
                    "relative_high": None if program.blind else high / scale,
                    "p_wording_max_t": 0.01 if rng.random() < program.supported else 0.5,
                })  # fmt: skip
        return rows

    def _verdict(self, name: str, _) -> list[dict]:
        rng, rows = random.Random(f"{name} {self.pipeline['stages'][-1]}"), []
        is_judged_again = "smallest" in self.pipeline["stages"][-1]
        for measure in NAMED:
            verdict = "undecided"
            if is_judged_again and rng.random() < self.program.equivalent:
                verdict = "equivalent"
            elif not name.startswith("null") or rng.random() < self.program.supported / len(NAMED):
                verdict = "supported"
            rows.append({"scenario": name, "measure": measure, "verdict": verdict, "reason": ""})
        return rows

    def _contrast(self, name: str, scenario: dict) -> list[dict]:
        distances = {"between": DELTA + PARAPHRASE, "paraphrase": PARAPHRASE, "other_input": OTHER}
        return [
            {"scenario": name, "input": i, "measure": m, "layer": layer, "contrast": c, "value": 1 - d}
            for i in scenario["inputs"] for m in NAMED[:2] for layer in LAYERS for c, d in distances.items()
        ]  # fmt: skip

    def _output_contrast(self, name: str, scenario: dict) -> list[dict]:
        rows = [row for row in self._contrast(name, scenario) if (row["measure"], row["layer"]) == (NAMED[0], 0)]
        return [{**row, "measure": "jsd_bits", "value": 1 - row["value"]} for row in rows]


    def _wording_pairs(self, name: str, scenario: dict) -> list[dict]:
        """Layer 5 only; as many wordings as the pools have, the pairs in the plan's order."""
        tasks = [task for task in (0, 1) for _ in range(12)]
        pairs = itertools.combinations(tasks, 2)
        values = [1 - PARAPHRASE if a == b else 1 - PARAPHRASE - DELTA for a, b in pairs]
        return [
            {"scenario": name, "input": i, "layer": 5, "measure": m, "tasks": tasks, "values": values}
            for i in scenario["inputs"] for m in NAMED[:2]
        ]  # fmt: skip

    def _output_wording_pairs(self, name: str, scenario: dict) -> list[dict]:
        rows = self._wording_pairs(name, scenario)[::2]
        return [{**row, "measure": "jsd_bits", "values": [1 - v for v in row["values"]]} for row in rows]


# What the program does, and the sections in which a figure must fail.
PROGRAMS = [
    ({}, set()),
    ({"supported": 0.15}, {"null"}),
    ({"width": 0.6}, {"null", "known"}),
    ({"equivalent": 0.08}, {"equivalent"}),
    ({"blind": True}, {"null", "known"}),
    ({"shift": 4.0}, {"null", "known"}),
]


def programs(folder: Path) -> None:
    """Each way to err is seen where it must be, and an honest program passes."""
    for number, (errs, wanted) in enumerate(PROGRAMS):
        place = folder / str(number)
        options = calibrate.arguments(["--draws", "40", "--folder", str(place)])
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = calibrate.calibrate(options, MadeUp(place / "runs", **errs))
        figures = json.loads((place / "figures.json").read_text())["figures"]
        failed = {figure["section"] for figure in figures if figure["holds"] is False}
        if code != bool(wanted) or failed != wanted:
            raise SystemExit(f"self-test: a program with {errs} gave {code}, {failed}\n{said.getvalue()}")


def dealt() -> None:
    """Draws are the same whenever they are made, differ from each other, and use a wording once."""
    if null("2x4", 3, 1) != null("2x4", 3, 1) or null("2x4", 3, 1)["tasks"] == null("2x4", 5, 1)["tasks"]:
        raise SystemExit("self-test: draws do not follow from their seed and number")
    for design, (n_tasks, each) in DESIGNS.items():
        tasks = null(design, 0, 1)["tasks"].values()
        texts = [text for task in tasks for text in task["wordings"]]
        if len(texts) != n_tasks * each or len(set(texts)) != len(texts) or not set(texts) <= set(POOLS["location"]):
            raise SystemExit(f"self-test: {design} does not deal one pool out")
    for effect, names in EFFECTS.items():
        tasks = known(effect, 4, 0, 1)["tasks"]
        if any(not set(tasks[task]["wordings"]) <= set(POOLS[task]) for task in names):
            raise SystemExit(f"self-test: {effect} mixes its pools")
        blocks = truth(effect, 1)
        inputs = [i for block in blocks for i in block["inputs"]]
        wordings = [sorted(block["tasks"][task]["wordings"]) for block in blocks for task in names]
        if sorted(inputs) != sorted(scenes()) or wordings != [sorted(POOLS[task]) for task in names] * BLOCKS:
            raise SystemExit("self-test: the truth does not take every scene once, in all wordings")
    if any(len(set(pool)) < 10 for pool in POOLS.values()):
        raise SystemExit("self-test: a pool has fewer than 10 wordings")


def true_values() -> None:
    """The truth is a mean of dissimilarities, and its relative size a ratio of sums."""
    run = MadeUpRun(Path("."), MadeUp(Path(".")), {"scenarios": truth("color-location", 1, 2), "stages": [{}]})
    found = truths(run.table("contrast"), run.table("output_contrast"))
    wrong = found.filter((pl.col("delta") - DELTA).abs() > 1e-12, (pl.col("relative") - 0.5).abs() > 1e-12)
    if len(found) != 7 or len(wrong):
        raise SystemExit(f"self-test: a truth of {DELTA} and 0.5 was taken for {found}")


def spreads() -> None:
    """Wordings come back into the pools' order, and an estimate spreads as the wordings do."""
    rng = np.random.default_rng(1)
    own = rng.normal(size=24)
    square = np.abs(own[:, None] - own[None, :])
    upper = np.triu_indices(24, 1)
    turned = [(i + 3) % 12 + i // 12 * 12 for i in range(24)]
    values = (1 - square[np.ix_(turned, turned)])[upper].tolist()
    row = {"scenario": "truth-03", "layer": 5, "measure": NAMED[0], "tasks": [0] * 12 + [1] * 12, "values": values}
    found = spread.distances(pl.DataFrame([row]), pl.DataFrame([row]), NAMED[0])
    if not np.allclose(found, square[None]):
        raise SystemExit("self-test: the wordings of a turned scenario are not in the pools' order")
    few, many = (spread.spread(found, 1, wordings, rng, 200) for wordings in (2, 8))
    if not 0 < many < 0.7 * few or spread.spread(found, 1, 12, rng, 5) > 1e-12:
        raise SystemExit(f"self-test: more wordings spread less, and here {few} became {many}")


def shares() -> None:
    """A figure of no draws does not hold, one on the limit does, and a part of the draws is given room."""
    some = np.array([1.0] * 6 + [0.0] * 94)
    figures = [
        (Figure("null", {}, "", np.array([]), at_most=0.05), False),
        (Figure("null", {}, "", some[1:], at_most=0.0505), False),
        (Figure("null", {}, "", some, at_most=0.06), True),
        (Figure("null", {}, "", some, at_most=0.05), False),
        (Figure("null", {}, "", some, at_most=0.05, strict=False), True),
        (Figure("null", {}, "", some, at_most=0.005, strict=False), False),
        (Figure("null", {}, "", 1 - some, at_least=0.95), False),
        (Figure("null", {}, "", some), None),
    ]
    if not np.allclose(figures[2][0].interval(), (0.0223, 0.1260), atol=5e-5):
        raise SystemExit(f"self-test: 6 of 100 have Clopper and Pearson's interval 0.0223 to 0.1260, not {figures[2][0].interval()}")
    for figure, wanted in figures:
        if figure.holds is not wanted:
            raise SystemExit(f"self-test: {figure} with {figure.share} gave {figure.holds}, not {wanted}")


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="calibration-"))
    try:
        dealt()
        shares()
        true_values()
        spreads()
        programs(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"self-test: {len(PROGRAMS) - 1} programs that err were seen, an honest one passed")
    return 0

#!/usr/bin/env python3
"""`make calibrate`: do the verdict and its intervals keep their word, through the program as users run it?

    tests/calibration/calibrate.py [--only null,known,equivalent] [--draws N] [--seed S] [--nice N]
    tests/calibration/calibrate.py --self-test      whether a bad verdict would be seen

Draws studies whose truth is known (`draws.py`), runs them through the release binary (AQLENS, or
target/release/aqlens), counts what the tables conclude (`counts.py`), and prints Markdown; figures.json
beside the runs holds the same. Everything it makes goes to $AQLENS_CACHE/calibration, or to
target/calibration. The random-weight models need the environment of export/ (EXPORT_PYTHON). Exits 1
when a wanted figure does not hold. Half an hour on two cores.
"""

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

import draws
import polars as pl
import spread
from counts import NAMED, equivalent_figures, known_figures, null_figures, truths
from program import DEMO, ROOT, Program, Run, pipeline
from written import as_json, markdown

PARTS = ("null", "known", "equivalent")
# Draws of each model and design; of each effect and number of wordings; of each row of the spread.
NULL_DRAWS, KNOWN_DRAWS, SPREAD_DRAWS = 70, 90, 400
RANDOM_SEEDS = (1, 2)
# Where a bound is put just below the truth, and how far below.
LAYERS, BELOW = (0, 5, 11), 0.9999


class Calibration:
    """The draws of one seed, run and read."""

    def __init__(self, options, program=None):
        self.options = options
        self.program = program or Program(options.aqlens, options.folder / "runs", options.nice)
        self.known_runs: list[tuple[str, int, list[dict], Run]] = []
        self.spreads: dict[str, list[dict]] = {}

    def null(self) -> list:
        """Every model and design."""
        effects, verdicts, names = [], [], []
        models = {"demo": DEMO}
        for seed in RANDOM_SEEDS:
            models[f"random-{seed}"] = self.program.random_model(self.options.folder, seed, self.options.python)
        for model, path in models.items():
            for design in draws.DESIGNS:
                numbers = range(self.options.null_draws)
                scenarios = [draws.null(design, number, self.options.seed) for number in numbers]
                run = self.run(f"null-{model}-{design}", path, scenarios, draws.stages())
                # Three models have the same draws.
                rename = pl.lit(f"{model}/") + pl.col("scenario")
                effects.append(run.table("effect").with_columns(scenario=rename))
                verdicts.append(run.table("verdict").with_columns(scenario=rename))
                names += [(f"{model}/{scenario['name']}", model, design) for scenario in scenarios]
                shutil.rmtree(run.path)
        given = pl.DataFrame(names, schema=["scenario", "model", "design"], orient="row")
        return null_figures(pl.concat(effects), pl.concat(verdicts), given)

    def run(self, name: str, model: Path, scenarios: list[dict], stages: list[dict]) -> Run:
        started = time.monotonic()
        run = self.program.run(pipeline(name, model, scenarios, stages))
        print(f"{name}: {len(scenarios)} scenarios in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        return run

    def truth(self) -> pl.DataFrame:
        """effect, measure, layer, delta, relative."""
        found = []
        for effect in draws.EFFECTS:
            run = self.run(f"truth-{effect}", DEMO, draws.truth(effect, self.options.seed), draws.MEASURED)
            found.append(truths(run.table("contrast"), run.table("output_contrast")).with_columns(effect=pl.lit(effect)))
            pairs = run.table("wording_pairs"), run.table("output_wording_pairs")
            self.spreads[effect] = spread.table(*pairs, self.options.seed, self.options.draws or SPREAD_DRAWS)
            shutil.rmtree(run.path)
        return pl.concat(found)

    def known(self, truth: pl.DataFrame) -> list:
        """Every effect and number of wordings; the runs stay, to be judged again."""
        effects, verdicts = [], []
        for effect in draws.EFFECTS:
            for wordings in draws.WORDINGS:
                numbers = range(self.options.known_draws)
                scenarios = [draws.known(effect, wordings, number, self.options.seed) for number in numbers]
                run = self.run(f"known-{effect}-{wordings}", DEMO, scenarios, draws.stages())
                effects.append(run.table("effect"))
                verdicts.append(run.table("verdict"))
                self.known_runs.append((effect, wordings, scenarios, run))
        names = [(s["name"], effect, w) for effect, w, scenarios, _ in self.known_runs for s in scenarios]
        given = pl.DataFrame(names, schema=["scenario", "effect", "wordings"], orient="row")
        return known_figures(pl.concat(effects), pl.concat(verdicts), truth, given)

    def equivalent(self, truth: pl.DataFrame) -> list:
        """Judges the known differences again, each time with bounds just below the truth on one layer."""
        judged = []
        for effect, wordings, scenarios, run in self.known_runs:
            of_effect = truth.filter(pl.col("effect") == effect)
            for scale, layer, sizes in bounds(of_effect):
                stages = draws.stages(self.rule(scale, layer, sizes), {"permutations": 99, "bootstrap": 1000})
                again = self.program.run(pipeline(run.path.name, DEMO, scenarios, stages), again=True)
                found = again.table("verdict").filter(pl.col("measure").is_in(list(sizes)))
                more = {"layer": layer, "wordings": wordings, "scale": scale}
                judged.append(found.select("scenario", "measure", "verdict", *(pl.lit(v).alias(k) for k, v in more.items())))
        return equivalent_figures(pl.concat(judged))

    def rule(self, scale: str, layer: int, sizes: dict[str, float]) -> dict:
        """Settings of stage `summary`. Single inputs may differ by more, or hardly a draw would be
        `equivalent` and the interval would not be tried."""
        # The outputs count whatever layers are named.
        rule = {"measures": list(sizes), "layers": [max(layer, 0)], "exceptions": 0.99}
        if scale == "own unit":
            return {**rule, "smallest": sizes}
        return {**rule, "smallest": next(iter(sizes.values()))}


def bounds(truth: pl.DataFrame) -> list[tuple[str, int, dict[str, float]]]:
    """Scale, layer and the size of each measure just below its true one: what is said of another
    difference than the true one cannot be harder to avoid. The outputs have one layer, -1."""
    rows = truth.filter(pl.col("measure").is_in(NAMED)).sort("measure").iter_rows(named=True)
    of_layer = {}
    for row in rows:
        if row["layer"] in (-1, *LAYERS):
            of_layer.setdefault(row["layer"], []).append(row)
    found = [("own unit", layer, {row["measure"]: BELOW * row["delta"] for row in rows}) for layer, rows in of_layer.items()]
    for layer in (-1, LAYERS[1]):
        found += [("relative", layer, {row["measure"]: BELOW * row["relative"]}) for row in of_layer.get(layer, [])]
    return found


def calibrate(options, program=None) -> int:
    calibration = Calibration(options, program)
    figures = []
    if "null" in options.only:
        figures += calibration.null()
    if "known" in options.only:
        truth = calibration.truth()
        figures += calibration.known(truth)
        if "equivalent" in options.only:
            figures += calibration.equivalent(truth)
        for *_, run in calibration.known_runs:
            shutil.rmtree(run.path)
    spreads = calibration.spreads
    everything = {"figures": as_json(figures), "spreads": spreads}
    (options.folder / "figures.json").write_text(json.dumps(everything, indent=1) + "\n")
    text = "\n".join([markdown(figures), *(spread.markdown(rows, effect) for effect, rows in spreads.items())])
    (options.folder / "figures.md").write_text(text)
    print(text)
    missed = [figure for figure in figures if figure.holds is False]
    for figure in missed:
        print(f"does not hold: {figure.section} {figure.of}: {figure.what} {figure.share:.3f}", file=sys.stderr)
    return 1 if missed else 0


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    cache = os.environ.get("AQLENS_CACHE")
    folder = Path(cache) / "calibration" if cache else ROOT / "target/calibration"
    parser.add_argument("--only", default=",".join(PARTS), help="parts: null,known,equivalent (which needs known)")
    parser.add_argument("--draws", type=int, help="of each cell, in place of the full numbers (for a quick look)")
    parser.add_argument("--seed", type=int, default=37)
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=folder)
    parser.add_argument("--aqlens", default=os.environ.get("AQLENS") or str(ROOT / "target/release/aqlens"))
    parser.add_argument("--python", default=os.environ.get("EXPORT_PYTHON") or str(ROOT / "export/.venv/bin/python"))
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args(words)
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"--only {','.join(sorted(unknown))}: the parts are {', '.join(PARTS)}")
    if "equivalent" in options.only and "known" not in options.only:
        parser.error("--only equivalent judges the runs of part known again: name both")
    options.null_draws = options.draws or NULL_DRAWS
    options.known_draws = options.draws or KNOWN_DRAWS
    options.folder = options.folder.resolve()
    return options


def main() -> int:
    options = arguments()
    if options.self_test:
        import self_test

        return self_test.main()
    return calibrate(options)


if __name__ == "__main__":
    sys.exit(main())

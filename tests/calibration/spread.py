"""How far an estimate of one true difference lies from draw to draw, by numbers of inputs and wordings.

From the pairs of wordings of the run that the truth comes from: what part more inputs take away, and what
part only more wordings do. docs/measures/design.md shows the table.
"""

import numpy as np
import polars as pl
from counts import NAMED

INPUTS, WORDINGS = (5, 20, 80), (2, 3, 4, 6)
LAYER = 5


def distances(pairs: pl.DataFrame, outputs: pl.DataFrame, measure: str) -> np.ndarray:
    """(inputs, 2 W, 2 W): dissimilarities of all wordings, the first task's first, in the pools' order.

    Scenario `...-03` of the truth has its wordings turned by 3 (`draws.truth`).
    """
    is_output = measure == "jsd_bits"
    rows = outputs if is_output else pairs.filter(pl.col("layer") == LAYER)
    rows = rows.filter(pl.col("measure") == measure, pl.col("values").is_not_null())
    found = []
    for scenario, tasks, values in rows.select("scenario", "tasks", "values").iter_rows():
        n, block = len(tasks), int(scenario[-2:])
        half = n // 2
        place = [(i % half + block) % half + (i // half) * half for i in range(n)]
        square = np.zeros((n, n))
        upper = np.triu_indices(n, 1)
        square[upper] = np.array(values) if is_output else 1 - np.array(values)
        square += square.T
        turned = np.empty_like(square)
        turned[np.ix_(place, place)] = square
        found.append(turned)
    return np.array(found)


def delta(square: np.ndarray, half: int) -> float:
    """Between tasks less within them, of matrices whose first `half` rows are one task's."""
    inner = np.triu_indices(half, 1)
    between = square[:, :half, half:].mean()
    within = (square[:, :half, :half][:, inner[0], inner[1]].mean() + square[:, half:, half:][:, inner[0], inner[1]].mean()) / 2
    return float(between - within)


def spread(square: np.ndarray, inputs: int, wordings: int, rng: np.random.Generator, draws: int) -> float:
    """Standard deviation of delta over draws of so many inputs, and wordings of each task."""
    n, half = len(square), square.shape[1] // 2
    found = []
    for _ in range(draws):
        of_inputs = rng.choice(n, min(inputs, n), replace=False)
        first, second = (rng.choice(half, wordings, replace=False) + task * half for task in (0, 1))
        chosen = np.concatenate([first, second])
        found.append(delta(square[np.ix_(of_inputs, chosen, chosen)], wordings))
    return float(np.std(found, ddof=1))


def table(pairs: pl.DataFrame, outputs: pl.DataFrame, seed: int, draws: int) -> list[dict]:
    """One row for each measure and number of inputs; columns are numbers of wordings."""
    rng, rows = np.random.default_rng(seed), []
    for measure in NAMED:
        square = distances(pairs, outputs, measure)
        true = delta(square, square.shape[1] // 2)
        for inputs in INPUTS:
            spreads = {f"{w} wordings": spread(square, inputs, w, rng, draws) for w in WORDINGS}
            rows.append({"measure": measure, "true delta": true, "inputs": inputs, **spreads})
    return rows


def markdown(rows: list[dict], effect: str) -> str:
    head = list(rows[0])
    cells = [[f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows]
    lines = [f"### Standard deviation of delta over draws, {effect}, layer {LAYER}", ""]
    lines += ["| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *cells]]
    return "\n".join(lines) + "\n"

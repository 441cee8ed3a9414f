"""Sinks, and position 0's share of what the notebook's cosine is made of, from the raw tables."""

from itertools import combinations

import numpy as np

from conftest import PROMPT, by_row
from test_segments import weights

KEYS = [*PROMPT, "layer", "position"]


def found(vectors: np.ndarray, attention: np.ndarray, ratio: float, most: float) -> dict:
    """By position that has a row: norm, ratio, share, attention and kind."""
    norms = np.linalg.norm(vectors, axis=1)
    rows = {}
    for at, norm in enumerate(norms):
        signs = []
        if norm / np.median(norms) > ratio:
            signs.append("norm")
        if attention[at] > most and at + 1 < norms.size:
            signs.append("attention")
        if at == 0 or signs:
            kind = "both" if len(signs) == 2 else (signs or ["none"])[0]
            share = norm**2 / (norms**2).sum()
            rows[at] = (norm, norm / np.median(norms), share, attention[at], kind)
    return rows


def test_the_sinks_of_every_prompt_and_layer(run):
    rows, by_key = by_row(run.table("sinks"), KEYS), weights(run)
    largest, kinds = 0.0, set()
    for layer in run.layers():
        of = run.activations(layer)
        for prompt in run.prompts():
            attention = by_key[*prompt.key, layer].mean(axis=0)
            for at, (*numbers, kind) in found(of[prompt.key], attention, 1.3, 0.2).items():
                row = rows.pop((*prompt.key, layer, at))
                names = ["norm", "norm_ratio", "norm_share", "attention"]
                for name, number in zip(names, numbers):
                    largest = max(largest, abs(row[name] - number) / max(1.0, number))
                assert (row["kind"], row["status"]) == (kind, "ok")
                assert row["token_id"] == prompt.token_ids[at]
                assert row["segment"] == prompt.segments[at]
                kinds.add((kind, at == 0))
    assert not rows
    assert largest < 1e-12, largest
    # The settings of the pipeline are such that there is some of nearly everything.
    assert len(kinds) >= 4, kinds


def test_position_0s_share_stands_beside_the_notebooks_cosine(run):
    table = run.table("similarity")
    rows = by_row(table, ["scenario", "input", "layer", "task_a", "task_b", "measure"])
    by_layer = {}
    for (scenario, name), prompts in run.inputs().items():
        first = [prompt for prompt in prompts if prompt.wording == 0]
        for layer in run.layers():
            of = run.activations(layer)
            for a, b in combinations(first, 2):
                tokens = min(len(a.token_ids), len(b.token_ids))
                shares = []
                for prompt in (a, b):
                    squares = (of[prompt.key][:tokens] ** 2).sum(axis=1)
                    shares.append(squares[0] / squares.sum())
                row = rows[scenario, name, layer, a.task, b.task, "flat"]
                assert abs(row["position_0_share"] - np.mean(shares)) < 1e-13
                by_layer.setdefault((scenario, layer), []).append(np.mean(shares))
    assert all(row["position_0_share"] is None for key, row in rows.items() if key[-1] != "flat")
    reduced = by_row(run.table("divergence"), ["scenario", "layer", "measure"])
    for (scenario, layer, measure), row in reduced.items():
        if measure == "flat":
            assert abs(row["position_0_share"] - np.mean(by_layer[scenario, layer])) < 1e-13
        else:
            assert row["position_0_share"] is None

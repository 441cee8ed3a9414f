"""The notebook's similarity, from the stored activations."""

from itertools import combinations

import numpy as np

from conftest import by_row

KEYS = ["scenario", "input", "layer", "task_a", "task_b"]


def test_flat_is_the_cosine_of_the_flattened_activations_cut_to_the_shorter(run):
    frame = run.table("similarity")
    rows = by_row(frame.filter(frame["measure"] == "flat"), KEYS)
    n = 0
    for (scenario, name), prompts in run.inputs().items():
        first = [prompt for prompt in prompts if prompt.wording == 0]
        for layer in run.layers():
            of = run.activations(layer)
            for a, b in combinations(first, 2):
                tokens = min(len(a.token_ids), len(b.token_ids))
                x, y = of[a.key][:tokens].ravel(), of[b.key][:tokens].ravel()
                expected = x @ y / (np.linalg.norm(x) * np.linalg.norm(y))
                row = rows[scenario, name, layer, a.task, b.task]
                assert abs(row["value"] - expected) < 1e-13
                assert (row["n"], row["status"]) == (x.size, "ok")
                n += 1
    assert n == len(rows) == 6 * 3 * 3

"""What every token adds to the notebook's similarity."""

import numpy as np
import polars as pl

from conftest import by_row

PAIR = ["scenario", "input", "layer", "task_a", "task_b"]


def test_the_contributions_of_a_pair_add_up_to_its_flat(run):
    sums = run.table("seed_explain").group_by(PAIR).agg(pl.col("contribution").sum())
    flat = run.table("similarity").filter(measure="flat")
    both = flat.join(sums, on=PAIR, how="full", coalesce=True)
    assert both.height == flat.height == sums.height == 6 * 3 * 3
    assert (both["value"] - both["contribution"]).abs().max() < 1e-14


def test_every_token_has_its_cosine_weight_and_place(run):
    rows = by_row(run.table("seed_explain"), [*PAIR, "position"])
    first = {p.key[:3]: p for p in run.prompts() if p.wording == 0}
    for layer in run.layers():
        of = run.activations(layer)
        for key, row in rows.items():
            scenario, name, own, task_a, task_b, t = key
            if own != layer:
                continue
            a, b = first[scenario, name, task_a], first[scenario, name, task_b]
            n = min(len(a.token_ids), len(b.token_ids))
            x, y = of[a.key][:n], of[b.key][:n]
            norms = np.linalg.norm(x) * np.linalg.norm(y)
            lengths = np.linalg.norm(x[t]) * np.linalg.norm(y[t])
            assert abs(row["cosine"] - x[t] @ y[t] / lengths) < 1e-13
            assert abs(row["weight"] - lengths / norms) < 1e-13
            assert (row["token_id_a"], row["token_id_b"]) == (a.token_ids[t], b.token_ids[t])
            assert (row["segment_a"], row["segment_b"]) == (a.segments[t], b.segments[t])
            shared = a.token_ids[: t + 1] == b.token_ids[: t + 1]
            assert row["shared_prefix"] == int(shared)
            if shared:
                # Equal by causality: beside other prompts the last digits may differ.
                assert row["cosine"] > 1 - 1e-9

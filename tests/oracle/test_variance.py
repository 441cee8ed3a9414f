"""Partition of variance again: from the dumped tables by the formulas, token by token from the
activations, and for tasks of unequal numbers of wordings by projecting on dummy variables."""

import itertools
import math

import numpy as np
import polars as pl
import pytest

from conftest import ROOT, by_row, finish
from measures import Vectors
from test_evidence import at_least, cells, near

KEYS = ["scenario", "layer", "site", "space"]
SUMS = ("ss_input", "ss_task", "ss_wording", "ss_interaction", "ss_rest")


def mean(v, *axes, weights):
    """A mean in which every unit counts as its weight says and every cell once."""
    w = np.broadcast_to(weights.reshape(-1, 1, 1, 1), v.shape)
    return (v * w).sum(axis=axes, keepdims=True) / w.sum(axis=axes, keepdims=True)


def partition(v, weights=None, within=(0.0, 0.0, 0.0)):
    """The sums of squares of `[inputs, tasks, wordings, d]`, each mean taken of the whole array; an
    input counts as often as it has units, and `within` is what they vary by in it."""
    weights = np.ones(len(v)) if weights is None else weights
    take = lambda *axes: mean(v, *axes, weights=weights)  # noqa: E731
    grand, by_input, task = take(0, 1, 2), v.mean(axis=(1, 2), keepdims=True), take(0, 2)
    cell, wording = v.mean(axis=2, keepdims=True), take(0)
    total = lambda x: float(  # noqa: E731
        (np.broadcast_to(x, v.shape) ** 2 * weights.reshape(-1, 1, 1, 1)).sum()
    )
    return {
        "ss_total": total(v - grand) + sum(within),
        "ss_input": total(by_input - grand) + within[0],
        "ss_task": total(task - grand),
        "ss_wording": total(wording - task),
        "ss_interaction": total(cell - by_input - task + grand) + within[1],
        "ss_rest": total(v - cell - wording + task) + within[2],
    }


def relabelled(v, weights=None, within=0.0):
    """Partial eta squared under every exchange of task labels within inputs, the first kept."""
    n, k, w = v.shape[:3]
    weights = np.ones(n) if weights is None else weights
    u = v.mean(axis=2)
    u = (u - u.mean(axis=1, keepdims=True)) * weights.reshape(-1, 1, 1)
    orders = np.array(list(itertools.permutations(range(k))))
    sums = u[:1][:, orders[:1]].sum(axis=0)
    for i in range(1, n):
        sums = (sums[:, None] + u[i][orders][None]).reshape(-1, k, v.shape[3])
    every = (u**2 / weights.reshape(-1, 1, 1)).sum() + within / w
    return (sums**2).sum(axis=(1, 2)) / weights.sum() / every


def dealings(sizes):
    """Every way to deal wordings out to tasks that take so many; tasks alike stand in any order."""
    names = [task for task, size in enumerate(sizes) for _ in range(size)]
    seen = {}
    for way in sorted(set(itertools.permutations(names))):
        tasks = [tuple(c for c, task in enumerate(way) if task == t) for t in range(len(sizes))]
        seen[frozenset(tasks)] = tasks
    return list(seen.values())


def dealt(means, sizes):
    """The task's share of what the wordings' means vary by, under every way."""
    means = means - means.mean(axis=0)
    every = (means**2).sum()
    share = lambda way: sum(  # noqa: E731
        len(cells) * (means[list(cells)].mean(axis=0) ** 2).sum() for cells in way
    )
    return np.array([share(way) for way in dealings(sizes)]) / every


def scale(run, scenario, layer):
    """The reference set's spread, of the scenario where each has its own."""
    frame = run.table("reference").filter(pl.col("layer") == layer)
    if "scenario" in frame.columns:
        frame = frame.filter(pl.col("scenario") == scenario)
    return frame.sort("dimension")["sd"].to_numpy()


def within_of(run, layer, by):
    """Tokens of each input, and by part the sum of squares within inputs in a space."""
    frame = run.table("token_spread").filter(pl.col("layer") == layer)
    assert set(frame["status"]) == {"ok"}
    parts = []
    for part in ("input", "task", "wording"):
        rows = frame.filter(pl.col("part") == part)
        parts.append(float(((rows["values"].to_numpy().astype(np.float64) / by) ** 2).sum()))
    return rows["n_tokens"].to_numpy().astype(np.float64), parts


def test_variance_is_partitioned_as_the_formulas_say(run):
    rows = by_row(run.table("variance_partition"), KEYS[1:])
    assert len(rows) == len(run.layers()) * 6
    draws, ways = {}, {}
    for (layer, site, space), row in rows.items():
        v = cells(run, layer, "span" if site == "token" else site)
        by = scale(run, "scenes", layer) if space == "standardised" else np.ones(v.shape[3])
        v, (n, k, w) = v / by, v.shape[:3]
        weights, within = np.ones(n), [0.0, 0.0, 0.0]
        if site == "token":
            weights, within = within_of(run, layer, by)
        sums = partition(v, weights, within)
        for name, value in sums.items():
            near(row[name], value, (name, layer, site, space))
        near(sum(sums[name] for name in SUMS), sums["ss_total"], "sum")
        for name in ("input", "task", "wording", "interaction"):
            near(row[f"r2_{name}"], sums[f"ss_{name}"] / sums["ss_total"], name)
        task, inter = sums["ss_task"], sums["ss_interaction"]
        near(row["partial_eta2"], task / (task + inter), "partial_eta2")
        near(row["f_task"], task / (k - 1) / (sums["ss_wording"] / (k * (w - 1))), "f_task")
        rest = sums["ss_rest"] / (k * (w - 1))
        near(row["f_interaction"], inter / (k - 1) / rest, "f_interaction")
        assert (row["n_inputs"], row["n_clusters"], row["n_wordings"]) == (n, n, w)
        assert (row["n_units"], row["n_cells"]) == (weights.sum(), k * w)
        draws[layer, site, space] = relabelled(v, weights, within[1])
        assert row["n_permutations"] == math.factorial(k) ** (n - 1) == len(draws[layer, site, space])
        near(row["p"], at_least(draws[layer, site, space], row["partial_eta2"]) / 7776, "p")
        means = mean(v, 0, weights=weights).reshape(k * w, -1)
        ways[layer, site, space] = dealt(means, [w] * k)
        share = task / (task + sums["ss_wording"])
        assert row["n_reassignments"] == 15 == len(ways[layer, site, space])
        near(row["p_wording"], at_least(ways[layer, site, space], share) / 15, "p_wording")
    for (layer, site, space), row in rows.items():
        family = np.max([draws[other, site, space] for other in run.layers()], axis=0)
        near(row["p_max_t"], at_least(family, row["partial_eta2"]) / len(family), "p_max_t")
        # Every way of the oracle stands at the same place on all layers.
        family = np.max([ways[other, site, space] for other in run.layers()], axis=0)
        share = row["ss_task"] / (row["ss_task"] + row["ss_wording"])
        near(row["p_wording_max_t"], at_least(family, share) / 15, "p_wording_max_t")


def tokens_of(run, layer):
    """By input the activations of its tokens, `[tokens, tasks, wordings, d]`."""
    vectors = Vectors(run, layer)
    for prompts in run.inputs().values():
        prompts = [prompt for prompt in prompts if prompt.role == "task"]
        wordings = len({prompt.wording for prompt in prompts})
        v = np.stack([vectors.sites(prompt, "token") for prompt in prompts], axis=1)
        yield v.reshape(len(v), -1, wordings, v.shape[-1])


def test_token_by_token_is_the_partition_of_the_activations_themselves(run):
    rows = by_row(run.table("variance_partition"), KEYS[1:])
    for layer in run.layers():
        v = np.concatenate(list(tokens_of(run, layer)))
        for space, by in (("raw", 1.0), ("standardised", scale(run, "scenes", layer))):
            row, sums = rows[layer, "token", space], partition(v / by)
            assert row["n_units"] == len(v)
            for name, value in sums.items():
                # Means and roots are stored as float32.
                assert row[name] == pytest.approx(value, rel=2e-6), (name, layer, space)


def test_what_tokens_vary_by_is_their_part_within_the_input(run):
    for layer in run.layers():
        frame = run.table("token_spread").filter(pl.col("layer") == layer)
        rows = by_row(frame, ["input", "part"])
        for (_, name), v in zip(run.inputs(), tokens_of(run, layer), strict=True):
            x = v - v.mean(axis=0)
            unit, task = x.mean(axis=(1, 2), keepdims=True), x.mean(axis=2, keepdims=True)
            parts = {"input": unit, "task": task - unit, "wording": x - task}
            for part, x in parts.items():
                expected = np.sqrt((np.broadcast_to(x, v.shape) ** 2).sum(axis=(0, 1, 2)))
                row = rows[name, part]
                assert (row["n_tokens"], row["status"]) == (len(v), "ok")
                assert np.allclose(row["values"], expected, rtol=1e-6, atol=1e-9)


def test_an_input_in_front_of_its_task_has_no_tokens_to_partition(input_first):
    assert set(input_first.table("token_spread")["status"]) == {"no_alignment"}
    rows = input_first.table("variance_partition").filter(pl.col("site") == "token")
    assert set(rows["status"]) == {"no_alignment"} and set(rows["n_inputs"]) == {0}
    assert rows["ss_total"].null_count() == rows["p_wording"].null_count() == len(rows)


UNEQUAL = """
name: unequal
model: MODEL
scenarios:
  - name: unequal
    inputs:
      red: "A red ball on a blue table, next to a green cup."
      again: "A red ball on a blue table, next to a green cup."
      gray: "A blue bag, and a gray ball on a brown bed, close to an orange tray."
      gold: "I see a brown cart, and a gold bench. A gray ball on a red chair."
    tasks:
      color:
        wordings: ["What color is the ball?", "The ball is what color?", "Name the ball's color."]
      location:
        wordings:
          - "Where is the ball?"
          - "The ball is where?"
          - "What is the ball on?"
          - "Where can the ball be found?"
          - "Tell me where the ball is."
stages:
  - kind: extract
    layers: [0, 6]
  - kind: reference
  - kind: vectors
  - kind: variance
"""
SIZES = [3, 5]


@pytest.fixture(scope="module")
def unequal(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unequal")
    pipeline = folder / "unequal.yml"
    pipeline.write_text(UNEQUAL.replace("MODEL", str(ROOT / "data/demo")))
    return finish(folder / "run", pipeline=pipeline)


def projected(y, *factors):
    """What the least-squares fit on these factors' levels leaves of `y`."""
    dummies = [np.eye(factor.max() + 1)[factor] for factor in factors]
    design = np.concatenate([np.ones((len(y), 1)), *dummies], axis=1)
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return float(((y - fitted) ** 2).sum())


def test_unequal_tasks_are_partitioned_by_all_their_wordings(unequal):
    rows = by_row(unequal.table("variance_partition"), KEYS[1:])
    assert len(rows) == 2 * 6
    m, ways = sum(SIZES), {}
    for (layer, site, space), row in rows.items():
        if site == "token":
            v = np.concatenate([x.reshape(len(x), m, -1) for x in flat_tokens(unequal, layer)])
        else:
            frame = unequal.table("vectors")
            frame = frame.filter((pl.col("layer") == layer) & (pl.col("site") == site))
            v = frame["values"].to_numpy().astype(np.float64).reshape(4, m, -1)
        if space == "standardised":
            v = v / scale(unequal, "unequal", layer)
        n, y = len(v), v.reshape(-1, v.shape[2])
        unit, cell = np.repeat(np.arange(n), m), np.tile(np.arange(m), n)
        task = np.repeat([0, 1], SIZES)[cell]
        left = [
            projected(y),
            projected(y, unit),
            projected(y, unit, task),
            projected(y, unit, cell),
            projected(y, cell, unit * 2 + task),
        ]
        expected = {
            "ss_total": left[0],
            "ss_input": left[0] - left[1],
            "ss_task": left[1] - left[2],
            "ss_wording": left[2] - left[3],
            "ss_interaction": left[3] - left[4],
            "ss_rest": left[4],
        }
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, rel=2e-6, abs=1e-9 * left[0]), (name, site, space)
        near(sum(row[name] for name in SUMS), row["ss_total"], "sum")
        near(row["f_task"], row["ss_task"] / (row["ss_wording"] / (m - 2)), "f_task")
        near(row["f_interaction"], row["ss_interaction"] / (row["ss_rest"] / (m - 2)), "f")
        # Two of the four inputs are one text.
        assert (row["n_inputs"], row["n_clusters"], row["n_units"]) == (4, 3, n)
        assert (row["n_wordings"], row["n_cells"], row["n_reassignments"]) == (3, m, 56)
        ways[layer, site, space] = dealt(v.mean(axis=0), SIZES)
    for (layer, site, space), row in rows.items():
        share = row["ss_task"] / (row["ss_task"] + row["ss_wording"])
        own = ways[layer, site, space]
        near(row["p_wording"], (own >= share * (1 - 1e-6)).sum() / 56, "p_wording")
        family = np.max([ways[other, site, space] for other in (0, 6)], axis=0)
        near(row["p_wording_max_t"], (family >= share * (1 - 1e-6)).sum() / 56, "p_wording_max_t")


def flat_tokens(run, layer):
    """By input the activations of its tokens, `[tokens, prompts, d]`."""
    vectors = Vectors(run, layer)
    for prompts in run.inputs().values():
        prompts = [prompt for prompt in prompts if prompt.role == "task"]
        yield np.stack([vectors.sites(prompt, "token") for prompt in prompts], axis=1)


def test_labels_of_unequal_tasks_are_exchanged_by_cluster_and_each_mean_counts_once(unequal):
    rows = by_row(unequal.table("variance_partition"), KEYS[1:])
    draws = {}
    for layer, site in itertools.product((0, 6), ("span", "last")):
        frame = unequal.table("vectors")
        frame = frame.filter((pl.col("layer") == layer) & (pl.col("site") == site))
        v = frame["values"].to_numpy().astype(np.float64).reshape(4, sum(SIZES), -1)
        half = (v[:, :3].mean(axis=1) - v[:, 3:].mean(axis=1)) / 2
        clusters = np.stack([half[0] + half[1], half[2], half[3]])
        signs = np.array([(1, a, b) for a in (1, -1) for b in (1, -1)])
        draws[layer, site] = ((signs @ clusters) ** 2).sum(axis=1) / 4 / (half**2).sum()
    for (layer, site), own in draws.items():
        row = rows[layer, site, "raw"]
        assert row["n_permutations"] == 4
        near(row["p"], at_least(own, own[0]) / 4, "p")
        family = np.maximum(draws[0, site], draws[6, site])
        near(row["p_max_t"], at_least(family, own[0]) / 4, "p_max_t")

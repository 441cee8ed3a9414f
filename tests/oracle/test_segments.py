"""Attention by segment and on aligned positions, from the stored weights."""

from itertools import combinations

import numpy as np
import polars as pl
from scipy.special import rel_entr
from scipy.stats import entropy

from conftest import PROMPT, by_row

# Both sides compute in float64 from the same float32 weights.
TOLERANCE = 1e-12

LETTERS = {"task_mass": "t", "template_mass": "f", "input_mass": "i", "tail_mass": "e"}


def weights(run) -> dict:
    """By prompt key and layer: float64 `[heads, tokens]`."""
    heads = {}
    for row in run.table("attention").iter_rows(named=True):
        key = (*(row[name] for name in PROMPT), row["layer"])
        heads.setdefault(key, []).append(row["weights"])
    return {key: np.array(rows, dtype=np.float64) for key, rows in heads.items()}


def is_segment(prompt, letter: str) -> np.ndarray:
    """Which tokens belong to the segment; position 0 belongs to none."""
    return np.array([at > 0 and found == letter for at, found in enumerate(prompt.segments)])


def support(prompt, row: np.ndarray) -> np.ndarray:
    """One head's weights as (sink, task, template, tail, input token 1, ...)."""
    pools = [row[is_segment(prompt, letter)].sum() for letter in "tfe"]
    return np.array([row[0], *pools, *row[is_segment(prompt, "i")]])


def test_masses_are_sums_over_segments(run):
    table = run.table("attention_mass")
    rows = by_row(table, [*PROMPT, "layer", "head"])
    by_key, largest, n = weights(run), 0.0, 0
    for prompt in run.prompts():
        for layer in table["layer"].unique():
            heads = by_key[*prompt.key, layer]
            entropies = entropy(heads, base=2, axis=1)
            for head in range(-1, len(heads)):
                row = rows[*prompt.key, layer, head]
                of_head = heads.mean(axis=0) if head == -1 else heads[head]
                bits = entropies.mean() if head == -1 else entropies[head]
                largest = max(
                    largest, abs(row["sink_mass"] - of_head[0]), abs(row["entropy_bits"] - bits)
                )
                for name, letter in LETTERS.items():
                    mass = of_head[is_segment(prompt, letter)].sum()
                    largest = max(largest, abs(row[name] - mass))
                assert row["is_sink"] == int(of_head[0] > 0.3) and row["status"] == "ok"
                n += 1
    assert n == len(rows) > 0
    assert largest < TOLERANCE, largest
    masses = table.select(pl.sum_horizontal("sink_mass", *LETTERS))
    assert np.abs(masses.to_numpy() - 1).max() < 1e-5


def jsd(p: np.ndarray, q: np.ndarray) -> float:
    """Bits. scipy's own `jensenshannon` gives NaN where rounding makes a sum of 0 negative."""
    p, q = p / p.sum(), q / q.sum()
    m = (p + q) / 2
    return (rel_entr(p, m) + rel_entr(q, m)).sum() / 2 / np.log(2)


def expected(a: np.ndarray, b: np.ndarray) -> dict:
    """By measure: value (None where too little is left) and the two masses."""
    found = {}
    for measure, start in {"jsd_full": 0, "jsd_no_sink": 1, "jsd_input": 4}.items():
        masses = a[start:].sum(), b[start:].sum()
        enough = min(masses) >= 1e-3
        value = jsd(a[start:], b[start:]) if enough else None
        found[measure] = value, *masses
    p, q = a / a.sum(), b / b.sum()
    found["overlap"] = np.minimum(p, q).sum(), a.sum(), b.sum()
    return found


def test_every_pair_of_tasks_head_by_head(run):
    keys = ["scenario", "input", "layer", "head", "task_a", "task_b", "measure"]
    table = run.table("attention_divergence")
    rows, by_key, largest = by_row(table, keys), weights(run), 0.0
    for (scenario, name), prompts in run.inputs().items():
        first = [prompt for prompt in prompts if prompt.wording == 0]
        for (a, b), layer in (
            (pair, layer) for pair in combinations(first, 2) for layer in table["layer"].unique()
        ):
            heads = [
                expected(support(a, of_a), support(b, of_b))
                for of_a, of_b in zip(by_key[*a.key, layer], by_key[*b.key, layer])
            ]
            for measure in heads[0]:
                found = [head[measure] for head in heads]
                values = [value for value, *_ in found if value is not None]
                mean = np.mean(values) if values else None
                mean = (mean, *np.mean([masses for _, *masses in found], axis=0))
                for head, (value, *masses) in enumerate([mean, *found], start=-1):
                    row = rows.pop((scenario, name, layer, head, a.task, b.task, measure))
                    if value is None:
                        assert row["value"] is None and row["status"] == "low_mass"
                    else:
                        assert row["status"] == "ok"
                        largest = max(largest, abs(row["value"] - value))
                    of_head = 1 if value is not None else 0
                    assert row["n_heads"] == (len(values) if head == -1 else of_head)
                    largest = max(
                        largest, abs(row["mass_a"] - masses[0]), abs(row["mass_b"] - masses[1])
                    )
    assert not rows
    assert largest < TOLERANCE, largest


def test_all_wordings_are_compared_in_the_mean_of_the_heads(run):
    keys = ["scenario", "input", "layer", "measure"]
    rows = by_row(run.table("attention_wording_pairs"), keys)
    by_key, largest = weights(run), 0.0
    layers = sorted({layer for *_, layer in by_key})
    for (scenario, name), prompts in run.inputs().items():
        tasks = [prompt for prompt in prompts if prompt.role == "task"]
        for layer in layers:
            pairs = [
                [
                    expected(support(a, of_a), support(b, of_b))
                    for of_a, of_b in zip(by_key[*a.key, layer], by_key[*b.key, layer])
                ]
                for a, b in combinations(tasks, 2)
            ]
            for measure in ("jsd_full", "jsd_no_sink", "jsd_input"):
                row = rows.pop((scenario, name, layer, f"attention_{measure}"))
                assert row["tasks"] == [0, 0, 1, 1, 2, 2]
                values = [[head[measure][0] for head in heads] for heads in pairs]
                values = [[value for value in of if value is not None] for of in values]
                if not all(values):
                    assert (row["values"], row["status"]) == (None, "low_mass")
                    continue
                assert row["status"] == "ok"
                means = [np.mean(of) for of in values]
                largest = max(largest, np.abs(np.array(row["values"]) - means).max())
    assert not rows
    assert 0 < largest < TOLERANCE, largest


def named(prompt) -> list:
    """What each position is called in every prompt: places from the end but in the input."""
    names = [("first", 0)]
    for at, letter in list(enumerate(prompt.segments))[1:]:
        before = prompt.segments[1:at].count(letter)
        after = prompt.segments[at + 1 :].count(letter)
        names.append((letter, before if letter == "i" else after))
    return names


def test_focus_sets_on_aligned_positions(run):
    rows = run.table("attention_overlap").filter(pl.col("measure") != "jaccard")
    rows = by_row(rows, ["scenario", "input", "layer", "head", "task_a", "task_b", "measure"])
    by_key, values = weights(run), set()
    for (scenario, name, layer, head, task_a, task_b, measure), row in rows.items():
        assert head == -1 and row["status"] == "ok" and row["k"] == 5
        skip = 1 if measure == "jaccard_no_sink" else 0
        sets = []
        for prompt in run.inputs()[scenario, name]:
            if prompt.wording == 0 and prompt.task in (task_a, task_b):
                mean = by_key[*prompt.key, layer].mean(axis=0)[skip:]
                top = np.lexsort((np.arange(mean.size), -mean))[:5] + skip
                sets.append({named(prompt)[at] for at in top})
        assert abs(row["value"] - len(sets[0] & sets[1]) / len(sets[0] | sets[1])) < 1e-15
        values.add(row["value"])
    # Of 6 inputs and 3 pairs of tasks; not always the same value.
    assert len(rows) == 2 * 6 * 3 and len(values) > 2

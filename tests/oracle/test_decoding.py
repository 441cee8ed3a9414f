"""Table `decoding` again, by explicit loops over folds, splits and dealings in numpy: balanced and
unbalanced wordings, one wording, from the dumped vectors."""

import hashlib
import itertools
import math

import numpy as np
import polars as pl
import pytest
from conftest import ROOT, by_row, finish
from scipy import stats

SEED = 41
FOLDS = 3
PIPELINE = """
name: decoding
model: MODEL
seed: 41
scenarios:
  - name: three
    inputs: &few { file: SCENES, id: id, text: text }
    tasks:
      color: { wordings: ["What color is the ball?", "The ball is what color?", "Name its color."] }
      location: { wordings: ["Where is the ball?", "The ball is where?", "Find the ball."] }
  - name: unequal
    inputs: *few
    tasks:
      color:
        wordings: ["What color is the ball?", "Which color is it?", "Name its color.", "The color?"]
      count: { wordings: ["How many objects are mentioned?", "Count the objects.", "How many?"] }
  - name: pairs
    inputs: *few
    tasks:
      color: { wordings: ["What color is the ball?", "Name its color."] }
      location: { wordings: ["Where is the ball?", "Find the ball."] }
      count: { wordings: ["Count the objects.", "How many?"] }
  - name: one
    inputs: *few
    tasks: { color: "What color is the ball?", location: "Where is the ball?" }
stages:
  - kind: extract
    layers: [0, 7]
  - kind: similarity
  - kind: divergence
  - kind: vectors
  - kind: decoding
    folds: 3
"""


@pytest.fixture(scope="module")
def decoded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decoding")
    few = folder / "few.jsonl"
    lines = (ROOT / "data/scenes.jsonl").read_text().splitlines()[:13]
    few.write_text("\n".join(lines) + "\n")
    pipeline = folder / "decoding.yml"
    text = PIPELINE.replace("MODEL", str(ROOT / "data/demo")).replace("SCENES", str(few))
    pipeline.write_text(text)
    return finish(folder / "run", pipeline=pipeline)


def design(run, scenario, layer, site):
    """Vectors `[inputs, cells, d]`, the wordings of each task, and the inputs' ids."""
    frame = run.table("vectors").filter(
        (pl.col("scenario") == scenario) & (pl.col("layer") == layer) & (pl.col("site") == site)
    )
    frame = frame.filter(pl.col("wording") >= 0)
    ids = frame["input"].unique(maintain_order=True).to_list()
    first = frame.filter(pl.col("input") == ids[0])
    tasks = first["task"].unique(maintain_order=True).to_list()
    sizes = [first.filter(pl.col("task") == task).height for task in tasks]
    values = frame["values"].to_numpy().astype(np.float64)
    return values.reshape(len(ids), sum(sizes), -1), sizes, ids


def folds(scenario, ids):
    def key(name):
        return hashlib.sha256(f'fold ({SEED}, "{scenario}", "{name}")'.encode()).hexdigest()

    order = sorted(range(len(ids)), key=lambda i: key(ids[i]))
    fold = np.empty(len(ids), dtype=int)
    fold[order] = np.arange(len(ids)) % FOLDS
    return fold


def precision(x):
    """Inverse of the shrunk covariance of inputs within cells; `x` is `[inputs, cells, d]`."""
    n, cells, d = x.shape
    rest = (x - x.mean(axis=0)).reshape(-1, d)
    covariance = rest.T @ rest / ((n - 1) * cells)
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(sd, sd)
    alpha = (correlation**2).mean()
    shrinkage = min(1, (alpha + 1) / ((n + 1) * (alpha - 1 / d)))
    shrunk = (1 - shrinkage) * correlation + shrinkage * np.eye(d)
    return np.linalg.inv(shrunk * np.outer(sd, sd))


class Classifier:
    """What folds have in common for all dealings: means, precision."""

    def __init__(self, x, fold):
        self.x, self.fold = x, fold
        self.trained = [(x[fold != f].mean(axis=0), precision(x[fold != f])) for f in range(FOLDS)]

    def accuracies(self, tasks, seen=False):
        """Of each input; `tasks` lists the cells of each task. Every split is gone through."""
        count = min(len(task) for task in tasks) - (0 if seen else 1)
        right = np.zeros(len(self.x))
        splits = list(itertools.product(*(range(len(task)) for task in tasks)))
        for f, (means, inverse) in enumerate(self.trained):
            own = self.x[self.fold == f]
            for split in splits:
                classes = []
                for task, left in zip(tasks, split):
                    start = left if seen else left + 1
                    cells = [task[(start + i) % len(task)] for i in range(count)]
                    classes.append(means[cells].mean(axis=0))
                for k, task in enumerate(tasks):
                    off = own[:, task[split[k]], None] - np.array(classes)
                    distance = np.einsum("ikd,de,ike->ik", off, inverse, off)
                    right[self.fold == f] += distance.argmin(axis=1) == k
        return right / len(splits) / len(tasks)


def own_tasks(sizes):
    ends = np.cumsum(sizes)
    return [list(range(end - size, end)) for end, size in zip(ends, sizes)]


def dealings(sizes):
    """Every way to deal cells out to tasks of these sizes, as sets of tasks; the own one first."""
    ways = set()

    def deal(rest, left, tasks):
        if not left:
            ways.add(tuple(sorted(tasks)))
            return
        for cells in itertools.combinations(rest, left[0]):
            deal([c for c in rest if c not in cells], left[1:], [*tasks, cells])

    deal(list(range(sum(sizes))), list(sizes), [])
    return sorted(ways)


def interval(model, accuracies, sizes):
    tasks = own_tasks(sizes)
    n, a = len(accuracies), accuracies.mean()
    over_wordings = 0
    for task in tasks:
        without = []
        for cell in task:
            others = [[c for c in t if c != cell] for t in tasks]
            without.append(model.accuracies(others).mean())
        without = np.array(without)
        w = len(task)
        over_wordings += (w - 1) / w * ((without - without.mean()) ** 2).sum()
    parts = [(accuracies.var(ddof=1) / n, n - 1), (over_wordings, min(sizes) - 1)]
    crossed = sum(variance for variance, _ in parts)
    squares = sum(variance**2 / freedom for variance, freedom in parts)
    # Where nothing varies, what two right and two wrong ones more would change.
    units = min(n, sum(sizes))
    pulled = (units * a + 2) / (units + 4)
    edge = max(0, pulled * (1 - pulled) - a * (1 - a)) / (units + 4)
    squares += edge**2 / (sum(sizes) - len(sizes))
    freedom = max(1, (crossed + edge) ** 2 / squares)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(crossed + edge)
    return max(0, a - half), min(1, a + half)


def near(value, expected, name):
    assert value == pytest.approx(expected, rel=1e-9, abs=1e-9), name


def test_every_number_is_that_of_explicit_loops(decoded):
    rows = by_row(decoded.table("decoding"), ["scenario", "layer", "site"])
    assert len(rows) == 4 * 2 * 2
    draws = {}
    for (scenario, layer, site), row in rows.items():
        x, sizes, ids = design(decoded, scenario, layer, site)
        name = (scenario, layer, site)
        counts = [row[c] for c in ("n_inputs", "n_clusters", "n_tasks", "n_wordings")]
        assert counts == [len(ids), len(ids), len(sizes), min(sizes)], name
        near(row["chance"], 1 / len(sizes), name)
        model = Classifier(x, folds(scenario, ids))
        seen = model.accuracies(own_tasks(sizes), seen=True).mean()
        near(row["accuracy_seen"], seen, name)
        if min(sizes) == 1:
            assert row["status"] == "no_pairs" and row["accuracy"] is None and row["p"] is None
            assert row["n_splits"] == row["n_reassignments"] == 0
            continue
        assert row["status"] == "ok"
        accuracies = model.accuracies(own_tasks(sizes))
        near(row["accuracy"], accuracies.mean(), name)
        near(row["gap"], seen - accuracies.mean(), name)
        assert row["n_splits"] == math.prod(sizes)
        if min(sizes) == 2:
            assert row["ci_low"] is None and row["ci_high"] is None
        else:
            low, high = interval(model, accuracies, sizes)
            near(row["ci_low"], low, name)
            near(row["ci_high"], high, name)
        ways = dealings(sizes)
        assert row["n_reassignments"] == len(ways)
        draws[name] = np.array([model.accuracies(way).mean() for way in ways])
        near(row["p"], (draws[name] >= row["accuracy"] - 1e-9).mean(), name)
        if len(set(sizes)) == 1:
            near(draws[name].mean(), row["chance"], name)
    for name in draws:
        family = np.max([draws[other] for other in draws if other[0] == name[0]], axis=0)
        near(rows[name]["p_max_t"], (family >= rows[name]["accuracy"] - 1e-9).mean(), name)


def test_numbers_are_neither_trivial_nor_the_same(decoded):
    rows = decoded.table("decoding").filter(pl.col("status") == "ok")
    assert rows["accuracy"].n_unique() > 3 and rows["accuracy"].min() < 1
    assert (rows["gap"] >= 0).any()

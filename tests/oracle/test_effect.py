"""Sizes and certainty of table `effect` again: intervals over inputs and wordings, the scale from
another wording to another input, what a design would find, and the tests that are corrected over all
that is judged, by numpy and scipy from the dumped pairs of wordings."""

import itertools
import json
import math

import numpy as np
import pytest
from conftest import by_row
from draws import Stream
from scipy import stats
from test_evidence import READOUTS, SEED, at_least, flipped, near, sortings

JUDGED = ["span_standardised", "last_standardised", "jsd_bits"]
TASKS = np.repeat([0, 1, 2], 2)
WAYS = list(sortings(list(range(6)), 2))


def tables(run):
    """By measure and layer: for each input the dissimilarities of all pairs of prompts, 6 x 6."""
    found = {}
    for name in ("wording_pairs", "output_wording_pairs", *READOUTS):
        for row in run.table(name).iter_rows(named=True):
            if row["values"] is None:
                continue
            table = np.zeros((6, 6))
            values = np.array(row["values"])
            table[np.triu_indices(6, 1)] = 1 - values if name == "wording_pairs" else values
            found.setdefault((row["measure"], row.get("layer", -1)), []).append(table + table.T)
    return {key: np.array(values) for key, values in found.items()}


def parts(table, cells):
    """Means between and within tasks over the pairs of some cells."""
    pairs = list(itertools.combinations(cells, 2))
    same = np.array([TASKS[a] == TASKS[b] for a, b in pairs])
    values = np.array([table[a, b] for a, b in pairs])
    return values[~same].mean(), values[same].mean()


def crossed(estimate, influences, without):
    """Interval, degrees of freedom and variances, as math/inference/crossed.rs says."""
    n = len(influences)
    over_inputs = np.var(influences, ddof=1) / n
    over_tasks = [(len(own) - 1) / len(own) * np.sum((own - np.mean(own)) ** 2) for own in without]
    over_wordings = sum(over_tasks)
    variance = over_inputs + over_wordings
    fewest = min(len(own) for own in without)
    df = variance**2 / (over_inputs**2 / (n - 1) + over_wordings**2 / (fewest - 1))
    df = max(1.0, df)
    half = stats.t.ppf(0.975, df) * math.sqrt(variance)
    mde = (stats.t.ppf(0.975, df) + stats.t.ppf(0.8, df)) * math.sqrt(variance)
    return estimate - half, estimate + half, df, over_inputs, over_wordings, mde


def fieller(means, clusters, without):
    """Interval of a ratio and its smallest detectable value, as math/inference/ratio.rs says. Two wordings
    leave a scale that may be 0, and so no interval; test_scenes.py has some with ends."""
    ratio = means[0] / means[1]
    linear = np.array([1, -ratio]) / means[1]
    of_clusters = np.cov(clusters.T) / len(clusters)
    around = [own - own.mean(axis=0) for own in without]
    of_wordings = sum((len(own) - 1) / len(own) * own.T @ own for own in around)
    inputs, wordings = linear @ of_clusters @ linear, linear @ of_wordings @ linear
    fewest = min(len(own) for own in without)
    df = (inputs + wordings) ** 2 / (inputs**2 / (len(clusters) - 1) + wordings**2 / (fewest - 1))
    df = max(1.0, df)
    t = stats.t.ppf(0.975, df)
    v = t**2 * (of_clusters + of_wordings)
    mde = (t + stats.t.ppf(0.8, df)) * math.sqrt(inputs + wordings)
    a = means[1] ** 2 - v[1, 1]
    if a <= 0:
        return None, None, None
    roots = np.roots([a, -2 * (means[0] * means[1] - v[0, 1]), means[0] ** 2 - v[0, 0]])
    return roots.min(), roots.max(), mde


def another_input(run):
    """By measure and layer: for each input the dissimilarity of each (task, wording) to another input in
    that wording, NaN in those that are not this input's turn."""
    found = {}
    for name in ("contrast", "output_contrast"):
        for row in run.table(name).iter_rows(named=True):
            if row["contrast"] == "other_input" and row["value"] is not None:
                values = np.array(row["values"])
                each = 1 - values if name == "contrast" else values
                own = np.full(6, np.nan)
                own[row["places"]] = each
                found.setdefault((row["measure"], row.get("layer", -1)), []).append(own)
    return {key: np.array(values) for key, values in found.items()}


def other_without(by_cell, cell):
    """The mean over tasks, of each over the inputs whose turn is not that cell."""
    kept = by_cell.copy()
    kept[:, cell] = np.nan
    return np.mean([np.nanmean(kept[:, [2 * k, 2 * k + 1]]) for k in range(3)])


def test_intervals_take_inputs_and_wordings_as_random(run):
    rows = by_row(run.table("effect"), ["measure", "layer", "contrast"])
    others = another_input(run)
    scaled = 0
    for key, of_inputs in tables(run).items():
        row = rows[*key, "paraphrase"]
        each = np.array([parts(table, range(6)) for table in of_inputs])
        deltas = each[:, 0] - each[:, 1]
        mean = of_inputs.mean(axis=0)
        left = [[parts(mean, [c for c in range(6) if c != cell]) for cell in (2 * k, 2 * k + 1)]
                for k in range(3)]
        without = [np.array([b - w for b, w in own]) for own in left]
        low, high, df, inputs, wordings, mde = crossed(deltas.mean(), deltas, without)
        names = ("ci_low", "ci_high", "df", "var_clusters", "var_wordings", "mde")
        for name, value in zip(names, (low, high, df, inputs, wordings, mde)):
            assert row[name] == pytest.approx(value, rel=1e-7, abs=1e-12), (key, name)
        assert (row["ci_method"], row["n_clusters"]) == ("crossed", 6)
        near(row["median"], np.median(deltas), key)
        same = [(a, b) for a, b in itertools.combinations(range(6), 2) if TASKS[a] == TASKS[b]]
        largest = [max(table[a, b] for a, b in same) for table in of_inputs]
        near(row["prevalence"], np.mean(each[:, 0] > largest), key)
        by_cell = others.get(key)
        other = None if by_cell is None else np.nanmean(by_cell, axis=1)
        if other is None or other.mean() <= each[:, 1].mean():
            assert row["relative"] is None and row["smallest"] is None, key
            continue
        scaled += 1
        scale = other.mean() - each[:, 1].mean()
        relative = deltas.mean() / scale
        clusters = np.array([deltas, other - each[:, 1]]).T
        pairs = [np.array([[b - w, other_without(by_cell, 2 * k + j) - w] for j, (b, w) in enumerate(own)])
                 for k, own in enumerate(left)]
        low, high, mde = fieller((deltas.mean(), scale), clusters, pairs)
        near(row["relative"], relative, key)
        for name, value in (("relative_low", low), ("relative_high", high), ("mde_relative", mde)):
            if value is None:
                assert row[name] is None, (key, name)
            else:
                assert row[name] == pytest.approx(value, rel=1e-6, abs=1e-12), (key, name)
        near(row["smallest"], 0.1 * scale, key)
        beyond = np.abs(deltas) > 0.1 * scale
        assert row["n_beyond"] == beyond.sum(), key
        ids = run.table("contrast")["input"].unique(maintain_order=True).to_list()
        assert json.loads(row["beyond"]) == [name for name, is_one in zip(ids, beyond) if is_one]
    assert scaled > 5, "measures and layers where another input is further than another wording"


def test_what_is_judged_is_corrected_together(run):
    rows = by_row(run.table("effect"), ["measure", "layer", "contrast"])
    judged = {key: of for key, of in tables(run).items() if key[0] in JUDGED}
    deltas, dealt = {}, {}
    for key, of_inputs in judged.items():
        each = np.array([parts(table, range(6)) for table in of_inputs])
        deltas[key] = each[:, 0] - each[:, 1]
        mean = of_inputs.mean(axis=0)
        upper = mean[np.triu_indices(6, 1)].sum()
        within = [
            sum(mean[a, b] for group in way for a, b in itertools.combinations(group, 2))
            for way in WAYS
        ]
        values = np.array([(upper - own) / 12 - own / 3 for own in within])
        dealt[key] = (values - values.mean()) / values.std()
    flips = np.max([flipped(x) for x in deltas.values()], axis=0)
    ways = np.max(list(dealt.values()), axis=0)
    assert len(judged) == 2 * len(run.layers()) + 1
    for key, x in deltas.items():
        row = rows[*key, "paraphrase"]
        near(row["p_joint"], at_least(flips, x.sum() / math.sqrt((x**2).sum())) / 64, key)
        near(row["p_wording_joint"], at_least(ways, dealt[key][0]) / 15, key)
    for (measure, layer, contrast), row in rows.items():
        if measure not in JUDGED or contrast != "paraphrase":
            assert row["p_joint"] is None and row["p_wording_joint"] is None


def wordings(run):
    """The task's tokens of each wording, as the first input has them."""
    first = run.table("prompts").filter(input="red-ball").filter(role="task")
    of = []
    for row in first.iter_rows(named=True):
        letters = zip(row["segments"], row["token_ids"])
        of.append([token for letter, token in letters if letter == "t"])
    return of


def test_form_is_regressed_out_of_the_distances(run):
    rows = by_row(run.table("effect"), ["measure", "layer", "contrast"])
    asked = wordings(run)
    pairs = [(a, b) for a in range(1, 6) for b in range(a)]
    unlike = lambda a, b: 1 - len(set(a) & set(b)) / len(set(a) | set(b))  # noqa: E731
    form = np.array(
        [[1, abs(len(asked[a]) - len(asked[b])), unlike(asked[a], asked[b])] for a, b in pairs]
    )
    label = np.array([float(TASKS[a] != TASKS[b]) for a, b in pairs])
    left = lambda y: y - form @ np.linalg.lstsq(form, y, rcond=None)[0]  # noqa: E731
    label = left(label)
    orders = [Stream(SEED, "wordings of scenes", draw).shuffled(6) for draw in range(1999)]
    for key in (("span_standardised", 5), ("jsd_bits", -1), ("last_standardised", 11)):
        mean = tables(run)[key].mean(axis=0)
        residuals = np.zeros((6, 6))
        for (a, b), value in zip(pairs, left(np.array([mean[a, b] for a, b in pairs]))):
            residuals[a, b] = residuals[b, a] = value

        def statistic(order):
            own = np.array([residuals[order[a], order[b]] for a, b in pairs])
            return label @ own / np.linalg.norm(left(own))

        draws = [statistic(order) for order in orders]
        p = (at_least(draws, statistic(range(6))) + 1) / 2000
        assert rows[*key, "paraphrase"]["p_wording_form"] == pytest.approx(p, abs=1.5 / 2000), key

"""Effect, geometry and verdict again, by numpy and scipy over the dumped
tables. Every test of the oracle's pipeline is small enough to be counted out, so p is compared
exactly; bootstraps and orders of inputs are drawn as the program says it draws them."""

import itertools
import math

import numpy as np
import polars as pl
import pytest
from conftest import by_row
from draws import Stream
from scipy import stats

SEED = 37
TOLERANCE = 1e-9


def near(value, expected, name):
    assert value == pytest.approx(expected, rel=TOLERANCE, abs=1e-12), name


def at_least(values, observed):
    """How many values are as large, rounding aside."""
    values = np.asarray(values)
    return int((values >= observed - 1e-11 * max(np.abs(values).max(), abs(observed))).sum())


def cells(run, layer, site):
    """Vectors of table `vectors` as `[inputs, tasks, wordings, d_model]`."""
    frame = run.table("vectors").filter(pl.col("layer") == layer)
    frame = frame.filter((pl.col("site") == site) & (pl.col("wording") >= 0))
    assert set(frame["status"]) == {"ok"}
    values = frame["values"].to_numpy().astype(np.float64)
    shape = [frame[name].n_unique() for name in ("input", "task", "wording")]
    return values.reshape(*shape, -1)


# Tables of pairs of wordings on layers, whose values are dissimilarities.
READOUTS = [f"{name}_wording_pairs" for name in ("attention", "surprisal", "lens", "geometry")]


def contrasts(run):
    """Dissimilarities by (measure, layer, contrast): one for each input, in the plan's order."""
    series = {}
    for name, table in (("contrast", 1), ("output_contrast", -1)):
        for row in run.table(name).iter_rows(named=True):
            value = row["value"]
            if value is not None:
                value = 1 - value if table == 1 else value
            key = (row["measure"], row.get("layer", -1), row["contrast"])
            series.setdefault(key, []).append(value)
    for row in (row for name in READOUTS for row in run.table(name).iter_rows(named=True)):
        values, tasks = row["values"], np.array(row["tasks"])
        a, b = np.triu_indices(len(tasks), 1)
        for contrast, own in (("between", tasks[a] != tasks[b]), ("paraphrase", tasks[a] == tasks[b])):
            key = (row["measure"], row["layer"], contrast)
            mean = None if values is None else np.array(values)[own].mean()
            series.setdefault(key, []).append(mean)
    return series


def interval(x, seed, purpose):
    """Bootstrap interval of the mean: BCa from 8 inputs on, tails widened by Student's t."""
    n = len(x)
    alpha = stats.norm.cdf(math.sqrt(n / (n - 1)) * stats.t.ppf(0.025, n - 1))
    means = []
    for draw in range(10_000):
        stream = Stream(seed, purpose, draw)
        means.append(np.mean([x[stream.below(n)] for _ in range(n)]))
    assert n < 8, "six inputs: the percentile interval"
    return np.quantile(means, [alpha, 1 - alpha])


def flipped(x):
    signs = np.array(list(itertools.product([1, -1], repeat=len(x))))
    return signs @ x / math.sqrt((x**2).sum())


def test_effects_are_those_of_numpy_and_scipy(run):
    rows = by_row(run.table("effect"), ["measure", "layer", "contrast"])
    series = contrasts(run)
    deltas = {}
    for key, row in rows.items():
        measure, layer, contrast = key
        between, baseline = series[measure, layer, "between"], series[key]
        if None in between or None in baseline:
            assert row["status"] != "ok" and row["delta"] is None, key
            continue
        between, baseline = np.array(between), np.array(baseline)
        x = deltas[key] = between - baseline
        near(row["delta"], x.mean(), key)
        near(row["between"] - row["baseline"], x.mean(), key)
        near(row["d_z"], x.mean() / x.std(ddof=1), key)
        near(row["auc"], stats.mannwhitneyu(between, baseline).statistic / len(x) ** 2, key)
        near(row["cliffs_delta"], 2 * row["auc"] - 1, key)
        near(row["p"], at_least(flipped(x), x.sum() / math.sqrt((x**2).sum())) / 64, key)
        assert (row["n_inputs"], row["n_permutations"], row["ci_inputs_method"]) == (6, 64, "percentile")
    assert {contrast for _, _, contrast in deltas} == {
        "paraphrase", "neutral", "scrambled", "other_input"
    }
    for (measure, layer, contrast), x in deltas.items():
        row = rows[measure, layer, contrast]
        layers = [key for key in deltas if (key[0], key[2]) == (measure, contrast)]
        family = np.max([flipped(deltas[key]) for key in layers], axis=0)
        observed = x.sum() / math.sqrt((x**2).sum())
        near(row["p_max_t"], at_least(family, observed) / 64, (measure, layer, contrast))
    p = [row["p"] for row in rows.values() if row["p"] is not None]
    q = [row["q"] for row in rows.values() if row["p"] is not None]
    assert q == pytest.approx(stats.false_discovery_control(p), rel=1e-12)


def test_intervals_are_quantiles_of_the_same_draws(run):
    rows = by_row(run.table("effect"), ["measure", "layer", "contrast"])
    series = contrasts(run)
    for key in (("span_standardised", 11, "paraphrase"), ("jsd_bits", -1, "neutral")):
        x = np.array(series[*key[:2], "between"]) - np.array(series[key])
        low, high = interval(x, SEED, "deltas of scenes")
        assert rows[key]["ci_inputs_low"] == pytest.approx(low, abs=1e-6 * (high - low)), key
        assert rows[key]["ci_inputs_high"] == pytest.approx(high, abs=1e-6 * (high - low)), key


def sortings(cells, size):
    """Every way to sort cells into groups of that size."""
    if not cells:
        yield []
        return
    for others in itertools.combinations(cells[1:], size - 1):
        rest = [cell for cell in cells[1:] if cell not in others]
        for more in sortings(rest, size):
            yield [(cells[0], *others), *more]


def test_wordings_are_dealt_out_in_every_way(run):
    rows = by_row(run.table("effect"), ["measure", "layer", "contrast"])
    tables = {}
    names = ("wording_pairs", "output_wording_pairs", *READOUTS)
    for name, sign in ((name, -1 if name == "wording_pairs" else 1) for name in names):
        for row in run.table(name).iter_rows(named=True):
            if row["values"] is None:
                continue
            n = len(row["tasks"])
            table = np.zeros((n, n))
            values = np.array(row["values"])
            table[np.triu_indices(n, 1)] = 1 - values if sign == -1 else values
            key = (row["measure"], row.get("layer", -1))
            tables.setdefault(key, []).append(table + table.T)
    ways = list(sortings(list(range(6)), 2))
    assert len(ways) == 15
    draws = {}
    for key, of_inputs in tables.items():
        table = np.mean(of_inputs, axis=0)
        upper = table[np.triu_indices(6, 1)].sum()
        values = []
        for way in ways:
            within = sum(table[a, b] for group in way for a, b in itertools.combinations(group, 2))
            values.append((upper - within) / 12 - within / 3)
        draws[key] = np.array(values)
        row = rows[*key, "paraphrase"]
        near(row["p_wording"], at_least(values, values[0]) / 15, key)
        assert (row["n_reassignments"], row["n_wordings"]) == (15, 2)
    assert {layer for _, layer in draws} == {-1, *run.layers()}
    for (measure, layer), values in draws.items():
        scaled = lambda x: (x - x.mean()) / x.std()  # noqa: E731
        family = [scaled(draws[key]) for key in draws if key[0] == measure]
        p = at_least(np.max(family, axis=0), scaled(values)[0]) / 15
        near(rows[measure, layer, "paraphrase"]["p_wording_max_t"], p, (measure, layer))


def u_centred(x):
    k = (x - x.mean(axis=0)) @ (x - x.mean(axis=0)).T
    np.fill_diagonal(k, 0)
    n = len(k)
    sums = k.sum(axis=1)
    k = k - sums[:, None] / (n - 2) - sums[None] / (n - 2) + k.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(k, 0)
    return k


def debiased(x, y):
    a, b = u_centred(x), u_centred(y)
    return (a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum())


def biased(x, y):
    k, l = (z - z.mean(axis=0) for z in (x, y))
    return ((k @ k.T) * (l @ l.T)).sum() / np.linalg.norm(k @ k.T) / np.linalg.norm(l @ l.T)


def rsa(x, y):
    pairs = np.triu_indices(len(x), 1)
    return stats.spearmanr(*(np.corrcoef(z)[pairs] for z in (x, y))).statistic


def shared_neighbours(x, y, k):
    def nearest(z):
        z = z / np.linalg.norm(z, axis=1, keepdims=True)
        cosines = z @ z.T
        np.fill_diagonal(cosines, -np.inf)
        return [set(np.argsort(-row, kind="stable")[:k]) for row in cosines]

    return np.mean([len(a & b) / k for a, b in zip(nearest(x), nearest(y))])


def test_arrangements_are_compared_as_numpy_and_scipy_do(run):
    rows = by_row(run.table("geometry"), ["layer", "site", "task_a", "task_b", "measure"])
    tasks = ["color", "location", "count"]
    orders = [Stream(SEED, "inputs of scenes", draw).shuffled(6) for draw in range(999)]
    everyone = [list(order) for order in itertools.permutations(range(6))]
    assert len(rows) == len(run.layers()) * 2 * 3 * 4
    for (layer, site, a, b, measure), row in rows.items():
        key = (layer, site, a, b, measure)
        assert row["status"] == "ok" and row["n_inputs"] == 6, key
        x, y = (cells(run, layer, site)[:, tasks.index(task), 0] for task in (a, b))
        of = {
            "dcka": debiased,
            "cka_biased": biased,
            "rsa_spearman": rsa,
            "mutual_knn": lambda x, y: shared_neighbours(x, y, 2),
        }[measure]
        near(row["value"], of(x, y), key)
        if measure in ("dcka", "rsa_spearman"):
            assert row["chance"] == 0 and row["n_permutations"] == 1000
            # One pair of tasks is enough of 999 orders.
            if (a, b) == ("color", "location"):
                draws = [of(x, y[order]) for order in orders]
                near(row["p"], (at_least(draws, of(x, y)) + 1) / 1000, key)
        else:
            assert row["p"] is None and row["n_permutations"] == 0
        if measure == "dcka":
            left = [debiased(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(6)]
            near(row["se"], math.sqrt(5 * np.var(left)), key)
        if measure == "mutual_knn":
            near(row["chance"], 2 / 5, key)
        if measure == "cka_biased" and (a, b) == ("color", "location"):
            near(row["chance"], np.mean([biased(x, y[order]) for order in everyone]), key)


def test_all_wordings_arrangements_are_jackknifed(run):
    rows = by_row(run.table("geometry_wording_pairs"), ["input", "layer", "measure"])
    inputs = run.table("vectors")["input"].unique(maintain_order=True).to_list()
    for layer, site in itertools.product(run.layers(), ("span", "last")):
        of = cells(run, layer, site)
        of = of.reshape(6, 6, -1).swapaxes(0, 1)
        pairs = list(itertools.combinations(range(6), 2))
        for (a, b), place in zip(pairs, range(15)):
            x, y = of[a], of[b]
            whole = 1 - debiased(x, y)
            pseudo = [
                6 * whole - 5 * (1 - debiased(np.delete(x, i, 0), np.delete(y, i, 0)))
                for i in range(6)
            ]
            for name, value in zip(inputs, pseudo):
                row = rows[name, layer, f"geometry_dcka_{site}"]
                assert row["status"] == "ok" and row["tasks"] == [0, 0, 1, 1, 2, 2]
                assert row["values"][place] == pytest.approx(value, rel=1e-9, abs=1e-9)
    assert len(rows) == 6 * len(run.layers()) * 2


def test_readouts_are_held_against_paraphrases(run):
    """Tables of pairs and table `effect`: each measure is there, on each of its layers."""
    rows = by_row(run.table("effect"), ["measure", "layer", "contrast"])
    found = {}
    for row in (row for name in READOUTS for row in run.table(name).iter_rows(named=True)):
        values = found.setdefault((row["measure"], row["layer"]), [])
        if row["values"] is None:
            continue
        tasks = np.array(row["tasks"])
        a, b = np.triu_indices(len(tasks), 1)
        same, of = tasks[a] == tasks[b], np.array(row["values"])
        values.append((of[~same].mean(), of[same].mean()))
    assert len({measure for measure, _ in found}) == 7
    for (measure, layer), values in found.items():
        row = rows[measure, layer, "paraphrase"]
        assert row["n_inputs"] == len(values), (measure, layer)
        if not values:
            continue
        between, within = np.mean(values, axis=0)
        near(row["between"], between, (measure, layer))
        near(row["baseline"], within, (measure, layer))
        near(row["delta"], between - within, (measure, layer))


def test_the_verdict_follows_from_the_effects(run):
    effects = by_row(run.table("effect"), ["measure", "layer", "contrast"])
    rows = by_row(run.table("verdict"), ["scenario", "measure"])
    measures = ["flat", "span_standardised", "last_standardised", "jsd_bits"]
    assert [measure for _, measure in rows] == measures
    for measure in measures[1:]:
        row = rows["scenes", measure]
        # Three tasks of two wordings: 15 ways cannot give a p below 0.05.
        assert row["verdict"] == "not_testable" and "in 15 ways only" in row["reason"]
        own = [e for (m, _, c), e in effects.items() if m == measure and c == "paraphrase"]
        largest = max(own, key=lambda effect: effect["delta"])
        for name, column in (("value", "delta"), ("ci_low", "ci_low"), ("p", "p_joint")):
            assert row[name] == largest[column], (measure, name)

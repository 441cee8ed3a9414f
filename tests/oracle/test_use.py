"""What stage `use` makes of the mediated runs, again by numpy and scipy from table `mediation`: the shares and their
intervals over inputs and wordings, the flips of signs (all 4,096 of twelve inputs), and the verdicts by the words of
docs/measures/use.md; with all wordings of every input, and with one each in turn."""

import itertools
import json

import numpy as np
import pytest
from conftest import CAUSES, by_row, finish
from scipy import stats

MARGIN, MIN_EFFECT = 0.1, 0.05
TASKS = ["color", "location", "count"]
WORDINGS = {"color": 3, "location": 3, "count": 2}
SIGNS = np.array(list(itertools.product([1, -1], repeat=12)))


def near(found, expected, key, rel=1e-9):
    assert found == pytest.approx(expected, rel=rel, abs=1e-12), key


@pytest.fixture(scope="module", params=["all", "in_turn"])
def mediated(request, tmp_path_factory):
    """The run, and whether every input has all wordings."""
    if request.param == "all":
        return request.getfixturevalue("causes"), True
    folder = tmp_path_factory.mktemp("oracle") / "in-turn"
    return finish(folder, "--set", "stages.mediate.wordings=in_turn", pipeline=CAUSES), False


def cells(run):
    """By donor, receiver, layer, source: columns of table `mediation` as `[wordings, inputs]`; NaN where an input was
    not run in a wording."""
    found, names = {}, ["gain_nats", "gain_total_nats", "loss_nats", "loss_total_nats", "donor_share",
                        "receiver_share", "other_share"]  # fmt: skip
    table = run.table("mediation")
    inputs = {name: place for place, name in enumerate(table["input"].unique(maintain_order=True))}
    for row in table.iter_rows(named=True):
        assert row["status"] == "ok"
        key = (row["task_donor"], row["task_receiver"], row["layer"], row["source"])
        by_wording = found.setdefault(key, {})
        own = by_wording.setdefault(row["wording"], {name: np.full(len(inputs), np.nan) for name in names})
        for name in names:
            own[name][inputs[row["input"]]] = row[name]
    return {
        key: {name: np.array([by_wording[w][name] for w in sorted(by_wording)]) for name in names}
        for key, by_wording in found.items()
    }


def over_wordings(values):
    """Of every input that was run in one of these wordings: its mean over them."""
    return np.nanmean(values[:, ~np.isnan(values).all(axis=0)], axis=0)


def asked(of, donor, receiver, layer):
    """What a question is about, and what there is in all: `[wordings, inputs]`."""
    get = lambda source, name: of[donor, receiver, layer, source][name]  # noqa: E731
    if donor == receiver:
        return get("neutral", "loss_nats") - get("paraphrase", "loss_nats"), get("neutral", "loss_total_nats")
    controls = np.maximum(get("neutral", "gain_nats"), get("paraphrase", "gain_nats"))
    return get("task", "gain_nats") - np.maximum(controls, 0), get("task", "gain_total_nats")


def fieller(pairs, without):
    """Fieller's interval of mean over mean: `pairs` `[clusters, 2]`, `without` `[wordings, 2]` or nothing."""
    n, (x, t) = len(pairs), pairs.mean(axis=0)
    of_clusters = np.cov(pairs.T) / n
    of_wordings, least = np.zeros((2, 2)), 1
    if len(without):
        around = without - without.mean(axis=0)
        of_wordings, least = (len(without) - 1) / len(without) * around.T @ around, len(without) - 1
    line = np.array([1, -x / t]) / t
    clusters, wordings = line @ of_clusters @ line, line @ of_wordings @ line
    df = max(1, (clusters + wordings) ** 2 / (clusters**2 / (n - 1) + wordings**2 / least))
    v = stats.t.ppf(0.975, df) ** 2 * (of_clusters + of_wordings)
    if t * t <= v[1, 1]:
        return None, None
    roots = np.roots([t * t - v[1, 1], -2 * (x * t - v[0, 1]), x * x - v[0, 0]])
    return roots.real.min(), roots.real.max()


def flipped(x):
    return SIGNS @ x / np.sqrt((x**2).sum())


def share_at_least(draws, observed):
    return (draws >= observed - 1e-11 * max(np.abs(draws).max(), abs(observed))).mean()


@pytest.fixture(scope="module")
def effects(mediated):
    """All questions, again: by donor, receiver and layer."""
    of, found = cells(mediated[0]), {}
    for donor, receiver, layer in dict.fromkeys(key[:3] for key in of):
        x, t = asked(of, donor, receiver, layer)
        n = min(WORDINGS[donor], WORDINGS[receiver], len(x))
        pairs = np.array([over_wordings(x), over_wordings(t)]).T
        groups = [np.arange(len(x)) % n == g for g in range(n)] if n > 1 else []
        without = np.array([[over_wordings(x[~own]).mean(), over_wordings(t[~own]).mean()] for own in groups])
        low, high = fieller(pairs, without)
        found[donor, receiver, layer] = {
            "value": pairs[:, 0].mean() / pairs[:, 1].mean(), "ci_low": low, "ci_high": high, "n_wordings": n,
            "total_nats": np.median(pairs[:, 1]), "over": pairs[:, 0] - MARGIN * pairs[:, 1],
        }  # fmt: skip
    first = {key: one for key, one in found.items() if key[2] == 0}
    assert all(one["total_nats"] >= MIN_EFFECT for one in first.values()), "all are of one family"
    maxima = np.max([flipped(one["over"]) for one in first.values()], axis=0)
    for one in first.values():
        observed = one["over"].sum() / np.sqrt((one["over"] ** 2).sum())
        one["p"], one["p_max_t"] = (share_at_least(draws, observed) for draws in (flipped(one["over"]), maxima))
    return found


def test_shares_intervals_and_flips_are_those_of_numpy_and_scipy(mediated, effects):
    causes, has_all = mediated
    rows = by_row(causes.table("use_effect"), ["task_donor", "task_receiver", "layer"])
    assert rows.keys() == effects.keys() and len(rows) == 9 * 12
    of = cells(causes)
    for key, one in effects.items():
        row, (donor, receiver) = rows[key], key[:2]
        assert (row["n_inputs"], row["n_clusters"], row["n_wordings"]) == (12, 12, one["n_wordings"]), key
        assert row["question"] == ("necessary" if donor == receiver else "sufficient")
        near(row["value"], one["value"], key)
        if one["ci_low"] is None:
            assert not has_all and (row["ci_low"], row["ci_high"]) == (None, None), key
        else:
            near([row["ci_low"], row["ci_high"]], [one["ci_low"], one["ci_high"]], key, rel=1e-6)
            assert row["ci_low"] < row["value"] < row["ci_high"], key
        near(row["total_nats"], one["total_nats"], key)
        assert (row["p"], row["p_max_t"]) == (one.get("p"), one.get("p_max_t")), key
        main = "neutral" if donor == receiver else "task"
        shares = {"gain": (main, "gain"), "gain_paraphrase": ("paraphrase", "gain"), "loss": (main, "loss"),
                  "gain_neutral": ("neutral", "gain"), "gain_third": ("third", "gain"),
                  "loss_paraphrase": ("paraphrase", "loss")}  # fmt: skip
        for name, (source, what) in shares.items():
            if (*key, source) not in of:
                assert row[name] is None, (key, name)
                continue
            share = np.nansum(of[*key, source][f"{what}_nats"]) / np.nansum(of[*key, main][f"{what}_total_nats"])
            near(row[name], share, (key, name))
        for name in ("donor_share", "receiver_share", "other_share"):
            near(row[name], np.nanmean(of[*key, main][name]), (key, name))


def answered(row, one, layer):
    """yes, no or undecided; every question of the run can be tested."""
    moved = row["loss_paraphrase" if row["question"] == "necessary" else "gain_paraphrase"]
    if moved is not None and abs(moved) > MARGIN:
        return "undecided", "control_moves"
    if one["ci_low"] is not None:
        if one["ci_low"] > MARGIN and (layer > 0 or one["p_max_t"] < 0.05):
            return "yes", ""
        if one["ci_high"] < MARGIN:
            return "no", ""
    return "undecided", ""


def any_of(answers):
    if "yes" in answers:
        return "yes"
    return "no" if set(answers) == {"no"} else "undecided"


def test_verdicts_follow_from_intervals_and_flips(mediated, effects):
    causes, has_all = mediated
    rows = by_row(causes.table("use_effect"), ["task_donor", "task_receiver", "layer"])
    answers = {}
    for key, one in effects.items():
        answers[key], obstacle = answered(rows[key], one, key[2])
        assert (rows[key]["answer"], rows[key]["obstacle"]) == (answers[key], obstacle), key
        assert rows[key]["status"] == "ok", key
    assert set(answers.values()) >= ({"yes", "no", "undecided"} if has_all else {"yes", "undecided"})
    verdicts = by_row(causes.table("use_verdict"), ["task"])
    words = {}
    for task in TASKS:
        others = [other for other in TASKS if other != task]
        into = {other: answers[task, other, 0] for other in others}
        words[task] = answers[task, task, 0], any_of(list(into.values()))
        row = verdicts[task,]
        assert (row["necessary"], row["sufficient"]) == words[task]
        assert json.loads(row["sufficient_for"]) == [other for other in others if into[other] == "yes"]
        best = max(others, key=lambda other: effects[task, other, 0]["value"])
        assert row["best_receiver"] == best
        for name, of in (("necessity", (task, task, 0)), ("sufficiency", (task, best, 0))):
            near(row[name], effects[of]["value"], (task, name))
            ends = [effects[of][f"ci_{end}"] for end in ("low", "high")]
            near([row[f"{name}_ci_{end}"] for end in ("low", "high")], ends, (task, name), rel=1e-6)
        assert (row["n_wordings"], row["n_inputs"], row["margin"]) == (WORDINGS[task], 12, MARGIN)
    used = [task for task, answers in words.items() if "yes" in answers]
    for task, answers in words.items():
        neither = "not_used" if answers == ("no", "no") and used else "undecided"
        assert verdicts[task,]["verdict"] == ("used" if task in used else neither)
    if has_all:
        assert used == ["color", "location"] and verdicts["count",]["verdict"] == "not_used"

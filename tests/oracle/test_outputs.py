"""What the model says next, task against task, from the stored logits."""

from itertools import combinations, permutations

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from scipy.stats import entropy

from conftest import by_row
from head import log_softmax

PAIR = ["scenario", "input", "task_a", "task_b"]

# Both sides compute in float64 from the same float32 logits.
TOLERANCE = 1e-12

CONTROLS = {"neutral": (-1, -4), "scrambled": (-2,), "other_input": (-3,)}


def said(run, prompt) -> np.ndarray:
    return np.exp(log_softmax(run.logits()[prompt.key]))


def ranked(run, prompt, k: int) -> list[int]:
    """Token ids by logit, equal ones by id."""
    logits = run.logits()[prompt.key]
    return np.lexsort((np.arange(logits.size), -logits))[:k].tolist()


def jsd(p, q) -> float:
    value = jensenshannon(p, q, base=2) ** 2
    assert value >= 0, "scipy gives NaN where rounding makes a sum of 0 negative"
    return value


def rbo(a: list[int], b: list[int], p: float) -> tuple[float, float, float]:
    """Webber, Moffat and Zobel 2010: extrapolated (equation 32), minimum (11), residual (30)."""
    k = len(a)
    shared = [len(set(a[:d]) & set(b[:d])) for d in range(1, k + 1)]
    last = shared[-1]
    weights = [p**d / d for d in range(1, k + 1)]
    ext = last / k * p**k + (1 - p) / p * sum(x * w for x, w in zip(shared, weights))
    least = (1 - p) / p * (
        sum((x - last) * w for x, w in zip(shared, weights)) - last * np.log(1 - p)
    )
    full = 2 * k - last
    rest = [p**d / d for d in range(k + 1, full + 1)]
    residual = 2 * p**k - p**full - (1 - p) / p * (
        2 * k * sum(rest) + last * (np.log(1 / (1 - p)) - sum(weights) - sum(rest))
    )
    return ext, least, residual


def test_the_rbo_of_this_file_has_its_golden_values():
    assert np.allclose(
        rbo([0, 1, 2, 3, 4], [1, 0, 3, 5, 2], 0.9),
        (0.723555, 0.4611461524417981, 0.3805068475582021),
        atol=1e-15,
    )


def first_wordings(prompts):
    return [prompt for prompt in prompts if prompt.wording == 0]


def test_every_pair_of_tasks(run):
    rows = by_row(run.table("output_divergence"), PAIR)
    n, largest = 0, 0.0
    for (scenario, name), prompts in run.inputs().items():
        for a, b in combinations(first_wordings(prompts), 2):
            row = rows[scenario, name, a.task, b.task]
            p, q = said(run, a), said(run, b)
            top_a, top_b = ranked(run, a, 100), ranked(run, b, 100)
            ext, least, residual = rbo(top_a, top_b, 0.9)
            expected = {
                "jsd_bits": jsd(p, q),
                "kl_ab": rel_entr(p, q).sum(),
                "kl_ba": rel_entr(q, p).sum(),
                "total_variation": np.abs(p - q).sum() / 2,
                "entropy_a_bits": entropy(p, base=2),
                "entropy_b_bits": entropy(q, base=2),
                "same_top": int(top_a[0] == top_b[0]),
                **{f"overlap_{k}": len({*top_a[:k]} & {*top_b[:k]}) / k for k in (5, 10, 50)},
                "rbo_ext": ext,
                "rbo_min": least,
                "rbo_residual": residual,
            }
            assert row["status"] == "ok"
            largest = max(largest, *(abs(row[name] - value) for name, value in expected.items()))
            n += 1
    assert n == len(rows) > 0
    assert largest < TOLERANCE, largest


def test_the_tokens_that_tell_two_tasks_apart(run):
    pairs = run.table("output_divergence_token").partition_by(PAIR, as_dict=True)
    assert len(pairs) == run.table("output_divergence").height
    for (scenario, name, task_a, task_b), rows in pairs.items():
        by_task = {p.task: p for p in first_wordings(run.inputs()[scenario, name])}
        p, q = (said(run, by_task[task]) for task in (task_a, task_b))
        terms = (rel_entr(p, (p + q) / 2) + rel_entr(q, (p + q) / 2)) / 2 / np.log(2)
        ids = rows["token_id"].to_numpy()
        assert rows["rank"].to_list() == list(range(1, rows.height + 1))
        assert np.abs(rows["contribution_bits"].to_numpy() - terms[ids]).max() < TOLERANCE
        assert np.abs(rows["probability_a"].to_numpy() - p[ids]).max() < TOLERANCE
        assert np.abs(rows["probability_b"].to_numpy() - q[ids]).max() < TOLERANCE
        # The largest ones: nothing that is left out is above the last one listed.
        assert np.delete(terms, ids).max() <= terms[ids].min() + TOLERANCE
        assert rows.height == 20


def test_every_contrast_is_the_mean_of_its_pairs(run):
    rows = by_row(run.table("output_contrast"), ["scenario", "input", "measure", "contrast"])
    of_wordings = by_row(run.table("output_wording_pairs"), ["scenario", "input", "measure"])
    for (scenario, name), prompts in run.inputs().items():
        tasks = [prompt for prompt in prompts if prompt.role == "task"]
        pairs = {"between": [], "paraphrase": []}
        for a, b in combinations(tasks, 2):
            pairs["paraphrase" if a.task == b.task else "between"].append((a, b))
        for control, wordings in CONTROLS.items():
            pairs[control] = [
                (a, b)
                for a, b in permutations(prompts, 2)
                if a.wording == b.base_wording and b.wording in wordings and a.task == b.task
            ]
        wordings = of_wordings.pop((scenario, name, "jsd_bits"))
        names = list(dict.fromkeys(prompt.task for prompt in tasks))
        assert wordings["tasks"] == [names.index(prompt.task) for prompt in tasks]
        every = [jsd(said(run, a), said(run, b)) for a, b in combinations(tasks, 2)]
        assert np.abs(np.array(wordings["values"]) - every).max() < TOLERANCE
        for contrast, of_contrast in pairs.items():
            row = rows.pop((scenario, name, "jsd_bits", contrast))
            values = [jsd(said(run, a), said(run, b)) for a, b in of_contrast]
            assert row["n_pairs"] == len(values) > 0 and row["status"] == "ok"
            assert abs(row["value"] - np.mean(values)) < TOLERANCE
            if contrast in CONTROLS:
                assert row["places"] == [tasks.index(a) for a, _ in of_contrast]
                assert np.abs(np.array(row["values"]) - values).max() < TOLERANCE
            else:
                assert (row["places"], row["values"]) == ([], None)
    assert not rows and not of_wordings

"""The logit lens, from the stored activations and the checkpoint's weights."""

from itertools import combinations

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from scipy.stats import entropy

from conftest import PROMPT, by_row
from head import log_probabilities, log_softmax

# Scores are float32 there and float64 here; 3.1e-6 was the largest difference seen.
TOLERANCE = 5e-5

# Nats; two tokens nearer than this may change ranks.
CLEARLY_APART = 1e-4


def lens(run, prompt, layer):
    """Log-probabilities after a layer, at the last token."""
    return log_probabilities(run.activations(layer)[prompt.key][-1:])[0]


def test_each_layer_says_what_the_head_makes_of_it(run):
    table = run.table("logit_lens")
    rows = by_row(table, [*PROMPT, "layer"])
    n, largest, firm = 0, 0.0, 0
    for prompt in run.prompts():
        final = log_softmax(run.logits()[prompt.key])
        for layer in run.layers():
            logs, row = lens(run, prompt, layer), rows[*prompt.key, layer]
            p, top, own = np.exp(logs), int(logs.argmax()), int(final.argmax())
            assert row["status"] == "ok"
            differences = [
                row["top_probability"] - p.max(),
                row["entropy_bits"] - entropy(p, base=2),
                row["kl_to_final"] - rel_entr(np.exp(final), p).sum(),
            ]
            largest = max(largest, *map(abs, differences))
            if all(np.sort(np.abs(logs - logs[id]))[1] > CLEARLY_APART for id in (top, own)):
                assert row["top_id"] == top
                assert row["final_rank"] == 1 + (logs > logs[own]).sum()
                firm += 1
            n += 1
    assert n == len(rows) and firm > 0.9 * n
    assert 0 < largest < TOLERANCE


def test_the_last_layer_is_the_model_itself(run):
    last = run.table("logit_lens").filter(layer=run.layers()[-1])
    assert last["kl_to_final"].max() < 1e-9
    assert (last["final_rank"] == 1).all()
    first = run.table("logit_lens").filter(layer=0)
    assert first["kl_to_final"].min() > 0.1


def jsd(a, b):
    """Bits, of two rows of log-probabilities."""
    return jensenshannon(np.exp(a), np.exp(b), base=2) ** 2


def gap(prompts, logs, a, b):
    """Mean between two tasks, and the largest within one of them, over all their wordings."""
    pairs = list(combinations(prompts, 2))
    between = [jsd(logs[p], logs[q]) for p, q in pairs if {p.task, q.task} == {a, b}]
    within = [jsd(logs[p], logs[q]) for p, q in pairs if p.task == q.task and p.task in (a, b)]
    assert (len(between), len(within)) == (4, 2)
    return np.mean(between), max(within)


def test_the_divergence_of_two_tasks_and_its_onset(run):
    rows = by_row(
        run.table("logit_lens_divergence"), ["scenario", "input", "layer", "task_a", "task_b"]
    )
    n, largest, found = 0, 0.0, set()
    for (scenario, name), prompts in run.inputs().items():
        tasks = [prompt for prompt in prompts if prompt.role == "task"]
        final = {prompt: log_softmax(run.logits()[prompt.key]) for prompt in tasks}
        read = {at: {prompt: lens(run, prompt, at) for prompt in tasks} for at in run.layers()}
        for a, b in combinations([prompt for prompt in tasks if prompt.wording == 0], 2):
            of = [rows[scenario, name, layer, a.task, b.task] for layer in run.layers()]
            gaps = [gap(tasks, read[layer], a.task, b.task) for layer in run.layers()]
            for layer, row, (between, within) in zip(run.layers(), of, gaps):
                differences = [
                    row["jsd_bits"] - jsd(read[layer][a], read[layer][b]),
                    row["between_bits"] - between,
                    row["within_bits"] - within,
                ]
                largest = max(largest, *map(abs, differences))
                n += 1
            between, within = gap(tasks, final, a.task, b.task)
            close = [abs(x - between / 2) for x, _ in gaps] + [abs(x - y) for x, y in gaps]
            assert min(*close, abs(between - within)) > 1e-6, "no close call in this pipeline"
            flags, words = [row["onset"] for row in of], {row["status"] for row in of}
            if between <= within:
                assert (flags, words) == ([None] * len(of), {"within_wordings"})
                found.add("none")
                continue
            below = [at for at, (x, y) in enumerate(gaps) if x < between / 2 or x <= y]
            onset = max(below, default=-1) + 1
            assert words == {"ok"}
            assert flags == [int(place == onset) for place in range(len(of))]
            found.add("some")
    assert n == len(rows)
    assert 0 < largest < TOLERANCE
    assert found == {"none", "some"}, "both kinds of pairs are in this pipeline"


def test_all_wordings_are_read_and_compared(run):
    rows = by_row(run.table("lens_wording_pairs"), ["scenario", "input", "layer", "measure"])
    largest = 0.0
    for (scenario, name), prompts in run.inputs().items():
        tasks = [prompt for prompt in prompts if prompt.role == "task"]
        for layer in run.layers():
            logs = [lens(run, prompt, layer) for prompt in tasks]
            row = rows.pop((scenario, name, layer, "lens_jsd_bits"))
            assert row["status"] == "ok" and row["tasks"] == [0, 0, 1, 1, 2, 2]
            expected = [jsd(a, b) for a, b in combinations(logs, 2)]
            largest = max(largest, np.abs(np.array(row["values"]) - expected).max())
    assert not rows
    assert 0 < largest < TOLERANCE

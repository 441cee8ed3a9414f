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


def test_the_divergence_of_two_tasks_and_its_onset(run):
    rows = by_row(
        run.table("logit_lens_divergence"), ["scenario", "input", "layer", "task_a", "task_b"]
    )
    n, largest = 0, 0.0
    for (scenario, name), prompts in run.inputs().items():
        first = [prompt for prompt in prompts if prompt.wording == 0]
        for a, b in combinations(first, 2):
            own = (np.exp(log_softmax(run.logits()[prompt.key])) for prompt in (a, b))
            half = jensenshannon(*own, base=2) ** 2 / 2
            jsds, flags = [], []
            for layer in run.layers():
                p, q = (np.exp(lens(run, prompt, layer)) for prompt in (a, b))
                jsds.append(jensenshannon(p, q, base=2) ** 2)
                row = rows[scenario, name, layer, a.task, b.task]
                assert row["status"] == "ok"
                largest = max(largest, abs(row["jsd_bits"] - jsds[-1]))
                flags.append(row["onset"])
                n += 1
            assert min(abs(jsd - half) for jsd in jsds) > 1e-6, "no close call in this pipeline"
            below = [place for place, jsd in enumerate(jsds) if jsd < half]
            onset = max(below, default=-1) + 1
            assert flags == [int(place == onset) for place in range(len(jsds))]
    assert n == len(rows)
    assert 0 < largest < TOLERANCE

"""Surprisal of the input's tokens, from the stored activations and the checkpoint's weights."""

from itertools import combinations

import numpy as np
from scipy.stats import entropy

from conftest import PROMPT, by_row
from head import log_probabilities

# Scores are float32 there and float64 here; 1.5e-5 bits was the largest difference seen.
TOLERANCE = 5e-5


def surprisals(run, prompt):
    """(surprisal, entropy) in bits of every token of the input."""
    last = run.activations(run.layers()[-1])[prompt.key]
    logs = log_probabilities(last[prompt.span.start - 1 : prompt.span.stop - 1])
    own = logs[np.arange(len(prompt.span)), [prompt.token_ids[at] for at in prompt.span]]
    return -own / np.log(2), entropy(np.exp(logs), base=2, axis=-1)


def test_surprisal_is_minus_log2_of_what_the_model_gave_the_token(run):
    rows = by_row(run.table("input_surprisal"), [*PROMPT, "span_index"])
    n, largest = 0, 0.0
    for prompts in run.inputs().values():
        neutral = {p.task: surprisals(run, p)[0] for p in prompts if p.role == "neutral"}
        for prompt in prompts:
            bits, entropies = surprisals(run, prompt)
            for index, position in enumerate(prompt.span):
                row = rows[*prompt.key, index]
                assert row["position"] == position
                assert row["token_id"] == prompt.token_ids[position]
                differences = [
                    row["surprisal_bits"] - bits[index],
                    row["entropy_bits"] - entropies[index],
                ]
                if prompt.role in ("neutral", "other_input"):
                    assert (row["delta_neutral_bits"], row["status"]) == (None, "no_reference")
                else:
                    assert row["status"] == "ok"
                    delta = bits[index] - neutral[prompt.task][index]
                    differences.append(row["delta_neutral_bits"] - delta)
                largest = max(largest, *map(abs, differences))
                n += 1
    assert n == len(rows) == sum(len(p.span) for p in run.prompts())
    assert 0 < largest < TOLERANCE


def test_all_wordings_are_compared_token_by_token(run):
    rows = by_row(run.table("surprisal_wording_pairs"), ["scenario", "input"])
    largest = 0.0
    for key, prompts in run.inputs().items():
        bits = [surprisals(run, p)[0] for p in prompts if p.role == "task"]
        row = rows.pop(key)
        assert (row["measure"], row["layer"], row["status"]) == ("surprisal_bits", -1, "ok")
        assert row["tasks"] == [0, 0, 1, 1, 2, 2]
        expected = [np.abs(a - b).mean() for a, b in combinations(bits, 2)]
        largest = max(largest, np.abs(np.array(row["values"]) - expected).max())
    assert not rows
    assert 0 < largest < TOLERANCE


def test_the_task_matters_to_the_input(run):
    deltas = run.table("input_surprisal")["delta_neutral_bits"].drop_nulls()
    assert deltas.abs().max() > 0.1

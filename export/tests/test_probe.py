"""The probe of model.json: PyTorch's values, enough of them to catch a wrong graph."""

import numpy as np
import pytest
import torch

from aqlens_export.check import pad_batch
from aqlens_export.eager import run_alone


def largest_excess(described, outputs):
    """The largest difference from the probe, in units of what it allows; outputs by name."""
    probe, excess = described["probe"], 0.0

    def compare(actual, row, allowed):
        difference = np.abs(actual.astype(np.float64) - np.array(row["value"])).max()
        return max(excess, difference / allowed)

    relative = probe["relative_tolerance"]
    for row in probe["hidden"]:
        vector = outputs[f"hidden.{row['layer']}"][row["prompt"], row["position"]]
        excess = compare(vector[row["index"]], row, relative * row["norm"])
    for row in probe["attention"]:
        weights = outputs[f"attention.{row['layer']}"][row["prompt"], row["head"], row["query"]]
        excess = compare(weights[: row["query"] + 1], row, probe["attention_tolerance"])
    for row in probe["logits"]:
        logits = outputs["logits"][row["prompt"]]
        excess = compare(logits[row["index"]], row, relative * row["norm"])
    for row in probe["head"]:
        hidden = outputs[f"hidden.{row['layer']}"][row["prompt"], row["position"]]
        logits = outputs["head"](hidden[None])[0]
        excess = compare(logits[row["index"]], row, relative * row["norm"])
    return excess


@pytest.fixture
def outputs(session, head, described):
    """The probe's prompts as one right-padded batch through the graph, and the head to run."""
    names = [output.name for output in session.get_outputs()]
    batch = pad_batch(described["probe"]["prompts"], lambda: 0)
    found = dict(zip(names, session.run(names, batch), strict=True))
    found["head"] = lambda hidden: head.run(["logits"], {"hidden": hidden})[0]
    return found


def test_the_committed_graph_passes_its_probe(described, outputs):
    assert largest_excess(described, outputs) < 1


def test_the_probe_covers_every_layer_prompt_and_end(described):
    probe = described["probe"]
    lengths = [len(prompt) for prompt in probe["prompts"]]
    assert lengths == [11, 1, 29, 5]
    places = {(row["layer"], row["prompt"], row["position"]) for row in probe["hidden"]}
    queries = {(row["layer"], row["prompt"], row["query"]) for row in probe["attention"]}
    for layer in range(described["n_layer"]):
        for prompt, length in enumerate(lengths):
            for position in (0, (length - 1) // 2, length - 1):
                assert (layer, prompt, position) in places
            assert (layer, prompt, length - 1) in queries
    assert [row["prompt"] for row in probe["logits"]] == [0, 1, 2, 3]
    last_layer = described["n_layer"] - 1
    places = [(row["layer"], row["prompt"], row["position"]) for row in probe["head"]]
    assert places == sorted(set(places))
    for prompt, length in enumerate(lengths):
        last = length - 1
        for place in ((last_layer, last), (last_layer, last // 2), (last_layer // 2, last)):
            assert (place[0], prompt, place[1]) in places


def assert_of_norm(row, vector):
    """Of the vector's norm, as another processor sums in another order: 1.2e-7 was seen."""
    off = np.abs(np.float32(row["value"]) - vector[row["index"]].numpy()).max()
    assert off <= 5e-7 * row["norm"]
    assert row["norm"] == pytest.approx(vector.norm().item(), rel=1e-5)


def test_every_value_is_pytorchs(described, model):
    probe = described["probe"]
    runs = [run_alone(model, prompt) for prompt in probe["prompts"]]
    for row in probe["hidden"]:
        vector = runs[row["prompt"]].hidden[row["layer"]][row["position"]]
        assert_of_norm(row, vector)
        assert all(float(np.float32(v)) == pytest.approx(v, rel=1e-8) for v in row["value"])
    for row in probe["attention"]:
        weights = runs[row["prompt"]].attention[row["layer"]][row["head"], row["query"]]
        expected = weights[: row["query"] + 1].numpy()
        assert np.allclose(np.float32(row["value"]), expected, rtol=0, atol=1e-6)
        assert sum(row["value"]) == pytest.approx(1.0, abs=1e-5)
    for row in probe["logits"]:
        logits = runs[row["prompt"]].logits
        assert_of_norm(row, logits)
        assert row["index"][:8] == logits.topk(8).indices.tolist()
    for row in probe["head"]:
        hidden = runs[row["prompt"]].hidden[row["layer"]][row["position"]]
        with torch.no_grad():
            logits = model.lm_head(model.transformer.ln_f(hidden))
        assert_of_norm(row, logits)


def test_the_last_blocks_last_position_has_the_models_own_logits(described):
    probe, last_layer = described["probe"], described["n_layer"] - 1
    ends = {
        row["prompt"]: row
        for row in probe["head"]
        if (row["layer"], row["position"]) == (last_layer, len(probe["prompts"][row["prompt"]]) - 1)
    }
    for row in probe["logits"]:
        assert [ends[row["prompt"]][key] for key in ("norm", "index", "value")] == [
            row[key] for key in ("norm", "index", "value")
        ]


def test_a_last_layer_after_the_final_norm_is_caught(described, outputs, model):
    last = f"hidden.{described['n_layer'] - 1}"
    with torch.no_grad():
        outputs[last] = model.transformer.ln_f(torch.from_numpy(outputs[last])).numpy()
    assert largest_excess(described, outputs) > 1000


def test_a_head_that_applies_the_final_norm_twice_is_caught(described, outputs, model):
    head = outputs["head"]
    norm = model.transformer.ln_f
    outputs["head"] = lambda hidden: head(norm(torch.from_numpy(hidden)).detach().numpy())
    assert largest_excess(described, outputs) > 1000


def test_a_head_without_the_final_norm_is_caught(described, outputs, model):
    outputs["head"] = lambda hidden: model.lm_head(torch.from_numpy(hidden)).detach().numpy()
    assert largest_excess(described, outputs) > 1000


@pytest.mark.parametrize("kind", ["hidden", "attention"])
def test_two_layers_swapped_are_caught(described, outputs, kind):
    outputs[f"{kind}.1"], outputs[f"{kind}.2"] = outputs[f"{kind}.2"], outputs[f"{kind}.1"]
    assert largest_excess(described, outputs) > 1000


def test_two_heads_swapped_are_caught(described, outputs):
    outputs["attention.3"] = outputs["attention.3"][:, ::-1]
    assert largest_excess(described, outputs) > 1000


def test_logits_of_the_last_padded_token_are_caught(session, described, outputs):
    batch = pad_batch(described["probe"]["prompts"], lambda: 0)
    batch["attention_mask"][:] = 1
    outputs["logits"] = session.run(["logits"], batch)[0]
    assert largest_excess(described, outputs) > 1000

"""What PyTorch's hooks gave in float64 (fixtures/reference/causes.json), again through the demo model's graphs: a
single block or head that reads another reading, and parts of the difference between two streams. The rest of that file
is compared with the program's own tables by tests/it/causes.rs."""

import json

import numpy as np
import pytest
from conftest import ROOT
from spliced import BLOCKS, HEADS, Past, Row, Streams, gain_loss

# Of float64; the graphs compute in float32.
NATS, BITS = 1e-5, 2e-6
LAYER = 3


@pytest.fixture(scope="module")
def cases():
    """Those with every intervention: four scenes, color into location and back."""
    text = (ROOT / "tests/fixtures/reference/causes.json").read_text(encoding="utf-8")
    found = [case for case in json.loads(text)["cases"] if "mediated_block" in case]
    assert len(found) == 8
    return found


def same(values, reference, key):
    assert values[[0, 2]] == pytest.approx([reference["gain_nats"], reference["loss_nats"]], rel=0, abs=NATS), key
    assert values[4] == pytest.approx(reference["jsd_receiver_bits"], rel=0, abs=BITS), key


def test_single_blocks_and_heads_say_what_hooks_gave(cases):
    past = Past()
    for case in cases:
        donor, receiver = past.run([Row(case["donor_ids"]), Row(case["receiver_ids"])])
        first, end = case["receiver_span"]
        theirs = donor.reading[:, :, :, slice(*case["donor_span"])]
        ones = [(block, slice(HEADS)) for block in range(BLOCKS)] + [(7, [head]) for head in range(HEADS)]
        rows = []
        for block, heads in ones:
            reading = receiver.reading[:, :, :, :end].copy()
            reading[:, block, heads, first:] = theirs[:, block, heads]
            rows.append(Row(case["receiver_ids"][end:], reading))
        wanted = case["mediated_block"] + case["mediated_head_of_block_7"]
        assert len(wanted) == len(rows) == BLOCKS + HEADS
        for one, said, reference in zip(ones, past.run(rows), wanted):
            key = (case["input"], case["donor"], one)
            same(gain_loss(donor.logits, receiver.logits, said.logits), reference, key)


def test_shift_interaction_and_token_parts_say_what_hooks_gave(cases):
    """The difference at each of the input's tokens is the shift (the mean of the *other* three scenes' differences of
    span means), what this scene's span mean differs by from it, and what the token differs by from its span mean."""
    streams, read = Streams(), {}
    for case in cases:
        (a, of_a), (b, of_b) = (streams.read(case[f"{side}_ids"]) for side in ("donor", "receiver"))
        own, span = of_b[LAYER], slice(*case["receiver_span"])
        difference = of_a[LAYER][slice(*case["donor_span"])] - own[span]
        read[case["input"], case["donor"]] = a, b, own, span, difference
    for case in cases:
        name, donor = case["input"], case["donor"]
        a, b, own, span, difference = read[name, donor]
        others = [of[4].mean(axis=0) for (i, d), of in read.items() if d == donor and i != name]
        assert len(others) == 3
        shift, mean = np.mean(others, axis=0), difference.mean(axis=0)
        parts = {"shift": shift, "interaction": mean - shift, "token": difference - mean}
        assert np.allclose(sum(parts.values()), difference, atol=1e-5)
        for part, added in parts.items():
            stream = own.copy()
            stream[span] += added
            values = gain_loss(a, b, streams.go_on(LAYER, stream))
            same(values, case[f"{part}_layer_3"], (name, donor, part))

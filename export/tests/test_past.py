"""What past.onnx promises, on the tiny model that is committed, and that faults in it are found."""

import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from aqlens_export import check_past as check_module
from aqlens_export import check_positions
from aqlens_export import run as run_module
from aqlens_export.check import pad_batch, relative_difference
from aqlens_export.check_past import no_past
from aqlens_export.eager import run_alone, run_knocked_out
from aqlens_export.errors import ExportError
from aqlens_export.graph import GraphBuilder
from aqlens_export.past import build_past
from aqlens_export.run import ExportOptions, export_model, write_graphs
from aqlens_export.source import from_seed
from aqlens_export.subject import ATTENTION_TOLERANCE, gpt2_subject

from .conftest import TINY
from .test_graph import D_MODEL, N_HEAD, N_LAYER, N_POSITIONS, NAMES, VOCAB, draw

SIZE = D_MODEL // N_HEAD
PRESENT = [f"present_{kind}.{layer}" for layer in range(N_LAYER) for kind in ("key", "value")]


def run(past, model, prompts, of=None, known=None, prefixes=None, pad=0, first=None):
    """Output name -> array, for the rests `prompts` after `known` tokens of prefixes `of`; `first`:
    where they stand, by default where their prefixes end."""
    given = pad_batch(prompts, lambda: pad)
    given["past_of"] = np.array(of or [0] * len(prompts), np.int64)
    given["past_length"] = np.array(known or [0] * len(prompts), np.int64)
    given["first_position"] = np.array(first or known or [0] * len(prompts), np.int64)
    given |= no_past(gpt2_subject(model).shape) if prefixes is None else prefixes
    names = NAMES + PRESENT
    return dict(zip(names, past.run(names, given), strict=True))


def as_past(outputs):
    return {name.replace("present", "past"): outputs[name] for name in PRESENT}


def real(name, values, length):
    """What `values` of one row hold of its `length` real tokens."""
    if name == "logits":
        return values
    return values[:length] if name.startswith("hidden") else values[:, :length]


def assert_close(name, actual, expected):
    if name.startswith("attention"):
        assert np.abs(actual - expected).max() < 1e-6
    else:
        assert relative_difference(actual, expected) < 1e-6


def test_inputs_and_outputs_have_the_contracts_names_types_and_shapes(past, model):
    inputs = {given.name: (given.type, given.shape) for given in past.get_inputs()}
    prefixes = ("tensor(float)", ["prefixes", N_HEAD, "past", SIZE])
    assert inputs == {
        "input_ids": ("tensor(int64)", ["batch", "seq"]),
        "attention_mask": ("tensor(int64)", ["batch", "seq"]),
        "past_of": ("tensor(int64)", ["batch"]),
        "past_length": ("tensor(int64)", ["batch"]),
        "first_position": ("tensor(int64)", ["batch"]),
        **{name.replace("present", "past"): prefixes for name in PRESENT},
    }
    outputs = {output.name: output.shape for output in past.get_outputs()}
    assert list(outputs) == NAMES + PRESENT
    assert outputs["logits"] == ["batch", VOCAB]
    assert outputs["hidden.4"] == ["batch", "seq", D_MODEL]
    assert outputs["attention.4"] == ["batch", N_HEAD, "seq", "all"]
    assert outputs["present_key.4"] == outputs["present_value.4"] == ["batch", N_HEAD, "seq", SIZE]
    onnx.checker.check_model(str(TINY / "past.onnx"), full_check=True)


def test_without_a_past_it_gives_the_bits_of_the_model(past, session, model):
    for lengths in ([N_POSITIONS, 3, 17], [1], [1, 1], [5] * 20, [9, 30, 2, 40, 11]):
        prompts = draw(lengths)
        plain = session.run(NAMES, pad_batch(prompts, lambda: 0))
        outputs = run(past, model, prompts)
        for name, expected in zip(NAMES, plain, strict=True):
            for row, length in enumerate(lengths):
                found, wanted = (real(name, v[row], length) for v in (outputs[name], expected))
                assert np.array_equal(found, wanted), (lengths, name, row)


def test_a_batch_of_several_prefixes_gives_what_whole_prompts_give(past, session, model):
    prefixes = draw([6, 30, 1], seed=1)
    first = run(past, model, prefixes)
    of, known, rests = [1, 0, 2, 1, 0], [30, 6, 1, 0, 4], draw([9, 1, 20, 33, 7], seed=2)
    outputs = run(past, model, rests, of, known, as_past(first))
    whole = [prefixes[p][:k] + rest for p, k, rest in zip(of, known, rests, strict=True)]
    plain = dict(zip(NAMES, session.run(NAMES, pad_batch(whole, lambda: 0)), strict=True))
    assert outputs["attention.0"].shape == (5, N_HEAD, 33, 30 + 33)
    for row, (k, rest) in enumerate(zip(known, rests, strict=True)):
        n = len(rest)
        assert_close("logits", outputs["logits"][row], plain["logits"][row])
        for layer in range(N_LAYER):
            hidden, attention = f"hidden.{layer}", f"attention.{layer}"
            assert_close(hidden, outputs[hidden][row, :n], plain[hidden][row, k : k + n])
            weights, wanted = outputs[attention][row, :, :n], plain[attention][row, :, k : k + n]
            assert not weights[:, :, k:30].any() and not weights[:, :, 30 + n :].any()
            own = np.concatenate([weights[:, :, :k], weights[:, :, 30 : 30 + n]], axis=-1)
            assert_close(attention, own, wanted[:, :, : k + n])


def test_present_of_a_rest_goes_on_where_the_past_ends(past, model):
    """A prompt in three pieces gives the keys and values that it gives in one."""
    (prompt,) = draw([24], seed=3)
    whole = run(past, model, [prompt])
    begin = run(past, model, [prompt[:10]])
    middle = run(past, model, [prompt[10:17]], [0], [10], as_past(begin))
    longer = {
        name: np.concatenate([values, as_past(middle)[name]], axis=2)
        for name, values in as_past(begin).items()
    }
    end = run(past, model, [prompt[17:]], [0], [17], longer)
    for name in PRESENT:
        pieces = np.concatenate([piece[name] for piece in (begin, middle, end)], axis=2)
        assert relative_difference(pieces, whole[name]) < 1e-5, name
    assert_close("logits", end["logits"], whole["logits"])


def test_padding_of_prefixes_and_of_rests_changes_not_one_bit(past, model):
    prefixes = as_past(run(past, model, draw([4, 12], seed=4)))
    rests, of, known = draw([3, 8, 5], seed=5), [0, 1, 0], [4, 12, 0]
    plain = run(past, model, rests, of, known, prefixes)
    for values in prefixes.values():
        values[0, :, 4:] = 1e6
    other = run(past, model, rests, of, known, prefixes, pad=VOCAB - 1)
    for name in plain:
        for row, rest in enumerate(rests):
            found, wanted = (real(name, v[row], len(rest)) for v in (other[name], plain[name]))
            assert np.array_equal(found, wanted), name


def test_padding_never_stands_beyond_the_models_last_position(past, session, model):
    """A short rest after a long prefix, beside a long rest after none."""
    prefix, short, long = draw([N_POSITIONS - 1, 1, N_POSITIONS], seed=6)
    first = as_past(run(past, model, [prefix]))
    outputs = run(past, model, [short, long], [0, 0], [N_POSITIONS - 1, 0], first)
    plain = session.run(["logits"], pad_batch([prefix + short, long], lambda: 0))[0]
    assert_close("logits", outputs["logits"], plain)


def test_a_real_token_beyond_the_models_last_position_is_an_error(past, model):
    prefix, rest = draw([N_POSITIONS - 1, 2], seed=7)
    first = as_past(run(past, model, [prefix]))
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.InvalidArgument, match=r"wpe|bounds"):
        run(past, model, [rest], [0], [N_POSITIONS - 1], first)


def test_a_row_stands_where_it_is_said_to(past, session, model):
    """The embeddings of positions 9 to 13 are read, whatever the past is: here there is none."""
    (prompt,) = draw([5], seed=9)
    wpe = model.transformer.wpe.weight
    outputs = run(past, model, [prompt], first=[9])
    with torch.no_grad():
        kept = wpe[:5].clone()
        try:
            wpe[:5] = wpe[9:14]
            expected = run_alone(model, prompt)
        finally:
            wpe[:5] = kept
    for layer in range(N_LAYER):
        assert_close("hidden", outputs[f"hidden.{layer}"][0], expected.hidden[layer].numpy())
    plain = session.run(["logits"], pad_batch([prompt], lambda: 0))[0]
    assert_close("logits", outputs["logits"][0], expected.logits.numpy())
    assert relative_difference(outputs["logits"], plain) > 1e-3


def test_what_may_not_be_seen_is_left_out_of_the_past(past, model):
    """As PyTorch with a mask: the last 4 of 20 tokens do not see the first 8."""
    (prompt,) = draw([20], seed=10)
    whole = as_past(run(past, model, [prompt]))
    middle = {name: values[:, :, 8:16] for name, values in whole.items()}
    outputs = run(past, model, [prompt[16:]], [0], [8], middle, first=[16])
    expected = run_knocked_out(model, prompt, 8, 16)
    assert not any(weights[:, 16:, :8].any() for weights in expected.attention.values())
    assert_close("logits", outputs["logits"][0], expected.logits.numpy())
    for layer in range(N_LAYER):
        assert_close("hidden", outputs[f"hidden.{layer}"][0], expected.hidden[layer][16:].numpy())
        weights = expected.attention[layer][:, 16:, 8:].numpy()
        off = np.abs(outputs[f"attention.{layer}"][0] - weights).max()
        assert off < ATTENTION_TOLERANCE
    seen = run_alone(model, prompt).logits.numpy()
    assert relative_difference(outputs["logits"][0], seen) > 1e-3


def test_a_prefix_that_is_not_there_is_an_error(past, model):
    prefixes = as_past(run(past, model, draw([5, 5], seed=8)))
    with pytest.raises(
        ort.capi.onnxruntime_pybind11_state.InvalidArgument, match=r"past_of|bounds"
    ):
        run(past, model, draw([3]), [2], [5], prefixes)


FAULTS = {
    # Output of a node -> its other inputs: positions start over or go on where the past ends, masks
    # ask for positions, every row gets the first prefix, keys of the rest are those of the prefix,
    # padding of prefixes is looked at.
    "counted_on": lambda inputs: ["row_zero", "steps"],
    "counted_on.": lambda inputs: ["row_past_again", "steps"],
    "is_after_prefix": lambda inputs: ["keys", "row_first"],
    "block.1.attention.past_k": lambda inputs: [inputs[0], "row_of_zero"],
    "block.0.attention.past_v": lambda inputs: [inputs[0], "row_of_zero"],
    "block.1.attention.all_k": lambda inputs: inputs[::-1],
    "is_hidden": lambda inputs: ["is_future", "is_future_row"],
}


@pytest.mark.parametrize("broken", FAULTS)
def test_a_past_that_computes_something_else_is_not_kept(
    small_config, tmp_path, monkeypatch, broken
):
    plain = GraphBuilder.node

    def node(self, op, inputs, output, **attributes):
        if output == broken == "counted_on":
            plain(self, "Sub", ["row_first", "row_first"], "row_zero")
        elif output == broken.rstrip(".") == "counted_on":
            plain(self, "Unsqueeze", ["past_length", "axis.1"], "row_past_again")
        elif output == broken and "past_" in broken:
            plain(self, "Sub", ["past_of", "past_of"], "row_of_zero")
        elif output == broken and broken == "is_hidden":
            self.ints("faulty.axes", [0, 1])
            plain(self, "Unsqueeze", ["is_future", "faulty.axes"], "is_future_row")
        inputs = FAULTS[broken](inputs) if output == broken.rstrip(".") else inputs
        return plain(self, op, inputs, output, **attributes)

    def faulty(model, weights):
        with monkeypatch.context() as patched:
            patched.setattr(GraphBuilder, "node", node)
            return build_past(model, weights)

    monkeypatch.setattr(run_module, "build_past", faulty)
    options = ExportOptions(
        tmp_path / "m", config=json.dumps(small_config), tokenizer=TINY / "tokenizer.json"
    )
    with pytest.raises(ExportError, match=r"past\.onnx"):
        export_model(options, lambda _line: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n_positions", [1, 2, 3, 9])
def test_short_models_are_checked_as_far_as_they_reach(small_config, tmp_path, n_positions):
    source = from_seed(
        json.dumps({**small_config, "n_positions": n_positions}), 0, TINY / "tokenizer.json"
    )
    write_graphs(tmp_path, source)
    found = run_module.check_folder(tmp_path, source, threads=1)
    assert 0 < found.largest["past"] < 1e-5


def test_the_check_has_every_kind_of_row():
    rows = [(known, length) for _, known, length in check_module.ROWS]
    assert {0, 1} <= {known for known, _ in rows} and 1 in {length for _, length in rows}
    assert any(known < check_module.PREFIXES[of] for of, known, _ in check_module.ROWS if known)
    assert {of for of, _, _ in check_module.ROWS} == set(range(len(check_module.PREFIXES)))
    knocked_out = check_positions.KNOCKED_OUT
    assert any(left_out and known > 1 for left_out, known, _ in knocked_out)
    assert any(left_out and known == 0 for left_out, known, _ in knocked_out)
    assert len({known for _, known, _ in knocked_out}) > 1

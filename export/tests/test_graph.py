"""What the exported graph promises, on the tiny model that is committed."""

import random

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from aqlens_export.check import open_session, pad_batch, relative_difference
from aqlens_export.eager import run_alone

from .conftest import TINY

N_LAYER, N_HEAD, D_MODEL, VOCAB, N_POSITIONS = 5, 3, 27, 320, 64
NAMES = [
    "logits",
    *(f"hidden.{i}" for i in range(N_LAYER)),
    *(f"attention.{i}" for i in range(N_LAYER)),
]


def draw(lengths, seed=0):
    rng = random.Random(seed)
    return [[rng.randrange(VOCAB) for _ in range(length)] for length in lengths]


def run(session, prompts, pad=0):
    """Output name -> array, for prompts padded with the id `pad`."""
    return dict(zip(NAMES, session.run(NAMES, pad_batch(prompts, lambda: pad)), strict=True))


def test_inputs_and_outputs_have_the_contracts_names_types_and_shapes(session):
    for given in session.get_inputs():
        assert (given.type, given.shape) == ("tensor(int64)", ["batch", "seq"])
    assert [given.name for given in session.get_inputs()] == ["input_ids", "attention_mask"]
    assert [output.name for output in session.get_outputs()] == NAMES
    shapes = {output.name: output.shape for output in session.get_outputs()}
    assert shapes["logits"] == ["batch", VOCAB]
    assert shapes["hidden.4"] == ["batch", "seq", D_MODEL]
    assert shapes["attention.4"] == ["batch", N_HEAD, "seq", "seq"]
    assert {output.type for output in session.get_outputs()} == {"tensor(float)"}


def test_the_graph_is_valid_and_holds_each_weight_once(model):
    onnx.checker.check_model(str(TINY / "model.onnx"), full_check=True)
    graph = onnx.load(TINY / "model.onnx").graph
    sizes = [int(np.prod(w.dims)) for w in graph.initializer if w.data_type == 1 and w.dims]
    assert sum(sizes) == sum(p.numel() for p in model.parameters())


def test_the_head_has_the_contracts_names_types_and_shapes(head):
    (given,), (output,) = head.get_inputs(), head.get_outputs()
    assert (given.name, given.type, given.shape) == ("hidden", "tensor(float)", ["rows", D_MODEL])
    assert (output.name, output.type, output.shape) == ("logits", "tensor(float)", ["rows", VOCAB])
    onnx.checker.check_model(str(TINY / "head.onnx"), full_check=True)
    weights = onnx.load(TINY / "head.onnx").graph.initializer
    assert {w.name: list(w.dims) for w in weights} == {
        "ln_f.scale": [D_MODEL],
        "ln_f.bias": [D_MODEL],
        "wte": [VOCAB, D_MODEL],
    }


def test_the_head_gives_the_models_own_logits_of_the_last_block(session, head):
    prompts = draw([6, 25, 1])
    outputs = run(session, prompts)
    last = outputs[f"hidden.{N_LAYER - 1}"]
    rows = np.stack([last[row, len(prompt) - 1] for row, prompt in enumerate(prompts)])
    (logits,) = head.run(["logits"], {"hidden": rows})
    assert relative_difference(logits, outputs["logits"]) < 1e-6


def test_the_head_gives_every_blocks_every_token_what_pytorch_gives(session, head, model):
    prompt = draw([20])[0]
    outputs = run(session, [prompt])
    for layer in range(N_LAYER):
        hidden = outputs[f"hidden.{layer}"][0]
        (logits,) = head.run(["logits"], {"hidden": hidden})
        with torch.no_grad():
            expected = model.lm_head(model.transformer.ln_f(torch.from_numpy(hidden))).numpy()
        assert relative_difference(logits, expected) < 1e-6
        (alone,) = head.run(["logits"], {"hidden": hidden[7:8]})
        assert relative_difference(alone[0], logits[7]) < 1e-6


@pytest.mark.parametrize("batch,seq", [(1, 1), (1, N_POSITIONS), (7, 1), (3, N_POSITIONS), (5, 9)])
def test_any_batch_and_any_length_up_to_n_positions_run(session, batch, seq):
    outputs = run(session, draw([seq] * batch))
    assert outputs["logits"].shape == (batch, VOCAB)
    assert outputs["hidden.0"].shape == (batch, seq, D_MODEL)
    assert outputs["attention.0"].shape == (batch, N_HEAD, seq, seq)


def test_more_positions_than_the_model_has_are_an_error(session):
    with pytest.raises(ort.capi.onnxruntime_pybind11_state.InvalidArgument, match=r"wpe|bounds"):
        run(session, draw([N_POSITIONS + 1]))


def test_padding_ids_change_not_one_bit(session):
    prompts = draw([3, 12, 1, 40])
    plain, other = run(session, prompts, pad=0), run(session, prompts, pad=VOCAB - 1)
    assert np.array_equal(plain["logits"], other["logits"])
    for layer in range(N_LAYER):
        for row, prompt in enumerate(prompts):
            n = len(prompt)
            for name, cut in ((f"hidden.{layer}", np.s_[:n]), (f"attention.{layer}", np.s_[:, :n])):
                assert np.array_equal(plain[name][row][cut], other[name][row][cut])


def test_a_prompt_in_a_batch_equals_the_prompt_alone(session):
    prompts = draw([17, 2, 64, 1, 30])
    together = run(session, prompts)
    for row, prompt in enumerate(prompts):
        alone, n = run(session, [prompt]), len(prompt)
        assert relative_difference(together["logits"][row], alone["logits"][0]) < 1e-6
        for layer in range(N_LAYER):
            hidden, attention = f"hidden.{layer}", f"attention.{layer}"
            assert relative_difference(together[hidden][row, :n], alone[hidden][0]) < 1e-6
            difference = together[attention][row, :, :n, :n] - alone[attention][0]
            assert np.abs(difference).max() < 1e-6


def test_permuting_the_rows_permutes_the_outputs(session):
    prompts, order = draw([9, 4, 21]), [2, 0, 1]
    plain, permuted = run(session, prompts), run(session, [prompts[i] for i in order])
    for name in NAMES:
        assert np.allclose(permuted[name], plain[name][order], rtol=0, atol=1e-5)


def test_attention_is_causal_sums_to_one_and_ignores_padding(session):
    prompts = draw([5, 33, 1])
    outputs = run(session, prompts)
    for layer in range(N_LAYER):
        weights = outputs[f"attention.{layer}"]
        assert np.isfinite(weights).all()
        for row, prompt in enumerate(prompts):
            real = weights[row, :, : len(prompt)]
            assert np.allclose(real.sum(axis=-1), 1.0, rtol=0, atol=1e-5)
            assert not real[:, :, len(prompt) :].any()
            assert not np.triu(real[:, :, : len(prompt)], k=1).any()


def test_a_later_token_changes_nothing_before_it(session):
    prompt = draw([20])[0]
    changed = [*prompt[:12], (prompt[12] + 1) % VOCAB, *prompt[13:]]
    plain, other = run(session, [prompt]), run(session, [changed])
    for layer in range(N_LAYER):
        before, after = plain[f"hidden.{layer}"][0], other[f"hidden.{layer}"][0]
        assert np.array_equal(before[:12], after[:12])
        assert not np.allclose(before[12:], after[12:], atol=1e-3)


def test_the_last_layer_is_before_the_final_norm(session, model):
    prompt = draw([14])[0]
    outputs = run(session, [prompt])
    last = torch.from_numpy(outputs[f"hidden.{N_LAYER - 1}"][0])
    with torch.no_grad():
        logits = model.lm_head(model.transformer.ln_f(last))[-1].numpy()
        hidden_states = model(torch.tensor([prompt]), output_hidden_states=True).hidden_states
    assert relative_difference(outputs["logits"][0], logits) < 1e-6
    assert relative_difference(last.numpy(), hidden_states[N_LAYER][0].numpy()) > 0.1
    for layer in range(N_LAYER - 1):
        states = hidden_states[layer + 1][0].numpy()
        assert relative_difference(outputs[f"hidden.{layer}"][0], states) < 1e-5


def test_logits_are_those_of_each_rows_own_last_token(session, model):
    prompts = draw([6, 25, 1])
    outputs = run(session, prompts)
    for row, prompt in enumerate(prompts):
        expected = run_alone(model, prompt).logits.numpy()
        assert relative_difference(outputs["logits"][row], expected) < 1e-6


@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED"])
def test_graph_optimisation_changes_no_output(session, level):
    other = open_session(TINY / "model.onnx", 1, getattr(ort.GraphOptimizationLevel, level))
    prompts = draw([31, 8])
    plain, optimised = run(other, prompts), run(session, prompts)
    for name in NAMES:
        if name.startswith("attention"):
            assert np.abs(plain[name] - optimised[name]).max() < 1e-6
        else:
            assert relative_difference(optimised[name], plain[name]) < 1e-6

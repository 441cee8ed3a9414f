"""The reference in float64, a block at a time, and weights whose memory is given back."""

import copy

import pytest
import torch

from aqlens_export import precise
from aqlens_export.eager import run_alone, run_head
from aqlens_export.parked import Parked
from aqlens_export.precise import PreciseSubject, in_float64
from aqlens_export.read import read_spec
from aqlens_export.subject import Subject, subject_of

from .tiny_families import FAMILIES, make_model

IDS = [3, 14, 15, 92, 65, 35, 89, 79, 32, 38]


def at_once(model):
    """The same in float64 with all weights at once, by torch's own means."""
    model = copy.deepcopy(model).double()
    mode = precise._Float64()

    def pause(*_arguments):
        mode.paused = True

    def resume(*_arguments):
        mode.paused = False

    for module in model.modules():
        if "Rotary" in type(module).__name__:
            module.register_forward_pre_hook(pause)
            module.register_forward_hook(resume)
    with mode:
        return run_alone(model, IDS)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_block_at_a_time_gives_the_same_bits_as_all_at_once(family):
    model = make_model(*FAMILIES[family])
    with in_float64(model):
        found = run_alone(model, IDS)
    expected = at_once(model)
    assert {x.dtype for x in [*found.hidden, *found.keys, found.logits]} == {torch.float64}
    for name in ("hidden", "keys", "values"):
        for a, b in zip(getattr(found, name), getattr(expected, name), strict=True):
            assert a.equal(b), name
    for layer, weights in found.attention.items():
        assert weights.equal(expected.attention[layer])
    assert found.logits.equal(expected.logits)


def test_weights_come_back_when_a_run_fails():
    model = make_model(*FAMILIES["llama"])
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def fail(*_arguments):
        raise KeyboardInterrupt

    hook = model.model.layers[1].mlp.register_forward_hook(fail)
    with pytest.raises(KeyboardInterrupt), in_float64(model):
        run_alone(model, IDS)
    hook.remove()
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype and value.equal(before[name]), name


@pytest.mark.parametrize("family", ["llama tied", "gemma3", "opt 350m", "cohere"])
def test_scores_of_all_blocks_at_once_are_those_of_each(family):
    model = make_model(*FAMILIES[family])
    spec = read_spec(model)
    subject = PreciseSubject(model, spec.shape, spec.attention_layers(), 20)
    hidden = run_alone(model, IDS).hidden
    together = subject.heads(hidden)
    for scores, each in zip(together, Subject.heads(subject, hidden), strict=True):
        assert scores.dtype == torch.float64 and scores.shape == each.shape
        assert (scores - each).abs().max() <= 1e-5 * each.abs().max()
    with in_float64(model, with_blocks=False):
        alone = run_head(model, hidden[1].double())
    assert (together[1] - alone).abs().max() <= 1e-12 * alone.abs().max()


@pytest.mark.parametrize("family", ["llama tied", "falcon 40b"])
def test_a_parked_model_computes_the_same_after_its_memory_was_given_back(family, tmp_path):
    model = make_model(*FAMILIES[family])
    before = run_alone(model, IDS)
    parked = Parked(model, tmp_path)
    for _ in range(2):
        assert run_alone(model, IDS).logits.equal(before.logits)
        with in_float64(model):
            run_alone(model, IDS)
        parked.rest()
    assert model.get_input_embeddings().weight.isfinite().all()


def test_a_spec_without_weights_keeps_its_sizes():
    model = make_model(*FAMILIES["gemma3"])
    spec = read_spec(model)
    slim = spec.without_weights()
    assert (slim.family, slim.shape) == (spec.family, spec.shape)
    assert not slim.blocks and not slim.embedding.numel()
    assert subject_of(model, spec).shape == slim.shape

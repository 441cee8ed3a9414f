"""Mistakes of the kind that exporters really make, planted one at a time: the check finds each."""

import numpy as np
import pytest
import torch

from aqlens_export import read
from aqlens_export.check import open_session, pad_batch, relative_difference
from aqlens_export.eager import run_alone
from aqlens_export.errors import ExportError
from aqlens_export.graph import GraphBuilder
from aqlens_export.graphs import check_graphs, write_spec
from aqlens_export.read import read_spec
from aqlens_export.spec import Linear
from aqlens_export.subject import subject_of

from .tiny_families import FAMILIES, MINISTRAL3_ROPE, make_model

POSITIONS = 96

NORMS = ("before_attention", "after_attention", "before_mlp", "after_mlp")


def norms_of(spec):
    found = [getattr(block, name) for block in spec.blocks for name in NORMS]
    return [norm for norm in [*found, spec.final_norm] if norm is not None]


def each_attention(change):
    def mutate(spec):
        for block in spec.blocks:
            change(block.attention)

    return mutate


def each_block(change):
    def mutate(spec):
        for block in spec.blocks:
            change(block)

    return mutate


def set_on(name, value):
    return lambda part: setattr(part, name, value)


def larger_eps(spec):
    for norm in norms_of(spec):
        norm.eps = 1e-5


def plain_weights(spec):
    for norm in norms_of(spec):
        norm.weight = norm.weight - 1


def one_base(spec):
    for block in spec.blocks:
        block.attention.rope.table = "rope.full_attention"


def set_windows(window, of=lambda _window: True):
    """Another window in the layers whose own is one `of` those."""

    def mutate(spec):
        for block in spec.blocks:
            if of(block.attention.window):
                block.attention.window = window
        spec.shape.windows = [block.attention.window for block in spec.blocks]

    return mutate


def activation(kind):
    return each_block(lambda block: setattr(block.mlp, "activation", kind))


def rope_everywhere(spec):
    rope = next(b.attention.rope for b in spec.blocks if b.attention.rope)
    for block in spec.blocks:
        block.attention.rope = rope


def no_key_norms(attention):
    attention.q_norm = attention.k_norm = None


def no_biases(attention):
    for part in "qkv":
        linear = getattr(attention, part)
        setattr(attention, part, Linear(linear.weight, None))


def from_the_first_row(spec):
    """OPT's positions start at row 2 of their table."""
    spec.positions = torch.cat([spec.positions[:2], spec.positions[:-2]])


def unscaled_frequencies(spec):
    size = spec.tables["rope"][0].shape[-1]
    steps = 500.0 ** -(torch.arange(size) / size)
    angles = torch.arange(POSITIONS)[:, None] * steps
    spec.tables["rope"] = (angles.cos(), angles.sin())


def other_pairs(attention):
    attention.rope.interleaved = not attention.rope.interleaved


def tiled_heads(spec):
    shape = spec.shape
    times = shape.n_head // shape.n_kv_head
    shape.n_kv_head = shape.n_head
    for block in spec.blocks:
        for part in "kv":
            linear = getattr(block.attention, part)
            setattr(block.attention, part, Linear(linear.weight.repeat(times, 1), None))


MUTANTS = {
    "eps 1e-5 for 1e-6": ("llama", larger_eps),
    "the exact GELU for the tanh one": ("gemma2", activation("gelu")),
    "no cap of the scores": ("gemma2", each_attention(set_on("soft_cap", None))),
    "no cap of the logits": ("gemma2", lambda spec: setattr(spec, "logit_cap", None)),
    "one base for all rotary tables": ("gemma3", one_base),
    "scores scaled by the head's size": ("gemma2", each_attention(set_on("scale", 0.25))),
    "SiLU for GELU": ("gemma2", activation("silu")),
    "a window of 8 for 7": ("mistral", set_windows(8)),
    "a window of 6 for 7": ("gpt_neo", set_windows(6, of=bool)),
    "no window": ("mistral", set_windows(None)),
    "a window in all layers": ("gemma3", set_windows(7)),
    "rotary positions in every layer": ("smollm3", rope_everywhere),
    "no norm of queries and keys": ("qwen3", each_attention(no_key_norms)),
    "norm weights without their 1": ("gemma3", plain_weights),
    "parallel blocks as serial ones": ("gpt_neox", each_block(set_on("parallel", False))),
    "no biases": ("qwen2", each_attention(no_biases)),
    "no scale of the embedding": ("gemma", lambda spec: setattr(spec, "embedding_scale", 1.0)),
    "learnt positions from the first row": ("opt", from_the_first_row),
    "no llama3 scaling": ("llama llama3", unscaled_frequencies),
    "the other pairs of dimensions": ("llama", each_attention(other_pairs)),
    "the same, the other way round": ("cohere", each_attention(other_pairs)),
    "shared heads tiled": ("llama", tiled_heads),
    "no scale of the logits": ("granite", lambda spec: setattr(spec, "logit_scale", 1.0)),
    "no residual multiplier": ("granite", each_block(set_on("residual_scale", 1.0))),
    "norms of the sum before it": ("opt 350m", each_block(set_on("norm_the_sum", False))),
    "no final norm": ("olmo2", lambda spec: setattr(spec, "final_norm", None)),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_mistake_is_refused(name, tmp_path):
    family, mutate = MUTANTS[name]
    model = make_model(*FAMILIES[family])
    spec = read_spec(model, POSITIONS)
    subject = subject_of(model, read_spec(model, POSITIONS))
    mutate(spec)
    write_spec(tmp_path, spec)
    with pytest.raises(ExportError, match=r"does not compute|is not 0"):
        check_graphs(tmp_path, subject)


PAST_LENGTH, FIRST_POSITION = (["past_length", "axis.1"], ["first_position", "axis.1"])

FAULTS = {
    "windows by index beside a padded prefix": ("own_order", "Add", ["none", "keys"]),
    "positions that start anew after a prefix": ("counted_on", "Add", ["none", "steps"]),
    "positions that always go on after the past": ("row_first", "Unsqueeze", PAST_LENGTH),
    "windows by position": ("query_order", "Add", ["row_first", "steps"]),
    "masks by position": ("row_past", "Unsqueeze", FIRST_POSITION),
    "a prefix's padding in sight": ("is_hidden", "Or", ["is_future", "is_future"]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_past_onnx_alone_is_refused(name, tmp_path, monkeypatch):
    place, other, given = FAULTS[name]
    plain = GraphBuilder.node

    def node(self, op, inputs, output, **attributes):
        if output == place:
            self.weight("none", np.zeros((1, 1), np.int64))
            return plain(self, other, given, output)
        return plain(self, op, inputs, output, **attributes)

    model = make_model(*FAMILIES["gemma3"])
    spec = read_spec(model, POSITIONS)
    monkeypatch.setattr(GraphBuilder, "node", node)
    write_spec(tmp_path, spec)
    with pytest.raises(ExportError, match=r"past\.onnx"):
        check_graphs(tmp_path, subject_of(model, spec))


FAR = 600
"""Positions; no prompt of the check is that long."""


def check_of_far_positions(family, changes, folder, mutate=lambda _spec: None):
    """The check of a model that has FAR positions, with a mistake in its graphs."""
    model_type, own = FAMILIES[family]
    model = make_model(model_type, {**own, **changes, "max_position_embeddings": FAR})
    spec = read_spec(model)
    assert spec.shape.n_positions == FAR > subject_of(model, spec).longest
    mutate(spec)
    write_spec(folder, spec)
    check_graphs(folder, subject_of(model, spec))


def short_tables(spec):
    """As those that were made for half of the positions."""
    half = FAR // 2
    for name, (cos, sin) in spec.tables.items():
        spec.tables[name] = tuple(torch.cat([x[:half], x[:half]]) for x in (cos, sin))
    if spec.positions is not None:
        spec.positions = torch.cat([spec.positions[:half], spec.positions[:half]])


@pytest.mark.parametrize("family", ["llama", "gemma3", "gptj", "opt", "gpt_neo"])
def test_a_mistake_of_far_positions_alone_is_refused(family, tmp_path):
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    for folder in (right, wrong):
        folder.mkdir()
    check_of_far_positions(family, {}, right)
    with pytest.raises(ExportError, match=r"past\.onnx.*, from position 585"):
        check_of_far_positions(family, {}, wrong, short_tables)


def test_queries_that_grow_with_the_position_are_refused(tmp_path, monkeypatch):
    """What Ministral 3 does beyond its original length, were it not cut there."""
    rope = {**MINISTRAL3_ROPE, "original_max_position_embeddings": 300}
    changes = {"rope_parameters": {**rope, "max_position_embeddings": FAR}}
    monkeypatch.setattr(read, "position_limit", lambda _config: FAR)
    with pytest.raises(ExportError, match="from position 585"):
        check_of_far_positions("ministral3", changes, tmp_path)


def test_a_window_is_seen_by_prompts_longer_than_it_alone(tmp_path):
    """Why the check has them: with short prompts a model without its windows looks right."""
    model = make_model(*FAMILIES["mistral"])
    spec = read_spec(model, POSITIONS)
    assert subject_of(model, spec).longest > max(spec.shape.windows)
    set_windows(None)(spec)
    write_spec(tmp_path, spec)
    session = open_session(tmp_path / "model.onnx", 1)
    for length, is_seen in ((7, False), (12, True)):
        ids = list(range(length))
        (logits,) = session.run(["logits"], pad_batch([ids], lambda: 0))
        off = relative_difference(logits[0], run_alone(model, ids).logits.numpy())
        assert (off > 1e-5) == is_seen

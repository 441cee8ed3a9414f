"""A tiny twin of a model: its own configuration with small sizes and random weights.

A graph that is wrong by little (another epsilon, the other GELU) can hide in the rounding of
trained weights. On a twin it cannot: there PyTorch and the graph agree within 1e-5. A family that
the exporter does not know is refused here too, before a large model is loaded.
"""

import copy
import tempfile
from pathlib import Path

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from .dtypes import round_weights
from .errors import ExportError
from .graphs import check_graphs, write_spec
from .read import read_spec
from .refusals import rope_types
from .subject import subject_of

WINDOW = 7
POSITIONS = 96
VOCABULARY = 101
HEAD = 16
LAYERS = 3
"""At least; more where layers of a type come later."""

SPREAD = 0.1
"""Standard deviation of the matrices: attention is neither flat nor saturated."""

SEED = 3


def check_twin(config, name: str, dtype: str = "f32") -> None:
    """Exports the twin of `config` and checks it; raises ExportError when it cannot be exported, or
    when its graphs do not compute what PyTorch computes.

    Graphs of another `dtype` are checked as float32, at the same 1e-5 (`graphs.check_graphs`).
    """
    try:
        model = make_twin(config)
        round_weights(model, dtype)
    except Exception as error:  # the families' constructors raise what they like
        raise ExportError(
            f"{name}: no small model of the family {config.model_type!r} with the same settings "
            f"can be made to check the graphs with ({_first_line(error)})"
        ) from error
    try:
        spec = read_spec(model, POSITIONS)
    except Exception as error:  # an unknown family's code may take no prompt as others do
        said = str(error) if isinstance(error, ExportError) else _first_line(error)
        raise ExportError(
            f"{name} is of the family {config.model_type!r}, which cannot be exported: {said}"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        write_spec(Path(folder), spec, dtype)
        try:
            check_graphs(Path(folder), subject_of(model, spec), dtype=dtype)
        except ExportError as error:
            raise ExportError(
                f"{name}: the family {config.model_type!r} with these settings computes something "
                f"that the graphs do not: on a small model of random weights {error}"
            ) from error


def _first_line(error: Exception) -> str:
    """What an error of transformers says, on one line."""
    line = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {line}"


def make_twin(config) -> nn.Module:
    """The tiny model: every norm, bias and matrix random, so that a term left out shows."""
    torch.manual_seed(SEED)
    model = AutoModelForCausalLM.from_config(twin_config(config)).float().eval()
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.empty(parameter.shape).normal_(generator=generator)
            parameter.add_(noise * (0.05 if parameter.dim() > 1 else 0.2))
    return model


def twin_config(config):
    """`config` with small sizes; what says how to compute (scales, rotary settings, layer types,
    activations, epsilons) stays."""
    small = copy.deepcopy(config)
    small._attn_implementation = "eager"
    keep = _layers_to_keep(config)
    for name, value in vars(config).items():
        if isinstance(value, list | tuple) and len(value) == config.num_hidden_layers > 1:
            setattr(small, name, [value[i] for i in keep])
    if getattr(config, "attention_types", None):
        small.attention_types = [[small.attention_layers, 1]]
    small.num_hidden_layers = len(keep)
    size = _shrink_heads(config, small)
    if getattr(config, "intermediate_size", None) is not None:
        small.intermediate_size = 3 * size // 2 + 4
    for name in ("ffn_dim", "ffn_hidden_size", "n_inner"):
        if getattr(config, name, None) is not None:
            setattr(small, name, 3 * size // 2 + 4)
    if getattr(config, "word_embed_proj_dim", None) is not None:
        same = config.word_embed_proj_dim == config.hidden_size
        small.word_embed_proj_dim = size if same else size // 2
    small.vocab_size = VOCABULARY
    _shrink_positions(config, small)
    small.initializer_range = SPREAD
    for name in ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id", "unk_token_id"):
        if getattr(small, name, None) is not None:
            setattr(small, name, 0)
    return small


def _layers_to_keep(config) -> list[int]:
    """The first layer of each kind, and the first LAYERS."""
    count = config.num_hidden_layers
    lists = [
        value
        for value in vars(config).values()
        if isinstance(value, list | tuple) and len(value) == count > 1
    ]
    kinds = {}
    for layer in range(count):
        kinds.setdefault(tuple(str(value[layer]) for value in lists), layer)
    return sorted({*kinds.values(), *range(min(LAYERS, count))})


def _shrink_heads(config, small) -> int:
    """Few heads, as many queries to a key as fit; returns the width of the stream."""
    heads = config.num_attention_heads
    kv = getattr(config, "num_key_value_heads", None) or heads
    kv = getattr(config, "num_kv_heads", None) or kv
    few = min(kv, 2)
    each = min(max(heads // kv, 1), 3) if kv != heads else 2
    queries = few * each
    few = queries if kv == heads else few
    small.num_attention_heads = queries
    for name in ("num_key_value_heads", "num_kv_heads"):
        if getattr(config, name, None) is not None:
            setattr(small, name, few)
    own = getattr(config, "head_dim", None)
    d_head = HEAD
    size = queries * d_head
    if "head_dim" in vars(config) and own is not None:
        small.head_dim = d_head
        if own * heads != config.hidden_size:
            size += 8
    small.hidden_size = size
    return size


def _shrink_positions(config, small) -> None:
    """Short windows, and few positions unless the rotary settings speak of them."""
    for name in ("sliding_window", "window_size"):
        if getattr(config, name, None) is not None:
            setattr(small, name, WINDOW)
    if getattr(config, "rotary_dim", None):
        small.rotary_dim = 8
    if rope_types(config) <= {"default", "linear", "proportional"}:
        small.max_position_embeddings = POSITIONS
    parameters = getattr(small, "rope_parameters", None) or {}
    factor = parameters.get("partial_rotary_factor", getattr(config, "partial_rotary_factor", 1.0))
    turned = int(HEAD * (factor or 1.0)) // 2
    for name in ("short_factor", "long_factor"):
        if isinstance(parameters.get(name), list):
            values = parameters[name]
            parameters[name] = [values[i * len(values) // turned] for i in range(turned)]

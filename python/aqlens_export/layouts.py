"""Where families keep their parts: names of modules, and how one matrix holds several projections.

A family that uses other names, or parts that are not named here, is refused by `read.py`: every
parameter of a model has to be found by one of these tables.
"""

from dataclasses import dataclass, field

import torch
from torch import nn

from .errors import ExportError
from .parts import read_linear, rows_of
from .spec import Linear

ATTENTION = ("self_attn", "attn", "attention", "self_attention")
OUTPUT = ("o_proj", "out_proj", "dense", "c_proj")
GATED = (("gate_proj", "up_proj", "down_proj"),)
GATE_AND_UP = (("gate_up_proj", "down_proj"),)
PLAIN = (
    *(("up_proj", "down_proj"), ("fc1", "fc2"), ("c_fc", "c_proj"), ("fc_in", "fc_out")),
    ("dense_h_to_4h", "dense_4h_to_h"),
)
ACTIVATION = ("act_fn", "act", "activation_fn", "activation")
Q_NORMS = (("q_norm", "k_norm"), ("q_layernorm", "k_layernorm"))
FINAL_NORM = ("norm", "final_layer_norm", "final_layernorm", "ln_f")
LEARNT_POSITIONS = ("wpe", "embed_positions")


@dataclass(frozen=True)
class Norms:
    """Which module of a block is which norm; None: there is none."""

    before_attention: str | None = None
    after_attention: str | None = None
    before_mlp: str | None = None
    after_mlp: str | None = None
    parallel: bool = False
    shared: bool = False


NORMS = {
    frozenset(names): norms
    for names, norms in (
        (
            ("input_layernorm", "post_attention_layernorm"),
            Norms("input_layernorm", None, "post_attention_layernorm"),
        ),
        (("ln_1", "ln_2"), Norms("ln_1", None, "ln_2")),
        (
            ("input_layernorm", "pre_feedforward_layernorm"),
            Norms("input_layernorm", None, "pre_feedforward_layernorm"),
        ),
        (
            ("self_attn_layer_norm", "final_layer_norm"),
            Norms("self_attn_layer_norm", None, "final_layer_norm"),
        ),
        (
            (
                *("input_layernorm", "post_attention_layernorm"),
                *("pre_feedforward_layernorm", "post_feedforward_layernorm"),
            ),
            Norms(
                *("input_layernorm", "post_attention_layernorm"),
                *("pre_feedforward_layernorm", "post_feedforward_layernorm"),
            ),
        ),
        (
            ("post_attention_layernorm", "post_feedforward_layernorm"),
            Norms(None, "post_attention_layernorm", None, "post_feedforward_layernorm"),
        ),
        (("input_layernorm",), Norms("input_layernorm", parallel=True, shared=True)),
        (("ln_1",), Norms("ln_1", parallel=True, shared=True)),
        (("ln_attn", "ln_mlp"), Norms("ln_attn", None, "ln_mlp", parallel=True)),
    )
}
"""The names of a block's norms -> what they are for. With one norm the block is parallel."""


@dataclass
class Taken:
    """Which parameters the reader has found a use for."""

    ids: set[int] = field(default_factory=set)

    def all_of(self, module: nn.Module) -> nn.Module:
        """Marks every parameter of `module`."""
        self.ids.update(id(parameter) for parameter in module.parameters())
        return module

    def left_over(self, model: nn.Module) -> list[str]:
        """Names of the parameters that no one asked for."""
        return [name for name, p in model.named_parameters() if id(p) not in self.ids]


def child(module: nn.Module, names) -> nn.Module | None:
    """The first of the children `names` that is there."""
    found = (getattr(module, name, None) for name in names)
    return next((m for m in found if isinstance(m, nn.Module)), None)


def decoder_of(model: nn.Module) -> nn.Module:
    """The module with the embeddings, the blocks and the final norm."""
    base = model.base_model
    return getattr(base, "decoder", base)


def blocks_of(model: nn.Module) -> nn.ModuleList:
    """The blocks, in order."""
    decoder = decoder_of(model)
    found = child(decoder, ("layers", "h"))
    if not isinstance(found, nn.ModuleList) or not len(found):
        raise ExportError(f"a {type(model).__name__} keeps its blocks neither in .layers nor in .h")
    return found


def attention_of(block: nn.Module) -> nn.Module:
    """The module whose second output is the weights of attention."""
    found = child(block, ATTENTION)
    if found is None:
        raise ExportError(f"a {type(block).__name__} has no module {', '.join(ATTENTION)}")
    return found


def projections_of(attention: nn.Module) -> nn.Module:
    """The module with the projections: `attention` itself, or what it wraps (GPT-Neo)."""
    inner = getattr(attention, "attention", None)
    return inner if isinstance(inner, nn.Module) else attention


def query_key_value(attention: nn.Module, config, where: str) -> tuple[Linear, Linear, Linear]:
    """The three projections, each [heads * d_head, d_model], of one module or of three."""
    if all(hasattr(attention, name) for name in ("q_proj", "k_proj", "v_proj")):
        q, k, v = (read_linear(getattr(attention, f"{n}_proj"), f"{where}.{n}_proj") for n in "qkv")
        return q, k, v
    heads, size = config.num_attention_heads, head_size(attention, where)
    if hasattr(attention, "qkv_proj"):
        whole = read_linear(attention.qkv_proj, f"{where}.qkv_proj")
        rest = (len(whole.weight) - heads * size) // 2
        ends = (heads * size, heads * size + rest)
        return tuple(
            rows_of(whole, part) for part in (slice(ends[0]), slice(*ends), slice(ends[1], None))
        )
    if hasattr(attention, "query_key_value"):
        whole = read_linear(attention.query_key_value, f"{where}.query_key_value")
        return _interleaved(whole, attention, heads, size, where)
    if type(getattr(attention, "c_attn", None)).__name__ == "Conv1D":
        whole = read_linear(attention.c_attn, f"{where}.c_attn")
        return tuple(
            rows_of(whole, slice(part * heads * size, (part + 1) * heads * size))
            for part in range(3)
        )
    raise ExportError(
        f"{where} is a {type(attention).__name__} without q_proj, k_proj and v_proj, qkv_proj or "
        "query_key_value"
    )


def head_size(attention: nn.Module, where: str) -> int:
    """Dimensions of a head."""
    for name in ("head_dim", "head_size"):
        if isinstance(getattr(attention, name, None), int):
            return getattr(attention, name)
    raise ExportError(f"{where} is a {type(attention).__name__} that names no head_dim")


def _interleaved(whole: Linear, attention, heads: int, size: int, where: str):
    """Splits rows that hold, group by group, a group's queries, then a key, then a value."""
    if getattr(attention, "new_decoder_architecture", False):
        groups = attention.num_kv_heads
    elif getattr(attention, "multi_query", False):
        groups = 1
    else:
        groups = heads
    each = heads // groups
    if len(whole.weight) != groups * (each + 2) * size:
        raise ExportError(
            f"{where}.query_key_value has {len(whole.weight)} rows, which is not {groups} groups "
            f"of {each} queries, a key and a value of {size} dimensions"
        )
    rows = torch.arange(len(whole.weight)).reshape(groups, each + 2, size)
    parts = (rows[:, :each], rows[:, each], rows[:, each + 1])
    return tuple(rows_of(whole, part.flatten()) for part in parts)

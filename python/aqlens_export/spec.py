"""What a decoder-only model is made of, as data: `read.py` fills it in from the loaded modules,
`build.py` turns it into graphs. Tensors are the model's own or views of them, float32.
"""

from dataclasses import dataclass, replace

import torch

LEARNED = "learned"
"""The stream itself holds where a token stands."""

RELATIVE = "relative"
"""Rotary positions, or none: a prompt that is moved as a whole computes the same."""


@dataclass
class Shape:
    """The sizes that the graphs, the checks and model.json agree on."""

    n_layer: int
    n_head: int
    n_kv_head: int
    d_head: int
    d_model: int
    d_ff: int
    vocab_size: int
    """Rows of the logits."""
    n_positions: int
    windows: list[int | None]
    """Per layer: how many last tokens, itself included, a query sees; None: all before it."""
    positions: str
    """LEARNED or RELATIVE."""


@dataclass
class Linear:
    """x @ weight.T + bias."""

    weight: torch.Tensor
    """[out, in]"""
    bias: torch.Tensor | None
    """[out]"""


@dataclass
class Norm:
    """A normalisation of the last axis."""

    kind: str
    """"layer" (mean taken off) or "rms"."""
    width: int
    """Dimensions that are normalised."""
    weight: torch.Tensor | None
    """What the result is multiplied with, 1 + w already added up; [d], or [heads, 1, d]."""
    bias: torch.Tensor | None
    eps: float


@dataclass
class Rope:
    """Rotary positions of one layer."""

    table: str
    """A key of `Spec.tables`."""
    interleaved: bool
    """Neighbouring dimensions make a pair; else dimension i and i + r / 2 do."""


@dataclass
class Attention:
    """Queries, keys and values of one layer."""

    q: Linear
    k: Linear
    v: Linear
    o: Linear
    q_norm: Norm | None
    k_norm: Norm | None
    norm_over_heads: bool
    """The norm runs over all heads at once (OLMo 2), not over each head."""
    scale: float
    """What q @ k is multiplied with."""
    soft_cap: float | None
    rope: Rope | None
    window: int | None


@dataclass
class Mlp:
    """down(act(gate(x)) * up(x)), or down(act(up(x))) without a gate."""

    gate: Linear | None
    up: Linear
    down: Linear
    activation: str
    """One of `parts.ACTIVATIONS`: "silu", "gelu", "gelu_tanh", "relu", "relu_squared"."""


@dataclass
class Block:
    """One layer. A norm that is None is not there."""

    attention: Attention
    mlp: Mlp
    before_attention: Norm | None
    after_attention: Norm | None
    """Of what attention writes, before it is added to the stream."""
    before_mlp: Norm | None
    """With `parallel` and `shared_norm`: None, the MLP reads what attention reads."""
    after_mlp: Norm | None
    parallel: bool
    """Attention and MLP read the same stream; else the MLP reads what attention left."""
    shared_norm: bool
    norm_the_sum: bool
    """`after_*` norm the stream after the add (OPT-350m), not what is added."""
    residual_scale: float


@dataclass
class Spec:
    """A whole model."""

    family: str
    """transformers' model_type."""
    shape: Shape
    blocks: list[Block]
    embedding: torch.Tensor
    """[words, d_model], or narrower with `project_in`."""
    embedding_scale: float
    project_in: Linear | None
    positions: torch.Tensor | None
    """Learnt positions [n_positions, d_model]."""
    tables: dict[str, tuple[torch.Tensor, torch.Tensor]]
    """Cosines and sines, each [n_positions, r / 2], the family's factors in."""
    final_norm: Norm | None
    project_out: Linear | None
    unembedding: Linear
    logit_scale: float
    logit_cap: float | None

    @property
    def tied(self) -> bool:
        """Whether the unembedding is the embedding."""
        head = self.unembedding.weight
        same = head.data_ptr() == self.embedding.data_ptr()
        return head.shape == self.embedding.shape and (same or torch.equal(head, self.embedding))

    def without_weights(self) -> "Spec":
        """Family and sizes alone, once the graphs are written: tensors here keep memory."""
        empty = torch.empty(0)
        nothing = dict.fromkeys(("project_in", "positions", "final_norm", "project_out"))
        head = Linear(empty, None)
        return replace(self, blocks=[], embedding=empty, tables={}, unembedding=head, **nothing)

    def turned(self, rope: Rope) -> int:
        """How many dimensions of a head the rotation turns."""
        return 2 * self.tables[rope.table][0].shape[-1]

    def attention_layers(self) -> list[int]:
        """A few layers: one of each type (window, rotary table), the first, middle and last."""
        types = {}
        for layer, block in enumerate(self.blocks):
            rope = block.attention.rope
            types.setdefault((block.attention.window, rope and rope.table), layer)
        count = len(self.blocks)
        return sorted({*types.values(), 0, count // 2, count - 1})

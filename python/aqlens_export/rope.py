"""Rotary positions: the tables are the model's own, and which of them a layer uses, and how, is
found by comparing with the keys that the layer really makes.
"""

from dataclasses import dataclass

import torch
from torch import nn

from .errors import ExportError
from .layouts import attention_of, decoder_of, projections_of
from .parts import apply_norm
from .spec import Attention, Rope

KEYS_AGREE = 1e-4
"""Largest difference from the layer's own keys, in units of their largest; another base or another
pairing of dimensions is off by 1e-2 and more."""


@dataclass
class Seen:
    """What one run of the model showed: a prompt's ids, and per layer what went through."""

    ids: list[int]
    inputs: list[torch.Tensor]
    """Of the block: [T, d_model]."""
    projected: list[torch.Tensor]
    """What attention is given, norms before it applied: [T, d_model]."""
    keys: list[torch.Tensor]
    """[kv heads, T, d_head], as the cache has them."""
    logits: torch.Tensor
    """[T, vocab]"""
    hidden: torch.Tensor
    """[T, d_model]: what the last block gives."""


def model_tables(model: nn.Module, n_positions: int) -> dict[str, tuple]:
    """All tables that the model's rotary modules give: name -> cosines, sines [n_positions, r / 2].

    A model without rotary positions has none.
    """
    decoder, config = decoder_of(model), model.config
    positions = torch.arange(n_positions)[None]
    rotary = getattr(decoder, "rotary_emb", None)
    if isinstance(rotary, nn.Module):
        like = torch.zeros(1, 1, 1)
        tables = {}
        for kind in dict.fromkeys(getattr(config, "layer_types", None) or ["full_attention"]):
            with torch.no_grad():
                try:
                    cos, sin = rotary(like, positions, kind)
                except TypeError:
                    return {"rope": _halves(*rotary(like, positions))}
            tables[f"rope.{kind}"] = _halves(cos, sin)
        return tables
    buffer = getattr(projections_of(attention_of(_first_block(decoder))), "embed_positions", None)
    if isinstance(buffer, torch.Tensor):
        # GPT-J: sines, then cosines.
        sin, cos = buffer[:n_positions].float().chunk(2, dim=-1)
        return {"rope": (cos, sin)}
    return {}


def _first_block(decoder: nn.Module) -> nn.Module:
    return next(m for m in decoder.children() if isinstance(m, nn.ModuleList))[0]


def _halves(cos: torch.Tensor, sin: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each pair's angle once: tables repeat it half a head on, or beside itself."""
    cos, sin = cos[0].float(), sin[0].float()
    half = cos.shape[-1] // 2
    if torch.equal(cos[:, :half], cos[:, half:]) and torch.equal(sin[:, :half], sin[:, half:]):
        return cos[:, :half].contiguous(), sin[:, :half].contiguous()
    if torch.equal(cos[:, ::2], cos[:, 1::2]) and torch.equal(sin[:, ::2], sin[:, 1::2]):
        return cos[:, ::2].contiguous(), sin[:, ::2].contiguous()
    raise ExportError("the rotary tables repeat no angle")


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, interleaved: bool):
    """Rotates the first r dimensions of `x` [.., T, d] by the tables [T, r / 2]."""
    r = 2 * cos.shape[-1]
    turned, rest = x[..., :r], x[..., r:]
    if interleaved:
        a, b = turned[..., ::2], turned[..., 1::2]
        pairs = torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1)
        return torch.cat([pairs.flatten(-2), rest], dim=-1)
    a, b = turned[..., : r // 2], turned[..., r // 2 :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], dim=-1)


def find_rope(attention: Attention, tables: dict, seen: Seen, layer: int, size: int) -> Rope | None:
    """How this layer turns its keys; raises ExportError when no way that is known gives them."""
    keys = seen.keys[layer]
    made = seen.projected[layer] @ attention.k.weight.T
    made = made if attention.k.bias is None else made + attention.k.bias
    if attention.k_norm and attention.norm_over_heads:
        made = apply_norm(attention.k_norm, made)
    made = made.reshape(len(made), -1, size).transpose(0, 1)
    if attention.k_norm and not attention.norm_over_heads:
        made = apply_norm(attention.k_norm, made)
    if len(keys) != len(made):
        # Falcon's newer layout keeps a key for each query.
        keys = keys[:: len(keys) // len(made)]
    tried = {None: made}
    for name, (cos, sin) in tables.items():
        for interleaved in (False, True):
            count = made.shape[1]
            turned = rotate(made, cos[:count], sin[:count], interleaved)
            tried[(name, interleaved)] = turned
    off = {how: float((keys - values).abs().max()) for how, values in tried.items()}
    best = min(off, key=off.get)
    if not off[best] <= KEYS_AGREE * float(keys.abs().max()):
        raise ExportError(
            f"the keys of layer {layer} are neither its projection nor a rotation of it by the "
            f"model's own tables (off by {off[best]:.2g})"
        )
    return None if best is None else Rope(*best)

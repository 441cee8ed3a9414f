"""Reads a loaded model into a `Spec`.

Names of modules say where parts are (`layouts.py`); what a part does is found by running it
(`parts.py`, `rope.py`), and so are the scales that stand in no module: of the embedding and of the
logits. Whatever is left without a use is a reason to refuse the model.
"""

import math

import torch
from torch import nn
from transformers import DynamicCache

from . import layouts
from .eager import tensor_of
from .errors import ExportError
from .layouts import Taken, blocks_of, child, decoder_of
from .parts import apply_norm, read_activation, read_linear, read_norm, rows_of
from .refusals import position_limit
from .rope import Seen, find_rope, model_tables
from .spec import LEARNED, RELATIVE, Attention, Block, Mlp, Norm, Shape, Spec

SEEN_TOKENS = 24
"""Length of the prompt that the reader runs once."""

AGREES = 1e-5
"""Largest difference from the model's own embeddings and logits, in units of their largest."""


@torch.no_grad()
def read_spec(model: nn.Module, limit: int | None = None) -> Spec:
    """The model as data; raises ExportError, in one sentence, for what the graph cannot compute.

    `limit`: positions at most.
    """
    config, decoder, taken = model.config, decoder_of(model), Taken()
    n_positions = min(position_limit(config), limit or position_limit(config))
    positions = _learnt_positions(decoder, taken)
    seen = look(model, min(SEEN_TOKENS, n_positions))
    tables = model_tables(model, n_positions)
    blocks = []
    for layer, module in enumerate(blocks_of(model)):
        block = _block(module, layer, config, taken)
        size = _head_size(module)
        block.attention.rope = find_rope(block.attention, tables, seen, layer, size)
        blocks.append(block)
    used = {block.attention.rope.table for block in blocks if block.attention.rope}
    embedding = taken.all_of(model.get_input_embeddings()).weight.detach()
    spec = Spec(
        family=config.model_type,
        shape=_shape(blocks, blocks_of(model), seen, n_positions, positions is not None),
        blocks=blocks,
        embedding=embedding,
        embedding_scale=1.0,
        project_in=_projection(decoder, "project_in", taken),
        positions=positions,
        tables={name: pair for name, pair in tables.items() if name in used},
        final_norm=_final_norm(decoder, len(seen.hidden[0]), taken),
        project_out=_projection(decoder, "project_out", taken),
        unembedding=read_linear(taken.all_of(model.get_output_embeddings()), "the head"),
        logit_scale=1.0,
        logit_cap=getattr(config, "final_logit_softcapping", None),
    )
    _find_embedding(spec, seen, config, n_positions)
    _find_logits(spec, model, seen, config)
    left = taken.left_over(model)
    if left:
        raise ExportError(
            f"it has {left[0]}{' and others' if left[1:] else ''}, which the graph has no use for"
        )
    return spec


def look(model: nn.Module, length: int) -> Seen:
    """Runs a prompt of `length` tokens once, and keeps what passes."""
    vocab = model.get_input_embeddings().weight.shape[0]
    generator = torch.Generator().manual_seed(7)
    ids = torch.randint(0, vocab, (length,), generator=generator).tolist()
    inputs, projected, hidden, cache, hooks = {}, {}, [], DynamicCache(), []

    def keep(into, layer):
        def hook(_module, given, named):
            value = given[0] if given else named["hidden_states"]
            into[layer] = value.reshape(-1, value.shape[-1])

        return hook

    blocks = blocks_of(model)
    for i, block in enumerate(blocks):
        hooks.append(block.register_forward_pre_hook(keep(inputs, i), with_kwargs=True))
        attention = layouts.attention_of(block)
        hooks.append(attention.register_forward_pre_hook(keep(projected, i), with_kwargs=True))
    hooks.append(
        blocks[-1].register_forward_hook(lambda _m, _i, out: hidden.append(tensor_of(out)))
    )
    try:
        with torch.no_grad():
            logits = model(torch.tensor([ids]), use_cache=True, past_key_values=cache).logits
    finally:
        for hook in hooks:
            hook.remove()
    if len(cache.layers) != len(blocks):
        raise ExportError(f"it keeps keys for {len(cache.layers)} of {len(blocks)} layers")
    return Seen(
        ids,
        [inputs[i] for i in range(len(blocks))],
        [projected[i] for i in range(len(blocks))],
        [layer.keys[0] for layer in cache.layers],
        logits[0],
        hidden[0].reshape(-1, hidden[0].shape[-1]),
    )


def _shape(blocks: list[Block], modules, seen: Seen, n_positions: int, learned: bool) -> Shape:
    attention, size = blocks[0].attention, _head_size(modules[0])
    return Shape(
        n_layer=len(blocks),
        n_head=len(attention.q.weight) // size,
        n_kv_head=len(attention.k.weight) // size,
        d_head=size,
        d_model=seen.hidden.shape[-1],
        d_ff=len(blocks[0].mlp.up.weight),
        vocab_size=seen.logits.shape[-1],
        n_positions=n_positions,
        windows=[block.attention.window for block in blocks],
        positions=LEARNED if learned else RELATIVE,
    )


def _head_size(block: nn.Module) -> int:
    inner = layouts.projections_of(layouts.attention_of(block))
    return layouts.head_size(inner, f"a {type(block).__name__}'s attention")


def _block(module: nn.Module, layer: int, config, taken: Taken) -> Block:
    where = f"layer {layer}"
    names = _norm_names(module, where)
    placed = layouts.NORMS[names]
    size = config.hidden_size

    def norm(name: str | None) -> Norm | None:
        if name is None:
            return None
        return read_norm(taken.all_of(getattr(module, name)), size, f"{where}, {name}")

    before = getattr(module, "do_layer_norm_before", True)
    norms = [placed.before_attention, placed.after_attention, placed.before_mlp, placed.after_mlp]
    if not before:
        # OPT-350m: the norms stand after the adds.
        norms = [None, placed.before_attention, None, placed.before_mlp]
    read = [norm(name) for name in norms]
    return Block(
        attention=_attention(layouts.attention_of(module), layer, config, taken),
        mlp=_mlp(module, where, taken),
        before_attention=read[0],
        after_attention=read[1],
        before_mlp=read[2],
        after_mlp=read[3],
        parallel=placed.parallel or bool(getattr(module, "use_parallel_residual", False)),
        shared_norm=placed.shared,
        norm_the_sum=not before,
        residual_scale=float(getattr(module, "residual_multiplier", 1.0)),
    )


def _norm_names(module: nn.Module, where: str) -> frozenset[str]:
    """Names of the block's norms; refuses children that are nothing known."""
    known = {*layouts.ATTENTION, "mlp", "fc1", "fc2", *layouts.ACTIVATION}
    norms = set()
    for name, inner in module.named_children():
        if name in known or isinstance(inner, nn.Dropout | nn.Identity):
            continue
        if "norm" not in type(inner).__name__.lower():
            raise ExportError(
                f"{where} has a module {name} ({type(inner).__name__}) that the graph has no "
                "nodes for"
            )
        norms.add(name)
    if frozenset(norms) not in layouts.NORMS:
        raise ExportError(
            f"{where} has the norms {', '.join(sorted(norms)) or 'none'}, an order that the "
            "exporter does not know"
        )
    return frozenset(norms)


def _attention(module: nn.Module, layer: int, config, taken: Taken) -> Attention:
    where = f"layer {layer}'s attention"
    inner = layouts.projections_of(module)
    q, k, v = layouts.query_key_value(inner, config, where)
    output = child(inner, layouts.OUTPUT)
    if output is None:
        raise ExportError(f"{where} has none of {', '.join(layouts.OUTPUT)}: it is not known")
    for name in ("q_proj", "k_proj", "v_proj", "qkv_proj", "query_key_value", "c_attn"):
        if isinstance(getattr(inner, name, None), nn.Module):
            taken.all_of(getattr(inner, name))
    q_norm, k_norm, whole = _key_norms(inner, len(q.weight), len(k.weight), where, taken)
    if getattr(inner, "is_causal", True) is False:
        raise ExportError(f"{where} is not causal: tokens would depend on later ones")
    return Attention(
        q=q,
        k=k,
        v=v,
        o=read_linear(taken.all_of(output), where),
        q_norm=q_norm,
        k_norm=k_norm,
        norm_over_heads=whole,
        scale=_scale(inner, where),
        soft_cap=getattr(inner, "attn_logit_softcapping", None),
        rope=None,
        window=_window(inner, layer, config),
    )


def _key_norms(inner: nn.Module, q_size: int, k_size: int, where: str, taken: Taken):
    """Norms of queries and keys, and whether they run over all heads at once."""
    size = layouts.head_size(inner, where)
    for names in layouts.Q_NORMS:
        q_norm, k_norm = (getattr(inner, name, None) for name in names)
        if isinstance(q_norm, nn.Module) and isinstance(k_norm, nn.Module):
            weight = getattr(q_norm, "weight", None)
            whole = weight is not None and tuple(weight.shape) == (q_size,) and q_size != size
            sizes = (q_size, k_size) if whole else (size, size)
            read = (
                read_norm(taken.all_of(norm), n, f"{where}, {name}")
                for norm, n, name in zip((q_norm, k_norm), sizes, names, strict=True)
            )
            return (*read, whole)
    return None, None, False


def _scale(inner: nn.Module, where: str) -> float:
    """What scores are multiplied with, under the names that families have for it."""
    if isinstance(getattr(inner, "scaling", None), float):
        return inner.scaling
    if isinstance(getattr(inner, "inv_norm_factor", None), float):
        return inner.inv_norm_factor
    if getattr(inner, "scale_attn", None) is not None:
        return 1.0 / float(inner.scale_attn)
    if getattr(inner, "attention_type", None) in ("global", "local"):
        return 1.0  # GPT-Neo scales nothing
    raise ExportError(f"{where} ({type(inner).__name__}) names no scale of its scores")


def _window(inner: nn.Module, layer: int, config) -> int | None:
    """How many last tokens a query of this layer sees."""
    types = getattr(config, "layer_types", None)
    if getattr(inner, "attention_type", None) in ("global", "local"):
        return config.window_size if inner.attention_type == "local" else None
    size = getattr(config, "sliding_window", None)
    if types:
        return size if types[layer] == "sliding_attention" else None
    return size if getattr(config, "use_sliding_window", True) else None


def _mlp(block: nn.Module, where: str, taken: Taken) -> Mlp:
    module = getattr(block, "mlp", None)
    module = block if module is None and hasattr(block, "fc1") else module
    if not isinstance(module, nn.Module):
        raise ExportError(f"{where} has no module mlp")
    where = f"{where}'s MLP"
    act = next((getattr(module, n) for n in layouts.ACTIVATION if hasattr(module, n)), None)
    if act is None:
        raise ExportError(f"{where} ({type(module).__name__}) has no activation that is known")
    for kind, choices in (
        ("gated", layouts.GATED),
        ("both", layouts.GATE_AND_UP),
        ("", layouts.PLAIN),
    ):
        for names in choices:
            if all(isinstance(getattr(module, name, None), nn.Module) for name in names):
                *first, down = (
                    read_linear(taken.all_of(getattr(module, n)), f"{where}.{n}") for n in names
                )
                if kind == "both":
                    half = len(first[0].weight) // 2
                    first = [rows_of(first[0], slice(half)), rows_of(first[0], slice(half, None))]
                gate = first[0] if kind else None
                return Mlp(gate, first[-1], down, read_activation(act, where))
    raise ExportError(
        f"{where} is a {type(module).__name__} of parts that are not known: dense layers with or "
        "without a gate are exported"
    )


def _learnt_positions(decoder: nn.Module, taken: Taken) -> torch.Tensor | None:
    module = child(decoder, layouts.LEARNT_POSITIONS)
    return None if module is None else taken.all_of(module).weight.detach()


def _projection(decoder: nn.Module, name: str, taken: Taken):
    module = getattr(decoder, name, None)
    return None if module is None else read_linear(taken.all_of(module), name)


def _final_norm(decoder: nn.Module, size: int, taken: Taken) -> Norm | None:
    module = child(decoder, layouts.FINAL_NORM)
    return None if module is None else read_norm(taken.all_of(module), size, "the final norm")


def _find_embedding(spec: Spec, seen: Seen, config, n_positions: int) -> None:
    """Scale of the embedding and offset of learnt positions, from what the first block is given."""
    words = spec.embedding[seen.ids]
    words = words if spec.project_in is None else words @ spec.project_in.weight.T
    multiplier = getattr(config, "embedding_multiplier", None) or 1.0
    for scale in (1.0, math.sqrt(config.hidden_size), float(multiplier)):
        for offset in (0, 2) if spec.positions is not None else (0,):
            made = words * scale
            if spec.positions is not None:
                made = made + spec.positions[offset : offset + len(words)]
            if (made - seen.inputs[0]).abs().max() <= AGREES * seen.inputs[0].abs().max():
                spec.embedding_scale = scale
                if spec.positions is not None:
                    spec.positions = spec.positions[offset : offset + n_positions]
                    spec.shape.n_positions = len(spec.positions)
                return
    raise ExportError(
        "it makes more of its embeddings than a sum with learnt positions and a multiple"
    )


def _find_logits(spec: Spec, model: nn.Module, seen: Seen, config) -> None:
    """The scale of the logits, from the model's own."""
    scales = {1.0, float(getattr(config, "logit_scale", None) or 1.0)}
    scales.add(1.0 / float(getattr(config, "logits_scaling", None) or 1.0))
    for scale in sorted(scales):
        spec.logit_scale = scale
        made = head_of(spec, seen.hidden)
        if (made - seen.logits).abs().max() <= AGREES * 10 * seen.logits.abs().max():
            return
    raise ExportError("its logits are not a final norm and a matrix product, scaled or capped")


def head_of(spec: Spec, hidden: torch.Tensor) -> torch.Tensor:
    """The head that `spec` describes: [T, d_model] to [T, vocab]."""
    x = hidden if spec.final_norm is None else apply_norm(spec.final_norm, hidden)
    x = x if spec.project_out is None else x @ spec.project_out.weight.T
    x = x @ spec.unembedding.weight.T
    x = x if spec.unembedding.bias is None else x + spec.unembedding.bias
    x = x * spec.logit_scale
    return x if not spec.logit_cap else spec.logit_cap * torch.tanh(x / spec.logit_cap)

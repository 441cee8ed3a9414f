"""Writes a `Spec` as the four ONNX graphs: model.onnx, head.onnx, past.onnx and patch.onnx.

Inputs and outputs are those that `graph.py`, `past.py` and `patch.py` describe for GPT-2. Keys and
values have `n_kv_head` heads of `d_head` dimensions, after the norm of the keys and the rotation.

    build_model(spec, weights), build_head(spec, weights)
    build_past(spec, weights), build_patch(spec, weights)

each with `dtype`, the type of weights and matrix products, where it is not float32.

Everything is standard ONNX of opset 20, put together node by node: a root mean square norm is
written out in the form that ONNX Runtime has a fused kernel for, keys shared by several queries are
never repeated, and windows count positions, not indices, so that padded prefixes do not shift them.
"""

import torch
from onnx import ModelProto, TensorProto, helper

from .graph import MASKED, GraphBuilder, close_graph, ends_of_model
from .nodes import Nodes
from .past import ROW_INPUTS, add_hidden_keys, add_positions, past_names, present_names
from .patch import add_given, add_layer, ends_of_patch
from .spec import Attention, Block, Mlp, Shape, Spec


def build_model(spec: Spec, weights, dtype: torch.dtype = torch.float32) -> ModelProto:
    """The whole model on whole prompts."""
    n = Nodes(GraphBuilder(weights), dtype)
    _shapes(n, spec.shape)
    _whole_prompts(n, spec)
    _body(n, spec, past=False)
    inputs, outputs = _ends(spec.shape, "seq")
    return close_graph(n.g, spec.family, inputs, outputs)


def build_past(spec: Spec, weights, dtype: torch.dtype = torch.float32) -> ModelProto:
    """The whole model on the rest of prompts whose beginnings were run before."""
    n, shape = Nodes(GraphBuilder(weights), dtype), spec.shape
    _shapes(n, shape)
    add_positions(n.g)
    _hidden_after_past(n, any(shape.windows))
    _masks(n, shape, "is_hidden")
    _tables(n, spec, rows=True)
    _body(n, spec, past=True)
    inputs, outputs = _ends(shape, "all")
    value, f32, layers = helper.make_tensor_value_info, TensorProto.FLOAT, range(shape.n_layer)
    inputs += [value(name, TensorProto.INT64, ["batch"]) for name in ROW_INPUTS]
    dims = ["prefixes", shape.n_kv_head, "past", shape.d_head]
    inputs += [value(name, f32, dims) for layer in layers for name in past_names(layer)]
    dims = ["batch", shape.n_kv_head, "seq", shape.d_head]
    outputs += [value(name, f32, dims) for layer in layers for name in present_names(layer)]
    return close_graph(n.g, f"{spec.family}_past", inputs, outputs)


def build_patch(spec: Spec, weights, dtype: torch.dtype = torch.float32) -> ModelProto:
    """The model from a given residual stream on."""
    n, shape = Nodes(GraphBuilder(weights), dtype), spec.shape
    _shapes(n, shape, sized="attention_mask")
    _whole_prompts(n, spec)
    add_layer(n.g, shape.n_layer)
    hidden = "stream"
    for layer in range(1, shape.n_layer):
        value = n.add("Reshape", [hidden, "shape.stream"], f"stream.{layer}.read")
        value = _block(n, spec, spec.blocks[layer], layer, value, past=False)
        n.add("Reshape", [value, "shape.hidden"], f"hidden.{layer}")
        hidden = add_given(n.g, layer)
    _logits(n, spec, hidden)
    return close_graph(n.g, f"{spec.family}_patch", *ends_of_patch(shape.d_model, shape.vocab_size))


def build_head(spec: Spec, weights, dtype: torch.dtype = torch.float32) -> ModelProto:
    """The final norm and the unembedding alone, for any number of rows."""
    n, f32 = Nodes(GraphBuilder(weights), dtype), TensorProto.FLOAT
    _unembed(n, spec, "hidden")
    inputs = [helper.make_tensor_value_info("hidden", f32, ["rows", spec.shape.d_model])]
    outputs = [helper.make_tensor_value_info("logits", f32, ["rows", spec.shape.vocab_size])]
    return close_graph(n.g, f"{spec.family}_head", inputs, outputs)


def _ends(shape: Shape, keys: str) -> tuple[list, list]:
    """Inputs and outputs that both graphs of the whole model have; attention is over `keys`."""
    return ends_of_model(shape.n_layer, shape.n_head, shape.d_model, shape.vocab_size, keys)


def _shapes(n: Nodes, shape: Shape, sized: str = "input_ids") -> None:
    """Constants, and shapes from the size of the input `sized` [batch, seq]; 0 copies a dimension,
    -1 is what is left."""
    kv, d = shape.n_kv_head, shape.d_head
    n.ints("zero", 0), n.ints("one", 1), n.ints("axis.0", [0]), n.ints("axis.1", [1])
    n.ints("shape.stream", [-1, shape.d_model])
    n.ints("shape.joined", [-1, shape.n_head * d])
    n.ints("shape.shared_queries", [0, kv, -1, d])
    n.ints("shape.shared_scores", [0, kv, -1, 0])
    n.ints("shape.all_scores", [0, shape.n_head, -1, 0])
    n.add("Shape", [sized], "ids.shape")
    tails = {"queries": [shape.n_head, d], "keys": [kv, d], "hidden": [shape.d_model]}
    for name, tail in tails.items():
        n.ints(f"shape.{name}.tail", tail)
        n.add("Concat", ["ids.shape", f"shape.{name}.tail"], f"shape.{name}", axis=0)
    n.add("Gather", ["ids.shape", "one"], "seq")


def _whole_prompts(n: Nodes, spec: Spec) -> None:
    """Positions, masks and rotary tables of a run of whole prompts: positions [seq] of all rows."""
    n.add("Range", ["zero", "seq", "one"], "positions")
    n.add("Unsqueeze", ["positions", "axis.1"], "query_positions")
    n.add("Greater", ["positions", "query_positions"], "is_future")
    if any(spec.shape.windows):
        n.add("Sub", ["query_positions", "positions"], "distance")
    _masks(n, spec.shape, "is_future")
    _tables(n, spec, rows=False)


def _masks(n: Nodes, shape: Shape, hidden: str) -> None:
    """One mask per window size: what hides keys from queries, added to the scores."""
    n.scalar("masked", float(MASKED)), n.scalar("visible", 0.0)
    for window in dict.fromkeys(shape.windows):
        name = _mask_name(window)
        out_of_sight = hidden
        if window is not None:
            n.ints(f"{name}.size", window)
            n.add("GreaterOrEqual", ["distance", f"{name}.size"], f"{name}.is_before")
            out_of_sight = n.add("Or", [hidden, f"{name}.is_before"], f"{name}.is_hidden")
        n.add("Where", [out_of_sight, "masked", "visible"], name)


def _mask_name(window: int | None) -> str:
    return "mask.causal" if window is None else f"mask.window_{window}"


def _hidden_after_past(n: Nodes, windows: bool) -> None:
    """`is_hidden` [batch, 1, seq, past + seq]: later keys, and padding of the prefix. With windows
    also `distance` [batch, 1, seq, past + seq], in tokens: a prefix's padding is none, and
    `first_position` has no part in it."""
    add_hidden_keys(n.g)
    if windows:
        n.ints("axes.heads_and_keys", [1, 3])
        n.add("Sub", ["row_past", "past"], "prefix_padding")
        n.add("Add", ["keys", "prefix_padding"], "own_order")
        n.add("Where", ["is_of_past", "keys", "own_order"], "key_order")
        n.add("Unsqueeze", ["key_order", "axes.heads_and_queries"], "key_places")
        n.add("Add", ["row_past", "steps"], "query_order")
        n.add("Unsqueeze", ["query_order", "axes.heads_and_keys"], "query_places")
        n.add("Sub", ["query_places", "key_places"], "distance")


def _tables(n: Nodes, spec: Spec, rows: bool) -> None:
    """Cosines and sines at the positions: [seq, r / 2], or [batch, 1, seq, r / 2] by `rows`."""
    for name, pair in spec.tables.items():
        for part, values in zip(("cos", "sin"), pair, strict=True):
            n.weight(f"{name}.{part}.table", values)
            out = f"{name}.{part}"
            n.add("Gather", [f"{name}.{part}.table", "positions"], f"{out}.rows" if rows else out)
            if rows:
                n.add("Unsqueeze", [f"{out}.rows", "axis.1"], out)


def _body(n: Nodes, spec: Spec, past: bool) -> None:
    """Everything from the ids to the outputs."""
    stream = _embed(n, spec)
    for layer, block in enumerate(spec.blocks):
        stream = _block(n, spec, block, layer, stream, past)
        n.add("Reshape", [stream, "shape.hidden"], f"hidden.{layer}")
    _logits(n, spec, f"hidden.{spec.shape.n_layer - 1}")


def _logits(n: Nodes, spec: Spec, hidden: str) -> None:
    """The head, for each row's last real token of `hidden` [batch, seq, d_model] alone."""
    n.add("ReduceSum", ["attention_mask", "axis.1"], "lengths", keepdims=1)
    n.add("Sub", ["lengths", "one"], "last_position")
    n.add("GatherND", [hidden, "last_position"], "last_token", batch_dims=1)
    _unembed(n, spec, "last_token")


def _embed(n: Nodes, spec: Spec) -> str:
    """The residual stream [batch * seq, d_model] that the first block reads."""
    n.narrow_weight("embedding", spec.embedding)
    width = spec.embedding.shape[1]
    value = n.rows("embedding", "input_ids", "token_embedding")
    if spec.project_in is not None:
        n.ints("shape.narrow", [-1, width])
        value = n.add("Reshape", [value, "shape.narrow"], "narrow_embedding")
        value = n.linear(spec.project_in, value, "project_in")
        value = n.add("Reshape", [value, "shape.hidden"], "wide_embedding")
    value = n.times(value, spec.embedding_scale, "scaled_embedding")
    if spec.positions is not None:
        n.narrow_weight("position_table", spec.positions)
        n.rows("position_table", "positions", "position_embedding")
        value = n.add("Add", [value, "position_embedding"], "embedding_sum")
    return n.add("Reshape", [value, "shape.stream"], "stream.embedding")


def _block(n: Nodes, spec: Spec, block: Block, layer: int, stream: str, past: bool) -> str:
    """One layer: [batch * seq, d_model] to the same."""
    at = f"block.{layer}"
    normed = n.norm(block.before_attention, stream, f"{at}.attention.norm")
    written = _attention(n, spec, block.attention, layer, normed, past)
    if block.parallel:
        read = normed if block.shared_norm else n.norm(block.before_mlp, stream, f"{at}.mlp.norm")
        both = n.add("Add", [written, _mlp(n, block.mlp, layer, read)], f"{at}.both")
        both = n.times(both, block.residual_scale, f"{at}.both_scaled")
        return n.add("Add", [stream, both], f"stream.{layer}")
    stream = _add(n, block, block.after_attention, stream, written, f"{at}.attention")
    read = n.norm(block.before_mlp, stream, f"{at}.mlp.norm")
    written = _mlp(n, block.mlp, layer, read)
    return _add(n, block, block.after_mlp, stream, written, f"{at}.mlp")


def _add(n: Nodes, block: Block, norm, stream: str, written: str, at: str) -> str:
    """The residual add, with its norm before it or after it."""
    if block.norm_the_sum:
        return n.norm(norm, n.add("Add", [stream, written], f"{at}.sum"), f"{at}.after")
    written = n.norm(norm, written, f"{at}.after")
    written = n.times(written, block.residual_scale, f"{at}.scaled")
    return n.add("Add", [stream, written], f"{at}.stream")


def _attention(n: Nodes, spec: Spec, attention: Attention, layer: int, x: str, past: bool) -> str:
    """What attention writes, from the normed stream `x`, both [batch * seq, d_model]."""
    at, shape = f"block.{layer}.attention", spec.shape
    shared = shape.n_kv_head != shape.n_head
    names = (f"{at}.q", *(present_names(layer) if past else (f"{at}.k", f"{at}.v")))
    q, k, v = (
        _heads(n, spec, layer, part, x, name) for part, name in zip("qkv", names, strict=True)
    )
    if past:
        joined = []
        for before, own, part in zip(past_names(layer), (k, v), "kv", strict=True):
            n.add("Gather", [before, "past_of"], f"{at}.past_{part}")
            joined.append(n.add("Concat", [f"{at}.past_{part}", own], f"{at}.all_{part}", axis=2))
        k, v = joined
    n.add("Transpose", [k], f"{at}.k_transposed", perm=[0, 1, 3, 2])
    if shared:
        q = n.add("Reshape", [q, "shape.shared_queries"], f"{at}.shared_q")
    scores = n.product("MatMul", [q, f"{at}.k_transposed"], f"{at}.products")
    if shared:
        scores = n.add("Reshape", [scores, "shape.all_scores"], f"{at}.all_products")
    scores = n.times(scores, attention.scale, f"{at}.scores")
    scores = n.capped(scores, attention.soft_cap, f"{at}.capped")
    n.add("Add", [scores, _mask_name(attention.window)], f"{at}.masked_scores")
    weights = n.add("Softmax", [f"{at}.masked_scores"], f"attention.{layer}", axis=-1)
    if shared:
        weights = n.add("Reshape", [weights, "shape.shared_scores"], f"{at}.shared_weights")
    mixed = n.product("MatMul", [weights, v], f"{at}.mixed")
    if shared:
        n.ints("shape.all_mixed", [0, shape.n_head, -1, shape.d_head])
        mixed = n.add("Reshape", [mixed, "shape.all_mixed"], f"{at}.all_mixed")
    n.add("Transpose", [mixed], f"{at}.by_token", perm=[0, 2, 1, 3])
    n.add("Reshape", [f"{at}.by_token", "shape.joined"], f"{at}.joined")
    return n.linear(attention.o, f"{at}.joined", f"{at}.projection")


def _heads(n: Nodes, spec: Spec, layer: int, part: str, x: str, name: str) -> str:
    """Queries, keys or values [batch, heads, seq, d_head], normed and turned; called `name`."""
    attention, at = spec.blocks[layer].attention, f"block.{layer}.attention.{part}"
    flat = n.linear(getattr(attention, part), x, f"{at}_projection")
    norm = {"q": attention.q_norm, "k": attention.k_norm, "v": None}[part]
    if attention.norm_over_heads:
        flat, norm = n.norm(norm, flat, f"{at}_norm"), None
    n.add("Reshape", [flat, "shape.queries" if part == "q" else "shape.keys"], f"{at}_split")
    turned = attention.rope if part != "v" else None
    plain = norm is None and turned is None
    by_head = name if plain else f"{at}_by_head"
    value = n.add("Transpose", [f"{at}_split"], by_head, perm=[0, 2, 1, 3])
    if norm is not None:
        value = n.norm(norm, value, f"{at}_norm" if turned else name)
    if turned is None:
        return value
    return n.rotate(turned, spec.shape.d_head, spec.turned(turned), value, name)


def _mlp(n: Nodes, mlp: Mlp, layer: int, x: str) -> str:
    """What the MLP writes, [batch * seq, d_model] both."""
    at = f"block.{layer}.mlp"
    up = n.linear(mlp.up, x, f"{at}.up")
    if mlp.gate is None:
        inner = n.activation(mlp.activation, up, f"{at}.inner")
    else:
        gate = n.linear(mlp.gate, x, f"{at}.gate")
        gate = n.activation(mlp.activation, gate, f"{at}.gate_act")
        inner = n.add("Mul", [gate, up], f"{at}.inner")
    return n.linear(mlp.down, inner, f"{at}.projection")


def _unembed(n: Nodes, spec: Spec, value: str) -> None:
    """The head: `value` [rows, d_model] to `logits` [rows, vocab]."""
    value = n.norm(spec.final_norm, value, "final_norm")
    if spec.project_out is not None:
        value = n.linear(spec.project_out, value, "project_out")
    name = "embedding" if spec.tied else "unembedding"
    plain = spec.logit_scale == 1.0 and not spec.logit_cap
    inputs = [value, n.narrow_weight(name, spec.unembedding.weight)]
    if spec.unembedding.bias is not None:
        inputs.append(n.narrow_weight("unembedding.bias", spec.unembedding.bias))
    value = n.product("Gemm", inputs, "logits" if plain else "raw_logits", transB=1)
    if not plain:
        last = "scaled_logits" if spec.logit_cap else "logits"
        value = n.times(value, spec.logit_scale, last)
        n.capped(value, spec.logit_cap, "logits")

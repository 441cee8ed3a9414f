"""GPT-2 as an ONNX graph that is given keys and values of tokens that came before (`prefix.py`).

    inputs   input_ids, attention_mask      int64 [batch, seq]               the rest of each row
             past_key.{l}, past_value.{l}   f32   [1, heads, past, d_head]   one prefix for all
    outputs  logits          f32 [batch, vocab]                    at each row's last real token
             hidden.{l}      f32 [batch, seq, d_model]             of the rest
             attention.{l}   f32 [batch, heads, seq, past + seq]   of the rest, over everything
             present_key.{l}, present_value.{l}   f32 [batch, heads, seq, d_head]   of the rest

With `past` 0 it computes what export's own graph computes.
"""

import numpy as np
from aqlens_export import graph as export
from onnx import ModelProto, TensorProto, helper

# How a prefix meets a batch: "scores" takes two products per row of attention and joins their
# results, "keys" copies the prefix's keys and values to each row and joins those. "rows" is "keys"
# for batches of several tasks: past_key.{l} and past_value.{l} hold several prefixes, padded to one
# length, and two more int64 [batch] inputs say which one a row has, `past_of`, and how much of it
# is real, `past_length`. Keys of padding get weights of exactly 0.
VARIANTS = ["scores", "keys", "rows"]


def build(model, weights, variant: str) -> ModelProto:
    """The graph of `model`; with a data file its weights are those of export's graph."""
    config = model.config
    g = export.GraphBuilder(weights)
    _constants(g, config)
    (_mask_of_rows if variant == "rows" else _mask)(g)
    stream = export._embed(g, model)
    for layer, block in enumerate(model.transformer.h):
        stream = _attention(g, block, layer, stream, config, variant)
        stream = export._mlp(g, block, layer, stream, config)
        g.node("Reshape", [stream, "shape.hidden"], f"hidden.{layer}")
    export._logits(g, model, stream)
    return _finish(g, config, variant)


def _constants(g: export.GraphBuilder, config) -> None:
    heads, size = config.n_head, config.n_embd // config.n_head
    g.ints("zero", 0), g.ints("one", 1), g.ints("two", 2)
    g.ints("axis.0", [0]), g.ints("axis.1", [1]), g.ints("axis.3", [3]), g.ints("far", [1 << 62])
    g.ints("shape.stream", [-1, config.n_embd])
    g.ints("shape.head_split.tail", [3, heads, size])
    g.ints("shape.hidden.tail", [config.n_embd])
    g.ints("shape.past.tail", [1, 1, 1])
    g.node("Shape", ["input_ids"], "ids.shape")
    g.node("Concat", ["ids.shape", "shape.head_split.tail"], "shape.head_split", axis=0)
    g.node("Concat", ["ids.shape", "shape.hidden.tail"], "shape.hidden", axis=0)
    g.node("Gather", ["ids.shape", "axis.0"], "batch")
    g.node("Concat", ["batch", "shape.past.tail"], "shape.past", axis=0)
    g.node("Gather", ["ids.shape", "one"], "seq")
    g.node("Shape", ["past_key.0"], "past.shape")
    g.node("Gather", ["past.shape", "two"], "past")
    g.node("Unsqueeze", ["past", "axis.0"], "past.axis")
    g.node("Add", ["past", "seq"], "all")
    g.node("Range", ["zero", "all", "one"], "key_positions")
    g.weight("masked", np.array(export.MASKED)), g.weight("visible", np.array(0, np.float32))


def _mask(g: export.GraphBuilder) -> None:
    # The rest's own positions, which the embedding takes, start after the prefix.
    g.node("Range", ["past", "all", "one"], "positions")
    g.node("Unsqueeze", ["positions", "axis.1"], "query_positions")
    g.node("Greater", ["key_positions", "query_positions"], "is_future")
    g.node("Where", ["is_future", "masked", "visible"], "causal_mask")


def _mask_of_rows(g: export.GraphBuilder) -> None:
    g.ints("axes.heads_and_queries", [1, 2])
    g.node("Range", ["zero", "seq", "one"], "steps")
    g.node("Unsqueeze", ["past_length", "axis.1"], "row_past")
    g.node("Add", ["row_past", "steps"], "positions")
    g.node("Range", ["past", "all", "one"], "query_keys")
    g.node("Unsqueeze", ["query_keys", "axis.1"], "last_key")
    g.node("Greater", ["key_positions", "last_key"], "is_future")
    g.node("GreaterOrEqual", ["key_positions", "row_past"], "is_after_past")
    g.node("Less", ["key_positions", "past"], "is_of_past")
    g.node("And", ["is_after_past", "is_of_past"], "is_padding")
    g.node("Unsqueeze", ["is_padding", "axes.heads_and_queries"], "is_padding_key")
    g.node("Or", ["is_padding_key", "is_future"], "is_hidden")
    g.node("Where", ["is_hidden", "masked", "visible"], "causal_mask")


def _attention(g, block, layer: int, stream: str, config, variant: str) -> str:
    """The attention half of a block, with its residual add."""
    at = f"block.{layer}.attention"
    normed = export._layer_norm(g, block.ln_1, stream, f"{at}.norm")
    qkv = export._linear(g, block.attn.c_attn, normed, f"{at}.qkv")
    g.node("Reshape", [qkv, "shape.head_split"], f"{at}.heads")
    g.node("Transpose", [f"{at}.heads"], f"{at}.by_head", perm=[2, 0, 3, 1, 4])
    parts = [f"{at}.q_part", f"{at}.k_part", f"{at}.v_part"]
    g.nodes.append(
        helper.make_node("Split", [f"{at}.by_head"], parts, f"{at}.split", axis=0, num_outputs=3)
    )
    names = [f"{at}.q", f"present_key.{layer}", f"present_value.{layer}"]
    q, k, v = (g.node("Squeeze", [p, "axis.0"], name) for p, name in zip(parts, names, strict=True))
    g.weight(f"{at}.scale", np.array(export.attention_scale(config, layer), np.float32))
    past_k, past_v = f"past_key.{layer}", f"past_value.{layer}"
    if variant != "scores":
        op, of = ("Expand", "shape.past") if variant == "keys" else ("Gather", "past_of")
        past_k = g.node(op, [past_k, of], f"{at}.past_k")
        past_v = g.node(op, [past_v, of], f"{at}.past_v")
        k = g.node("Concat", [past_k, k], f"{at}.all_k", axis=2)
        v = g.node("Concat", [past_v, v], f"{at}.all_v", axis=2)
        scores = _scores(g, q, k, at, "all")
    else:
        both = [_scores(g, q, past_k, at, "past"), _scores(g, q, k, at, "rest")]
        scores = g.node("Concat", both, f"{at}.scores", axis=-1)
    g.node("Add", [scores, "causal_mask"], f"{at}.masked_scores")
    weights = g.node("Softmax", [f"{at}.masked_scores"], f"attention.{layer}", axis=-1)
    if variant != "scores":
        mixed = g.node("MatMul", [weights, v], f"{at}.mixed")
    else:
        ranges = {"past": ["axis.0", "past.axis"], "rest": ["past.axis", "far"]}
        cut = {
            name: g.node("Slice", [weights, *ends, "axis.3"], f"{at}.weights.{name}")
            for name, ends in ranges.items()
        }
        g.node("MatMul", [cut["past"], past_v], f"{at}.mixed.past")
        g.node("MatMul", [cut["rest"], v], f"{at}.mixed.rest")
        mixed = g.node("Add", [f"{at}.mixed.past", f"{at}.mixed.rest"], f"{at}.mixed")
    g.node("Transpose", [mixed], f"{at}.by_token", perm=[0, 2, 1, 3])
    g.node("Reshape", [f"{at}.by_token", "shape.stream"], f"{at}.joined")
    written = export._linear(g, block.attn.c_proj, f"{at}.joined", f"{at}.projection")
    return g.node("Add", [stream, written], f"stream.{layer}.attention")


def _scores(g, q: str, k: str, at: str, of: str) -> str:
    """Scaled products of queries and keys."""
    g.node("Transpose", [k], f"{at}.k_transposed.{of}", perm=[0, 1, 3, 2])
    g.node("MatMul", [q, f"{at}.k_transposed.{of}"], f"{at}.products.{of}")
    return g.node("Mul", [f"{at}.products.{of}", f"{at}.scale"], f"{at}.scores.{of}")


def _finish(g, config, variant: str) -> ModelProto:
    """Declares inputs and outputs and closes the graph."""
    value, f32 = helper.make_tensor_value_info, TensorProto.FLOAT
    ids, heads, size = ["batch", "seq"], config.n_head, config.n_embd // config.n_head
    layers, kinds = range(config.n_layer), ("key", "value")
    inputs = [value(name, TensorProto.INT64, ids) for name in ("input_ids", "attention_mask")]
    if variant == "rows":
        of_rows = ["past_of", "past_length"]
        inputs += [value(name, TensorProto.INT64, ["batch"]) for name in of_rows]
    past = ["prefixes" if variant == "rows" else 1, heads, "past", size]
    inputs += [value(f"past_{kind}.{n}", f32, past) for n in layers for kind in kinds]
    outputs = [value("logits", f32, ["batch", config.vocab_size])]
    outputs += [value(f"hidden.{n}", f32, [*ids, config.n_embd]) for n in layers]
    outputs += [value(f"attention.{n}", f32, ["batch", heads, "seq", "all"]) for n in layers]
    present = ["batch", heads, "seq", size]
    outputs += [value(f"present_{kind}.{n}", f32, present) for n in layers for kind in kinds]
    return export._model(g, "gpt2_past", inputs, outputs)

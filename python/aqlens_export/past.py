"""The third graph, past.onnx: the model on the rest of prompts whose beginnings were run before.

    inputs   input_ids        int64 [batch, seq]                      the rest of each prompt
             attention_mask   int64 [batch, seq]                      ones, then zeros
             past_of          int64 [batch]                           which prefix a row has
             past_length      int64 [batch]                           how much of it counts; 0: none
             first_position   int64 [batch]                           of a row's first token
             past_key.{l}, past_value.{l}
                              f32   [prefixes, heads, past, d_head]   of block l, 1 prefix or more
    outputs  logits           f32   [batch, vocab]                    as of model.onnx
             hidden.{l}       f32   [batch, seq, d_model]             of the rest
             attention.{l}    f32   [batch, heads, seq, past + seq]   of the rest, over everything
             present_key.{l}, present_value.{l}
                              f32   [batch, heads, seq, d_head]       of the rest

The keys and values of a prefix are the `present_*` of a run of this graph: of its own tokens, with
`past` 0. Prefixes shorter than `past` are padded on the right, with anything finite: keys from a
row's `past_length` on get weights of exactly 0. A row may have no prefix, or a part of one. With
`past` 0 the graph computes what model.onnx computes.

`first_position` is where each row's first own token stands in the model's positions: `past_length`
for a caller without other wishes. Two things need another:

- Attention knock-outs. What a row may not see is left out of its past. Of a prompt of prefix, input
  and rest, the rest runs over the keys of the input alone: `past_length` is the input's tokens,
  `first_position` the place that the rest really has.
- Keys of another prompt. With relative positions (rotary ones, or none) a prompt that is moved as a
  whole computes the same, so that the same input can be run at the same positions in two prompts,
  and one's keys of it be given to the other. With learnt positions it is another prompt.

Masks and windows never ask for it: they take a past to stand immediately before the row's own
tokens, however it was put together.

A row names its prefix, so that a batch may hold prompts of several prefixes: batches of one prefix
each would be padded more (docs/benchmarks.md, "Shared prefixes").
"""

from onnx import ModelProto, TensorProto, helper
from transformers import GPT2LMHeadModel

from .graph import GraphBuilder, add_mask, add_model, add_shapes, close_graph, ends_of_model

ROW_INPUTS = ("past_of", "past_length", "first_position")
"""Inputs with one number a row."""


def build_past(model: GPT2LMHeadModel, weights) -> ModelProto:
    """The ONNX model of `model` with a past.

    Given the `weights` that model.onnx was built with, it shares all of them.
    """
    config = model.config
    g = GraphBuilder(weights)
    add_shapes(g, config)
    add_positions(g)
    add_hidden_keys(g)
    add_mask(g, "is_hidden")
    add_model(g, model, _Past())
    inputs, outputs = ends_of_model(
        config.n_layer, config.n_head, config.n_embd, config.vocab_size, "all"
    )
    value, f32, layers = helper.make_tensor_value_info, TensorProto.FLOAT, range(config.n_layer)
    size = config.n_embd // config.n_head
    inputs += [value(name, TensorProto.INT64, ["batch"]) for name in ROW_INPUTS]
    shape = ["prefixes", config.n_head, "past", size]
    inputs += [value(name, f32, shape) for layer in layers for name in past_names(layer)]
    shape = ["batch", config.n_head, "seq", size]
    outputs += [value(name, f32, shape) for layer in layers for name in present_names(layer)]
    return close_graph(g, "gpt2_past", inputs, outputs)


def past_names(layer: int) -> tuple[str, str]:
    """The inputs with the keys and the values of the prefixes."""
    return f"past_key.{layer}", f"past_value.{layer}"


def present_names(layer: int) -> tuple[str, str]:
    """The outputs with the keys and the values of the rest."""
    return f"present_key.{layer}", f"present_value.{layer}"


class _Past:
    """What `graph.add_model` asks of a past."""

    def present(self, layer: int) -> tuple[str, str]:
        """Names for a block's own keys and values."""
        return present_names(layer)

    def join(self, g: GraphBuilder, layer: int, k: str, v: str, at: str) -> list[str]:
        """Each row's prefix, then its own."""
        joined = []
        for past, own, part in zip(past_names(layer), (k, v), "kv", strict=True):
            g.node("Gather", [past, "past_of"], f"{at}.past_{part}")
            joined.append(g.node("Concat", [f"{at}.past_{part}", own], f"{at}.all_{part}", axis=2))
        return joined


def add_positions(g: GraphBuilder) -> None:
    """`positions` [batch, seq]: each row counts on from its first position.

    Padding stands at 0: counted on, it could pass the last position that the model has, beside a
    longer row that starts earlier.
    """
    g.node("Range", ["zero", "seq", "one"], "steps")
    g.node("Unsqueeze", ["first_position", "axis.1"], "row_first")
    g.node("Add", ["row_first", "steps"], "counted_on")
    g.node("Mul", ["counted_on", "attention_mask"], "positions")


def add_hidden_keys(g: GraphBuilder) -> None:
    """`is_hidden` [batch, 1, seq, past + seq]: keys after the query, and padding of the prefix."""
    g.node("Unsqueeze", ["past_length", "axis.1"], "row_past")
    g.ints("two", 2), g.ints("axes.heads_and_queries", [1, 2])
    g.node("Shape", ["past_key.0"], "past.shape")
    g.node("Gather", ["past.shape", "two"], "past")
    g.node("Add", ["past", "seq"], "all")
    g.node("Range", ["zero", "all", "one"], "keys")
    g.node("Range", ["past", "all", "one"], "own_keys")
    g.node("Unsqueeze", ["own_keys", "axis.1"], "query_keys")
    g.node("Greater", ["keys", "query_keys"], "is_future")
    g.node("GreaterOrEqual", ["keys", "row_past"], "is_after_prefix")
    g.node("Less", ["keys", "past"], "is_of_past")
    g.node("And", ["is_after_prefix", "is_of_past"], "is_padding")
    g.node("Unsqueeze", ["is_padding", "axes.heads_and_queries"], "is_padding_key")
    g.node("Or", ["is_padding_key", "is_future"], "is_hidden")

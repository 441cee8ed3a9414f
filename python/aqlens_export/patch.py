"""The fourth graph, patch.onnx: the model from a given residual stream on.

    inputs   stream           f32   [batch, seq, d_model]   what a block's output is replaced by
             layer            int64 [batch]                 the block, 0 to n_layer - 1
             attention_mask   int64 [batch, seq]            ones, then zeros: right padding only
    output   logits           f32   [batch, vocab]          at each row's last real token

A row's stream takes the place of what block `layer` gives, and the blocks after it run: activation
patching, of as many tokens as one likes. The stream of block n_layer - 1 is read by the head alone.
Positions are 0, 1, 2, ...: models with learnt ones have them in the stream already.

Rows of one batch may start at different layers. Every block but the first, whose output no row
needs, is computed for all rows; after block l the rows of layer l get their stream, and what was
computed for them until then is thrown away. A layer that the model lacks is an out-of-bounds error.
What padding holds means nothing, as long as it is finite.

All weights are those of model.onnx.
"""

from onnx import ModelProto, TensorProto, helper
from transformers import GPT2LMHeadModel

from .graph import (
    GraphBuilder,
    add_block,
    add_causal_mask,
    add_logits,
    add_shapes,
    close_graph,
)


def build_patch(model: GPT2LMHeadModel, weights) -> ModelProto:
    """The ONNX model of `model` from a stream on.

    Given the `weights` that model.onnx was built with, it shares them.
    """
    config = model.config
    g = GraphBuilder(weights)
    add_shapes(g, config, sized="attention_mask")
    add_causal_mask(g)
    add_layer(g, config.n_layer)
    hidden = "stream"
    for layer in range(1, config.n_layer):
        value = g.node("Reshape", [hidden, "shape.stream"], f"stream.{layer}.read")
        add_block(g, model, layer, value)
        hidden = add_given(g, layer)
    add_logits(g, model, hidden)
    return close_graph(g, "gpt2_patch", *ends_of_patch(config.n_embd, config.vocab_size))


def add_layer(g: GraphBuilder, n_layer: int) -> None:
    """`row_layer` [batch, 1, 1]: the input `layer`, looked up, so that one that the model lacks is
    an error."""
    g.ints("layers", list(range(n_layer))), g.ints("axes.tokens_and_width", [1, 2])
    g.node("Gather", ["layers", "layer"], "known_layer")
    g.node("Unsqueeze", ["known_layer", "axes.tokens_and_width"], "row_layer")


def add_given(g: GraphBuilder, layer: int) -> str:
    """The stream after block `layer` [batch, seq, d_model], rows of that layer the given one."""
    at = f"patch.{layer}"
    g.ints(f"{at}.layer", layer)
    g.node("Equal", ["row_layer", f"{at}.layer"], f"{at}.is_given")
    return g.node("Where", [f"{at}.is_given", "stream", f"hidden.{layer}"], f"{at}.stream")


def ends_of_patch(d_model: int, vocab_size: int) -> tuple[list, list]:
    """Declares inputs and outputs."""
    value, f32, int64 = helper.make_tensor_value_info, TensorProto.FLOAT, TensorProto.INT64
    inputs = [
        value("stream", f32, ["batch", "seq", d_model]),
        value("layer", int64, ["batch"]),
        value("attention_mask", int64, ["batch", "seq"]),
    ]
    return inputs, [value("logits", f32, ["batch", vocab_size])]

"""Writes a GPT-2 as the smallest ONNX graph that shows its insides, and its head as a second one.
`past.py` and `patch.py` make two more from the same parts.

model.onnx:

    inputs   input_ids       int64 [batch, seq]
             attention_mask  int64 [batch, seq]               ones, then zeros: right padding only
    outputs  logits          f32   [batch, vocab]             at each row's last real token
             hidden.{l}      f32   [batch, seq, d_model]      block l's raw output, before ln_f
             attention.{l}   f32   [batch, heads, seq, seq]   after the softmax

head.onnx, which turns the output of any block into scores of the next token (the logit lens):

    input    hidden          f32   [rows, d_model]            a block's raw output, before ln_f
    output   logits          f32   [rows, vocab]              of the last block: the model's own

The graphs are put together node by node instead of being traced from PyTorch, for three reasons:
each operator is one that ONNX Runtime has a fused kernel for (so nothing depends on a pattern
being recognised), the tied embedding is stored once, and the same weights give the same bytes.

Padding never enters the arithmetic. Real tokens stand first in their row, so the causal mask
alone keeps every real query from the padding after it; the attention mask only says where a row
ends. What padding positions hold is finite and means nothing.
"""

import math

import numpy as np
import torch
from onnx import ModelProto, TensorProto, helper
from transformers import GPT2LMHeadModel

from . import __version__
from .dtypes import ONNX_TYPES

OPSET = 20
"""The first opset with the `Gelu` operator (LayerNormalization came with 17)."""

IR_VERSION = 9

MASKED = np.float32(np.finfo(np.float32).min)
"""Added to the scores of future keys, as PyTorch does: their weight underflows to exactly 0."""

GELU = {"gelu_new": "tanh", "gelu_pytorch_tanh": "tanh", "gelu": "none"}
"""`activation_function` of the config -> `approximate` of the ONNX operator."""


class GraphBuilder:
    """Collects nodes and initializers; every value is named by its place in the model."""

    def __init__(self, weights):
        self.nodes = []
        self.initializers = []
        self._weights = weights
        self._stored = set()

    def weight(self, name: str, values, dtype: torch.dtype = torch.float32) -> str:
        """Stores a weight (torch tensor or numpy array), once, and returns its name."""
        if name in self._stored:
            return name
        self._stored.add(name)
        kind = None
        if isinstance(values, torch.Tensor):
            values = values.detach().to(dtype).cpu()
            if dtype != torch.float32:
                # numpy has no bfloat16: its bytes are what is stored.
                kind, values = ONNX_TYPES[dtype], values.view(torch.int16)
            values = values.numpy()
        self.initializers.append(self._weights.add(name, values, kind))
        return name

    def ints(self, name: str, values) -> str:
        """Stores int64 constants (a list: one axis; a number: a scalar)."""
        return self.weight(name, np.array(values, dtype=np.int64))

    def node(self, op: str, inputs: list[str], output: str, **attributes) -> str:
        """Adds a node with one output, named like its output."""
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def several(self, op: str, inputs: list[str], outputs: list[str], **attributes) -> list[str]:
        """Adds a node with several outputs, named like the first."""
        self.nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0], **attributes))
        return outputs


def build_graph(model: GPT2LMHeadModel, weights) -> ModelProto:
    """The ONNX model of `model`; `weights` is the place its weights go (`weights.py`).

    Shapes are dynamic in `batch` and `seq`; `seq` up to the model's `n_positions`, above which
    ONNX Runtime stops with an out-of-bounds error on the position embedding.
    """
    config = model.config
    g = GraphBuilder(weights)
    add_shapes(g, config)
    add_causal_mask(g)
    add_model(g, model)
    inputs, outputs = ends_of_model(
        config.n_layer, config.n_head, config.n_embd, config.vocab_size, "seq"
    )
    return close_graph(g, "gpt2", inputs, outputs)


def build_head(model: GPT2LMHeadModel, weights) -> ModelProto:
    """The ONNX model of ln_f and the unembedding alone, for any number of rows.

    Given the `weights` that model.onnx was built with, it shares its own.
    """
    config, f32 = model.config, TensorProto.FLOAT
    g = GraphBuilder(weights)
    _unembed(g, model, "hidden")
    inputs = [helper.make_tensor_value_info("hidden", f32, ["rows", config.n_embd])]
    outputs = [helper.make_tensor_value_info("logits", f32, ["rows", config.vocab_size])]
    return close_graph(g, "gpt2_head", inputs, outputs)


def add_shapes(g: GraphBuilder, config, sized: str = "input_ids") -> None:
    """Constants, and shapes from the size of the input `sized` [batch, seq] alone; `seq` is the
    padded length."""
    heads, size = config.n_head, config.n_embd // config.n_head
    g.ints("zero", 0), g.ints("one", 1), g.ints("axis.0", [0]), g.ints("axis.1", [1])
    g.ints("shape.stream", [-1, config.n_embd])
    g.ints("shape.head_split.tail", [3, heads, size])
    g.ints("shape.hidden.tail", [config.n_embd])
    g.node("Shape", [sized], "ids.shape")
    g.node("Concat", ["ids.shape", "shape.head_split.tail"], "shape.head_split", axis=0)
    g.node("Concat", ["ids.shape", "shape.hidden.tail"], "shape.hidden", axis=0)
    g.node("Gather", ["ids.shape", "one"], "seq")


def add_causal_mask(g: GraphBuilder) -> None:
    """`positions` [seq] and the mask of a run of whole prompts."""
    g.node("Range", ["zero", "seq", "one"], "positions")
    g.node("Unsqueeze", ["positions", "axis.1"], "query_positions")
    g.node("Greater", ["positions", "query_positions"], "is_future")
    add_mask(g, "is_future")


def add_mask(g: GraphBuilder, hidden: str) -> None:
    """The mask over attention scores [.., queries, keys] that hides where `hidden` is true."""
    g.weight("masked", np.array(MASKED)), g.weight("visible", np.array(0, np.float32))
    g.node("Where", [hidden, "masked", "visible"], "causal_mask")


def add_model(g: GraphBuilder, model: GPT2LMHeadModel, past=None) -> None:
    """Everything from the ids to the outputs; `positions` and `causal_mask` are there already.

    `past` (`past.py`) names each block's keys and values and puts others before them.
    """
    stream = _embed(g, model)
    for layer in range(model.config.n_layer):
        stream = add_block(g, model, layer, stream, past)
    add_logits(g, model, f"hidden.{model.config.n_layer - 1}")


def add_block(g: GraphBuilder, model: GPT2LMHeadModel, layer: int, stream: str, past=None) -> str:
    """One block, [batch * seq, d_model] to the same; `hidden.{layer}` is that by row and token."""
    block = model.transformer.h[layer]
    stream = _attention(g, block, layer, stream, model.config, past)
    stream = _mlp(g, block, layer, stream, model.config)
    g.node("Reshape", [stream, "shape.hidden"], f"hidden.{layer}")
    return stream


def _embed(g: GraphBuilder, model: GPT2LMHeadModel) -> str:
    """Token plus position embedding, as the residual stream [batch * seq, d_model]."""
    g.weight("wte", model.transformer.wte.weight)
    g.weight("wpe", model.transformer.wpe.weight)
    g.node("Gather", ["wte", "input_ids"], "token_embedding")
    g.node("Gather", ["wpe", "positions"], "position_embedding")
    g.node("Add", ["token_embedding", "position_embedding"], "embedding")
    return g.node("Reshape", ["embedding", "shape.stream"], "stream.embedding")


def _attention(g: GraphBuilder, block, layer: int, stream: str, config, past) -> str:
    """The attention half of a block, with its residual add."""
    at = f"block.{layer}.attention"
    normed = _layer_norm(g, block.ln_1, stream, f"{at}.norm")
    qkv = _linear(g, block.attn.c_attn, normed, f"{at}.qkv")
    g.node("Reshape", [qkv, "shape.head_split"], f"{at}.heads")
    g.node("Transpose", [f"{at}.heads"], f"{at}.by_head", perm=[2, 0, 3, 1, 4])
    parts = [f"{at}.q_part", f"{at}.k_part", f"{at}.v_part"]
    g.nodes.append(
        helper.make_node("Split", [f"{at}.by_head"], parts, f"{at}.split", axis=0, num_outputs=3)
    )
    names = [f"{at}.q", *(past.present(layer) if past else (f"{at}.k", f"{at}.v"))]
    pairs = zip(parts, names, strict=True)
    q, k, v = (g.node("Squeeze", [part, "axis.0"], name) for part, name in pairs)
    if past:
        k, v = past.join(g, layer, k, v, at)
    g.node("Transpose", [k], f"{at}.k_transposed", perm=[0, 1, 3, 2])
    g.node("MatMul", [q, f"{at}.k_transposed"], f"{at}.products")
    g.weight(f"{at}.scale", np.array(attention_scale(config, layer), np.float32))
    g.node("Mul", [f"{at}.products", f"{at}.scale"], f"{at}.scores")
    g.node("Add", [f"{at}.scores", "causal_mask"], f"{at}.masked_scores")
    weights = g.node("Softmax", [f"{at}.masked_scores"], f"attention.{layer}", axis=-1)
    g.node("MatMul", [weights, v], f"{at}.mixed")
    g.node("Transpose", [f"{at}.mixed"], f"{at}.by_token", perm=[0, 2, 1, 3])
    g.node("Reshape", [f"{at}.by_token", "shape.stream"], f"{at}.joined")
    written = _linear(g, block.attn.c_proj, f"{at}.joined", f"{at}.projection")
    return g.node("Add", [stream, written], f"stream.{layer}.attention")


def _mlp(g: GraphBuilder, block, layer: int, stream: str, config) -> str:
    """The MLP half of a block, with its residual add."""
    at = f"block.{layer}.mlp"
    normed = _layer_norm(g, block.ln_2, stream, f"{at}.norm")
    inner = _linear(g, block.mlp.c_fc, normed, f"{at}.inner")
    approximate = GELU[config.activation_function]
    g.node("Gelu", [inner], f"{at}.gelu", approximate=approximate)
    written = _linear(g, block.mlp.c_proj, f"{at}.gelu", f"{at}.projection")
    return g.node("Add", [stream, written], f"stream.{layer}.mlp")


def add_logits(g: GraphBuilder, model: GPT2LMHeadModel, hidden: str) -> None:
    """ln_f and the vocabulary matmul of `hidden` [batch, seq, d_model], for each row's last real
    token alone."""
    g.node("ReduceSum", ["attention_mask", "axis.1"], "lengths", keepdims=1)
    g.node("Sub", ["lengths", "one"], "last_position")
    g.node("GatherND", [hidden, "last_position"], "last_token", batch_dims=1)
    _unembed(g, model, "last_token")


def _unembed(g: GraphBuilder, model: GPT2LMHeadModel, value: str) -> None:
    """ln_f and the vocabulary matmul: `value` [rows, d_model] to `logits` [rows, vocab]."""
    normed = _layer_norm(g, model.transformer.ln_f, value, "ln_f")
    head, embedding = model.lm_head.weight, model.transformer.wte.weight
    tied = head.data_ptr() == embedding.data_ptr() or torch.equal(head, embedding)
    unembedding = g.weight("wte" if tied else "lm_head", head)
    g.node("Gemm", [normed, unembedding], "logits", transB=1)


def _layer_norm(g: GraphBuilder, norm, value: str, name: str) -> str:
    scale = g.weight(f"{name}.scale", norm.weight)
    bias = g.weight(f"{name}.bias", norm.bias)
    return g.node("LayerNormalization", [value, scale, bias], name, axis=-1, epsilon=norm.eps)


def _linear(g: GraphBuilder, conv1d, value: str, name: str) -> str:
    """value @ weight + bias; GPT-2 keeps its weights as [in, out], the order Gemm wants."""
    weight = g.weight(f"{name}.weight", conv1d.weight)
    bias = g.weight(f"{name}.bias", conv1d.bias)
    return g.node("Gemm", [value, weight, bias], name)


def attention_scale(config, layer: int) -> float:
    """What attention scores of block `layer` are multiplied with."""
    scale = 1.0
    if config.scale_attn_weights:
        scale = 1.0 / math.sqrt(config.n_embd // config.n_head)
    if config.scale_attn_by_inverse_layer_idx:
        scale /= layer + 1
    return scale


def ends_of_model(
    n_layer: int, n_head: int, d_model: int, vocab_size: int, keys: str
) -> tuple[list, list]:
    """Declares the inputs and outputs that every graph of the whole model has; attention is over
    `keys`."""
    f32, ids = TensorProto.FLOAT, ["batch", "seq"]
    value, layers = helper.make_tensor_value_info, range(n_layer)
    inputs = [value(name, TensorProto.INT64, ids) for name in ("input_ids", "attention_mask")]
    outputs = [value("logits", f32, ["batch", vocab_size])]
    outputs += [value(f"hidden.{i}", f32, [*ids, d_model]) for i in layers]
    shape = ["batch", n_head, "seq", keys]
    outputs += [value(f"attention.{i}", f32, shape) for i in layers]
    return inputs, outputs


def close_graph(g: GraphBuilder, name: str, inputs: list, outputs: list) -> ModelProto:
    """The finished model."""
    graph = helper.make_graph(g.nodes, name, inputs, outputs, g.initializers)
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="aqlens_export",
        producer_version=__version__,
    )

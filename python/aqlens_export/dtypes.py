"""The types that weights are stored in, and that matrix products are computed in.

In float16 and bfloat16 only the weights and the matrix products are narrow: the residual stream,
norms, rotary positions, softmax and activations stay float32, as do all inputs and outputs. So the
graphs round less than PyTorch does in the same type, and need few kernels of it.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import nn

from .errors import ExportError
from .weights import DATA_FILE, Weights

TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
"""By the names that the command line and model.json have for them."""

NAMES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}

ONNX_TYPES = {
    torch.float32: TensorProto.FLOAT,
    torch.float16: TensorProto.FLOAT16,
    torch.bfloat16: TensorProto.BFLOAT16,
}


def round_weights(model: nn.Module, dtype: str) -> None:
    """Rounds every parameter to `dtype`; they stay float32. Raises ExportError for one that `dtype`
    cannot hold."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(parameter.to(TYPES[dtype]))
            if not parameter.isfinite().all():
                raise ExportError(
                    f"the weight {name} has numbers that {NAMES[dtype]} cannot hold: use --dtype "
                    "bf16, which has float32's range, or f32"
                )


@contextlib.contextmanager
def narrowed(model: nn.Module, dtype: str) -> Iterator[None]:
    """Within, the model's parameters are of `dtype`, and PyTorch computes in it.

    Buffers stay: rotary frequencies are float32 in models that are loaded so, too.
    """
    kept = [(parameter, parameter.data) for parameter in model.parameters()]
    try:
        for parameter, values in kept:
            parameter.data = values.to(TYPES[dtype])
        yield
    finally:
        for parameter, values in kept:
            parameter.data = values


def widen(folder: Path, out: Path, names, round_to: str | None = None) -> None:
    """Copies the graphs `names` to `out`, every float16 and bfloat16 in them as float32.

    Nodes, names and the numbers that weights have stay; what is computed of them is float32's. With
    `round_to`, a type of TYPES, values are rounded to it where the graphs have them in it, before
    matrix products and behind them: what a GPU computes, but for the order of its sums.
    """
    data = np.memmap(folder / DATA_FILE, np.uint8, mode="r")
    weights = Weights(out)
    try:
        for name in names:
            model = onnx.load(folder / name, load_external_data=False)
            for tensor in model.graph.initializer:
                if tensor.data_location == TensorProto.EXTERNAL:
                    tensor.CopyFrom(weights.add(tensor.name, _float32(tensor, data)))
            nodes = [wide for node in model.graph.node for wide in _wide(node, round_to)]
            del model.graph.node[:]
            model.graph.node.extend(nodes)
            (out / name).write_bytes(model.SerializeToString(deterministic=True))
    finally:
        weights.close()


def _wide(node, round_to: str | None) -> list:
    """The node in float32; casts of values that were narrow round them, where that is asked for."""
    if node.op_type != "Cast":
        return [node]
    (source,), (target,) = node.input, node.output
    if round_to is None:
        return [helper.make_node("Cast", [source], [target], node.name, to=TensorProto.FLOAT)]
    bits, kind = f"{target}.bits", ONNX_TYPES[TYPES[round_to]]
    return [
        helper.make_node("Cast", [source], [bits], bits, to=kind),
        helper.make_node("Cast", [bits], [target], node.name, to=TensorProto.FLOAT),
    ]


def _float32(tensor: TensorProto, data: np.ndarray) -> np.ndarray:
    """What `tensor` holds in the data file."""
    place = {entry.key: entry.value for entry in tensor.external_data}
    start = int(place["offset"])
    held = np.asarray(data[start : start + int(place["length"])])
    if tensor.data_type == TensorProto.BFLOAT16:
        # The upper half of a float32.
        values = (held.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    else:
        kind = np.float16 if tensor.data_type == TensorProto.FLOAT16 else np.float32
        values = held.view(kind).astype(np.float32)
    return values.reshape(tuple(tensor.dims))

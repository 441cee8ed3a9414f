"""Where a graph's weights go: into `model.onnx` itself, or into `model.onnx.data` beside it.

A protobuf file cannot pass 2 GiB, so gpt2-large and gpt2-xl need the second way. The data file is
written here, weight by weight, so that no second copy of a large model is held in memory.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

ALIGNMENT_BYTES = 4096
"""Every weight starts on a memory page, so that ONNX Runtime can map the file."""

INLINE_LIMIT_BYTES = 1_800_000_000
"""Weights above this go to the data file: protobuf's limit is 2 GiB, graph included."""


class InlineWeights:
    """Keeps every weight inside `model.onnx`."""

    def add(self, name: str, values: np.ndarray) -> TensorProto:
        """The initializer `name` holding `values` (float32 or int64, any shape)."""
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        data = np.ascontiguousarray(values).tobytes()
        return helper.make_tensor(name, kind, values.shape, data, raw=True)

    def close(self) -> None:
        """Nothing to finish: the bytes are in the graph."""


class DataFileWeights:
    """Appends float weights to one data file and leaves only their addresses in the graph.

    `path` is the data file; `model.onnx` must be written to the same folder, because ONNX looks
    the file up beside the graph. Integer constants (shapes, axes) stay in the graph: ONNX Runtime
    reads them while it loads.
    """

    def __init__(self, path: Path):
        self._inline = InlineWeights()
        self._location = path.name
        self._file = path.open("xb")

    def add(self, name: str, values: np.ndarray) -> TensorProto:
        """The initializer `name`; float32 `values` go to the data file, others stay inline."""
        if values.dtype != np.float32 or values.ndim == 0:
            return self._inline.add(name, values)
        self._file.write(b"\0" * (-self._file.tell() % ALIGNMENT_BYTES))
        offset = self._file.tell()
        length = self._file.write(np.ascontiguousarray(values).tobytes())
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=values.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self._location), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor

    def close(self) -> None:
        """Flushes the data file."""
        self._file.close()


def open_weights(folder: Path, weight_bytes: int, inline_limit: int = INLINE_LIMIT_BYTES):
    """The place for `weight_bytes` bytes of weights of a graph written to `folder`."""
    if weight_bytes > inline_limit:
        return DataFileWeights(folder / "model.onnx.data")
    return InlineWeights()

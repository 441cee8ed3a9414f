"""Where the weights go: into the graphs themselves, or into `model.onnx.data` beside them.

A protobuf file cannot pass 2 GiB, so gpt2-large and gpt2-xl need the second way. The data file is
written here, weight by weight, so that no second copy of a large model is held in memory. Both
graphs of a model then read the unembedding from there. Without a data file each graph has its own
copy: inside the other graph's file it lies at no aligned address.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

ALIGNMENT_BYTES = 4096
"""Every weight starts on a memory page, so that ONNX Runtime can map the file."""

INLINE_LIMIT_BYTES = 1_800_000_000
"""Weights above this go to the data file: protobuf's limit is 2 GiB, graph included."""


class InlineWeights:
    """Keeps every weight inside the graph that it is added for."""

    def add(self, name: str, values: np.ndarray) -> TensorProto:
        """The initializer `name` holding `values` (float32 or int64, any shape)."""
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        data = np.ascontiguousarray(values).tobytes()
        return helper.make_tensor(name, kind, values.shape, data, raw=True)

    def close(self) -> None:
        """Nothing to finish: the bytes are in the graph."""


class DataFileWeights:
    """Appends float weights to one data file and leaves only their addresses in the graphs.

    `path` is the data file; the graphs must be written to the same folder, because ONNX looks
    the file up beside the graph. A name that a second graph adds is the first graph's weight: its
    bytes are not written again. Integer constants (shapes, axes) stay in the graph: ONNX Runtime
    reads them while it loads.
    """

    def __init__(self, path: Path):
        self._inline = InlineWeights()
        self._location = path.name
        self._file = path.open("xb")
        self._stored: dict[str, TensorProto] = {}

    def add(self, name: str, values: np.ndarray) -> TensorProto:
        """The initializer `name`; float32 `values` go to the data file, others stay inline."""
        if values.dtype != np.float32 or values.ndim == 0:
            return self._inline.add(name, values)
        if name in self._stored:
            return self._stored[name]
        self._file.write(b"\0" * (-self._file.tell() % ALIGNMENT_BYTES))
        offset = self._file.tell()
        length = self._file.write(np.ascontiguousarray(values).tobytes())
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=values.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self._location), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        self._stored[name] = tensor
        return tensor

    def close(self) -> None:
        """Flushes the data file."""
        self._file.close()


def open_weights(folder: Path, weight_bytes: int, inline_limit: int = INLINE_LIMIT_BYTES):
    """The place for `weight_bytes` bytes of weights of the graphs written to `folder`."""
    if weight_bytes > inline_limit:
        return DataFileWeights(folder / "model.onnx.data")
    return InlineWeights()

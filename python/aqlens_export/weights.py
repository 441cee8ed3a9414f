"""Where the weights go: into `model.onnx.data`, beside the graphs, which all read them from there.

So a weight that several graphs need is stored once, and no graph meets the 2 GiB that a protobuf
file can hold at most. The data file is written weight by weight: no second copy of a large model is
held in memory.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

DATA_FILE = "model.onnx.data"

PAGE_BYTES = 4096
"""Large weights start on a memory page, which ONNX asks for where a file is to be mapped."""

LARGE_BYTES = 1 << 16
"""From so many bytes on a weight is large. Padding to pages would double a file of small ones,
which are mapped all the same: ONNX Runtime maps the page that they start on."""

SMALL_ALIGNMENT_BYTES = 64
"""Other weights start on a cache line."""


class Weights:
    """Appends float weights to a data file and leaves only their addresses in the graphs.

    `folder` is where the graphs must be written to, because ONNX looks the file up beside the
    graph. A name that a second graph adds is the first graph's weight: its bytes are not written
    again. Integer constants (shapes, axes) and scalars stay in the graph: ONNX Runtime reads them
    while it loads.
    """

    def __init__(self, folder: Path):
        self._file = (folder / DATA_FILE).open("xb")
        self._stored: dict[str, TensorProto] = {}

    def add(self, name: str, values: np.ndarray, kind: int | None = None) -> TensorProto:
        """The initializer `name` with `values` (float32 or int64, any shape); with `kind`, ONNX's
        number of a type that numpy lacks, the bytes of `values` are of that type."""
        if (kind is None and values.dtype != np.float32) or values.ndim == 0:
            kind = helper.np_dtype_to_tensor_dtype(values.dtype)
            data = np.ascontiguousarray(values).tobytes()
            return helper.make_tensor(name, kind, values.shape, data, raw=True)
        if name in self._stored:
            return self._stored[name]
        alignment = PAGE_BYTES if values.nbytes >= LARGE_BYTES else SMALL_ALIGNMENT_BYTES
        self._file.write(b"\0" * (-self._file.tell() % alignment))
        offset = self._file.tell()
        length = self._file.write(np.ascontiguousarray(values).tobytes())
        tensor = TensorProto(name=name, data_type=kind or TensorProto.FLOAT, dims=values.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", DATA_FILE), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        self._stored[name] = tensor
        return tensor

    def close(self) -> None:
        """Flushes the data file."""
        self._file.close()

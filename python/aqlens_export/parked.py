"""A model's weights in a file that is mapped: their memory can be given back for a while."""

import contextlib
import ctypes
import mmap
from pathlib import Path

import numpy as np
import torch
from torch import nn

ALIGNMENT_BYTES = 64


class Parked:
    """Moves the parameters of `model`, float32, to a file in `folder`.

    The model computes as before; nobody may write to its weights.
    """

    def __init__(self, model: nn.Module, folder: Path):
        places = []
        path = folder / "weights.parked"
        with path.open("xb") as file:
            for parameter in model.parameters():
                file.write(b"\0" * (-file.tell() % ALIGNMENT_BYTES))
                places.append((parameter, file.tell(), tuple(parameter.shape)))
                file.write(np.ascontiguousarray(parameter.detach().numpy()).data)
        with path.open("rb") as file:
            self._map = mmap.mmap(
                file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE
            )
        for parameter, start, shape in places:
            count = parameter.numel()
            held = torch.frombuffer(self._map, dtype=torch.float32, count=count, offset=start)
            parameter.data = held.view(shape)
        _give_back()

    def rest(self) -> None:
        """Gives the memory back; the system reads the file again when the model runs next."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
        _give_back()


def _give_back() -> None:
    """glibc keeps what was freed of weights, ONNX Runtime's too, that it had not mapped."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)

"""Writes the four graphs of a model into a folder, and checks what lies there."""

import tempfile
from functools import partial
from pathlib import Path

from .build import build_head, build_model, build_past, build_patch
from .check import check_export, check_head
from .check_past import check_past
from .check_patch import check_patch
from .check_positions import check_positions
from .dtypes import TYPES, widen
from .spec import Spec
from .subject import Differences, Subject
from .weights import Weights

GRAPHS = ("model.onnx", "head.onnx", "past.onnx", "patch.onnx")


def write_with(folder: Path, builders, source) -> None:
    """Writes what `builders`, one per graph, make of `source`; weights to model.onnx.data."""
    weights = Weights(folder)
    try:
        for name, build in zip(GRAPHS, builders, strict=True):
            graph = build(source, weights)
            (folder / name).write_bytes(graph.SerializeToString(deterministic=True))
    finally:
        weights.close()


def write_spec(folder: Path, spec: Spec, dtype: str = "f32") -> None:
    """Writes the graphs of a model that is not a GPT-2 in float32."""
    builders = (build_model, build_head, build_past, build_patch)
    write_with(folder, [partial(build, dtype=TYPES[dtype]) for build in builders], spec)


def check_graphs(
    folder: Path, subject: Subject, threads: int = 1, dtype: str = "f32"
) -> Differences:
    """Holds all graphs in `folder` against PyTorch; raises ExportError where they differ.

    Graphs of another `dtype` are held in float32: the same nodes, with the numbers that their
    weights were rounded to. So a mistake shows as it does in graphs of float32.
    """
    if dtype != "f32":
        with tempfile.TemporaryDirectory(dir=folder) as wide:
            widen(folder, Path(wide), GRAPHS)
            return check_graphs(Path(wide), subject, threads)
    found = check_export(folder / "model.onnx", subject, threads)
    subject.rest()
    check_head(folder / "head.onnx", subject, found, threads)
    subject.rest()
    check_past(folder / "past.onnx", subject, found, threads)
    subject.rest()
    check_positions(folder / "past.onnx", subject, found, threads)
    subject.rest()
    check_patch(folder / "patch.onnx", subject, found, threads)
    subject.rest()
    return found

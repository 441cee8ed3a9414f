"""Writes the three graphs of a model into a folder, and checks what lies there."""

from pathlib import Path

from .build import build_head, build_model, build_past
from .check import check_export, check_head
from .check_past import check_past
from .spec import Spec
from .subject import Differences, Subject
from .weights import Weights

GRAPHS = ("model.onnx", "head.onnx", "past.onnx")


def write_with(folder: Path, builders, source) -> None:
    """Writes what `builders`, one per graph, make of `source`; weights to model.onnx.data."""
    weights = Weights(folder)
    try:
        for name, build in zip(GRAPHS, builders, strict=True):
            graph = build(source, weights)
            (folder / name).write_bytes(graph.SerializeToString(deterministic=True))
    finally:
        weights.close()


def write_spec(folder: Path, spec: Spec) -> None:
    """Writes the graphs of a model that is not a GPT-2."""
    write_with(folder, (build_model, build_head, build_past), spec)


def check_graphs(folder: Path, subject: Subject, threads: int = 1) -> Differences:
    """Holds all graphs in `folder` against PyTorch; raises ExportError where they differ."""
    found = check_export(folder / "model.onnx", subject, threads)
    check_head(folder / "head.onnx", subject, found, threads)
    check_past(folder / "past.onnx", subject, found, threads)
    return found

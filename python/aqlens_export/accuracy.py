"""What float16 or bfloat16 costs: how far PyTorch and the graphs are from the exact numbers in it.

The exact numbers are float64's, with the weights as they were before they were rounded. PyTorch in
the same type, on a CPU, is the measure for the graphs, as in `precise.py`. ONNX Runtime has no
bfloat16 on a CPU, and computes in float32 there what should be float16: so it is given the graphs
with casts that round to the type and back (`dtypes.widen`).
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime import GraphOptimizationLevel

from .calm import Calm, Moved
from .check import open_session, pad_batch
from .dtypes import NAMES, narrowed, widen
from .eager import EagerRun, run_alone, run_head
from .errors import ExportError
from .graphs import GRAPHS
from .precise import FLOOR, TIMES, compare_heads, compare_runs, in_float64, round_up, unbounded
from .subject import ATTENTION_TOLERANCE, RELATIVE_TOLERANCE, Differences, Subject, differs

PLAIN = GraphOptimizationLevel.ORT_DISABLE_ALL

MEASURED = ("hidden", "attention", "logits")

LARGEST_TOLERANCE = 0.09
"""What a probe's tolerance is at most: aqlens takes less than 0.1."""

HEAD_POSITIONS = 2
"""Last positions of a prompt whose scores are measured, in every block."""


@dataclass
class Accuracy:
    """Largest distances, vectors in units of their L2 norm, attention absolute."""

    dtype: str
    prompts: int
    pytorch: Differences
    """PyTorch in `dtype`, from the exact numbers."""
    graph: Differences
    """The graphs in `dtype`, from the exact numbers."""
    arithmetic: Differences
    """The graphs in `dtype`, from PyTorch in float32 with the same rounded weights: the probe's."""
    moved: list[Moved]
    """By prompt: those of the probe, then the texts."""

    def calm(self) -> Calm:
        """What a reader may allow the probe, and the places that it has."""
        largest = self.arithmetic.largest
        scores = max(largest[kind] for kind in ("logits", "head"))
        if TIMES * scores > LARGEST_TOLERANCE:
            raise ExportError(
                f"in {NAMES[self.dtype]} this model's scores are off by {scores:.2g}: a wrong "
                "graph could not be told from a right one; export it with --dtype f32"
            )
        relative = max(RELATIVE_TOLERANCE, TIMES * max(scores, largest["hidden"]))
        attention = max(ATTENTION_TOLERANCE, TIMES * largest["attention"])
        allowed = [round_up(min(of, LARGEST_TOLERANCE)) for of in (relative, attention)]
        return Calm(self.moved, *allowed)

    def described(self) -> dict:
        """For model.json."""

        def two_digits(found: Differences) -> dict:
            return {kind: float(f"{found.largest[kind]:.1e}") for kind in MEASURED}

        return {
            "prompts": self.prompts,
            "pytorch": two_digits(self.pytorch),
            "graph": two_digits(self.graph),
        }


@torch.no_grad()
def exact_runs(subject: Subject, prompts: list[list[int]]) -> list[EagerRun]:
    """The exact numbers; to be made before the weights are rounded."""
    with in_float64(subject.model):
        return [run_alone(subject.model, ids).without_keys() for ids in prompts]


@torch.no_grad()
def measure(
    folder: Path, subject: Subject, prompts: list[list[int]], exact: list[EagerRun], dtype: str
) -> Accuracy:
    """Measures the graphs in `folder`; raises ExportError when they are further off than they may
    be, or when the model's numbers do not fit into `dtype`."""
    model = subject.model
    plain = [run_alone(model, ids).without_keys() for ids in prompts]
    scores = [_heads(model, run) for run in plain]
    found = Accuracy(dtype, len(prompts), unbounded(), unbounded(), unbounded(), [])
    narrow = _narrow_runs(model, prompts, dtype)
    for ids, run, true in zip(prompts, narrow, exact, strict=True):
        _refuse_overflow(run, dtype)
        compare_runs(found.pytorch, run, true, f"prompt of {len(ids)} tokens")
    for name in GRAPHS:
        onnx.checker.check_model(str(folder / name), full_check=True)
    with tempfile.TemporaryDirectory(dir=folder) as wide:
        widen(folder, Path(wide), GRAPHS, round_to=dtype)
        runs = _graph_runs(Path(wide), subject, prompts)
        for ids, run, own, true in zip(prompts, runs, plain, exact, strict=True):
            compare_runs(found.arithmetic, run, own, f"prompt of {len(ids)} tokens")
            compare_runs(found.graph, run, true, f"prompt of {len(ids)} tokens")
        pairs = zip(plain, narrow, runs, strict=True)
        found.moved = [Moved.of(own, [torches, run]) for own, torches, run in pairs]
        for run, own in zip(plain, scores, strict=True):
            compare_heads(found.arithmetic, _graph_heads(Path(wide), run), own)
    _settle(found)
    return found


def _narrow_runs(model, prompts: list[list[int]], dtype: str) -> list[EagerRun]:
    """PyTorch's in `dtype`."""
    try:
        with narrowed(model, dtype):
            return [run_alone(model, ids).without_keys().rounded() for ids in prompts]
    except RuntimeError as error:
        said = str(error).strip().split("\n")[0]
        raise ExportError(
            f"PyTorch cannot run this model in {NAMES[dtype]}, so there is nothing to measure the "
            f"graphs with: {said}; export it with --dtype f32"
        ) from error


def _settle(found: Accuracy) -> None:
    """A graph may be as far off as in `precise.py`: twice what PyTorch is."""
    for kind in MEASURED:
        value, allowed = found.graph.largest[kind], TIMES * found.pytorch.largest[kind] + FLOOR
        if not value <= allowed:
            where = f"in {NAMES[found.dtype]}, {found.graph.places[kind]}"
            raise ExportError(differs(where, value, kind == "attention", allowed))


def _graph_runs(folder: Path, subject: Subject, prompts: list[list[int]]) -> list[EagerRun]:
    """What model.onnx makes of each prompt, no cast taken for superfluous."""
    session = open_session(folder / "model.onnx", level=PLAIN)
    layers = range(subject.shape.n_layer)
    names = ["logits", *(f"hidden.{i}" for i in layers), *(f"attention.{i}" for i in layers)]
    runs = []
    for ids in prompts:
        outputs = session.run(names, pad_batch([ids], lambda: 0))
        if not all(np.isfinite(values).all() for values in outputs):
            raise ExportError("model.onnx gives NaN or infinity: use --dtype bf16 or f32")
        logits, *rest = (torch.from_numpy(values[0]) for values in outputs)
        hidden, attention = rest[: len(layers)], rest[len(layers) :]
        runs.append(EagerRun(hidden, dict(enumerate(attention)), logits, [], []))
    return runs


def _graph_heads(folder: Path, run: EagerRun) -> list[torch.Tensor]:
    """What head.onnx makes of the last positions of every block."""
    session = open_session(folder / "head.onnx", level=PLAIN)
    given = [states[-HEAD_POSITIONS:].numpy() for states in run.hidden]
    return [torch.from_numpy(session.run(["logits"], {"hidden": x})[0]) for x in given]


def _heads(model, run: EagerRun) -> list[torch.Tensor]:
    """Scores of the last positions of every block."""
    return [run_head(model, states[-HEAD_POSITIONS:]) for states in run.hidden]


def _refuse_overflow(run: EagerRun, dtype: str) -> None:
    for layer, states in enumerate(run.hidden):
        if not states.isfinite().all():
            raise ExportError(
                f"PyTorch itself gives NaN or infinity in layer {layer} in {NAMES[dtype]}, whose "
                "largest number is 65,504: use --dtype bf16, which has float32's range"
            )

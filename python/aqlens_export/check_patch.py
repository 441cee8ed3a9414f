"""Compares patch.onnx, as ONNX Runtime runs it, with PyTorch.

The graph gets what PyTorch's blocks gave of a few prompts, every block's in turn, rows of several
layers and lengths in one batch: each row must give the logits that PyTorch has for its prompt. Then
streams that no prompt gives, the beginning of one and the rest of another: PyTorch has them from
hooks that replace a block's output.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .check import open_session, relative_difference
from .errors import ExportError
from .subject import Differences, Subject

LENGTHS = (11, 1, 29, 5)
"""Tokens of the prompts; unsorted, so that padding is in the middle."""

BEGINNING = 5
"""Tokens of a mixed stream that are the first prompt's."""

ROWS = 16
"""Rows of a batch, at most: wide streams and scores of a large vocabulary are large."""

PADDING_SIZE = np.float32(100)
"""Padding holds noise of this size: a weight on it that is not 0 would show."""


@dataclass
class Given:
    """One row."""

    layer: int
    stream: torch.Tensor
    """[T, d_model], float32: in place of what block `layer` gives."""
    logits: torch.Tensor
    """[vocab]: what PyTorch makes of it."""
    what: str


def check_patch(path: Path, subject: Subject, found: Differences, threads: int = 0) -> None:
    """Holds the graph at `path` against PyTorch; raises ExportError at the first failure."""
    rng = random.Random("aqlens patch check")
    # All of PyTorch first: its weights and ONNX Runtime's are not in memory together.
    rows = _rows(subject, rng)
    subject.rest()
    session = open_session(path, threads)
    noise = np.random.default_rng(0)
    for start in range(0, len(rows), ROWS):
        _check_batch(session, rows[start : start + ROWS], noise, found)


def _rows(subject: Subject, rng: random.Random) -> list[Given]:
    """Every prompt at every layer, and mixed streams at the first and a middle one; shuffled."""
    shape = subject.shape
    lengths = [min(length, shape.n_positions) for length in LENGTHS]
    prompts = [[rng.randrange(shape.vocab_size) for _ in range(n)] for n in lengths]
    prompts += [ids[: max(LENGTHS)] for ids in subject.texts[:1]]
    runs = [run.without_keys() for run in subject.runs(prompts, [])]
    rows = [
        Given(layer, stream, run.logits, f"a prompt's stream of {len(stream)} tokens")
        for run in runs
        for layer, stream in enumerate(run.hidden)
    ]
    for layer in sorted({0, shape.n_layer // 2}):
        # The prompts' lengths differ, so that tokens of the second stand elsewhere than they did.
        first, second = runs[2].hidden[layer], runs[0].hidden[layer]
        mixed = torch.cat([first[:BEGINNING], second[1:]])[: shape.n_positions]
        what = f"a mixed stream of {len(mixed)} tokens"
        rows.append(Given(layer, mixed, subject.patched(layer, mixed), what))
    rng.shuffle(rows)
    return rows


def _check_batch(session, rows: list[Given], noise, found: Differences) -> None:
    """One batch: every row's logits."""
    seq = max(len(row.stream) for row in rows)
    size = (len(rows), seq, rows[0].stream.shape[1])
    stream = PADDING_SIZE * noise.standard_normal(size, np.float32)
    mask = np.zeros((len(rows), seq), np.int64)
    for i, row in enumerate(rows):
        stream[i, : len(row.stream)] = row.stream.numpy()
        mask[i, : len(row.stream)] = 1
    given = {"stream": stream, "attention_mask": mask}
    given["layer"] = np.array([row.layer for row in rows], np.int64)
    (logits,) = session.run(["logits"], given)
    for row, values in zip(rows, logits, strict=True):
        where = f"logits of patch.onnx, {row.what} at layer {row.layer}"
        if not np.isfinite(values).all():
            raise ExportError(f"{where}: they hold NaN or infinity")
        found.note("patch", relative_difference(values, row.logits.numpy()), where)
    found.prompts += len(rows)

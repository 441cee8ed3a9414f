"""Compares the exported graphs, as ONNX Runtime runs them, with PyTorch.

model.onnx gets ragged right-padded batches; PyTorch gets the same prompts one at a time, unpadded
(`eager.py`). So one comparison covers the arithmetic, the padding and the batching. head.onnx gets
what PyTorch's blocks gave. past.onnx is checked in `check_past.py`.
"""

import random
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch

from .eager import EagerRun
from .errors import ExportError
from .subject import Differences, Subject

LONGEST_RAGGED = 48
"""Tokens; the ragged batches stay short, the long batch goes to n_positions."""


def open_session(path: Path, threads: int = 0, level=None) -> ort.InferenceSession:
    """ONNX Runtime on the CPU; `threads` 0 takes all cores, `level` None optimises fully.

    Memory goes back once it is free. Weights are brought into another order, as aqlens has it: that
    decides how sums are rounded.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False
    # Threads that wait by spinning take time from PyTorch's.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if level is not None:
        options.graph_optimization_level = level
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def pad_batch(prompts: list[list[int]], pad_ids) -> dict[str, np.ndarray]:
    """The graph's inputs for right-padded `prompts`; `pad_ids()` gives one padding id."""
    seq = max(len(prompt) for prompt in prompts)
    rows = [prompt + [pad_ids() for _ in range(seq - len(prompt))] for prompt in prompts]
    mask = [[1] * len(prompt) + [0] * (seq - len(prompt)) for prompt in prompts]
    return {"input_ids": np.array(rows, np.int64), "attention_mask": np.array(mask, np.int64)}


def check_export(path: Path, subject: Subject, threads: int = 0) -> Differences:
    """Runs every comparison on the graph at `path`; raises ExportError at the first failure."""
    shape, found = subject.shape, subject.differences()
    rng = random.Random("aqlens export check")

    def draw_id():
        return rng.randrange(shape.vocab_size)

    def draw(lengths):
        return [[draw_id() for _ in range(length)] for length in lengths]

    lengths = sorted({min(n, shape.n_positions) for n in (1, 2, 3, 7, 20, LONGEST_RAGGED)})
    every, some = list(range(shape.n_layer)), subject.some_layers
    same_id, other_id = (lambda: 0), (lambda: shape.vocab_size - 1)
    # At full length the attention of all layers would not fit into memory for a large model.
    batches = [
        (draw(lengths[::-1] + lengths[:2]), every, (same_id, other_id, draw_id)),
        (subject.texts, every, (same_id, other_id, draw_id)),
        (draw([1]), every, (draw_id,)),
        (draw([subject.longest // 2 + 1, subject.longest]), some, (draw_id,)),
    ]
    batches = [batch for batch in batches if batch[0]]
    # All of PyTorch first: its weights and ONNX Runtime's are not in memory together.
    expected = [
        [run.without_keys() for run in subject.runs(prompts, layers)]
        for prompts, layers, _ in batches
    ]
    subject.rest()
    session = open_session(path, threads)
    for (prompts, layers, paddings), references in zip(batches, expected, strict=True):
        for pad_ids in paddings:
            _compare(session, prompts, references, pad_ids, layers, shape.windows, found)
    return found


def check_head(path: Path, subject: Subject, found: Differences, threads: int = 0) -> None:
    """Holds the head graph at `path` against PyTorch, on every block's output at every position.

    The last block's last position must give the model's own logits: a second final norm, or none,
    shows.
    """
    shape = subject.shape
    rng = random.Random("aqlens head check")
    lengths = sorted({1, min(subject.head_tokens, shape.n_positions)})
    prompts = [[rng.randrange(shape.vocab_size) for _ in range(length)] for length in lengths]
    runs = subject.runs(prompts, [])
    scores = [subject.heads(run.hidden) for run in runs]
    subject.rest()
    session = open_session(path, threads)
    for length, run, heads in zip(lengths, runs, scores, strict=True):
        for layer, expected in enumerate(heads):
            hidden = run.hidden[layer].float().numpy()
            (logits,) = session.run(["logits"], {"hidden": hidden})
            if not np.isfinite(logits).all():
                raise ExportError(f"head.onnx gives NaN or infinity on hidden.{layer}")
            if layer == shape.n_layer - 1:
                expected = torch.cat([expected[:-1], run.logits[None]])
            where = f"head.onnx on hidden.{layer}, prompt of {length} tokens"
            found.note("head", relative_difference(logits, expected.numpy()), where)


def _compare(session, prompts, references, pad_ids, attention_layers, windows, found) -> None:
    """One batch: every output of every row against that row's reference."""
    layers = range(len(references[0].hidden))
    names = ["logits", *(f"hidden.{i}" for i in layers)]
    names += [f"attention.{i}" for i in attention_layers]
    outputs = session.run(names, pad_batch(prompts, pad_ids))
    for name, values in zip(names, outputs, strict=True):
        if not np.isfinite(values).all():
            raise ExportError(f"{name} of the exported graph holds NaN or infinity")
        for row, reference in enumerate(references):
            where = f"{name}, prompt of {len(prompts[row])} tokens"
            _compare_row(name, values[row], len(prompts[row]), reference, windows, where, found)
    found.prompts += len(prompts)


def _compare_row(name, values, length: int, reference: EagerRun, windows, where, found) -> None:
    kind, _, layer = name.partition(".")
    if kind == "attention":
        expected = reference.attention[int(layer)].numpy()
        actual = values[:, :length, :]
        keys, queries = np.arange(values.shape[-1]), np.arange(length)
        if actual[:, keys[None, :] > queries[:, None]].any():
            raise ExportError(f"{where}: attention to a later token or to padding is not 0")
        window = windows[int(layer)] or len(keys)
        if actual[:, queries[:, None] - keys[None, :] >= window].any():
            raise ExportError(f"{where}: attention beyond the window of {window} tokens is not 0")
        found.note(kind, np.abs(actual[:, :, :length] - expected).max(), where)
        return
    expected = reference.logits if kind == "logits" else reference.hidden[int(layer)]
    actual = values if kind == "logits" else values[:length]
    found.note_vectors(kind, relative_differences(actual, expected.numpy()), where)


def relative_difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest |actual - expected| over the last axis's L2 norm of `expected`."""
    return float(relative_differences(actual, expected).max())


def relative_differences(actual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The same of every vector along the last axis, one after another."""
    norm = np.linalg.norm(expected.astype(np.float64), axis=-1)
    largest = np.abs(actual.astype(np.float64) - expected).max(axis=-1)
    return np.ravel(largest / np.maximum(norm, np.finfo(np.float32).tiny))

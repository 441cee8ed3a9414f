"""The demo model in pieces, in numpy over onnxruntime: what it says after tokens that follow any keys and values
(past.onnx), or after any residual stream (patch.onnx)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

DEMO = Path(__file__).resolve().parents[2] / "data/demo"
BLOCKS, HEADS, WIDTH = 12, 4, 16


def session(name):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(DEMO / name), options, providers=["CPUExecutionProvider"])


@dataclass
class Said:
    """After one row: scores `[vocab]`, keys and values `[2, block, head, token, width]` of its own tokens."""

    logits: np.ndarray
    reading: np.ndarray


@dataclass
class Row:
    """Tokens that follow a reading; the first stands at position `first` (else where the reading ends)."""

    tokens: list
    past: np.ndarray | None = None
    first: int | None = None

    def length(self):
        return 0 if self.past is None else self.past.shape[3]


class Past:
    """past.onnx, each row with a past of its own."""

    def __init__(self):
        self.session = session("past.onnx")
        sides = [f"{name}.{block}" for block in range(BLOCKS) for name in ("present_key", "present_value")]
        self.outputs = ["logits", *sides]

    def run(self, rows, at_once=64):
        said = []
        for start in range(0, len(rows), at_once):
            said += self.batch(rows[start : start + at_once])
        return said

    def batch(self, rows):
        n, longest = len(rows), max(row.length() for row in rows)
        width = max(len(row.tokens) for row in rows)
        ids, mask = np.zeros((2, n, width), np.int64)
        past = np.zeros((2, BLOCKS, n, HEADS, longest, WIDTH), np.float32)
        for i, row in enumerate(rows):
            ids[i, : len(row.tokens)], mask[i, : len(row.tokens)] = row.tokens, 1
            if row.length():
                past[:, :, i, :, : row.length()] = row.past
        lengths = np.array([row.length() for row in rows], np.int64)
        firsts = [row.length() if row.first is None else row.first for row in rows]
        given = {"input_ids": ids, "attention_mask": mask, "past_of": np.arange(n), "past_length": lengths}
        given["first_position"] = np.array(firsts, np.int64)
        for block in range(BLOCKS):
            given[f"past_key.{block}"], given[f"past_value.{block}"] = past[:, block]
        logits, *sides = self.session.run(self.outputs, given)
        presents = np.array(sides).reshape(BLOCKS, 2, n, HEADS, width, WIDTH).swapaxes(0, 1)
        return [Said(logits[i], presents[:, :, i, :, : len(row.tokens)]) for i, row in enumerate(rows)]


class Streams:
    """model.onnx for residual streams, patch.onnx to go on from one."""

    def __init__(self):
        self.model, self.patch = session("model.onnx"), session("patch.onnx")

    def read(self, tokens):
        """Scores, and the stream after every block: `[block, token, width]`."""
        ids = np.array([tokens], np.int64)
        outputs = ["logits", *(f"hidden.{block}" for block in range(BLOCKS))]
        logits, *hidden = self.model.run(outputs, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        return logits[0], np.array(hidden)[:, 0]

    def go_on(self, layer, stream):
        given = {"stream": stream[None].astype(np.float32), "layer": np.array([layer], np.int64)}
        given["attention_mask"] = np.ones((1, len(stream)), np.int64)
        return self.patch.run(["logits"], given)[0][0]


def log_softmax(logits):
    x = np.asarray(logits, np.float64)
    x = x - x.max()
    return x - np.log(np.exp(x).sum())


def kl(p, q):
    """Nats, of two vectors of scores."""
    p, q = log_softmax(p), log_softmax(q)
    return float((np.exp(p) * (p - q)).sum())


def jsd(p, q):
    """Bits, of two vectors of scores."""
    p, q = np.exp(log_softmax(p)), np.exp(log_softmax(q))
    m = (p + q) / 2
    part = lambda of: (of[of > 0] * np.log2(of[of > 0] / m[of > 0])).sum()  # noqa: E731
    return float((part(p) + part(q)) / 2)


def gain_loss(a, b, h):
    """gain, its total, loss, its total, divergence and its total: of h between the donor's and the receiver's."""
    return np.array([kl(a, b) - kl(a, h), kl(a, b), kl(b, h), kl(b, a), jsd(b, h), jsd(a, b)])

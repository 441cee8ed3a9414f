"""Compares past.onnx, as ONNX Runtime runs it, with PyTorch on whole prompts, one at a time.

PyTorch never sees a prefix: it runs each prompt from its first token on. The prefixes are run
through past.onnx itself, as aqlens runs them, so a batch of prefixes is a check too, with `past` 0.
Here each row goes on where its prefix ended; rows that stand elsewhere are in `check_positions.py`.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .check import LONGEST_RAGGED, open_session, pad_batch, relative_differences
from .eager import EagerRun
from .errors import ExportError
from .past import past_names, present_names
from .spec import Shape
from .subject import Differences, Subject

PREFIXES = (20, 1, 7)
"""Tokens of the prefixes in the ragged batch; unsorted, so that padding is in the middle."""

ROWS = (
    *((0, 20, 5), (1, 1, 1), (2, 7, 30), (1, 0, 9), (2, 7, 1)),
    *((0, 20, 1), (0, 13, 3), (1, 1, LONGEST_RAGGED - 1), (2, 0, 1)),
)
"""Rows of the ragged batch: prefix, how many of its tokens, tokens of the rest."""

PADDING_SIZE = np.float32(100)
"""Padding of prefixes holds noise of this size: a weight on it that is not 0 would show."""


@dataclass
class Row:
    """One row of a batch: `rest` after the first `known` tokens of prefix `of`."""

    of: int
    known: int
    rest: list[int]
    expected: EagerRun | None
    """Of the whole prompt; None: the row is run and not compared."""
    left_out: int = 0
    """Tokens of the prompt before the known ones, which the row does not see."""
    moved: int = 0
    """The position of the prompt's first token."""

    @property
    def kind(self) -> str:
        """What its differences are recorded as."""
        return "elsewhere" if self.left_out or self.moved else "past"

    @property
    def start(self) -> int:
        """Tokens of the prompt before the rest."""
        return self.left_out + self.known


def check_past(path: Path, subject: Subject, found: Differences, threads: int = 0) -> None:
    """Holds the graph at `path` against PyTorch; raises ExportError at the first failure."""
    shape = subject.shape
    rng = random.Random("aqlens past check")
    # At full length the attention of all layers would not fit into memory for a large model. The
    # first row's padding, counted on from its prefix, would lie beyond the last position.
    half, most = subject.longest // 2, subject.longest
    places = [(0, most - 1, 1), (0, half, most - half), (0, 0, half + 1)]
    # All of PyTorch first: its weights and ONNX Runtime's are not in memory together.
    batches = [
        _expected(subject, rng, PREFIXES, ROWS, range(shape.n_layer)),
        _expected(subject, rng, [max(1, most - 1)], places, subject.some_layers),
    ]
    subject.rest()
    session = open_session(path, threads)
    for batch in batches:
        nothing = no_past(shape)
        outputs = run_rows(session, shape, batch.prefixes, nothing, batch.layers, found)
        past = as_past(outputs, [slice(len(row.rest)) for row in batch.prefixes])
        if batch.rows:
            run_rows(session, shape, batch.rows, past, batch.layers, found)


@dataclass
class Batch:
    """Prefixes, rows after them, and what PyTorch makes of both."""

    prefixes: list[Row]
    rows: list[Row]
    layers: list[int]
    """Layers whose attention is compared."""


def _expected(subject: Subject, rng: random.Random, lengths, places, layers) -> Batch:
    """Prefixes of `lengths`, then the rows at `places` after them, as far as they fit."""
    shape = subject.shape

    def draw(lengths):
        return [[rng.randrange(shape.vocab_size) for _ in range(n)] for n in lengths]

    prefixes = draw(min(length, shape.n_positions) for length in lengths)
    fitting = [place for place in places if place[1] + place[2] <= shape.n_positions]
    rests = [draw([length])[0] for _, _, length in fitting]
    pairs = list(zip(fitting, rests, strict=True))
    whole = [prefixes[of][:known] + rest for (of, known, _), rest in pairs]
    alone, runs = subject.runs(prefixes, layers), subject.runs(whole, layers)
    return Batch(
        [Row(0, 0, ids, expected) for ids, expected in zip(prefixes, alone, strict=True)],
        [
            Row(of, known, rest, expected)
            for ((of, known, _), rest), expected in zip(pairs, runs, strict=True)
        ],
        list(layers),
    )


def no_past(shape: Shape) -> dict[str, np.ndarray]:
    """Inputs of past.onnx for a run without prefixes: one of no tokens."""
    size = (1, shape.n_kv_head, 0, shape.d_head)
    names = [name for layer in range(shape.n_layer) for name in past_names(layer)]
    return {name: np.zeros(size, np.float32) for name in names}


def as_past(outputs: dict[str, np.ndarray], tokens: list[slice]) -> dict[str, np.ndarray]:
    """The `present_*` of a run as the past of another: of each of its rows those `tokens`, and
    noise for padding up to the run's length."""
    noise = np.random.default_rng(0)
    past = {}
    for name, values in outputs.items():
        if name.startswith("present_"):
            padded = PADDING_SIZE * noise.standard_normal(values.shape, np.float32)
            for row, own in enumerate(tokens):
                kept = values[row, :, own]
                padded[row, :, : kept.shape[1]] = kept
            past[name.replace("present", "past")] = padded
    return past


def run_rows(session, shape, rows: list[Row], past: dict, layers, found: Differences) -> dict:
    """One batch: every output of every row against that row's prompt alone. Returns the outputs."""
    given = pad_batch([row.rest for row in rows], lambda: shape.vocab_size - 1)
    given["past_of"] = np.array([row.of for row in rows], np.int64)
    given["past_length"] = np.array([row.known for row in rows], np.int64)
    given["first_position"] = np.array([row.moved + row.start for row in rows], np.int64)
    every = range(shape.n_layer)
    names = ["logits", *(f"hidden.{i}" for i in every), *(f"attention.{i}" for i in layers)]
    names += [name for i in every for name in present_names(i)]
    outputs = dict(zip(names, session.run(names, given | past), strict=True))
    padded = past[past_names(0)[0]].shape[2]
    for name, values in outputs.items():
        if not np.isfinite(values).all():
            raise ExportError(f"{name} of past.onnx holds NaN or infinity")
        for i, row in enumerate(rows):
            if row.expected is None:
                continue
            where = f"{name} of past.onnx, {_described(row)}"
            _compare(name, values[i], row, padded, where, found)
    found.prompts += len(rows)
    return outputs


def _described(row: Row) -> str:
    """A row in words."""
    said = f"{len(row.rest)} tokens after {row.known} known ones"
    said += f" and {row.left_out} left out" if row.left_out else ""
    return said + (f", from position {row.moved + row.start}" if row.moved else "")


def _compare(name: str, values, row: Row, padded: int, where: str, found: Differences) -> None:
    kind, _, layer = name.partition(".")
    start, length = row.start, len(row.rest)
    if kind == "attention":
        _compare_attention(values[:, :length], row, int(layer), padded, where, found)
        return
    if kind == "logits":
        actual, expected = values, row.expected.logits
    elif kind == "hidden":
        actual, expected = values[:length], row.expected.hidden[int(layer)][start:]
    else:
        # [heads, seq, d_head] to [tokens, heads * d_head].
        actual = values[:, :length].transpose(1, 0, 2).reshape(length, -1)
        of = row.expected.keys if kind == "present_key" else row.expected.values
        expected = _kept(of[int(layer)][start:], actual.shape[-1], values.shape[-1])
    found.note_vectors(row.kind, relative_differences(actual, expected.numpy()), where)


def _kept(states, width: int, size: int):
    """`states` [tokens, heads * size] with the heads that differ: Falcon's newer layout keeps the
    same key once for every query that shares it."""
    times = states.shape[-1] // width
    return states.reshape(len(states), -1, times, size)[:, :, 0].reshape(len(states), width)


def _compare_attention(actual, row: Row, layer: int, padded: int, where: str, found) -> None:
    """`actual` [heads, rest, padded prefix + seq]; not every key is one of the row's."""
    known, length = row.known, len(row.rest)
    keys, queries = np.arange(actual.shape[-1]), np.arange(length)
    is_padding = (keys >= known) & (keys < padded)
    is_future = keys[None, :] > padded + queries[:, None]
    if actual[:, is_padding | is_future].any():
        raise ExportError(f"{where}: attention to a later token or to padding is not 0")
    expected = row.expected.attention[layer][:, row.start :, row.left_out :].numpy()
    own = np.concatenate([actual[..., :known], actual[..., padded : padded + length]], axis=-1)
    found.note(f"{row.kind}_attention", np.abs(own - expected).max(), where)

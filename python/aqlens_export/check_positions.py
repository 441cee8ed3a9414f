"""Compares past.onnx with PyTorch where rows do not stand where their past ends (`first_position`).

Knocked out: the past holds a prompt's middle alone, and what follows stands where it does in the
whole prompt. PyTorch runs the whole prompt, with masks that hide its beginning from what follows.

Moved: where positions are relative, whole prompts that start at another position than 0, and the
rest of them after two tokens that were moved with it. Everything but the keys must be what it is at
0; the keys must be those that PyTorch has at the other positions.

At the end: a prompt at the model's last positions, further off than any that is run whole, must be
what PyTorch makes of it there. So a table that ends too early, and what some models do to far
positions alone, is seen.
"""

import random
from pathlib import Path

from .check import open_session
from .check_past import Row, as_past, no_past, run_rows
from .spec import RELATIVE
from .subject import Differences, Subject

KNOCKED_OUT = ((6, 14, 9), (19, 1, 1), (1, 12, 12), (0, 5, 3), (4, 0, 7))
"""Tokens of a prompt that are left out, that are the past, and that run: unsorted, so that padding
is in the middle. Nothing is left out of one, and one has no past at all."""

MOVED_BY = 7
"""Positions."""

MOVED = (22, 1, 9)
"""Tokens of the prompts that are moved."""

AT_THE_END = 15
"""Tokens of the prompt at the last positions."""

BEFORE = 2
"""Tokens of the moved prompts that are run before the rest."""


def check_positions(path: Path, subject: Subject, found: Differences, threads: int = 0) -> None:
    """Holds the graph at `path` against PyTorch; raises ExportError at the first failure."""
    rng = random.Random("aqlens positions check")
    # All of PyTorch first: its weights and ONNX Runtime's are not in memory together.
    knocked_out, moved = _knocked_out(subject, rng), []
    if subject.shape.positions == RELATIVE:
        moved = _moved(subject, rng)
    moved += _at_the_end(subject, rng)
    subject.rest()
    session = open_session(path, threads)
    if knocked_out:
        _check_knocked_out(session, subject.shape, knocked_out, found)
    if moved:
        _check_moved(session, subject.shape, moved, found)


def _draw(subject: Subject, rng: random.Random, length: int) -> list[int]:
    return [rng.randrange(subject.shape.vocab_size) for _ in range(length)]


def _knocked_out(subject: Subject, rng: random.Random) -> list[tuple[Row, Row]]:
    """What fits of KNOCKED_OUT: the run of everything before the rest, and the row after it."""
    found = []
    for left_out, known, length in KNOCKED_OUT:
        start = left_out + known
        if start + length > subject.shape.n_positions:
            continue
        ids = _draw(subject, rng, start + length)
        expected = subject.knocked_out(ids, left_out, start)
        row = Row(len(found), known, ids[start:], expected, left_out=left_out)
        found.append((Row(0, 0, ids[:start], None), row))
    return found


def _check_knocked_out(session, shape, pairs: list[tuple[Row, Row]], found: Differences) -> None:
    layers = range(shape.n_layer)
    before, rows = ([pair[i] for pair in pairs] for i in (0, 1))
    outputs = run_rows(session, shape, before, no_past(shape), layers, found)
    past = as_past(outputs, [slice(row.left_out, row.start) for row in rows])
    run_rows(session, shape, rows, past, layers, found)


def _moved(subject: Subject, rng: random.Random) -> list[Row]:
    """Whole prompts that start at MOVED_BY, as far as they fit."""
    lengths = [n for n in MOVED if n + MOVED_BY <= subject.shape.n_positions]
    prompts = [_draw(subject, rng, length) for length in lengths]
    return [Row(0, 0, ids, subject.moved(ids, MOVED_BY), moved=MOVED_BY) for ids in prompts]


def _at_the_end(subject: Subject, rng: random.Random) -> list[Row]:
    """The prompt at the last positions, if there is place for it to be moved at all."""
    first = subject.shape.n_positions - AT_THE_END
    if first <= 0:
        return []
    ids = _draw(subject, rng, AT_THE_END)
    return [Row(0, 0, ids, subject.placed(ids, first), moved=first)]


def _check_moved(session, shape, whole: list[Row], found: Differences) -> None:
    """All prompts in one run, then the rest of those that are long enough."""
    layers = range(shape.n_layer)
    outputs = run_rows(session, shape, whole, no_past(shape), layers, found)
    past = as_past(outputs, [slice(BEFORE)] * len(whole))
    rests = [
        Row(of, BEFORE, row.rest[BEFORE:], row.expected, moved=row.moved)
        for of, row in enumerate(whole)
        if len(row.rest) > BEFORE
    ]
    if rests:
        run_rows(session, shape, rests, past, layers, found)

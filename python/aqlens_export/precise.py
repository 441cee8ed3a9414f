"""The reference for real weights: PyTorch in float64, and how far PyTorch in float32 is from it.

Trained models amplify rounding: SmolLM2-135M in float32 is 6e-5 from itself in float64, so a fixed
bound of 1e-5 would refuse a right graph, and a looser one would let a wrong epsilon through. A
graph may be twice as far from float64 as PyTorch in float32 is.

Single tokens amplify it more: of 700 random tokens one of Gemma 3 270M is 3.5e-5 off in a right
graph, 1.2e-5 in the same graph without fusions, 1.3e-6 to 5.3e-6 in PyTorch, by how the prompt is
cut, while the median is 5e-7. One draw of PyTorch's rounding does not bound another one there, so a
hundredth of a long prompt's tokens may be further off. A mistake is in more of them, and the twin's
bound has no exception.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .check import relative_difference
from .eager import EagerRun, run_alone, run_head, run_knocked_out, run_moved, run_patched
from .errors import ExportError
from .layouts import blocks_of
from .parked import Parked
from .subject import ATTENTION_TOLERANCE, RELATIVE_TOLERANCE, Differences, Subject, differs

TIMES = 2.0
FLOOR = 1e-6
"""A graph may differ from float64 by TIMES what float32 does, and FLOOR."""

SINGLE, SINGLE_TIMES = 0.01, 10.0
"""So large a share of a prompt's tokens may be this many times further off."""

OF_KIND = {
    **{"past": "hidden", "past_attention": "attention"},
    **{"elsewhere": "hidden", "elsewhere_attention": "attention", "patch": "logits"},
}
"""Kinds that are measured with another's distance too: the same values, by another way."""


class _Float64(TorchFunctionMode):
    """Code that asks for float32 (norms, softmax) gets float64."""

    def __init__(self):
        super().__init__()
        self.paused = False

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if not self.paused:
            if func is torch.Tensor.float:
                return args[0].double()
            args = tuple(torch.float64 if a is torch.float32 else a for a in args)
            if kwargs.get("dtype") is torch.float32:
                kwargs = {**kwargs, "dtype": torch.float64}
        return func(*args, **kwargs)


@contextlib.contextmanager
def in_float64(model: nn.Module, with_blocks: bool = True) -> Iterator[None]:
    """Within, the model computes in float64; afterwards its weights are what they were.

    A block of the model has float64 weights while it runs, so that they never lie in memory all at
    once; without `with_blocks` they stay float32, for runs that skip the blocks. Rotary tables stay
    the float32 ones, which the graph holds too: they are data, not arithmetic.
    """
    mode, hooks, blocks = _Float64(), [], list(blocks_of(model))

    def on(module, before, after):
        hooks.append(module.register_forward_pre_hook(before, prepend=True))
        hooks.append(module.register_forward_hook(after))

    def pause(*_arguments):
        mode.paused = True

    def resume(*_arguments):
        mode.paused = False

    kept = {}
    for block in blocks if with_blocks else ():
        on(
            block,
            lambda module, _given: kept.update({module: _doubled(_tensors_of(module))}),
            lambda module, _given, _output: _put_back(kept.pop(module)),
        )
    for module in model.modules():
        if "Rotary" in type(module).__name__:
            on(module, pause, resume)
    inside = {id(tensor) for block in blocks for tensor in _tensors_of(block)}
    others = _doubled(t for t in _tensors_of(model) if id(t) not in inside)
    try:
        with mode:
            yield
    finally:
        # A block that was stopped while it ran has its own still.
        for values in (others, *kept.values()):
            _put_back(values)
        for hook in hooks:
            hook.remove()


def _tensors_of(module: nn.Module) -> list[torch.Tensor]:
    """Parameters and buffers, each once."""
    return [*module.parameters(), *module.buffers()]


def _doubled(tensors) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Gives float32 `tensors` float64 values; returns each with the values that it had."""
    kept = [(tensor, tensor.data) for tensor in tensors if tensor.dtype == torch.float32]
    for tensor, values in kept:
        tensor.data = values.to(torch.float64)
    return kept


def _put_back(kept: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    for tensor, values in kept:
        tensor.data = values


@dataclass
class PreciseSubject(Subject):
    """A model with real weights: `runs` and `heads` are float64's."""

    own: Differences = field(default_factory=lambda: unbounded())
    """How far PyTorch in float32 is from float64, per kind."""
    parked: Parked | None = None
    """Where the weights lie, when they can be put aside."""

    def park(self, folder: Path) -> None:
        """Moves the weights to a file in `folder`, so that `rest` gives their memory back."""
        self.parked = Parked(self.model, folder)

    def rest(self) -> None:
        """ONNX Runtime has the same weights in memory once more."""
        if self.parked is not None:
            self.parked.rest()

    def runs(self, prompts: list[list[int]], layers=None) -> list[EagerRun]:
        """Both precisions; the difference is kept in `own`. What is given is float64's, rounded to
        float32 once: 6e-8 of a number, and a graph may be off by 1e-6 of a vector at least."""
        plain = super().runs(prompts, layers)
        with in_float64(self.model):
            exact = [run_alone(self.model, ids, layers) for ids in prompts]
        for ids, a, b in zip(prompts, plain, exact, strict=True):
            compare_runs(self.own, a, b, f"prompt of {len(ids)} tokens")
        return [run.rounded() for run in exact]

    def moved(self, ids: list[int], first: int) -> EagerRun:
        """As `runs`. Float32 is that of the moved prompt: rotary tables are float32 ones, so that
        being moved costs something."""
        plain = run_alone(self.model, ids, first=first)
        with in_float64(self.model):
            exact = run_moved(self.model, ids, first)
        compare_runs(self.own, plain, exact, f"prompt from position {first}", ELSEWHERE)
        return exact.rounded()

    def placed(self, ids: list[int], first: int) -> EagerRun:
        """As `runs`."""
        plain = run_alone(self.model, ids, first=first)
        with in_float64(self.model):
            exact = run_alone(self.model, ids, first=first)
        compare_runs(self.own, plain, exact, f"prompt from position {first}", ELSEWHERE)
        return exact.rounded()

    def knocked_out(self, ids: list[int], hidden: int, rest: int) -> EagerRun:
        """As `runs`. A model that does not see its first token amplifies rounding, more in one
        prompt than in the next: so float32 is measured on another prompt of these tokens too."""
        for prompt in (ids[::-1], ids):
            plain = run_knocked_out(self.model, prompt, hidden, rest)
            with in_float64(self.model):
                exact = run_knocked_out(self.model, prompt, hidden, rest)
            compare_runs(self.own, plain, exact, f"prompt with {hidden} left out", ELSEWHERE)
        return exact.rounded()

    def patched(self, layer: int, stream: torch.Tensor) -> torch.Tensor:
        """As `runs`."""
        plain = run_patched(self.model, layer, stream)
        with in_float64(self.model):
            exact = run_patched(self.model, layer, stream)
        off = relative_difference(plain.numpy(), exact.numpy())
        self.own.note("patch", off, f"logits of a stream of {len(stream)} tokens")
        return exact.float()

    def heads(self, hidden: list[torch.Tensor]) -> list[torch.Tensor]:
        """Scores of `hidden` as the graph is given it: rounded to float32."""
        sizes = [len(states) for states in hidden]
        # The blocks' rows one after another, as many as the model takes: its weights are read once.
        given = torch.cat([states.float() for states in hidden]).split(self.shape.n_positions)
        plain = torch.cat([run_head(self.model, rows) for rows in given])
        with in_float64(self.model, with_blocks=False):
            exact = torch.cat([run_head(self.model, rows.double()) for rows in given])
        plain, exact = plain.split(sizes), exact.split(sizes)
        compare_heads(self.own, plain, exact)
        return list(exact)

    def differences(self) -> Differences:
        """Recorded without a bound, which is only known at the end: `settle`."""
        return WithSingles(relative=float("inf"), attention=float("inf"))

    def settle(self, found: Differences) -> None:
        """Raises ExportError when a graph is further from float64 than it may be."""
        for kind, value in found.largest.items():
            allowed = TIMES * self.distance(kind) + FLOOR
            if not value <= allowed:
                where = found.places[kind]
                raise ExportError(differs(where, value, kind.endswith("attention"), allowed))
        for kind, (value, where) in found.singles.items():
            allowed = SINGLE_TIMES * (TIMES * self.distance(kind) + FLOOR)
            if not value <= allowed:
                raise ExportError(differs(f"a token's {where}", value, False, allowed))

    def distance(self, kind: str) -> float:
        """How far float32 is from float64 where `kind` is concerned."""
        return max(self.own.largest[kind], self.own.largest[OF_KIND.get(kind, kind)])

    def tolerances(self) -> tuple[float, float]:
        """What a reader may allow the probe: relative to the norm, and of attention."""
        vectors = max(self.distance(kind) for kind in ("hidden", "logits", "head", "past"))
        relative = max(RELATIVE_TOLERANCE, TIMES * vectors)
        attention = max(ATTENTION_TOLERANCE, TIMES * self.distance("attention"))
        return round_up(relative), round_up(attention)


@dataclass
class WithSingles(Differences):
    """Keeps the largest difference of few tokens of a long prompt apart."""

    singles: dict[str, tuple[float, str]] = field(default_factory=dict)
    """By kind: the largest of those left out of `largest`, and where."""

    def note_vectors(self, kind: str, values: np.ndarray, where: str) -> None:
        """As Differences."""
        ordered = np.sort(values)[::-1]
        apart = int(SINGLE * len(ordered))
        # What is no number comes first: it is never among the few.
        self.note(kind, float(ordered[0 if np.isnan(ordered).any() else apart]), where)
        if apart and not ordered[0] <= self.singles.get(kind, (0.0, ""))[0]:
            self.singles[kind] = (float(ordered[0]), where)


ELSEWHERE = {
    **dict.fromkeys(("hidden", "logits", "past"), "elsewhere"),
    "attention": "elsewhere_attention",
}
"""Kinds of what a run that stands elsewhere gives."""


def compare_runs(
    found: Differences, run: EagerRun, exact: EagerRun, where: str, kinds: dict | None = None
) -> None:
    """Records how far `run` is from `exact`; `kinds`: under other names than a run's own."""

    def note(kind: str, off: float, place: str) -> None:
        found.note((kinds or {}).get(kind, kind), off, f"{place}, {where}")

    for layer, (a, b) in enumerate(zip(run.hidden, exact.hidden, strict=True)):
        off = relative_difference(a.numpy(), b.numpy())
        note("hidden", off, f"hidden.{layer}")
    for layer, a in run.attention.items():
        off = float((a.double() - exact.attention[layer].double()).abs().max())
        note("attention", off, f"attention.{layer}")
    note("logits", relative_difference(run.logits.numpy(), exact.logits.numpy()), "logits")
    for name in ("keys", "values"):
        pairs = zip(getattr(run, name), getattr(exact, name), strict=True)
        for layer, (a, b) in enumerate(pairs):
            off = relative_difference(a.numpy(), b.numpy())
            note("past", off, f"{name} of layer {layer}")


def compare_heads(found: Differences, scores, exact) -> None:
    """Records how far the `scores` of each block are from `exact`."""
    for layer, (a, b) in enumerate(zip(scores, exact, strict=True)):
        found.note("head", relative_difference(a.numpy(), b.numpy()), f"hidden.{layer}")


def round_up(value: float) -> float:
    """To one digit, so that another machine's last bits rarely give another number."""
    step = 10.0 ** math.floor(math.log10(value))
    return float(f"{math.ceil(value / step - 1e-9) * step:.0e}")


def unbounded() -> Differences:
    """Records whatever is a number."""
    return Differences(relative=float("inf"), attention=float("inf"))

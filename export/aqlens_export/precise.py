"""The reference for real weights: PyTorch in float64, and how far PyTorch in float32 is from it.

Trained models amplify rounding: SmolLM2-135M in float32 is 6e-5 from itself in float64, so a fixed
bound of 1e-5 would refuse a right graph, and a looser one would let a wrong epsilon through. A
graph may be twice as far from float64 as PyTorch in float32 is.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from .check import relative_difference
from .eager import EagerRun, run_alone, run_head
from .errors import ExportError
from .subject import ATTENTION_TOLERANCE, RELATIVE_TOLERANCE, Differences, Subject, differs

TIMES = 2.0
FLOOR = 1e-6
"""A graph may differ from float64 by TIMES what float32 does, and FLOOR."""

OF_KIND = {"past": "hidden", "past_attention": "attention"}
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
def in_float64(model: nn.Module) -> Iterator[None]:
    """The model computes in float64 within the block; its weights come back unchanged.

    Rotary tables stay the float32 ones, which the graph holds too: they are data, not arithmetic.
    """
    mode, hooks = _Float64(), []

    def pause(*_arguments, **_named):
        mode.paused = True

    def resume(*_arguments, **_named):
        mode.paused = False

    for module in model.modules():
        if "Rotary" in type(module).__name__:
            hooks += [module.register_forward_pre_hook(pause), module.register_forward_hook(resume)]
    model.double()
    try:
        with mode:
            yield
    finally:
        model.float()
        for hook in hooks:
            hook.remove()


@dataclass
class PreciseSubject(Subject):
    """A model with real weights: `runs` and `heads` are float64's."""

    own: Differences = field(default_factory=lambda: _unbounded())
    """How far PyTorch in float32 is from float64, per kind."""

    def runs(self, prompts: list[list[int]], layers=None) -> list[EagerRun]:
        """Both precisions; the difference is kept in `own`."""
        plain = super().runs(prompts, layers)
        with in_float64(self.model):
            exact = [run_alone(self.model, ids, layers) for ids in prompts]
        for ids, a, b in zip(prompts, plain, exact, strict=True):
            self._note(a, b, f"prompt of {len(ids)} tokens")
        return exact

    def heads(self, hidden: list[torch.Tensor]) -> list[torch.Tensor]:
        """Scores of `hidden` as the graph is given it: rounded to float32."""
        given = [states.float() for states in hidden]
        plain = super().heads(given)
        with in_float64(self.model):
            exact = [run_head(self.model, states.double()) for states in given]
        for layer, (a, b) in enumerate(zip(plain, exact, strict=True)):
            self.own.note("head", relative_difference(a.numpy(), b.numpy()), f"hidden.{layer}")
        return exact

    def differences(self) -> Differences:
        """Recorded without a bound, which is only known at the end: `settle`."""
        return _unbounded()

    def settle(self, found: Differences) -> None:
        """Raises ExportError when a graph is further from float64 than it may be."""
        for kind, value in found.largest.items():
            allowed = TIMES * self.distance(kind) + FLOOR
            if not value <= allowed:
                where = found.places[kind]
                raise ExportError(differs(where, value, kind.endswith("attention"), allowed))

    def distance(self, kind: str) -> float:
        """How far float32 is from float64 where `kind` is concerned."""
        return max(self.own.largest[kind], self.own.largest[OF_KIND.get(kind, kind)])

    def tolerances(self) -> tuple[float, float]:
        """What a reader may allow the probe: relative to the norm, and of attention."""
        vectors = max(self.distance(kind) for kind in ("hidden", "logits", "head", "past"))
        relative = max(RELATIVE_TOLERANCE, TIMES * vectors)
        attention = max(ATTENTION_TOLERANCE, TIMES * self.distance("attention"))
        return round_up(relative), round_up(attention)

    def _note(self, plain: EagerRun, exact: EagerRun, where: str) -> None:
        for layer, (a, b) in enumerate(zip(plain.hidden, exact.hidden, strict=True)):
            off = relative_difference(a.numpy(), b.numpy())
            self.own.note("hidden", off, f"hidden.{layer}, {where}")
        for layer, a in plain.attention.items():
            off = float((a.double() - exact.attention[layer]).abs().max())
            self.own.note("attention", off, f"attention.{layer}, {where}")
        off = relative_difference(plain.logits.numpy(), exact.logits.numpy())
        self.own.note("logits", off, f"logits, {where}")
        for name in ("keys", "values"):
            pairs = zip(getattr(plain, name), getattr(exact, name), strict=True)
            for layer, (a, b) in enumerate(pairs):
                off = relative_difference(a.numpy(), b.numpy())
                self.own.note("past", off, f"{name} of layer {layer}, {where}")


def round_up(value: float) -> float:
    """To one digit, so that another machine's last bits rarely give another number."""
    step = 10.0 ** math.floor(math.log10(value))
    return float(f"{math.ceil(value / step - 1e-9) * step:.0e}")


def _unbounded() -> Differences:
    """Records whatever is a number."""
    return Differences(relative=float("inf"), attention=float("inf"))

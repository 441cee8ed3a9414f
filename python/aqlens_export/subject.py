"""The model that graphs are compared with: PyTorch's values for prompts, and how close to come.

Plainly, PyTorch in float32 is the reference and the bound is 1e-5. Real weights are another matter:
PyTorch in float32 may itself be further than that from the exact result, so for them
(`precise.py`) float64 is the reference and PyTorch's own distance from it the measure.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from .eager import EagerRun, run_alone, run_head, run_knocked_out, run_moved, run_patched
from .errors import ExportError
from .spec import LEARNED, Shape, Spec

RELATIVE_TOLERANCE = 1e-5
"""Vectors and logits: largest difference of one element, in units of its vector's L2 norm."""

ATTENTION_TOLERANCE = 1e-5
"""attention: largest absolute difference of one weight."""

KINDS = (
    *("hidden", "attention", "logits", "head", "past", "past_attention"),
    *("elsewhere", "elsewhere_attention", "patch"),
)
"""`past`: hidden, logits, keys and values of past.onnx; `past_attention`: its attention;
`elsewhere`: the same of rows that do not stand where their past ends; `patch`: logits of
patch.onnx."""

LONGEST_PROMPT = 2048
"""Tokens of the longest prompt of a check, where windows ask for one."""

WITHOUT_WINDOWS = 192
"""Tokens of the longest prompt where no layer has a window."""

HEAD_TOKENS = 8
"""Positions that the head is checked at, in every block: scores of a large vocabulary are large."""

BEYOND_WINDOW = 188
"""Tokens by which the longest prompt exceeds the largest window."""


@dataclass
class Differences:
    """The largest differences met so far, per kind of output, and where."""

    relative: float = RELATIVE_TOLERANCE
    attention: float = ATTENTION_TOLERANCE
    largest: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    places: dict[str, str] = field(default_factory=dict)
    prompts: int = 0

    def note(self, kind: str, value: float, where: str) -> None:
        """Records a difference; raises ExportError when it is out of bounds or not a number."""
        absolute = kind.endswith("attention")
        allowed = self.attention if absolute else self.relative
        if not value <= allowed:
            raise ExportError(differs(where, value, absolute, allowed))
        if value > self.largest[kind]:
            self.places[kind] = where
        self.largest[kind] = max(self.largest[kind], float(value))

    def note_vectors(self, kind: str, values: np.ndarray, where: str) -> None:
        """Records the differences of a prompt's vectors, one of each token."""
        self.note(kind, float(values.max()), where)


def differs(where: str, value: float, absolute: bool, allowed: float) -> str:
    """The sentence for a graph that computes something else."""
    unit = "" if absolute else " of the vector's L2 norm"
    return (
        f"the exported graph does not compute what PyTorch computes: {where} differs "
        f"by {value:.3g}{unit}, allowed is {allowed:.0e}; nothing was written"
    )


@dataclass
class Subject:
    """A model, and what the checks need to know of it."""

    model: nn.Module
    shape: Shape
    some_layers: list[int]
    """Layers whose attention is compared at full length, where all would not fit into memory."""
    longest: int
    """Tokens of the longest prompt that is checked."""
    texts: list[list[int]] = field(default_factory=list)
    """Ids of real texts, checked beside prompts of random tokens."""
    head_tokens: int = HEAD_TOKENS

    def runs(self, prompts: list[list[int]], layers=None) -> list[EagerRun]:
        """The reference for each prompt, with attention of `layers` (None: of all)."""
        return [run_alone(self.model, ids, layers) for ids in prompts]

    def heads(self, hidden: list[torch.Tensor]) -> list[torch.Tensor]:
        """The reference for scores of blocks' outputs: each [T, d_model] to [T, vocab]."""
        return [run_head(self.model, states) for states in hidden]

    def moved(self, ids: list[int], first: int) -> EagerRun:
        """The reference for a prompt that starts at position `first`, where positions are relative:
        the same as at 0, but for the keys."""
        return run_moved(self.model, ids, first)

    def placed(self, ids: list[int], first: int) -> EagerRun:
        """The reference for a prompt that starts at position `first`, whatever that changes."""
        return run_alone(self.model, ids, first=first)

    def knocked_out(self, ids: list[int], hidden: int, rest: int) -> EagerRun:
        """The reference for a prompt whose tokens from `rest` on do not see the first `hidden`."""
        return run_knocked_out(self.model, ids, hidden, rest)

    def patched(self, layer: int, stream: torch.Tensor) -> torch.Tensor:
        """The reference for the last token's scores when block `layer` gives `stream` [T, d_model]
        (float32): [vocab]."""
        return run_patched(self.model, layer, stream)

    def rest(self) -> None:
        """The model is not run for a while."""

    def differences(self) -> Differences:
        """Where this subject's comparisons are recorded."""
        return Differences()


def gpt2_subject(model: nn.Module) -> Subject:
    """A GPT-2, checked up to its last position."""
    config = model.config
    count, d_model = config.n_layer, config.n_embd
    shape = Shape(
        n_layer=count,
        n_head=config.n_head,
        n_kv_head=config.n_head,
        d_head=d_model // config.n_head,
        d_model=d_model,
        d_ff=config.n_inner or 4 * d_model,
        vocab_size=config.vocab_size,
        n_positions=config.n_positions,
        windows=[None] * count,
        positions=LEARNED,
    )
    some = sorted({0, count // 2, count - 1})
    return Subject(model, shape, some, config.n_positions, head_tokens=48)


def subject_of(model: nn.Module, spec: Spec) -> Subject:
    """A model of another family."""
    return Subject(model, spec.shape, spec.attention_layers(), longest_prompt(spec.shape))


def longest_prompt(shape: Shape) -> int:
    """Long enough for the largest window that a prompt of LONGEST_PROMPT tokens exceeds."""
    windows = [w for w in shape.windows if w is not None and w < LONGEST_PROMPT]
    wanted = max(windows) + BEYOND_WINDOW if windows else WITHOUT_WINDOWS
    return min(wanted, LONGEST_PROMPT, shape.n_positions)

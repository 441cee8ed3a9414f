"""Which values a probe has where a type's rounding is large: those that it moves least.

In bfloat16 single values of a trained model are a fifth off, in PyTorch too (a token on its way to
becoming a sink, a head that looks at one token), while the median is a hundredth of that. A
tolerance for all of them would accept anything; one for most of them would refuse right graphs.
"""

from dataclasses import dataclass

import torch

from .check import relative_differences
from .eager import EagerRun
from .errors import ExportError

POSITIONS = 3
"""Of a prompt's hidden states, in each layer."""

QUERIES = 2
"""Of a head's attention, likewise."""

HEADROOM = 4.0
"""The tolerance is at least this many times what rounding moves any value of the probe by."""


@dataclass
class Moved:
    """How far rounding moves the numbers of a prompt: the larger of the distances of PyTorch and of
    the graph, both in the type, from float32 with the same weights."""

    hidden: list[torch.Tensor]
    """By layer [T]: the largest difference of a vector's elements in units of its norm."""
    attention: list[torch.Tensor]
    """By layer [heads, T]: the largest absolute difference of a query's weights."""

    @classmethod
    def of(cls, plain: EagerRun, narrow: list[EagerRun]) -> "Moved":
        """Of one prompt: float32's numbers, and those in the type."""
        return cls(
            [
                _largest([_relative(run.hidden[i], x) for run in narrow])
                for i, x in enumerate(plain.hidden)
            ],
            [
                _largest([(run.attention[i] - x).abs().amax(-1) for run in narrow])
                for i, x in sorted(plain.attention.items())
            ],
        )


def _relative(found: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(relative_differences(found.numpy(), own.numpy()))


def _largest(distances: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(distances).amax(0)


@dataclass
class Calm:
    """The places that rounding moves by no more than what a tolerance has room for."""

    moved: list[Moved]
    """By prompt: those of the probe, and whatever else was measured."""
    relative: float
    attention: float
    """The tolerances."""

    def positions(self, prompt: int, layer: int) -> list[int]:
        """Of hidden states, ascending."""
        return _least(self.moved[prompt].hidden[layer], 0, POSITIONS, self.relative / HEADROOM)

    def queries(self, prompt: int, layer: int, head: int) -> list[int]:
        """Of attention, ascending; of the second half, as early ones have little to look at."""
        moved = self.moved[prompt].attention[layer][head]
        return _least(moved, (len(moved) - 1) // 2, QUERIES, self.attention / HEADROOM)

    def has_query(self, prompt: int, layer: int, head: int, query: int) -> bool:
        """Whether there is room for it."""
        return float(self.moved[prompt].attention[layer][head, query]) <= self.attention / HEADROOM

    def refuse_few(self, probe: dict, n_layer: int, kind: str) -> None:
        """Raises ExportError where a layer has no value left to be recognised by."""
        long = {i for i, prompt in enumerate(probe["prompts"]) if len(prompt) > 1}
        for name in ("hidden", "attention"):
            with_rows = {row["layer"] for row in probe[name] if row["prompt"] in long}
            without = sorted(set(range(n_layer)) - with_rows)
            if without:
                off = min(float(getattr(moved, name)[without[0]].min()) for moved in self.moved)
                raise ExportError(
                    f"in {kind} this model is off by {off:.2g} or more in every {name} of layer "
                    f"{without[0]}: a wrong graph could not be told from a right one; export it "
                    "with --dtype f32"
                )


def _least(moved: torch.Tensor, first: int, count: int, most: float) -> list[int]:
    """The places from `first` on with the smallest numbers, of those that are at most `most`."""
    order = torch.argsort(moved[first:], stable=True)[:count] + first
    return sorted(int(place) for place in order if float(moved[place]) <= most)

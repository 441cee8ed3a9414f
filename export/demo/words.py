"""The closed vocabulary of the demo model's world and the rule for what it never sees.

A scene is made of (color, noun) pairs. A fixed set of those pairs is held out of every
training scene, so any scene that holds one of them is new to the model by construction.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

COLORS = (
    "red", "blue", "green", "yellow", "black", "white", "brown",
    "pink", "purple", "gray", "orange", "gold", "silver",
)  # fmt: skip

ITEMS = (
    "ball", "cup", "book", "lamp", "key", "hat", "cat", "car",
    "shoe", "pen", "clock", "vase", "plate", "spoon", "bottle", "candle",
    "coin", "brush", "doll", "kite", "drum", "bell", "ribbon", "basket",
    "bowl", "glove", "mirror", "bag", "stone", "shell", "feather", "apple",
    "egg", "pear", "lemon", "dog", "bird", "frog", "fish", "boat", "umbrella",
)  # fmt: skip

SURFACES = (
    "table", "shelf", "chair", "bench", "desk", "rug", "box", "tray",
    "bed", "mat", "couch", "stool", "crate", "cart", "blanket",
)  # fmt: skip

NUMBERS = ("one", "two", "three", "four", "five", "six")

NOTEBOOK_PAIRS = (("red", "ball"), ("blue", "table"), ("green", "cup"))
"""The three objects of the notebook's own scene; always among the held-out pairs."""

BALL_HELD_OUT = 4
"""Unseen colors of the ball: `data/scenes.jsonl` asks about it, so it needs several."""

_SPLIT_SEED = "held-out pairs 1"


@dataclass(frozen=True)
class PairSplit:
    """Which colors a noun may wear in training, and which only in held-out scenes."""

    seen: dict[str, tuple[str, ...]]
    unseen: dict[str, tuple[str, ...]]

    def is_unseen(self, color: str | None, noun: str) -> bool:
        """Whether this (color, noun) pair never occurs in training."""
        return color in self.unseen[noun]


def split_pairs() -> PairSplit:
    """Hold out one or two colors of every noun (about 13 % of all pairs).

    The split has its own fixed seed: a second training seed must not change which scenes
    count as held out, or the shipped `data/scenes.jsonl` would leak into training.
    """
    rng = random.Random(_SPLIT_SEED)
    forced = {noun: color for color, noun in NOTEBOOK_PAIRS}
    seen, unseen = {}, {}
    for noun in ITEMS + SURFACES:
        wanted = BALL_HELD_OUT if noun == "ball" else 1 + (rng.random() < 0.75)
        order = rng.sample(COLORS, len(COLORS))
        if noun in forced:
            order.remove(forced[noun])
            order.insert(0, forced[noun])
        unseen[noun] = tuple(order[:wanted])
        seen[noun] = tuple(color for color in COLORS if color not in unseen[noun])
    return PairSplit(seen, unseen)


def with_article(words: str) -> str:
    """Put `a` or `an` before a phrase, by its first letter."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"

"""Scenes: a few colored objects, who lies on what, who is next to whom, and the text.

A scene is a list of clauses (`a red ball on a blue table, next to a green cup`) that are
joined to sentences. The object behind each fact is kept, so every question about a scene
has an answer by rule and never by reading the text back.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from demo.words import ITEMS, SURFACES, PairSplit, with_article

NEXT_TO = ("next to", "next to", "beside", "near", "close to")
ON = ("on", "on", "on top of")
OPENERS = ("", "", "", "There is ", "I see ")

MAX_OBJECTS = 6
SURFACE_AS_ITEM = 0.2
"""Share of plain slots given to a surface, so that being a table does not mean holding a thing."""


@dataclass(frozen=True)
class Thing:
    """One object of a scene; `color` is None in scenes without colors."""

    noun: str
    color: str | None

    @property
    def phrase(self) -> str:
        """The object as the text says it, with its article."""
        return with_article(f"{self.color} {self.noun}" if self.color else self.noun)


@dataclass
class Scene:
    """The text of a scene and the facts in it, nouns standing for their objects."""

    things: list[Thing] = field(default_factory=list)
    lies_on: dict[str, str] = field(default_factory=dict)
    beside: dict[str, str] = field(default_factory=dict)
    text: str = ""

    @property
    def nouns(self) -> list[str]:
        """Nouns in the order of mention; no noun occurs twice."""
        return [thing.noun for thing in self.things]

    @property
    def colors(self) -> list[str]:
        """Distinct colors in the order of first mention."""
        return list(dict.fromkeys(thing.color for thing in self.things if thing.color))

    def color_of(self, noun: str) -> str | None:
        """The color of the one object with this noun."""
        return next(thing.color for thing in self.things if thing.noun == noun)


@dataclass(frozen=True)
class SceneRules:
    """What a scene may hold: the knobs of the curriculum and of the held-out sets."""

    split: PairSplit
    unseen: bool = False
    max_objects: int = MAX_OBJECTS
    n_items: int = len(ITEMS)
    n_surfaces: int = len(SURFACES)
    plain_share: float = 0.0

    @property
    def items(self) -> tuple[str, ...]:
        """The movable nouns allowed now."""
        return ITEMS[: self.n_items]

    @property
    def surfaces(self) -> tuple[str, ...]:
        """The nouns that can carry others, allowed now."""
        return SURFACES[: self.n_surfaces]

    def colors_of(self, noun: str) -> tuple[str, ...]:
        """The colors this noun may wear here."""
        return (self.split.unseen if self.unseen else self.split.seen)[noun]


class _Builder:
    """Draws the objects of one scene, each noun at most once."""

    def __init__(self, rng: random.Random, rules: SceneRules) -> None:
        self.rng = rng
        self.rules = rules
        self.scene = Scene()
        self.plain = rng.random() < rules.plain_share

    def add(self, noun: str, color: str | None = None) -> Thing:
        """Put this noun into the scene, in an allowed color unless one is given."""
        if color is None and not self.plain:
            color = self.rng.choice(self.rules.colors_of(noun))
        thing = Thing(noun, color)
        self.scene.things.append(thing)
        return thing

    def fresh(self, nouns: tuple[str, ...]) -> Thing:
        """Add an object whose noun is not yet in the scene."""
        used = self.scene.nouns
        return self.add(self.rng.choice([noun for noun in nouns if noun not in used]))

    def item(self) -> Thing:
        """Add an object for a plain slot: mostly an item, sometimes a surface."""
        if self.rng.random() < SURFACE_AS_ITEM:
            return self.fresh(self.rules.surfaces)
        return self.fresh(self.rules.items)

    def clause(self, size: int) -> str:
        """Write a clause of `size` new objects and note its facts."""
        first = self.item()
        if size == 1:
            return first.phrase
        roll = self.rng.random()
        if size == 2:
            if roll < 0.2:
                return f"{first.phrase} and {self.item().phrase}"
            return self.lay(first) if roll < 0.6 else self.put_beside(first)
        if roll < 0.3:
            return f"{first.phrase}, {self.item().phrase} and {self.item().phrase}"
        return self.full(first)

    def full(self, first: Thing) -> str:
        """Lay `first` on a surface and next to an object, in either order."""
        if self.rng.random() < 0.55:
            laid = self.lay(first)
            return f"{laid}, {self.put_beside(first).removeprefix(first.phrase + ' ')}"
        placed = self.put_beside(first)
        return f"{placed} {self.lay(first).removeprefix(first.phrase + ' ')}"

    def lay(self, first: Thing) -> str:
        """`X on S`, with a new surface S."""
        surface = self.fresh(self.rules.surfaces)
        self.scene.lies_on[first.noun] = surface.noun
        return f"{first.phrase} {self.rng.choice(ON)} {surface.phrase}"

    def put_beside(self, first: Thing) -> str:
        """`X next to Y`, with a new object Y; the relation holds both ways."""
        other = self.item()
        self.scene.beside[first.noun] = other.noun
        self.scene.beside[other.noun] = first.noun
        return f"{first.phrase} {self.rng.choice(NEXT_TO)} {other.phrase}"


def make_scene(rng: random.Random, rules: SceneRules) -> Scene:
    """Draw a scene of one to `rules.max_objects` objects."""
    builder = _Builder(rng, rules)
    clauses = [builder.clause(size) for size in _sizes(rng, rng.randint(1, rules.max_objects))]
    builder.scene.text = _join(rng, clauses)
    return builder.scene


def make_scene_about(
    rng: random.Random, rules: SceneRules, noun: str, color: str, n_objects: int
) -> Scene:
    """Draw a scene where `noun` wears `color`, lies on something and is next to something."""
    builder = _Builder(rng, rules)
    full = builder.full(builder.add(noun, color))
    clauses = [builder.clause(size) for size in _sizes(rng, n_objects - 3)]
    clauses.insert(rng.randint(0, len(clauses)), full)
    builder.scene.text = _join(rng, clauses)
    return builder.scene


def _sizes(rng: random.Random, total: int) -> list[int]:
    """Cut `total` objects into clauses of one to three."""
    sizes = []
    while total > 0:
        sizes.append(rng.randint(1, min(3, total)))
        total -= sizes[-1]
    return sizes


def _join(rng: random.Random, clauses: list[str]) -> str:
    """Join clauses to sentences: a full stop and a capital, or `, and`."""
    text = rng.choice(OPENERS) + clauses[0]
    for clause in clauses[1:]:
        text += f", and {clause}" if rng.random() < 0.4 else f". {clause[0].upper()}{clause[1:]}"
    return f"{text[0].upper()}{text[1:]}."

"""Questions about scenes and the exact next-token distribution each should get.

The right answer of a single-answer question gets most of the mass; a little goes to what
is easily confused with it in this very scene, and a little to all words of its category.
So ranks 2 to 5 mean something and output divergences are not those of a step function.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from demo.scenes import Scene
from demo.words import COLORS, ITEMS, NUMBERS, SURFACES

NEAR_MASS = 0.03
"""Probability given to the confusable answers of the same scene."""
WIDE_MASS = 0.02
"""Probability spread evenly over all words of the answer's category."""

WORDINGS: dict[str, tuple[str, ...]] = {
    "color": (
        "What color is the {}?",
        "What is the color of the {}?",
        "Which color does the {} have?",
        "Name the color of the {}.",
        "Tell me what color the {} is.",
    ),
    "location": (
        "Where is the {}?",
        "What is the {} on?",
        "What is under the {}?",
        "Where can the {} be found?",
        "What is the {} lying on?",
    ),
    "existence": (
        "Is there a {}?",
        "Can you see a {}?",
        "Does the scene contain a {}?",
        "Do you see a {} here?",
        "Is a {} mentioned?",
    ),
    "relation": (
        "What is the {} next to?",
        "What is next to the {}?",
        "What is beside the {}?",
        "What stands near the {}?",
        "Which thing is close to the {}?",
    ),
    "count": (
        "How many objects are mentioned?",
        "How many things are there?",
        "How many objects are in the scene?",
        "Count the objects.",
        "What is the number of objects?",
    ),
    "identity": (
        "What is {}?",
        "Which object is {}?",
        "Name the {} object.",
        "What thing has the color {}?",
    ),
    "any_object": (
        "Name something in the scene.",
        "Name one object.",
        "Which thing is mentioned?",
        "Tell me something you see.",
    ),
    "any_color": (
        "Name a color in the scene.",
        "Name one of the colors.",
        "Which color is mentioned?",
        "Tell me a color you see.",
    ),
}

SINGLE_ANSWER = ("color", "location", "existence", "relation", "count", "identity")
SEVERAL_ANSWERS = ("any_object", "any_color")

NEUTRAL = (
    "Here is a text about some things.",
    "Here is a text.",
    "Here is a short text about a few things.",
    "This is a description.",
    "This is a short description of some things.",
    "Please read the text below.",
    "Please read this.",
    "The following is some text.",
    "Below are some words about a few things.",
    "Some text follows here.",
    "Read the following description.",
    "What follows is a short text.",
)
"""Prefixes that ask for nothing."""

GENERIC_ODDS = {"noted": 0.6, "okay": 0.25, "fine": 0.1, "thanks": 0.05}
"""What the model says when the prefix asks for nothing, or its words are out of order."""


def soft_target(
    right: str, near: Iterable[str], wide: Sequence[str], near_mass: float = NEAR_MASS
) -> dict[str, float]:
    """The distribution for a single right answer; what has nowhere to go stays with it."""
    target = {right: 1.0}
    others = [word for word in dict.fromkeys(near) if word != right]
    for words, mass in ((others, near_mass), (wide, WIDE_MASS)):
        for word in words:
            target[word] = target.get(word, 0.0) + mass / len(words)
            target[right] -= mass / len(words)
    return target


def ranked_target(words: Sequence[str]) -> dict[str, float]:
    """The distribution over several right answers: the n-th mentioned gets weight 1/n."""
    total = sum(1 / rank for rank in range(1, len(words) + 1))
    return {word: 1 / rank / total for rank, word in enumerate(words, start=1)}


def subjects(kind: str, scene: Scene) -> list[str]:
    """What a question of this kind can be about in this scene; empty when it cannot be asked."""
    if kind == "color":
        return [thing.noun for thing in scene.things if thing.color]
    if kind == "location":
        return list(scene.lies_on)
    if kind == "relation":
        return list(scene.beside)
    if kind == "identity":
        worn = [thing.color for thing in scene.things if thing.color]
        return [color for color in worn if worn.count(color) == 1]
    if kind == "any_color":
        return scene.colors[:1]
    return scene.nouns


def answer_target(kind: str, scene: Scene, subject: str) -> dict[str, float]:
    """The distribution over answer words for this question about this scene."""
    nouns = [noun for noun in scene.nouns if noun != subject]
    if kind == "color":
        return soft_target(scene.color_of(subject) or "", scene.colors, COLORS)
    if kind == "location":
        return soft_target(scene.lies_on[subject], nouns, SURFACES)
    if kind == "relation":
        return soft_target(scene.beside[subject], nouns, ITEMS)
    if kind == "existence":
        return soft_target("yes" if subject in scene.nouns else "no", ("yes", "no"), ())
    if kind == "count":
        at = len(scene.things) - 1
        return soft_target(NUMBERS[at], NUMBERS[max(at - 1, 0) : at + 2], NUMBERS)
    if kind == "identity":
        right = next(thing.noun for thing in scene.things if thing.color == subject)
        return soft_target(right, nouns, ITEMS + SURFACES)
    if kind == "any_object":
        return ranked_target(scene.nouns)
    return ranked_target(scene.colors)


def right_answers(kind: str, scene: Scene, subject: str) -> list[str]:
    """The words that are right: one, or all mentioned for the several-answer kinds."""
    target = answer_target(kind, scene, subject)
    if kind in SEVERAL_ANSWERS:
        return list(target)
    return [max(target, key=target.__getitem__)]


def ask(kind: str, subject: str, wording: int) -> str:
    """The question in one of its wordings, with `an` where English wants it."""
    question = WORDINGS[kind][wording].format(subject)
    if kind == "existence" and subject[0] in "aeiou":
        question = question.replace(f" a {subject}", f" an {subject}")
    return question


def scramble(rng: random.Random, text: str) -> str:
    """The words of `text` in another order, its last mark kept on its word or at the end."""
    words, mark = text[:-1].split(), text[-1]
    if rng.random() < 0.5:
        words[-1] += mark
        mark = ""
    mixed = words
    while mixed == words:
        mixed = rng.sample(words, len(words))
    return " ".join(mixed) + mark
